// What the kernel alone takes for N containers: the floor under `rcompose up` and `down`.
//
//   floor ROOTFS N
//
// Each container: five new namespaces, an overlay root, /proc, /sys, /dev with nodes, devpts, shm, a veth pair on one bridge (in a network
// namespace of its own), an address and a default route, then exec of /bin/sleep. Not in it: seccomp, capabilities, cgroups, firewall, names,
// logs. One process, one container after the other, one netlink message at a time. Prints two numbers: milliseconds until all have
// exec'ed, milliseconds until all are killed and reaped.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST 1000
#define CHECK(call) do { if ((call) < 0) { perror(#call); _exit(99); } } while (0)

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

// One netlink message is put together here; rtnetlink(7).
static union { struct nlmsghdr head; char bytes[1024]; } message;

static void begin(int type, int flags, const void *body, int length) {
    memset(&message, 0, sizeof message);
    message.head.nlmsg_len = NLMSG_LENGTH(length);
    message.head.nlmsg_type = type;
    message.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    memcpy(NLMSG_DATA(&message.head), body, length);
}

static struct rtattr *add(int type, const void *data, int length) {
    struct rtattr *a = (void *)(message.bytes + NLMSG_ALIGN(message.head.nlmsg_len));
    a->rta_type = type;
    a->rta_len = RTA_LENGTH(length);
    if (length)
        memcpy(RTA_DATA(a), data, length);
    message.head.nlmsg_len = NLMSG_ALIGN(message.head.nlmsg_len) + RTA_ALIGN(a->rta_len);
    return a;
}

static void close_nest(struct rtattr *a) { a->rta_len = message.bytes + message.head.nlmsg_len - (char *)a; }

static void talk(int fd, const char *what) {
    char answer[4096];
    CHECK(send(fd, &message, message.head.nlmsg_len, 0));
    CHECK(recv(fd, answer, sizeof answer, 0));
    int error = ((struct nlmsgerr *)NLMSG_DATA((struct nlmsghdr *)answer))->error;
    if (error) {
        fprintf(stderr, "%s: %s\n", what, strerror(-error));
        _exit(99);
    }
}

static void link_up(int fd, int index) {
    struct ifinfomsg m = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    begin(RTM_NEWLINK, 0, &m, sizeof m);
    talk(fd, "link up");
}

static void set_address(int fd, int index, uint32_t address) {
    struct ifaddrmsg m = {.ifa_family = AF_INET, .ifa_prefixlen = 16, .ifa_index = index};
    begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &m, sizeof m);
    add(IFA_LOCAL, &address, 4);
    add(IFA_ADDRESS, &address, 4);
    talk(fd, "address");
}

static int route_socket(void) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    CHECK(fd);
    return fd;
}

static void node(const char *path, int major, int minor) { CHECK(mknod(path, S_IFCHR | 0666, makedev(major, minor))); }

// The container's side, up to exec. `go` tells that its veth is there.
static void container(const char *rootfs, const char *dir, int go, uint32_t address, uint32_t gateway) {
    char root[200], upper[200], options[1024], byte;
    CHECK(mount(0, "/", 0, MS_REC | MS_PRIVATE, 0));
    snprintf(root, sizeof root, "%s/root", dir);
    snprintf(upper, sizeof upper, "%s/upper", dir);
    CHECK(mkdir(root, 0755));
    CHECK(mkdir(upper, 0755));
    snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s/work", rootfs, upper, dir);
    CHECK(mount("overlay", root, "overlay", 0, options));
    CHECK(chdir(root));
    CHECK(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0));
    CHECK(mount("sysfs", "sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, 0));
    CHECK(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"));
    CHECK(mkdir("dev/pts", 0755));
    CHECK(mkdir("dev/shm", 01777));
    CHECK(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620"));
    CHECK(mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, "size=65536k"));
    umask(0);
    node("dev/null", 1, 3);
    node("dev/zero", 1, 5);
    node("dev/full", 1, 7);
    node("dev/random", 1, 8);
    node("dev/urandom", 1, 9);
    node("dev/tty", 5, 0);
    CHECK(syscall(SYS_pivot_root, ".", "."));
    CHECK(umount2(".", MNT_DETACH));
    CHECK(chdir("/"));
    CHECK(sethostname("floor", 5));

    if (read(go, &byte, 1) != 1)
        _exit(98);
    int fd = route_socket();
    link_up(fd, 1);
    set_address(fd, 2, address);
    link_up(fd, 2);
    struct rtmsg m = {.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT, .rtm_type = RTN_UNICAST};
    begin(RTM_NEWROUTE, NLM_F_CREATE, &m, sizeof m);
    add(RTA_GATEWAY, &gateway, 4);
    talk(fd, "route");
    execl("/bin/sleep", "sleep", "1000", (char *)0);
    perror("exec /bin/sleep");
    _exit(99);
}

static void make_veth(int fd, int bridge, int number, int pid) {
    struct ifinfomsg host = {.ifi_flags = IFF_UP, .ifi_change = IFF_UP}, peer = {.ifi_index = 2};
    char name[IFNAMSIZ];
    snprintf(name, sizeof name, "floor%d", number);
    begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &host, sizeof host);
    add(IFLA_IFNAME, name, strlen(name) + 1);
    add(IFLA_MASTER, &bridge, 4);
    struct rtattr *info = add(IFLA_LINKINFO, 0, 0);
    add(IFLA_INFO_KIND, "veth", 4);
    struct rtattr *data = add(IFLA_INFO_DATA, 0, 0);
    struct rtattr *other = add(VETH_INFO_PEER, &peer, sizeof peer);
    add(IFLA_IFNAME, "eth0", 5);
    add(IFLA_NET_NS_PID, &pid, 4);
    close_nest(other);
    close_nest(data);
    close_nest(info);
    talk(fd, "veth");
}

static int make_bridge(int fd, uint32_t gateway) {
    struct ifinfomsg m = {0};
    begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &m, sizeof m);
    add(IFLA_IFNAME, "floor", 6);
    struct rtattr *info = add(IFLA_LINKINFO, 0, 0);
    add(IFLA_INFO_KIND, "bridge", 6);
    close_nest(info);
    talk(fd, "bridge");
    int index = if_nametoindex("floor");
    set_address(fd, index, gateway);
    link_up(fd, index);
    return index;
}

static int discard(const char *path, const struct stat *s, int kind, struct FTW *f) {
    (void)s, (void)kind, (void)f;
    return remove(path);
}

int main(int argc, char **argv) {
    static int pids[MOST], execs[MOST];
    int n = argc == 3 ? atoi(argv[2]) : 0;
    if (n < 1 || n > MOST) {
        fprintf(stderr, "usage: floor ROOTFS N (1 to %d)\n", MOST);
        return 2;
    }
    char base[] = "/var/tmp/floor-XXXXXX";
    if (!mkdtemp(base)) {
        perror("mkdtemp");
        return 1;
    }

    double start = now();
    CHECK(unshare(CLONE_NEWNET));
    int fd = route_socket();
    uint32_t gateway = inet_addr("10.213.0.1");
    int bridge = make_bridge(fd, gateway);
    for (int i = 0; i < n; i++) {
        int go[2], exec_end[2];
        char dir[100], work[120];
        snprintf(dir, sizeof dir, "%s/%d", base, i);
        snprintf(work, sizeof work, "%s/work", dir);
        CHECK(mkdir(dir, 0755));
        CHECK(mkdir(work, 0755));
        CHECK(pipe2(go, O_CLOEXEC));
        CHECK(pipe2(exec_end, O_CLOEXEC));
        struct clone_args args = {.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC, .exit_signal = SIGCHLD};
        CHECK(pids[i] = syscall(SYS_clone3, &args, sizeof args));
        if (!pids[i])
            container(argv[1], dir, go[0], htonl(ntohl(gateway) + 1 + i), gateway);
        close(exec_end[1]);
        execs[i] = exec_end[0];
        make_veth(fd, bridge, i, pids[i]);
        if (write(go[1], "g", 1) != 1)
            return 1;
        close(go[0]);
        close(go[1]);
    }
    int bad = 0, status;
    char byte;
    for (int i = 0; i < n; i++)  // the pipe's end closes on exec
        bad += read(execs[i], &byte, 1) != 0;
    double up = now() - start;

    start = now();
    for (int i = 0; i < n; i++)
        kill(pids[i], SIGKILL);
    for (int i = 0; i < n; i++) {
        waitpid(pids[i], &status, 0);
        bad += !WIFSIGNALED(status);
    }
    double down = now() - start;
    nftw(base, discard, 20, FTW_DEPTH | FTW_PHYS);
    printf("%.3f %.3f\n", up, down);
    return bad != 0;
}

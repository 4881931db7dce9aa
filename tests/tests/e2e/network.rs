//! Names, networks and published ports.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use rcompose_e2e::{Project, Run, free_port, http, wait_for_http};

use crate::POLITE;

const SERVE: &str = r#"["sh", "-c", "mkdir /www; hostname > /www/index.html; exec httpd -f -p 80 -h /www"]"#;

/// This machine's address on the way to the world; no packet is sent.
fn outer_address() -> Option<std::net::IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|a| !a.is_loopback())
}

#[test]
fn published_port_answers_inside_and_outside() {
    let port = free_port().unwrap();
    let Some(p) = Project::new(
        "net-port",
        &format!(
            "services:\n  web: {{image: busybox:latest, init: true, hostname: hosty, command: {SERVE}, ports: ['{port}:80']}}\n"
        ),
    ) else {
        return;
    };
    p.run("up -d").ok();
    assert_eq!(wait_for_http(port, "/", Duration::from_secs(10)).unwrap().body, "hosty\n");
    if let Some(address) = outer_address() {
        assert_eq!(http(SocketAddr::new(address, port), "GET", "/", "").unwrap().body, "hosty\n");
    }
    p.run("port web 80").ok().out(&format!("0.0.0.0:{port}"));
    p.run("ps").ok().out(&format!("0.0.0.0:{port}->80/tcp"));
    p.run("down").ok();
    assert!(TcpListener::bind(("0.0.0.0", port)).is_ok(), "the port is still held");
}

#[test]
fn taken_port_is_named() {
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let Some(p) = Project::new(
        "net-taken",
        &format!(
            "services:\n  web: {{image: busybox:latest, init: true, command: {SERVE}, ports: ['{port}:80']}}\n"
        ),
    ) else {
        return;
    };
    p.run("up -d").code_is(1).err("compose.yaml:2:").err(&port.to_string()).err("web");
    p.nothing_left(true);
    p.run("run --rm --service-ports web true").code_is(1).err(&port.to_string());
    p.nothing_left(true);
    drop(taken);
    p.run("up -d").ok();
    let other =
        format!("services: {{other: {{image: busybox:latest, command: {SERVE}, ports: ['{port}:80']}}}}\n");
    let Some(q) = Project::new("net-taken-too", &other) else { return };
    q.run("up -d").code_is(1).err("net-taken-web-1").err("rcompose -p net-taken down");
    q.nothing_left(true);
}

#[test]
fn a_port_goes_from_service_to_service() {
    let port = free_port().unwrap();
    let one = |name: &str| {
        format!(
            "services: {{{name}: {{image: busybox:latest, init: true, command: {SERVE}, ports: ['{port}:80']}}}}\n"
        )
    };
    let Some(p) = Project::new("net-moves", &one("a")) else { return };
    p.run("up -d").ok();
    p.run("up -d --force-recreate").ok();
    p.file("compose.yaml", &one("b"));
    p.run("up -d --remove-orphans").ok();
    assert_eq!(p.property("b", "State"), "running");
}

#[test]
fn names_resolve_within_networks_only() {
    let Some(p) = Project::new(
        "net-names",
        &format!(
            "services:
  a: {{image: busybox:latest, command: {POLITE}, networks: {{left: {{aliases: [first.internal]}}}}}}
  b: {{image: busybox:latest, command: {POLITE}, networks: [left, right]}}
  c: {{image: busybox:latest, command: {POLITE}, networks: [right]}}
networks: {{left: {{}}, right: {{}}}}
"
        ),
    ) else {
        return;
    };
    p.run("up -d").ok();
    for name in ["a", "net-names-a-1", "first.internal"] {
        p.cmd_args(["exec", "-T", "b", "ping", "-c", "1", "-W", "5", name]).run().unwrap().ok();
    }
    p.sh("b", "ping -c 1 -W 5 c").ok();
    p.sh("a", "ping -c 1 -W 5 b").ok();
    assert_ne!(p.sh("a", "ping -c 1 -W 1 c").code(), 0);
    p.sh("a", "cat /etc/resolv.conf").ok().out("nameserver 127.0.0.11");
}

#[test]
fn replicas_share_a_name() {
    let Some(p) = Project::new(
        "net-replicas",
        &format!(
            "services:
  many: {{image: busybox:latest, command: {POLITE}, deploy: {{replicas: 3}}}}
  one: {{image: busybox:latest, command: {POLITE}}}
"
        ),
    ) else {
        return;
    };
    p.run("up -d").ok();
    let answer = p.sh("one", "nslookup -type=a many").ok();
    let found = answer.stdout.lines().filter(|l| l.starts_with("Address: ")).count();
    assert_eq!(found, 3, "{}", answer.describe());
}

#[test]
fn server_of_one_service_is_reached_by_another() {
    let Some(p) = Project::new(
        "net-wget",
        &format!(
            "services:
  server: {{image: busybox:latest, init: true, hostname: the-server, command: {SERVE}}}
  client: {{image: busybox:latest, command: {POLITE}}}
"
        ),
    ) else {
        return;
    };
    p.run("up -d").ok();
    // The server may need a moment to listen.
    p.sh("client", "for i in $(seq 50); do wget -qO- http://server/ && exit 0; sleep 0.1; done; exit 1")
        .ok()
        .out("the-server\n");
}

#[test]
fn two_projects_do_not_meet() {
    let compose = format!("services:\n  box: {{image: busybox:latest, command: {POLITE}}}\n");
    let Some(first) = Project::new("net-first", &compose) else { return };
    let Some(second) = Project::new("net-second", &compose) else { return };
    first.run("up -d").ok();
    second.run("up -d").ok();
    assert_ne!(first.sh("box", "ping -c 1 -W 1 net-second-box-1").code(), 0);
    first.run("down").ok();
    second.run("exec -T box true").ok();
    second.run("down").ok();
}

/// The host's switch in a network namespace of its own, for an installation of its own.
#[test]
fn forwarding_is_as_before_unless_others_need_it() {
    let Some(p) = Project::new(
        "net-forward",
        "services: {a: {image: busybox:latest, init: true, command: sleep infinity}}\n",
    ) else {
        return;
    };
    p.run("image save -o image.tar busybox:latest").ok();
    let script = r#"
look() { echo "$1 $(cat /proc/sys/net/ipv4/ip_forward)"; }
"$1" image load -q -i image.tar
echo 0 >/proc/sys/net/ipv4/ip_forward
look before
"$1" up -d; look up
"$1" down; look down
"$1" up -d; ip link add other0 type bridge; "$1" down; look other
echo 0 >/proc/sys/net/ipv4/ip_forward
"$1" up -d; "$1" down; look 'not new'
echo 1 >/proc/sys/net/ipv4/ip_forward
"$1" up -d; "$1" down; look 'on before'
ip link del other0; echo 0 >/proc/sys/net/ipv4/ip_forward
RCOMPOSE_ROOT="$RCOMPOSE_ROOT-too" "$1" image load -q -i image.tar
"$1" up -d; RCOMPOSE_ROOT="$RCOMPOSE_ROOT-too" "$1" up -d; "$1" down; look 'another installation'
RCOMPOSE_ROOT="$RCOMPOSE_ROOT-too" "$1" down; "$1" up -d; "$1" down; look 'next time'
"#;
    let program = p.cmd("").command().get_program().to_owned();
    let root = p.dir().join("root");
    let all = Run::new("unshare").args(["--net", "sh", "-ec", script, "sh"]).args([program]);
    let all = all.dir(p.dir()).env("RCOMPOSE_ROOT", root).env("COMPOSE_PROJECT_NAME", "net-forward");
    let all = all.limit(Duration::from_secs(60)).run().unwrap().ok();
    let said: Vec<&str> = all.stdout.lines().filter(|l| !l.contains("sha256:")).collect();
    assert_eq!(
        said,
        [
            "before 0",
            "up 1",
            "down 0",
            "other 1",
            "not new 0",
            "on before 1",
            "another installation 1",
            "next time 0"
        ]
    );
}

//! Every way that traffic goes, on the real kernel.

mod common;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::*;
use rcompose_network::*;

const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const LAN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);

#[test]
fn traffic_looks_as_in_docker() {
    machine(|directory| {
        let lan = lan();
        let a = Net::new(directory, 0, "172.18.0.0/16", 2);
        let b = Net::new(directory, 1, "172.19.0.0/16", 1);
        a.rules(false, &[(8080, 0, 80)]).apply(&a.netns).unwrap();
        b.rules(false, &[]).apply(&b.netns).unwrap();
        host_rules(&[&a, &b], vec![a.published(8080)]).apply().unwrap();
        let (web, web_ip) = &a.containers[0];
        let (peer, peer_ip) = &a.containers[1];
        let (stranger, _) = &b.containers[0];
        let host = here();
        whoami(web, 80);
        whoami(&host, 9000);
        whoami(&lan, 9000);

        let text = |a: Ipv4Addr| Some(a.to_string());
        let gateway = text(a.spec.gateway);
        assert_eq!(seen_from(peer, (*web_ip, 80)), text(*peer_ip), "container to container");
        assert_eq!(seen_from(&host, (*web_ip, 80)), gateway, "host to container");
        assert_eq!(seen_from(&host, (HOST, 8080)), gateway, "host to published port");
        assert_eq!(seen_from(&lan, (HOST, 8080)), text(LAN), "LAN to published port");
        assert_eq!(seen_from(web, (HOST, 8080)), gateway, "hairpin to itself");
        assert_eq!(seen_from(peer, (HOST, 8080)), gateway, "hairpin to a neighbour");
        assert_eq!(seen_from(peer, (a.spec.gateway, 8080)), gateway, "by the gateway's address");
        assert_eq!(seen_from(web, (LAN, 9000)), text(HOST), "container to LAN");
        assert!(seen_from(web, (HOST, 9000)).is_some(), "container to host");
        assert!(seen_from(web, (a.spec.gateway, 9000)).is_some(), "the gateway is the host");
        assert_eq!(seen_from(stranger, (HOST, 8080)), gateway, "another network, by the published port");
        assert_eq!(seen_from(stranger, (*web_ip, 80)), None, "networks are apart");
        in_netns(&lan, || {
            sh("ip route add 172.18.0.0/16 via 192.0.2.1");
            Ok(())
        })
        .unwrap();
        assert_eq!(seen_from(&lan, (*web_ip, 80)), None, "no way in from the LAN");

        a.rules(true, &[]).apply(&a.netns).unwrap();
        assert_eq!(seen_from(web, (LAN, 9000)), None, "internal: no way out");
        assert_eq!(seen_from(&host, (*web_ip, 80)), gateway, "internal: the host may");

        HostRules::remove("rcompose-0a1b2c3d").unwrap();
        HostRules::remove("rcompose-0a1b2c3d").unwrap();
        assert_eq!(sh("nft list ruleset").trim(), "");
    });
}

/// The kernel clears a dead namespace in the background.
#[test]
fn containers_get_out_where_new_links_do_not_forward() {
    machine(|directory| {
        let lan = lan();
        sh("sysctl -qw net.ipv4.conf.default.forwarding=0");
        let a = Net::new(directory, 0, "172.18.0.0/16", 1);
        a.rules(false, &[(8080, 0, 80)]).apply(&a.netns).unwrap();
        host_rules(&[&a], vec![a.published(8080)]).apply().unwrap();
        let (web, _) = &a.containers[0];
        whoami(web, 80);
        whoami(&lan, 9000);
        assert_eq!(seen_from(&lan, (HOST, 8080)), Some(LAN.to_string()));
        assert_eq!(seen_from(web, (LAN, 9000)), Some(HOST.to_string()));
        HostRules::remove("rcompose-0a1b2c3d").unwrap();
    });
}

fn eventually(done: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(5);
    while !done() {
        assert!(Instant::now() < end, "{}", sh("ip -o link; ip route"));
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn removal_leaves_nothing_and_creation_is_idempotent() {
    machine(|directory| {
        let path = directory.to_owned();
        let before = sh("ip -o link; ip route");
        let net = Net::new(directory, 0, "172.18.0.0/16", 2);
        let again = create_network(&net.spec).unwrap();
        drop(again);
        assert!(sh("ip route").contains("172.18.0.0/16 via 100.127.0.1"));
        assert!(host_networks().unwrap().contains(&net.spec.subnet));
        assert!(host_networks().unwrap().contains(&net.spec.uplink.subnet()));

        // Equal subnets side by side: the route of the first stays until it goes.
        let twin = Net::new(directory, 1, "172.18.0.0/16", 1);
        let (spec, twin_spec) = (net.spec.clone(), twin.spec.clone());
        drop(net);
        remove_network(&spec).unwrap();
        remove_network(&spec).unwrap();
        eventually(|| sh("ip route get 172.18.0.2").contains("100.127.0.3"));

        // At once again under the same name, while the kernel still clears the old one.
        let net = Net::new(directory, 0, "172.18.0.0/16", 1);
        detach(&net.attachments()).unwrap();
        detach(&net.attachments()).unwrap();
        drop((net, twin));

        // What a crash leaves: a namespace with nothing in it, and a file with no namespace.
        remove_network(&spec).unwrap();
        remove_network(&twin_spec).unwrap();
        std::fs::write(&spec.pin, "").unwrap();
        drop(create_network(&spec).unwrap());
        remove_network(&spec).unwrap();

        assert!(!spec.pin.exists() && !twin_spec.pin.exists());
        let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        assert!(!mounts.contains(path.to_str().unwrap()));
        eventually(|| sh("ip -o link; ip route") == before);
    });
}

#[test]
fn changed_rules_do_not_keep_a_removed_network_or_container_alive() {
    machine(|directory| {
        let before = sh("ip -o link; ip route");
        let net = Net::new(directory, 0, "172.18.0.0/16", 1);
        // A container in no network of ours: its link to the host ends with its namespace.
        let alone = new_netns().unwrap();
        sh("ip link add witness type veth peer name far");
        move_link("far", &alone);
        for _ in 0..2 {
            net.rules(false, &[(8080, 0, 80)]).apply(&net.netns).unwrap();
            redirect_dns(&net.containers[0].0, 1053, 1053).unwrap();
            redirect_dns(&alone, 1053, 1053).unwrap();
            host_rules(&[&net], vec![]).apply().unwrap();
        }
        let spec = net.spec.clone();
        drop((net, alone));
        remove_network(&spec).unwrap();
        eventually(|| sh("ip -o link; ip route") == before);
    });
}

#[test]
fn a_successor_takes_over_name_and_address_at_once() {
    machine(|directory| {
        let mut net = Net::new(directory, 0, "172.18.0.0/16", 2);
        // The old namespace dies only when the kernel comes round to it: here it is even still held.
        let address = net.containers[0].1;
        let old = std::mem::replace(&mut net.containers[0].0, new_netns().unwrap());
        attach(&net.attachments()[..1]).unwrap();
        whoami(&net.containers[0].0, 80);
        whoami(&net.containers[1].0, 80);
        assert!(seen_from(&here(), (address, 80)).is_some());
        assert!(seen_from(&here(), (net.containers[1].1, 80)).is_some());
        drop(old);
        assert!(seen_from(&here(), (address, 80)).is_some());
    });
}

#[test]
fn other_people_s_forward_chains_open_and_close() {
    machine(|_| {
        sh(
            "nft add table ip filter && nft add chain ip filter FORWARD '{ type filter hook forward priority 0; policy drop; }' && nft add chain ip filter DOCKER-USER && nft add chain ip filter OTHER",
        );
        let before = sh("nft list ruleset");
        assert!(open_forward("rc0a1b2c3du", "rcompose-0a1b2c3d").unwrap());
        assert!(!open_forward("rc0a1b2c3du", "rcompose-0a1b2c3d").unwrap());
        let open = sh("nft list ruleset");
        assert_eq!(open.matches("comment \"rcompose-0a1b2c3d\"").count(), 4, "{open}");
        assert!(open.contains("oifname \"rc0a1b2c3du*\" accept"), "{open}");
        close_forward("rcompose-0a1b2c3d").unwrap();
        close_forward("rcompose-0a1b2c3d").unwrap();
        assert_eq!(sh("nft list ruleset"), before);
    });
}

/// Docker's engine, or a firewall's manager, makes and removes its chains while ours go into them.
#[test]
fn other_people_s_forward_chains_come_and_go() {
    machine(|_| {
        let script = "n=0; while [ $n -lt 60 ]; do nft add table ip filter; nft add chain ip filter DOCKER-USER; nft delete table ip filter; n=$((n+1)); done";
        std::thread::scope(|scope| {
            let others = scope.spawn(|| sh(script));
            while !others.is_finished() {
                open_forward("rc0a1b2c3du", "rcompose-0a1b2c3d").unwrap();
                close_forward("rcompose-0a1b2c3d").unwrap();
            }
        });
        assert_eq!(sh("nft list ruleset"), "");
    });
}

#[test]
fn quick() {
    machine(|directory| {
        let median = |mut times: Vec<Duration>| {
            times.sort();
            times[times.len() / 2]
        };
        let (mut made, mut attached, mut removed) = (vec![], vec![], vec![]);
        let (mut inner, mut again, mut outer) = (vec![], vec![], vec![]);
        for n in 0..7 {
            let spec = spec(directory, n, "172.18.0.0/16");
            let start = Instant::now();
            let netns = create_network(&spec).unwrap().netns;
            made.push(start.elapsed());
            let mut pool = IpPool::new(spec.subnet, spec.gateway, []);
            let net = Net {
                containers: (0..30).map(|_| (new_netns().unwrap(), pool.allocate().unwrap())).collect(),
                netns,
                spec,
            };
            let start = Instant::now();
            attach(&net.attachments()).unwrap();
            attached.push(start.elapsed());
            let rules = net.rules(false, &[(80, 0, 80)]);
            let start = Instant::now();
            rules.apply(&net.netns).unwrap();
            inner.push(start.elapsed());
            let start = Instant::now();
            rules.apply(&net.netns).unwrap();
            again.push(start.elapsed());
            let start = Instant::now();
            host_rules(&[&net], vec![net.published(80)]).apply().unwrap();
            outer.push(start.elapsed());
            let spec = net.spec.clone();
            drop(net);
            let start = Instant::now();
            remove_network(&spec).unwrap();
            removed.push(start.elapsed());
        }
        println!(
            "medians of 7: network {:?}, 30 containers attached {:?}, its rules {:?}, the same again {:?}, \
             host's rules {:?}, removed {:?}",
            median(made),
            median(attached),
            median(inner),
            median(again),
            median(outer),
            median(removed)
        );
    });
}

/// A machine in the "LAN" 192.0.2.0/24: it is .9, the host is .1.
fn lan() -> OwnedFd {
    let lan = new_netns().unwrap();
    sh(
        "ip link add lan0 type veth peer name eth0 && ip addr add 192.0.2.1/24 dev lan0 && ip link set lan0 up",
    );
    move_link("eth0", &lan);
    in_netns(&lan, || {
        sh("ip link set lo up && ip addr add 192.0.2.9/24 dev eth0 && ip link set eth0 up");
        Ok(())
    })
    .unwrap();
    lan
}

fn move_link(name: &str, to: &OwnedFd) {
    // `ip link set netns` takes a path that it opens itself; a child inherits nothing, so by /proc.
    let path = format!("/proc/{}/fd/{}", std::process::id(), to.as_raw_fd());
    sh(&format!("ip link set {name} netns {path}"));
}

/// A shell line in the calling thread's namespaces; its output.
fn sh(line: &str) -> String {
    let out = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// What [`whoami`] says to a client in a namespace; `None` if it can't be reached.
fn seen_from(netns: &OwnedFd, to: (Ipv4Addr, u16)) -> Option<String> {
    in_netns(netns, || Ok(ask(SocketAddrV4::new(to.0, to.1).into()))).unwrap()
}

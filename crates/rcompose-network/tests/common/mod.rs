//! A machine for one test: a thread with a network namespace as its "host" and a mount namespace of its own, so
//! that nothing of the real machine is touched and everything goes when the test ends.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use rcompose_network::*;
use rustix::mount::{MountPropagationFlags, mount_change};

/// Runs a test on a fresh machine. Needs root.
pub(crate) fn machine(test: impl FnOnce(&Path) + Send + 'static) {
    assert!(rustix::process::geteuid().is_root(), "needs root");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        let here = current_netns().unwrap();
        loopback_up(&here).unwrap();
        // A new namespace begins with the settings of the machine's first one, whatever they are.
        std::fs::write("/proc/sys/net/ipv4/conf/default/forwarding", "1").unwrap();
        enable_ip_forward().unwrap();
        test(&path);
    })
    .join()
    .unwrap();
}

/// A network with its containers and the host's rules.
pub(crate) struct Net {
    pub(crate) spec: NetworkSpec,
    pub(crate) netns: OwnedFd,
    pub(crate) containers: Vec<(OwnedFd, Ipv4Addr)>,
}

pub(crate) fn spec(directory: &Path, n: u32, subnet: &str) -> NetworkSpec {
    let subnet: Ipv4Net = subnet.parse().unwrap();
    NetworkSpec {
        name: format!("test_{n}"),
        subnet,
        gateway: subnet.first_host(),
        mtu: None,
        uplink: UplinkPair::allocate(&[], n).unwrap(),
        host_link: format!("rc0a1b2c3du{n}"),
        group: 0x0a1b_2c3d,
        pin: directory.join(format!("net{n}")),
    }
}

impl Net {
    pub(crate) fn new(directory: &Path, n: u32, subnet: &str, containers: usize) -> Self {
        let spec = spec(directory, n, subnet);
        let netns = create_network(&spec).unwrap().netns;
        let mut pool = IpPool::new(spec.subnet, spec.gateway, []);
        let containers: Vec<_> =
            (0..containers).map(|_| (new_netns().unwrap(), pool.allocate().unwrap())).collect();
        let net = Self { spec, netns, containers };
        attach(&net.attachments()).unwrap();
        net
    }

    pub(crate) fn attachments(&self) -> Vec<Attachment<'_>> {
        self.containers
            .iter()
            .enumerate()
            .map(|(k, (netns, address))| Attachment {
                container: netns.as_fd(),
                network: self.netns.as_fd(),
                interface: "eth0".into(),
                index: 2,
                address: *address,
                prefix: self.spec.subnet.prefix(),
                mac: mac_of(*address),
                gateway: Some(self.spec.gateway),
                host_end: format!("v{k}"),
                group: self.spec.group,
                mtu: None,
            })
            .collect()
    }

    pub(crate) fn rules(&self, internal: bool, outlets: &[(u16, usize, u16)]) -> NetworkRules {
        NetworkRules {
            subnet: self.spec.subnet,
            gateway: self.spec.gateway,
            uplink: self.spec.uplink,
            internal,
            outlets: outlets
                .iter()
                .map(|(relay_port, container, port)| Outlet {
                    protocol: Protocol::Tcp,
                    relay_port: *relay_port,
                    address: self.containers[*container].1,
                    port: *port,
                })
                .collect(),
        }
    }

    pub(crate) fn uplink(&self) -> HostUplink {
        HostUplink { link: self.spec.host_link.clone(), pair: self.spec.uplink }
    }

    pub(crate) fn published(&self, port: u16) -> Published {
        Published {
            host_ip: None,
            host_port: port,
            protocol: Protocol::Tcp,
            inside: self.spec.uplink.inside,
            relay_port: port,
        }
    }
}

pub(crate) fn host_rules(nets: &[&Net], published: Vec<Published>) -> HostRules {
    HostRules {
        table: "rcompose-0a1b2c3d".into(),
        link_prefix: "rc0a1b2c3du".into(),
        uplinks: nets.iter().map(|n| n.uplink()).collect(),
        published,
    }
}

/// Starts a server in a namespace that tells each client the address it sees.
pub(crate) fn whoami(netns: &OwnedFd, port: u16) {
    let listener = in_netns(netns, || {
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).map_err(|e| NetError::Invalid(e.to_string()))
    })
    .unwrap();
    std::thread::spawn(move || {
        while let Ok((mut client, peer)) = listener.accept() {
            let mut byte = [0];
            if client.read_exact(&mut byte).is_ok() && byte[0] == b'q' {
                return;
            }
            let _ = client.write_all(peer.ip().to_string().as_bytes());
        }
    });
}

pub(crate) fn ask(to: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_millis(700)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(b"?").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

pub(crate) fn here() -> OwnedFd {
    File::open("/proc/thread-self/ns/net").unwrap().into()
}

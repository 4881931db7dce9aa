use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
use tokio::task::JoinHandle;

use super::{port_holder, relay};
use crate::NetError;

/// tcp or udp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A published port that is held: nobody else can have it until this is dropped.
#[derive(Debug)]
pub struct PortHolder {
    protocol: Protocol,
    port: u16,
    sockets: Vec<OwnedFd>,
    relays: Vec<JoinHandle<()>>,
}

impl PortHolder {
    /// Takes a port of the host: on `host_ip`, or on all addresses; port 0 takes any free one. Without a
    /// `host_ip` IPv6 is taken too, where the host has it and nobody else holds the port there. A TCP client that
    /// comes before [`PortHolder::serve`] waits in the backlog.
    pub fn bind(host_ip: Option<IpAddr>, port: u16, protocol: Protocol) -> Result<Self, NetError> {
        let first = SocketAddr::new(host_ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), port);
        let socket = open(first, protocol).map_err(|e| match e {
            Errno::ADDRINUSE => {
                NetError::PortTaken { address: first, protocol, holder: port_holder(port, protocol) }
            }
            e => NetError::kernel(format!("publish port {first}/{protocol}"), e),
        })?;
        let port = rustix::net::getsockname(&socket)
            .ok()
            .and_then(|a| SocketAddr::try_from(a).ok())
            .map_or(port, |a| a.port());
        let mut sockets = vec![socket];
        if host_ip.is_none() {
            // IPv6 is an extra: in use or not there at all, IPv4 clients are served all the same.
            sockets.extend(open((Ipv6Addr::UNSPECIFIED, port).into(), protocol).ok());
        }
        Ok(Self { protocol, port, sockets, relays: Vec::new() })
    }

    /// The port held.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts to relay clients to `target`, in place of a former target; connections that are already made stay.
    /// The uplink's inner end with the relay port is the right target: it is reached also when another network
    /// has the same subnet. Call it inside the tokio runtime.
    pub fn serve(&mut self, target: SocketAddrV4) -> Result<(), NetError> {
        self.stop();
        for socket in &self.sockets {
            let fail =
                |e: io::Error| NetError::kernel(format!("serve port {}/{}", self.port, self.protocol), e);
            let copy = socket.try_clone().map_err(fail)?;
            let relay = match self.protocol {
                Protocol::Tcp => {
                    let listener = tokio::net::TcpListener::from_std(TcpListener::from(copy));
                    tokio::spawn(relay::tcp(listener.map_err(fail)?, target))
                }
                Protocol::Udp => {
                    let socket = tokio::net::UdpSocket::from_std(UdpSocket::from(copy));
                    tokio::spawn(relay::udp(socket.map_err(fail)?, target))
                }
            };
            self.relays.push(relay);
        }
        Ok(())
    }

    /// Stops to accept clients; the port stays held.
    pub fn stop(&mut self) {
        for relay in self.relays.drain(..) {
            relay.abort();
        }
    }
}

impl PortHolder {
    /// Gives the port back: when this is done, anybody can have it. Dropping alone leaves it to the relays until the
    /// runtime comes to end them.
    pub async fn close(mut self) {
        let relays = std::mem::take(&mut self.relays);
        relays.iter().for_each(JoinHandle::abort);
        for relay in relays {
            // It was aborted: that is its end.
            drop(relay.await);
        }
    }
}

impl Drop for PortHolder {
    fn drop(&mut self) {
        self.stop();
    }
}

fn open(address: SocketAddr, protocol: Protocol) -> Result<OwnedFd, Errno> {
    let (family, kind) = (
        match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        },
        match protocol {
            Protocol::Tcp => SocketType::STREAM,
            Protocol::Udp => SocketType::DGRAM,
        },
    );
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, kind, flags, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if protocol == Protocol::Tcp {
        // Connections of a former holder in TIME_WAIT must not keep the port; a listener still does.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    bind(&socket, &address)?;
    if protocol == Protocol::Tcp {
        listen(&socket, 1024)?;
    }
    Ok(socket)
}

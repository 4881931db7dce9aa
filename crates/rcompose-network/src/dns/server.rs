use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener, UdpSocket as StdUdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::forward::{forward, read_framed, write_framed};
use super::message::{Reply, answer};
use super::table::NameTable;
use crate::NetError;
use crate::firewall::{NAMESERVER, redirect_dns};
use crate::netns::in_netns;

const LARGEST_QUERY: usize = 4096;
/// How long a TCP client may be silent.
const TCP_IDLE: Duration = Duration::from_secs(10);
/// Forwarded queries and TCP clients under way per container; more are dropped, and clients ask again.
const UNDER_WAY: usize = 256;

/// The name server of one container: its sockets are in the container's namespace, what it doesn't know it asks
/// of upstream servers from the namespace of the caller. Two tasks and no buffers while idle. Ends when dropped.
#[derive(Debug)]
pub struct DnsServer {
    shared: Arc<Shared>,
    udp_port: u16,
    tcp_port: u16,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    table: RwLock<Arc<NameTable>>,
    upstreams: Arc<[SocketAddr]>,
    turn: AtomicUsize,
    under_way: Arc<Semaphore>,
}

impl DnsServer {
    /// Starts to serve a container: sockets at 127.0.0.11 on free ports, port 53 redirected to them (the
    /// container's loopback must be up). Call it inside the tokio runtime, in the host's network namespace. A
    /// second start for the same container (a supervisor that died) takes over.
    pub fn start(
        container: impl AsFd,
        table: Arc<NameTable>,
        upstreams: Arc<[SocketAddr]>,
    ) -> Result<Self, NetError> {
        let container = container.as_fd();
        let fail = |e: io::Error| NetError::kernel("open a name server's sockets", e);
        let open = || {
            let udp = StdUdpSocket::bind((NAMESERVER, 0))?;
            let tcp = StdTcpListener::bind((NAMESERVER, 0))?;
            udp.set_nonblocking(true)?;
            tcp.set_nonblocking(true)?;
            let ports = (udp.local_addr()?.port(), tcp.local_addr()?.port());
            Ok((udp, tcp, ports))
        };
        let (udp, tcp, (udp_port, tcp_port)) = in_netns(container, || open().map_err(fail))?;
        let udp = UdpSocket::from_std(udp).map_err(fail)?;
        let tcp = TcpListener::from_std(tcp).map_err(fail)?;
        redirect_dns(container, udp_port, tcp_port)?;

        let shared = Arc::new(Shared {
            table: RwLock::new(table),
            upstreams,
            turn: AtomicUsize::new(0),
            under_way: Arc::new(Semaphore::new(UNDER_WAY)),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, Arc::clone(&shared)));
        tasks.spawn(serve_tcp(tcp, Arc::clone(&shared)));
        Ok(Self { shared, udp_port, tcp_port, _tasks: tasks })
    }

    /// Answers from another table from now on.
    pub fn swap(&self, table: Arc<NameTable>) {
        *self.shared.table.write().unwrap_or_else(PoisonError::into_inner) = table;
    }

    /// The real UDP and TCP ports.
    pub fn ports(&self) -> (u16, u16) {
        (self.udp_port, self.tcp_port)
    }
}

impl Shared {
    fn reply(&self, query: &[u8], stream: bool) -> Reply {
        let table = Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner));
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        answer(query, &table, turn, stream)
    }
}

/// A waiting query, read into a buffer on the stack that no idle task holds.
fn receive(socket: &UdpSocket) -> io::Result<(Vec<u8>, SocketAddr)> {
    let mut buffer = [0; LARGEST_QUERY];
    let (length, client) = socket.try_recv_from(&mut buffer)?;
    Ok((buffer[..length].to_vec(), client))
}

async fn serve_udp(socket: UdpSocket, shared: Arc<Shared>) {
    let socket = Arc::new(socket);
    let mut forwards = JoinSet::new();
    while socket.readable().await.is_ok() {
        while forwards.try_join_next().is_some() {}
        let Ok((query, client)) = receive(&socket) else {
            continue;
        };
        // An answer that can't be sent is lost like any datagram: the client asks again.
        match shared.reply(&query, false) {
            Reply::Ignore => {}
            Reply::Ready(bytes) => drop(socket.send_to(&bytes, client).await),
            Reply::Forward { limit } => {
                let Ok(permit) = Arc::clone(&shared.under_way).try_acquire_owned() else {
                    continue;
                };
                let (socket, upstreams) = (Arc::clone(&socket), Arc::clone(&shared.upstreams));
                forwards.spawn(async move {
                    let bytes = forward(&query, &upstreams, Some(limit)).await;
                    drop(socket.send_to(&bytes, client).await);
                    drop(permit);
                });
            }
        }
    }
}

async fn serve_tcp(listener: TcpListener, shared: Arc<Shared>) {
    let mut clients = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&shared.under_way).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, mostly: the client stays in the backlog, so don't spin on it.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        while clients.try_join_next().is_some() {}
        let shared = Arc::clone(&shared);
        clients.spawn(async move {
            // The client went away or was silent for too long: either way this is over.
            let _ = serve_stream(stream, &shared).await;
            drop(permit);
        });
    }
}

async fn serve_stream(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    loop {
        let query = timeout(TCP_IDLE, read_framed(&mut stream)).await??;
        let bytes = match shared.reply(&query, true) {
            Reply::Ignore => return Ok(()),
            Reply::Ready(bytes) => bytes,
            Reply::Forward { .. } => forward(&query, &shared.upstreams, None).await,
        };
        write_framed(&mut stream, &bytes).await?;
    }
}

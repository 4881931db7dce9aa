use std::collections::HashMap;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Per direction and connection.
const BUFFER: usize = 16 * 1024;
/// How long a UDP client's way back stays open without traffic; Docker's userland proxy has the same.
const UDP_IDLE: Duration = Duration::from_secs(90);
const UDP_CLIENTS: usize = 4096;

/// Accepts for ever and relays each client. The end of one direction is passed on, the other goes on.
pub(super) async fn tcp(listener: TcpListener, target: SocketAddrV4) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                tokio::spawn(relay(client, target));
            }
            // Out of descriptors, mostly: the client stays in the backlog, so don't spin on it.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn relay(mut client: TcpStream, target: SocketAddrV4) {
    // Nobody is there to be told of an error: the client sees its connection end.
    let Ok(mut server) = TcpStream::connect(target).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let _ = copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER).await;
}

type Clients = Arc<Mutex<HashMap<SocketAddr, Arc<UdpSocket>>>>;

/// Relays datagrams: each client has a socket of its own towards the target, so that answers find their way.
pub(super) async fn udp(socket: UdpSocket, target: SocketAddrV4) {
    let socket = Arc::new(socket);
    let clients = Clients::default();
    // Ends with this relay: a way back that lived on would keep the port held.
    let mut ways = JoinSet::new();
    let mut buffer = vec![0; 65_536];
    loop {
        while ways.try_join_next().is_some() {}
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let known = lock(&clients).get(&client).cloned();
        let way = match known {
            Some(way) => way,
            None => {
                let Some(way) = udp_way(target).await else {
                    continue;
                };
                if lock(&clients).len() >= UDP_CLIENTS {
                    continue;
                }
                lock(&clients).insert(client, Arc::clone(&way));
                ways.spawn(udp_back(Arc::clone(&socket), Arc::clone(&way), client, Arc::clone(&clients)));
                way
            }
        };
        // A datagram may always be lost.
        let _ = way.send(&buffer[..length]).await;
    }
}

async fn udp_way(target: SocketAddrV4) -> Option<Arc<UdpSocket>> {
    let way = UdpSocket::bind("0.0.0.0:0").await.ok()?;
    way.connect(target).await.ok()?;
    Some(Arc::new(way))
}

async fn udp_back(socket: Arc<UdpSocket>, way: Arc<UdpSocket>, client: SocketAddr, all: Clients) {
    let mut buffer = vec![0; 65_536];
    while let Ok(received) = timeout(UDP_IDLE, way.recv(&mut buffer)).await {
        // An ICMP error for an earlier datagram ends up here; the client may try again.
        if let Ok(length) = received {
            let _ = socket.send_to(&buffer[..length], client).await;
        }
    }
    lock(&all).remove(&client);
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

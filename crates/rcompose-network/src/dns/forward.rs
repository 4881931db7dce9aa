use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::message::{belongs, failure, is_refusal, is_truncated};

/// How long one upstream server may take before the next is asked. A client waits 5 s by default (resolv.conf(5)).
const PATIENCE: Duration = Duration::from_secs(2);
const LARGEST_UDP: usize = 4096;

/// Asks the upstream servers in order and hands their answer through as it is. A server that is silent or refuses
/// makes room for the next one; if all do, the last refusal or a SERVFAIL is the answer.
///
/// `limit` is what the client can take in one datagram; `None` means that it came over TCP.
pub(super) async fn forward(query: &[u8], upstreams: &[SocketAddr], limit: Option<usize>) -> Vec<u8> {
    let mut refusal = None;
    for server in upstreams {
        let reply = match limit {
            None => over_tcp(query, *server).await,
            Some(limit) => over_both(query, *server, limit).await,
        };
        match reply {
            Ok(reply) if is_refusal(&reply) => refusal = Some(reply),
            Ok(reply) => return reply,
            // A silent or unreachable server: the next one.
            Err(_) => {}
        }
    }
    refusal.unwrap_or_else(|| failure(query, ResponseCode::ServFail))
}

/// UDP; an answer that was cut short is asked for again over TCP, and used if the client can take it whole.
async fn over_both(query: &[u8], server: SocketAddr, limit: usize) -> io::Result<Vec<u8>> {
    let reply = over_udp(query, server).await?;
    if is_truncated(&reply)
        && let Ok(whole) = over_tcp(query, server).await
        && whole.len() <= limit
    {
        return Ok(whole);
    }
    Ok(reply)
}

/// A socket of its own per query: the kernel's random port makes a forged answer unlikely (RFC 5452).
async fn over_udp(query: &[u8], server: SocketAddr) -> io::Result<Vec<u8>> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let answer = async {
        let mut buffer = vec![0; LARGEST_UDP];
        loop {
            let length = socket.recv(&mut buffer).await?;
            if belongs(&buffer[..length], query) {
                buffer.truncate(length);
                return Ok(buffer);
            }
        }
    };
    timeout(PATIENCE, answer).await?
}

async fn over_tcp(query: &[u8], server: SocketAddr) -> io::Result<Vec<u8>> {
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        write_framed(&mut stream, query).await?;
        let reply = read_framed(&mut stream).await?;
        if belongs(&reply, query) { Ok(reply) } else { Err(io::ErrorKind::InvalidData.into()) }
    };
    timeout(PATIENCE, exchange).await?
}

/// One message with its two-byte length (RFC 1035, 4.2.2).
pub(super) async fn read_framed(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

pub(super) async fn write_framed(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}

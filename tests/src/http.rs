use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::Deadline;

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Body, as text.
    pub body: String,
}

/// `GET http://127.0.0.1:port/path`.
pub fn get(port: u16, path: &str) -> Result<Answer> {
    http(SocketAddr::from(([127, 0, 0, 1], port)), "GET", path, "")
}

/// `POST http://127.0.0.1:port/path`.
pub fn post(port: u16, path: &str, body: &str) -> Result<Answer> {
    http(SocketAddr::from(([127, 0, 0, 1], port)), "POST", path, body)
}

/// One request on one connection, ten seconds at most for each read.
pub fn http(to: SocketAddr, method: &str, path: &str, body: &str) -> Result<Answer> {
    let patience = Duration::from_secs(10);
    let mut stream = TcpStream::connect_timeout(&to, patience).with_context(|| format!("connect to {to}"))?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {to}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .context("send the request")?;
    let mut data = Vec::new();
    // A server that closes with data unread resets the connection after its answer.
    let end = stream.read_to_end(&mut data);
    let text = String::from_utf8_lossy(&data);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        end.context("read the answer")?;
        bail!("{to} gave no HTTP answer: {text:?}");
    };
    let status = head.split_whitespace().nth(1).and_then(|s| s.parse().ok());
    Ok(Answer { status: status.with_context(|| format!("no status in {head:?}"))?, body: body.to_owned() })
}

/// Asks until there is an answer: for servers that have no health check. The last error when the time is over.
pub fn wait_for_http(port: u16, path: &str, patience: Duration) -> Result<Answer> {
    let deadline = Deadline::after(patience);
    loop {
        match get(port, path) {
            Err(_) if !deadline.passed() => std::thread::sleep(Duration::from_millis(50)),
            last => return last,
        }
    }
}

/// A port of 127.0.0.1 on which nobody listened a moment ago.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("0.0.0.0", 0)).context("find a free port")?.local_addr()?.port())
}

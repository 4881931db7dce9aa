//! Unkind servers, and a proxy that is unkind to a kind one.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::registry::Registry;

/// What a proxy does to connections.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// Breaks the first so many connections that have carried so many bytes of answers.
    Cut { times: usize, after: usize },
    /// Breaks the first so many connections that have carried so many bytes of requests.
    CutRequest { times: usize, after: usize },
    /// Flips a bit of the first connection that carries so many bytes of answers.
    Corrupt { at: usize },
    /// Waits before each piece.
    Slow { wait: Duration },
    /// Takes no more of a connection's request than so many bytes.
    Stick { after: usize },
    /// Answers the first so many connections itself.
    Busy { times: usize, status: &'static str, headers: &'static str },
}

/// Stands between client and registry.
pub(crate) struct Proxy {
    pub(crate) address: String,
    /// How often it did it.
    pub(crate) done: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) fn start(registry: &Registry, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (to, done) = (registry.address.clone(), Arc::new(AtomicUsize::new(0)));
        let count = done.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, to, count) = (client.unwrap(), to.clone(), count.clone());
                std::thread::spawn(move || serve(client, &to, fault, &count));
            }
        });
        Self { address, done }
    }
}

fn serve(mut client: TcpStream, to: &str, fault: Fault, count: &Arc<AtomicUsize>) {
    let mut first = vec![0; 16 * 1024];
    let Ok(n @ 1..) = client.read(&mut first) else { return };
    if let Fault::Busy { times, status, headers } = fault
        && first[..n].is_ascii()
        && count.load(Ordering::SeqCst) < times
    {
        count.fetch_add(1, Ordering::SeqCst);
        // The client may have gone.
        let _ = client.write_all(http(status, headers, "").as_bytes());
        return;
    }
    let mut server = TcpStream::connect(to).unwrap();
    server.write_all(&first[..n]).unwrap();
    let (from, into) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let counter = count.clone();
    std::thread::spawn(move || carry(from, into, fault, true, &counter));
    carry(server, client, fault, false, count);
}

fn carry(mut from: TcpStream, mut into: TcpStream, fault: Fault, request: bool, count: &AtomicUsize) {
    let (mut carried, mut buffer) = (0, [0; 16 * 1024]);
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        let before = carried;
        carried += n;
        let cut = match fault {
            Fault::Cut { times, after } if !request => Some((times, after)),
            Fault::CutRequest { times, after } if request => Some((times, after)),
            _ => None,
        };
        if let Some((times, after)) = cut
            && carried > after
            && count
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| (n < times).then_some(n + 1))
                .is_ok()
        {
            break;
        }
        match fault {
            Fault::Corrupt { at }
                if !request && (before..carried).contains(&at) && count.swap(1, Ordering::SeqCst) == 0 =>
            {
                buffer[at - before] ^= 1;
            }
            Fault::Slow { wait } => std::thread::sleep(wait),
            Fault::Stick { after } if request && carried > after => {
                std::thread::sleep(Duration::from_secs(30))
            }
            _ => {}
        }
        if into.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    for stream in [from, into] {
        // The other side may be gone already.
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
}

/// Stands between client and registry, and keeps which blobs were asked for. Some are never answered.
pub(crate) struct Watch {
    pub(crate) address: String,
    /// Digests, as often as they were asked for.
    pub(crate) blobs: Arc<Mutex<Vec<String>>>,
    /// Digests whose answers don't come.
    pub(crate) stuck: Arc<Mutex<Vec<String>>>,
}

impl Watch {
    pub(crate) fn start(registry: &Registry) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (blobs, stuck) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::<String>::new())));
        let (to, kept, held) = (registry.address.clone(), blobs.clone(), stuck.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (mut client, to, kept, held) = (client.unwrap(), to.clone(), kept.clone(), held.clone());
                std::thread::spawn(move || {
                    let mut server = TcpStream::connect(&to).unwrap();
                    let (mut from, mut into) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                    std::thread::spawn(move || {
                        // Either side may be killed.
                        let _ = std::io::copy(&mut from, &mut into);
                        let _ = into.shutdown(std::net::Shutdown::Both);
                    });
                    let mut request = [0; 16 * 1024];
                    while let Ok(n @ 1..) = client.read(&mut request) {
                        let text = String::from_utf8_lossy(&request[..n]);
                        let path = text.split(' ').nth(1).unwrap_or_default();
                        if let Some((_, digest)) = path.split_once("/blobs/") {
                            kept.lock().unwrap().push(digest.to_owned());
                            if held.lock().unwrap().iter().any(|d| d == digest) {
                                continue;
                            }
                        }
                        if server.write_all(&request[..n]).is_err() {
                            break;
                        }
                    }
                    let _ = server.shutdown(std::net::Shutdown::Both);
                });
            }
        });
        Self { address, blobs, stuck }
    }

    /// What was asked for since the last time.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.blobs.lock().unwrap())
    }
}

/// Answers every request alike, and keeps what was asked.
pub(crate) struct Parrot {
    pub(crate) address: String,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl Parrot {
    pub(crate) fn start(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request = request(&mut stream);
                // TLS hellos get no answer.
                if request.starts_with(|c: char| c.is_ascii_uppercase()) {
                    let answer = answer(&request);
                    kept.lock().unwrap().push(request);
                    let _ = stream.write_all(answer.as_bytes());
                }
            }
        });
        Self { address, asked }
    }
}

/// A request with its body.
fn request(stream: &mut TcpStream) -> String {
    let (mut all, mut piece) = (Vec::new(), vec![0; 16 * 1024]);
    while let Ok(n @ 1..) = stream.read(&mut piece) {
        all.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&all);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if all.first().is_some_and(u8::is_ascii_uppercase) {
                continue;
            } else {
                break;
            };
        };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let whole = match head.contains("transfer-encoding: chunked") {
            true => body.ends_with("0\r\n\r\n"),
            false => body.len() >= length.unwrap_or_default(),
        };
        if whole {
            break;
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// An HTTP answer that ends its connection.
pub(crate) fn http(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

//! The name server and the held ports, on the real kernel with real clients.

mod common;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use common::*;
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use rcompose_network::*;

fn run<T: Send + 'static>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

/// Blocking clients run beside the server's thread.
async fn beside<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(f).await.unwrap()
}

fn query(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = 4711;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

/// Asks 127.0.0.11:53 as a program in the container does; a connected socket sees only answers from there.
fn dig(netns: &OwnedFd, name: &str, kind: RecordType, tcp: bool) -> Message {
    let wire = query(name, kind);
    let bytes = in_netns(netns, || {
        let patience = Some(Duration::from_secs(8));
        Ok(if tcp {
            let mut stream = TcpStream::connect((NAMESERVER, 53)).unwrap();
            stream.set_read_timeout(patience).unwrap();
            stream.write_all(&(wire.len() as u16).to_be_bytes()).unwrap();
            stream.write_all(&wire).unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut bytes = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut bytes).unwrap();
            bytes
        } else {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.connect((NAMESERVER, 53)).unwrap();
            socket.set_read_timeout(patience).unwrap();
            socket.send(&wire).unwrap();
            let mut bytes = vec![0; 4096];
            let length = socket.recv(&mut bytes).unwrap();
            bytes.truncate(length);
            bytes
        })
    })
    .unwrap();
    Message::from_vec(&bytes).unwrap()
}

fn addresses(message: &Message) -> Vec<Ipv4Addr> {
    message
        .answers
        .iter()
        .filter_map(|r| match &r.data {
            RData::A(A(address)) => Some(*address),
            _ => None,
        })
        .collect()
}

/// An upstream server in the host's namespace: every name is 198.51.100.7; `big.` is cut short over UDP.
fn upstream() -> SocketAddr {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = udp.local_addr().unwrap();
    let tcp = TcpListener::bind(address).unwrap();
    let reply = |wire: &[u8], stream: bool| {
        let mut message = Message::from_vec(wire).unwrap().into_response();
        let name = message.queries[0].name.clone();
        if name.to_ascii() == "nosuch.test." {
            message.metadata.response_code = ResponseCode::NXDomain;
        } else if name.to_ascii() == "big." && !stream {
            message.metadata.truncation = true;
        } else {
            let data = RData::A(A(Ipv4Addr::new(198, 51, 100, 7)));
            message.add_answer(Record::from_rdata(name, 60, data));
        }
        message.to_vec().unwrap()
    };
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, client)) = udp.recv_from(&mut buffer) {
            udp.send_to(&reply(&buffer[..length], false), client).unwrap();
        }
    });
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = tcp.accept() {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut wire = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut wire).unwrap();
            let bytes = reply(&wire, true);
            stream.write_all(&(bytes.len() as u16).to_be_bytes()).unwrap();
            stream.write_all(&bytes).unwrap();
        }
    });
    address
}

#[test]
fn names_over_udp_and_tcp_and_from_upstream() {
    machine(|_| {
        let container = Arc::new(new_netns().unwrap());
        loopback_up(&*container).unwrap();
        let (first, second) = (Ipv4Addr::new(172, 18, 0, 2), Ipv4Addr::new(172, 18, 0, 3));
        let mut table = NameTable::default();
        table.add("web", first);
        table.add("web", second);
        table.add_pointer(first, "app-web-1");
        // A closed port, then a server that answers: failover.
        let upstreams: Arc<[SocketAddr]> = [SocketAddr::from(([127, 0, 0, 1], 1)), upstream()].into();
        run(async move {
            let server = DnsServer::start(&*container, Arc::new(table), upstreams).unwrap();
            let inside = Arc::clone(&container);
            beside(move || {
                for tcp in [false, true] {
                    let ask = |name, kind| dig(&inside, name, kind, tcp);
                    let mut both = addresses(&ask("wEb.", RecordType::A));
                    let turned = addresses(&ask("web.", RecordType::A));
                    assert_ne!(both, turned, "replicas take turns");
                    both.sort();
                    assert_eq!(both, [first, second]);
                    let empty = ask("web.", RecordType::AAAA);
                    assert_eq!(empty.metadata.response_code, ResponseCode::NoError);
                    assert!(empty.answers.is_empty());
                    let pointer = ask("2.0.18.172.in-addr.arpa.", RecordType::PTR);
                    assert_eq!(pointer.answers[0].data.to_string(), "app-web-1.");
                    for name in ["example.test.", "single.", "big."] {
                        let found = addresses(&ask(name, RecordType::A));
                        assert_eq!(found, [Ipv4Addr::new(198, 51, 100, 7)], "{name} tcp {tcp}");
                    }
                    let missing = ask("nosuch.test.", RecordType::A);
                    assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
                }
            })
            .await;
            // Port 53 stays free for the container itself.
            in_netns(&*container, || Ok(UdpSocket::bind("0.0.0.0:53").unwrap())).unwrap();

            let mut table = NameTable::default();
            table.add("db", second);
            let table = Arc::new(table);
            server.swap(Arc::clone(&table));
            let inside = Arc::clone(&container);
            beside(move || {
                assert_eq!(addresses(&dig(&inside, "db.", RecordType::A, false)), [second]);
                let gone = dig(&inside, "web.", RecordType::A, false);
                assert_ne!(addresses(&gone), [first, second]);
            })
            .await;

            // A new supervisor takes over; without any upstream the answer is a failure, not silence.
            drop(server);
            let _server = DnsServer::start(&*container, table, [].into()).unwrap();
            let inside = Arc::clone(&container);
            beside(move || {
                assert_eq!(addresses(&dig(&inside, "db.", RecordType::A, true)), [second]);
                let failed = dig(&inside, "example.test.", RecordType::A, false);
                assert_eq!(failed.metadata.response_code, ResponseCode::ServFail);
            })
            .await;
        });
    });
}

#[test]
fn ports_are_held_and_relayed() {
    machine(|directory| {
        let net = Net::new(directory, 0, "172.18.0.0/16", 1);
        net.rules(false, &[(8080, 0, 80)]).apply(&net.netns).unwrap();
        host_rules(&[&net], vec![net.published(8080)]).apply().unwrap();
        whoami(&net.containers[0].0, 80);
        let gateway = Some(net.spec.gateway.to_string());
        let target = SocketAddrV4::new(net.spec.uplink.inside, 8080);
        run(async move {
            let mut held = PortHolder::bind(None, 8080, Protocol::Tcp).unwrap();
            held.serve(target).unwrap();
            let taken = PortHolder::bind(None, 8080, Protocol::Tcp).unwrap_err();
            let text = taken.to_string();
            let want = format!("port 8080/tcp on 0.0.0.0 is taken by pid {} (", std::process::id());
            assert!(text.starts_with(&want), "{text}");

            let here = here();
            beside(move || {
                in_netns(&here, || {
                    for client in ["127.0.0.1:8080", "[::1]:8080"] {
                        assert_eq!(ask(client.parse().unwrap()), gateway, "{client}");
                    }
                    Ok(())
                })
                .unwrap();
            })
            .await;
            drop(held);
            tokio::task::yield_now().await;
            PortHolder::bind(None, 8080, Protocol::Tcp).unwrap();
        });
    });
}

#[test]
fn udp_and_half_closed_connections_pass() {
    machine(|_| {
        let echo = UdpSocket::bind("127.0.0.1:0").unwrap();
        let reader = TcpListener::bind("127.0.0.1:0").unwrap();
        let v4 = |a: SocketAddr| match a {
            SocketAddr::V4(a) => a,
            SocketAddr::V6(_) => unreachable!(),
        };
        let (udp_target, tcp_target) = (v4(echo.local_addr().unwrap()), v4(reader.local_addr().unwrap()));
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            let (length, client) = echo.recv_from(&mut buffer).unwrap();
            echo.send_to(&buffer[..length], client).unwrap();
        });
        std::thread::spawn(move || {
            let (mut client, _) = reader.accept().unwrap();
            let mut text = String::new();
            // Ends only if the client's end of writing is passed on.
            client.read_to_string(&mut text).unwrap();
            client.write_all(text.to_uppercase().as_bytes()).unwrap();
        });
        run(async move {
            let local = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
            let mut udp = PortHolder::bind(local, 0, Protocol::Udp).unwrap();
            let mut tcp = PortHolder::bind(local, 0, Protocol::Tcp).unwrap();
            udp.serve(udp_target).unwrap();
            tcp.serve(tcp_target).unwrap();
            let (udp_port, tcp_port) = (udp.port(), tcp.port());
            beside(move || {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.connect(("127.0.0.1", udp_port)).unwrap();
                socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                socket.send(b"ping").unwrap();
                let mut buffer = [0; 16];
                assert_eq!(socket.recv(&mut buffer).unwrap(), 4);

                let mut stream = TcpStream::connect(("127.0.0.1", tcp_port)).unwrap();
                stream.write_all(b"half").unwrap();
                stream.shutdown(std::net::Shutdown::Write).unwrap();
                let mut text = String::new();
                stream.read_to_string(&mut text).unwrap();
                assert_eq!(text, "HALF");
            })
            .await;
            drop(udp);
            tokio::task::yield_now().await;
            PortHolder::bind(local, udp_port, Protocol::Udp).unwrap();
        });
    });
}

//! From the bytes of a query to the bytes of an answer, or to the decision to ask upstream. Pure.

use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::table::{Answer, NameTable, Question};

/// Seconds. Short: a container that is made anew may have another address.
const TTL: u32 = 1;
/// The largest UDP answer for a client that says nothing (RFC 1035, 2.3.4).
const PLAIN_UDP: usize = 512;
const HEADER: usize = 12;
const TRUNCATED: u8 = 0x02;

/// What to do with a query.
pub(super) enum Reply {
    /// Send this.
    Ready(Vec<u8>),
    /// Ask upstream; an answer over UDP may have `limit` bytes.
    Forward { limit: usize },
    /// Not a query at all.
    Ignore,
}

/// Answers a query from the table.
pub(super) fn answer(wire: &[u8], table: &NameTable, turn: usize, stream: bool) -> Reply {
    if wire.len() < HEADER || wire[2] & 0x80 != 0 {
        return Reply::Ignore;
    }
    let Ok(request) = Message::from_vec(wire) else {
        return Reply::Ready(failure(wire, ResponseCode::FormErr));
    };
    let limit = match &request.edns {
        Some(edns) => usize::from(edns.max_payload()).max(PLAIN_UDP),
        None => PLAIN_UDP,
    };
    let forward = Reply::Forward { limit: if stream { usize::MAX } else { limit } };
    let [query] = request.queries.as_slice() else {
        return Reply::Ready(failure(wire, ResponseCode::FormErr));
    };
    if request.metadata.op_code != OpCode::Query || query.query_class != DNSClass::IN {
        return forward;
    }
    let answers = match table.lookup(&query.name.to_ascii(), question(query), turn) {
        Answer::Unknown => return forward,
        Answer::Empty => Vec::new(),
        Answer::Addresses(addresses) => addresses.into_iter().map(|address| RData::A(A(address))).collect(),
        // Names of containers are ASCII; one that is no DNS name has no pointer.
        Answer::Pointer(name) => Name::from_ascii(name)
            .map(|mut name| {
                name.set_fqdn(true);
                RData::PTR(PTR(name))
            })
            .into_iter()
            .collect(),
    };
    let response = response(&request, query, answers);
    let Ok(bytes) = response.to_vec() else {
        return Reply::Ready(failure(wire, ResponseCode::ServFail));
    };
    if stream || bytes.len() <= limit {
        return Reply::Ready(bytes);
    }
    Reply::Ready(response.truncate().to_vec().unwrap_or_else(|_| failure(wire, ResponseCode::ServFail)))
}

fn question(query: &Query) -> Question {
    match query.query_type {
        RecordType::A => Question::Address,
        RecordType::PTR => reverse(&query.name.to_ascii()).map_or(Question::Other, Question::Pointer),
        _ => Question::Other,
    }
}

/// The address behind `4.3.2.1.in-addr.arpa` (RFC 1035, 3.5).
fn reverse(name: &str) -> Option<Ipv4Addr> {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let mut labels: Vec<&str> = name.strip_suffix(".in-addr.arpa")?.split('.').collect();
    labels.reverse();
    match labels.join(".").parse().ok()? {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

fn response(request: &Message, query: &Query, answers: Vec<RData>) -> Message {
    let mut response = Message::new(request.metadata.id, MessageType::Response, request.metadata.op_code);
    response.metadata.recursion_desired = request.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.add_query(query.clone());
    for data in answers {
        response.add_answer(Record::from_rdata(query.name.clone(), TTL, data));
    }
    if request.edns.is_some() {
        response.edns = Some(Edns::new());
    }
    response
}

/// An answer that only says what went wrong: the query's header with a code, and its question if it fits.
pub(super) fn failure(query: &[u8], code: ResponseCode) -> Vec<u8> {
    let mut header = query.get(..HEADER).unwrap_or(&[0; HEADER]).to_vec();
    header[2] |= 0x80;
    header[3] = 0x80 | (u16::from(code) as u8 & 0x0f);
    let question = (code == ResponseCode::ServFail).then(|| question_end(query)).flatten();
    for count in &mut header[4..] {
        *count = 0;
    }
    if let Some(end) = question {
        header[5] = 1;
        header.extend_from_slice(&query[HEADER..end]);
    }
    header
}

/// Where the first question of a message ends.
fn question_end(wire: &[u8]) -> Option<usize> {
    let mut at = HEADER;
    loop {
        match usize::from(*wire.get(at)?) {
            0 => break,
            length if length < 64 => at += 1 + length,
            _ => return None,
        }
    }
    (at + 5 <= wire.len()).then_some(at + 5)
}

/// Whether `reply` answers `query`: a response with the same id and the same question, in any case.
pub(super) fn belongs(reply: &[u8], query: &[u8]) -> bool {
    if reply.len() < HEADER || query.len() < HEADER || reply[..2] != query[..2] || reply[2] & 0x80 == 0 {
        return false;
    }
    match (question_end(reply), question_end(query)) {
        (Some(a), Some(b)) if reply[5] > 0 => reply[HEADER..a].eq_ignore_ascii_case(&query[HEADER..b]),
        // An error may come without its question.
        _ => reply[5] == 0,
    }
}

/// Whether a response says that it was cut short.
pub(super) fn is_truncated(reply: &[u8]) -> bool {
    reply.get(2).is_some_and(|flags| flags & TRUNCATED != 0)
}

/// Whether a response says that this server can't or won't help, so that another one may.
pub(super) fn is_refusal(reply: &[u8]) -> bool {
    let codes = [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::NotImp];
    reply.get(3).is_some_and(|flags| codes.iter().any(|c| u16::from(*c) == u16::from(flags & 0x0f)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str, kind: RecordType) -> Vec<u8> {
        let mut message = Message::query();
        message.metadata.id = 77;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message.to_vec().unwrap()
    }

    fn ready(reply: Reply) -> Message {
        match reply {
            Reply::Ready(bytes) => Message::from_vec(&bytes).unwrap(),
            _ => panic!("no answer"),
        }
    }

    #[test]
    fn answers_from_the_table() {
        let mut table = NameTable::default();
        table.add("db", Ipv4Addr::new(172, 18, 0, 2));
        table.add_pointer(Ipv4Addr::new(172, 18, 0, 2), "app-db-1");
        let ask = |name, kind| answer(&query(name, kind), &table, 0, false);

        let a = ready(ask("Db.", RecordType::A));
        assert_eq!((a.metadata.id, a.metadata.response_code), (77, ResponseCode::NoError));
        assert_eq!(a.queries[0].name.to_ascii(), "Db.");
        assert_eq!(a.answers[0].data, RData::A(A(Ipv4Addr::new(172, 18, 0, 2))));
        assert!(a.metadata.recursion_available);

        let aaaa = ready(ask("db.", RecordType::AAAA));
        assert_eq!(aaaa.metadata.response_code, ResponseCode::NoError);
        assert!(aaaa.answers.is_empty());

        let ptr = ready(ask("2.0.18.172.in-addr.arpa.", RecordType::PTR));
        assert_eq!(ptr.answers[0].data.to_string(), "app-db-1.");
        assert!(matches!(ask("example.test.", RecordType::A), Reply::Forward { limit: 512 }));
        assert!(matches!(answer(&[1, 2, 3], &table, 0, false), Reply::Ignore));
    }

    #[test]
    fn a_long_udp_answer_is_cut_and_marked() {
        let mut table = NameTable::default();
        for n in 0..200 {
            table.add("many", Ipv4Addr::new(10, 0, 0, n));
        }
        let wire = query("many.", RecordType::A);
        let cut = ready(answer(&wire, &table, 0, false));
        assert!(cut.metadata.truncation);
        assert_eq!(ready(answer(&wire, &table, 0, true)).answers.len(), 200);
    }

    #[test]
    fn a_failure_keeps_id_and_question() {
        let wire = query("a.test.", RecordType::A);
        let bytes = failure(&wire, ResponseCode::ServFail);
        assert!(belongs(&bytes, &wire) && is_refusal(&bytes));
        let message = Message::from_vec(&bytes).unwrap();
        assert_eq!(message.metadata.response_code, ResponseCode::ServFail);
        assert_eq!(message.queries.len(), 1);
    }
}

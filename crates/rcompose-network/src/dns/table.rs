use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// What one container may look up: the names of everything that shares a network with it, and their addresses.
/// Names are compared without regard to case (RFC 4343) and to a final dot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameTable {
    names: BTreeMap<String, Vec<Ipv4Addr>>,
    pointers: BTreeMap<Ipv4Addr, String>,
}

/// What is asked about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Its IPv4 addresses (type A).
    Address,
    /// The name of an address (type PTR in in-addr.arpa).
    Pointer(Ipv4Addr),
    /// Anything else, such as AAAA.
    Other,
}

/// What the table says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The addresses, in this turn's order.
    Addresses(Vec<Ipv4Addr>),
    /// The name of an address.
    Pointer(String),
    /// The name exists, but has no such record: no error, no answer (RFC 2308, 2.2).
    Empty,
    /// Not ours: ask upstream.
    Unknown,
}

impl NameTable {
    /// Gives a name (service, alias, container name or short id) one more address.
    pub fn add(&mut self, name: &str, address: Ipv4Addr) {
        let addresses = self.names.entry(normal(name)).or_default();
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }

    /// Gives an address its name for reverse look-ups. The first one stays.
    pub fn add_pointer(&mut self, address: Ipv4Addr, name: &str) {
        self.pointers.entry(address).or_insert_with(|| name.to_owned());
    }

    /// Looks a name up. `turn` rotates the addresses: callers count it up, so that replicas take turns.
    pub fn lookup(&self, name: &str, question: Question, turn: usize) -> Answer {
        if let Question::Pointer(address) = question {
            return match self.pointers.get(&address) {
                Some(name) => Answer::Pointer(name.clone()),
                None => Answer::Unknown,
            };
        }
        match (self.names.get(&normal(name)), question) {
            (None, _) => Answer::Unknown,
            (Some(addresses), Question::Address) if !addresses.is_empty() => {
                let mut addresses = addresses.clone();
                let by = turn % addresses.len();
                addresses.rotate_left(by);
                Answer::Addresses(addresses)
            }
            (Some(_), _) => Answer::Empty,
        }
    }
}

fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotates_replicas_and_knows_what_it_does_not_know() {
        let ip = |n| Ipv4Addr::new(172, 18, 0, n);
        let mut table = NameTable::default();
        for n in [2, 3, 4, 3] {
            table.add("Web", ip(n));
        }
        table.add_pointer(ip(2), "app-web-1");
        let ask = |name, turn| table.lookup(name, Question::Address, turn);
        assert_eq!(ask("web", 0), Answer::Addresses(vec![ip(2), ip(3), ip(4)]));
        assert_eq!(ask("WEB.", 4), Answer::Addresses(vec![ip(3), ip(4), ip(2)]));
        assert_eq!(ask("webb", 0), Answer::Unknown);
        assert_eq!(table.lookup("web", Question::Other, 0), Answer::Empty);
        let back = |n| table.lookup("", Question::Pointer(ip(n)), 0);
        assert_eq!(back(2), Answer::Pointer("app-web-1".into()));
        assert_eq!(back(3), Answer::Unknown);
    }
}

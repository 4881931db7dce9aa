use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::{Ipv4Net, NetError};

/// Docker's default address pools: `(base, prefix length of each network)`, in order of use
/// (moby, `libnetwork/ipamutils`).
const DOCKER_POOLS: [(Ipv4Addr, u8, u8); 7] = [
    (Ipv4Addr::new(172, 17, 0, 0), 16, 16),
    (Ipv4Addr::new(172, 18, 0, 0), 16, 16),
    (Ipv4Addr::new(172, 19, 0, 0), 16, 16),
    (Ipv4Addr::new(172, 20, 0, 0), 14, 16),
    (Ipv4Addr::new(172, 24, 0, 0), 14, 16),
    (Ipv4Addr::new(172, 28, 0, 0), 14, 16),
    (Ipv4Addr::new(192, 168, 0, 0), 16, 20),
];

/// Where uplinks take their /31 pairs from: a part of the shared address space of RFC 6598.
const UPLINK_POOL: Ipv4Addr = Ipv4Addr::new(100, 127, 0, 0);
const UPLINK_PAIRS: u32 = 1 << 15;

/// Hands out subnets that overlap nothing the host already uses. Pure: the caller brings what is in use.
#[derive(Clone, Debug, Default)]
pub struct SubnetPool {
    used: Vec<Ipv4Net>,
}

impl SubnetPool {
    /// A pool that keeps away from `used`: the host's addresses and routes, and the subnets of other networks.
    pub fn new(used: impl IntoIterator<Item = Ipv4Net>) -> Self {
        Self { used: used.into_iter().collect() }
    }

    /// Marks a subnet as used, for instance one that a Compose file names.
    pub fn reserve(&mut self, subnet: Ipv4Net) {
        self.used.push(subnet);
    }

    /// The first free subnet in Docker's order.
    pub fn allocate(&mut self) -> Result<Ipv4Net, NetError> {
        let free = DOCKER_POOLS
            .into_iter()
            .flat_map(|(base, width, size)| {
                let step = 1u32 << (32 - size);
                (0..1u32 << (size - width))
                    .filter_map(move |k| Ipv4Net::new(Ipv4Addr::from_bits(base.to_bits() + k * step), size))
            })
            .find(|candidate| self.used.iter().all(|used| !used.overlaps(*candidate)))
            .ok_or(NetError::Exhausted("subnet"))?;
        self.used.push(free);
        Ok(free)
    }
}

/// Hands out addresses inside one subnet, lowest first, as Docker does. Pure.
#[derive(Clone, Debug)]
pub struct IpPool {
    subnet: Ipv4Net,
    used: BTreeSet<Ipv4Addr>,
}

impl IpPool {
    /// A pool over `subnet` in which the network address, the broadcast address, the gateway and `used` are taken.
    pub fn new(subnet: Ipv4Net, gateway: Ipv4Addr, used: impl IntoIterator<Item = Ipv4Addr>) -> Self {
        let mut used: BTreeSet<_> = used.into_iter().collect();
        used.insert(gateway);
        if subnet.prefix() < 31 {
            used.insert(subnet.address());
            used.insert(subnet.last());
        }
        Self { subnet, used }
    }

    /// The lowest free address.
    pub fn allocate(&mut self) -> Result<Ipv4Addr, NetError> {
        let (first, last) = (self.subnet.address().to_bits(), self.subnet.last().to_bits());
        let free = (first..=last)
            .map(Ipv4Addr::from_bits)
            .find(|address| !self.used.contains(address))
            .ok_or(NetError::Exhausted("address in the subnet"))?;
        self.used.insert(free);
        Ok(free)
    }

    /// Takes a given address. False if it is taken or outside the subnet.
    pub fn reserve(&mut self, address: Ipv4Addr) -> bool {
        self.subnet.contains(address) && self.used.insert(address)
    }

    /// Gives an address back.
    pub fn release(&mut self, address: Ipv4Addr) {
        self.used.remove(&address);
    }
}

/// The two ends of a network's uplink: a point-to-point /31 (RFC 3021).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UplinkPair {
    /// The end in the host's namespace: the even address.
    pub host: Ipv4Addr,
    /// The end in the network's namespace: the odd address.
    pub inside: Ipv4Addr,
}

impl UplinkPair {
    /// The first pair that overlaps nothing in `used`. Start the search at `hint` (any number, such as a hash of
    /// the project), so that two projects that allocate at the same moment rarely choose alike.
    pub fn allocate(used: &[Ipv4Net], hint: u32) -> Result<Self, NetError> {
        (0..UPLINK_PAIRS)
            .map(|k| Self::nth(hint.wrapping_add(k) % UPLINK_PAIRS))
            .find(|pair| used.iter().all(|net| !net.overlaps(pair.subnet())))
            .ok_or(NetError::Exhausted("uplink address pair"))
    }

    fn nth(n: u32) -> Self {
        let host = UPLINK_POOL.to_bits() + 2 * n;
        Self { host: Ipv4Addr::from_bits(host), inside: Ipv4Addr::from_bits(host + 1) }
    }

    /// The /31 that holds both.
    pub fn subnet(self) -> Ipv4Net {
        Ipv4Net::new(self.host, 31).unwrap_or_else(|| unreachable!("31 is a prefix length"))
    }
}

/// The hardware address that Docker gives to the holder of an IPv4 address: `02:42` and the address's four bytes.
pub fn mac_of(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x02, 0x42, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    #[test]
    fn subnets_follow_docker_and_avoid_the_host() {
        let mut pool = SubnetPool::new([net("172.17.0.0/16"), net("172.18.5.0/24")]);
        assert_eq!(pool.allocate().unwrap(), net("172.19.0.0/16"));
        assert_eq!(pool.allocate().unwrap(), net("172.20.0.0/16"));
        let mut narrow = SubnetPool::new([net("172.16.0.0/12"), net("192.168.1.0/24")]);
        assert_eq!(narrow.allocate().unwrap(), net("192.168.16.0/20"));
        let mut none = SubnetPool::new([net("172.16.0.0/12"), net("192.168.0.0/16")]);
        assert!(matches!(none.allocate(), Err(NetError::Exhausted(_))));
    }

    #[test]
    fn all_thirty_one_default_networks_are_apart() {
        let mut pool = SubnetPool::new([]);
        let all: Vec<_> = std::iter::from_fn(|| pool.allocate().ok()).collect();
        assert_eq!(all.len(), 15 + 16);
        for (k, a) in all.iter().enumerate() {
            assert!(all[k + 1..].iter().all(|b| !a.overlaps(*b)));
        }
    }

    #[test]
    fn addresses_are_lowest_first_and_come_back() {
        let subnet = net("10.9.0.0/29");
        let mut pool = IpPool::new(subnet, subnet.first_host(), ["10.9.0.3".parse().unwrap()]);
        let take = |p: &mut IpPool| p.allocate().map(|a| a.octets()[3]);
        assert_eq!(take(&mut pool).unwrap(), 2);
        assert_eq!(take(&mut pool).unwrap(), 4);
        assert!(!pool.reserve("10.9.0.4".parse().unwrap()));
        assert!(!pool.reserve("10.8.0.4".parse().unwrap()));
        assert!(pool.reserve("10.9.0.5".parse().unwrap()));
        assert_eq!(take(&mut pool).unwrap(), 6);
        assert!(take(&mut pool).is_err());
        pool.release("10.9.0.4".parse().unwrap());
        assert_eq!(take(&mut pool).unwrap(), 4);
    }

    #[test]
    fn uplinks_avoid_what_is_used_and_wrap_around() {
        let first = UplinkPair::allocate(&[], 0).unwrap();
        assert_eq!(first.subnet(), net("100.127.0.0/31"));
        let next = UplinkPair::allocate(&[first.subnet()], 0).unwrap();
        assert_eq!(next.inside.to_string(), "100.127.0.3");
        let wrapped = UplinkPair::allocate(&[net("100.127.255.254/31")], UPLINK_PAIRS - 1).unwrap();
        assert_eq!(wrapped, first);
        assert!(UplinkPair::allocate(&[net("100.64.0.0/10")], 7).is_err());
    }

    #[test]
    fn macs_are_docker_s() {
        assert_eq!(mac_of("172.18.0.2".parse().unwrap()), [2, 0x42, 172, 18, 0, 2]);
    }
}

use std::net::{IpAddr, SocketAddr};

/// The name servers in the text of a resolv.conf (resolv.conf(5)), in order. Lines that name no address are
/// skipped, as the C library does. At most three, as there.
pub fn nameservers(resolv_conf: &str) -> Vec<SocketAddr> {
    const MAXNS: usize = 3;
    resolv_conf
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let address = (words.next()? == "nameserver").then(|| words.next())??;
            Some(SocketAddr::new(address.parse::<IpAddr>().ok()?, 53))
        })
        .take(MAXNS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_servers_only() {
        let text = "# nameserver 1.1.1.1\nsearch lan\nnameserver 10.0.0.53\n\
                    nameserver  fe80::1%eth0\nnameserver\t2001:db8::1 # x\noptions ndots:2\nnameserver";
        let servers: Vec<String> = nameservers(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.53:53", "[2001:db8::1]:53"]);
    }
}

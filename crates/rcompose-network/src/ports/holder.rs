use std::fs;
use std::path::Path;

use super::Protocol;

/// TCP_LISTEN, and the state 7 that an unconnected UDP socket shows (proc_net_tcp.rst).
const LISTEN: &str = "0A";
const UNCONNECTED: &str = "07";

/// Who listens on a port of the calling thread's namespace, like `pid 123 (nginx)`. `None` if nobody does, or if
/// the process can't be seen from here.
pub fn port_holder(port: u16, protocol: Protocol) -> Option<String> {
    let (files, state) = match protocol {
        Protocol::Tcp => (["tcp", "tcp6"], LISTEN),
        Protocol::Udp => (["udp", "udp6"], UNCONNECTED),
    };
    let inodes: Vec<u64> = files
        .iter()
        .filter_map(|file| fs::read_to_string(format!("/proc/thread-self/net/{file}")).ok())
        .flat_map(|table| inodes(&table, port, state))
        .collect();
    if inodes.is_empty() {
        return None;
    }
    let pid = fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| holds(*pid, &inodes))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("pid {pid} ({})", name.trim_end()))
}

/// The inodes of the sockets in `state` on a local port.
fn inodes(table: &str, port: u16, state: &str) -> Vec<u64> {
    let suffix = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let hit = fields.get(1)?.ends_with(&suffix) && *fields.get(3)? == state;
            hit.then(|| fields.get(9)?.parse().ok()).flatten()
        })
        .collect()
}

fn holds(pid: u32, inodes: &[u64]) -> bool {
    let Ok(entries) = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")) else {
        return false;
    };
    entries
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok())
        .any(|inode| inodes.contains(&inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernel_s_table() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 4343 1 0 20 4 30 10 -1
";
        assert_eq!(inodes(table, 8080, LISTEN), [4242]);
        assert_eq!(inodes(table, 80, LISTEN), [0u64; 0]);
    }

    #[test]
    fn finds_this_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let holder = port_holder(port, Protocol::Tcp).unwrap();
        assert!(holder.starts_with(&format!("pid {} (", std::process::id())));
        drop(listener);
        assert_eq!(port_holder(port, Protocol::Tcp), None);
    }
}

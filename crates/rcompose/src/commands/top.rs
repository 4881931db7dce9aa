//! `top`: the processes of running containers, from /proc.

use std::collections::BTreeMap;
use std::fs;

use rcompose_plan::ObservedContainer;

use super::containers;
use crate::args::Services;
use crate::context::{Context, print};
use crate::failure::Failure;
use crate::render::table::Table;

const HEADS: [&str; 10] = ["SERVICE", "#", "UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];

pub(crate) fn run(cx: &Context, args: Services) -> Result<u8, Failure> {
    let project = cx.project_name()?;
    let found = containers::recorded(cx, &project, &args.services)?;
    let running: Vec<&ObservedContainer> = found.iter().filter(|c| c.state.pid.is_some()).collect();
    if running.is_empty() {
        return Ok(0);
    }
    let all = processes();
    let clock = Clock::read();
    let users = users();
    let mut table = Table::with_layout(&HEADS, 4, 2);
    for c in running {
        let Some(root) = c.state.pid else { continue };
        for p in below(&all, root) {
            let uid = users.get(&p.uid).cloned().unwrap_or_else(|| p.uid.to_string());
            table.row([
                c.spec.service.to_string(),
                c.spec.number.to_string(),
                uid,
                p.pid.to_string(),
                p.ppid.to_string(),
                clock.percent(p).to_string(),
                clock.start(p),
                tty(p.tty),
                cpu_time(p.ticks / clock.hertz),
                p.command.clone(),
            ]);
        }
    }
    print(&table.render())?;
    Ok(0)
}

/// One process, from /proc (proc_pid_stat(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    pid: i32,
    ppid: i32,
    uid: u32,
    tty: i32,
    /// User and system time.
    ticks: u64,
    /// Ticks from boot to its start.
    started: u64,
    command: String,
}

fn processes() -> BTreeMap<i32, Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok())
        // A process may end while we look.
        .filter_map(|pid| Some((pid, process(pid)?)))
        .collect()
}

fn process(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let uid = status.lines().find_map(|l| l.strip_prefix("Uid:"))?.split_whitespace().nth(1)?.parse().ok()?;
    let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<_> =
        words.split(|b| *b == 0).filter(|w| !w.is_empty()).map(String::from_utf8_lossy).collect();
    parse(pid, uid, &stat, &words.join(" "))
}

/// The name in parentheses may hold blanks and parentheses: fields count from the last one.
fn parse(pid: i32, uid: u32, stat: &str, command: &str) -> Option<Process> {
    let name = stat.get(stat.find('(')? + 1..stat.rfind(')')?)?;
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let number = |i: usize| fields.get(i - 3)?.parse::<u64>().ok();
    Some(Process {
        pid,
        ppid: fields.get(1)?.parse().ok()?,
        uid,
        tty: fields.get(4)?.parse().ok()?,
        ticks: number(14)? + number(15)?,
        started: number(22)?,
        command: if command.is_empty() { format!("[{name}]") } else { command.to_owned() },
    })
}

/// A process and all that descend from it: children of one that has gone are PID 1's of the container, so none is
/// missed but those that `exec` brought in, whose parent is outside; they share the PID namespace.
fn below(all: &BTreeMap<i32, Process>, root: i32) -> Vec<&Process> {
    let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let Some(own) = namespace(root) else { return Vec::new() };
    let host = namespace(std::process::id().cast_signed());
    let in_tree = |p: &Process| {
        let mut pid = p.pid;
        loop {
            if pid == root {
                return true;
            }
            match all.get(&pid) {
                Some(p) if p.ppid > 0 => pid = p.ppid,
                _ => return false,
            }
        }
    };
    // With the host's PID namespace only descent tells.
    let shared = host.as_ref() == Some(&own);
    all.values().filter(|p| in_tree(p) || (!shared && namespace(p.pid).as_ref() == Some(&own))).collect()
}

struct Clock {
    hertz: u64,
    /// Seconds since boot.
    uptime: u64,
    /// Seconds since 1970.
    now: u64,
}

impl Clock {
    fn read() -> Self {
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let uptime = uptime.split('.').next().and_then(|s| s.parse().ok()).unwrap_or(0);
        let now = u64::try_from(crate::render::time::now() / 1_000_000_000).unwrap_or(0);
        Self { hertz: rustix::param::clock_ticks_per_second().max(1), uptime, now }
    }

    /// Seconds that a process has lived.
    fn age(&self, p: &Process) -> u64 {
        self.uptime.saturating_sub(p.started / self.hertz)
    }

    /// Share of one CPU over its life, as `ps` shows in `C`.
    fn percent(&self, p: &Process) -> u64 {
        (p.ticks * 100 / self.hertz).checked_div(self.age(p)).unwrap_or(0).min(99)
    }

    /// `10:21`, in UTC; after a day the date.
    fn start(&self, p: &Process) -> String {
        let at = i64::try_from(self.now.saturating_sub(self.age(p))).unwrap_or(0) * 1_000_000_000;
        let text = crate::render::time::event_time(at);
        if self.age(p) < 86_400 { text[11..16].to_owned() } else { text[5..10].to_owned() }
    }
}

/// `pts/0`, `?` without a terminal.
fn tty(number: i32) -> String {
    let (major, minor) = ((number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xfff00));
    match major {
        0 => "?".to_owned(),
        136..=143 => format!("pts/{}", minor + (major - 136) * 256),
        4 => format!("tty{minor}"),
        _ => "?".to_owned(),
    }
}

fn cpu_time(seconds: u64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn users() -> BTreeMap<u32, String> {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    text.lines()
        .filter_map(|l| {
            let mut f = l.split(':');
            let name = f.next()?;
            Some((f.nth(1)?.parse().ok()?, name.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines_are_read() {
        let stat = "7 (a) b (c)) S 3 7 7 34817 7 4194304 1 2 3 4 150 50 0 0 20 0 1 0 1234 1 1";
        let p = parse(7, 0, stat, "").unwrap();
        assert_eq!((p.ppid, p.tty, p.ticks, p.started), (3, 34817, 200, 1234));
        assert_eq!(p.command, "[a) b (c)]");
        assert_eq!((tty(p.tty), tty(0)), ("pts/1".to_owned(), "?".to_owned()));
        assert_eq!(cpu_time(3723), "01:02:03");
    }
}

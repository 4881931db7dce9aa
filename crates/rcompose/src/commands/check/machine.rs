//! What a project needs and this machine lacks.

use std::collections::BTreeSet;

use rcompose_loader::{Code, Diagnostic, Need, Requirement, Severity};
use rustix::process::{Resource, getrlimit};

use crate::failure::Failure;

/// What decides.
struct Facts {
    controllers: BTreeSet<String>,
    /// `memory` is a controller of cgroup v1.
    memory_v1: bool,
    may_raise: bool,
    /// As many descriptors as any process may have.
    most_files: Option<u64>,
}

/// A warning for each requirement that isn't met.
pub(super) fn lacks(needs: &[Requirement]) -> Result<Vec<Diagnostic>, Failure> {
    if needs.is_empty() {
        return Ok(Vec::new());
    }
    let facts = Facts {
        controllers: rcompose_runtime::cgroup::controllers()
            .map_err(|e| Failure::io("find this machine's cgroup controllers", &e))?,
        memory_v1: rcompose_runtime::cgroup::is_v1("memory")
            .map_err(|e| Failure::io("find this machine's cgroup controllers", &e))?,
        may_raise: may_raise()?,
        most_files: std::fs::read_to_string("/proc/sys/fs/nr_open").ok().and_then(|t| t.trim().parse().ok()),
    };
    Ok(needs.iter().filter_map(|n| lack(&facts, n, &|r| getrlimit(r).maximum)).collect())
}

fn lack(
    facts: &Facts,
    need: &Requirement,
    hard_limit: &dyn Fn(Resource) -> Option<u64>,
) -> Option<Diagnostic> {
    let path = &need.path;
    let (message, help) = match need.need {
        Need::Controller(name) if facts.controllers.contains(name) => return None,
        Need::Controller(name) => (
            format!("{path} needs the cgroup controller {name}, which this machine doesn't have"),
            "the container wouldn't start: leave it out, or boot with the controller enabled".to_owned(),
        ),
        Need::MemoryV1 if facts.memory_v1 => return None,
        Need::MemoryV1 => (
            format!("{path} needs cgroup v1, and this machine has v2"),
            "it is left out: leave it out of the file, too".to_owned(),
        ),
        Need::RaiseLimit => {
            let name = path.rsplit('.').next().unwrap_or_default();
            let resource = resource(name)?;
            let mut most = if facts.may_raise { None } else { hard_limit(resource) };
            if resource == Resource::Nofile {
                most = [most, facts.most_files].into_iter().flatten().min();
            }
            let wanted = u64::try_from(need.hard).unwrap_or(u64::MAX);
            let most = most.filter(|most| *most < wanted)?;
            (
                format!("{path} can't be raised above {most} on this machine"),
                format!("the container gets {most}"),
            )
        }
    };
    let mut d = Diagnostic::error(message).code(Code::NotPossibleHere).help(help);
    d.severity = Severity::Warning;
    d.place = need.place.clone();
    Some(d)
}

/// Whether containers may get more than the caller's hard limits: CAP_SYS_RESOURCE (capabilities(7)). Who isn't root
/// can't make containers at all; then root is taken to have it.
fn may_raise() -> Result<bool, Failure> {
    const SYS_RESOURCE: u64 = 1 << 24;
    if !rustix::process::geteuid().is_root() {
        return Ok(true);
    }
    let path = "/proc/self/status";
    let text = std::fs::read_to_string(path).map_err(|e| Failure::io(format_args!("read {path}"), &e))?;
    let effective = text.lines().find_map(|l| l.strip_prefix("CapEff:")).map(str::trim).unwrap_or_default();
    Ok(u64::from_str_radix(effective, 16).is_ok_and(|set| set & SYS_RESOURCE != 0))
}

fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::As,
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(need: Need, path: &str, hard: i64, may_raise: bool) -> Option<String> {
        let facts = Facts {
            memory_v1: false,
            controllers: ["memory".into()].into(),
            may_raise,
            most_files: Some(1000),
        };
        let need = Requirement { need, path: path.into(), place: None, hard };
        lack(&facts, &need, &|_| Some(500)).map(|d| d.message)
    }

    #[test]
    fn only_what_is_lacking() {
        let controller = |name| tell(Need::Controller(name), "services.a.x", 0, true);
        assert_eq!(controller("memory"), None);
        assert!(controller("cpuset").unwrap().contains("services.a.x needs the cgroup controller cpuset"));
        let limit = |name: &str, hard, raise| {
            tell(Need::RaiseLimit, &format!("services.a.ulimits.{name}"), hard, raise)
        };
        assert_eq!(limit("nproc", 400, false), None);
        assert!(limit("nproc", -1, false).unwrap().contains("above 500"));
        assert_eq!(limit("nproc", -1, true), None);
        assert!(limit("nofile", 2000, true).unwrap().contains("above 1000"));
        assert_eq!(limit("nofile", 900, true), None);
    }
}

//! `--resource` and its shorthands: what the RUNs of a build may take of the machine.

use rcompose_build::RunLimits;
use rcompose_model::CpuSet;

use crate::failure::Failure;

/// Reads `NAME=VALUE`s; the last one of a name counts. As in docker, 0 is no limit.
pub(crate) fn run_limits(entries: impl IntoIterator<Item = String>) -> Result<RunLimits, Failure> {
    let mut all = RunLimits::default();
    for entry in entries {
        let (name, value) = entry.split_once('=').ok_or_else(|| {
            Failure::user(format!("invalid resource `{entry}`")).hint("write NAME=VALUE, like memory=2g")
        })?;
        let (name, value) = (name.trim(), value.trim());
        let wrong =
            |e: String| Failure::user(format!("invalid value `{value}` for the resource {name}: {e}"));
        let number = || value.parse::<i64>().map_err(|_| wrong("it isn't a whole number".to_owned()));
        let positive = || number().map(|n| u64::try_from(n).ok().filter(|n| *n > 0));
        let set = || match value {
            "" => Ok(None),
            _ => value.parse::<CpuSet>().map(|_| Some(value.to_owned())).map_err(|e| wrong(e.to_string())),
        };
        match name {
            "memory" => all.memory = bytes(value).map_err(wrong)?,
            "memory-swap" if value == "-1" => all.memory_swap = Some(-1),
            "memory-swap" => {
                let bytes = bytes(value).map_err(wrong)?;
                all.memory_swap = bytes.map(|b| i64::try_from(b).unwrap_or(i64::MAX));
            }
            "cpu-shares" => all.cpu_shares = positive()?,
            "cpu-period" => all.cpu_period = positive()?,
            "cpu-quota" => all.cpu_quota = Some(number()?).filter(|n| *n > 0),
            "cpuset-cpus" => all.cpuset_cpus = set()?,
            "cpuset-mems" => all.cpuset_mems = set()?,
            _ => {
                return Err(Failure::user(format!("unknown resource `{name}`")).hint(
                    "there are: memory, memory-swap, cpu-shares, cpu-period, cpu-quota, cpuset-cpus, cpuset-mems",
                ));
            }
        }
    }
    let swap = all.memory_swap.and_then(|s| u64::try_from(s).ok());
    if let (Some(memory), Some(swap)) = (all.memory, swap)
        && swap < memory
    {
        return Err(Failure::user("memory-swap is less than memory")
            .hint("memory-swap is memory and swap together; -1 is unlimited"));
    }
    Ok(all)
}

fn bytes(text: &str) -> Result<Option<u64>, String> {
    let bytes = rcompose_loader::parse_bytes(text)?;
    let bytes = u64::try_from(bytes).map_err(|_| "it is less than nothing".to_owned())?;
    Ok(Some(bytes).filter(|b| *b > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(entries: &[&str]) -> Result<RunLimits, Failure> {
        run_limits(entries.iter().map(|e| (*e).to_owned()))
    }

    #[test]
    fn all_of_them() {
        let got = run(&[
            "memory=1g",
            "memory = 64m",
            "memory-swap=-1",
            "cpu-shares=512",
            "cpu-period=100000",
            "cpu-quota=50000",
            "cpuset-cpus=0-1,3",
            "cpuset-mems=0",
        ]);
        let want = RunLimits {
            memory: Some(64 << 20),
            memory_swap: Some(-1),
            cpu_shares: Some(512),
            cpu_period: Some(100_000),
            cpu_quota: Some(50_000),
            cpuset_cpus: Some("0-1,3".into()),
            cpuset_mems: Some("0".into()),
        };
        assert_eq!(got.unwrap(), want);
        let nothing = ["memory=0", "cpu-quota=-1", "cpu-shares=0", "cpuset-cpus="];
        assert_eq!(run(&nothing).unwrap(), RunLimits::default());
    }

    #[test]
    fn bad_ones() {
        for (entries, want) in [
            (&["memory"][..], "invalid resource `memory`"),
            (&["memory=64m,cpu-quota=1"], "for the resource memory"),
            (&["memory=-1"], "for the resource memory"),
            (&["cpu-quota=x"], "isn't a whole number"),
            (&["cpuset-cpus=a"], "isn't a list of CPUs"),
            (&["memory=2m", "memory-swap=1m"], "less than memory"),
            (&["foo=1"], "unknown resource `foo`"),
        ] {
            let said = run(entries).unwrap_err().text();
            assert!(said.contains(want), "{entries:?}: {said}");
        }
    }
}

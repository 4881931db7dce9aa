//! What a container may do: capabilities and system calls.

use std::str::FromStr;

use oci_spec::runtime::{
    Capabilities, Capability, LinuxSeccomp, LinuxSeccompArgBuilder, LinuxSeccompOperator, LinuxSyscall,
};
use rcompose_engine::StepFailure;
use rcompose_model::{CAPABILITIES, Seccomp, SeccompProfile};
use rcompose_plan::ContainerSpec;
use rcompose_runtime::docker_capabilities;
use rcompose_runtime::seccomp::Filter;
use serde_json::json;

use super::place;

/// Bounding set of a container: Docker's, with what the service adds and drops.
pub(crate) fn capabilities(spec: &ContainerSpec) -> Result<Capabilities, StepFailure> {
    if spec.privileged {
        return Ok(all_capabilities());
    }
    let parse = |list: &[String], attribute: &str| -> Result<(bool, Capabilities), StepFailure> {
        let mut set = Capabilities::new();
        let mut all = false;
        for name in list {
            let upper = name.to_ascii_uppercase();
            let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
            if bare == "ALL" {
                all = true;
                continue;
            }
            let cap = Capability::from_str(&format!("CAP_{bare}")).or_else(|_| Capability::from_str(bare));
            set.insert(cap.map_err(|_| place(spec, attribute, format!("unknown capability {name:?}")))?);
        }
        Ok((all, set))
    };
    let (add_all, add) = parse(&spec.cap_add, "cap_add")?;
    let (drop_all, drop) = parse(&spec.cap_drop, "cap_drop")?;
    let mut set = if add_all {
        all_capabilities()
    } else if drop_all {
        Capabilities::new()
    } else {
        docker_capabilities()
    };
    set.extend(add.iter().copied());
    if !drop_all {
        set.retain(|c| !drop.contains(c));
    } else {
        set.retain(|c| add_all || add.contains(c));
    }
    Ok(set)
}

pub(super) fn all_capabilities() -> Capabilities {
    CAPABILITIES
        .iter()
        .filter_map(|n| Capability::from_str(&format!("CAP_{n}")).or_else(|_| Capability::from_str(n)).ok())
        .collect()
}

/// The filter of system calls; `None`: none.
pub(crate) fn filter(spec: &ContainerSpec, privileged: bool) -> Result<Option<Filter>, StepFailure> {
    if privileged || spec.privileged {
        return Ok(None);
    }
    match &spec.security.seccomp {
        Seccomp::Unconfined => Ok(None),
        Seccomp::Default => Ok(Some(Filter::docker_default(&capabilities(spec)?))),
        Seccomp::Profile(profile) => {
            let granted = capabilities(spec)?;
            let release = rustix::system::uname().release().to_string_lossy().into_owned();
            let oci = seccomp(profile, &granted, &release).map_err(|why| {
                place(spec, "security_opt", format!("the seccomp profile can't be used: {why}"))
            })?;
            let filter = Filter::from_spec(&oci).map_err(|e| place(spec, "security_opt", e.to_string()))?;
            Ok(Some(filter))
        }
    }
}

/// From Docker's form to the OCI one: only rules that hold here.
fn seccomp(profile: &SeccompProfile, granted: &Capabilities, release: &str) -> Result<LinuxSeccomp, String> {
    let arch = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let action =
        |text: &str| serde_json::from_value(json!(text)).map_err(|_| format!("unknown action {text:?}"));
    let has = |name: &String| {
        let bare = name.strip_prefix("CAP_").unwrap_or(name);
        Capability::from_str(&format!("CAP_{bare}"))
            .or_else(|_| Capability::from_str(bare))
            .is_ok_and(|c| granted.contains(&c))
    };
    let new_enough = |wanted: &str| Ok::<_, String>(version(release)? >= version(wanted)?);
    let mut rules = Vec::new();
    for rule in &profile.syscalls {
        if let Some(w) = &rule.excludes
            && (w.arches.iter().any(|a| a == arch)
                || w.caps.iter().any(has)
                || !w.min_kernel.is_empty() && new_enough(&w.min_kernel)?)
        {
            continue;
        }
        if let Some(w) = &rule.includes
            && (!w.arches.is_empty() && !w.arches.iter().any(|a| a == arch)
                || !w.caps.iter().all(has)
                || !w.min_kernel.is_empty() && !new_enough(&w.min_kernel)?)
        {
            continue;
        }
        let mut args = Vec::new();
        for a in rule.args.iter().flatten() {
            let op: LinuxSeccompOperator =
                serde_json::from_value(json!(a.op)).map_err(|_| format!("unknown operator {:?}", a.op))?;
            let arg = LinuxSeccompArgBuilder::default()
                .index(usize::from(a.index))
                .value(a.value)
                .value_two(a.value_two)
                .op(op)
                .build();
            args.push(arg.map_err(|e| e.to_string())?);
        }
        let mut call = LinuxSyscall::default();
        call.set_names(rule.names.iter().chain(&rule.name).cloned().collect())
            .set_action(action(&rule.action)?)
            .set_errno_ret(rule.errno_ret)
            .set_args(Some(args));
        rules.push(call);
    }
    let mut out = LinuxSeccomp::default();
    out.set_default_action(action(&profile.default_action)?)
        .set_default_errno_ret(profile.default_errno_ret)
        .set_syscalls(Some(rules));
    if !profile.flags.is_empty() {
        let flags = profile
            .flags
            .iter()
            .map(|f| serde_json::from_value(json!(f)).map_err(|_| format!("unknown flag {f:?}")));
        out.set_flags(Some(flags.collect::<Result<_, _>>()?));
    }
    Ok(out)
}

/// The first two numbers of a kernel's release.
fn version(text: &str) -> Result<(u32, u32), String> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => Err(format!("{text:?} isn't a kernel's version")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_depend_on_capability_architecture_and_kernel() {
        let profile: SeccompProfile = serde_json::from_str(
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "archMap": [], "syscalls": [
                {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": null},
                {"name": "write", "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
                {"names": ["open"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_CHOWN"]}},
                {"names": ["close"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390x"]}},
                {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
                {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "6.12"},
                 "args": [{"index": 0, "value": 3, "op": "SCMP_CMP_EQ"}]}]}"#,
        )
        .unwrap();
        let names = |release| -> Vec<String> {
            let oci = seccomp(&profile, &docker_capabilities(), release).unwrap();
            assert!(Filter::from_spec(&oci).is_ok());
            oci.syscalls().iter().flatten().flat_map(|c| c.names().clone()).collect()
        };
        assert_eq!(names("6.1.0-13-amd64"), ["read", "ptrace"]);
        assert_eq!(names("6.18.5"), ["read", "ptrace", "bpf"]);
        let bad = SeccompProfile { default_action: "ALLOW".into(), ..profile };
        assert_eq!(seccomp(&bad, &docker_capabilities(), "6.1").unwrap_err(), "unknown action \"ALLOW\"");
    }
}

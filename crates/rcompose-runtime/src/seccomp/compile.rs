//! From a profile (Docker's or an OCI one) to a filter that can be loaded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use oci_spec::runtime::{
    Capabilities, Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag, LinuxSeccompOperator,
};

use super::bpf::{self, ArchRules, Compare, Condition, Insn, Verdict};
use super::{profile, table};

const RET_KILL_PROCESS: u32 = 0x8000_0000;
const RET_KILL_THREAD: u32 = 0;
const RET_TRAP: u32 = 0x0003_0000;
const RET_ERRNO: u32 = 0x0005_0000;
const RET_TRACE: u32 = 0x7ff0_0000;
const RET_LOG: u32 = 0x7ffc_0000;
const RET_ALLOW: u32 = 0x7fff_0000;

const AUDIT_ARCH_X86_64: u32 = 0xC000_003E;
const AUDIT_ARCH_I386: u32 = 0x4000_0003;
const AUDIT_ARCH_AARCH64: u32 = 0xC000_00B7;

const FLAG_TSYNC: u32 = 1;
const FLAG_LOG: u32 = 2;
const FLAG_SPEC_ALLOW: u32 = 4;

/// The kernel refuses longer programs (`BPF_MAXINSNS`).
const MAX_INSTRUCTIONS: usize = 4096;

/// Why a profile can't be made a filter.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SeccompError {
    /// The action hands the call to another process, for which nobody listens here.
    #[error("seccomp action {0} needs a listener, which there is none for")]
    Unsupported(String),
    /// More than the kernel's 4096 instructions.
    #[error("the seccomp profile compiles to {0} instructions, the kernel takes 4096")]
    TooLong(usize),
    /// Argument indices go from 0 to 5.
    #[error("seccomp rule for {0} looks at argument {1}, a system call has six")]
    ArgumentIndex(String, usize),
}

/// A compiled filter. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Filter {
    code: Arc<[Insn]>,
    flags: u32,
}

impl Filter {
    /// Docker's default profile for a process with these capabilities (the bounding set). Compiled once for each set.
    pub fn docker_default(capabilities: &Capabilities) -> Filter {
        type Cache = Vec<(u64, Filter)>;
        static COMPILED: Mutex<Cache> = Mutex::new(Vec::new());
        let key = crate::capabilities::mask(capabilities);
        let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, filter)) = compiled.iter().find(|(mask, _)| *mask == key) {
            return filter.clone();
        }
        let filter = Filter { code: docker(capabilities).into(), flags: FLAG_SPEC_ALLOW };
        compiled.push((key, filter.clone()));
        filter
    }

    /// An OCI profile (runtime-spec, `linux.seccomp`). Names that this architecture doesn't have are skipped, as libseccomp does.
    pub fn from_spec(spec: &LinuxSeccomp) -> Result<Filter, SeccompError> {
        let default = action(spec.default_action(), spec.default_errno_ret())?;
        let mut rules: BTreeMap<&str, Verdict> = BTreeMap::new();
        for rule in spec.syscalls().iter().flatten() {
            let value = action(rule.action(), rule.errno_ret())?;
            for name in rule.names() {
                let mut conditions = Vec::new();
                for arg in rule.args().iter().flatten() {
                    if arg.index() > 5 {
                        return Err(SeccompError::ArgumentIndex(name.clone(), arg.index()));
                    }
                    conditions.push(condition(
                        arg.index() as u8,
                        arg.op(),
                        arg.value(),
                        arg.value_two().unwrap_or(0),
                    ));
                }
                if conditions.is_empty() {
                    rules.insert(name, Verdict::Always(value));
                } else if let Verdict::Conditional(alternatives, _) =
                    rules.entry(name).or_insert_with(|| Verdict::Conditional(Vec::new(), default))
                {
                    alternatives.push((conditions, value));
                }
            }
        }
        let code = compile(rules, default);
        if code.len() > MAX_INSTRUCTIONS {
            return Err(SeccompError::TooLong(code.len()));
        }
        let flags = spec.flags().as_ref().map_or(FLAG_SPEC_ALLOW, |flags| {
            flags.iter().fold(0, |sum, flag| {
                sum | match flag {
                    LinuxSeccompFilterFlag::SeccompFilterFlagLog => FLAG_LOG,
                    LinuxSeccompFilterFlag::SeccompFilterFlagTsync => FLAG_TSYNC,
                    LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => FLAG_SPEC_ALLOW,
                    // Concerns listeners only.
                    LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => 0,
                }
            })
        });
        Ok(Filter { code: code.into(), flags })
    }

    /// Number of BPF instructions.
    pub fn instructions(&self) -> usize {
        self.code.len()
    }

    pub(crate) fn code(&self) -> &[Insn] {
        &self.code
    }

    pub(crate) fn flags(&self) -> u32 {
        self.flags
    }
}

fn docker(capabilities: &Capabilities) -> Vec<Insn> {
    let deny = RET_ERRNO | libc::EPERM as u32;
    let mut rules: BTreeMap<&str, Verdict> = BTreeMap::new();
    for (name, alternatives) in profile::conditional() {
        let alternatives = alternatives.into_iter().map(|condition| (vec![condition], RET_ALLOW)).collect();
        rules.insert(name, Verdict::Conditional(alternatives, deny));
    }
    for name in profile::ALWAYS.split_whitespace() {
        rules.insert(name, Verdict::Always(RET_ALLOW));
    }
    for (capability, names) in profile::BY_CAPABILITY {
        if capabilities.contains(capability) {
            rules.extend(names.split_whitespace().map(|name| (name, Verdict::Always(RET_ALLOW))));
        }
    }
    if !capabilities.contains(&Capability::SysAdmin) {
        rules.insert("clone3", Verdict::Always(RET_ERRNO | libc::ENOSYS as u32));
    }
    compile(rules, deny)
}

/// Rules by name → one program for the native architecture and its 32-bit companion.
fn compile(rules: BTreeMap<&str, Verdict>, default: u32) -> Vec<Insn> {
    let column = |pick: fn(&table::Row) -> i16| -> Vec<(u32, Verdict)> {
        let mut numbered: Vec<(u32, Verdict)> = rules
            .iter()
            .filter_map(|(name, verdict)| {
                let at = table::ROWS.binary_search_by(|row| row.0.cmp(name)).ok()?;
                Some((u32::try_from(pick(&table::ROWS[at])).ok()?, verdict.clone()))
            })
            .collect();
        numbered.sort_by_key(|(number, _)| *number);
        numbered
    };
    let arches = if cfg!(target_arch = "x86_64") {
        vec![
            ArchRules { audit_arch: AUDIT_ARCH_X86_64, rules: column(|row| row.1) },
            ArchRules { audit_arch: AUDIT_ARCH_I386, rules: column(|row| row.2) },
        ]
    } else {
        vec![ArchRules { audit_arch: AUDIT_ARCH_AARCH64, rules: column(|row| row.3) }]
    };
    // 32-bit Arm programs: ENOSYS rather than a kill, so that they can say what is wrong.
    bpf::emit(&arches, default, RET_ERRNO | libc::ENOSYS as u32)
}

fn action(action: LinuxSeccompAction, errno: Option<u32>) -> Result<u32, SeccompError> {
    Ok(match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => RET_KILL_THREAD,
        LinuxSeccompAction::ScmpActKillProcess => RET_KILL_PROCESS,
        LinuxSeccompAction::ScmpActTrap => RET_TRAP,
        LinuxSeccompAction::ScmpActErrno => RET_ERRNO | (errno.unwrap_or(libc::EPERM as u32) & 0xffff),
        LinuxSeccompAction::ScmpActTrace => RET_TRACE | (errno.unwrap_or(libc::EPERM as u32) & 0xffff),
        LinuxSeccompAction::ScmpActLog => RET_LOG,
        LinuxSeccompAction::ScmpActAllow => RET_ALLOW,
        other @ LinuxSeccompAction::ScmpActNotify => {
            return Err(SeccompError::Unsupported(other.to_string()));
        }
    })
}

fn condition(index: u8, op: LinuxSeccompOperator, value: u64, second: u64) -> Condition {
    let (compare, value) = match op {
        LinuxSeccompOperator::ScmpCmpNe => (Compare::NotEqual, value),
        LinuxSeccompOperator::ScmpCmpLt => (Compare::Less, value),
        LinuxSeccompOperator::ScmpCmpLe => (Compare::LessOrEqual, value),
        LinuxSeccompOperator::ScmpCmpEq => (Compare::Equal, value),
        LinuxSeccompOperator::ScmpCmpGe => (Compare::GreaterOrEqual, value),
        LinuxSeccompOperator::ScmpCmpGt => (Compare::Greater, value),
        LinuxSeccompOperator::ScmpCmpMaskedEq => (Compare::Masked(value), second),
    };
    Condition { index, compare, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_and_ordered() {
        assert!(table::ROWS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for name in profile::BY_CAPABILITY.iter().flat_map(|(_, names)| names.split_whitespace()) {
            assert!(table::ROWS.binary_search_by(|row| row.0.cmp(name)).is_ok(), "{name}");
        }
    }

    #[test]
    fn the_default_is_compiled_once_and_fits() {
        let few = Filter::docker_default(&Capabilities::new());
        assert!(few.instructions() < 1500, "{}", few.instructions());
        assert!(Arc::ptr_eq(&few.code, &Filter::docker_default(&Capabilities::new()).code));
        let more = Filter::docker_default(&[Capability::SysAdmin].into_iter().collect());
        assert!(!Arc::ptr_eq(&few.code, &more.code));
    }
}

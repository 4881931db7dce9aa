use serde::{Deserialize, Serialize};

/// `security_opt`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// Programs gain nothing by set-user-ID bits or file capabilities.
    pub no_new_privileges: bool,
    /// Which system calls there are.
    pub seccomp: Seccomp,
    /// `systempaths=unconfined`: nothing in /proc and /sys is masked or read-only.
    pub system_paths: bool,
}

/// Which system calls a container may make.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seccomp {
    /// Docker's default profile.
    #[default]
    Default,
    /// All.
    Unconfined,
    /// As a profile says.
    Profile(Box<SeccompProfile>),
}

/// A profile in Docker's JSON form: an OCI one whose rules can depend on capabilities, architecture and kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeccompProfile {
    /// For calls without a rule: `SCMP_ACT_ERRNO`, …
    pub default_action: String,
    /// The error number of the default action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// `SECCOMP_FILTER_FLAG_LOG`, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// Rules.
    #[serde(default)]
    pub syscalls: Vec<SeccompRule>,
}

/// One rule of a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeccompRule {
    /// Names of system calls.
    #[serde(default)]
    pub names: Vec<String>,
    /// The old form for a single one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What then.
    pub action: String,
    /// The error number of the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// Conditions that must all hold; `null` in older profiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<SeccompArg>>,
    /// The rule is there only if all of this holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub includes: Option<SeccompWhen>,
    /// The rule isn't there if any of this holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excludes: Option<SeccompWhen>,
}

/// A condition on one argument of a system call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeccompArg {
    /// 0 to 5.
    pub index: u8,
    /// Operand; the mask of `SCMP_CMP_MASKED_EQ`.
    #[serde(default)]
    pub value: u64,
    /// Second operand.
    #[serde(default)]
    pub value_two: u64,
    /// `SCMP_CMP_EQ`, …
    pub op: String,
}

/// What a rule depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeccompWhen {
    /// Capabilities, `CAP_SYS_ADMIN`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caps: Vec<String>,
    /// Architectures in Go's words, `amd64`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arches: Vec<String>,
    /// `4.8` or newer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub min_kernel: String,
}

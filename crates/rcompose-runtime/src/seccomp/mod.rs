//! Seccomp filters: from a profile to BPF, without libseccomp.
//!
//! A profile is compiled once and kept; loading it into a container's process is then one system call.

mod bpf;
mod compile;
mod profile;
mod table;

pub(crate) use bpf::Insn;
pub use compile::{Filter, SeccompError};

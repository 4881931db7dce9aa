//! Capability sets as the kernel's bit masks, and Docker's choices.

use std::collections::HashSet;

use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities};

/// The fourteen capabilities of a container that asks for nothing special.
pub fn docker_capabilities() -> Capabilities {
    use Capability as C;
    HashSet::from([
        C::AuditWrite,
        C::Chown,
        C::DacOverride,
        C::Fowner,
        C::Fsetid,
        C::Kill,
        C::Mknod,
        C::NetBindService,
        C::NetRaw,
        C::Setfcap,
        C::Setgid,
        C::Setpcap,
        C::Setuid,
        C::SysChroot,
    ])
}

/// The sets that Docker gives: root holds all of `granted`, another user holds none but can regain them through set-uid programs.
pub fn for_user(granted: &Capabilities, uid: u32) -> LinuxCapabilities {
    let held = if uid == 0 { granted.clone() } else { Capabilities::new() };
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(Some(granted.clone()))
        .set_effective(Some(held.clone()))
        .set_permitted(Some(held))
        .set_inheritable(None)
        .set_ambient(None);
    sets
}

/// Bit number, of linux/capability.h.
fn bit(capability: Capability) -> u32 {
    use Capability as C;
    match capability {
        C::Chown => 0,
        C::DacOverride => 1,
        C::DacReadSearch => 2,
        C::Fowner => 3,
        C::Fsetid => 4,
        C::Kill => 5,
        C::Setgid => 6,
        C::Setuid => 7,
        C::Setpcap => 8,
        C::LinuxImmutable => 9,
        C::NetBindService => 10,
        C::NetBroadcast => 11,
        C::NetAdmin => 12,
        C::NetRaw => 13,
        C::IpcLock => 14,
        C::IpcOwner => 15,
        C::SysModule => 16,
        C::SysRawio => 17,
        C::SysChroot => 18,
        C::SysPtrace => 19,
        C::SysPacct => 20,
        C::SysAdmin => 21,
        C::SysBoot => 22,
        C::SysNice => 23,
        C::SysResource => 24,
        C::SysTime => 25,
        C::SysTtyConfig => 26,
        C::Mknod => 27,
        C::Lease => 28,
        C::AuditWrite => 29,
        C::AuditControl => 30,
        C::Setfcap => 31,
        C::MacOverride => 32,
        C::MacAdmin => 33,
        C::Syslog => 34,
        C::WakeAlarm => 35,
        C::BlockSuspend => 36,
        C::AuditRead => 37,
        C::Perfmon => 38,
        C::Bpf => 39,
        C::CheckpointRestore => 40,
    }
}

/// A set as a bit mask.
pub(crate) fn mask(set: &Capabilities) -> u64 {
    set.iter().fold(0, |sum, capability| sum | 1 << bit(*capability))
}

/// The five sets of a process, ready for capset(2) and prctl(2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Masks {
    pub(crate) bounding: u64,
    pub(crate) effective: u64,
    pub(crate) permitted: u64,
    pub(crate) inheritable: u64,
    pub(crate) ambient: u64,
}

impl Masks {
    /// `held` is what this process itself has: a container can't be given more, privileged or not.
    pub(crate) fn new(sets: &LinuxCapabilities, held: u64) -> Masks {
        let of = |set: &Option<Capabilities>| set.as_ref().map_or(0, mask) & held;
        Masks {
            bounding: of(sets.bounding()),
            effective: of(sets.effective()),
            permitted: of(sets.permitted()),
            inheritable: of(sets.inheritable()),
            ambient: of(sets.ambient()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_mask() {
        assert_eq!(mask(&docker_capabilities()), 0xa804_25fb);
        assert_eq!(for_user(&docker_capabilities(), 7).effective(), &Some(Capabilities::new()));
    }
}

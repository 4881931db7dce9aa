//! The devices of a container.

use oci_spec::runtime::{LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType};
use rcompose_engine::StepFailure;
use rcompose_model::DeviceRule;
use rcompose_plan::ContainerSpec;

use super::place;

/// `host[:container[:rwm]]`, with the node's numbers read from the host.
pub(super) fn device(
    spec: &ContainerSpec,
    text: &str,
) -> Result<(LinuxDevice, LinuxDeviceCgroup), StepFailure> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let mut parts = text.split(':');
    let host = parts.next().unwrap_or_default();
    let target = parts.next().unwrap_or(host);
    let access = parts.next().unwrap_or("rwm");
    let meta = std::fs::metadata(host).map_err(|e| place(spec, "devices", format!("device {host}: {e}")))?;
    let kind = if meta.file_type().is_char_device() {
        LinuxDeviceType::C
    } else if meta.file_type().is_block_device() {
        LinuxDeviceType::B
    } else {
        return Err(place(spec, "devices", format!("{host} is not a device")));
    };
    let rdev = meta.rdev();
    let (major, minor) = (i64::from(rustix::fs::major(rdev)), i64::from(rustix::fs::minor(rdev)));
    let mut device = LinuxDevice::default();
    device
        .set_path(target.into())
        .set_typ(kind)
        .set_major(major)
        .set_minor(minor)
        .set_file_mode(Some(meta.mode() & 0o777))
        .set_uid(Some(meta.uid()))
        .set_gid(Some(meta.gid()));
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(true)
        .set_typ(Some(kind))
        .set_major(Some(major))
        .set_minor(Some(minor))
        .set_access(Some(access.to_owned()));
    Ok((device, rule))
}

/// An entry of `device_cgroup_rules`.
pub(super) fn rule(given: &DeviceRule) -> LinuxDeviceCgroup {
    let kind = match given.kind {
        'a' => LinuxDeviceType::A,
        'b' => LinuxDeviceType::B,
        _ => LinuxDeviceType::C,
    };
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(true)
        .set_typ(Some(kind))
        .set_major(given.major.map(i64::from))
        .set_minor(given.minor.map(i64::from))
        .set_access(Some(given.access.clone()));
    rule
}

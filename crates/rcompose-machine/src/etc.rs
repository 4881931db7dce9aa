//! The files that a container's names need: /etc/hosts, /etc/hostname, /etc/resolv.conf; secrets and configs.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use rcompose_engine::{FailureKind, StepFailure};
use rcompose_model::HostAddress;
use rcompose_plan::{ContainerSpec, FileContent, NetNs};

use crate::StateError;
use crate::bundle::hostname;
use crate::files::{make_dir, write_atomic};

/// Writes all of them into `dir`. `gateway` is what `host-gateway` means; `net_owner` is whose
/// network this is when it joins another container's.
pub(crate) fn write(
    dir: &Path,
    spec: &ContainerSpec,
    net_owner: Option<&ContainerSpec>,
    gateway: Option<Ipv4Addr>,
) -> Result<(), StepFailure> {
    make_dir(dir)?;
    let net = net_owner.unwrap_or(spec);
    let text = hosts(spec, net, gateway)?;
    write_atomic(&dir.join("hosts"), text.as_bytes(), 0o644)?;
    write_atomic(&dir.join("hostname"), format!("{}\n", hostname(spec)).as_bytes(), 0o644)?;
    write_atomic(&dir.join("resolv.conf"), resolv(spec, net)?.as_bytes(), 0o644)?;
    for (i, f) in spec.files.iter().enumerate() {
        let path = dir.join(format!("file{i}"));
        let bytes = match &f.content {
            FileContent::Text(t) => t.clone().into_bytes(),
            FileContent::HostFile(p) => fs::read(p).map_err(|e| {
                let what = if f.secret { "secret" } else { "config" };
                StepFailure::new(
                    FailureKind::User,
                    format!("failed to read {what} file {}: {e}", p.display()),
                )
                .at(&spec.origin)
            })?,
        };
        write_atomic(&path, &bytes, 0o600)?;
        let set = || {
            chown(&path, Some(f.uid), Some(f.gid))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(f.mode))
        };
        set().map_err(|e| StateError::write(&path, e))?;
    }
    Ok(())
}

fn hosts(
    spec: &ContainerSpec,
    net: &ContainerSpec,
    gateway: Option<Ipv4Addr>,
) -> Result<String, StepFailure> {
    let mut out = if net.net == NetNs::Host {
        host_file("/etc/hosts")?
    } else {
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
         ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
            .to_owned()
    };
    for (name, address) in &spec.extra_hosts {
        let address = match address {
            HostAddress::Ip(ip) => *ip,
            HostAddress::Gateway => gateway.unwrap_or(Ipv4Addr::LOCALHOST).into(),
        };
        out.push_str(&format!("{address}\t{name}\n"));
    }
    let name = hostname(net);
    for e in &net.endpoints {
        match net.domainname.as_str() {
            "" => out.push_str(&format!("{}\t{name}\n", e.address)),
            d => out.push_str(&format!("{}\t{name}.{d} {name}\n", e.address)),
        }
    }
    Ok(out)
}

fn resolv(spec: &ContainerSpec, net: &ContainerSpec) -> Result<String, StepFailure> {
    let host = host_file("/etc/resolv.conf")?;
    if net.endpoints.is_empty() {
        if spec.dns.servers.is_empty() && spec.dns.search.is_empty() && spec.dns.options.is_empty() {
            return Ok(host);
        }
        let mut out = String::new();
        for s in &spec.dns.servers {
            out.push_str(&format!("nameserver {s}\n"));
        }
        push_list(&mut out, "search", &spec.dns.search);
        push_list(&mut out, "options", &spec.dns.options);
        return Ok(out);
    }
    let mut out = "nameserver 127.0.0.11\n".to_owned();
    if spec.dns.search.is_empty() {
        for line in host.lines().filter(|l| l.starts_with("search ") || l.starts_with("domain ")) {
            out.push_str(&format!("{line}\n"));
        }
    } else if spec.dns.search != ["."] {
        push_list(&mut out, "search", &spec.dns.search);
    }
    let mut options = spec.dns.options.clone();
    if !options.iter().any(|o| o.starts_with("ndots:")) {
        options.push("ndots:0".to_owned());
    }
    push_list(&mut out, "options", &options);
    Ok(out)
}

fn push_list(out: &mut String, key: &str, values: &[String]) {
    if !values.is_empty() {
        out.push_str(&format!("{key} {}\n", values.join(" ")));
    }
}

/// A file of the host that may be missing.
pub(crate) fn host_file(path: &str) -> Result<String, StepFailure> {
    match fs::read_to_string(path) {
        Ok(t) => Ok(t),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(e) => Err(StateError::read(Path::new(path), e).into()),
    }
}

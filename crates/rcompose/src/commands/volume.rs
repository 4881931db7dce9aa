//! `volume`: volumes of the whole installation.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use rcompose_plan::{MountSource, VolumeSpec};
use serde_json::{Value, json};

use crate::args::VolumeVerb;
use crate::context::{Context, print};
use crate::failure::Failure;
use crate::render::inspect;
use crate::render::table::Table;
use crate::render::template;
use crate::render::time;

pub(crate) fn run(cx: &Context, verb: VolumeVerb) -> Result<u8, Failure> {
    match verb {
        VolumeVerb::Ls { quiet, format } => {
            let all = rcompose_machine::list_volumes(&cx.dirs)?;
            print(&listing(cx, &all, &format, quiet)?)?;
        }
        VolumeVerb::Inspect { volumes } => {
            let mut found = Vec::new();
            for name in &volumes {
                let volume = rcompose_machine::read_volume(&cx.dirs, checked(name)?)?;
                found.push(details(cx, &volume.ok_or_else(|| missing(name))?));
            }
            print(&inspect(&Value::from(found)))?;
        }
        VolumeVerb::Rm { force, volumes } => return remove(cx, &volumes, force),
        VolumeVerb::Create { label, name } => {
            let name = match name {
                Some(name) => name,
                None => random_name()?,
            };
            create(cx, checked(&name)?, &label)?;
            print(&format!("{name}\n"))?;
        }
    }
    Ok(0)
}

/// As `docker volume ls`: a table, JSON objects, one a line, or a template.
pub(crate) fn listing(
    cx: &Context,
    volumes: &[VolumeSpec],
    format: &str,
    quiet: bool,
) -> Result<String, Failure> {
    if quiet {
        return Ok(volumes.iter().map(|v| format!("{}\n", v.name)).collect());
    }
    match format {
        "json" => Ok(volumes.iter().map(|v| format!("{}\n", row(cx, v))).collect()),
        "table" | "" => {
            let mut t = Table::new(&["DRIVER", "VOLUME NAME"]);
            for v in volumes {
                t.row([driver(v), &v.name]);
            }
            Ok(t.render())
        }
        format => {
            let rows: Vec<Value> = volumes.iter().map(|v| row(cx, v)).collect();
            template::rows(format, &rows, &[]).map_err(Failure::user)
        }
    }
}

fn driver(v: &VolumeSpec) -> &str {
    if v.driver.is_empty() { "local" } else { &v.driver }
}

fn mountpoint(cx: &Context, name: &str) -> String {
    cx.dirs.volume(name).join("_data").display().to_string()
}

fn row(cx: &Context, v: &VolumeSpec) -> Value {
    let labels: Vec<String> = v.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    json!({
        "Availability": "N/A",
        "Driver": driver(v),
        "Group": "N/A",
        "Labels": labels.join(","),
        "Links": "N/A",
        "Mountpoint": mountpoint(cx, &v.name),
        "Name": v.name,
        "Scope": "local",
        "Size": "N/A",
        "Status": "N/A",
    })
}

fn details(cx: &Context, v: &VolumeSpec) -> Value {
    let made = fs::metadata(cx.dirs.volume(&v.name).join("volume.json")).map(|m| m.mtime()).unwrap_or(0);
    json!({
        "CreatedAt": time::timestamp(made * 1_000_000_000).replace(".000000000", ""),
        "Driver": driver(v),
        "Labels": if v.labels.is_empty() { Value::Null } else { json!(v.labels) },
        "Mountpoint": mountpoint(cx, &v.name),
        "Name": v.name,
        "Options": if v.driver_opts.is_empty() { Value::Null } else { json!(v.driver_opts) },
        "Scope": "local",
    })
}

fn missing(name: &str) -> Failure {
    Failure::user(format!("no such volume: {name}"))
}

/// Docker's rule for volume names; it also keeps a name from being a path.
fn checked(name: &str) -> Result<&str, Failure> {
    let ok = name.len() > 1
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if ok {
        return Ok(name);
    }
    Err(Failure::user(format!("invalid volume name {name:?}"))
        .hint("two characters or more: letters, digits, '_', '.' and '-', beginning with a letter or digit"))
}

fn random_name() -> Result<String, Failure> {
    let mut bytes = [0u8; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| Failure::io("get random bytes", &io::Error::from(e)))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

fn create(cx: &Context, name: &str, labels: &[String]) -> Result<(), Failure> {
    cx.need_root()?;
    if rcompose_machine::read_volume(&cx.dirs, name)?.is_some() {
        return Ok(());
    }
    let split = |l: &String| match l.split_once('=') {
        Some((k, v)) => (k.to_owned(), v.to_owned()),
        None => (l.clone(), String::new()),
    };
    let spec = VolumeSpec {
        name: name.to_owned(),
        key: String::new(),
        driver: "local".to_owned(),
        driver_opts: BTreeMap::new(),
        labels: labels.iter().map(split).collect(),
        anonymous: false,
    };
    Ok(rcompose_machine::create_volume(&cx.dirs, &spec)?)
}

/// Names of containers by the volumes that they use.
fn users(cx: &Context) -> Result<BTreeMap<String, BTreeSet<String>>, Failure> {
    let mut out: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for project in rcompose_machine::list_projects(&cx.dirs)? {
        let Some(record) = cx.record(&project)? else { continue };
        for c in record.observed.containers.into_values() {
            for m in c.spec.mounts {
                if let MountSource::Volume { name, .. } = m.source {
                    out.entry(name).or_default().insert(c.spec.name.clone());
                }
            }
        }
    }
    Ok(out)
}

/// Removes what can be removed; the first failure decides.
fn remove(cx: &Context, volumes: &[String], force: bool) -> Result<u8, Failure> {
    cx.need_root()?;
    let users = users(cx)?;
    let mut failure: Option<Failure> = None;
    for name in volumes {
        match remove_one(cx, name, &users, force) {
            Ok(()) => print(&format!("{name}\n"))?,
            Err(f) => {
                failure = Some(match failure {
                    Some(first) => first.and(f),
                    None => f,
                });
            }
        }
    }
    failure.map_or(Ok(0), Err)
}

fn remove_one(
    cx: &Context,
    name: &str,
    users: &BTreeMap<String, BTreeSet<String>>,
    force: bool,
) -> Result<(), Failure> {
    if rcompose_machine::read_volume(&cx.dirs, checked(name)?)?.is_none() {
        return if force { Ok(()) } else { Err(missing(name)) };
    }
    if let Some(containers) = users.get(name) {
        let list: Vec<&str> = containers.iter().map(String::as_str).collect();
        return Err(Failure::user(format!("volume {name} is in use by {}", list.join(", ")))
            .hint("remove these containers first"));
    }
    Ok(rcompose_machine::remove_volume(&cx.dirs, name)?)
}

#[cfg(test)]
mod tests {
    use super::checked;

    #[test]
    fn names_are_no_paths() {
        assert!(checked("app_db.data-1").is_ok());
        for bad in ["a", "../x", ".x", "a/b", ""] {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }
}

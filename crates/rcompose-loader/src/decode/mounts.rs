//! What a service mounts.

use rcompose_model::{
    BindOptions, FileMount, Mount, MountKind, Propagation, Recursive, SelinuxLabel, TmpfsOptions,
    VolumeOptions,
};

use super::service::{image, size};
use super::value::{flag, opt_flag, opt_int, opt_text, parsed, text_map};
use crate::chain::shown;
use crate::cx::{Cx, nearest};
use crate::tree::Node;
use crate::units::parse_bytes;

pub(super) fn mounts(cx: &mut Cx<'_>, n: &Node) -> Vec<Mount> {
    let mut out = Vec::new();
    for item in n.get("volumes").and_then(Node::as_seq).unwrap_or_default() {
        let target = opt_text(item, "target").unwrap_or_default();
        let source = opt_text(item, "source").filter(|s| !s.is_empty());
        let volume = item.get("volume");
        let options = VolumeOptions {
            nocopy: volume.is_some_and(|v| flag(v, "nocopy")),
            subpath: volume.and_then(|v| opt_text(v, "subpath")),
            labels: text_map(volume.and_then(|v| v.get("labels"))),
        };
        let kind = match (opt_text(item, "type").as_deref(), source) {
            (Some("bind"), source) => {
                MountKind::Bind { source: source.unwrap_or_default(), options: bind(cx, item.get("bind")) }
            }
            (Some("tmpfs"), _) => {
                let tmpfs = item.get("tmpfs");
                MountKind::Tmpfs {
                    options: TmpfsOptions {
                        size: tmpfs.and_then(|t| size(t, "size")),
                        mode: tmpfs.and_then(|t| opt_int(t, "mode")).and_then(|m| u32::try_from(m).ok()),
                        options: Vec::new(),
                    },
                }
            }
            (Some("image"), Some(_)) => {
                let Some(image) = item.get("source").and_then(|s| image(cx, s)) else { continue };
                let subpath = item.get("image").and_then(|i| opt_text(i, "subpath"));
                MountKind::Image { image, subpath, layers: Vec::new() }
            }
            (Some("volume"), Some(key)) => MountKind::Volume { key, options },
            (Some("volume"), None) => MountKind::Anonymous { options },
            (kind, _) => {
                let kind = kind.unwrap_or_default().to_owned();
                cx.error(item.span, format!("a volume of type {kind:?} isn't possible on Linux"));
                continue;
            }
        };
        if !target.starts_with('/') {
            cx.warn(item.span, format!("invalid mount target {target:?}: mount path must be absolute"));
        }
        let image = matches!(kind, MountKind::Image { .. });
        out.push(Mount { kind, target, read_only: flag(item, "read_only") || image });
    }
    for item in n.get("tmpfs").and_then(Node::as_seq).unwrap_or_default() {
        let text = item.scalar_text().unwrap_or_default();
        match tmpfs(&text) {
            Ok(mount) => out.push(mount),
            Err(why) => {
                cx.error(item.span, why);
            }
        }
    }
    out
}

fn bind(cx: &mut Cx<'_>, n: Option<&Node>) -> BindOptions {
    let Some(n) = n else { return BindOptions { create_host_path: true, ..BindOptions::default() } };
    BindOptions {
        create_host_path: opt_flag(n, "create_host_path").unwrap_or(true),
        propagation: n.get("propagation").and_then(|p| propagation(cx, p)),
        recursive: match opt_text(n, "recursive").as_deref() {
            Some("disabled") => Recursive::Disabled,
            Some("writable") => Recursive::Writable,
            Some("readonly") => Recursive::ReadOnly,
            // The schema knows no other words.
            _ => Recursive::Enabled,
        },
        selinux: opt_text(n, "selinux").and_then(|s| SelinuxLabel::parse(&s)),
    }
}

fn propagation(cx: &mut Cx<'_>, node: &Node) -> Option<Propagation> {
    let text = node.scalar_text().filter(|t| !t.is_empty())?;
    let words = || Propagation::ALL.into_iter().map(Propagation::as_str);
    let found = Propagation::parse(&text);
    if found.is_none() {
        let near = nearest(&text, words());
        let d = cx.error(node.span, format!("bind.propagation {} isn't known", shown(&text)));
        d.help.push(format!("valid values: {}", words().collect::<Vec<_>>().join(", ")));
        d.help.extend(near.map(|n| format!("did you mean {n:?}?")));
    }
    found
}

/// `PATH[:option,…]`.
fn tmpfs(text: &str) -> Result<Mount, String> {
    let (target, rest) = text.split_once(':').unwrap_or((text, ""));
    if !target.starts_with('/') {
        return Err(format!("invalid tmpfs {text:?}: the path must be absolute"));
    }
    let mut options = TmpfsOptions::default();
    let mut read_only = false;
    for option in rest.split(',').filter(|o| !o.is_empty()) {
        match option.split_once('=') {
            Some(("size", size)) => options.size = u64::try_from(parse_bytes(size)?).ok(),
            Some(("mode", mode)) => {
                let bits =
                    u32::from_str_radix(mode, 8).map_err(|_| format!("invalid tmpfs mode {mode:?}"))?;
                options.mode = Some(bits);
            }
            None if option == "ro" => read_only = true,
            None if option == "rw" => {}
            _ => options.options.push(option.to_owned()),
        }
    }
    Ok(Mount { kind: MountKind::Tmpfs { options }, target: target.to_owned(), read_only })
}

pub(super) fn file_mounts(cx: &mut Cx<'_>, n: &Node, key: &str) -> Vec<FileMount> {
    let items = n.get(key).and_then(Node::as_seq).unwrap_or_default();
    items
        .iter()
        .filter_map(|item| {
            let source = opt_text(item, "source")?;
            let target = opt_text(item, "target").filter(|t| !t.is_empty());
            let target = match target {
                Some(t) if t.starts_with('/') => t,
                Some(t) if key == "secrets" => format!("/run/secrets/{t}"),
                Some(t) => format!("/{t}"),
                None if key == "secrets" => format!("/run/secrets/{source}"),
                None => format!("/{source}"),
            };
            Some(FileMount {
                target,
                uid: item.get("uid").and_then(|u| parsed(cx, u, "uid", "a number")),
                gid: item.get("gid").and_then(|g| parsed(cx, g, "gid", "a number")),
                mode: opt_text(item, "mode").and_then(|m| u32::from_str_radix(&m, 8).ok()),
                source,
            })
        })
        .collect()
}

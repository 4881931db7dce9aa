use std::path::Path;

use rcompose_model::{BindOptions, Mount, MountKind, Propagation, SelinuxLabel, VolumeOptions};

use super::{resolved, to_map};
use crate::code::Code;
use crate::cx::Cx;
use crate::source::join_clean;
use crate::tree::{Map, Node, Span, Value};

/// A short volume, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
struct Short {
    source: Option<String>,
    target: String,
    bind: bool,
    read_only: bool,
    nocopy: bool,
    propagation: Option<Propagation>,
    selinux: Option<SelinuxLabel>,
    /// Read as a Windows drive, as docker compose does.
    drive: bool,
}

fn short(text: &str) -> Result<Short, String> {
    if text.is_empty() {
        return Err("invalid volume: it is empty".into());
    }
    let bad = |why: &str| format!("invalid volume {text:?}: {why}");
    let mut out = Short::default();
    // One or two letters are a target, whatever they are.
    if text.len() <= 2 {
        out.target = text.to_owned();
        return Ok(out);
    }
    // A single letter before a colon is a Windows drive, wherever it stands.
    let mut parts: Vec<String> = Vec::new();
    for part in text.split(':') {
        match parts.last_mut() {
            Some(last) if last.chars().count() == 1 && last.chars().all(char::is_alphabetic) => {
                last.push(':');
                last.push_str(part);
                out.drive |= parts.len() == 1;
            }
            _ => parts.push(part.to_owned()),
        }
    }
    match parts.len() {
        1 => {
            out.target = parts.remove(0);
            return Ok(out);
        }
        2 | 3 => {}
        _ => return Err(bad("it has too many colons")),
    }
    let options = if parts.len() == 3 { parts.pop() } else { None };
    out.target = parts.pop().unwrap_or_default();
    let source = parts.pop().unwrap_or_default();
    if source.is_empty() || out.target.is_empty() {
        return Err(bad("an empty section between colons"));
    }
    out.bind = source.starts_with(['.', '/', '~']) || out.drive;
    out.source = Some(source);
    for option in options.iter().flat_map(|o| o.split(',')) {
        match option {
            "ro" => out.read_only = true,
            "rw" => out.read_only = false,
            "nocopy" => out.nocopy = true,
            _ => {
                // What isn't known is left out, as docker compose does.
                out.selinux = SelinuxLabel::parse(option).or(out.selinux);
                out.propagation = Propagation::parse(option).or(out.propagation);
            }
        }
    }
    Ok(out)
}

/// Reads a short volume (`run -v`); relative sources start from `base`.
pub fn parse_short_volume(text: &str, base: &Path) -> Result<Mount, String> {
    let s = short(text)?;
    let volume = VolumeOptions { nocopy: s.nocopy, ..VolumeOptions::default() };
    let kind = match s.source {
        Some(source) if s.bind => MountKind::Bind {
            source: join_clean(base, Path::new(&source)).display().to_string(),
            options: BindOptions {
                create_host_path: true,
                propagation: s.propagation,
                selinux: s.selinux,
                ..BindOptions::default()
            },
        },
        Some(key) => MountKind::Volume { key, options: volume },
        None => MountKind::Anonymous { options: volume },
    };
    if !s.target.starts_with('/') {
        return Err(format!("invalid volume {text:?}: the path in the container must be absolute"));
    }
    Ok(Mount { kind, target: s.target, read_only: s.read_only })
}

/// The list `volumes` of a service to its long forms.
pub(crate) fn canonical(cx: &mut Cx<'_>, node: &mut Node, base: &Path) {
    let Value::Seq(items) = &mut node.value else { return };
    for item in items {
        let span = item.span;
        if let Some(text) = item.as_str() {
            match short(text) {
                Ok(s) => {
                    if s.drive {
                        cx.warn(span, format!("{text:?} is read as a path on a Windows drive"))
                            .help
                            .push("give the volume a name of more than one letter".into());
                    }
                    let map = entry(cx, &s, span, base);
                    *item = item.with(Value::Map(map));
                }
                Err(_) if !cx.interpolate => {}
                Err(message) => {
                    cx.error(span, message)
                        .help
                        .push("write [SOURCE:]TARGET[:MODE], like ./data:/var/lib/data:ro".into());
                }
            }
            continue;
        }
        if let Some(map) = item.as_map_mut() {
            long(cx, map, span, base);
        }
    }
}

fn entry(cx: &Cx<'_>, s: &Short, span: Span, base: &Path) -> Map {
    let mut map = Map::new();
    map.insert("type".into(), Node::str(if s.bind { "bind" } else { "volume" }, span));
    if let Some(source) = &s.source {
        let text = if s.bind && !is_windows(source) { resolved(cx, source, base) } else { source.clone() };
        map.insert("source".into(), Node::str(text, span));
    }
    map.insert("target".into(), Node::str(clean(&s.target), span));
    if s.read_only {
        map.insert("read_only".into(), Node::new(Value::Bool(true), span));
    }
    let mut bind = Map::new();
    if let Some(p) = s.propagation {
        bind.insert("propagation".into(), Node::str(p.as_str(), span));
    }
    if let Some(z) = s.selinux {
        bind.insert("selinux".into(), Node::str(z.as_str(), span));
    }
    if s.bind && !cx.interpolate {
        bind.insert("create_host_path".into(), Node::new(Value::Bool(true), span));
    }
    // These options stand beside a volume, too.
    if s.bind || !bind.is_empty() {
        map.insert("bind".into(), Node::new(Value::Map(bind), span));
    }
    // docker compose leaves the options out for a target of one or two letters.
    if !s.bind && (s.source.is_some() || s.target.len() > 2) {
        let mut options = Map::new();
        if s.nocopy {
            options.insert("nocopy".into(), Node::new(Value::Bool(true), span));
        }
        map.insert("volume".into(), Node::new(Value::Map(options), span));
    }
    map
}

/// An absolute path of Windows (`c:\x`, `c:/x`), which docker compose leaves as it is.
fn is_windows(path: &str) -> bool {
    matches!(path.as_bytes(), [drive, b':', b'/' | b'\\', ..] if drive.is_ascii_alphabetic())
}

/// A target without trailing slashes and dots, as Go's `path.Clean` gives it.
fn clean(target: &str) -> String {
    if target.starts_with('/') {
        join_clean(Path::new("/"), Path::new(target)).display().to_string()
    } else {
        let text = join_clean(Path::new(""), Path::new(target)).display().to_string();
        if text.is_empty() { ".".into() } else { text }
    }
}

fn long(cx: &mut Cx<'_>, map: &mut Map, span: Span, base: &Path) {
    let Some(kind) = map.get("type").and_then(Node::as_str).map(str::to_owned) else {
        cx.error(span, "a volume's long form needs a type")
            .is(Code::MissingAttribute)
            .help
            .push("add `type: bind`, `volume`, `tmpfs` or `image`".into());
        return;
    };
    if kind == "bind" {
        match map.get_mut("source") {
            Some(source) => {
                if !source.as_str().is_some_and(is_windows) {
                    super::path(cx, source, base);
                }
            }
            None => {
                cx.error(span, "a bind mount needs a source").is(Code::MissingAttribute);
            }
        }
    }
    match map.get_mut("target") {
        Some(target) => {
            if let Some(text) = target.as_str() {
                target.value = Value::Str(clean(text));
            }
        }
        None => {
            cx.error(span, "a volume needs a target")
                .is(Code::MissingAttribute)
                .help
                .push("add `target:`, a path in the container".into());
        }
    }
    if let Some(bind) = map.get_mut("bind").and_then(Node::as_map_mut)
        && cx.interpolate
        && bind.get("create_host_path").is_some_and(|n| n.value == Value::Bool(true))
    {
        bind.shift_remove("create_host_path");
    }
    if let Some(labels) = map.get_mut("volume").and_then(Node::as_map_mut).and_then(|v| v.get_mut("labels")) {
        to_map(labels, true);
    }
    if let Some(size) = map.get_mut("tmpfs").and_then(Node::as_map_mut).and_then(|t| t.get_mut("size")) {
        super::bytes(cx, size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms() {
        let base = Path::new("/p");
        let m = parse_short_volume("./a:/b:ro", base).unwrap();
        assert!(m.read_only && matches!(&m.kind, MountKind::Bind { source, .. } if source == "/p/a"));
        let m = parse_short_volume("data:/b", base).unwrap();
        assert!(matches!(&m.kind, MountKind::Volume { key, .. } if key == "data"));
        let m = parse_short_volume("/b", base).unwrap();
        assert!(matches!(&m.kind, MountKind::Anonymous { .. }) && m.target == "/b");
        for bad in ["", ":/b", "a:", "a:b:c:d", "a:b"] {
            assert!(parse_short_volume(bad, base).is_err(), "{bad}");
        }
    }
}

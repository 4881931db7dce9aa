//! What an image is, for comparison: its configuration, its history, and every file that its base hasn't.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Files up to this size are shown, others by their digest.
const SHOWN: usize = 2000;

/// Times before this one (2025) were set by somebody and are told; later ones are those of the test itself.
const OLD: u64 = 1_735_689_600;

/// Paths of an image, each with what is there.
pub type Tree = BTreeMap<String, String>;

/// An image out of `docker save`'s archive.
#[derive(Debug)]
pub struct Picture {
    config: Value,
    /// All its files.
    pub tree: Tree,
}

impl Picture {
    /// Reads an archive.
    pub fn read(archive: &Path) -> Result<Self> {
        let file = std::fs::File::open(archive).with_context(|| format!("open {}", archive.display()))?;
        let mut members: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
        for member in tar::Archive::new(file).entries()? {
            let mut member = member?;
            let (path, link) = (member.path()?.into_owned(), member.link_name()?.map(|l| l.into_owned()));
            let mut bytes = Vec::new();
            member.read_to_end(&mut bytes)?;
            // A layer that comes twice is a link to itself in some archives.
            if let Some(link) = link {
                let parent = path.parent().unwrap_or(Path::new(""));
                bytes = members
                    .get(&link)
                    .or_else(|| members.get(&parent.join(&link)))
                    .cloned()
                    .unwrap_or_default();
            }
            members.insert(path, bytes);
        }
        let get =
            |name: &str| members.get(Path::new(name)).with_context(|| format!("the archive has no {name}"));
        let manifest: Value = serde_json::from_slice(get("manifest.json")?)?;
        let one = &manifest[0];
        let config = serde_json::from_slice(get(one["Config"].as_str().context("no Config")?)?)?;
        let mut tree = Tree::new();
        for layer in one["Layers"].as_array().into_iter().flatten() {
            add_layer(&mut tree, get(layer.as_str().context("a layer without a name")?)?)?;
        }
        Ok(Self { config, tree })
    }

    /// Configuration, history, and the files that differ from a base's. Of times only old ones.
    pub fn facts(&self, base: &Tree) -> Value {
        let mut files: Map<String, Value> = Map::new();
        for (path, what) in self.tree.iter().filter(|(p, w)| base.get(*p) != Some(w)) {
            files.insert(path.clone(), json!(what));
        }
        for path in base.keys().filter(|p| !self.tree.contains_key(*p)) {
            files.insert(path.clone(), json!("gone"));
        }
        let history = self.config["history"].as_array().cloned().unwrap_or_default();
        let line = |h: &Value| {
            let mark = if h["empty_layer"] == true { "" } else { "+ " };
            json!(format!("{mark}{}", h["created_by"].as_str().unwrap_or_default()))
        };
        json!({
            "config": tidy(&self.config["config"]),
            "author": self.config["author"],
            "platform": format!("{}/{}", self.config["os"].as_str().unwrap_or(""), self.config["architecture"].as_str().unwrap_or("")),
            "history": history.iter().map(line).collect::<Vec<_>>(),
            "files": files,
        })
    }
}

/// Without what is as good as absent and the marks of Compose, in order.
fn tidy(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(labels) = value["Labels"].as_object_mut() {
        labels.retain(|name, _| !name.starts_with("com.docker.compose."));
    }
    let Some(map) = value.as_object() else { return value };
    let empty = |v: &Value| match v {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
        Value::Number(n) => n.as_i64() == Some(0),
    };
    let sorted: BTreeMap<&String, &Value> = map.iter().filter(|(_, v)| !empty(v)).collect();
    Value::Object(sorted.into_iter().map(|(k, v)| (k.clone(), v.clone())).collect())
}

fn add_layer(tree: &mut Tree, bytes: &[u8]) -> Result<()> {
    let mut names = Names::default();
    let reader: Box<dyn Read> = match bytes {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
        _ => Box::new(bytes),
    };
    for member in tar::Archive::new(reader).entries()? {
        let mut member = member?;
        let path =
            member.path()?.components().filter(|c| matches!(c, Component::Normal(_))).collect::<PathBuf>();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let parent = path.parent().map(|p| p.display().to_string()).unwrap_or_default();
        if name == ".wh..wh..opq" {
            tree.retain(|p, _| !below(p, &parent));
            continue;
        }
        if let Some(gone) = name.strip_prefix(".wh.") {
            let gone = Path::new(&parent).join(gone).display().to_string();
            tree.retain(|p, _| *p != gone && !below(p, &gone));
            continue;
        }
        let key = path.display().to_string();
        if key.is_empty() {
            continue;
        }
        let what = describe(&mut member, tree)?;
        if !what.starts_with("dir") {
            tree.retain(|p, _| !below(p, &key));
        }
        if let Some(other) = hard_link(&member)? {
            names.add(other, key.clone());
        }
        tree.insert(key, what);
    }
    names.mark(tree);
    Ok(())
}

/// The files of a layer that have several names.
#[derive(Default)]
struct Names(Vec<BTreeSet<String>>);

impl Names {
    fn add(&mut self, one: String, other: String) {
        match self.0.iter_mut().find(|names| names.contains(&one)) {
            Some(names) => {
                names.insert(other);
            }
            None => self.0.push(BTreeSet::from([one, other])),
        }
    }

    /// Every name but the first tells of the first, whichever the archive began with.
    fn mark(&self, tree: &mut Tree) {
        for names in &self.0 {
            let Some(first) = names.first() else { continue };
            for name in names.iter().skip(1) {
                if let Some(what) = tree.get_mut(name) {
                    what.push_str(&format!(", the same as {first}"));
                }
            }
        }
    }
}

/// The file that the member is another name of.
fn hard_link(member: &tar::Entry<'_, Box<dyn Read + '_>>) -> Result<Option<String>> {
    if !member.header().entry_type().is_hard_link() {
        return Ok(None);
    }
    let target = member.link_name()?.context("a link to nothing")?;
    let target: PathBuf = target.components().filter(|c| matches!(c, Component::Normal(_))).collect();
    Ok(Some(target.display().to_string()))
}

fn below(path: &str, directory: &str) -> bool {
    directory.is_empty() || path.strip_prefix(directory).is_some_and(|r| r.starts_with('/'))
}

fn describe(member: &mut tar::Entry<'_, Box<dyn Read + '_>>, tree: &Tree) -> Result<String> {
    let mut xattrs = BTreeMap::new();
    for pair in member.pax_extensions()?.into_iter().flatten() {
        let pair = pair?;
        if let Some(name) = pair.key()?.strip_prefix("SCHILY.xattr.") {
            xattrs.insert(name.to_owned(), String::from_utf8_lossy(pair.value_bytes()).into_owned());
        }
    }
    let header = member.header().clone();
    let kind = header.entry_type();
    if let Some(target) = hard_link(member)? {
        return tree.get(&target).cloned().context("a hard link to a file that isn't there");
    }
    let what = if kind.is_dir() {
        "dir".to_owned()
    } else if kind.is_symlink() {
        format!("link to {}", member.link_name()?.unwrap_or_default().display())
    } else if kind.is_file() {
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes)?;
        contents(&bytes)
    } else {
        format!(
            "{kind:?} {}:{}",
            header.device_major().ok().flatten().unwrap_or(0),
            header.device_minor().ok().flatten().unwrap_or(0)
        )
    };
    ensure!(header.mode()? <= 0o177_777, "a strange mode");
    let mode = if kind.is_symlink() { 0o777 } else { header.mode()? & 0o7777 };
    let mut text = format!("{what} {mode:04o} {}:{}", header.uid()?, header.gid()?);
    if header.mtime()? < OLD {
        text.push_str(&format!(" at {}", header.mtime()?));
    }
    for (name, value) in xattrs {
        text.push_str(&format!(" {name}={value:?}"));
    }
    Ok(text)
}

fn contents(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.len() <= SHOWN => format!("file {text:?}"),
        _ => {
            let hex: String = Sha256::digest(bytes).iter().take(8).map(|b| format!("{b:02x}")).collect();
            format!("file of {} bytes {hex}", bytes.len())
        }
    }
}

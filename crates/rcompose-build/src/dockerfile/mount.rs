//! `RUN --mount=…` (frontend/dockerfile/instructions/commands_runmount.go).

use crate::expand::Mistake;
use crate::known::parse_bool;

use super::words::nearest;

/// One `--mount`, its variables expanded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mount {
    /// `type`.
    pub kind: MountKind,
    /// `from`: a stage, an image or a context.
    pub from: Option<String>,
    /// `source`, `src`.
    pub source: String,
    /// `target`, `dst`, `destination`; may be relative to WORKDIR.
    pub target: String,
    /// Not writable.
    pub read_only: bool,
    /// Bytes of a tmpfs.
    pub size: Option<u64>,
    /// `id`.
    pub id: String,
    /// How a cache is shared.
    pub sharing: Sharing,
    /// A secret or socket that isn't there is an error.
    pub required: bool,
    /// The variable that receives a secret.
    pub env: Option<String>,
    /// `mode`.
    pub mode: Option<u32>,
    /// `uid`.
    pub uid: Option<u32>,
    /// `gid`.
    pub gid: Option<u32>,
}

/// What is mounted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MountKind {
    /// Files of the context, a stage or an image.
    #[default]
    Bind,
    /// A directory that stays between builds.
    Cache,
    /// Memory.
    Tmpfs,
    /// A secret's file or variable.
    Secret,
    /// A socket of an ssh agent.
    Ssh,
}

/// How steps at the same time share a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sharing {
    /// All at once.
    #[default]
    Shared,
    /// Each has its own.
    Private,
    /// One after the other.
    Locked,
}

const KINDS: [(&str, MountKind); 5] = [
    ("bind", MountKind::Bind),
    ("cache", MountKind::Cache),
    ("tmpfs", MountKind::Tmpfs),
    ("secret", MountKind::Secret),
    ("ssh", MountKind::Ssh),
];

const SHARING: [(&str, Sharing); 3] =
    [("shared", Sharing::Shared), ("private", Sharing::Private), ("locked", Sharing::Locked)];

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];

/// Gives a value with its variables expanded.
type Expand<'a> = dyn Fn(&str) -> Result<String, Mistake> + 'a;

fn wrong(message: impl Into<String>, part: &str) -> Mistake {
    Mistake { message: message.into(), part: part.to_owned() }
}

impl Mount {
    /// Reads one; `expand` is asked for each value.
    pub(crate) fn parse(text: &str, expand: &Expand<'_>) -> Result<Self, Mistake> {
        let mut mount = Self::default();
        let mut shared = None;
        if text.is_empty() {
            return Err(wrong("it is empty: write type=…,target=…", ""));
        }
        let mut read_only = None;
        for field in comma_fields(text).map_err(|e| wrong(e, ""))? {
            mount.field(&field, expand, (&mut read_only, &mut shared))?;
        }
        let memory = matches!(mount.kind, MountKind::Cache | MountKind::Tmpfs);
        mount.read_only = read_only.unwrap_or(!memory);
        mount.sharing = shared.unwrap_or_default();
        mount.check(shared.is_some()).map_err(|(message, key)| {
            let part = format!("{key}=");
            let of_key = |f: &&str| f.to_lowercase().starts_with(&part);
            let field = text.split(',').find(|f| !key.is_empty() && of_key(f));
            wrong(message, field.unwrap_or_default())
        })?;
        Ok(mount)
    }

    fn field(
        &mut self,
        field: &str,
        expand: &Expand<'_>,
        (read_only, shared): (&mut Option<bool>, &mut Option<Sharing>),
    ) -> Result<(), Mistake> {
        let mount = self;
        let (key, value) = field.split_once('=').map_or((field, None), |(k, v)| (k, Some(v)));
        let key = key.to_lowercase();
        let Some(value) = value else {
            match key.as_str() {
                "readonly" | "ro" => *read_only = Some(true),
                "readwrite" | "rw" => *read_only = Some(false),
                "required" if mount.may_be_required() => mount.required = true,
                "required" => return Err(wrong(mount.unexpected(&key), field)),
                _ => return Err(wrong(format!("`{field}` isn't of the form key=value"), field)),
            }
            return Ok(());
        };
        let value = if key == "from" { value.to_owned() } else { expand(value)? };
        let bad = || wrong(format!("wrong value `{value}` of {key}"), field);
        match key.as_str() {
            "type" => mount.kind = one_of("mount type", &value, &KINDS).map_err(|e| wrong(e, field))?,
            "from" => mount.from = Some(value).filter(|v| !v.is_empty()),
            "source" | "src" => mount.source = value,
            "target" | "dst" | "destination" => mount.target = value,
            "readonly" | "ro" => *read_only = Some(parse_bool(&value).ok_or_else(bad)?),
            "readwrite" | "rw" => *read_only = Some(!parse_bool(&value).ok_or_else(bad)?),
            "required" if mount.may_be_required() => mount.required = parse_bool(&value).ok_or_else(bad)?,
            "size" if mount.kind == MountKind::Tmpfs => mount.size = Some(bytes(&value).ok_or_else(bad)?),
            "required" | "size" => return Err(wrong(mount.unexpected(&key), field)),
            "id" => mount.id = value,
            "sharing" => *shared = Some(one_of("sharing", &value, &SHARING).map_err(|e| wrong(e, field))?),
            "mode" => mount.mode = Some(u32::from_str_radix(&value, 8).map_err(|_| bad())?),
            "uid" => mount.uid = Some(value.parse().map_err(|_| bad())?),
            "gid" => mount.gid = Some(value.parse().map_err(|_| bad())?),
            "env" => mount.env = Some(value),
            _ => {
                let near = nearest(&key, KEYS).map(|k| format!(" (did you mean `{k}`?)")).unwrap_or_default();
                return Err(wrong(format!("unexpected key `{key}`{near}"), field));
            }
        }
        Ok(())
    }

    /// What a mount's `from` names, before anything else is known of it.
    pub(crate) fn from_of(text: &str) -> Option<String> {
        let from = |f: &String| {
            let (key, value) = f.split_once('=')?;
            (key.eq_ignore_ascii_case("from") && !value.is_empty()).then(|| value.to_owned())
        };
        comma_fields(text).ok()?.iter().rev().find_map(from)
    }

    fn may_be_required(&self) -> bool {
        matches!(self.kind, MountKind::Secret | MountKind::Ssh)
    }

    fn name(&self) -> &'static str {
        KINDS.iter().find(|(_, k)| *k == self.kind).map_or("bind", |(n, _)| n)
    }

    fn unexpected(&self, key: &str) -> String {
        format!("unexpected key `{key}` for the mount type `{}`", self.name())
    }

    /// What is wrong, and its key.
    fn check(&self, shared: bool) -> Result<(), (String, &'static str)> {
        let unexpected = |key| Err((self.unexpected(key), key));
        if matches!(self.kind, MountKind::Bind | MountKind::Tmpfs) {
            let set =
                [("mode", self.mode.is_some()), ("uid", self.uid.is_some()), ("gid", self.gid.is_some())];
            if let Some((key, _)) = set.iter().find(|(_, set)| *set) {
                return unexpected(key);
            }
        }
        if shared && self.kind != MountKind::Cache {
            return unexpected("sharing");
        }
        let named = !(self.source.is_empty() && self.target.is_empty() && self.id.is_empty());
        match self.kind {
            MountKind::Secret if self.from.is_some() => unexpected("from"),
            MountKind::Secret if !named => Err(("a secret needs one of id and target".to_owned(), "")),
            MountKind::Secret if !self.source.is_empty() && !self.id.is_empty() => {
                Err(("a secret can't have both a source and an id".to_owned(), ""))
            }
            MountKind::Ssh if !self.source.is_empty() => unexpected("source"),
            _ => Ok(()),
        }
    }
}

fn one_of<T: Copy>(what: &str, value: &str, all: &[(&str, T)]) -> Result<T, String> {
    let lower = value.to_lowercase();
    all.iter().find(|(name, _)| *name == lower).map(|(_, v)| *v).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|(n, _)| *n).collect();
        format!("unknown {what} `{value}`: use one of {}", names.join(", "))
    })
}

/// `64m`, `1.5GiB`, `1024` (docker/go-units RAMInBytes).
fn bytes(text: &str) -> Option<u64> {
    let lower = text.trim().to_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let number: f64 = lower[..digits].parse().ok()?;
    let unit = lower[digits..].trim_start();
    let power = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    Some((number * 1024f64.powi(power)) as u64)
}

/// One line of comma-separated values; a field in double quotes may have commas, `""` is a quote.
pub fn comma_fields(text: &str) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    let mut rest = text;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (field, after) = quoted_field(quoted).ok_or_else(|| "a quote isn't closed".to_owned())?;
            all.push(field);
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None if after.is_empty() => return Ok(all),
                None => return Err("text behind a closing quote".to_owned()),
            }
            continue;
        }
        let (field, next) = rest.split_once(',').map_or((rest, None), |(f, n)| (f, Some(n)));
        if field.contains('"') {
            return Err("a quote inside a field that isn't quoted".to_owned());
        }
        all.push(field.to_owned());
        match next {
            Some(next) => rest = next,
            None => return Ok(all),
        }
    }
}

fn quoted_field(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"')?;
        field.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None => return Some((field, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let parse = |text: &str| Mount::parse(text, &|v| Ok(v.replace("$v", "value")));
        let cache = parse("type=cache,target=/$v,id=x,sharing=locked,mode=0700,uid=1,gid=2").unwrap();
        assert_eq!(
            (cache.kind, cache.target.as_str(), cache.sharing),
            (MountKind::Cache, "/value", Sharing::Locked)
        );
        assert_eq!(
            (cache.mode, cache.uid, cache.gid, cache.read_only),
            (Some(0o700), Some(1), Some(2), false)
        );
        assert!(parse("target=/a").unwrap().read_only && !parse("target=/a,rw").unwrap().read_only);
        assert!(
            !parse("target=/a,ro=false").unwrap().read_only
                && parse("type=cache,dst=/a,ro").unwrap().read_only
        );
        assert_eq!(parse("type=tmpfs,target=/t,size=1.5m").unwrap().size, Some(1536 * 1024));
        assert_eq!(parse("type=secret,id=a,env=TOKEN,required").unwrap().env.as_deref(), Some("TOKEN"));
        assert_eq!(parse("\"target=/a,b\",src=c").unwrap().target, "/a,b");
        assert_eq!(Mount::from_of("type=bind,FROM=build,target=/x").as_deref(), Some("build"));
        for (text, want) in [
            ("type=bnd", "unknown mount type `bnd`: use one of bind, cache, tmpfs, secret, ssh"),
            ("type=cache,tagret=/a", "unexpected key `tagret` (did you mean `target`?)"),
            ("type=cache,target", "`target` isn't of the form key=value"),
            ("target=/a,size=1", "unexpected key `size` for the mount type `bind`"),
            ("target=/a,required", "unexpected key `required` for the mount type `bind`"),
            ("target=/a,mode=1", "unexpected key `mode` for the mount type `bind`"),
            ("type=tmpfs,target=/a,sharing=locked", "unexpected key `sharing` for the mount type `tmpfs`"),
            ("type=cache,sharing=x", "unknown sharing `x`: use one of shared, private, locked"),
            ("type=secret", "a secret needs one of id and target"),
            ("type=secret,id=a,src=b", "a secret can't have both a source and an id"),
            ("type=ssh,src=b", "unexpected key `source` for the mount type `ssh`"),
            ("type=cache,uid=x", "wrong value `x` of uid"),
            ("\"a", "a quote isn't closed"),
        ] {
            assert_eq!(parse(text).unwrap_err().message, want, "{text}");
        }
        assert_eq!(parse("type=cache,tagret=/a,id=b").unwrap_err().part, "tagret=/a");
        assert_eq!(parse("target=/a,mode=1").unwrap_err().part, "mode=1");
    }
}

use crate::dockerfile::{Dockerfile, directive};

use crate::known::{CHECK, parse_bool};
use crate::{BuildError, BuildRequest};

use super::rules::Rule;

/// `# check=skip=A,B;experimental=C;error=true`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Options {
    skip: Vec<String>,
    experimental: Vec<String>,
    pub(super) error: bool,
}

impl Options {
    /// What is given counts instead of what the file says; that, as BuildKit reads it, up to the first blank.
    pub(super) fn of_build(file: &Dockerfile, req: &BuildRequest) -> Result<Self, BuildError> {
        if let Some(Some(given)) = req.args.get(CHECK) {
            return Self::of(Some(given)).map_err(|mut e| {
                e.message = format!("build argument {CHECK}: {}", e.message);
                e
            });
        }
        Self::of(file.directives.check.as_deref().and_then(|c| c.split(' ').next()))
    }

    fn of(text: Option<&str>) -> Result<Self, BuildError> {
        let text = text.unwrap_or_default().trim();
        let mut options = Self::default();
        for part in text.splitn(3, ';').filter(|_| !text.is_empty()) {
            let wrong = || {
                BuildError::input(format!("invalid check option `{}`", part.trim()))
                    .help("write `# check=skip=Rule,Rule;error=true`")
            };
            let (key, value) = part.split_once('=').ok_or_else(wrong)?;
            let list = || value.split(',').map(|r| r.trim().to_owned()).collect();
            match (key.trim(), value.trim()) {
                ("skip", _) => options.skip = list(),
                ("experimental", _) => options.experimental = list(),
                ("error", value) => options.error = parse_bool(value).ok_or_else(wrong)?,
                _ => return Err(wrong()),
            }
        }
        Ok(options)
    }

    /// Whether a rule isn't looked at, in the whole file or where these comments stand above.
    pub(super) fn skips(&self, rule: &Rule, comments: &[String]) -> bool {
        let check = |c: &String| directive(c).filter(|(key, _)| key == "check").map(|(_, v)| v.to_owned());
        // As BuildKit does, one that isn't understood is none, and only the first counts.
        let here = comments.iter().find_map(check);
        let here = here.and_then(|c| Self::of(c.split(' ').next()).ok()).unwrap_or_default();
        let has = |pick: fn(&Self) -> &Vec<String>| {
            [self, &here].iter().any(|o| pick(o).iter().any(|r| r == "all" || r == rule.name))
        };
        if rule.experimental { !has(|o| &o.experimental) } else { has(|o| &o.skip) }
    }
}

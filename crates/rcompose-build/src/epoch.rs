//! `SOURCE_DATE_EPOCH`: what everything is dated with (reproducible-builds.org/docs/source-date-epoch). It is a number, or
//! says what has the date: the context, one of its companions, or a stage that does nothing but fetch (BuildKit,
//! docs/build-repro.md and frontend/dockerfile/dockerfile2llb/epoch.go).

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcompose_image::{Digest, ImageConfig, Platform};

use crate::archive::decoded;
use crate::copy::{checked_sum, sum_of_file};
use crate::dockerfile::{Copy, Dockerfile, Kind, Position, Stage};
use crate::download::fetched;
use crate::error::Culprit;
use crate::expand::expand;
use crate::known::{EPOCH, LAST_SECOND};
use crate::plan::{Plan, context_named, stage_named};
use crate::remote::Remote;
use crate::state::State;
use crate::{BuildError, BuildRequest, GitAccess, GitSource, ImageSource};

/// What its value means.
#[derive(Debug)]
pub(crate) enum Epoch {
    Unset,
    /// Since 1970.
    Seconds(u64),
    Http {
        url: String,
        name: String,
        checksum: Option<Digest>,
    },
    Git(Box<GitSource>),
}

/// A mistake, and where it is, unless it was given from outside.
type Wrong = (BuildError, Option<Position>);

/// What was given from outside has no place in the Dockerfile.
pub(crate) fn placed(error: BuildError, at: Option<Position>, name: &str, text: &str) -> BuildError {
    match at {
        Some(at) => error.place(name, text, at),
        None => error,
    }
}

/// Reads the value that is given, else the Dockerfile's own; nothing is fetched.
pub(crate) fn read(file: &Dockerfile, req: &BuildRequest, plan: &Plan) -> Result<Epoch, Wrong> {
    let (text, at) = match (req.args.get(EPOCH), plan.globals.get(EPOCH)) {
        (Some(Some(given)), _) => (given, None),
        (_, Some(own)) => (own, declared(file)),
        _ => return Ok(Epoch::Unset),
    };
    if text.is_empty() {
        return Ok(Epoch::Unset);
    }
    let invalid = |help: &str| {
        let error = BuildError::input(format!("invalid {EPOCH} `{text}`")).help(help);
        (error.about(Culprit::Text(text.clone())), at)
    };
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let seconds = text.parse().ok().filter(|seconds| *seconds <= LAST_SECOND);
        let late = || invalid("it is after the year 9999: write the seconds since 1970-01-01");
        return seconds.map(Epoch::Seconds).ok_or_else(late);
    }
    let time = |source: Option<&crate::ContextSource>| match source.and_then(|s| s.time) {
        Some(seconds) => Epoch::Seconds(seconds),
        // A directory has no date of its own.
        None => Epoch::Unset,
    };
    if text == "context" {
        return Ok(time(req.context_source.as_ref()));
    }
    if context_named(req, text).is_some() {
        return Ok(time(req.context_sources.get(text)));
    }
    if let Some(number) = stage_named(file, text, file.stages.len()) {
        let stage = &file.stages[number];
        return of_stage(file, req, plan, stage).map_err(|(e, at)| (e, Some(at)));
    }
    Err(invalid("write the seconds since 1970-01-01, `context`, or the name of a context or stage"))
}

/// The instruction that has it.
fn declared(file: &Dockerfile) -> Option<Position> {
    let has = |kind: &Kind| matches!(kind, Kind::Arg(all) if all.iter().any(|(n, _)| n == EPOCH));
    file.global_args.iter().rfind(|i| has(&i.kind)).map(|i| i.at)
}

fn of_stage(
    file: &Dockerfile,
    req: &BuildRequest,
    plan: &Plan,
    stage: &Stage,
) -> Result<Epoch, (BuildError, Position)> {
    let name = stage.from.name.as_deref().unwrap_or_default();
    let wrong = |why: &str| {
        BuildError::input(format!("the stage `{name}` can't date the build: {why}"))
            .help("it may have nothing but `FROM scratch`, ARG and one ADD of an address or a repository")
    };
    let escape = file.directives.escape;
    let base = expand(&stage.from.image, escape, &|n| plan.globals.get(n).cloned());
    if base.map_err(|e| (BuildError::from(e), stage.at))? != "scratch" {
        return Err((wrong("it has a base"), stage.at));
    }
    let mut globals = plan.globals.clone();
    globals.remove(EPOCH);
    let mut state = State::new(ImageConfig::new(&Platform::host()), escape);
    let mut found = None;
    for one in &stage.instructions {
        match &one.kind {
            Kind::Arg(pairs) => state.declare(pairs, &req.args, &globals).map_err(|e| (e, one.at))?,
            Kind::Add(add) if found.is_none() => {
                found = Some(of_add(&state, add, &wrong).map_err(|e| (e, one.at))?);
            }
            Kind::Add(_) => return Err((wrong("it has more than one ADD"), one.at)),
            _ => {
                let word = one.text.split_whitespace().next().unwrap_or_default().to_uppercase();
                return Err((wrong(&format!("it has {word}")), one.at));
            }
        }
    }
    found.ok_or_else(|| (wrong("it has no ADD"), stage.at))
}

fn of_add(state: &State, add: &Copy, wrong: &dyn Fn(&str) -> BuildError) -> Result<Epoch, BuildError> {
    let ([source], []) = (add.sources.as_slice(), add.heredocs.as_slice()) else {
        return Err(wrong("its ADD has several sources"));
    };
    let sources = [state.expand(source)?];
    let remote = Remote::parse(&sources[0])?.ok_or_else(|| wrong("its ADD fetches nothing"))?;
    let sum = add.checksum.as_ref().map(|c| state.expand(c)).transpose()?;
    let sum = checked_sum(sum, &sources)?;
    Ok(match remote {
        Remote::Http { url, name } => {
            Epoch::Http { url, name, checksum: sum.as_deref().map(sum_of_file).transpose()? }
        }
        Remote::Git(mut source) => {
            source.checksum = sum.or(source.checksum);
            source.commit_time = true;
            Epoch::Git(Box::new(source))
        }
    })
}

impl Epoch {
    /// The seconds since 1970, once it is fetched.
    pub(crate) fn seconds(
        &self,
        req: &BuildRequest,
        images: &dyn ImageSource,
    ) -> Result<Option<u64>, BuildError> {
        let time = match self {
            Self::Unset => None,
            Self::Seconds(seconds) => return Ok(Some(*seconds)),
            Self::Http { url, name, checksum } => {
                let (_held, directory, _) = fetched(req, url, name, checksum.as_ref())?;
                let path = directory.join(name);
                let of_file = |e| BuildError::io("read", &path, e);
                let server = fs::metadata(&path).and_then(|m| m.modified()).map_err(of_file)?;
                // Without a date of the server's it is as old as can be.
                if server > SystemTime::UNIX_EPOCH { Some(server) } else { newest(&path).map_err(of_file)? }
            }
            Self::Git(source) => {
                let mut source = GitSource::clone(source);
                source.check()?;
                source.access = GitAccess::of(&source.repository, &req.secrets, &req.ssh)?;
                let failed = |e| BuildError::environment("failed to fetch what dates the build", e);
                let (root, _) = images.checkout(&source).map_err(failed)?;
                let time = fs::metadata(&root).and_then(|m| m.modified());
                Some(time.map_err(|e| BuildError::io("read", &root, e))?)
            }
        };
        let seconds = time.and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok()).map(|d| d.as_secs());
        match seconds {
            Some(late) if late > LAST_SECOND => {
                Err(BuildError::input(format!("what {EPOCH} names is from after the year 9999"))
                    .help("give the seconds since 1970-01-01 instead"))
            }
            seconds => Ok(seconds),
        }
    }
}

/// The date of the youngest file in an archive; what isn't one has none.
fn newest(path: &Path) -> io::Result<Option<SystemTime>> {
    let mut archive = tar::Archive::new(decoded(path)?);
    let mut newest = None;
    let Ok(entries) = archive.entries() else { return Ok(None) };
    for entry in entries {
        let Ok(entry) = entry else { return Ok(None) };
        if entry.header().entry_type().is_file()
            && let Ok(seconds) = entry.header().mtime()
        {
            // Any number fits into a header; one that is no date is as late as can be.
            let late = Duration::from_secs(seconds.min(LAST_SECOND + 1));
            newest = newest.max(Some(SystemTime::UNIX_EPOCH + late));
        }
    }
    Ok(newest)
}

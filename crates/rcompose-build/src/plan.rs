//! What each stage stands on, and which stages the target needs.

use std::collections::BTreeMap;

use rcompose_image::{Platform, Reference};

use crate::dockerfile::words::nearest;
use crate::dockerfile::{Dockerfile, Instruction, Kind, Mount, Position, Stage};
use crate::error::Culprit;
use crate::expand::{Lex, Mistake, expand};
use crate::{BuildError, BuildRequest};

/// What a name in FROM or `--from` stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    Scratch,
    Stage(usize),
    Image(String),
    Context(String),
}

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) bases: Vec<Base>,
    pub(crate) platforms: Vec<Platform>,
    pub(crate) target: usize,
    /// In an order in which each follows what it needs.
    pub(crate) needed: Vec<usize>,
    pub(crate) globals: BTreeMap<String, String>,
}

type Located = (BuildError, Position);

pub(crate) fn plan(file: &Dockerfile, req: &BuildRequest) -> Result<Plan, Located> {
    let escape = file.directives.escape;
    let wanted = req.platform.clone().unwrap_or_else(Platform::host);
    let globals = globals(file, req, &req.args)?;
    let (mut bases, mut platforms) = (Vec::new(), Vec::new());
    for (number, stage) in file.stages.iter().enumerate() {
        let failed = |e: Mistake| (BuildError::from(e), stage.at);
        let get = |n: &str| globals.get(n).cloned();
        let image = expand(&stage.from.image, escape, &get).map_err(failed)?;
        if image.trim().is_empty() {
            let error = BuildError::input(format!("`{}` in FROM has no value", stage.from.image));
            let error = match unset(file, &globals, &stage.from.image) {
                Some(help) => error.help(help),
                None => {
                    error.help("give the variable a value by ARG before the first FROM, or by --build-arg")
                }
            };
            return Err((error.about(Culprit::Text(stage.from.image.clone())), stage.at));
        }
        let base = base(file, req, &image, number);
        platforms.push(match &stage.from.platform {
            None => wanted.clone(),
            Some(written) => {
                let text = expand(written, escape, &get).map_err(failed)?;
                let help = |e: BuildError| {
                    let e = e.about(Culprit::Text(written.clone()));
                    match unset(file, &globals, written) {
                        Some(help) => (e.help(help), stage.at),
                        None => (e, stage.at),
                    }
                };
                if text.is_empty() {
                    let error = format!("`--platform={written}` in FROM has no value");
                    return Err(help(BuildError::input(error)));
                }
                let platform = text.parse().map_err(|e| {
                    help(BuildError::environment(format!("wrong platform `{text}` in FROM"), e))
                })?;
                // Nothing has no platform of its own.
                if base == Base::Scratch { wanted.clone() } else { platform }
            }
        });
        bases.push(base);
    }
    let target = target(file, req)?;
    let mut plan = Plan { bases, platforms, target, needed: Vec::new(), globals };
    let mut state = vec![Visit::New; file.stages.len()];
    visit(file, req, &mut plan, target, (&mut state, &mut Vec::new()))?;
    Ok(plan)
}

/// Who wants an image: a stage stands on it, or copies from it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asked {
    Base(usize),
    Copied,
}

impl Plan {
    /// What is wrong with the name of an image, if anything is.
    pub(crate) fn wrong_name(&self, file: &Dockerfile, image: &str, asked: Asked) -> Option<BuildError> {
        let wrong = image.parse::<Reference>().err()?;
        let mut error = BuildError::environment("wrong name of an image", wrong);
        error.help = self.advice(file, image, asked);
        Some(error)
    }

    /// What to do about an image that can't be had: perhaps a stage was meant, or a variable has no value.
    pub(crate) fn advice(&self, file: &Dockerfile, image: &str, asked: Asked) -> Option<String> {
        if let Some(bare) = image.strip_prefix("http://").or_else(|| image.strip_prefix("https://")) {
            return Some(format!("write it without the scheme: `{bare}`"));
        }
        if image.starts_with("scratch:") {
            return Some("write `FROM scratch`, which has no tag".to_owned());
        }
        match asked {
            Asked::Base(number) => {
                if let Some(unset) = unset(file, &self.globals, &file.stages[number].from.image) {
                    return Some(unset);
                }
                let later = stage_named(file, image, file.stages.len()).is_some();
                if later && image == image.to_lowercase() {
                    return Some(format!("the stage `{image}` begins after this one: move it up"));
                }
                nearest(image, names(&file.stages[..number]))
                    .map(|n| format!("did you mean the stage `{n}`?"))
            }
            Asked::Copied => Some(match nearest(image, names(&file.stages)) {
                Some(near) => format!("did you mean the stage `{near}`?"),
                None => format!("no stage is called `{image}`, so it was taken for the name of an image"),
            }),
        }
    }
}

/// What to do about the first variable of a text that has no value, if there is one.
fn unset(file: &Dockerfile, globals: &BTreeMap<String, String>, text: &str) -> Option<String> {
    let expanded = Lex::new(file.directives.escape).process(text, &|n| globals.get(n).cloned()).ok()?;
    let name = expanded.unmatched.into_iter().next()?;
    Some(match nearest(&name, globals.keys().map(String::as_str)) {
        Some(near) => format!("`{name}` has no value: did you mean `{near}`?"),
        None => format!(
            "`{name}` has no value: declare it by `ARG {name}=…` before the first FROM, or give it by --build-arg"
        ),
    })
}

/// The variables of FROM: platforms and the ARGs before the first FROM, with these arguments given.
pub(crate) fn globals(
    file: &Dockerfile,
    req: &BuildRequest,
    args: &BTreeMap<String, Option<String>>,
) -> Result<BTreeMap<String, String>, Located> {
    let escape = file.directives.escape;
    let host = Platform::host();
    let wanted = req.platform.clone().unwrap_or_else(|| host.clone());
    let mut globals = platform_args(&host, &wanted);
    let last = || file.stages.last().and_then(|s| s.from.name.clone());
    let stage = req.target.clone().or_else(last).unwrap_or_else(|| "default".to_owned());
    globals.insert("TARGETSTAGE".to_owned(), stage);
    for (name, value) in &mut globals {
        if let Some(Some(given)) = args.get(name) {
            value.clone_from(given);
        }
    }
    for arg in &file.global_args {
        let Kind::Arg(pairs) = &arg.kind else { continue };
        for (name, default) in pairs {
            let given = args.get(name).cloned().flatten();
            let value = match (given, default) {
                (Some(v), _) => Some(v),
                (None, Some(text)) => Some(
                    expand(text, escape, &|n| globals.get(n).cloned())
                        .map_err(|e| (BuildError::from(e), arg.at))?,
                ),
                (None, None) => None,
            };
            if let Some(value) = value {
                globals.insert(name.clone(), value);
            }
        }
    }
    Ok(globals)
}

fn base(file: &Dockerfile, req: &BuildRequest, image: &str, number: usize) -> Base {
    if let Some(place) = replaced(file, req, number) {
        return named_context(place);
    }
    // Unlike in `--from` the case counts, and names of stages are kept in lower case.
    if let Some(n) = stage_named(file, image, number).filter(|_| image == image.to_lowercase()) {
        return Base::Stage(n);
    }
    outside(req, image)
}

/// What no stage is called.
fn outside(req: &BuildRequest, name: &str) -> Base {
    if name == "scratch" {
        return Base::Scratch;
    }
    match context_named(req, name) {
        Some(place) => named_context(place),
        None => Base::Image(name.to_owned()),
    }
}

/// The context that stands in for a stage of its name: nothing of the stage is done.
pub(crate) fn replaced<'a>(file: &Dockerfile, req: &'a BuildRequest, number: usize) -> Option<&'a str> {
    context_named(req, file.stages[number].from.name.as_deref()?)
}

/// The context of a name, `alpine` being `docker.io/library/alpine:latest`, too.
pub(crate) fn context_named<'a>(req: &'a BuildRequest, name: &str) -> Option<&'a str> {
    if ["scratch", "context"].iter().any(|n| name.eq_ignore_ascii_case(n)) {
        return None;
    }
    let whole = |n: &str| n.parse::<Reference>().ok().map(|r| r.canonical());
    let found = req.additional_contexts.get(name).or_else(|| {
        let wanted = whole(name)?;
        req.additional_contexts.iter().find(|(n, _)| whole(n).as_ref() == Some(&wanted)).map(|(_, p)| p)
    });
    found.map(String::as_str)
}

fn named_context(place: &str) -> Base {
    match place.strip_prefix("docker-image://") {
        Some("scratch") => Base::Scratch,
        Some(image) => Base::Image(image.to_owned()),
        None => Base::Context(place.to_owned()),
    }
}

pub(crate) fn stage_named(file: &Dockerfile, name: &str, before: usize) -> Option<usize> {
    let lower = name.to_lowercase();
    file.stages[..before].iter().rposition(|s| s.from.name.as_deref() == Some(&lower))
}

/// What `--from` names, in a stage.
pub(crate) fn from(
    file: &Dockerfile,
    req: &BuildRequest,
    name: &str,
    current: usize,
) -> Result<Base, BuildError> {
    if let Ok(number) = name.parse::<usize>() {
        if number < current {
            return Ok(Base::Stage(number));
        }
        return Err(BuildError::input(format!("--from={number} isn't a stage before this one"))
            .help(format!("stages before it: {}", stages(file, current))));
    }
    // Any stage by name, a later one too; cycles are found when stages are ordered.
    let all = file.stages.len();
    Ok(match stage_named(file, name, current).or_else(|| stage_named(file, name, all)) {
        Some(n) => Base::Stage(n),
        None => {
            let found = outside(req, name);
            if let Base::Image(image) = &found
                && image.parse::<Reference>().is_err()
            {
                return Err(no_image(name));
            }
            found
        }
    })
}

fn no_image(name: &str) -> BuildError {
    let error = BuildError::input(format!("`--from={name}` is neither a stage nor the name of an image"));
    if name.contains('$') {
        return error
            .help("variables aren't expanded here: `FROM` the image into a stage of its own, with an ARG before the first FROM");
    }
    error.help("correct it, or name a stage of this Dockerfile")
}

fn stages(file: &Dockerfile, before: usize) -> String {
    let all: Vec<String> = (0..before).map(|n| called(file, n)).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

fn target(file: &Dockerfile, req: &BuildRequest) -> Result<usize, Located> {
    let last = file.stages.len() - 1;
    let Some(name) = &req.target else { return Ok(last) };
    if let Some(n) = stage_named(file, name, last + 1) {
        return Ok(n);
    }
    let names: Vec<&str> = file.stages.iter().filter_map(|s| s.from.name.as_deref()).collect();
    let number = name.parse().ok().filter(|n| *n <= last);
    let hint = match (nearest(name, names.iter().copied()), number) {
        (_, Some(_)) => "a target is a name, not a number: write `AS NAME` behind this FROM".to_owned(),
        (Some(near), None) => format!("did you mean `{near}`? the stages are: {}", names.join(", ")),
        (None, None) if names.is_empty() => "no stage has a name: write `AS NAME` behind its FROM".to_owned(),
        (None, None) => format!("the stages are: {}", names.join(", ")),
    };
    let error = BuildError::input(format!("no stage `{name}` in the Dockerfile")).help(hint);
    Err((error, Position { line: file.stages[number.unwrap_or(last)].at.line, column: 1 }))
}

#[derive(Clone, Copy, PartialEq)]
enum Visit {
    New,
    Open,
    Done,
}

fn visit(
    file: &Dockerfile,
    req: &BuildRequest,
    plan: &mut Plan,
    stage: usize,
    (state, open): (&mut [Visit], &mut Vec<usize>),
) -> Result<(), Located> {
    state[stage] = Visit::Open;
    open.push(stage);
    let mut needs: Vec<(usize, Position)> = Vec::new();
    if let Base::Stage(n) = plan.bases[stage] {
        needs.push((n, file.stages[stage].at));
    }
    let own = &file.stages[stage].instructions;
    for one in own.iter().filter(|_| replaced(file, req, stage).is_none()) {
        for name in froms(one) {
            if let Base::Stage(n) = from(file, req, &name, stage).map_err(|e| (e, one.at))? {
                needs.push((n, one.at));
            }
        }
    }
    for (need, at) in needs {
        match state[need] {
            Visit::Done => {}
            Visit::New => visit(file, req, plan, need, (state, open))?,
            Visit::Open => {
                let begin = open.iter().position(|s| *s == need).unwrap_or_default();
                let round = open[begin..].iter().chain([&need]).map(|s| called(file, *s)).collect::<Vec<_>>();
                let message = format!("stage `{}` needs itself: {}", called(file, need), round.join(" → "));
                return Err((BuildError::input(message).help("let one of them do without the other"), at));
            }
        }
    }
    state[stage] = Visit::Done;
    open.pop();
    plan.needed.push(stage);
    Ok(())
}

fn names(stages: &[Stage]) -> impl Iterator<Item = &str> {
    stages.iter().filter_map(|s| s.from.name.as_deref())
}

/// A stage's name, or its number.
pub(crate) fn called(file: &Dockerfile, stage: usize) -> String {
    file.stages[stage].from.name.clone().unwrap_or_else(|| stage.to_string())
}

/// The `--from`s of an instruction.
pub(crate) fn froms(one: &Instruction) -> Vec<String> {
    match &one.kind {
        Kind::Copy(copy) => copy.from.iter().cloned().collect(),
        Kind::Run(run) => run.mounts.iter().filter_map(|m| Mount::from_of(m)).collect(),
        _ => Vec::new(),
    }
}

fn platform_args(build: &Platform, target: &Platform) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (prefix, p) in [("BUILD", build), ("TARGET", target)] {
        all.insert(format!("{prefix}PLATFORM"), p.to_string());
        all.insert(format!("{prefix}OS"), p.os.clone());
        all.insert(format!("{prefix}OSVERSION"), String::new());
        all.insert(format!("{prefix}ARCH"), p.architecture.clone());
        all.insert(format!("{prefix}VARIANT"), p.variant.clone().unwrap_or_default());
    }
    all
}

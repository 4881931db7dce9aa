//! `build --check`: what BuildKit's linter says of a Dockerfile, without building it.

mod file;
mod options;
mod rules;
mod stages;

use crate::dockerfile::{Dockerfile, parse_partly};
use crate::epoch;
use crate::ignore::Ignore;
use crate::plan::plan;
use crate::recipe::{context, dockerfile};
use crate::solve::Located;
use crate::{BuildError, BuildRequest, ImageSource};

pub(crate) use stages::base_config;

use options::Options;
use rules::Rule;

/// Something that isn't wrong but probably not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lint {
    /// BuildKit's name of the rule.
    pub rule: &'static str,
    /// What the rule is about.
    pub description: &'static str,
    /// Where it is explained.
    pub url: String,
    /// What is found here.
    pub message: String,
    /// First line, from 1.
    pub line: usize,
    /// Last line.
    pub last_line: usize,
}

/// What is found in a Dockerfile.
#[derive(Debug)]
pub struct LintReport {
    /// The Dockerfile's name to show.
    pub file: String,
    /// Its text.
    pub text: String,
    /// In the order of BuildKit.
    pub lints: Vec<Lint>,
    /// `# check=error=true`, and there is one: the build fails.
    pub fails: bool,
    /// What is plainly wrong; then what stands behind it isn't looked at.
    pub error: Option<BuildError>,
}

/// Reads the Dockerfile of a request and checks all its stages, or those that the target needs.
///
/// `images` tells the variables of base images; one that can't be had is taken to have every variable.
///
/// Errors: there is no Dockerfile or context.
pub fn check(req: &BuildRequest, images: &dyn ImageSource) -> Result<LintReport, BuildError> {
    let (name, path, text) = dockerfile(req)?;
    let mut report =
        LintReport { file: name.clone(), text: text.clone(), lints: Vec::new(), fails: false, error: None };
    let (mut file, errors) = parse_partly(&text);
    let options = match Options::of_build(&file, req) {
        Ok(options) => options,
        Err(error) => {
            report.error = Some(error);
            return Ok(report);
        }
    };
    let mut linter = Linter { options, lints: Vec::new() };
    if let Some(first) = errors.first().map(|e| e.at.line) {
        until(&mut file, first);
        file::read(&mut linter, &file);
        report.lints = linter.lints;
        report.error = Some(BuildError::from_parse(&name, &text, errors));
        return Ok(report);
    }
    let all = req.target.is_none();
    let ignore = match req.context.is_dir() {
        true => context(&req.context, path.as_deref(), "the build context").map(|c| c.ignore),
        false => Ok(Ignore::default()),
    };
    let ignore = match ignore {
        Ok(ignore) => ignore,
        Err(error) => {
            report.error = Some(error);
            return Ok(report);
        }
    };
    let checked = linter.check(&file, req, &ignore, (images, all));
    report.error = checked.err().map(|(e, at)| e.place(&name, &text, at));
    if report.error.is_none()
        && let Ok(plan) = plan(&file, req)
        && let Err((error, at)) = epoch::read(&file, req, &plan)
    {
        report.error = Some(epoch::placed(error, at, &name, &text));
    }
    report.fails = linter.options.error && !linter.lints.is_empty();
    report.lints = linter.lints;
    Ok(report)
}

/// Takes away what begins in a line or behind it.
fn until(file: &mut Dockerfile, line: usize) {
    file.global_args.retain(|a| a.at.line < line);
    file.stages.retain(|s| s.at.line < line);
    for stage in &mut file.stages {
        stage.instructions.retain(|i| i.at.line < line);
    }
}

/// Before a build: `# check=` must be understood, and with `error=true` nothing may be found in the stages it needs.
pub(crate) fn refuse(
    file: &Dockerfile,
    req: &BuildRequest,
    ignore: &Ignore,
    images: &dyn ImageSource,
) -> Result<(), BuildError> {
    let mut linter = Linter { options: Options::of_build(file, req)?, lints: Vec::new() };
    if !linter.options.error {
        return Ok(());
    }
    linter.check(file, req, ignore, (images, false)).map_err(|(e, _)| e)?;
    let Some(first) = linter.lints.first() else { return Ok(()) };
    let mut rules: Vec<&str> = linter.lints.iter().map(|l| l.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    let message = format!("the checks found {}: {} (line {})", rules.join(", "), first.message, first.line);
    Err(BuildError::input(message).help("mend it, or take `error=true` out of the checks' options"))
}

/// After a build: what is found in the stages it needed, in the order of their lines.
pub(crate) fn found(
    file: &Dockerfile,
    req: &BuildRequest,
    ignore: &Ignore,
    images: &dyn ImageSource,
) -> Vec<Lint> {
    let Ok(options) = Options::of_build(file, req) else { return Vec::new() };
    let mut linter = Linter { options, lints: Vec::new() };
    // The images are here now.
    let req = &BuildRequest { pull: false, ..req.clone() };
    // It has been built: what can't be checked further isn't wrong.
    if linter.check(file, req, ignore, (images, false)).is_err() {
        return Vec::new();
    }
    linter.lints.sort_by_key(|l| l.line);
    linter.lints
}

/// Collects what isn't to be skipped.
struct Linter {
    options: Options,
    lints: Vec<Lint>,
}

/// Where something stands, and the comments above it, which may skip rules there.
#[derive(Clone, Copy)]
struct Place<'a> {
    line: usize,
    last_line: usize,
    comments: &'a [String],
}

impl Linter {
    fn check(
        &mut self,
        file: &Dockerfile,
        req: &BuildRequest,
        ignore: &Ignore,
        (images, all): (&dyn ImageSource, bool),
    ) -> Result<(), Located> {
        file::check(self, file, req)?;
        stages::check(self, file, req, ignore, (images, all))
    }

    fn add(&mut self, rule: &'static Rule, at: Place<'_>, message: String) {
        if self.options.skips(rule, at.comments) {
            return;
        }
        self.lints.push(Lint {
            rule: rule.name,
            description: rule.description,
            url: rule.url(),
            message,
            line: at.line,
            last_line: at.last_line,
        });
    }
}

fn of_instruction(one: &crate::dockerfile::Instruction) -> Place<'_> {
    Place { line: one.at.line, last_line: one.last_line, comments: &one.comments }
}

fn of_stage(stage: &crate::dockerfile::Stage) -> Place<'_> {
    Place { line: stage.at.line, last_line: stage.last_line, comments: &stage.comments }
}

/// An instruction's name as written.
fn word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or("")
}

/// The name that was probably meant: fewer than three edits away (buildkit util/suggest).
fn suggestion<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> String {
    let mut best: Option<(usize, &str)> = None;
    for name in names {
        let distance = crate::dockerfile::words::edits(wrong, name);
        if distance == 0 {
            return String::new();
        }
        if distance < best.map_or(3, |(d, _)| d) {
            best = Some((distance, name));
        }
    }
    best.map(|(_, n)| n.to_owned()).unwrap_or_default()
}

fn count(file: &Dockerfile, lower: bool) -> usize {
    let stages = file.stages.iter();
    let words = stages
        .flat_map(|s| std::iter::once(word(&s.text)).chain(s.instructions.iter().map(|i| word(&i.text))));
    words.filter(|w| if lower { **w == w.to_lowercase() } else { **w == w.to_uppercase() }).count()
}

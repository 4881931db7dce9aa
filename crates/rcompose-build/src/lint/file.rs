//! What is seen in the text alone.

use std::collections::{BTreeMap, BTreeSet};

use rcompose_image::{Platform, Reference};

use crate::BuildRequest;
use crate::dockerfile::{Dockerfile, Kind, Stage};
use crate::expand::{Expanded, Lex, Mistake};
use crate::plan::globals;
use crate::solve::Located;

use super::{Linter, Place, count, of_instruction, of_stage, rules, suggestion, word};

pub(super) fn check(linter: &mut Linter, file: &Dockerfile, req: &BuildRequest) -> Result<(), Located> {
    read(linter, file);
    names(linter, file);
    casing(linter, file);
    bases(linter, file, req)
}

/// What BuildKit says while it reads: of a Dockerfile with a mistake, what comes before that.
pub(super) fn read(linter: &mut Linter, file: &Dockerfile) {
    for &line in &file.empty_continuations {
        let at = Place { line, last_line: line, comments: &[] };
        linter.add(&rules::NO_EMPTY_CONTINUATION, at, "Empty continuation line".to_owned());
    }
    for arg in &file.global_args {
        instruction(linter, arg);
    }
    for stage in &file.stages {
        from(linter, stage);
        stage.instructions.iter().for_each(|one| instruction(linter, one));
    }
}

fn instruction(linter: &mut Linter, one: &crate::dockerfile::Instruction) {
    let at = of_instruction(one);
    match &one.kind {
        Kind::Maintainer(_) => {
            let message = "Maintainer instruction is deprecated in favor of using label".to_owned();
            linter.add(&rules::MAINTAINER_DEPRECATED, at, message);
        }
        Kind::Arg(pairs) => {
            let names: Vec<&str> = pairs.iter().map(|(n, _)| n.as_str()).collect();
            description(linter, "ARG", &names, at);
        }
        _ => {}
    }
}

fn from(linter: &mut Linter, stage: &Stage) {
    let at = of_stage(stage);
    let words: Vec<&str> = stage.text.split_whitespace().filter(|w| !w.starts_with("--")).collect();
    let [from, _, as_, name] = words.as_slice() else { return };
    if *name != name.to_lowercase() {
        linter.add(&rules::STAGE_NAME_CASING, at, format!("Stage name '{name}' should be lowercase"));
    }
    let (lower, upper) = (*from == from.to_lowercase(), *from == from.to_uppercase());
    let fits = if lower { *as_ == as_.to_lowercase() } else { !upper || *as_ == as_.to_uppercase() };
    if !fits {
        linter.add(&rules::FROM_AS_CASING, at, format!("'{as_}' and '{from}' keywords' casing do not match"));
    }
    if let Some(name) = &stage.from.name {
        description(linter, "FROM", &[name], at);
    }
}

/// A comment right above is about the name.
fn description(linter: &mut Linter, instruction: &str, names: &[&str], at: Place<'_>) {
    let (Some(last), [first, more @ ..]) = (at.comments.last(), names) else { return };
    if names.contains(&last.split(' ').next().unwrap_or("")) {
        return;
    }
    let example = if more.is_empty() { first } else { "<arg_key>" };
    let message = format!("Comment for {instruction} should follow the format: `# {example} <description>`");
    linter.add(&rules::INVALID_DEFINITION_DESCRIPTION, at, message);
}

fn names(linter: &mut Linter, file: &Dockerfile) {
    let mut seen = BTreeSet::new();
    for stage in &file.stages {
        let Some(name) = &stage.from.name else { continue };
        let at = Place { comments: &[], ..of_stage(stage) };
        if ["context", "scratch"].contains(&name.as_str()) {
            let message = format!("Stage name should not use the same name as reserved stage \"{name}\"");
            linter.add(&rules::RESERVED_STAGE_NAME, at, message);
        }
        if !seen.insert(name) {
            let message = format!("Duplicate stage name \"{name}\", stage names should be unique");
            linter.add(&rules::DUPLICATE_STAGE_NAME, at, message);
        }
    }
}

fn casing(linter: &mut Linter, file: &Dockerfile) {
    let lower = count(file, true) > count(file, false);
    let mut one = |text: &str, at: Place<'_>| {
        let name = word(text);
        let right = if lower { name.to_lowercase() } else { name.to_uppercase() };
        if name != right {
            let wanted = if lower { "lowercase" } else { "uppercase" };
            let message =
                format!("Command '{name}' should match the case of the command majority ({wanted})");
            linter.add(&rules::CONSISTENT_INSTRUCTION_CASING, Place { comments: &[], ..at }, message);
        }
    };
    for stage in &file.stages {
        one(&stage.text, of_stage(stage));
        stage.instructions.iter().for_each(|i| one(&i.text, of_instruction(i)));
    }
}

fn bases(linter: &mut Linter, file: &Dockerfile, req: &BuildRequest) -> Result<(), Located> {
    let lex = Lex::new(file.directives.escape);
    let failed = |stage: &Stage| {
        let at = stage.at;
        move |e: Mistake| (crate::BuildError::from(e), at)
    };
    // As if no arguments were given.
    let plain = globals(file, req, &BTreeMap::new());
    for stage in file.stages.iter().filter(|_| plain.is_ok()) {
        let get = |n: &str| plain.as_ref().ok().and_then(|g| g.get(n).cloned());
        let Ok(image) = lex.process(&stage.from.image, &get) else { break };
        if image.text.parse::<Reference>().is_err() {
            let message = format!(
                "Default value for ARG {} results in empty or invalid base image name",
                stage.from.image
            );
            linter.add(
                &rules::INVALID_DEFAULT_ARG_IN_FROM,
                Place { comments: &[], ..of_stage(stage) },
                message,
            );
        }
    }
    let globals = globals(file, req, &req.args)?;
    let declared = file.global_args.iter().flat_map(|a| match &a.kind {
        Kind::Arg(pairs) => pairs.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>(),
        _ => Vec::new(),
    });
    let keys: BTreeSet<String> = declared.chain(globals.keys().cloned()).collect();
    let get = |n: &str| globals.get(n).cloned();
    for stage in &file.stages {
        let at = of_stage(stage);
        let image = lex.process(&stage.from.image, &get).map_err(failed(stage))?;
        undeclared(linter, &keys, &image, at);
        let Some(written) = &stage.from.platform else { continue };
        let platform = lex.process(written, &get).map_err(failed(stage))?;
        undeclared(linter, &keys, &platform, at);
        let target = globals.get("TARGETPLATFORM");
        let only = platform.matched.len() == 1 && platform.unmatched.is_empty();
        if only && platform.matched.contains("TARGETPLATFORM") && Some(&platform.text) == target {
            let message = format!(
                "Setting platform to predefined {written} in FROM is redundant as this is the default behavior"
            );
            linter.add(&rules::REDUNDANT_TARGET_PLATFORM, at, message);
        }
        if platform.matched.is_empty()
            && platform.unmatched.is_empty()
            && let Ok(fixed) = platform.text.parse::<Platform>()
        {
            let name = stage.from.name.as_deref().unwrap_or("");
            if !name.contains(&fixed.os) && !name.contains(&fixed.architecture) {
                let message =
                    format!("FROM --platform flag should not use constant value \"{}\"", platform.text);
                linter.add(&rules::FROM_PLATFORM_FLAG_CONST_DISALLOWED, at, message);
            }
        }
    }
    Ok(())
}

fn undeclared(linter: &mut Linter, keys: &BTreeSet<String>, word: &Expanded, at: Place<'_>) {
    for name in word.unmatched.iter().filter(|n| !keys.contains(*n)) {
        let near = suggestion(name, keys.iter().map(String::as_str));
        let hint = if near.is_empty() { String::new() } else { format!(" (did you mean {near}?)") };
        let message = format!("FROM argument '{name}' is not declared{hint}");
        linter.add(&rules::UNDEFINED_ARG_IN_FROM, at, message);
    }
}

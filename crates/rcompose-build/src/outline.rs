//! `--call=outline` and `--call=targets`: what a build may be given, and what it may be asked for, without building it
//! (BuildKit's frontend/dockerfile/dockerfile2llb/outline.go).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use crate::dockerfile::{Dockerfile, Instruction, Kind, Mount, MountKind, parse};
use crate::expand::{Lex, Mistake};
use crate::lint::base_config;
use crate::mounts::{read_mount, secret_id, ssh_id};
use crate::plan::{Base, Plan, from, froms, plan, replaced};
use crate::recipe::dockerfile;
use crate::solve::Located;
use crate::stage::of_base;
use crate::state::State;
use crate::{BuildError, BuildRequest, ImageSource};

/// A stage that can be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// What the comment above it says of it.
    pub description: String,
    /// The last stage is built if none is named.
    pub default: bool,
    /// What it stands on, as written.
    pub base: String,
    /// `--platform`, as written.
    pub platform: Option<String>,
    /// Where it begins.
    pub lines: RangeInclusive<usize>,
}

/// The stages of a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets {
    /// In their order.
    pub targets: Vec<Target>,
    /// The Dockerfile's text.
    pub text: String,
}

/// What a target takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The target's name, if it has one.
    pub name: Option<String>,
    /// What the comment above it says of it.
    pub description: String,
    /// Arguments, in the order of their lines.
    pub args: Vec<OutlineArg>,
    /// Secrets, in the order of their lines.
    pub secrets: Vec<OutlineInput>,
    /// SSH agents, in the order of their lines.
    pub ssh: Vec<OutlineInput>,
    /// The Dockerfile's text.
    pub text: String,
}

/// An ARG that has a say in the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineArg {
    /// Its name.
    pub name: String,
    /// What the comment above it says of it.
    pub description: String,
    /// Its value in this build.
    pub value: String,
    /// Where it is declared.
    pub lines: RangeInclusive<usize>,
}

/// A secret or an SSH agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineInput {
    /// Its id.
    pub name: String,
    /// The build fails without it.
    pub required: bool,
    /// Where it is asked for first.
    pub lines: RangeInclusive<usize>,
}

/// The stages of a request's Dockerfile.
///
/// Errors: there is no Dockerfile, or it isn't one.
pub fn targets(req: &BuildRequest) -> Result<Targets, BuildError> {
    let (name, _, text) = dockerfile(req)?;
    let file = parse(&text).map_err(|e| BuildError::from_parse(&name, &text, e))?;
    let last = file.stages.len() - 1;
    let all = file.stages.into_iter().enumerate().map(|(number, stage)| Target {
        description: described(&stage.comments, stage.from.name.as_deref().unwrap_or("")),
        name: stage.from.name,
        default: number == last,
        base: stage.from.image,
        platform: stage.from.platform,
        lines: stage.at.line..=stage.last_line,
    });
    Ok(Targets { targets: all.collect(), text })
}

/// What the target of a request takes, stages that it needs included.
///
/// `images` tells the variables of base images; one that can't be had is taken to have none.
///
/// Errors: there is no Dockerfile, or it can't be built as it is.
pub fn outline(req: &BuildRequest, images: &dyn ImageSource) -> Result<Outline, BuildError> {
    let (name, _, text) = dockerfile(req)?;
    let file = parse(&text).map_err(|e| BuildError::from_parse(&name, &text, e))?;
    let (target, found) = gather(&file, req, images).map_err(|(e, at)| e.place(&name, &text, at))?;
    let stage = &file.stages[target];
    Ok(Outline {
        description: described(&stage.comments, stage.from.name.as_deref().unwrap_or("")),
        name: stage.from.name.clone(),
        args: found.args(target),
        secrets: found.inputs(target, |s| &s.secrets),
        ssh: found.inputs(target, |s| &s.ssh),
        text,
    })
}

/// What a comment says of a name: `# NAME what it is`.
fn described(comments: &[String], name: &str) -> String {
    let about = |c: &String| Some(c.strip_prefix(name)?.strip_prefix(' ')?.to_owned());
    if name.is_empty() { String::new() } else { comments.iter().find_map(about).unwrap_or_default() }
}

/// What the stages take, each for itself.
struct Found {
    /// By number; nothing of those that the target doesn't need.
    stages: Vec<Taken>,
}

#[derive(Default)]
struct Taken {
    /// Declared here or before the first FROM.
    known: BTreeMap<String, Known>,
    /// Declared here, or named by FROM.
    used: BTreeSet<String>,
    secrets: Vec<OutlineInput>,
    ssh: Vec<OutlineInput>,
    /// Its base, then those it copies from.
    needs: Vec<usize>,
}

#[derive(Clone)]
struct Known {
    arg: OutlineArg,
    /// Variables in its default.
    needs: BTreeSet<String>,
}

impl Found {
    fn args(&self, target: usize) -> Vec<OutlineArg> {
        let mut all: Vec<OutlineArg> = Vec::new();
        for stage in self.reached(target) {
            for name in self.stages[stage].names() {
                let known = self.stages[stage].known.get(&name);
                let new = known.filter(|_| all.iter().all(|a| a.name != name));
                all.extend(new.map(|k| k.arg.clone()));
            }
        }
        all.sort_by_key(|a| *a.lines.start());
        all
    }

    fn inputs(&self, target: usize, of: fn(&Taken) -> &Vec<OutlineInput>) -> Vec<OutlineInput> {
        let mut all: Vec<OutlineInput> = Vec::new();
        for stage in self.reached(target) {
            for one in of(&self.stages[stage]) {
                if all.iter().all(|o| o.name != one.name) {
                    all.push(one.clone());
                }
            }
        }
        all.sort_by_key(|i| *i.lines.start());
        all
    }

    /// The target and what it needs, nearest first.
    fn reached(&self, target: usize) -> Vec<usize> {
        let (mut all, mut open) = (Vec::new(), vec![target]);
        while let Some(stage) = open.pop() {
            if !all.contains(&stage) {
                all.push(stage);
                open.extend(self.stages[stage].needs.iter().rev());
            }
        }
        all
    }
}

impl Taken {
    /// What is used, and what their defaults use.
    fn names(&self) -> BTreeSet<String> {
        let (mut all, mut open) = (BTreeSet::new(), self.used.iter().cloned().collect::<Vec<_>>());
        while let Some(name) = open.pop() {
            open.extend(self.known.get(&name).into_iter().flat_map(|k| k.needs.iter().cloned()));
            all.insert(name);
            open.retain(|n| !all.contains(n));
        }
        all
    }
}

fn gather(
    file: &Dockerfile,
    req: &BuildRequest,
    images: &dyn ImageSource,
) -> Result<(usize, Found), Located> {
    let plan = plan(file, req)?;
    let globals = globals(file, req, &plan)?;
    let mut found = Found { stages: Vec::new() };
    found.stages.resize_with(file.stages.len(), Taken::default);
    let mut states: Vec<Option<State>> = vec![None; file.stages.len()];
    for &number in &plan.needed {
        let below = match &plan.bases[number] {
            Base::Stage(n) => states[*n].clone().map(State::on),
            _ => None,
        };
        let new = || State::new(base_config(&plan, number, req, images).0, file.directives.escape);
        let mut walk = Walk { file, req, plan: &plan, number, state: below.unwrap_or_else(new) };
        found.stages[number] = walk.stage(&globals)?;
        states[number] = Some(walk.state);
    }
    Ok((plan.target, found))
}

/// The ARGs before the first FROM.
fn globals(file: &Dockerfile, req: &BuildRequest, plan: &Plan) -> Result<BTreeMap<String, Known>, Located> {
    let mut all: BTreeMap<String, Known> = BTreeMap::new();
    for one in &file.global_args {
        let Kind::Arg(pairs) = &one.kind else { continue };
        for (name, default) in pairs {
            let given = given(req, name);
            let mut needs = match default.as_ref().filter(|_| given.is_none()) {
                Some(text) => matched(text, file, plan).map_err(|e| (e.into(), one.at))?,
                None => BTreeSet::new(),
            };
            if needs.remove(name) {
                needs.extend(all.get(name).into_iter().flat_map(|k| k.needs.iter().cloned()));
            }
            let has_value = given.is_some() || default.is_some();
            let value = plan.globals.get(name).filter(|_| has_value).cloned().unwrap_or_default();
            all.insert(name.clone(), Known { arg: arg(one, name, value), needs });
        }
    }
    Ok(all)
}

/// Variables of a word that are set before the first FROM.
fn matched(text: &str, file: &Dockerfile, plan: &Plan) -> Result<BTreeSet<String>, Mistake> {
    let get = |n: &str| plan.globals.get(n).cloned();
    Ok(Lex::new(file.directives.escape).process(text, &get)?.matched)
}

fn given<'a>(req: &'a BuildRequest, name: &str) -> Option<&'a String> {
    req.args.get(name)?.as_ref()
}

fn arg(one: &Instruction, name: &str, value: String) -> OutlineArg {
    let description = described(&one.comments, name);
    OutlineArg { name: name.to_owned(), description, value, lines: one.at.line..=one.last_line }
}

/// Goes through a stage.
struct Walk<'a> {
    file: &'a Dockerfile,
    req: &'a BuildRequest,
    plan: &'a Plan,
    number: usize,
    state: State,
}

impl Walk<'_> {
    fn stage(&mut self, globals: &BTreeMap<String, Known>) -> Result<Taken, Located> {
        let stage = &self.file.stages[self.number];
        let mut taken = Taken::default();
        let triggers = std::mem::take(&mut self.state.image.config.on_build);
        // Nothing is done of a stage that a context stands in for.
        if replaced(self.file, self.req, self.number).is_some() {
            return Ok(taken);
        }
        taken.known.clone_from(globals);
        for text in std::iter::once(&stage.from.image).chain(&stage.from.platform) {
            let names = matched(text, self.file, self.plan);
            taken.used.extend(names.map_err(|e| (e.into(), stage.at))?);
        }
        if let Base::Stage(n) = self.plan.bases[self.number] {
            taken.needs.push(n);
        }
        let triggers = of_base(&triggers, stage.at)?;
        for one in triggers.iter().chain(&stage.instructions) {
            self.instruction(one, &mut taken).map_err(|e| (e, one.at))?;
        }
        Ok(taken)
    }

    fn instruction(&mut self, one: &Instruction, taken: &mut Taken) -> Result<(), BuildError> {
        for name in froms(one) {
            if let Base::Stage(n) = from(self.file, self.req, &name, self.number)? {
                taken.needs.push(n);
            }
        }
        match &one.kind {
            Kind::Arg(pairs) => {
                self.state.declare(pairs, &self.req.args, &self.plan.globals)?;
                for (name, default) in pairs {
                    let own = default.is_some() || given(self.req, name).is_some();
                    // Else it is the one before the first FROM.
                    if own || !self.plan.globals.contains_key(name) {
                        let mine = self.state.args.iter().find(|(n, _)| own && n == name);
                        let value = mine.map(|(_, v)| v.clone()).unwrap_or_default();
                        let known = Known { arg: arg(one, name, value), needs: BTreeSet::new() };
                        taken.known.insert(name.clone(), known);
                    }
                    taken.used.insert(name.clone());
                }
                return Ok(());
            }
            Kind::Run(run) => {
                for (number, text) in run.mounts.iter().enumerate() {
                    let (mount, _target) = read_mount(&self.state, number, text)?;
                    taken.mount(one, &mount);
                }
            }
            _ => {}
        }
        self.state.configure(&one.kind)
    }
}

impl Taken {
    fn mount(&mut self, one: &Instruction, mount: &Mount) {
        let (all, name) = match mount.kind {
            MountKind::Secret => (&mut self.secrets, secret_id(mount)),
            MountKind::Ssh => (&mut self.ssh, ssh_id(mount).to_owned()),
            _ => return,
        };
        if all.iter().all(|i| i.name != name) {
            let lines = one.at.line..=one.last_line;
            all.push(OutlineInput { name, required: mount.required, lines });
        }
    }
}

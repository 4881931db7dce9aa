//! Which files, which variables, which name: what comes before reading.

use std::path::{Path, PathBuf};

use rcompose_model::ProjectName;

use crate::canonical::absolute;
use crate::code::Code;
use crate::cx::Cx;
use crate::diagnostic::{Diagnostic, LoadError};
use crate::envfile;
use crate::files::{self, Parsed};
use crate::interpolate::expand;
use crate::remote::Remote;
use crate::request::LoadRequest;
use crate::source::{Sources, join_clean};
use crate::tree::{Node, Span};

/// Default names, best first (Compose specification, "Compose file").
const DEFAULT: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDE: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// What was decided before any Compose file was understood.
pub(crate) struct Setting {
    /// What relative paths start from.
    pub(crate) directory: PathBuf,
    /// Whose name the project takes when it has no other: the first file's, or the working directory for a remote one.
    named_after: PathBuf,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) env_files: Vec<PathBuf>,
}

/// The env files for interpolation: those that are named, or `.env` in `dir` if it is there.
fn dotenv(cx: &mut Cx<'_>, req: &LoadRequest, dir: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let mut named: Vec<PathBuf> = req.env_files.clone();
    if named.is_empty()
        && let Some(list) = req.environment.get("COMPOSE_ENV_FILES")
    {
        named = list.split(',').filter(|f| !f.is_empty()).map(PathBuf::from).collect();
    }
    let paths: Vec<PathBuf> = if !named.is_empty() {
        named.iter().map(|p| PathBuf::from(absolute(cx, &p.to_string_lossy(), &req.cwd))).collect()
    } else if disabled(req)? || !cx.sources.is_file(&dir.join(".env")) {
        Vec::new()
    } else {
        vec![dir.join(".env")]
    };
    let files: Vec<_> = paths.iter().map(|p| (p.clone(), Span::default())).collect();
    envfile::interpolation(cx, &files);
    Ok(paths)
}

/// `COMPOSE_DISABLE_ENV_FILE`.
fn disabled(req: &LoadRequest) -> Result<bool, LoadError> {
    let Some(text) = req.environment.get("COMPOSE_DISABLE_ENV_FILE").filter(|v| !v.is_empty()) else {
        return Ok(false);
    };
    match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" => Ok(true),
        "0" | "f" | "false" => Ok(false),
        _ => Err(Diagnostic::error(format!("COMPOSE_DISABLE_ENV_FILE is {text:?}, not a boolean"))
            .help("set it to true or false")
            .into()),
    }
}

/// Finds files and directory, reads `.env`.
pub(crate) fn setting(cx: &mut Cx<'_>, req: &LoadRequest) -> Result<Setting, LoadError> {
    cx.env.entry("PWD".into()).or_insert_with(|| req.cwd.display().to_string());
    let explicit_dir = req.project_directory.as_ref().map(|d| join_clean(&req.cwd, d));
    // The first file that has a directory; one from elsewhere has none of ours.
    let first_file_dir = |files: &[PathBuf]| {
        let first = files.iter().find(|f| f.as_os_str() != "-").filter(|f| !is_remote(f))?;
        join_clean(&req.cwd, first).parent().map(Path::to_owned)
    };
    let early =
        explicit_dir.clone().or_else(|| first_file_dir(&req.files)).unwrap_or_else(|| req.cwd.clone());
    let mut env_files = dotenv(cx, req, &early)?;
    let mut named = req.files.clone();
    let mut from_variable = false;
    if named.is_empty()
        && let Some(list) = cx.env.get("COMPOSE_FILE").filter(|l| !l.is_empty())
    {
        let separator = cx.env.get("COMPOSE_PATH_SEPARATOR").filter(|s| !s.is_empty()).map_or(":", |s| s);
        named = list.split(separator).map(PathBuf::from).collect();
        from_variable = true;
    }
    if named.is_empty() {
        named = search(cx, explicit_dir.as_deref().unwrap_or(&req.cwd));
    }
    let named_after = explicit_dir.or_else(|| first_file_dir(&named)).unwrap_or_else(|| req.cwd.clone());
    if named_after != early && env_files.iter().all(|f| *f == early.join(".env")) {
        for path in dotenv(cx, req, &named_after)? {
            if !env_files.contains(&path) {
                env_files.push(path);
            }
        }
    }
    let mut directory = None;
    let mut files = Vec::new();
    for file in named {
        if file.as_os_str() == "-" {
            files.push(file);
        } else if is_remote(&file) {
            let Some(local) = files::fetch(cx, &file.to_string_lossy(), Span::default()) else { continue };
            directory = directory.or_else(|| local.parent().map(Path::to_owned));
            files.push(local);
        } else {
            let path = join_clean(&req.cwd, &file);
            if from_variable && !cx.sources.is_file(&path) {
                let why = if cx.sources.is_dir(&path) { "it is a directory" } else { "no such file" };
                cx.error(Span::default(), format!("can't read {}: {why}", cx.shown(&path).display()))
                    .is(Code::UnreadableFile)
                    .help
                    .push(format!("{:?} comes from the variable COMPOSE_FILE", file.display().to_string()));
            }
            files.push(path);
        }
    }
    if cx.failed() {
        return Err(LoadError { diagnostics: cx.take() });
    }
    let directory = directory.unwrap_or_else(|| named_after.clone());
    Ok(Setting { directory, named_after, files, env_files })
}

fn is_remote(file: &Path) -> bool {
    file.to_str().is_some_and(Remote::is)
}

/// Looks for the default names here and in the parents.
fn search(cx: &mut Cx<'_>, from: &Path) -> Vec<PathBuf> {
    for dir in from.ancestors() {
        let found = |cx: &Cx<'_>, names: &[&str]| -> Vec<PathBuf> {
            names.iter().map(|n| dir.join(n)).filter(|p| cx.sources.is_file(p)).collect()
        };
        let main = found(cx, &DEFAULT);
        if main.is_empty() {
            continue;
        }
        let overrides = found(cx, &OVERRIDE);
        for (all, what) in [(&main, "config"), (&overrides, "override")] {
            if all.len() > 1 {
                let shown: Vec<String> = all.iter().map(|p| cx.shown(p).display().to_string()).collect();
                cx.warn(Span::default(), format!("found multiple {what} files: {}", shown.join(", ")))
                    .help
                    .push(format!(
                        "{} is used: remove the others, or name the ones you want with -f",
                        shown[0]
                    ));
            }
        }
        return main.into_iter().take(1).chain(overrides.into_iter().take(1)).collect();
    }
    Vec::new()
}

/// The error for no file at all.
pub(crate) fn no_file(req: &LoadRequest) -> LoadError {
    let dir = req.project_directory.as_ref().map_or(req.cwd.clone(), |d| join_clean(&req.cwd, d));
    Diagnostic::error("no configuration file provided: not found").code(Code::UnreadableFile)
        .help(format!(
            "neither {} nor its parents have a compose.yaml (or compose.yml, docker-compose.yml, docker-compose.yaml); \
             name one with -f FILE",
            dir.display()
        ))
        .into()
}

/// Parses all files of a setting.
pub(crate) fn parse_all(cx: &mut Cx<'_>, req: &LoadRequest, files: &[PathBuf]) -> Vec<Parsed> {
    let mut out = Vec::new();
    for file in files {
        if file.as_os_str() == "-" {
            let text = req.stdin.clone().unwrap_or_default();
            out.extend(files::parse(cx, Path::new("<stdin>"), &text));
        } else {
            out.extend(files::read(cx, file, Span::default(), ""));
        }
    }
    out
}

/// `-p`, then `COMPOSE_PROJECT_NAME`, then `name` of the last file that has one, then the directory.
pub(crate) fn name(
    cx: &mut Cx<'_>,
    req: &LoadRequest,
    setting: &Setting,
    parsed: &[Parsed],
) -> Result<ProjectName, LoadError> {
    if let Some(name) = given_name(cx, req)? {
        return Ok(name);
    }
    let said = |d: &'_ Node| Some((d.get("name")?.as_str()?.to_owned(), d.get("name")?.span));
    let documents = parsed.iter().rev().flat_map(|p| p.documents.iter().rev());
    let named = documents.filter_map(said).find(|(text, _)| !text.is_empty());
    if let Some((text, span)) = named {
        let env = &cx.env;
        // A string that can't be interpolated is told of when the file is.
        if let Ok(text) = expand(&text, &|n| env.get(n).cloned(), &mut |_| {}) {
            return ProjectName::normalized(&text).map_err(|e| {
                let message = if text.is_empty() { "project name must not be empty".into() } else { e.to_string() };
                let error = cx.error(span, message).is(Code::ProjectName);
                if text.is_empty() {
                    error.help.push("all of its variables are unset or empty: set them, or give a default with ${NAME:-default}".into());
                }
                LoadError { diagnostics: cx.take() }
            });
        }
    }
    let of_dir = |dir: &Path| ProjectName::normalized(dir.file_name()?.to_str()?).ok();
    of_dir(&setting.named_after).ok_or_else(|| {
        Diagnostic::error("project name must not be empty").code(Code::ProjectName)
            .help("the directory's name has no usable letter: give a name with -p, COMPOSE_PROJECT_NAME or `name:`")
            .into()
    })
}

/// The name that the command line or the environment gives.
pub(crate) fn given_name(cx: &Cx<'_>, req: &LoadRequest) -> Result<Option<ProjectName>, LoadError> {
    let from_env = || cx.env.get("COMPOSE_PROJECT_NAME").cloned();
    match req.project_name.clone().or_else(from_env).filter(|n| !n.is_empty()) {
        Some(name) => match ProjectName::new(name) {
            Ok(name) => Ok(Some(name)),
            Err(e) => Err(Diagnostic::error(e.to_string()).code(Code::ProjectName).into()),
        },
        None => Ok(None),
    }
}

/// Only the project's name: without checking or even understanding the files where it is given otherwise.
pub fn project_name(req: &LoadRequest, sources: &dyn Sources) -> Result<ProjectName, LoadError> {
    let mut cx = Cx::new(sources, &req.cwd);
    cx.env = req.environment.clone();
    if let Some(name) = given_name(&cx, req)? {
        return Ok(name);
    }
    let setting = setting(&mut cx, req)?;
    if let Some(name) = given_name(&cx, req)? {
        return Ok(name);
    }
    if setting.files.is_empty() {
        return Err(no_file(req));
    }
    let parsed = parse_all(&mut cx, req, &setting.files);
    if cx.failed() {
        return Err(LoadError { diagnostics: cx.take() });
    }
    name(&mut cx, req, &setting, &parsed)
}

//! Which files, which variables, which name: what comes before reading.

use std::path::{Path, PathBuf};

use rcompose_model::ProjectName;

use crate::cx::Cx;
use crate::diagnostic::{Diagnostic, LoadError};
use crate::envfile;
use crate::files::{self, Parsed};
use crate::interpolate::expand;
use crate::request::LoadRequest;
use crate::source::{Sources, join_clean};
use crate::tree::{Node, Span};

/// Default names, best first (Compose specification, "Compose file").
const DEFAULT: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDE: [&str; 4] = [
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// What was decided before any Compose file was understood.
pub(crate) struct Setting {
    pub(crate) directory: PathBuf,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) env_files: Vec<PathBuf>,
}

/// Reads `.env` or its replacements below `dir` into the variables, without changing any that is set.
fn dotenv(cx: &mut Cx<'_>, req: &LoadRequest, dir: &Path) -> Vec<PathBuf> {
    let mut named: Vec<PathBuf> = req.env_files.clone();
    if named.is_empty()
        && let Some(list) = cx.env.get("COMPOSE_ENV_FILES").filter(|l| !l.is_empty())
    {
        named = list.split(',').map(PathBuf::from).collect();
    }
    let given = !named.is_empty();
    let disabled = cx.env.get("COMPOSE_DISABLE_ENV_FILE").is_some_and(|v| truthy(v));
    let paths: Vec<PathBuf> = if given {
        named.iter().map(|p| join_clean(&req.cwd, p)).collect()
    } else if disabled || !cx.sources.is_file(&dir.join(".env")) {
        Vec::new()
    } else {
        vec![dir.join(".env")]
    };
    let files: Vec<_> = paths.iter().map(|p| (p.clone(), Span::default())).collect();
    envfile::interpolation(cx, &files);
    paths
}

pub(crate) fn truthy(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "1" | "t" | "true" | "y" | "yes" | "on")
}

/// Finds files and directory, reads `.env`.
pub(crate) fn setting(cx: &mut Cx<'_>, req: &LoadRequest) -> Result<Setting, LoadError> {
    let explicit_dir = req.project_directory.as_ref().map(|d| join_clean(&req.cwd, d));
    let first_file_dir = |files: &[PathBuf]| {
        files
            .first()
            .filter(|f| f.as_os_str() != "-")
            .and_then(|f| join_clean(&req.cwd, f).parent().map(Path::to_owned))
    };
    let early =
        explicit_dir.clone().or_else(|| first_file_dir(&req.files)).unwrap_or_else(|| req.cwd.clone());
    let mut env_files = dotenv(cx, req, &early);
    let mut named = req.files.clone();
    if named.is_empty()
        && let Some(list) = cx.env.get("COMPOSE_FILE").filter(|l| !l.is_empty())
    {
        let separator = cx.env.get("COMPOSE_PATH_SEPARATOR").filter(|s| !s.is_empty()).map_or(":", |s| s);
        named = list.split(separator).map(PathBuf::from).collect();
    }
    let files: Vec<PathBuf> = if named.is_empty() {
        search(cx.sources, explicit_dir.as_deref().unwrap_or(&req.cwd))
    } else {
        named.iter().map(|f| if f.as_os_str() == "-" { f.clone() } else { join_clean(&req.cwd, f) }).collect()
    };
    let directory = explicit_dir.or_else(|| first_file_dir(&files)).unwrap_or_else(|| req.cwd.clone());
    if directory != early && req.env_files.is_empty() {
        for path in dotenv(cx, req, &directory) {
            if !env_files.contains(&path) {
                env_files.push(path);
            }
        }
    }
    if cx.failed() {
        return Err(LoadError { diagnostics: cx.take() });
    }
    Ok(Setting { directory, files, env_files })
}

/// Looks for the default names here and in the parents.
fn search(sources: &dyn Sources, from: &Path) -> Vec<PathBuf> {
    for dir in from.ancestors() {
        let pick = |names: &[&str]| names.iter().map(|n| dir.join(n)).find(|p| sources.is_file(p));
        if let Some(main) = pick(&DEFAULT) {
            return std::iter::once(main).chain(pick(&OVERRIDE)).collect();
        }
    }
    Vec::new()
}

/// The error for no file at all.
pub(crate) fn no_file(req: &LoadRequest) -> LoadError {
    let dir = req.project_directory.as_ref().map_or(req.cwd.clone(), |d| join_clean(&req.cwd, d));
    Diagnostic::error("no configuration file provided: not found")
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
            out.extend(files::read(cx, file, Span::default()));
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
    let named = parsed.iter().rev().flat_map(|p| p.documents.iter().rev()).find_map(|d| d.get("name"));
    if let Some((text, span)) = named.and_then(|n: &Node| Some((n.as_str()?.to_owned(), n.span))) {
        let env = &cx.env;
        if let Ok(text) = expand(&text, &|n| env.get(n).cloned(), &mut |_, _| {})
            && !text.is_empty()
        {
            return ProjectName::normalized(&text).map_err(|e| {
                cx.error(span, e.to_string());
                LoadError { diagnostics: cx.take() }
            });
        }
    }
    let of_dir = |dir: &Path| ProjectName::normalized(dir.file_name()?.to_str()?).ok();
    of_dir(&setting.directory).or_else(|| of_dir(&req.cwd)).ok_or_else(|| {
        Diagnostic::error("project name must not be empty")
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
            Err(e) => Err(Diagnostic::error(e.to_string()).into()),
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

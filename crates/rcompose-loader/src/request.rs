use std::collections::BTreeMap;
use std::path::PathBuf;

use rcompose_model::Project;

use crate::{Answer, Canonical, Diagnostic, Requirement};

/// What to load, in the words of the command line and the environment.
#[derive(Debug, Clone, Default)]
pub struct LoadRequest {
    /// Working directory, absolute.
    pub cwd: PathBuf,
    /// `-f`, in order; `-` is [`LoadRequest::stdin`].
    pub files: Vec<PathBuf>,
    /// The text for `-f -`.
    pub stdin: Option<Vec<u8>>,
    /// `-p`.
    pub project_name: Option<String>,
    /// `--project-directory`.
    pub project_directory: Option<PathBuf>,
    /// `--profile`, without the ones of `COMPOSE_PROFILES`.
    pub profiles: Vec<String>,
    /// `--env-file`.
    pub env_files: Vec<PathBuf>,
    /// The process's environment; `COMPOSE_*` are read from here, too.
    pub environment: BTreeMap<String, String>,
    /// Services named on the command line: their profiles count as active.
    pub services: Vec<String>,
    /// Paths of values whose origin is asked for: `services.web.image`.
    pub why: Vec<String>,
    /// `--compatibility`: names with underscores; also by `COMPOSE_COMPATIBILITY`.
    pub compatibility: bool,
    /// What to leave out.
    pub options: LoadOptions,
}

/// Steps that can be left out (`config --no-…`). All false: everything is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// `--no-normalize`: no implicit networks, names and dependencies.
    pub no_normalize: bool,
    /// `--no-path-resolution`: leave relative paths.
    pub no_resolve_paths: bool,
    /// `--no-env-resolution`: leave `env_file`.
    pub no_resolve_env: bool,
    /// `--no-consistency`: no checks between attributes.
    pub no_consistency: bool,
    /// For `config`: values that nobody can carry out are no reason not to print the rest, and only warn.
    pub unusable_warns: bool,
    /// `--all-resources`: keep networks, volumes, … that no service uses.
    pub all_resources: bool,
    /// `check --strict`: also tell what will be refused later, and gather what the machine must have.
    pub strict: bool,
}

/// A loaded project.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Typed, complete.
    pub project: Project,
    /// What `config` prints.
    pub canonical: Canonical,
    /// Doubtful things, by place.
    pub warnings: Vec<Diagnostic>,
    /// What the machine must have; only gathered if the request is strict.
    pub needs: Vec<Requirement>,
    /// Answers to [`LoadRequest::why`].
    pub answers: Vec<Answer>,
}

/// What the files say, merged and not interpolated.
#[derive(Debug, Clone)]
pub struct Model {
    /// What `config --no-interpolate` prints.
    pub canonical: Canonical,
    /// Doubtful things, by place.
    pub warnings: Vec<Diagnostic>,
}

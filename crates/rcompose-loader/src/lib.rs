//! From Compose files to a [`rcompose_model::Project`], or to precise diagnostics.
//!
//! Files are read through [`Sources`] only. Each file goes through YAML events, a span tree, interpolation, a check
//! against the schema and its canonical form; then come extends, include, merge, defaults, normal form, checks
//! between attributes, and the typed project. All that is wrong is told at once, ordered by place.
#![forbid(unsafe_code)]

mod bounds;
mod canonical;
mod capabilities;
mod chain;
mod code;
mod cx;
mod cycles;
mod decode;
mod diagnostic;
mod dotenv;
mod draw;
mod envfile;
mod files;
mod gaps;
mod interpolate;
mod load;
mod locate;
mod map;
mod merge;
mod mistake;
mod normalize;
mod print;
mod project;
mod prune;
mod remote;
mod request;
mod scalar;
mod schema;
mod source;
mod text;
mod tree;
mod units;
mod validate;
mod variables;
mod why;
mod yaml;

pub use bounds::MAX_FILE;
pub use canonical::{parse_short_port, parse_short_volume};
pub use capabilities::{Area, Need, not_yet};
pub use code::Code;
pub use cx::nearest;
pub use decode::ULIMIT_NAMES;
pub use diagnostic::{Diagnostic, LoadError, Place, Severity};
pub use draw::{render_answers, render_diagnostics};
pub use envfile::parse_env_file;
pub use gaps::Requirement;
pub use load::{load, load_model};
pub use print::{Canonical, variables_yaml};
pub use project::project_name;
pub use remote::{FetchError, GitRemote, Remote, without_secret};
pub use request::{LoadOptions, LoadRequest, Loaded, Model};
pub use source::{FsSources, MemorySources, Sources, join_clean};
pub use units::{parse_bytes, parse_duration, split_command};
pub use variables::Variable;
pub use why::Answer;

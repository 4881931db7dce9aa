//! Flags of the verbs that make images and archives of containers.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Clone, Args)]
pub(crate) struct CommitArgs {
    /// Author, such as "Jane Doe <jane@example.com>"
    #[arg(short, long)]
    pub(crate) author: Option<String>,
    /// Apply a Dockerfile instruction to the image
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub(crate) change: Vec<String>,
    /// Index of the container if the service has several
    #[arg(long, default_value_t = 0)]
    pub(crate) index: u32,
    /// Message of its history
    #[arg(short, long)]
    pub(crate) message: Option<String>,
    /// Pause the container meanwhile
    #[arg(short, long, default_value = "true", num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub(crate) pause: bool,
    /// Service
    pub(crate) service: String,
    /// Name of the image
    pub(crate) reference: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ExportArgs {
    /// Index of the container if the service has several
    #[arg(long, default_value_t = 0)]
    pub(crate) index: u32,
    /// File (default: standard output)
    #[arg(short, long)]
    pub(crate) output: Option<PathBuf>,
    /// Service
    pub(crate) service: String,
}

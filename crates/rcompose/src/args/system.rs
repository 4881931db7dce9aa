//! The verbs of the whole installation.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum SystemVerb {
    /// Show how much room images, containers, volumes and the build cache take
    Df(SystemDfArgs),
    /// Remove what isn't used, and what pulls that broke off have left
    Prune(SystemPruneArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct SystemDfArgs {
    /// table, json or a Go template
    #[arg(long, default_value = "table")]
    pub(crate) format: String,
    /// Each image, container, volume and part of the build cache
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct SystemPruneArgs {
    /// Also images that have a name, if no container uses them
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Only those with: label, label!, until
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) filter: Vec<String>,
    /// Don't ask
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Also anonymous volumes that no container uses
    #[arg(long)]
    pub(crate) volumes: bool,
}

//! Flags of the verbs that deal with images of this machine.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Clone, Args)]
pub(crate) struct ImageLsArgs {
    /// Also show images without a name
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Show digests
    #[arg(long)]
    pub(crate) digests: bool,
    /// Only those with: dangling, label, before, since, reference, until
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(crate) filter: Vec<String>,
    /// table, json or a Go template
    #[arg(long)]
    pub(crate) format: Option<String>,
    /// Don't truncate output
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// Only display IDs
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Show the platforms of each image
    #[arg(long)]
    pub(crate) tree: bool,
    /// Name, with or without tag; * and ? stand for anything
    pub(crate) name: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ImageHistoryArgs {
    /// table, json or a Go template
    #[arg(long, default_value = "table")]
    pub(crate) format: String,
    /// Sizes and dates for people
    #[arg(short = 'H', long, default_value = "true", num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub(crate) human: bool,
    /// Don't truncate output
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// Only if it is for this platform
    #[arg(long)]
    pub(crate) platform: Option<String>,
    /// Only display IDs
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Image
    pub(crate) image: String,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ImageInspectArgs {
    /// json or a Go template
    #[arg(short, long)]
    pub(crate) format: Option<String>,
    /// Only if it is for this platform
    #[arg(long)]
    pub(crate) platform: Option<String>,
    /// Images
    #[arg(required = true)]
    pub(crate) images: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ImageRmArgs {
    /// Remove even when several names point to it
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Accepted for compatibility: there are no untagged parents
    #[arg(long)]
    pub(crate) no_prune: bool,
    /// Only if it is for this platform
    #[arg(long)]
    pub(crate) platform: Option<String>,
    /// Images
    #[arg(required = true)]
    pub(crate) images: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ImagePruneArgs {
    /// All unused ones
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Only those with: label, label!, until, dangling
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) filter: Vec<String>,
    /// Don't ask
    #[arg(short, long)]
    pub(crate) force: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ImageLoadArgs {
    /// File (default: standard input)
    #[arg(short, long)]
    pub(crate) input: Option<PathBuf>,
    /// Load the image of this platform
    #[arg(long)]
    pub(crate) platform: Option<String>,
    /// Print less
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ImageSaveArgs {
    /// File (default: standard output)
    #[arg(short, long)]
    pub(crate) output: Option<PathBuf>,
    /// Only if they are for this platform
    #[arg(long)]
    pub(crate) platform: Option<String>,
    /// Images
    #[arg(required = true)]
    pub(crate) images: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ImageImportArgs {
    /// Apply a Dockerfile instruction to the image
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub(crate) change: Vec<String>,
    /// Message of its history
    #[arg(short, long)]
    pub(crate) message: Option<String>,
    /// Platform that it is for
    #[arg(long)]
    pub(crate) platform: Option<String>,
    /// File, address, or - for standard input
    pub(crate) file: String,
    /// Name
    pub(crate) reference: Option<String>,
}

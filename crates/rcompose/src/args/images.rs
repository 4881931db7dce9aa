//! Flags of the verb that pulls, and the verbs of images and volumes.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::build::ImageBuildArgs;

#[derive(Debug, Clone, Args)]
pub(crate) struct PullArgs {
    /// Skip services that can be built
    #[arg(long)]
    pub(crate) ignore_buildable: bool,
    /// Pull what can be pulled
    #[arg(long)]
    pub(crate) ignore_pull_failures: bool,
    /// Also pull dependencies
    #[arg(long)]
    pub(crate) include_deps: bool,
    /// missing or always
    #[arg(long, value_parser = ["missing", "always"])]
    pub(crate) policy: Option<String>,
    /// No progress
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Services
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImageVerb {
    /// Make an image from a tarball of a root file system
    Import {
        /// Apply a Dockerfile instruction to the image
        #[arg(short, long)]
        change: Vec<String>,
        /// File, or - for standard input
        file: String,
        /// Name
        reference: String,
    },
    /// List images
    #[command(alias = "list")]
    Ls {
        /// Only display IDs
        #[arg(short, long)]
        quiet: bool,
        /// table or json
        #[arg(long, default_value = "table")]
        format: String,
        /// Name
        name: Option<String>,
    },
    /// Remove images
    #[command(alias = "remove")]
    Rm {
        /// Remove even when several names point to it
        #[arg(short, long)]
        force: bool,
        /// Images
        #[arg(required = true)]
        images: Vec<String>,
    },
    /// Show all about images, as JSON
    Inspect {
        /// Images
        #[arg(required = true)]
        images: Vec<String>,
    },
    /// Load images from a tar archive
    Load {
        /// File (default: standard input)
        #[arg(short, long)]
        input: Option<PathBuf>,
        /// Print less
        #[arg(short, long)]
        quiet: bool,
    },
    /// Save images to a tar archive
    Save {
        /// File (default: standard output)
        #[arg(short, long)]
        output: Option<PathBuf>,
        /// Images
        #[arg(required = true)]
        images: Vec<String>,
    },
    /// Pull an image from a registry
    Pull {
        /// Print less
        #[arg(short, long)]
        quiet: bool,
        /// Image
        image: String,
    },
    /// Give an image another name
    Tag {
        /// Image
        source: String,
        /// New name
        target: String,
    },
    /// Show the instructions that made an image
    History {
        /// Only display IDs
        #[arg(short, long)]
        quiet: bool,
        /// table or json
        #[arg(long, default_value = "table")]
        format: String,
        /// Don't truncate output
        #[arg(long)]
        no_trunc: bool,
        /// Image
        image: String,
    },
    /// Build an image from a Dockerfile
    Build(Box<ImageBuildArgs>),
    /// Remove images without a name, or (-a) all that no container uses
    Prune {
        /// All unused ones
        #[arg(short, long)]
        all: bool,
        /// Don't ask
        #[arg(short, long)]
        force: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum VolumeVerb {
    /// List volumes
    #[command(alias = "list")]
    Ls {
        /// table or json
        #[arg(long, default_value = "table")]
        format: String,
        /// Only display names
        #[arg(short, long)]
        quiet: bool,
    },
    /// Show all about volumes, as JSON
    Inspect {
        /// Volumes
        #[arg(required = true)]
        volumes: Vec<String>,
    },
    /// Remove volumes
    #[command(alias = "remove")]
    Rm {
        /// Volumes that don't exist are fine
        #[arg(short, long)]
        force: bool,
        /// Volumes
        #[arg(required = true)]
        volumes: Vec<String>,
    },
    /// Create a volume
    Create {
        /// Labels
        #[arg(long, value_name = "KEY=VALUE")]
        label: Vec<String>,
        /// Name (default: a random one)
        name: Option<String>,
    },
}

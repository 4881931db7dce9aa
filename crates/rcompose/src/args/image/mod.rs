//! The verbs of images, and of registries.

mod registry;

use std::path::PathBuf;

use clap::Subcommand;

pub(crate) use self::registry::{ImagePullArgs, ImagePushArgs, LoginArgs, LogoutArgs, PullArgs, PushArgs};

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
    Pull(ImagePullArgs),
    /// Send an image to a registry
    Push(ImagePushArgs),
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
    Build(Box<super::build::ImageBuildArgs>),
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

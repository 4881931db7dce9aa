//! The verbs of images, and of registries.

mod container;
mod registry;
mod store;

use clap::Subcommand;

pub(crate) use self::container::{CommitArgs, ExportArgs};
pub(crate) use self::registry::{ImagePullArgs, ImagePushArgs, LoginArgs, LogoutArgs, PullArgs, PushArgs};
pub(crate) use self::store::{
    ImageHistoryArgs, ImageImportArgs, ImageInspectArgs, ImageLoadArgs, ImageLsArgs, ImagePruneArgs,
    ImageRmArgs, ImageSaveArgs,
};
use super::build::ImageBuildArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum ImageVerb {
    /// Build an image from a Dockerfile
    Build(Box<ImageBuildArgs>),
    /// Show the instructions that made an image
    History(ImageHistoryArgs),
    /// Make an image from a tarball of a root file system
    Import(ImageImportArgs),
    /// Show all about images
    Inspect(ImageInspectArgs),
    /// Load images from a tar archive
    Load(ImageLoadArgs),
    /// List images
    #[command(alias = "list")]
    Ls(ImageLsArgs),
    /// Remove images without a name, or (-a) all that no container uses, and what pulls that broke off have left
    Prune(ImagePruneArgs),
    /// Pull an image from a registry
    Pull(ImagePullArgs),
    /// Send an image to a registry
    Push(ImagePushArgs),
    /// Remove images
    #[command(alias = "remove")]
    Rm(ImageRmArgs),
    /// Save images to a tar archive
    Save(ImageSaveArgs),
    /// Give an image another name
    Tag {
        /// Image
        source: String,
        /// New name
        target: String,
    },
}

//! The command line: docker compose's words, flags and meanings.

mod build;
mod image;
mod inspect;
mod lifecycle;
mod parse;
mod process;
mod switches;
mod system;
mod volume;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::build::{BuildArgs, BuilderVerb, DuArgs, ImageBuildArgs, PruneArgs};
pub(crate) use self::image::{
    CommitArgs, ExportArgs, ImageHistoryArgs, ImageImportArgs, ImageInspectArgs, ImageLoadArgs, ImageLsArgs,
    ImagePruneArgs, ImagePullArgs, ImagePushArgs, ImageRmArgs, ImageSaveArgs, ImageVerb, LoginArgs,
    LogoutArgs, PullArgs, PushArgs,
};
pub(crate) use self::inspect::{
    CheckArgs, ConfigArgs, EventsArgs, ImagesArgs, LogsArgs, LsArgs, PortArgs, PsArgs, VersionArgs,
    VolumesArgs,
};
pub(crate) use self::lifecycle::{
    CreateArgs, DownArgs, KillArgs, RestartArgs, RmArgs, ScaleArgs, StartArgs, StopArgs, UpArgs, WaitArgs,
};
pub(crate) use self::parse::parse;
pub(crate) use self::process::{ExecArgs, RunArgs};
pub(crate) use self::system::{SystemDfArgs, SystemPruneArgs, SystemVerb};
pub(crate) use self::volume::VolumeVerb;

/// Compose without a daemon: runs Compose projects on Linux.
#[derive(Debug, Parser)]
#[command(name = "rcompose", version, disable_help_subcommand = true, args_override_self = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Flags that come before the verb.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Global {
    /// Compose configuration files
    #[arg(short, long = "file", value_name = "FILE")]
    pub(crate) file: Vec<PathBuf>,
    /// Project name
    #[arg(short, long, value_name = "NAME")]
    pub(crate) project_name: Option<String>,
    /// Alternate working directory (default: the path of the first Compose file)
    #[arg(long, value_name = "DIR")]
    pub(crate) project_directory: Option<PathBuf>,
    /// Profiles to enable
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Vec<String>,
    /// Alternate environment files
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,
    /// Type of progress output
    #[arg(long, value_name = "TYPE", value_parser = PROGRESS)]
    pub(crate) progress: Option<String>,
    /// When to print ANSI control characters
    #[arg(long, value_name = "WHEN", value_parser = ["never", "always", "auto"])]
    pub(crate) ansi: Option<String>,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Maximum parallelism (accepted; everything independent runs at once)
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) parallel: Option<i32>,
    /// Include all resources, even those not used by services
    #[arg(long)]
    pub(crate) all_resources: bool,
    /// Name containers and images with underscores, as Compose 1 did
    #[arg(long)]
    pub(crate) compatibility: bool,
    /// Registries of Compose projects (oci://…) that need no TLS
    #[arg(long, value_name = "HOST", hide = true)]
    pub(crate) insecure_registry: Vec<String>,
    /// Accepted for compatibility
    #[arg(long, hide = true)]
    pub(crate) verbose: bool,
}

/// Values of `--progress`.
pub(crate) const PROGRESS: [&str; 5] = ["auto", "tty", "plain", "json", "quiet"];

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Build or rebuild services
    Build(Box<BuildArgs>),
    /// Manage what builds keep
    Builder {
        #[command(subcommand)]
        verb: BuilderVerb,
    },
    /// Check the project's files: everything that is wrong or doubtful, at once
    Check(CheckArgs),
    /// Make an image of a service container's changes
    Commit(CommitArgs),
    /// Parse, resolve and render the project in canonical form
    #[command(alias = "convert")]
    Config(ConfigArgs),
    /// Create containers for services
    Create(CreateArgs),
    /// Stop and remove containers and networks
    Down(DownArgs),
    /// Receive events from containers
    Events(EventsArgs),
    /// Export a service container's file system as a tar archive
    Export(ExportArgs),
    /// Execute a command in a running container
    Exec(ExecArgs),
    /// List the images of the containers
    Images(ImagesArgs),
    /// Force stop containers
    Kill(KillArgs),
    /// Log in to a registry
    Login(LoginArgs),
    /// Log out from a registry
    Logout(LogoutArgs),
    /// View output from containers
    Logs(LogsArgs),
    /// List projects
    Ls(LsArgs),
    /// Pause services
    Pause(Services),
    /// Print the public port of a port binding
    Port(PortArgs),
    /// List containers
    Ps(PsArgs),
    /// Pull service images
    Pull(PullArgs),
    /// Push service images
    Push(PushArgs),
    /// Restart containers
    Restart(RestartArgs),
    /// Remove stopped containers
    Rm(RmArgs),
    /// Run a one-off command on a service
    Run(Box<RunArgs>),
    /// Scale services
    Scale(ScaleArgs),
    /// Start services
    Start(StartArgs),
    /// Stop services
    Stop(StopArgs),
    /// Display the running processes
    Top(Services),
    /// Unpause services
    Unpause(Services),
    /// Create and start containers
    Up(Box<UpArgs>),
    /// Show version information
    Version(VersionArgs),
    /// List volumes
    Volumes(VolumesArgs),
    /// Block until containers of services stop
    Wait(WaitArgs),
    /// Manage images
    Image {
        #[command(subcommand)]
        verb: ImageVerb,
    },
    /// Manage the whole installation
    System {
        #[command(subcommand)]
        verb: SystemVerb,
    },
    /// Manage volumes
    Volume {
        #[command(subcommand)]
        verb: VolumeVerb,
    },
    /// Attach to a service's container, copy files, and so on: not there yet
    #[command(external_subcommand)]
    Other(Vec<String>),
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Services {
    /// Services
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
}

//! Flags of the verbs that show something.

use std::path::PathBuf;

use clap::{ArgAction, Args};

#[derive(Debug, Clone, Args)]
pub(crate) struct LogsArgs {
    /// Follow log output
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Number of lines to show from the end of the logs of each container
    #[arg(short = 'n', long, value_name = "N", default_value = "all")]
    pub(crate) tail: String,
    /// Show logs since a time (2013-01-02T13:23:37Z) or for a while (42m)
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Show logs before a time or a while ago
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Show timestamps
    #[arg(short, long)]
    pub(crate) timestamps: bool,
    /// Number of the container if the service has several
    #[arg(long, default_value_t = 0)]
    pub(crate) index: u32,
    /// Monochrome output
    #[arg(long)]
    pub(crate) no_color: bool,
    /// Don't print the prefix
    #[arg(long)]
    pub(crate) no_log_prefix: bool,
    /// Services
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct PsArgs {
    /// Show all containers, stopped and one-off ones, too
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Filter by a property: status=running, …
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) filter: Vec<String>,
    /// table or json
    #[arg(long, default_value = "table")]
    pub(crate) format: String,
    /// Don't truncate output
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// Include orphaned services
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value_t = true, action = ArgAction::Set, require_equals = true)]
    pub(crate) orphans: bool,
    /// Only display IDs
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Display services
    #[arg(long)]
    pub(crate) services: bool,
    /// Filter by status: paused, restarting, removing, running, dead, created, exited
    #[arg(long)]
    pub(crate) status: Vec<String>,
    /// Services
    #[arg(value_name = "SERVICE")]
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct CheckArgs {
    /// Also tell what this version or this machine can't do, and fail on warnings
    #[arg(long)]
    pub(crate) strict: bool,
    /// text, json or sarif
    #[arg(long, default_value = "text", value_parser = ["text", "json", "sarif"])]
    pub(crate) format: String,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigArgs {
    /// yaml or json; with --variables a table unless given
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// Print the environment used for interpolation
    #[arg(long)]
    pub(crate) environment: bool,
    /// Print the service configuration hash, one per line ("*" for all)
    #[arg(long, value_name = "SERVICE")]
    pub(crate) hash: Option<String>,
    /// Print the image names
    #[arg(long)]
    pub(crate) images: bool,
    /// Print an override file that pins the images to what their registries have now
    #[arg(long)]
    pub(crate) lock_image_digests: bool,
    /// Print the model names
    #[arg(long)]
    pub(crate) models: bool,
    /// Print the network names
    #[arg(long)]
    pub(crate) networks: bool,
    /// Don't check consistency
    #[arg(long)]
    pub(crate) no_consistency: bool,
    /// Don't resolve env_file
    #[arg(long)]
    pub(crate) no_env_resolution: bool,
    /// Don't interpolate
    #[arg(long)]
    pub(crate) no_interpolate: bool,
    /// Don't normalize
    #[arg(long)]
    pub(crate) no_normalize: bool,
    /// Don't resolve file paths
    #[arg(long)]
    pub(crate) no_path_resolution: bool,
    /// Save to a file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Print the profile names
    #[arg(long)]
    pub(crate) profiles: bool,
    /// Only validate
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Pin the images to what their registries have now
    #[arg(long)]
    pub(crate) resolve_image_digests: bool,
    /// Print the service names
    #[arg(long)]
    pub(crate) services: bool,
    /// Print the variables that the files use, and their defaults
    #[arg(long)]
    pub(crate) variables: bool,
    /// Print the volume names
    #[arg(long)]
    pub(crate) volumes: bool,
    /// Tell where a value comes from and what it replaced: services.web.environment.FOO
    #[arg(long, value_name = "PATH")]
    pub(crate) why: Vec<String>,
    /// Services
    #[arg(value_name = "SERVICE")]
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct EventsArgs {
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Services
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ImagesArgs {
    /// table or json
    #[arg(long, default_value = "table")]
    pub(crate) format: String,
    /// Only display IDs
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Services
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LsArgs {
    /// Show all projects, stopped ones, too
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Filter: name=…
    #[arg(long)]
    pub(crate) filter: Vec<String>,
    /// table or json
    #[arg(long, default_value = "table")]
    pub(crate) format: String,
    /// Only display names
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct PortArgs {
    /// Number of the container if the service has several
    #[arg(long, default_value_t = 0)]
    pub(crate) index: u32,
    /// tcp or udp
    #[arg(long, default_value = "tcp")]
    pub(crate) protocol: String,
    /// Service
    pub(crate) service: String,
    /// Port in the container
    pub(crate) private_port: u16,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct VersionArgs {
    /// pretty or json
    #[arg(short, long, default_value = "pretty", value_parser = ["pretty", "json"])]
    pub(crate) format: String,
    /// Only the number
    #[arg(long)]
    pub(crate) short: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct VolumesArgs {
    /// table or json
    #[arg(long, default_value = "table")]
    pub(crate) format: String,
    /// Only display names
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Services
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
}

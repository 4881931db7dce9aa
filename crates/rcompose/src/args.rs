//! The command line: docker compose's words, flags and meanings.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

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
    #[arg(long, value_name = "TYPE", value_parser = ["auto", "tty", "plain", "json", "quiet"])]
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
    /// Accepted for compatibility
    #[arg(long, hide = true)]
    pub(crate) compatibility: bool,
    /// Accepted for compatibility
    #[arg(long, hide = true)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Build or rebuild services
    Build(BuildArgs),
    /// Parse, resolve and render the project in canonical form
    #[command(alias = "convert")]
    Config(ConfigArgs),
    /// Create containers for services
    Create(CreateArgs),
    /// Stop and remove containers and networks
    Down(DownArgs),
    /// Receive events from containers
    Events(EventsArgs),
    /// Execute a command in a running container
    Exec(ExecArgs),
    /// List the images of the containers
    Images(ImagesArgs),
    /// Force stop containers
    Kill(KillArgs),
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

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct UpArgs {
    /// Detached mode: run containers in the background
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Build images before starting containers
    #[arg(long)]
    pub(crate) build: bool,
    /// Don't build an image, even if it's policy
    #[arg(long)]
    pub(crate) no_build: bool,
    /// Pull image before running
    #[arg(long, value_name = "POLICY", value_parser = ["always", "missing", "never", "if_not_present", "build", "policy"])]
    pub(crate) pull: Option<String>,
    /// Pull without progress
    #[arg(long)]
    pub(crate) quiet_pull: bool,
    /// Suppress the build output
    #[arg(long)]
    pub(crate) quiet_build: bool,
    /// Recreate containers even if nothing changed
    #[arg(long)]
    pub(crate) force_recreate: bool,
    /// Keep containers that exist, whatever changed
    #[arg(long, conflicts_with = "force_recreate")]
    pub(crate) no_recreate: bool,
    /// Recreate dependent containers
    #[arg(long)]
    pub(crate) always_recreate_deps: bool,
    /// Don't start linked services
    #[arg(long)]
    pub(crate) no_deps: bool,
    /// Don't start the services after creating them
    #[arg(long)]
    pub(crate) no_start: bool,
    /// Scale SERVICE to N instances
    #[arg(long, value_name = "SERVICE=N")]
    pub(crate) scale: Vec<String>,
    /// Remove containers of services that the file doesn't define
    #[arg(long)]
    pub(crate) remove_orphans: bool,
    /// Recreate anonymous volumes
    #[arg(short = 'V', long)]
    pub(crate) renew_anon_volumes: bool,
    /// Seconds until containers are killed on shutdown
    #[arg(short, long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
    /// Show timestamps
    #[arg(long)]
    pub(crate) timestamps: bool,
    /// Wait for services to be running|healthy (implies detached mode)
    #[arg(long)]
    pub(crate) wait: bool,
    /// Longest wait in seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) wait_timeout: Option<u64>,
    /// Stop all containers if any stops
    #[arg(long)]
    pub(crate) abort_on_container_exit: bool,
    /// Stop all containers if any exits with failure
    #[arg(long)]
    pub(crate) abort_on_container_failure: bool,
    /// Return the status of this service's container
    #[arg(long, value_name = "SERVICE")]
    pub(crate) exit_code_from: Option<String>,
    /// Attach to these services only
    #[arg(long, value_name = "SERVICE")]
    pub(crate) attach: Vec<String>,
    /// Don't attach to these services
    #[arg(long, value_name = "SERVICE")]
    pub(crate) no_attach: Vec<String>,
    /// Attach to dependencies, too
    #[arg(long)]
    pub(crate) attach_dependencies: bool,
    /// Monochrome output
    #[arg(long)]
    pub(crate) no_color: bool,
    /// Don't print the prefix in logs
    #[arg(long)]
    pub(crate) no_log_prefix: bool,
    /// Accepted; there is no menu
    #[arg(long, num_args = 0..=1, default_missing_value = "true", hide = true)]
    pub(crate) menu: Option<String>,
    /// Assume yes
    #[arg(short, long = "yes")]
    pub(crate) yes: bool,
    /// Show the plan, and do nothing
    #[arg(long = "dry-run")]
    pub(crate) dry_run: bool,
    /// Services
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct CreateArgs {
    /// Build images before
    #[arg(long)]
    pub(crate) build: bool,
    /// Don't build
    #[arg(long)]
    pub(crate) no_build: bool,
    /// Recreate containers even if nothing changed
    #[arg(long)]
    pub(crate) force_recreate: bool,
    /// Keep containers that exist
    #[arg(long)]
    pub(crate) no_recreate: bool,
    /// Pull image before
    #[arg(long, value_name = "POLICY")]
    pub(crate) pull: Option<String>,
    /// Pull without progress
    #[arg(long)]
    pub(crate) quiet_pull: bool,
    /// Remove orphans
    #[arg(long)]
    pub(crate) remove_orphans: bool,
    /// Scale SERVICE to N
    #[arg(long, value_name = "SERVICE=N")]
    pub(crate) scale: Vec<String>,
    /// Assume yes
    #[arg(short, long = "yes")]
    pub(crate) yes: bool,
    /// Services
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DownArgs {
    /// Remove containers of services that the file doesn't define
    #[arg(long)]
    pub(crate) remove_orphans: bool,
    /// Remove images: "local" (those without a custom tag) or "all"
    #[arg(long, value_name = "TYPE", value_parser = ["local", "all"])]
    pub(crate) rmi: Option<String>,
    /// Seconds until containers are killed
    #[arg(short, long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
    /// Remove named volumes of the file and anonymous volumes
    #[arg(short, long)]
    pub(crate) volumes: bool,
    /// Services
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RunArgs {
    /// Build the image before
    #[arg(long)]
    pub(crate) build: bool,
    /// Run in the background and print the container's name
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Override the entrypoint of the image
    #[arg(long, value_name = "COMMAND")]
    pub(crate) entrypoint: Option<String>,
    /// Set environment variables
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(crate) env: Vec<String>,
    /// Set environment variables from a file
    #[arg(long, value_name = "FILE")]
    pub(crate) env_from_file: Vec<PathBuf>,
    /// Keep STDIN open even if not attached (the default)
    #[arg(short, long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(crate) interactive: Option<bool>,
    /// Add or override a label
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<String>,
    /// Name of the container
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Don't start linked services
    #[arg(long)]
    pub(crate) no_deps: bool,
    /// Don't allocate a terminal
    #[arg(short = 'T', long = "no-tty", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(crate) no_tty: Option<bool>,
    /// Accepted as docker compose does
    #[arg(short = 't', long = "tty", hide = true)]
    pub(crate) tty: bool,
    /// Publish a port
    #[arg(short, long, value_name = "PORT")]
    pub(crate) publish: Vec<String>,
    /// Pull image before
    #[arg(long, value_name = "POLICY")]
    pub(crate) pull: Option<String>,
    /// Print less
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Suppress the build output
    #[arg(long)]
    pub(crate) quiet_build: bool,
    /// Pull without progress
    #[arg(long)]
    pub(crate) quiet_pull: bool,
    /// Remove orphans
    #[arg(long)]
    pub(crate) remove_orphans: bool,
    /// Remove the container when it exits
    #[arg(long)]
    pub(crate) rm: bool,
    /// Publish the service's ports
    #[arg(short = 'P', long)]
    pub(crate) service_ports: bool,
    /// Use the service's network aliases
    #[arg(long)]
    pub(crate) use_aliases: bool,
    /// Run as this user
    #[arg(short, long)]
    pub(crate) user: Option<String>,
    /// Bind mount a volume
    #[arg(short, long, value_name = "VOLUME")]
    pub(crate) volume: Vec<String>,
    /// Working directory inside the container
    #[arg(short, long)]
    pub(crate) workdir: Option<String>,
    /// Add Linux capabilities
    #[arg(long)]
    pub(crate) cap_add: Vec<String>,
    /// Drop Linux capabilities
    #[arg(long)]
    pub(crate) cap_drop: Vec<String>,
    /// Service
    pub(crate) service: String,
    /// Command and arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ExecArgs {
    /// Run in the background
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Set environment variables
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(crate) env: Vec<String>,
    /// Number of the container if the service has several
    #[arg(long, default_value_t = 0)]
    pub(crate) index: u32,
    /// Don't allocate a terminal
    #[arg(short = 'T', long = "no-tty", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(crate) no_tty: Option<bool>,
    /// Accepted as docker compose does
    #[arg(short = 't', long = "tty", hide = true)]
    pub(crate) tty: bool,
    /// Accepted as docker compose does
    #[arg(short, long, hide = true)]
    pub(crate) interactive: bool,
    /// All capabilities
    #[arg(long)]
    pub(crate) privileged: bool,
    /// Run as this user
    #[arg(short, long)]
    pub(crate) user: Option<String>,
    /// Working directory
    #[arg(short, long)]
    pub(crate) workdir: Option<String>,
    /// Service
    pub(crate) service: String,
    /// Command and arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub(crate) command: Vec<String>,
}

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

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct BuildArgs {
    /// Set build-time variables
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) build_arg: Vec<String>,
    /// Do not use the cache
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Always attempt to pull a newer version of base images
    #[arg(long)]
    pub(crate) pull: bool,
    /// Suppress the build output
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Build dependencies, too
    #[arg(long)]
    pub(crate) with_dependencies: bool,
    /// Services
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigArgs {
    /// yaml or json
    #[arg(long, default_value = "yaml", value_parser = ["yaml", "json"])]
    pub(crate) format: String,
    /// Print the interpolation environment
    #[arg(long)]
    pub(crate) environment: bool,
    /// Print the service configuration hash, one per line ("*" for all)
    #[arg(long, value_name = "SERVICE")]
    pub(crate) hash: Option<String>,
    /// Print the image names
    #[arg(long)]
    pub(crate) images: bool,
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
    /// Print the service names
    #[arg(long)]
    pub(crate) services: bool,
    /// Print the volume names
    #[arg(long)]
    pub(crate) volumes: bool,
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
pub(crate) struct KillArgs {
    /// Signal
    #[arg(short, long, default_value = "SIGKILL")]
    pub(crate) signal: String,
    /// Remove orphans
    #[arg(long)]
    pub(crate) remove_orphans: bool,
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

#[derive(Debug, Clone, Args)]
pub(crate) struct RestartArgs {
    /// Don't restart dependent services
    #[arg(long)]
    pub(crate) no_deps: bool,
    /// Seconds until containers are killed
    #[arg(short, long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
    /// Services
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RmArgs {
    /// Don't ask
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Stop the containers first
    #[arg(short, long)]
    pub(crate) stop: bool,
    /// Remove anonymous volumes
    #[arg(short, long)]
    pub(crate) volumes: bool,
    /// Services
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ScaleArgs {
    /// Don't start linked services
    #[arg(long)]
    pub(crate) no_deps: bool,
    /// SERVICE=N
    #[arg(value_name = "SERVICE=N", required = true)]
    pub(crate) scale: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct StartArgs {
    /// Wait for services to be running|healthy
    #[arg(long)]
    pub(crate) wait: bool,
    /// Longest wait in seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) wait_timeout: Option<u64>,
    /// Services
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct StopArgs {
    /// Seconds until containers are killed
    #[arg(short, long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
    /// Services
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
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

#[derive(Debug, Clone, Args)]
pub(crate) struct WaitArgs {
    /// Take the project down when the first container stops
    #[arg(long)]
    pub(crate) down_project: bool,
    /// Services
    #[arg(value_name = "SERVICE", required = true)]
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

#[derive(Debug, Clone, Args)]
pub(crate) struct ImageBuildArgs {
    /// Names of the image
    #[arg(short, long)]
    pub(crate) tag: Vec<String>,
    /// Dockerfile
    #[arg(short, long)]
    pub(crate) file: Option<PathBuf>,
    /// Stage to build
    #[arg(long)]
    pub(crate) target: Option<String>,
    /// Build-time variables
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) build_arg: Vec<String>,
    /// Labels
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<String>,
    /// Do not use the cache
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Pull base images
    #[arg(long)]
    pub(crate) pull: bool,
    /// Suppress the output, print the image's id
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Network of RUN
    #[arg(long)]
    pub(crate) network: Option<String>,
    /// Build context
    pub(crate) context: PathBuf,
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

//! Flags of the verbs that make, start, stop and remove containers.

use clap::Args;

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
pub(crate) struct WaitArgs {
    /// Take the project down when the first container stops
    #[arg(long)]
    pub(crate) down_project: bool,
    /// Services
    #[arg(value_name = "SERVICE", required = true)]
    pub(crate) services: Vec<String>,
}

//! Flags of the verbs that run a process: in a container of its own, or in one that runs.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Clone, Args)]
#[command(override_usage = "rcompose run [OPTIONS] SERVICE [COMMAND] [ARGS...]")]
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
    /// Service, then the command and its arguments: from the service on no word is a flag of this program
    #[arg(
        value_name = "SERVICE [COMMAND]",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    words: Vec<String>,
}

impl RunArgs {
    /// The service.
    pub(crate) fn service(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// The command, empty for the service's own.
    pub(crate) fn command(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }
}

#[derive(Debug, Clone, Args)]
#[command(override_usage = "rcompose exec [OPTIONS] SERVICE COMMAND [ARGS...]")]
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
    /// Service, then the command and its arguments: from the service on no word is a flag of this program
    #[arg(value_name = "SERVICE COMMAND", required = true, num_args = 2.., trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

impl ExecArgs {
    /// The service.
    pub(crate) fn service(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// The command.
    pub(crate) fn command(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }
}

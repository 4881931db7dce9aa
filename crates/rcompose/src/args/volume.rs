//! The verbs of volumes.

use clap::Subcommand;

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

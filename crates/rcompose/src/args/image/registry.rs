//! Flags of the verbs that speak to registries.

use clap::Args;

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
pub(crate) struct PushArgs {
    /// Push what can be pushed
    #[arg(long)]
    pub(crate) ignore_push_failures: bool,
    /// Also push images of dependencies
    #[arg(long)]
    pub(crate) include_deps: bool,
    /// No progress
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Services
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ImagePullArgs {
    /// Pull all tags of the repository
    #[arg(short, long)]
    pub(crate) all_tags: bool,
    /// Platform, such as linux/arm64
    #[arg(long)]
    pub(crate) platform: Option<String>,
    /// Print only the name
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Accepted for compatibility
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true)]
    pub(crate) disable_content_trust: Option<Option<bool>>,
    /// Image
    pub(crate) image: String,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ImagePushArgs {
    /// Push all tags of the repository
    #[arg(short, long)]
    pub(crate) all_tags: bool,
    /// Push only if the image is for this platform
    #[arg(long)]
    pub(crate) platform: Option<String>,
    /// Print only the name
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Accepted for compatibility
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true)]
    pub(crate) disable_content_trust: Option<Option<bool>>,
    /// Image
    pub(crate) image: String,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LoginArgs {
    /// User
    #[arg(short, long)]
    pub(crate) username: Option<String>,
    /// Password or access token
    #[arg(short, long, conflicts_with = "password_stdin")]
    pub(crate) password: Option<String>,
    /// Take the password from standard input
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// Registry (default: docker's own)
    pub(crate) server: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LogoutArgs {
    /// Registry (default: docker's own)
    pub(crate) server: Option<String>,
}

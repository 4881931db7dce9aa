//! Flags of the verbs that build.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::PROGRESS;

/// What both verbs have.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SharedBuildArgs {
    /// Set build-time variables
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) build_arg: Vec<String>,
    /// Accepted for compatibility: there is one builder
    #[arg(long, value_name = "NAME")]
    pub(crate) builder: Option<String>,
    /// Check the Dockerfile, and build nothing
    #[arg(long)]
    pub(crate) check: bool,
    /// Open a shell in the file system of a RUN that fails
    #[arg(long)]
    pub(crate) debug_shell: bool,
    /// Limit the memory of each RUN
    #[arg(short, long, value_name = "BYTES")]
    pub(crate) memory: Option<String>,
    /// Do not use the cache
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Add a provenance attestation: true, false, mode=min or mode=max
    #[arg(long, value_name = "MODE")]
    pub(crate) provenance: Option<String>,
    /// Always attempt to pull a newer version of base images
    #[arg(long)]
    pub(crate) pull: bool,
    /// Push what is built
    #[arg(long)]
    pub(crate) push: bool,
    /// Suppress the build output; of an image, print the id
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Add an attestation of the packages in the image (SBOM): true or false
    #[arg(long, value_name = "BOOL")]
    pub(crate) sbom: Option<String>,
    /// SSH agents for the build: default, or ID=SOCKET or KEY
    #[arg(long, value_name = "ID[=PATH]")]
    pub(crate) ssh: Vec<String>,
}

/// `build`.
#[derive(Debug, Clone, Default, Args)]
#[command(next_display_order = None)]
pub(crate) struct BuildArgs {
    #[command(flatten)]
    pub(crate) shared: SharedBuildArgs,
    /// Print the equivalent bake file
    #[arg(long)]
    pub(crate) print: bool,
    /// Build dependencies, too
    #[arg(long)]
    pub(crate) with_dependencies: bool,
    /// As before the verb
    #[arg(long, hide = true, value_name = "TYPE", value_parser = PROGRESS)]
    pub(crate) progress: Option<String>,
    /// Flags that mean nothing any more, as in docker compose: scripts still have them
    #[command(flatten)]
    pub(crate) former: FormerArgs,
    /// Services
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
}

/// What `build` of former versions of docker compose had.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FormerArgs {
    /// Builds that need one another wait, all others don't
    #[arg(long, hide = true)]
    pub(crate) parallel: bool,
    /// There is nobody to send a context to
    #[arg(long, hide = true)]
    pub(crate) compress: bool,
    /// Steps leave no containers
    #[arg(long, hide = true)]
    pub(crate) force_rm: bool,
    /// Steps leave no containers
    #[arg(long, hide = true)]
    pub(crate) no_rm: bool,
}

/// `image build`.
#[derive(Debug, Clone, Args)]
#[command(next_display_order = None)]
pub(crate) struct ImageBuildArgs {
    #[command(flatten)]
    pub(crate) shared: SharedBuildArgs,
    /// Lines for /etc/hosts of RUN
    #[arg(long, value_name = "HOST:IP", value_delimiter = ',')]
    pub(crate) add_host: Vec<String>,
    /// What RUN may ask for beyond the usual: network.host, security.insecure
    #[arg(long, value_name = "ENTITLEMENT")]
    pub(crate) allow: Vec<String>,
    /// Annotations; LEVEL is manifest, manifest-descriptor, index or index-descriptor, of a platform in brackets if wanted
    #[arg(long, value_name = "[LEVEL:]KEY=VALUE")]
    pub(crate) annotation: Vec<String>,
    /// Attestations: type=provenance,mode=… or type=sbom
    #[arg(long, value_name = "type=TYPE,…")]
    pub(crate) attest: Vec<String>,
    /// Additional contexts
    #[arg(long, value_name = "NAME=PATH")]
    pub(crate) build_context: Vec<String>,
    /// Caches to read from: an image, or type=registry,ref=… or type=local,src=…
    #[arg(long, value_name = "CACHE")]
    pub(crate) cache_from: Vec<String>,
    /// Caches to write to: as above, or type=inline
    #[arg(long, value_name = "CACHE")]
    pub(crate) cache_to: Vec<String>,
    /// Say something of the Dockerfile instead of building it: check, outline or targets, and ,format=json if wanted
    #[arg(long, value_name = "METHOD", alias = "print", overrides_with = "check")]
    pub(crate) call: Option<String>,
    /// The cgroup that those of RUN lie in, below the caller's own
    #[arg(long, value_name = "PATH")]
    pub(crate) cgroup_parent: Option<String>,
    /// Accepted for compatibility
    #[arg(short = 'D', long)]
    pub(crate) debug: bool,
    /// Dockerfile
    #[arg(short, long)]
    pub(crate) file: Option<PathBuf>,
    /// Write the image's id to a file
    #[arg(long, value_name = "FILE")]
    pub(crate) iidfile: Option<PathBuf>,
    /// Labels
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<String>,
    /// Keep the image in the store: what happens without --output
    #[arg(long)]
    pub(crate) load: bool,
    /// Write what was built to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) metadata_file: Option<PathBuf>,
    /// Network of RUN: default, host or none
    #[arg(long)]
    pub(crate) network: Option<String>,
    /// Stages not to use the cache for
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub(crate) no_cache_filter: Vec<String>,
    /// Where to put the result: a directory, - for a tar archive on standard output, or type=…,dest=…
    #[arg(short, long, value_name = "OUTPUT")]
    pub(crate) output: Vec<String>,
    /// Platforms to build for
    #[arg(long, value_name = "OS/ARCH", value_delimiter = ',')]
    pub(crate) platform: Vec<String>,
    /// Type of progress output: auto, tty, plain, rawjson, quiet
    #[arg(long, value_name = "TYPE", value_parser = ["auto", "tty", "plain", "rawjson", "json", "quiet", "none"])]
    pub(crate) progress: Option<String>,
    /// Accepted as disabled=true only: there are no policies
    #[arg(long, value_name = "POLICY")]
    pub(crate) policy: Vec<String>,
    /// What each RUN may take: memory, memory-swap, cpu-shares, cpu-period, cpu-quota, cpuset-cpus, cpuset-mems
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) resource: Vec<String>,
    /// Secrets: id=NAME[,src=FILE][,env=VARIABLE][,type=file|env]
    #[arg(long, value_name = "SECRET")]
    pub(crate) secret: Vec<String>,
    /// Size of /dev/shm of RUN
    #[arg(long, value_name = "BYTES")]
    pub(crate) shm_size: Option<String>,
    /// Names of the image
    #[arg(short, long)]
    pub(crate) tag: Vec<String>,
    /// Stage to build
    #[arg(long)]
    pub(crate) target: Option<String>,
    /// Resource limits of RUN
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    pub(crate) ulimit: Vec<String>,
    #[command(flatten)]
    pub(crate) legacy: LegacyBuildArgs,
    /// Build context: a directory, a URL, or - for standard input
    pub(crate) context: PathBuf,
}

/// What docker's `build` had before BuildKit, and still takes.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct LegacyBuildArgs {
    /// `--resource memory-swap`
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub(crate) memory_swap: Option<String>,
    /// `--resource cpu-shares`
    #[arg(short = 'c', long, hide = true)]
    pub(crate) cpu_shares: Option<String>,
    /// `--resource cpu-period`
    #[arg(long, hide = true)]
    pub(crate) cpu_period: Option<String>,
    /// `--resource cpu-quota`
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub(crate) cpu_quota: Option<String>,
    /// `--resource cpuset-cpus`
    #[arg(long, hide = true)]
    pub(crate) cpuset_cpus: Option<String>,
    /// `--resource cpuset-mems`
    #[arg(long, hide = true)]
    pub(crate) cpuset_mems: Option<String>,
    /// There is nobody to send a context to
    #[arg(long, hide = true)]
    pub(crate) compress: bool,
    /// Steps leave no containers
    #[arg(long, hide = true)]
    pub(crate) rm: bool,
    /// Steps leave no containers
    #[arg(long, hide = true)]
    pub(crate) force_rm: bool,
    /// Ignored with a warning
    #[arg(long, hide = true)]
    pub(crate) isolation: Option<String>,
    /// Ignored with a warning
    #[arg(long, hide = true)]
    pub(crate) security_opt: Vec<String>,
    /// Ignored with a warning
    #[arg(long, hide = true)]
    pub(crate) squash: bool,
}

/// `builder`.
#[derive(Debug, Subcommand)]
pub(crate) enum BuilderVerb {
    /// Build an image from a Dockerfile
    Build(Box<ImageBuildArgs>),
    /// Show what builds keep for the next ones
    Du(DuArgs),
    /// Remove what builds keep for the next ones
    Prune(PruneArgs),
}

/// What `builder du` and `builder prune` have in common.
#[derive(Debug, Clone, Args)]
pub(crate) struct DuArgs {
    /// Accepted for compatibility: there is one builder
    #[arg(long, value_name = "NAME")]
    pub(crate) builder: Option<String>,
    /// Only what is so: until=24h, id=…, type=regular|exec.cachemount|source.http|source.git.checkout, shared=true|false, private=true|false
    #[arg(long, value_name = "FILTER")]
    pub(crate) filter: Vec<String>,
    /// Say all of each
    #[arg(long)]
    pub(crate) verbose: bool,
}

/// `builder prune`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PruneArgs {
    /// Also what images have, too
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Which, and how they are shown.
    #[command(flatten)]
    pub(crate) du: DuArgs,
    /// Don't ask
    #[arg(short, long)]
    pub(crate) force: bool,
    /// The most that stays, the newest
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_used_space: Option<String>,
    /// Remove until so much of the disk is free
    #[arg(long, value_name = "BYTES")]
    pub(crate) min_free_space: Option<String>,
    /// What stays in any case, the newest
    #[arg(long, value_name = "BYTES", alias = "keep-storage")]
    pub(crate) reserved_space: Option<String>,
}

//! `image build`: an image from a Dockerfile, with docker build's flags.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use rcompose_build::{BuildRequest, DockerfileSource, RunLimits};
use rcompose_image::{Platform, Reference, Store};
use rcompose_loader::ULIMIT_NAMES;

use crate::args::ImageBuildArgs;
use crate::commands::build::pairs;
use crate::context::{Context, ProgressMode, print};
use crate::failure::Failure;
use crate::own;
use crate::pictures::{
    Annotations, Attests, BuildWanted, Caches, Call, Delivery, Inputs, Said, build_and_deliver,
    build_network, context_place, is_archive, known_entitlement, make_parent, metadata, parse_reference,
    run_limits, secret as build_secret,
};

pub(crate) fn run(cx: &Context, store: &Store, args: &ImageBuildArgs) -> Result<(), Failure> {
    let mut inputs = Inputs::default();
    let mut cx = cx.clone();
    let mut raw = false;
    match args.progress.as_deref().or(cx.env.get("BUILDKIT_PROGRESS")) {
        Some("tty") => cx.out.progress = ProgressMode::Tty,
        Some("plain") => cx.out.progress = ProgressMode::Plain,
        Some("rawjson") => raw = true,
        Some("json") => cx.out.progress = ProgressMode::Json,
        Some("quiet" | "none") => cx.out.progress = ProgressMode::Quiet,
        _ => {}
    }
    let cx = &cx;
    refuse(cx, args)?;
    if let Some(path) = &args.iidfile {
        // A build that fails leaves no id of another one.
        let path = cx.env.cwd.join(path);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::io(format_args!("remove {}", path.display()), &e));
            }
            _ => {}
        }
    }
    let call = match &args.call {
        Some(text) => Call::parse(text)?,
        None if args.shared.check => Call::parse("check")?,
        None => None,
    };
    let requests = requests(cx, store, args, &mut inputs)?;
    let request = &requests[0];
    if let Some(call) = call {
        let answer = call.answer(cx, store, request)?;
        print(&answer.text)?;
        if let Some(path) = &args.metadata_file {
            write(cx, path, format!("{:#}", answer.metadata))?;
        }
        return match (answer.failure, answer.status) {
            (Some(failure), _) => Err(failure),
            (None, 0) => Ok(()),
            (None, status) => Err(Failure::silent(status)),
        };
    }
    let caches = Caches::parse(cx, &args.cache_from, &args.cache_to)?;
    let said = Said {
        attests: Attests::parse(
            cx,
            &args.attest,
            args.shared.provenance.as_deref(),
            args.shared.sbom.as_deref(),
        )?,
        annotations: Annotations::parse(&args.annotation)?,
    };
    let outputs = outputs(cx, args, &request.tags)?;
    let wanted = BuildWanted { outputs, quiet: args.shared.quiet, raw, caches, said };
    let (built, descriptor) = build_and_deliver(cx, store, &requests, &wanted)?;
    // Of several platforms, the index is what was built.
    let id = match (built.builds.as_slice(), &descriptor) {
        ([_, _, ..], Some(descriptor)) => descriptor.digest,
        _ => built.first().image,
    };
    if let Some(path) = &args.iidfile {
        write(cx, path, id.to_string())?;
    }
    if let Some(path) = &args.metadata_file {
        let names = &built.index.subjects;
        write(cx, path, format!("{:#}", metadata(cx, &built, descriptor.as_ref(), names)))?;
    }
    if args.shared.quiet {
        print(&format!("{id}\n"))?;
    }
    Ok(())
}

fn write(cx: &Context, path: &Path, text: String) -> Result<(), Failure> {
    let path = cx.env.cwd.join(path);
    make_parent(&path)?;
    own::write(&path, text.as_bytes()).map_err(|e| Failure::io(format_args!("write {}", path.display()), &e))
}

fn tag(text: &str) -> Result<Reference, Failure> {
    let reference = parse_reference(text)?;
    match reference.digest() {
        None => Ok(reference),
        Some(_) => Err(Failure::user(format!("--tag {text}: what is built can't be given a digest"))
            .hint("leave the digest out: the build makes it")),
    }
}

/// Where the result goes: into the store, unless something else is said.
fn outputs(cx: &Context, args: &ImageBuildArgs, tags: &[Reference]) -> Result<Vec<Delivery>, Failure> {
    let mut all = args.output.iter().map(|o| Delivery::parse(cx, o, tags)).collect::<Result<Vec<_>, _>>()?;
    if args.shared.push {
        all.push(Delivery::Image { names: tags.to_vec(), push: true });
    }
    if all.is_empty() || args.load {
        all.push(Delivery::Image { names: Vec::new(), push: false });
    }
    Ok(all)
}

/// One for each platform.
fn requests(
    cx: &Context,
    store: &Store,
    args: &ImageBuildArgs,
    inputs: &mut Inputs,
) -> Result<Vec<BuildRequest>, Failure> {
    inputs.secrets = args.secret.iter().map(|s| build_secret(cx, s)).collect::<Result<_, _>>()?;
    for (id, path) in pairs(&args.shared.ssh) {
        let agent = inputs.agent(cx, &id, path.as_deref())?;
        inputs.ssh.insert(id, agent);
    }
    let mut build_args = pairs(&args.shared.build_arg);
    for (name, value) in &mut build_args {
        if value.is_none() {
            *value = cx.env.all.get(name).cloned();
        }
    }
    cx.env.put_epoch(&mut build_args);
    let labels = pairs(&args.label).into_iter().map(|(name, value)| (name, value.unwrap_or_default()));
    let (mut contexts, mut sources) = (BTreeMap::new(), BTreeMap::new());
    for text in &args.build_context {
        let (name, place) = text.split_once('=').ok_or_else(|| {
            Failure::user(format!("invalid value `{text}` for --build-context")).hint("write NAME=PATH")
        })?;
        parse_reference(name).map_err(|f| {
            f.context(format!("--build-context {text}")).hint("write NAME=PATH, NAME as an image is called")
        })?;
        let at = context_place(cx, store, place, inputs)
            .map_err(|f| f.context(format!("--build-context {text}")))?;
        contexts.insert(name.to_owned(), at);
        sources.extend(inputs.source(place).map(|source| (name.to_owned(), source)));
    }
    let default = cx.env.get("DOCKER_DEFAULT_PLATFORM").map(str::to_owned);
    let mut platforms: Vec<Option<Platform>> = Vec::new();
    for text in args.platform.iter().chain(default.iter().filter(|_| args.platform.is_empty())) {
        let platform = match text.as_str() {
            "local" => Platform::host(),
            text => text.parse::<Platform>().map_err(|e| Failure::user(format!("--platform {text}: {e}")))?,
        };
        if !platforms.contains(&Some(platform.clone())) {
            platforms.push(Some(platform));
        }
    }
    if platforms.is_empty() {
        platforms.push(None);
    }
    let request = BuildRequest {
        target: args.target.clone().filter(|t| !t.is_empty()),
        args: build_args,
        labels: labels.collect(),
        tags: args.tag.iter().map(|t| tag(t)).collect::<Result<_, _>>()?,
        no_cache: args.shared.no_cache,
        no_cache_filter: args.no_cache_filter.iter().cloned().collect(),
        pull: args.shared.pull,
        network: build_network(args.network.as_deref())?,
        extra_hosts: args.add_host.iter().map(|h| host(h)).collect::<Result<_, _>>()?,
        shm_size: args.shm_size.as_deref().map(bytes).transpose()?,
        ulimits: args.ulimit.iter().map(|u| ulimit(u)).collect::<Result<_, _>>()?,
        additional_contexts: contexts,
        context_sources: sources,
        secrets: inputs.secrets.clone(),
        ssh: inputs.ssh.clone(),
        limits: limits(args)?,
        cgroup_parent: args.cgroup_parent.clone(),
        allow: args.allow.iter().cloned().collect(),
        debug_shell: args.shared.debug_shell,
        cache_root: cx.dirs.build_cache(),
        ..BuildRequest::default()
    };
    let mut request = request.with_known_arguments();
    (request.context, request.dockerfile) = context(cx, args, request.keeps_git_dir(), inputs)?;
    request.context_source = inputs.source(&args.context.to_string_lossy());
    let one = |platform| BuildRequest { platform, ..request.clone() };
    Ok(platforms.into_iter().map(one).collect())
}

/// The shorthands first: `--resource` counts.
fn limits(args: &ImageBuildArgs) -> Result<RunLimits, Failure> {
    let legacy = &args.legacy;
    let short = [
        ("memory", &args.shared.memory),
        ("memory-swap", &legacy.memory_swap),
        ("cpu-shares", &legacy.cpu_shares),
        ("cpu-period", &legacy.cpu_period),
        ("cpu-quota", &legacy.cpu_quota),
        ("cpuset-cpus", &legacy.cpuset_cpus),
        ("cpuset-mems", &legacy.cpuset_mems),
    ];
    let short = short.into_iter().filter_map(|(name, v)| Some(format!("{name}={}", v.as_ref()?)));
    run_limits(short.chain(args.resource.iter().cloned()))
}

/// Flags that docker takes without doing anything, in its words; and what can't be done.
fn refuse(cx: &Context, args: &ImageBuildArgs) -> Result<(), Failure> {
    let ignored = [
        (args.legacy.isolation.is_some(), "isolation flag is deprecated with BuildKit."),
        (
            !args.legacy.security_opt.is_empty(),
            "security-opt flag is deprecated. \"RUN --security=insecure\" should be used with BuildKit.",
        ),
        (
            args.legacy.squash,
            "experimental flag squash is removed with BuildKit. You should squash inside build using a multi-stage Dockerfile for efficiency.",
        ),
    ];
    ignored.iter().filter(|(given, _)| *given).for_each(|(_, warning)| cx.warn(warning));
    for (flag, all) in [("--build-arg", &args.shared.build_arg), ("--label", &args.label)] {
        if let Some(text) = all.iter().find(|t| t.is_empty() || t.starts_with('=')) {
            return Err(Failure::user(format!("{flag} {text}: the name is empty")).hint("write NAME=VALUE"));
        }
    }
    if args.shared.no_cache && !args.no_cache_filter.is_empty() {
        return Err(Failure::user("--no-cache and --no-cache-filter cannot be used together")
            .hint("--no-cache means all stages, --no-cache-filter those that it names"));
    }
    let progress = args.progress.as_deref().filter(|p| args.shared.quiet && !["auto", "quiet"].contains(p));
    if let Some(progress) = progress {
        return Err(Failure::user(format!("--progress {progress} and --quiet cannot be used together")));
    }
    args.allow.iter().try_for_each(|text| known_entitlement(text))?;
    match args.policy.iter().find(|p| *p != "disabled=true") {
        Some(policy) => Err(Failure::unsupported(format!("builds have no policies: `--policy {policy}`"))
            .hint("without the flag, or with --policy disabled=true, the build goes on unchecked")),
        None => Ok(()),
    }
}

/// The context's directory, and the Dockerfile.
fn context(
    cx: &Context,
    args: &ImageBuildArgs,
    keep_git_dir: bool,
    inputs: &mut Inputs,
) -> Result<(PathBuf, DockerfileSource), Failure> {
    let is_stdin = |path: &Path| path.as_os_str() == "-";
    let file_from_stdin = args.file.as_deref().is_some_and(is_stdin);
    if is_stdin(&args.context) {
        if file_from_stdin {
            return Err(Failure::user("the build context and the Dockerfile can't both be standard input"));
        }
        let mut input = BufReader::new(std::io::stdin());
        let mut head = Vec::new();
        let read = |e: std::io::Error| Failure::io("read the build context from standard input", &e);
        input.by_ref().take(512).read_to_end(&mut head).map_err(read)?;
        if is_archive(&head) {
            let dockerfile = args.file.clone().unwrap_or_else(|| "Dockerfile".into());
            let context = inputs.archive(cx, head.as_slice().chain(input))?;
            return Ok((context, DockerfileSource::Path(dockerfile)));
        }
        let mut text = head;
        input.read_to_end(&mut text).map_err(read)?;
        return Ok((inputs.directory(cx)?, DockerfileSource::Inline(utf8(text)?)));
    }
    let place = args.context.to_string_lossy();
    let remote = place.contains("://") || place.starts_with("git@") || place.starts_with("github.com/");
    let context = inputs.context_with(cx, &place, keep_git_dir)?;
    rcompose_build::check_context(&context, "the build context")?;
    let dockerfile = match &args.file {
        Some(_) if file_from_stdin => {
            let mut text = Vec::new();
            std::io::stdin()
                .read_to_end(&mut text)
                .map_err(|e| Failure::io("read the Dockerfile from standard input", &e))?;
            DockerfileSource::Inline(utf8(text)?)
        }
        Some(file) if remote => DockerfileSource::Path(file.clone()),
        Some(file) => DockerfileSource::Path(cx.env.cwd.join(file)),
        None => DockerfileSource::default(),
    };
    Ok((context, dockerfile))
}

fn utf8(text: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(text).map_err(|_| Failure::user("the Dockerfile on standard input isn't UTF-8"))
}

/// `HOST:IP` or `HOST=IP`.
fn host(text: &str) -> Result<(String, String), Failure> {
    let (name, address) = text.split_once('=').or_else(|| text.split_once(':')).unwrap_or((text, ""));
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    if name.is_empty() || (bare != "host-gateway" && bare.parse::<std::net::IpAddr>().is_err()) {
        return Err(Failure::user(format!("invalid value `{text}` for --add-host"))
            .hint("write HOST:IP or HOST:host-gateway"));
    }
    Ok((name.to_owned(), bare.to_owned()))
}

fn bytes(text: &str) -> Result<u64, Failure> {
    let wrong = |why: &str| Failure::user(format!("--shm-size {text}: {why}"));
    let bytes = rcompose_loader::parse_bytes(text).map_err(|e| wrong(&e))?;
    u64::try_from(bytes).map_err(|_| wrong("a size can't be negative"))
}

/// `NAME=SOFT[:HARD]`.
fn ulimit(text: &str) -> Result<(String, i64, i64), Failure> {
    let wrong = || {
        Failure::user(format!("invalid value `{text}` for --ulimit"))
            .hint("write NAME=SOFT:HARD, like nofile=1024:2048")
    };
    let (name, limits) = text.split_once('=').ok_or_else(wrong)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |n: &str| n.parse::<i64>().map_err(|_| wrong());
    let (name, soft, hard) = (name.to_ascii_lowercase(), number(soft)?, number(hard)?);
    if !ULIMIT_NAMES.contains(&name.as_str()) {
        return Err(Failure::user(format!("there is no limit `{name}` for --ulimit"))
            .hint(format!("there are: {}", ULIMIT_NAMES.join(", "))));
    }
    if hard >= 0 && (soft > hard || soft < 0) {
        return Err(Failure::user(format!("--ulimit {text}: the soft limit is above the hard one"))
            .hint("write NAME=SOFT:HARD, like nofile=1024:2048"));
    }
    Ok((name, soft, hard))
}

//! `image build`: an image from a Dockerfile, with docker build's flags.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use rcompose_build::{BuildRequest, DockerfileSource};
use rcompose_image::Store;

use crate::args::ImageBuildArgs;
use crate::context::{Context, print};
use crate::failure::Failure;
use crate::pictures::{build_network, build_request, parse_reference};

pub(super) fn run(cx: &Context, store: &Store, args: &ImageBuildArgs) -> Result<(), Failure> {
    let from_stdin = |path: &Path| path.as_os_str() == "-";
    if args.context.to_string_lossy().contains("://") {
        let message = format!("build context {} is not on this machine", args.context.display());
        return Err(Failure::unsupported(message).hint("clone it and give its directory"));
    }
    let empty;
    let (context, dockerfile) = if from_stdin(&args.context) {
        empty = Empty::new()?;
        (empty.0.clone(), DockerfileSource::Inline(stdin()?))
    } else {
        let dockerfile = match &args.file {
            Some(file) if from_stdin(file) => DockerfileSource::Inline(stdin()?),
            Some(file) => DockerfileSource::Path(cx.env.cwd.join(file)),
            None => DockerfileSource::Path("Dockerfile".into()),
        };
        (cx.env.cwd.join(&args.context), dockerfile)
    };
    if !from_stdin(&args.context) && !context.is_dir() {
        return Err(Failure::user(format!("build context {} is not a directory", context.display())));
    }
    let own = |name: &str| cx.env.all.get(name).cloned();
    let build_args = args.build_arg.iter().map(|a| match a.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (a.clone(), own(a)),
    });
    let labels = args.label.iter().map(|l| match l.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (l.clone(), String::new()),
    });
    let request = BuildRequest {
        context,
        dockerfile,
        target: args.target.clone(),
        args: build_args.collect(),
        labels: labels.collect(),
        tags: args.tag.iter().map(|t| parse_reference(t)).collect::<Result<_, _>>()?,
        no_cache: args.no_cache,
        pull: args.pull,
        network: build_network(args.network.as_deref())?,
        extra_hosts: Vec::new(),
        shm_size: None,
        additional_contexts: BTreeMap::new(),
        secrets: BTreeMap::new(),
        platform: None,
        cache_root: cx.dirs.build_cache(),
        source_date_epoch: cx.env.source_date_epoch(),
    };
    let built = build_request(cx, store, &request, args.quiet)?;
    if args.quiet {
        print(&format!("{}\n", built.image))?;
    }
    Ok(())
}

/// An empty directory: the context of a Dockerfile that comes alone.
struct Empty(PathBuf);

impl Empty {
    fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("rcompose-context-{}", std::process::id()));
        std::fs::create_dir(&path)
            .map_err(|e| Failure::io(format_args!("make the directory {}", path.display()), &e))?;
        Ok(Self(path))
    }
}

impl Drop for Empty {
    fn drop(&mut self) {
        if std::fs::remove_dir(&self.0).is_err() {
            // It is in the directory for temporary files: somebody else's broom takes it.
        }
    }
}

fn stdin() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|e| Failure::io("read the Dockerfile from standard input", &e))?;
    Ok(text)
}

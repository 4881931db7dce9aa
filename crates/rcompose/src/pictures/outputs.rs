//! Where the result of a build goes: `--output`.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcompose_build::{Tree, export_directory, export_tar, file_digests};
use rcompose_image::{Pushed, Reference, Store, ToSave, statement};

use super::assembly::{Assembly, layers};
use super::metadata::Descriptor;
use super::pulling::{ToPush, parse_reference, push_each, together};
use crate::context::{Context, ProgressMode, stdout_failure};
use crate::failure::Failure;
use crate::own;

/// One `--output`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    /// Into the store, under further names, and to their registries if `push`.
    Image { names: Vec<Reference>, push: bool },
    /// The files, into a directory.
    Local(PathBuf, Files),
    /// The files, as a tar archive.
    Tar(Sink, Files),
    /// The image, as an archive in docker's and OCI's form.
    Archive { names: Vec<Reference>, to: Sink, docker: bool },
    /// The image, as an OCI layout in a directory.
    Layout { names: Vec<Reference>, to: PathBuf },
    /// Nowhere: only the cache is filled.
    Cache,
}

/// How files are laid out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Files {
    /// A directory for each platform; unless said, if there are several.
    split: Option<bool>,
    /// Before the names of attestations.
    prefix: String,
}

/// Where an archive is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sink {
    Stdout,
    File(PathBuf),
}

/// The directories above a file to be written, as docker makes them.
pub(crate) fn make_parent(path: &std::path::Path) -> Result<(), Failure> {
    let Some(parent) = path.parent() else { return Ok(()) };
    own::make_dirs(parent)
        .map_err(|e| Failure::io(format_args!("make the directory {}", parent.display()), &e))
}

impl Sink {
    fn new(cx: &Context, dest: Option<&str>, kind: &str) -> Result<Self, Failure> {
        match dest {
            None | Some("-") if io::stdout().is_terminal() => {
                Err(Failure::user(format!("--output type={kind} isn't written to a terminal"))
                    .hint("give dest=FILE, or redirect"))
            }
            None | Some("-") => Ok(Self::Stdout),
            Some(file) => {
                let path = cx.env.cwd.join(file);
                match path.is_dir() {
                    true => Err(Failure::user(format!("--output type={kind}: {file} is a directory"))
                        .hint("give a file")),
                    false => Ok(Self::File(path)),
                }
            }
        }
    }

    /// A file appears when it is whole.
    fn write(&self, with: impl FnOnce(&mut dyn Write) -> Result<(), Failure>) -> Result<(), Failure> {
        match self {
            Self::Stdout => {
                let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
                with(&mut out)?;
                out.flush().map_err(|e| stdout_failure(&e))
            }
            Self::File(path) => {
                let failed = |e: io::Error| Failure::io(format_args!("write {}", path.display()), &e);
                let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                let plain = std::fs::metadata(path).map_or(true, |m| m.is_file());
                let beside = match plain {
                    true => path.with_file_name(format!(".{name}.{}", std::process::id())),
                    false => path.clone(),
                };
                make_parent(path)?;
                let mut out = BufWriter::with_capacity(1 << 16, own::create(&beside).map_err(failed)?);
                let written = with(&mut out).and_then(|()| out.flush().map_err(failed));
                if !plain {
                    return written;
                }
                match written {
                    Ok(()) => std::fs::rename(&beside, path).map_err(failed),
                    Err(e) => {
                        if std::fs::remove_file(&beside).is_err() {
                            // The first failure is the one to tell.
                        }
                        Err(e)
                    }
                }
            }
        }
    }
}

impl Output {
    /// `DIRECTORY`, `-`, or `type=TYPE,dest=PATH,…`.
    pub(crate) fn parse(cx: &Context, text: &str, tags: &[Reference]) -> Result<Self, Failure> {
        if text == "-" {
            return Ok(Self::Tar(Sink::new(cx, None, "tar")?, Files::default()));
        }
        if !text.split(',').next().unwrap_or_default().contains('=') {
            return Ok(Self::Local(cx.env.cwd.join(text), Files::default()));
        }
        let mut fields: BTreeMap<String, &str> = BTreeMap::new();
        for field in text.split(',') {
            let (key, value) = field
                .split_once('=')
                .ok_or_else(|| Failure::user(format!("--output {text}: `{field}` has no value")))?;
            fields.insert(key.trim().to_ascii_lowercase(), value);
        }
        let get = |key: &str| fields.get(key).copied();
        let yes = |key: &str| get(key).is_some_and(|v| v == "true");
        let dest = get("dest").or(get("destination"));
        let names = match get("name") {
            Some(names) => names.split('+').map(parse_reference).collect::<Result<Vec<_>, _>>()?,
            None => tags.to_vec(),
        };
        let files = Files {
            split: get("platform-split").map(|v| v == "true"),
            prefix: get("attestation-prefix").unwrap_or_default().to_owned(),
        };
        match get("type") {
            Some("local") => match dest {
                Some("-") | None => Err(Failure::user("--output type=local needs dest=DIRECTORY")
                    .hint("write type=local,dest=DIRECTORY, or the directory alone")),
                Some(dir) => Ok(Self::Local(cx.env.cwd.join(dir), files)),
            },
            Some("tar") => Ok(Self::Tar(Sink::new(cx, dest, "tar")?, files)),
            Some("docker") if dest.is_none() => Ok(Self::Image { names, push: false }),
            Some("oci" | "docker") if get("tar") == Some("false") => match dest {
                Some(dir) => Ok(Self::Layout { names, to: cx.env.cwd.join(dir) }),
                None => Err(Failure::user(format!("--output {text} needs dest=DIRECTORY"))),
            },
            Some(kind @ ("oci" | "docker")) => {
                Ok(Self::Archive { names, to: Sink::new(cx, dest, kind)?, docker: kind == "docker" })
            }
            Some("image") => Ok(Self::Image { names, push: yes("push") }),
            Some("registry") => Ok(Self::Image { names, push: true }),
            Some("cacheonly") => Ok(Self::Cache),
            Some(other) => Err(Failure::user(format!("--output: unknown type `{other}`"))
                .hint("it is one of local, tar, oci, docker, image, registry, cacheonly")),
            None => {
                Err(Failure::user(format!("--output {text}: it has no type"))
                    .hint("write type=TYPE,dest=PATH"))
            }
        }
    }

    /// The names that the image gets by it.
    pub(crate) fn names(&self) -> &[Reference] {
        match self {
            Self::Image { names, .. } | Self::Archive { names, .. } | Self::Layout { names, .. } => names,
            _ => &[],
        }
    }

    /// Whether the image itself is wanted, not only its files.
    pub(crate) fn wants_image(&self) -> bool {
        matches!(self, Self::Image { .. } | Self::Archive { .. } | Self::Layout { .. })
    }

    /// Whether the image stays in the store.
    pub(crate) fn stays(&self) -> bool {
        matches!(self, Self::Image { .. })
    }
}

/// Brings what was built to one place; what a registry has of it then, if it was sent to one.
pub(crate) fn deliver(
    cx: &Context,
    store: &Store,
    built: &Assembly,
    output: &Output,
    quiet: bool,
) -> Result<Option<Descriptor>, Failure> {
    match output {
        Output::Cache => {}
        Output::Image { names, push } if *push => return push_all(cx, store, names, quiet),
        // It has its names already.
        Output::Image { .. } => {}
        Output::Local(to, files) => {
            for tree in trees(store, built, files)? {
                let to = tree.directory.as_ref().map_or(to.clone(), |d| to.join(d));
                own::make_dirs(&to).map_err(|e| Failure::io(format_args!("make {}", to.display()), &e))?;
                export_directory(&tree.lowers, &to)?;
                for (name, text) in &tree.more {
                    let path = to.join(name);
                    let written = std::fs::write(&path, text)
                        .and_then(|()| std::fs::set_permissions(&path, Permissions::from_mode(0o600)));
                    written.map_err(|e| Failure::io(format_args!("write {}", path.display()), &e))?;
                }
            }
        }
        Output::Tar(sink, files) => {
            let trees = trees(store, built, files)?;
            sink.write(|out| Ok(export_tar(&trees, out)?))?;
        }
        Output::Archive { names, to, docker } => {
            let image = image(store, built)?;
            if built.builds.len() > 1 && *docker {
                let message = "--output type=docker can't hold several platforms";
                return Err(Failure::user(message).hint("write type=oci"));
            }
            let what = built.to_save(image);
            let descriptor = described(store, &what)?;
            to.write(|out| Ok(store.save_as(&[(what, names.clone())], out)?))?;
            return Ok(Some(descriptor));
        }
        Output::Layout { names, to } => {
            let what = built.to_save(image(store, built)?);
            let descriptor = described(store, &what)?;
            layout(store, what, names, to)?;
            return Ok(Some(descriptor));
        }
    }
    Ok(None)
}

fn image(store: &Store, built: &Assembly) -> Result<rcompose_image::Image, Failure> {
    let id = built.first().image;
    let gone = || Failure::user(format!("the image {id} was removed while it was written"));
    store.find(&id.to_string())?.ok_or_else(gone)
}

fn described(store: &Store, what: &ToSave) -> Result<Descriptor, Failure> {
    let (digest, size, media_type) = store.describe(what)?;
    Ok(Descriptor { digest, size, media_type })
}

/// The files of each platform, with what is attested of them.
fn trees(store: &Store, built: &Assembly, files: &Files) -> Result<Vec<Tree>, Failure> {
    let split = files.split.unwrap_or(built.multi);
    if !split && built.builds.len() > 1 {
        return Err(Failure::unsupported("the files of several platforms can't go into one directory")
            .hint("leave platform-split=false out"));
    }
    let mut out = Vec::new();
    for (n, one) in built.builds.iter().enumerate() {
        let lowers = layers(store, one)?;
        let attestations = built.files(n);
        let subjects = match attestations.is_empty() {
            true => Vec::new(),
            false => file_digests(&lowers)?,
        };
        let text = |a| format!("{:#}", statement(a, &subjects)).into_bytes();
        let more = attestations.into_iter().map(|(name, a)| (format!("{}{name}", files.prefix), text(a)));
        let directory = split.then(|| built.platform(n).to_string().replace('/', "_"));
        out.push(Tree { directory, more: more.collect(), lowers });
    }
    Ok(out)
}

/// Writes an image as an OCI layout.
fn layout(store: &Store, what: ToSave, names: &[Reference], to: &Path) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::io(format_args!("write {}", to.display()), &e);
    // What is in the image is for whom the user's umask lets in, also below a directory that is there.
    own::make_dirs(&to.join("blobs/sha256")).map_err(failed)?;
    let (read, write) = io::pipe().map_err(failed)?;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| store.save_as(&[(what, names.to_vec())], &mut BufWriter::new(write)));
        let unpacked = tar::Archive::new(read).unpack(to);
        let written = writer.join().unwrap_or_else(|_| {
            Err(rcompose_image::ImageError::NotFound("the image, whose writing broke off".to_owned()))
        });
        written.map_err(Failure::from).and_then(|()| unpacked.map_err(failed))
    })
}

fn push_all(
    cx: &Context,
    store: &Store,
    names: &[Reference],
    quiet: bool,
) -> Result<Option<Descriptor>, Failure> {
    if names.is_empty() {
        return Err(Failure::user("nothing to push: the image has no name").hint("give one by --tag"));
    }
    let one = |name: &Reference| ToPush { reference: name.clone(), service: None };
    let all: Vec<ToPush> = names.iter().map(one).collect();
    let quiet = quiet || cx.out.progress == ProgressMode::Quiet;
    let pushed = together(push_each(cx, store, &all, quiet))?;
    Ok(pushed.into_iter().next().map(|Pushed { digest, media_type, size }| Descriptor {
        digest,
        media_type,
        size,
    }))
}

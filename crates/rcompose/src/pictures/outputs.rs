//! Where the result of a build goes: `--output`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use rcompose_build::{Built, export_directory, export_tar};
use rcompose_image::{LayerId, Reference, Store};

use super::pulling::{ToPush, parse_reference, push_each, together};
use crate::context::{Context, ProgressMode, stdout_failure};
use crate::failure::Failure;

/// One `--output`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    /// Into the store, under further names, and to their registries if `push`.
    Image { names: Vec<Reference>, push: bool },
    /// The files, into a directory.
    Local(PathBuf),
    /// The files, as a tar archive.
    Tar(Sink),
    /// The image, as an archive in docker's and OCI's form.
    Archive { names: Vec<Reference>, to: Sink },
    /// The image, as an OCI layout in a directory.
    Layout { names: Vec<Reference>, to: PathBuf },
    /// Nowhere: only the cache is filled.
    Cache,
}

/// Where an archive is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sink {
    Stdout,
    File(PathBuf),
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
                let mut out = BufWriter::with_capacity(1 << 16, File::create(&beside).map_err(failed)?);
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
            return Ok(Self::Tar(Sink::new(cx, None, "tar")?));
        }
        if !text.split(',').next().unwrap_or_default().contains('=') {
            return Ok(Self::Local(cx.env.cwd.join(text)));
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
        match get("type") {
            Some("local") => match dest {
                Some("-") | None => Err(Failure::user("--output type=local needs dest=DIRECTORY")),
                Some(dir) => Ok(Self::Local(cx.env.cwd.join(dir))),
            },
            Some("tar") => Ok(Self::Tar(Sink::new(cx, dest, "tar")?)),
            Some("docker") if dest.is_none() => Ok(Self::Image { names, push: false }),
            Some("oci" | "docker") if get("tar") == Some("false") => match dest {
                Some(dir) => Ok(Self::Layout { names, to: cx.env.cwd.join(dir) }),
                None => Err(Failure::user(format!("--output {text} needs dest=DIRECTORY"))),
            },
            Some(kind @ ("oci" | "docker")) => Ok(Self::Archive { names, to: Sink::new(cx, dest, kind)? }),
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

    /// Whether the image itself is wanted, not only its files.
    pub(crate) fn wants_image(&self) -> bool {
        matches!(self, Self::Image { .. } | Self::Archive { .. } | Self::Layout { .. })
    }

    /// Whether the image stays in the store.
    pub(crate) fn stays(&self) -> bool {
        matches!(self, Self::Image { .. })
    }
}

/// Brings what was built to one place.
pub(crate) fn deliver(cx: &Context, store: &Store, built: &Built, output: &Output) -> Result<(), Failure> {
    match output {
        Output::Cache => Ok(()),
        Output::Image { names, push } => {
            for name in names {
                store.tag(&built.image, name)?;
            }
            if *push { push_all(cx, store, names) } else { Ok(()) }
        }
        Output::Local(to) => Ok(export_directory(&layers(store, built)?, to)?),
        Output::Tar(sink) => {
            let layers = layers(store, built)?;
            sink.write(|out| Ok(export_tar(&layers, out)?))
        }
        Output::Archive { names, to } => {
            let image = image(store, built)?;
            to.write(|out| Ok(store.save_as(&[(image, names.clone())], out)?))
        }
        Output::Layout { names, to } => layout(store, image(store, built)?, names, to),
    }
}

fn image(store: &Store, built: &Built) -> Result<rcompose_image::Image, Failure> {
    let gone = || Failure::user(format!("the image {} was removed while it was written", built.image));
    store.find(&built.image.to_string())?.ok_or_else(gone)
}

/// Unpacked layers, top first.
fn layers(store: &Store, built: &Built) -> Result<Vec<PathBuf>, Failure> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for layer in built.config.rootfs.diff_ids.iter().rev() {
        let path = store
            .layer_path(&LayerId(*layer))
            .ok_or_else(|| Failure::user(format!("the layer {layer} was removed while it was written")))?;
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    Ok(paths)
}

/// Writes an image as an OCI layout.
fn layout(
    store: &Store,
    image: rcompose_image::Image,
    names: &[Reference],
    to: &Path,
) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::io(format_args!("write {}", to.display()), &e);
    std::fs::create_dir_all(to).map_err(failed)?;
    let (read, write) = io::pipe().map_err(failed)?;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| store.save_as(&[(image, names.to_vec())], &mut BufWriter::new(write)));
        let unpacked = tar::Archive::new(read).unpack(to);
        let written = writer.join().unwrap_or_else(|_| {
            Err(rcompose_image::ImageError::NotFound("the image, whose writing broke off".to_owned()))
        });
        written.map_err(Failure::from).and_then(|()| unpacked.map_err(failed))
    })
}

fn push_all(cx: &Context, store: &Store, names: &[Reference]) -> Result<(), Failure> {
    if names.is_empty() {
        return Err(Failure::user("nothing to push: the image has no name").hint("give one by --tag"));
    }
    let one = |name: &Reference| ToPush { reference: name.clone(), service: None };
    let all: Vec<ToPush> = names.iter().map(one).collect();
    together(push_each(cx, store, &all, cx.out.progress == ProgressMode::Quiet)).map(drop)
}

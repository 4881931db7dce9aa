//! `image`: the images of the whole installation.

pub(super) mod build;
mod import;
mod list;
mod transfer;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Read, Write};
use std::path::PathBuf;

use rcompose_image::{Digest, Image, Platform, RemoveOptions, Removed, Store, inspect_json};
use serde_json::Value;

use crate::args::ImageVerb;
use crate::context::{Context, print, stdout_failure, to_stderr};
use crate::failure::Failure;
use crate::pictures::parse_reference;
use crate::render::inspect;
use crate::render::time::human_size;

pub(crate) fn run(cx: &Context, verb: ImageVerb) -> Result<u8, Failure> {
    let store = Store::open(&cx.dirs.images())?;
    match verb {
        ImageVerb::Import { change, file, reference } => import::run(cx, &store, &change, &file, &reference)?,
        ImageVerb::Ls { quiet, format, name } => {
            print(&list::images(&store, &format, quiet, name.as_deref())?)?;
        }
        ImageVerb::History { quiet, format, no_trunc, image } => {
            print(&list::history(&store, &find(&store, &image)?, &format, quiet, no_trunc)?)?;
        }
        ImageVerb::Rm { force, images } => return remove(cx, &store, &images, force),
        ImageVerb::Inspect { images } => {
            let all = images.iter().map(|i| Ok(inspect_json(&find(&store, i)?)?));
            let all = all.collect::<Result<Vec<Value>, Failure>>()?;
            print(&inspect(&Value::from(all)))?;
        }
        ImageVerb::Load { input, quiet } => load(cx, &store, input, quiet)?,
        ImageVerb::Save { output, images } => save(cx, &store, output, &images)?,
        ImageVerb::Tag { source, target } => {
            store.tag(&find(&store, &source)?.id, &parse_reference(&target)?)?;
        }
        ImageVerb::Pull(args) => transfer::pull(cx, &store, &args)?,
        ImageVerb::Push(args) => transfer::push(cx, &store, &args)?,
        ImageVerb::Build(args) => build::run(cx, &store, &args)?,
        ImageVerb::Prune { all, force } => prune(cx, &store, all, force)?,
    }
    Ok(0)
}

/// An image by name or id.
fn find(store: &Store, text: &str) -> Result<Image, Failure> {
    store.find(text)?.ok_or_else(|| Failure::user(format!("no such image: {text}")))
}

/// Whether a container of any project uses an image.
fn in_use(cx: &Context) -> Result<impl Fn(&Digest) -> bool + use<>, Failure> {
    let used = rcompose_machine::images_in_use(&cx.dirs)?;
    Ok(move |id: &Digest| used.contains(&id.to_string()))
}

fn removed_lines(removed: &Removed, untagged: &str, deleted: &str) -> String {
    let names = removed.untagged.iter().map(|n| format!("{untagged}: {n}\n"));
    names.chain(removed.deleted.map(|id| format!("{deleted}: {id}\n"))).collect()
}

/// Removes what can be removed; the failures come together at the end.
fn remove(cx: &Context, store: &Store, images: &[String], force: bool) -> Result<u8, Failure> {
    let in_use = in_use(cx)?;
    let options = RemoveOptions { force, in_use: &in_use };
    let mut failed: Option<Failure> = None;
    for image in images {
        match store.remove(image, &options) {
            Ok(removed) => print(&removed_lines(&removed, "Untagged", "Deleted"))?,
            Err(e) => {
                let f = Failure::from(e);
                failed = Some(match failed.take() {
                    Some(first) => first.and(f),
                    None => f,
                });
            }
        }
    }
    failed.map_or(Ok(0), Err)
}

fn prune(cx: &Context, store: &Store, all: bool, force: bool) -> Result<(), Failure> {
    let which = if all { "all images without at least one container" } else { "all dangling images" };
    if !force {
        to_stderr(&format!("WARNING! This will remove {which}.\nAre you sure you want to continue? [y/N] "));
        let mut answer = String::new();
        io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|e| Failure::io("read the answer from standard input", &e))?;
        if !matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
            return Ok(());
        }
    }
    let pruned = store.prune(all, &in_use(cx)?)?;
    let mut text = String::new();
    if !pruned.images.is_empty() {
        text.push_str("Deleted Images:\n");
        text.extend(pruned.images.iter().map(|r| removed_lines(r, "untagged", "deleted")));
        text.push('\n');
    }
    text.push_str(&format!("Total reclaimed space: {}\n", human_size(pruned.freed)));
    print(&text)
}

/// A file, or standard input for `-`.
fn open(cx: &Context, file: &str) -> Result<Box<dyn Read + Send>, Failure> {
    if file == "-" {
        return Ok(Box::new(io::stdin()));
    }
    let path = cx.env.cwd.join(file);
    let file = File::open(&path).map_err(|e| Failure::io(format_args!("open {}", path.display()), &e))?;
    Ok(Box::new(BufReader::with_capacity(1 << 16, file)))
}

fn load(cx: &Context, store: &Store, input: Option<PathBuf>, quiet: bool) -> Result<(), Failure> {
    let source = match &input {
        Some(path) => open(cx, &path.to_string_lossy())?,
        None if io::stdin().is_terminal() => {
            return Err(Failure::user("nothing to load: standard input is a terminal")
                .hint("give a file with --input, or redirect one"));
        }
        None => open(cx, "-")?,
    };
    let mut text = String::new();
    for loaded in store.load(source, &Platform::host())? {
        match loaded.refs.is_empty() {
            true => text.push_str(&format!("Loaded image ID: {}\n", loaded.image.id)),
            false => text.extend(loaded.refs.iter().map(|n| format!("Loaded image: {n}\n"))),
        }
    }
    if quiet { Ok(()) } else { print(&text) }
}

/// A file appears when it is whole; what a failure leaves is removed.
fn save(cx: &Context, store: &Store, output: Option<PathBuf>, images: &[String]) -> Result<(), Failure> {
    let Some(path) = output else {
        if io::stdout().is_terminal() {
            return Err(Failure::user("an image isn't written to a terminal")
                .hint("give a file with --output, or redirect"));
        }
        let mut out = Watched { out: BufWriter::with_capacity(1 << 16, io::stdout()), closed: false };
        let saved = store.save(images, &mut out).map_err(Failure::from);
        let saved = saved.and_then(|()| out.flush().map_err(|e| stdout_failure(&e)));
        return if out.closed { Err(Failure::silent(0)) } else { saved };
    };
    let path = cx.env.cwd.join(path);
    let failed = |e: io::Error| Failure::io(format_args!("write {}", path.display()), &e);
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    // A device or pipe is written to as it is.
    let plain = std::fs::metadata(&path).map_or(true, |m| m.is_file());
    let temporary =
        if plain { path.with_file_name(format!(".{name}.{}", std::process::id())) } else { path.clone() };
    let mut out = BufWriter::with_capacity(1 << 16, File::create(&temporary).map_err(failed)?);
    let saved = store.save(images, &mut out).map_err(Failure::from);
    let saved = saved.and_then(|()| out.flush().map_err(failed));
    if !plain {
        return saved;
    }
    match saved {
        Ok(()) => std::fs::rename(&temporary, &path).map_err(failed),
        Err(e) => {
            drop(std::fs::remove_file(&temporary));
            Err(e)
        }
    }
}

/// Notices that nobody reads any more.
struct Watched<W> {
    out: W,
    closed: bool,
}

impl<W: Write> Watched<W> {
    fn note<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        self.closed |= result.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::BrokenPipe);
        result
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.out.write(bytes);
        self.note(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.out.flush();
        self.note(result)
    }
}

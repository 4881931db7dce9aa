//! `image load` and `image save`.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rcompose_image::{ImageError, Store};

use super::{find_for, platform};
use crate::args::{ImageLoadArgs, ImageSaveArgs};
use crate::context::{Context, print, stdout_failure};
use crate::failure::Failure;

/// A file, or standard input for `-`.
pub(super) fn open(cx: &Context, file: &str) -> Result<Box<dyn Read + Send>, Failure> {
    if file == "-" {
        return Ok(Box::new(io::stdin()));
    }
    let path = cx.env.cwd.join(file);
    let file = File::open(&path).map_err(|e| Failure::io(format_args!("open {}", path.display()), &e))?;
    Ok(Box::new(BufReader::with_capacity(1 << 16, file)))
}

pub(super) fn load(cx: &Context, store: &Store, args: &ImageLoadArgs) -> Result<(), Failure> {
    let platform = platform(args.platform.as_deref())?;
    let source = match &args.input {
        Some(path) => open(cx, &path.to_string_lossy())?,
        None if io::stdin().is_terminal() => {
            return Err(Failure::user("nothing to load: standard input is a terminal")
                .hint("give a file with --input, or redirect one"));
        }
        None => open(cx, "-")?,
    };
    let mut text = String::new();
    let loaded = store.load(source, platform.as_ref()).map_err(|e| {
        let of_archive =
            matches!(e, ImageError::Malformed { .. } | ImageError::Json { .. } | ImageError::Read { .. });
        let failure = Failure::from(e);
        match of_archive {
            true => failure.hint(
                "give a whole archive of images, as `image save` writes; `image import` takes one of files",
            ),
            false => failure,
        }
    })?;
    for loaded in loaded {
        match loaded.refs.is_empty() {
            true => text.push_str(&format!("Loaded image ID: {}\n", loaded.image.id)),
            false => text.extend(loaded.refs.iter().map(|n| format!("Loaded image: {n}\n"))),
        }
    }
    if args.quiet { Ok(()) } else { print(&text) }
}

pub(super) fn save(cx: &Context, store: &Store, args: &ImageSaveArgs) -> Result<(), Failure> {
    let platform = platform(args.platform.as_deref())?;
    for image in &args.images {
        find_for(store, image, platform.as_ref())?;
    }
    to_output(cx, args.output.as_deref(), "an image", |out| store.save(&args.images, platform.as_ref(), out))
}

/// Writes to a file or, without one, to standard output. A file appears when it is whole; what a failure leaves is
/// removed.
pub(crate) fn to_output(
    cx: &Context,
    path: Option<&Path>,
    what: &str,
    write: impl FnOnce(&mut dyn Write) -> Result<(), ImageError>,
) -> Result<(), Failure> {
    let Some(path) = path else {
        if io::stdout().is_terminal() {
            return Err(Failure::user(format!("{what} isn't written to a terminal"))
                .hint("give a file with --output, or redirect"));
        }
        let mut out = Watched { out: BufWriter::with_capacity(1 << 16, io::stdout()), closed: false };
        let saved = write(&mut out).map_err(Failure::from);
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
    let mut out = BufWriter::with_capacity(1 << 16, secret(&temporary).map_err(failed)?);
    let saved = write(&mut out).map_err(Failure::from);
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

/// For its owner alone, as docker's are: there may be passwords in an image.
fn secret(path: &Path) -> io::Result<File> {
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
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

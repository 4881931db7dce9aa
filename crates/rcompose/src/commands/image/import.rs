//! `image import`: an image of one layer from a tarball of a root file system.

use std::io::Read;

use rcompose_engine::FailureKind;
use rcompose_image::{Download, ImportOptions, Store};

use super::archive::open;
use super::changes::{change, checked};
use super::platform;
use crate::args::ImageImportArgs;
use crate::context::{Context, print, to_stderr};
use crate::failure::Failure;
use crate::pictures::{forget, parse_reference};

pub(super) fn run(cx: &Context, store: &Store, args: &ImageImportArgs) -> Result<(), Failure> {
    let reference = args.reference.as_deref().map(parse_reference).transpose()?;
    checked(&args.change)?;
    let (named, changed) = match args.change.is_empty() {
        true => (reference.clone(), None),
        false => (None, Some(&args.change)),
    };
    let mut options = ImportOptions::new(named);
    if let Some(platform) = platform(args.platform.as_deref())? {
        options.platform = platform;
    }
    let from = if args.file == "-" { "-" } else { args.file.as_str() };
    options.message = Some(args.message.clone().unwrap_or_else(|| format!("Imported from {from}")));
    let mut image = store.import(source(cx, &args.file)?, &options)?;
    if let Some(changes) = changed {
        let changed = change(&image, changes);
        let names = reference.as_slice();
        let changed = changed.and_then(|config| Ok(store.put_image(&config, &image.layers, names)?));
        forget(store, &image.id)?;
        image = changed?;
    }
    print(&format!("{}\n", image.id))
}

/// A file, standard input, or what is at an address.
fn source(cx: &Context, file: &str) -> Result<Box<dyn Read + Send>, Failure> {
    if !["http://", "https://"].iter().any(|scheme| file.starts_with(scheme)) {
        return open(cx, file);
    }
    to_stderr(&format!("Downloading from {file}\n"));
    let download = Download::open(file);
    Ok(Box::new(download.map_err(|e| Failure::new(FailureKind::Environment, e.to_string()))?))
}

//! Byte streams on their way into the store.

mod decompress;
mod guard;
mod packing;
mod pipeline;
mod words;

pub(crate) use decompress::decompressed;
pub use guard::Guard;
pub(crate) use guard::pax;
pub(crate) use packing::Packer;
pub use packing::{Compression, Packing};
pub(crate) use pipeline::{feed, with_hash};
pub use words::archive_error;

//! The image store on the real file system, and registries on loopback. Needs root.

mod answers;
mod archive;
mod common;
mod disks;
mod faults;
mod proxy;
mod pull;
mod pulled;
mod push;
mod registry;
mod store;
mod umoci;
mod unpack;

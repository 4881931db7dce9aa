//! The rcompose binary.
fn main() {}

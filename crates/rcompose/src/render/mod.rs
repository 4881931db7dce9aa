//! How data is shown: docker's columns, times, sizes, ports and colours.

pub(crate) mod color;
pub(crate) mod ports;
pub(crate) mod table;
pub(crate) mod time;

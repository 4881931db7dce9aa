//! rcompose-build

//! rcompose-runtime

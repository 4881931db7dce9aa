//! End-to-end tests of rcompose.

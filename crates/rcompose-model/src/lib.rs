//! rcompose-model

//! rcompose-engine

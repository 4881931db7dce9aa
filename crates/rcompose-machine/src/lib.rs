//! rcompose-machine

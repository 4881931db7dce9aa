//! rcompose-supervisor

//! rcompose-network

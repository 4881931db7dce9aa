//! rcompose-testkit

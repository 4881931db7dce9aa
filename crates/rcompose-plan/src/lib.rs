//! rcompose-plan

//! rcompose-image

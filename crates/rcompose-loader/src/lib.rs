//! rcompose-loader

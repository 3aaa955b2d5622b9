//! The config as it is written.

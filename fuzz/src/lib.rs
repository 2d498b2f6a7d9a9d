//! What must hold for whatever bytes a file, a server or a stranger brings.
//!
//! A target takes bytes and panics where a promise is broken. `tests/corpus.rs` runs each of them over the files of
//! `corpus/TARGET/` and some thousand mutations, the same ones every time; `cargo xtask fuzz` searches for hours, guided by
//! coverage. What is found goes into the corpus, and gets a plain test beside the code that was wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step is a finding")]

pub mod mutate;
mod targets;

pub use targets::{TARGETS, Target};

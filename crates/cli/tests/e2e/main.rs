//! The binary against programs that nobody here wrote: authorization servers, and a browser. Run it with `cargo xtask e2e`,
//! which fetches them; docs/e2e.md says what is run against what.

#![allow(clippy::disallowed_methods, reason = "a test makes its own files and reads its own settings")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed step is a failed test")]
#![allow(missing_docs, reason = "tests")]

mod authlib;
mod browser;
mod by_issuer;
mod certified;
mod company;
mod console;
mod mock;
mod new_provider;
#[path = "../it/ran.rs"]
mod ran;
mod server;
mod through_proxy;
mod world;

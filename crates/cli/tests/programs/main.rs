//! Programs that people use, borrowing a login from the real binary: Codex CLI, Claude Code and the Python SDKs, with the
//! sandbox as their provider. Run it with `cargo xtask e2e`, which fetches them; docs/e2e.md says what is run.

#![allow(clippy::disallowed_methods, reason = "a test makes its own files and reads its own settings")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed step is a failed test")]
#![allow(clippy::print_stdout, reason = "figures are for whoever runs it")]
#![allow(missing_docs, reason = "tests")]

mod both;
#[path = "../it/canaries.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod canaries;
mod claude_code;
mod codex;
#[path = "../e2e/company.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod company;
mod field;
#[path = "../it/gateway_world.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod gateway_world;
mod openclaw;
#[path = "../it/ran.rs"]
mod ran;
mod record;
mod room;
mod running;
mod sdks;
mod side_by_side;
#[path = "../it/world.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod world;

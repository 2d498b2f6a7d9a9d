//! What a relay does with its connections, at servers that follow a script.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]
#![allow(clippy::disallowed_methods, reason = "a test writes its fixtures")]

mod answers;
mod kept;
mod requests;
mod script;
mod secure;

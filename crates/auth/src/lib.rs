//! The heart of CoderClaw.

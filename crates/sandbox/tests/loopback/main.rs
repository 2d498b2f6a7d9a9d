//! The sandbox over real sockets, looked at byte by byte.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is not as it should be"
)]

mod admin;
mod client;
mod concurrency;
mod device;
mod faults;
mod identity;
mod login;
mod models;
mod rotation;

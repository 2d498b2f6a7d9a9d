//! One file for each kind of foreign bytes.

mod answers;
mod config;
mod gateway;
mod journal;
mod manifests;
mod models;
mod packed;
mod pastes;
mod redactor;
mod relayed;
mod stores;
mod streams;
mod tokens;

/// A name, and what is to hold for any bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of its folder in `corpus/`.
    pub name: &'static str,
    /// Panics where a promise is broken.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "answers", run: answers::run },
    Target { name: "callbacks", run: pastes::callback },
    Target { name: "config", run: config::run },
    Target { name: "gateway", run: gateway::run },
    Target { name: "journal", run: journal::run },
    Target { name: "manifests", run: manifests::run },
    Target { name: "models", run: models::run },
    Target { name: "packed", run: packed::run },
    Target { name: "pastes", run: pastes::paste },
    Target { name: "redactor", run: redactor::run },
    Target { name: "relayed", run: relayed::run },
    Target { name: "stores", run: stores::run },
    Target { name: "streams", run: streams::run },
    Target { name: "tokens", run: tokens::run },
];

//! The crate from outside: what is built in, what files change, how files fail, how a credential goes out.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::path::PathBuf;

use coderclaw_providers::{Manifest, ManifestError, Registry};
use coderclaw_types::ProviderId;

mod built_in;
mod extends;
mod failures;
mod faults;
mod redacted;
mod requests;

fn with(files: &[(&str, &str)]) -> Result<Registry, ManifestError> {
    Registry::with_files(files.iter().map(|&(path, text)| (PathBuf::from(path), text.to_owned())))
}

fn get<'a>(registry: &'a Registry, id: &str) -> &'a Manifest {
    registry.get(&ProviderId::new(id)).unwrap()
}

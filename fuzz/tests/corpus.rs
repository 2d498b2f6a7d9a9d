//! The short run: every file of the corpus through its target, and some thousand mutations, the same ones every time.

#![allow(clippy::disallowed_methods, reason = "a test reads its own files")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]
#![allow(missing_docs, reason = "tests")]

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use coderclaw_fuzz::mutate::{Random, mutate};
use coderclaw_fuzz::{TARGETS, Target};

/// For each target. All of them together take seconds.
const MUTATIONS: usize = 8_000;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

fn try_it(target: &Target, bytes: &[u8], from: &Path) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(bytes))).is_err() {
        let shown = bytes.escape_ascii();
        panic!("{} breaks on what came of {}: b\"{shown}\"", target.name, from.display());
    }
}

fn run(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let files = corpus(name);
    assert!(files.len() >= 3, "a corpus of {} says little", files.len());
    for (path, bytes) in &files {
        try_it(target, bytes, path);
        // Cut off at any byte.
        for end in 0..bytes.len().min(512) {
            try_it(target, &bytes[..end], path);
        }
    }
    let mut random = Random::new(7);
    for _ in 0..MUTATIONS {
        let (path, one) = &files[random.below(files.len())];
        let (_, other) = &files[random.below(files.len())];
        let mut bytes = mutate(&mut random, one, other);
        for _ in 0..random.below(3) {
            bytes = mutate(&mut random, &bytes, other);
        }
        try_it(target, &bytes, path);
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        /// Each target has its test, and its corpus.
        #[test]
        fn none_is_left_out() {
            let tested: BTreeSet<&str> = [$(stringify!($name)),*].into();
            let known: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(tested, known);
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
            let folders = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
            let folders: BTreeSet<String> = folders.map(|name| name.into_string().unwrap()).collect();
            assert_eq!(folders, known.into_iter().map(str::to_owned).collect());
        }
    };
}

targets! { answers callbacks config gateway journal manifests models packed pastes redactor relayed stores streams tokens }

//! Every test of this suite watches for secrets: after each command, in what it printed; at the end of its world, in every
//! file that the program has left outside the places that it declares.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::world::{Ran, World};

/// Shorter ones are words that stand anywhere.
const SHORTEST: usize = 16;
/// Those whose standard output is for tokens: they were asked for one.
const MAY_PRINT: &[&[&str]] = &[&["models", "auth", "token"], &["exec"], &["export"]];

/// The secrets that a world has seen so far.
#[derive(Default)]
pub(crate) struct Canaries {
    seen: Mutex<BTreeSet<String>>,
    copied: AtomicBool,
}

impl Canaries {
    pub(crate) fn add(&self, secrets: &[&str]) {
        let long = secrets.iter().filter(|one| one.len() >= SHORTEST && !one.contains(char::is_whitespace));
        self.seen.lock().unwrap().extend(long.map(|one| (*one).to_owned()));
    }

    /// The test puts copies of secrets into files itself.
    pub(crate) fn are_copied(&self) {
        self.copied.store(true, Ordering::Relaxed);
    }

    /// All so far, with what the stores hold by now.
    pub(crate) fn all(&self, world: &World) -> Vec<String> {
        for path in files_below(&world.state()) {
            // Also the next version, which a killed process has left.
            if path.file_name().is_some_and(|name| name.to_string_lossy().contains("auth-profiles.json")) {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                for profile in serde_json::from_str::<Value>(&text).unwrap_or_default()["profiles"]
                    .as_object()
                    .into_iter()
                    .flat_map(|profiles| profiles.values())
                {
                    let keys = ["access", "refresh", "token", "key"];
                    let secrets: Vec<&str> = keys.iter().filter_map(|key| profile[*key].as_str()).collect();
                    self.add(&secrets);
                }
            }
        }
        self.seen.lock().unwrap().iter().cloned().collect()
    }

    /// G1: nothing that was not asked for a token prints one.
    pub(crate) fn look(&self, world: &World, arguments: &[&str], ran: &Ran) {
        self.look_at_all(world, arguments, std::slice::from_ref(ran));
    }

    /// The same for many that ended together.
    pub(crate) fn look_at_all(&self, world: &World, arguments: &[&str], all: &[Ran]) {
        let words: Vec<&str> = arguments.iter().copied().filter(|word| !word.starts_with("--")).collect();
        let may_print = MAY_PRINT.iter().any(|command| words.starts_with(command));
        let joined = |of: fn(&Ran) -> &str| all.iter().map(of).collect::<Vec<_>>().join("\n");
        let stderr = joined(|ran| &ran.stderr);
        let stdout = if may_print { String::new() } else { joined(|ran| &ran.stdout) };
        if stderr.trim().is_empty() && stdout.trim().is_empty() {
            return;
        }
        for secret in self.all(world) {
            assert!(!stderr.contains(&secret), "G1: {arguments:?} said a secret: {stderr}");
            assert!(!stdout.contains(&secret), "G1: {arguments:?} printed a secret: {stdout}");
        }
    }
}

/// G4, G5: at the end of every test, each file of the state dir that holds a secret is one of those that `paths` lists, and
/// no file that any program may read aloud is among them.
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() || self.canaries.copied.load(Ordering::Relaxed) {
            return;
        }
        let holders = holders(self);
        if holders.is_empty() {
            return;
        }
        let mut command = self.command(&["models", "auth", "paths", "--json"]);
        let listed = command
            .env_remove("CODERCLAW_FAULT")
            .env("CODERCLAW_STATE_DIR", self.state())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        // A test may have left a config that cannot be read, and then nothing can be listed.
        let Ok(listed) = serde_json::from_slice::<Value>(&listed.stdout) else { return };
        let Some(places) = listed["secrets"].as_array() else { return };
        let places: Vec<PathBuf> =
            places.iter().filter_map(|place| place["path"].as_str()).map(PathBuf::from).collect();
        for (path, _) in holders {
            assert!(
                places.iter().any(|place| path.starts_with(place)),
                "G4: a secret in {}, which is not listed",
                path.display()
            );
        }
    }
}

/// Every file of the state dir that holds a secret, with the secrets in it.
pub(crate) fn holders(world: &World) -> Vec<(PathBuf, Vec<String>)> {
    let secrets = world.canaries.all(world);
    // By how they begin: a storm leaves hundreds of secrets and of files.
    let mut heads: HashMap<&[u8], Vec<&String>> = HashMap::new();
    let mut begins = [false; 256];
    for secret in &secrets {
        heads.entry(&secret.as_bytes()[..SHORTEST]).or_default().push(secret);
        begins[usize::from(secret.as_bytes()[0])] = true;
    }
    let mut all = Vec::new();
    for path in files_below(&world.state()) {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let mut held = BTreeSet::new();
        for (at, byte) in bytes.iter().enumerate() {
            if begins[usize::from(*byte)]
                && let Some(head) = bytes.get(at..at + SHORTEST)
                && let Some(known) = heads.get(head)
            {
                held.extend(
                    known.iter().filter(|one| bytes[at..].starts_with(one.as_bytes())).copied().cloned(),
                );
            }
        }
        if !held.is_empty() {
            all.push((path, held.into_iter().collect()));
        }
    }
    all
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files
}

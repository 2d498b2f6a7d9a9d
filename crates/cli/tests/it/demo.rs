//! `coderclaw demo`: what a stranger sees first.

#![cfg(feature = "demo")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::Ran;

/// A home and a folder for temporary files, both empty, and nothing else in the environment.
struct Stranger {
    dir: tempfile::TempDir,
}

impl Stranger {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("cc").tempdir().unwrap();
        for name in ["home", "tmp"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coderclaw"));
        command
            .arg("demo")
            .args(arguments)
            .env_clear()
            .env("HOME", self.dir.path().join("home"))
            .env("TMPDIR", self.dir.path().join("tmp"))
            .env("PATH", "/usr/bin:/bin")
            .env("TZ", "UTC")
            .current_dir(self.dir.path().join("home"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn demo(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }

    fn left_in(&self, name: &str) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(self.dir.path().join(name)).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

fn shows_a_token(text: &str) -> bool {
    text.contains("sandbox-rt-") || text.contains("sandbox-code-") || text.contains("eyJ")
}

#[test]
fn all_claims_hold_and_nothing_is_left() {
    let stranger = Stranger::new();
    let ran = stranger.demo(&["--json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert!(!shows_a_token(&ran.stdout));
    let said: Value = serde_json::from_str(&ran.stdout).unwrap();
    let keys: Vec<_> = said.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["claims", "holds", "seconds"]);
    assert_eq!(said["holds"], true);
    assert!(said["seconds"].as_f64().unwrap() < 60.0, "{said}");
    let claims = said["claims"].as_array().unwrap();
    let names: Vec<_> = claims.iter().map(|claim| claim["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "login_personal",
            "login_work",
            "store_private",
            "both_stored",
            "expired",
            "storm_one_refresh",
            "storm_same_token",
            "kill_in_the_middle",
            "kill_lost_nothing",
            "kill_one_refresh",
            "order_is_order",
            "no_token_shown",
            "cleaned_up",
        ]
    );
    assert!(claims.iter().all(|claim| claim["holds"] == true), "{said:#}");
    assert!(stranger.left_in("home").is_empty() && stranger.left_in("tmp").is_empty());
}

#[test]
fn the_text_is_narrow_and_shows_no_token() {
    let stranger = Stranger::new();
    let ran = stranger.demo(&[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "All 13 claims hold.\n"), "{ran:?}");
    for line in ran.stderr.lines() {
        assert!(line.chars().count() <= 80, "{line}");
        assert!(!line.contains('\x1b') && line.trim_end() == line, "{line:?}");
    }
    assert!(!shows_a_token(&ran.stderr));
    assert_eq!(ran.stderr.matches('✓').count(), 13);
    assert!(!ran.stderr.contains('✗'));
    assert!(stranger.left_in("home").is_empty() && stranger.left_in("tmp").is_empty());
}

/// What is kept is private, and the commands that it names find it.
#[test]
fn keep_leaves_a_state_dir_to_look_around_in() {
    use std::os::unix::fs::MetadataExt;
    let stranger = Stranger::new();
    let ran = stranger.demo(&["--keep", "--quiet"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "All 12 claims hold.\n"), "{ran:?}");
    assert_eq!(ran.stderr, "", "--quiet is the last line only");
    let kept = stranger.left_in("tmp");
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(kept[0].metadata().unwrap().mode() & 0o777, 0o700);
    let provider = kept[0].join("providers/openai-codex.toml");
    assert_eq!(provider.metadata().unwrap().mode() & 0o777, 0o600);
    let status = Command::new(env!("CARGO_BIN_EXE_coderclaw"))
        .args(["models", "status"])
        .env_clear()
        .env("HOME", stranger.dir.path().join("home"))
        .env("CODERCLAW_STATE_DIR", &kept[0])
        .output()
        .unwrap();
    let status = Ran::from(status).ok();
    assert!(status.contains("→ openai-codex:work@example.test"), "{status}");
}

/// Ctrl-C in the middle: the folder goes, and the program ends as interrupted programs do.
#[test]
fn an_interrupt_cleans_up() {
    use std::os::unix::process::ExitStatusExt;
    let stranger = Stranger::new();
    let mut child = stranger.command(&["--json"]).spawn().unwrap();
    let began = Instant::now();
    let has_begun =
        || stranger.left_in("tmp").first().is_some_and(|dir| Path::new(dir).join("agents").exists());
    while !has_begun() {
        assert!(began.elapsed() < Duration::from_secs(30), "the demo begins");
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ended = child.wait().unwrap();
    assert_eq!(ended.signal(), Some(2), "{ended:?}");
    assert!(stranger.left_in("tmp").is_empty());
}

#[test]
fn no_place_for_the_folder_is_said() {
    let stranger = Stranger::new();
    let ran = Ran::from(stranger.command(&[]).env("TMPDIR", "/nowhere/at/all").output().unwrap());
    assert_eq!(ran.code(), "not_writable");
    assert!(ran.stderr.contains("/nowhere/at/all"), "{ran:?}");
}

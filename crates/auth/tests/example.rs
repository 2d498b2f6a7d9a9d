//! The example of the library, run against a server that counts.

#![allow(clippy::disallowed_methods, reason = "a test makes its own files")]
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

#[path = "../examples/lease.rs"]
mod lease;

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use coderclaw_sandbox::{ModelFault, Options, Sandbox, User};
use coderclaw_types::{Clock, Env, Millis};
use serde_json::json;

const NOW: Millis = Millis(1_800_000_000_000);
const ID: &str = "openai-codex:me@x.test";

fn private(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

/// An expired login is refreshed, the API is called, a token that it rejects is renewed, and the call is made again.
#[test]
fn the_example_calls_an_api() {
    let at = Arc::new(AtomicI64::new(NOW.0));
    let hand = Arc::clone(&at);
    let clock = Clock::from_fn(move || Millis(hand.load(Ordering::Relaxed)));
    let sandbox = Sandbox::start(Options::new(clock.clone())).unwrap();
    sandbox.add_user(User { email: "me@x.test".into(), account: "acct-me".into(), ..User::named("me") });
    let dir = tempfile::tempdir().unwrap();
    private(&dir.path().join("providers/openai-codex.toml"), &sandbox.model_manifest("openai-codex"));
    let grant = sandbox.grant("me");
    let entry = json!({
        "type": "oauth", "provider": "openai-codex", "access": grant.access.expose(), "accountId": "acct-me",
        "refresh": grant.refresh.expose(), "expires": NOW.0 - 1, "issuedAt": NOW.0 - 3_600_000,
    });
    let store = dir.path().join("agents/main/agent/auth-profiles.json");
    private(&store, &json!({"version": 1, "profiles": {ID: entry}}).to_string());
    let env = || Env::new([("CODERCLAW_STATE_DIR".into(), dir.path().into())], None, "/".into());

    assert_eq!(lease::ask(env(), clock.clone(), "openai-codex").unwrap(), 200);
    assert_eq!(sandbox.counts().refreshes, 1);
    // Later: what was refreshed a moment ago is not refreshed again.
    at.fetch_add(600_000, Ordering::Relaxed);
    sandbox.script_model(None, ModelFault::Expired, 1);
    assert_eq!(lease::ask(env(), clock.clone(), "openai-codex").unwrap(), 200);
    assert_eq!((sandbox.counts().refreshes, sandbox.counts().reuses), (2, 0));
    let unknown = lease::ask(env(), clock, "openai-kodex").unwrap_err().to_string();
    assert!(unknown.contains("openai-kodex"), "{unknown}");
}

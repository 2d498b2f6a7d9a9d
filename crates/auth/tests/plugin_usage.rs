//! What of a plan is used up, as the program of a plugin says.

#![allow(clippy::disallowed_methods, reason = "a test makes its own files")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]
#![allow(missing_docs, reason = "tests")]

use std::os::unix::fs::PermissionsExt;

use coderclaw_auth::{Ask, Auth, PLUGIN_FILE, PluginWindow, Runner, seal};
use coderclaw_store::{AuthProfiles, LoginEntry, StateDir, StoreGuard};
use coderclaw_types::{Clock, Env, Millis, ProfileId, ProviderId, Secret};

fn asked(script: &str) -> Result<Option<Vec<PluginWindow>>, String> {
    let dir = tempfile::tempdir().unwrap();
    let vars = [
        ("CODERCLAW_STATE_DIR".into(), dir.path().join("s").into()),
        ("PATH".into(), "/usr/bin:/bin".into()),
    ];
    let env = Env::new(vars, None, "/".into());
    let state = StateDir::from_env(&env);
    let from = dir.path().join("acme");
    std::fs::create_dir(&from).unwrap();
    let manifest =
        "id = 'acme'\n[plugin]\ncommand = ['sh', 'run.sh']\ndoes = ['usage']\n[[auth]]\nmethod = 'token'\n";
    for (name, text) in [(PLUGIN_FILE, manifest), ("run.sh", script)] {
        let path = from.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    state.stage_plugin(&from, PLUGIN_FILE).unwrap().keep(&state, "acme").unwrap();
    state.enable_plugin("acme", &seal(manifest)).unwrap();
    let auth = Auth::open(env, Clock::fixed(Millis(1_800_000_000_000)), Runner::Thread).unwrap();
    let agent = auth.agent(None).unwrap();
    let (id, provider) = (ProfileId::stored("acme:me"), ProviderId::new("acme"));
    let guard = StoreGuard::acquire(auth.state(), &agent.store()).unwrap();
    let mut doc = AuthProfiles::empty();
    let login = LoginEntry::Token { token: Secret::from("canary"), expires: None, issued_at: Millis(1) };
    doc.put_login(&id, &provider, &login);
    guard.commit(&doc).unwrap();
    drop(guard);
    let manifest = auth.provider("acme").unwrap();
    let lease = auth.lease(&agent, manifest, &Ask::default()).unwrap();
    auth.plugin_usage(manifest, &lease)
}

/// Windows that make sense are taken, others are left out; a program that does not say is no failure, one that fails is.
#[test]
fn windows_are_what_the_program_says() {
    let windows = asked(
        "echo '{\"v\": [1]}'; read call\n\
         case $call in *'\"call\":\"usage\"'*) ;; *) exit 1;; esac\n\
         echo '{\"ok\": {\"windows\": [{\"name\": \"5 hours\", \"usedPercent\": 42.5, \"resetsAt\": 1800000360000},\
          {\"name\": \"week\", \"usedPercent\": 420}, {\"usedPercent\": 1}, 7]}}'",
    );
    let wanted = PluginWindow {
        name: "5 hours".into(),
        used_percent: 42.5,
        resets_at: Some(Millis(1_800_000_360_000)),
    };
    assert_eq!(windows.unwrap().unwrap(), [wanted]);
    assert_eq!(asked("echo '{\"v\": [1]}'; read call; echo '{\"error\": \"unsupported\"}'"), Ok(None));
    let why = asked("echo '{\"v\": [1]}'; read call; echo 'no: canary' >&2; exit 2").unwrap_err();
    assert_eq!(why, "the plugin acme: it ended without an answer: no: ***");
}

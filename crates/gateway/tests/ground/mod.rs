//! What the tests stand on: a state dir with one key, and gateways on it with limits of a test's choosing.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use coderclaw_auth::Runner;
use coderclaw_gateway::{Gateway, Limits, Options, Tell};
use coderclaw_store::{GatewayKey, StateDir, add_gateway_key};
use coderclaw_types::{Clock, Env, Millis, ProviderId, Secret, TokenHash};

pub(crate) struct Ground {
    state: StateDir,
    pub(crate) key: Secret,
    pub(crate) runtime: tokio::runtime::Runtime,
    env: Env,
    _dir: tempfile::TempDir,
}

impl Ground {
    /// With these files, and a key for these providers; for all where none is named.
    pub(crate) fn new(files: &[(&str, String)], providers: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            private(&dir.path().join(name), text);
        }
        let env = Env::new([("CODERCLAW_STATE_DIR".into(), dir.path().into())], None, "/".into());
        let state = StateDir::from_env(&env);
        let wanted = GatewayKey {
            id: String::new(),
            name: "test".into(),
            hash: TokenHash::from_bytes([0; 32]),
            agent: None,
            providers: providers.iter().map(|id| ProviderId::new(id)).collect(),
            profile: None,
            created_at: None,
            expires_at: None,
        };
        let (_, key) = add_gateway_key(&state, &wanted).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        Self { state, key, runtime: runtime.unwrap(), env, _dir: dir }
    }

    /// With a token socket, or without.
    pub(crate) fn gateway(&self, socket: bool, tell: Tell, limits: Limits) -> Gateway {
        let options = Options {
            address: "127.0.0.1:0".parse().unwrap(),
            tls: None,
            socket: socket.then(|| self.state.token_socket()),
            env: self.env.clone(),
            clock: Clock::fixed(Millis(1_700_000_000_000)),
            runner: Runner::Thread,
            tell,
            next_command: |_| String::new(),
            next_for_profile: |_, _, _, _| String::new(),
            local_time: |at| at.0.to_string(),
            limits,
        };
        self.runtime.block_on(Gateway::bind(options)).unwrap()
    }
}

fn private(path: &Path, text: &str) {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path.parent().unwrap()).unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

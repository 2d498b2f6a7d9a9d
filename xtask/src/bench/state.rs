//! A state dir with five profiles that nobody could use anywhere.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A throw-away folder; gone when this is dropped.
#[derive(Debug)]
pub(crate) struct StateDir {
    root: PathBuf,
}

impl StateDir {
    pub(crate) fn make() -> Result<Self, String> {
        let root = std::env::temp_dir().join(format!("coderclaw-bench-{}", std::process::id()));
        let state = Self { root };
        let agent = state.path().join("agents/main/agent");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&agent)
            .map_err(|e| format!("{}: {e}", agent.display()))?;
        private(&agent.join("auth-profiles.json"), store(SystemTime::now()).as_bytes())?;
        private(&state.path().join("fingerprint.key"), &[7; 32])?;
        // What Codex CLI has to look at.
        private(&state.path().join("auth.json"), br#"{"auth_mode":"apikey","OPENAI_API_KEY":"sk-bench"}"#)?;
        Ok(state)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.root.join("state")
    }

    /// A home folder with nothing in it.
    pub(crate) fn home(&self) -> &Path {
        &self.root
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.root));
    }
}

fn private(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(bytes)).map_err(|e| format!("{}: {e}", path.display()))
}

/// Two ChatGPT logins that work for another month, a Claude token, and two keys; tokens as long as real ones.
fn store(now: SystemTime) -> String {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let issued = now.saturating_sub(Duration::from_secs(3600)).as_millis();
    let expires = now.saturating_add(Duration::from_secs(30 * 24 * 3600)).as_millis();
    let of_length = |name: &str, length: usize| format!("{name}{}", "-bench".repeat(length / 6));
    let login = |name: &str| {
        let (access, refresh) = (of_length(name, 1800), of_length(name, 90));
        format!(
            r#""openai-codex:{name}@example.com":{{"type":"oauth","provider":"openai-codex","access":"{access}","refresh":"{refresh}","expires":{expires},"issuedAt":{issued},"email":"{name}@example.com","accountId":"account-{name}"}}"#
        )
    };
    let other = |provider: &str, kind: &str, key: &str, length: usize| {
        let value = of_length(provider, length);
        format!(r#""{provider}:manual":{{"type":"{kind}","provider":"{provider}","{key}":"{value}"}}"#)
    };
    let profiles = [
        login("one"),
        login("two"),
        other("anthropic", "token", "token", 108),
        other("openai", "api_key", "key", 164),
        other("groq", "api_key", "key", 56),
    ];
    format!(r#"{{"version":1,"profiles":{{{}}}}}"#, profiles.join(","))
}

//! Logins that one process began and another will end: `logins/<id>.json`.
//!
//! Such a file holds the code verifier, without which the code is worth nothing to anybody. It is 0600 from birth, serves
//! once, and is gone afterwards.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use coderclaw_types::{AgentId, Millis, ProfileId, ProviderId, Secret};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::commit::{WriteError, create_private, sync_folder};
use crate::paths::StateDir;
use crate::read::{ReadError, read_text};

/// A login that waits for its answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingLogin {
    /// Of which provider.
    #[serde(deserialize_with = "provider_id")]
    pub provider: ProviderId,
    /// For which agent.
    #[serde(deserialize_with = "agent_id")]
    pub agent: AgentId,
    /// Goes to the token endpoint, and nowhere else.
    pub verifier: Secret,
    /// Binds the answer to this login.
    pub state: Secret,
    /// As in the authorization request; the exchange repeats it.
    pub redirect_uri: String,
    /// After this it is of no use.
    pub expires: Millis,
    /// Under which profile id, where one was asked for.
    pub profile_id: Option<ProfileId>,
    /// Also where that id holds another login.
    pub replace: bool,
    /// The person who is expected.
    pub expect: Option<String>,
    /// The workspace that is expected.
    pub workspace: Option<String>,
    /// Whether it is one for which this program is registered anew for each person.
    #[serde(default)]
    pub registers: bool,
    /// The client that had been registered before, if it is such a one.
    #[serde(default)]
    pub client_id: Option<String>,
    /// A code that waits to be typed in, where the login is by one.
    #[serde(default)]
    pub device: Option<PendingCode>,
}

/// What asks whether a code has been typed in.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingCode {
    /// What the server knows the login by.
    pub handle: Secret,
    /// What the person types.
    pub user_code: String,
    /// Where.
    pub page: String,
    /// The milliseconds between two questions.
    pub interval_ms: u64,
}

impl PendingLogin {
    /// Keeps it, under a new id of 32 hexadecimal digits. Those that have expired by `now` go.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn save(&self, state: &StateDir, now: Millis) -> Result<String, WriteError> {
        let dir = state.logins();
        state.ensure_dir(&dir)?;
        sweep(state, now);
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|e| WriteError::io(&dir)(io::Error::other(e)))?;
        let id = format!("{:032x}", u128::from_be_bytes(bytes));
        let path = path(state, &id);
        let mut file = create_private(&path)?;
        let text = self.to_text();
        let written = file.write_all(text.expose().as_bytes()).and_then(|()| file.sync_all());
        if written.is_err() {
            drop(fs::remove_file(&path));
        }
        written.map_err(WriteError::io(&path))?;
        sync_folder(&path)?;
        Ok(id)
    }

    /// The login with this id, if it waits. A damaged file counts as none.
    ///
    /// # Errors
    /// Where its file cannot be read.
    pub fn find(state: &StateDir, id: &str) -> Result<Option<Self>, ReadError> {
        if !is_id(id) {
            return Ok(None);
        }
        match read_text(&path(state, id)) {
            Ok(text) => Ok(text.and_then(|text| serde_json::from_str(&text).ok())),
            Err(ReadError::Corrupt { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Takes the login with this id away. Of several that try, one is told `true`, and only it may redeem the code.
    ///
    /// # Errors
    /// Where the file cannot be removed.
    pub fn claim(state: &StateDir, id: &str) -> Result<bool, WriteError> {
        if !is_id(id) {
            return Ok(false);
        }
        let path = path(state, id);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(WriteError::io(&path)(e)),
        }
    }

    /// The files of logins that nobody can finish any more. Reads only.
    pub fn expired(state: &StateDir, now: Millis) -> Vec<PathBuf> {
        let entries = fs::read_dir(state.logins()).into_iter().flatten().flatten();
        let is_over = |entry: &fs::DirEntry| {
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".json"));
            matches!(id.map(|id| Self::find(state, id)), Some(Ok(Some(login))) if login.expires <= now)
        };
        entries.filter(is_over).map(|entry| entry.path()).collect()
    }

    /// Takes away those that [`PendingLogin::expired`] finds.
    ///
    /// # Errors
    /// Where one cannot be removed.
    pub fn remove_expired(state: &StateDir, now: Millis) -> Result<usize, WriteError> {
        state.check_owner()?;
        let expired = Self::expired(state, now);
        for path in &expired {
            fs::remove_file(path).map_err(WriteError::io(path))?;
        }
        Ok(expired.len())
    }

    fn to_text(&self) -> Secret {
        let json = json!({
            "provider": self.provider,
            "agent": self.agent,
            "verifier": self.verifier.expose(),
            "state": self.state.expose(),
            "redirectUri": self.redirect_uri,
            "expires": self.expires,
            "profileId": self.profile_id,
            "replace": self.replace,
            "expect": self.expect,
            "workspace": self.workspace,
            "registers": self.registers,
            "clientId": self.client_id,
            "device": self.device.as_ref().map(|code| json!({
                "handle": code.handle.expose(),
                "userCode": code.user_code,
                "page": code.page,
                "intervalMs": code.interval_ms,
            })),
        });
        Secret::from(json.to_string())
    }
}

fn provider_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ProviderId, D::Error> {
    String::deserialize(deserializer).map(|text| ProviderId::new(&text))
}

fn agent_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AgentId, D::Error> {
    String::deserialize(deserializer).map(|text| AgentId::new(&text))
}

/// An id from the command line must not lead out of the folder.
fn is_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn path(state: &StateDir, id: &str) -> PathBuf {
    state.logins().join(format!("{id}.json"))
}

/// Nobody asks for an expired login again, so somebody else has to take it away.
fn sweep(state: &StateDir, now: Millis) {
    for path in PendingLogin::expired(state, now) {
        drop(fs::remove_file(path));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn world() -> (tempfile::TempDir, StateDir) {
        StateDir::temporary()
    }

    fn login(expires: i64) -> PendingLogin {
        PendingLogin {
            provider: ProviderId::new("p"),
            agent: AgentId::main(),
            verifier: Secret::from("canary-verifier"),
            state: Secret::from("st"),
            redirect_uri: "http://127.0.0.1:1/cb".into(),
            expires: Millis(expires),
            profile_id: None,
            replace: true,
            expect: Some("a@x".into()),
            workspace: None,
            registers: true,
            client_id: Some("c".into()),
            device: Some(PendingCode {
                handle: Secret::from("canary-handle"),
                user_code: "AB-CD".into(),
                page: "https://id.test/device".into(),
                interval_ms: 5_000,
            }),
        }
    }

    /// G3: private from birth, and found again as it was.
    #[test]
    fn kept_and_claimed_once() {
        let (_tmp, state) = world();
        let id = login(10).save(&state, Millis(0)).unwrap();
        let meta = fs::metadata(path(&state, &id)).unwrap();
        assert_eq!(meta.mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(state.logins()).unwrap().mode() & 0o777, 0o700);
        let found = PendingLogin::find(&state, &id).unwrap().unwrap();
        assert_eq!(found.verifier, Secret::from("canary-verifier"));
        assert_eq!((found.expires, found.replace, found.expect.as_deref()), (Millis(10), true, Some("a@x")));
        let code = found.device.as_ref().unwrap();
        assert_eq!(
            (code.handle.expose(), code.user_code.as_str(), code.interval_ms),
            ("canary-handle", "AB-CD", 5_000)
        );
        assert!(!format!("{found:?}").contains("canary"));
        let won = std::thread::scope(|scope| {
            let tries: Vec<_> =
                (0..8).map(|_| scope.spawn(|| PendingLogin::claim(&state, &id).unwrap())).collect();
            tries.into_iter().map(|t| t.join().unwrap()).filter(|won| *won).count()
        });
        assert_eq!(won, 1);
        assert!(PendingLogin::find(&state, &id).unwrap().is_none());
    }

    #[test]
    fn ids_stay_in_the_folder_and_damage_means_none() {
        let (_tmp, state) = world();
        let id = login(10).save(&state, Millis(0)).unwrap();
        for wrong in [
            "",
            "../providers/x",
            &id[1..],
            &id.to_uppercase().replace(char::is_numeric, "A"),
            "../../../../etc/passwd",
        ] {
            assert!(PendingLogin::find(&state, wrong).unwrap().is_none(), "{wrong}");
            assert!(!PendingLogin::claim(&state, wrong).unwrap(), "{wrong}");
        }
        fs::write(path(&state, &id), "{torn").unwrap();
        assert!(PendingLogin::find(&state, &id).unwrap().is_none());
    }

    #[test]
    fn the_expired_are_swept_by_the_next() {
        let (_tmp, state) = world();
        let old = login(10).save(&state, Millis(0)).unwrap();
        let young = login(99).save(&state, Millis(0)).unwrap();
        login(99).save(&state, Millis(10)).unwrap();
        assert!(PendingLogin::find(&state, &old).unwrap().is_none());
        assert!(PendingLogin::find(&state, &young).unwrap().is_some());
        assert_eq!(PendingLogin::expired(&state, Millis(98)), Vec::<PathBuf>::new());
        assert_eq!(PendingLogin::expired(&state, Millis(99)).len(), 2);
        assert_eq!(PendingLogin::remove_expired(&state, Millis(99)).unwrap(), 2);
        assert!(PendingLogin::find(&state, &young).unwrap().is_none());
    }
}

//! `registrations.json`: as which clients this program is known to issuers that register it anew for each person, and the name
//! that this machine has with them. It holds ids and names of people, and no secret. It outlives logins: who logs out and in
//! again is not registered twice.

use std::io;
use std::path::PathBuf;

use coderclaw_types::Millis;
use serde_json::{Map, Value, json};

use crate::commit::{WriteError, replace};
use crate::locks::RegistrationsGuard;
use crate::own_file::{read_versioned, versioned};
use crate::paths::StateDir;
use crate::read::ReadError;

/// The version that this program writes.
const VERSION: i64 = 1;

/// The file's content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registrations {
    top: Map<String, Value>,
}

/// One client, and whose it is as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// What the issuer calls it.
    pub client_id: String,
    /// The person's id there; `None` until a login with it has come to its end.
    pub subject: Option<String>,
    /// The person's e-mail address.
    pub email: Option<String>,
}

/// What is known. Reads only; no file means nothing.
///
/// # Errors
/// Where the file exists and cannot be read or understood: what is not known must not be registered again.
pub fn read_registrations(state: &StateDir) -> Result<Registrations, ReadError> {
    let top = read_versioned(&state.registrations(), VERSION)?.unwrap_or_default();
    Ok(Registrations { top })
}

impl Registrations {
    /// What this machine is called, once it has been given a name: `urn:uuid:` and a random UUID (RFC 9562 section 5.4).
    pub fn host_id(&self) -> Option<&str> {
        self.top.get("hostId").and_then(Value::as_str).filter(|id| id.starts_with("urn:uuid:"))
    }

    /// The clients of this issuer, oldest first.
    pub fn of(&self, issuer: &str) -> Vec<Registration> {
        let all = self.top.get("clients").and_then(Value::as_array).into_iter().flatten();
        let text = |one: &Value, key: &str| one.get(key).and_then(Value::as_str).map(str::to_owned);
        all.filter(|one| one.get("issuer").and_then(Value::as_str) == Some(issuer))
            .filter_map(|one| {
                let client_id = text(one, "clientId")?;
                Some(Registration { client_id, subject: text(one, "sub"), email: text(one, "email") })
            })
            .collect()
    }

    /// Gives this machine a name, where it has none; `random` makes it.
    fn name_host(&mut self, random: [u8; 16]) {
        let mut id = u128::from_be_bytes(random);
        // Version 4, variant 1.
        id = (id & !(0xf << 76)) | (0x4 << 76);
        id = (id & !(0x3 << 62)) | (0x2 << 62);
        let hex = format!("{id:032x}");
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        self.top.insert("hostId".into(), json!(format!("urn:uuid:{}", parts.join("-"))));
    }

    fn note(&mut self, issuer: &str, one: &Registration, at: Millis) {
        let clients = self.top.entry("clients").or_insert_with(|| json!([]));
        if !clients.is_array() {
            *clients = json!([]);
        }
        let Value::Array(clients) = clients else { return };
        let is_it = |known: &&mut Value| known["issuer"] == issuer && known["clientId"] == one.client_id;
        let mut fresh = json!({"issuer": issuer, "clientId": one.client_id, "registeredAt": at});
        let mut known = clients.iter_mut().find(is_it);
        let slot = known.as_deref_mut().unwrap_or(&mut fresh);
        for (key, value) in [("sub", &one.subject), ("email", &one.email)] {
            if let Some(value) = value {
                slot[key] = json!(value);
            }
        }
        if known.is_none() {
            clients.push(fresh);
        }
    }
}

impl RegistrationsGuard {
    /// The name of this machine, which is made and written down where there is none.
    ///
    /// # Errors
    /// Where the file cannot be understood, or the disk does not take it.
    pub fn host_id(&self, state: &StateDir) -> Result<String, RegistrationError> {
        let mut all = read_registrations(state)?;
        if all.host_id().is_none() {
            let mut random = [0; 16];
            let failed = |e: getrandom::Error| WriteError::io(self.target())(io::Error::other(e));
            getrandom::fill(&mut random).map_err(failed)?;
            all.name_host(random);
            self.commit(&all)?;
        }
        Ok(all.host_id().unwrap_or_default().to_owned())
    }

    /// Writes down a client, or whose it is.
    ///
    /// # Errors
    /// As [`RegistrationsGuard::host_id`].
    pub fn note(
        &self,
        state: &StateDir,
        issuer: &str,
        one: &Registration,
        at: Millis,
    ) -> Result<(), RegistrationError> {
        let before = read_registrations(state)?;
        let mut all = before.clone();
        all.note(issuer, one, at);
        if all != before {
            self.commit(&all)?;
        }
        Ok(())
    }

    fn commit(&self, all: &Registrations) -> Result<(), WriteError> {
        replace(self.target(), versioned(&all.top, VERSION).as_bytes())
    }
}

/// Why a registration could not be written down.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl StateDir {
    /// As which clients this program is registered.
    pub fn registrations(&self) -> PathBuf {
        self.root().join("registrations.json")
    }
}

#[cfg(test)]
mod tests {
    use coderclaw_types::Env;

    use super::*;

    fn state(dir: &tempfile::TempDir) -> StateDir {
        let env = Env::new([("CODERCLAW_STATE_DIR".into(), dir.path().join("s").into())], None, "/".into());
        StateDir::from_env(&env)
    }

    fn one(client: &str, subject: Option<&str>) -> Registration {
        Registration { client_id: client.into(), subject: subject.map(str::to_owned), email: None }
    }

    /// F3, F5: a client is written down once, whose it is comes later, foreign keys stay, and damage is not taken for "none".
    #[test]
    fn f3_f5_registrations_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        assert_eq!(read_registrations(&state).unwrap(), Registrations::default());
        let guard = RegistrationsGuard::acquire(&state).unwrap();
        let host = guard.host_id(&state).unwrap();
        assert_eq!(guard.host_id(&state).unwrap(), host, "one name for ever");
        let (id, digits) = (host.strip_prefix("urn:uuid:").unwrap(), host.replace('-', ""));
        assert_eq!((id.len(), digits.len()), (36, 41));
        assert!(id.as_bytes()[14] == b'4' && b"89ab".contains(&id.as_bytes()[19]), "{id}");

        guard.note(&state, "https://i.test", &one("a", None), Millis(1)).unwrap();
        let text = std::fs::read_to_string(state.registrations()).unwrap();
        let text = text.replacen("\"hostId\"", "\"later\": [1.50],\n  \"hostId\"", 1);
        std::fs::write(state.registrations(), text).unwrap();
        guard.note(&state, "https://i.test", &one("b", Some("s-2")), Millis(2)).unwrap();
        guard.note(&state, "https://i.test", &one("a", Some("s-1")), Millis(3)).unwrap();
        guard.note(&state, "https://other.test", &one("a", None), Millis(4)).unwrap();
        let all = read_registrations(&state).unwrap();
        assert_eq!(all.of("https://i.test"), [one("a", Some("s-1")), one("b", Some("s-2"))]);
        assert_eq!(all.of("https://other.test"), [one("a", None)]);
        assert_eq!(all.top["clients"][0]["registeredAt"], 1);
        assert!(all.top.contains_key("later") && all.host_id() == Some(host.as_str()));
        let before = std::fs::metadata(state.registrations()).unwrap().modified().unwrap();
        guard.note(&state, "https://i.test", &one("a", None), Millis(9)).unwrap();
        assert_eq!(std::fs::metadata(state.registrations()).unwrap().modified().unwrap(), before);

        for damage in ["", "[]", "{}", r#"{"version": 2}"#, "{torn"] {
            std::fs::write(state.registrations(), damage).unwrap();
            assert!(read_registrations(&state).is_err(), "{damage}");
            assert!(guard.note(&state, "https://i.test", &one("c", None), Millis(5)).is_err());
            assert_eq!(std::fs::read_to_string(state.registrations()).unwrap(), damage);
        }
    }
}

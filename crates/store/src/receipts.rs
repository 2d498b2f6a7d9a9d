//! `credentials/imports.json`: what was taken over from older files and from other programs, so that nothing comes in
//! twice, and nothing comes back that was logged out. It holds names, counts, times and keyed hashes; no secret.

use std::path::PathBuf;

use coderclaw_types::{AgentId, Fingerprint, Millis, ProfileId};
use serde_json::{Map, Value, json};

use crate::commit::{WriteError, replace};
use crate::locks::ImportGuard;
use crate::own_file::{object, read_versioned, versioned};
use crate::paths::StateDir;
use crate::read::ReadError;

/// The version that this program writes.
const VERSION: i64 = 1;
/// Imports by command are remembered for people; these many will do.
const REMEMBERED: usize = 100;

/// What has been imported.
#[derive(Debug, Clone, Default)]
pub struct Receipts {
    top: Map<String, Value>,
}

/// One import by command, for the record.
#[derive(Debug, Clone)]
pub struct ImportReceipt<'a> {
    /// When.
    pub at: Millis,
    /// From which file.
    pub from: &'a std::path::Path,
    /// Into which agent.
    pub agent: &'a AgentId,
    /// What was added or replaced, with a keyed hash of its secret.
    pub profiles: &'a [(ProfileId, Option<Fingerprint>)],
}

/// Reads the receipts; none where there is no such file.
///
/// # Errors
/// Where the file cannot be read or understood. Nothing may be imported by itself then: what is not known to have been
/// imported would come back.
pub fn read_receipts(state: &StateDir) -> Result<Receipts, ReadError> {
    let top = read_versioned(&state.receipts(), VERSION)?.unwrap_or_default();
    Ok(Receipts { top })
}

impl Receipts {
    /// Whether the entry of `oauth.json` under `key` has been dealt with.
    pub fn knows_oauth(&self, key: &str) -> bool {
        self.top.get("oauthJson").and_then(|all| all.get(key)).is_some()
    }

    /// Notes that the entry of `oauth.json` under `key` has been dealt with: imported as `profile`, or, with `why`, left
    /// out for good.
    pub fn note_oauth(
        &mut self,
        key: &str,
        agent: &AgentId,
        imported: Result<(&ProfileId, Option<&Fingerprint>), &str>,
        at: Millis,
    ) {
        let note = match imported {
            Ok((profile, hash)) => {
                json!({"imported": true, "agentId": agent, "profileId": profile, "fingerprint": hash, "at": at})
            }
            Err(why) => json!({"imported": false, "agentId": agent, "why": why, "at": at}),
        };
        self.object("oauthJson").insert(key.into(), note);
    }

    /// The fingerprint of the `auth.json` whose import into `agent` was begun, and whether it was done.
    pub fn auth_json(&self, agent: &AgentId) -> Option<(&str, bool)> {
        let note = self.top.get("authJson")?.get(agent.as_str())?;
        Some((note.get("source")?.as_str()?, note.get("done")?.as_bool()?))
    }

    /// Notes that the import of an `auth.json` into `agent` is begun or, with the profiles it brought, done.
    pub fn note_auth_json(
        &mut self,
        agent: &AgentId,
        source: &Fingerprint,
        done: Option<&[(ProfileId, Option<Fingerprint>)]>,
        at: Millis,
    ) {
        let mut note = json!({"source": source, "done": done.is_some(), "at": at});
        if let Some(profiles) = done {
            note["count"] = json!(profiles.len());
            note["profiles"] = of(profiles);
        }
        self.object("authJson").insert(agent.as_str().into(), note);
    }

    /// Remembers an import by command.
    pub fn note_command(&mut self, receipt: &ImportReceipt<'_>) {
        let note = json!({
            "at": receipt.at,
            "from": receipt.from,
            "agentId": receipt.agent,
            "count": receipt.profiles.len(),
            "profiles": of(receipt.profiles),
        });
        let all = self.top.entry("commands").or_insert_with(|| json!([]));
        if !all.is_array() {
            *all = json!([]);
        }
        if let Value::Array(all) = all {
            all.push(note);
            let surplus = all.len().saturating_sub(REMEMBERED);
            all.drain(..surplus);
        }
    }

    fn object(&mut self, key: &str) -> &mut Map<String, Value> {
        object(self.top.entry(key).or_insert_with(|| json!({})))
    }
}

fn of(profiles: &[(ProfileId, Option<Fingerprint>)]) -> Value {
    profiles.iter().map(|(id, hash)| json!({"profileId": id, "fingerprint": hash})).collect()
}

impl ImportGuard {
    /// Replaces the receipts.
    ///
    /// # Errors
    /// Where the disk does not take them.
    pub fn commit(&self, receipts: &Receipts) -> Result<(), WriteError> {
        replace(self.target(), versioned(&receipts.top, VERSION).as_bytes())
    }
}

impl StateDir {
    /// What was imported from where.
    pub fn receipts(&self) -> PathBuf {
        self.root().join("credentials/imports.json")
    }
}

#[cfg(test)]
mod tests {
    use coderclaw_types::{FingerprintKey, Secret};

    use super::*;

    /// F5: what is written is found again, unknown keys included; what is not understood is never taken for "nothing".
    #[test]
    fn f5_receipts_are_kept_and_damage_is_not_empty() {
        let (_tmp, state) = StateDir::temporary();
        let mut receipts = read_receipts(&state).unwrap();
        let main = AgentId::main();
        let hash = Fingerprint::of(&FingerprintKey::from_bytes([7; 32]), &Secret::from("canary"));
        receipts.note_oauth("a", &main, Ok((&ProfileId::stored("a:default"), Some(&hash))), Millis(1));
        receipts.note_oauth("b", &main, Err("there already"), Millis(2));
        receipts.note_auth_json(&main, &hash, None, Millis(3));
        receipts.top.insert("later".into(), json!([1.5]));
        let guard = ImportGuard::acquire(&state).unwrap();
        guard.commit(&receipts).unwrap();
        let mut again = read_receipts(&state).unwrap();
        assert!(again.knows_oauth("a") && again.knows_oauth("b") && !again.knows_oauth("c"));
        assert_eq!(again.auth_json(&main), Some((hash.as_str(), false)));
        assert_eq!(again.top["later"], json!([1.5]));
        let profiles = [(ProfileId::stored("x"), None)];
        for _ in 0..REMEMBERED + 5 {
            let from = std::path::Path::new("/f");
            let receipt = ImportReceipt { at: Millis(4), from, agent: &main, profiles: &profiles };
            again.note_command(&receipt);
        }
        assert_eq!(again.top["commands"].as_array().unwrap().len(), REMEMBERED);
        for damage in ["", "[]", "{}", r#"{"version": 2}"#, "{torn"] {
            std::fs::write(state.receipts(), damage).unwrap();
            assert!(read_receipts(&state).is_err(), "{damage}");
        }
    }
}

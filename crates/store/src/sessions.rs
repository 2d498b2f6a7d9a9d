//! `sessions.json`: the index of an agent's sessions, with the original's keys. What is not known here stays.

use std::path::Path;

use coderclaw_types::{Millis, ProfileId, ProviderId};
use serde_json::{Map, Value, json};

use crate::commit::{WriteError, replace};
use crate::locks::SessionsGuard;
use crate::read::{ReadError, read_text};

/// The profile that a session uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Its id.
    pub profile: ProfileId,
    /// Chosen by the user: never another one. Else it is only tried first.
    pub by_user: bool,
}

/// The index as it was at one moment.
#[derive(Debug, Clone, Default)]
pub struct SessionIndex {
    entries: Map<String, Value>,
}

/// One session's entry.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SessionEntry {
    raw: Map<String, Value>,
}

/// The index at `path`; empty where there is none.
///
/// # Errors
/// Where it exists and cannot be read, or is damaged: a session's pin is nothing to guess at.
pub fn read_sessions(path: &Path) -> Result<SessionIndex, ReadError> {
    let Some(text) = read_text(path)? else { return Ok(SessionIndex::default()) };
    match serde_json::from_str(&text) {
        Ok(entries) => Ok(SessionIndex { entries }),
        Err(e) => Err(ReadError::Corrupt { path: path.to_path_buf(), detail: e.to_string() }),
    }
}

impl SessionsGuard {
    /// The index as it is now.
    ///
    /// # Errors
    /// As [`read_sessions`].
    pub fn read(&self) -> Result<SessionIndex, ReadError> {
        read_sessions(self.target())
    }

    /// Replaces the index.
    ///
    /// # Errors
    /// Where the disk does not take it; the old index is still there then.
    pub fn commit(&self, index: &SessionIndex) -> Result<(), WriteError> {
        let mut text = serde_json::to_string_pretty(&index.entries).unwrap_or_else(|_| "{}".into());
        text.push('\n');
        replace(self.target(), text.as_bytes())
    }
}

impl SessionIndex {
    /// The sessions that have an entry, in file order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, SessionEntry)> {
        self.entries.iter().filter_map(|(key, entry)| Some((key.as_str(), SessionEntry::of(entry)?)))
    }

    /// The entry of the session `key`.
    pub fn get(&self, key: &str) -> Option<SessionEntry> {
        SessionEntry::of(self.entries.get(key)?)
    }

    /// Replaces the entry of the session `key`, or adds it.
    pub fn set(&mut self, key: &str, entry: SessionEntry) {
        self.entries.insert(key.into(), Value::Object(entry.raw));
    }
}

impl SessionEntry {
    fn of(value: &Value) -> Option<Self> {
        Some(Self { raw: value.as_object()?.clone() })
    }

    fn text(&self, key: &str) -> Option<&str> {
        let text = self.raw.get(key)?.as_str()?.trim();
        (!text.is_empty()).then_some(text)
    }

    fn put(&mut self, key: &str, value: Option<Value>) {
        match value {
            Some(value) => drop(self.raw.insert(key.into(), value)),
            None => drop(self.raw.shift_remove(key)),
        }
    }

    /// The id that its transcript is named for.
    pub fn session_id(&self) -> Option<&str> {
        self.text("sessionId")
    }

    /// Begins a new transcript.
    pub fn set_session_id(&mut self, id: &str) {
        self.put("sessionId", Some(json!(id)));
        // It names the transcript before.
        self.put("sessionFile", None);
    }

    /// When it was last changed.
    pub fn updated_at(&self) -> Option<Millis> {
        self.raw.get("updatedAt").and_then(Value::as_i64).map(Millis)
    }

    /// Notes that it was changed now.
    pub fn touch(&mut self, now: Millis) {
        self.put("updatedAt", Some(json!(now)));
    }

    /// The model that was chosen for it, where it is not the agent's own.
    pub fn model(&self) -> Option<(ProviderId, &str)> {
        Some((ProviderId::new(self.text("providerOverride")?), self.text("modelOverride")?))
    }

    /// Chooses a model, or goes back to the agent's own.
    pub fn set_model(&mut self, model: Option<(&ProviderId, &str)>) {
        self.put("providerOverride", model.map(|(provider, _)| json!(provider)));
        self.put("modelOverride", model.map(|(_, model)| json!(model)));
    }

    /// The profile that it uses.
    pub fn pin(&self) -> Option<Pin> {
        let profile = ProfileId::stored(self.text("authProfileOverride")?);
        let by_user = match self.text("authProfileOverrideSource") {
            Some(source) => source == "user",
            // Older entries have no source; one with a compaction count was picked automatically.
            None => !self.raw.contains_key("authProfileOverrideCompactionCount"),
        };
        Some(Pin { profile, by_user })
    }

    /// Sets or removes the profile that it uses.
    pub fn set_pin(&mut self, pin: Option<&Pin>) {
        let source = |pin: &Pin| if pin.by_user { "user" } else { "auto" };
        self.put("authProfileOverride", pin.map(|pin| json!(pin.profile)));
        self.put("authProfileOverrideSource", pin.map(|pin| json!(source(pin))));
        // The original picks anew after a compaction of its own; only for what it has picked itself.
        let count = self.raw.get("compactionCount").cloned().unwrap_or_else(|| json!(0));
        let picked = pin.is_some_and(|pin| !pin.by_user);
        self.put("authProfileOverrideCompactionCount", picked.then_some(count));
    }

    /// The user's pin of a provider whose models the session does not use at the moment.
    pub fn parked_pin(&self, provider: &ProviderId) -> Option<ProfileId> {
        let id = self.raw.get(PARKED)?.get(provider.as_str())?.as_str()?;
        Some(ProfileId::stored(id))
    }

    /// All such pins.
    pub fn parked_pins(&self) -> Vec<(ProviderId, ProfileId)> {
        let Some(Value::Object(parked)) = self.raw.get(PARKED) else { return Vec::new() };
        let pin = |(provider, id): (&String, &Value)| {
            Some((ProviderId::new(provider), ProfileId::stored(id.as_str()?)))
        };
        parked.iter().filter_map(pin).collect()
    }

    /// Sets or removes such a pin.
    pub fn park_pin(&mut self, provider: &ProviderId, profile: Option<&ProfileId>) {
        let mut parked = match self.raw.get(PARKED) {
            Some(Value::Object(parked)) => parked.clone(),
            _ => Map::new(),
        };
        match profile {
            Some(profile) => drop(parked.insert(provider.as_str().into(), json!(profile))),
            None => drop(parked.shift_remove(provider.as_str())),
        }
        self.put(PARKED, (!parked.is_empty()).then_some(Value::Object(parked)));
    }

    /// What a new session under the same key keeps: how it behaves, and the pins of a user. An account that a user has
    /// chosen for a model stays with that model.
    #[must_use]
    pub fn renewed(&self) -> Self {
        const KEPT: [&str; 5] = ["thinkingLevel", "verboseLevel", "reasoningLevel", "ttsAuto", PARKED];
        let kept = self.raw.iter().filter(|(key, _)| KEPT.contains(&key.as_str()));
        let mut next = Self { raw: kept.map(|(key, value)| (key.clone(), value.clone())).collect() };
        if let Some(pin) = self.pin().filter(|pin| pin.by_user) {
            next.set_pin(Some(&pin));
            next.set_model(self.model().as_ref().map(|(provider, model)| (provider, *model)));
        }
        next
    }
}

/// A key of ours in the original's file, which keeps what it does not know.
const PARKED: &str = "authProfileParked";

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(value: Value) -> SessionEntry {
        SessionEntry::of(&value).unwrap()
    }

    #[test]
    fn pins_and_their_sources() {
        let table = [
            (json!({"authProfileOverride": "a", "authProfileOverrideSource": "user"}), Some(true)),
            (json!({"authProfileOverride": "a", "authProfileOverrideSource": "auto"}), Some(false)),
            (json!({"authProfileOverride": "a"}), Some(true)),
            (json!({"authProfileOverride": "a", "authProfileOverrideCompactionCount": 2}), Some(false)),
            (json!({"authProfileOverride": " "}), None),
            (json!({}), None),
        ];
        for (value, by_user) in table {
            assert_eq!(entry(value.clone()).pin().map(|pin| pin.by_user), by_user, "{value}");
        }
    }

    #[test]
    fn what_is_set_is_read_back_and_the_rest_stays() {
        let mut entry = entry(json!({"sessionId": "s", "queueMode": "x", "compactionCount": 3}));
        let pin = Pin { profile: ProfileId::stored("p:me"), by_user: false };
        entry.set_pin(Some(&pin));
        assert_eq!((entry.pin(), &entry.raw["authProfileOverrideCompactionCount"]), (Some(pin), &json!(3)));
        let pin = Pin { profile: ProfileId::stored("p:you"), by_user: true };
        entry.set_pin(Some(&pin));
        assert!(!entry.raw.contains_key("authProfileOverrideCompactionCount"));
        let provider = ProviderId::new("p");
        entry.set_model(Some((&provider, "m/1")));
        assert_eq!(entry.model(), Some((provider.clone(), "m/1")));
        entry.park_pin(&provider, Some(&pin.profile));
        assert_eq!(entry.parked_pin(&provider), Some(pin.profile));
        entry.park_pin(&provider, None);
        entry.set_pin(None);
        entry.set_model(None);
        assert_eq!(entry.raw, entry_map(&json!({"sessionId": "s", "queueMode": "x", "compactionCount": 3})));
    }

    fn entry_map(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    /// C4: what was picked automatically does not outlive its session; what a user chose does.
    #[test]
    fn c4_a_new_session_keeps_only_what_the_user_chose() {
        let old = entry(json!({
            "sessionId": "s", "modelOverride": "m", "providerOverride": "p", "thinkingLevel": "high",
            "authProfileOverride": "p:me", "authProfileOverrideSource": "auto", "authProfileParked": {"q": "q:x"},
        }));
        let new = old.renewed();
        assert_eq!((new.pin(), new.model(), new.session_id()), (None, None, None));
        assert_eq!(new.raw.keys().collect::<Vec<_>>(), ["thinkingLevel", "authProfileParked"]);
        let mut old = old;
        old.set_pin(Some(&Pin { profile: ProfileId::stored("p:me"), by_user: true }));
        assert_eq!((old.renewed().pin(), old.renewed().model()), (old.pin(), old.model()));
    }

    #[test]
    fn a_damaged_index_is_not_an_empty_one() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("sessions.json");
        assert_eq!(read_sessions(&path).unwrap().iter().count(), 0);
        for damage in ["{", "[]", ""] {
            std::fs::write(&path, damage).unwrap();
            assert!(matches!(read_sessions(&path), Err(ReadError::Corrupt { .. })), "{damage}");
        }
        std::fs::write(&path, r#"{"a": {"authProfileOverride": "x"}, "b": 3}"#).unwrap();
        assert_eq!(
            read_sessions(&path).unwrap().iter().map(|(key, _)| key.to_owned()).collect::<Vec<_>>(),
            ["a"]
        );
    }
}

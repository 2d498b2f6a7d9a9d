//! `auth-profiles.json`, version 1, as a document that keeps what it does not know.
//!
//! Entries are held as the text they had in the file. Only an entry that is changed is written anew; all others,
//! whatever their type, keys or damage, come out byte for byte as they went in.

mod brought;
mod edit;
mod entry;

use std::fmt;

use coderclaw_types::{ProfileId, ProviderId};
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use self::brought::CREDENTIAL_KEYS;
pub use self::brought::{LoginEntry, TokenUpdate};
pub use self::entry::{ApiKeyEntry, Entry, OAuthEntry, TokenEntry};

/// Why a text is no auth store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It is not JSON.
    #[error("not JSON: {0}")]
    Syntax(String),
    /// It is JSON of another shape.
    #[error("`{key}` should be {wanted}")]
    Shape {
        /// The key in question.
        key: String,
        /// What should stand there.
        wanted: &'static str,
    },
}

type Raw = Box<RawValue>;

/// One agent's auth store.
#[derive(Clone)]
pub struct AuthProfiles {
    /// All top-level keys in their order; `profiles` stands here as a mere place-holder.
    top: IndexMap<String, Raw>,
    profiles: IndexMap<String, Raw>,
    version: i64,
}

/// Ids and states only: entries hold secrets.
impl fmt::Debug for AuthProfiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthProfiles")
            .field("version", &self.version)
            .field("ids", &self.profiles.keys())
            .finish_non_exhaustive()
    }
}

/// An explicit order of profiles.
pub type Order = Vec<ProfileId>;

impl AuthProfiles {
    /// The version that this program writes.
    pub const VERSION: i64 = 1;

    /// A store without profiles.
    pub fn empty() -> Self {
        let mut top = IndexMap::new();
        top.insert("version".into(), raw("1"));
        top.insert("profiles".into(), raw("{}"));
        Self { top, profiles: IndexMap::new(), version: Self::VERSION }
    }

    /// Reads the text of a store.
    ///
    /// # Errors
    /// Where it is not JSON, not an object, or has no object `profiles`. Damage inside an entry is no error.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let syntax = |e: serde_json::Error| DocumentError::Syntax(e.to_string());
        let shape = |key: &str, wanted| DocumentError::Shape { key: key.into(), wanted };
        let whole: Raw = serde_json::from_str(text).map_err(syntax)?;
        let top: IndexMap<String, Raw> =
            serde_json::from_str(whole.get()).map_err(|_| shape("the store", "an object"))?;
        let profiles = top.get("profiles").ok_or_else(|| shape("profiles", "an object"))?;
        let profiles = serde_json::from_str(profiles.get()).map_err(|_| shape("profiles", "an object"))?;
        let version = match top.get("version") {
            None => Self::VERSION,
            Some(raw) => match serde_json::from_str::<Value>(raw.get()).map_err(syntax)? {
                Value::Number(n) => n.as_i64().unwrap_or(i64::MAX),
                // The original takes a number in quotes, and nothing at all, for a version.
                Value::String(s) => s.trim().parse().unwrap_or(Self::VERSION),
                _ => Self::VERSION,
            },
        };
        Ok(Self { top, profiles, version })
    }

    /// The version that the file says it has.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// The ids of all entries, in store order, whatever they are.
    pub fn ids(&self) -> impl Iterator<Item = ProfileId> {
        self.profiles.keys().map(|id| ProfileId::stored(id))
    }

    /// All entries, in store order.
    pub fn entries(&self) -> impl Iterator<Item = (ProfileId, Entry)> {
        self.profiles.iter().map(|(id, raw)| (ProfileId::stored(id), Entry::read(raw)))
    }

    /// The entry with this id.
    pub fn get(&self, id: &ProfileId) -> Option<Entry> {
        self.profiles.get(id.as_str()).map(|raw| Entry::read(raw))
    }

    /// Puts the tokens of a refresh into an OAuth entry; all its other keys stay. False where there is none.
    pub fn refresh_entry(&mut self, id: &ProfileId, tokens: &TokenUpdate) -> bool {
        let Some(slot) = self.profiles.get_mut(id.as_str()) else {
            return false;
        };
        let Ok(mut map) = serde_json::from_str::<Map<String, Value>>(slot.get()) else {
            return false;
        };
        tokens.lay_over(&mut map);
        *slot = entry_text(&map);
        true
    }

    /// Stores what a login has brought under `id`, replacing the credential that was there. Keys of the old entry
    /// that are not part of a credential stay.
    pub fn put_login(&mut self, id: &ProfileId, provider: &ProviderId, login: &LoginEntry) {
        let mut map = Map::new();
        let kind = match login {
            LoginEntry::OAuth(_) => "oauth",
            LoginEntry::Token { .. } => "token",
            LoginEntry::ApiKey { .. } | LoginEntry::Reference { is_key: true, .. } => "api_key",
            LoginEntry::Reference { .. } => "token",
        };
        map.insert("type".into(), json!(kind));
        map.insert("provider".into(), json!(provider));
        match login {
            LoginEntry::OAuth(tokens) => tokens.lay_over(&mut map),
            LoginEntry::Token { token, expires, issued_at } => {
                map.insert("token".into(), json!(token.expose()));
                if let Some(expires) = expires {
                    map.insert("expires".into(), json!(expires));
                }
                map.insert("issuedAt".into(), json!(issued_at));
            }
            LoginEntry::ApiKey { key } => {
                map.insert("key".into(), json!(key.expose()));
            }
            LoginEntry::Reference { is_key, reference } => {
                map.insert(if *is_key { "keyRef" } else { "tokenRef" }.into(), reference.to_json());
            }
        }
        let old =
            self.profiles.get(id.as_str()).and_then(|raw| serde_json::from_str::<Map<_, _>>(raw.get()).ok());
        for (key, value) in old.unwrap_or_default() {
            if !CREDENTIAL_KEYS.contains(&key.as_str()) {
                map.insert(key, value);
            }
        }
        self.profiles.insert(id.as_str().into(), entry_text(&map));
    }

    /// Sets single keys of the entry's `metadata`, which the original has beside API keys. What else stands there stays.
    pub fn set_metadata(&mut self, id: &ProfileId, pairs: &[(String, String)]) {
        let known = self.profiles.get(id.as_str());
        let Some(mut map) = known.and_then(|raw| serde_json::from_str::<Map<_, _>>(raw.get()).ok()) else {
            return;
        };
        if pairs.is_empty() {
            return;
        }
        let mut metadata = map.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
        metadata.extend(pairs.iter().map(|(key, value)| (key.clone(), json!(value))));
        map.insert("metadata".into(), Value::Object(metadata));
        self.profiles.insert(id.as_str().into(), entry_text(&map));
    }

    /// One text of the entry's `metadata`.
    pub fn metadata(&self, id: &ProfileId, key: &str) -> Option<String> {
        let map: Map<String, Value> = serde_json::from_str(self.profiles.get(id.as_str())?.get()).ok()?;
        Some(map.get("metadata")?.get(key)?.as_str()?.to_owned())
    }

    fn set_object(&mut self, key: &str, object: Map<String, Value>) {
        if object.is_empty() {
            self.top.shift_remove(key);
        } else {
            self.top.insert(key.into(), raw(&pretty(&Value::Object(object), 2)));
        }
    }

    /// The store's own order for `provider`, if it has one.
    pub fn order(&self, provider: &ProviderId) -> Option<Order> {
        let orders = self.object("order");
        let (_, order) = orders.iter().find(|(key, _)| ProviderId::new(key) == *provider)?;
        let order: Order =
            order.as_array()?.iter().filter_map(|id| ProfileId::new(id.as_str()?).ok()).collect();
        (!order.is_empty()).then_some(order)
    }

    /// Sets or, with `None`, removes the order for `provider`.
    pub fn set_order(&mut self, provider: &ProviderId, order: Option<&[ProfileId]>) {
        let mut orders = self.object("order");
        orders.retain(|key, _| ProviderId::new(key) != *provider);
        if let Some(order) = order {
            orders.insert(provider.as_str().into(), json!(order));
        }
        self.set_object("order", orders);
    }

    /// A top-level object, empty where it is missing or something else.
    pub(crate) fn object(&self, key: &str) -> Map<String, Value> {
        self.top.get(key).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    /// The text to write: JSON with two blanks, a final newline, and every untouched entry as it was.
    pub fn to_text(&self) -> String {
        let mut profiles = String::from("{");
        for (i, (id, raw)) in self.profiles.iter().enumerate() {
            profiles.push_str(if i == 0 { "\n    " } else { ",\n    " });
            profiles.push_str(&json!(id).to_string());
            profiles.push_str(": ");
            profiles.push_str(raw.get());
        }
        profiles.push_str(if self.profiles.is_empty() { "}" } else { "\n  }" });
        let mut text = String::from("{");
        for (i, (key, raw)) in self.top.iter().enumerate() {
            text.push_str(if i == 0 { "\n  " } else { ",\n  " });
            text.push_str(&json!(key).to_string());
            text.push_str(": ");
            text.push_str(if key == "profiles" { &profiles } else { raw.get() });
        }
        text.push_str("\n}\n");
        text
    }
}

fn entry_text(map: &Map<String, Value>) -> Raw {
    raw(&pretty(map, 4))
}

/// Pretty JSON whose lines after the first are indented by `by` blanks. JSON strings hold no line breaks.
fn pretty<T: Serialize>(value: &T, by: usize) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_else(|_| "null".into());
    text.replace('\n', &format!("\n{}", " ".repeat(by)))
}

/// `text` is JSON that this module has just made.
fn raw(text: &str) -> Raw {
    RawValue::from_string(text.to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use coderclaw_types::{GrantId, Millis, Secret};
    use proptest::prelude::*;

    use super::*;

    pub(super) const STORE: &str = r#"{
  "version": 1,
  "future": { "kept": [1, 2.50, 1e3] },
  "profiles": {
    "openai-codex:me@x.test": {
      "type": "oauth", "provider": "openai-codex",
      "access": "at-1", "refresh": "rt-1", "expires": 1000,
      "displayName": "Me", "n": 12345678901234567890
    },
    "odd": {"type":"passkey","provider":"acme","blob":"\u00e9\u0041"},
    "broken": 7,
    "nameless": {"provider":"x"},
    "anthropic:manual": { "type": "token", "provider": "Anthropic", "token": "t" }
  },
  "order": { "anthropic": [" anthropic:manual ", "", 3] },
  "usageStats": {"a": {"errorCount": 1}}
}
"#;

    fn tokens() -> TokenUpdate {
        TokenUpdate::new(Secret::from("at-2"), Secret::from("rt-2"), Millis(2_000), Millis(1_500))
    }

    /// F13: one damaged entry among others: they work, it is named, and a save keeps it.
    #[test]
    fn f13_damaged_and_unknown_entries_are_kept_and_named() {
        let doc = AuthProfiles::parse(STORE).unwrap();
        let kinds: Vec<_> = doc.entries().map(|(id, e)| (id.to_string(), e.kind().to_owned())).collect();
        assert_eq!(
            kinds.iter().map(|(_, kind)| kind.as_str()).collect::<Vec<_>>(),
            ["oauth", "passkey", "damaged", "damaged", "token"]
        );
        assert_eq!(AuthProfiles::parse(&doc.to_text()).unwrap().to_text(), doc.to_text());
        for kept in
            [r#""broken": 7"#, r#"{"type":"passkey","provider":"acme","blob":"\u00e9\u0041"}"#, "2.50, 1e3"]
        {
            assert!(doc.to_text().contains(kept), "{kept}");
        }
    }

    /// F3: a change leaves every other entry as it was, byte for byte, and unknown keys of its own entry too.
    #[test]
    fn f3_a_refresh_changes_one_entry_only() {
        let mut doc = AuthProfiles::parse(STORE).unwrap();
        let id = ProfileId::stored("openai-codex:me@x.test");
        assert!(doc.refresh_entry(&id, &tokens()));
        let text = doc.to_text();
        let Some(Entry::OAuth(entry)) = AuthProfiles::parse(&text).unwrap().get(&id) else { panic!() };
        assert_eq!(entry.refresh.unwrap().expose(), "rt-2");
        assert!(text.contains("\"displayName\": \"Me\"") && text.contains("12345678901234567890"));
        let untouched = STORE.split_once("\"odd\"").unwrap().1;
        assert!(text.ends_with(untouched), "{text}");
        assert!(!doc.refresh_entry(&ProfileId::stored("none"), &tokens()));
        assert!(!doc.refresh_entry(&ProfileId::stored("broken"), &tokens()));
    }

    #[test]
    fn a_login_replaces_the_credential_and_keeps_foreign_keys() {
        let mut doc = AuthProfiles::parse(STORE).unwrap();
        let id = ProfileId::stored("openai-codex:me@x.test");
        let mut first = tokens();
        first.grant = Some(GrantId::mint("o", "c", &first.refresh));
        first.earliest_refresh_at = Some(Millis(9));
        doc.refresh_entry(&id, &first);
        doc.put_login(&id, &ProviderId::new("openai-codex"), &LoginEntry::OAuth(Box::new(tokens())));
        let Some(Entry::OAuth(entry)) = doc.get(&id) else { panic!() };
        assert!(entry.grant.is_none() && entry.earliest_refresh_at.is_none());
        assert!(doc.to_text().contains("displayName"));
        doc.put_login(
            &ProfileId::stored("new"),
            &ProviderId::new("openai"),
            &LoginEntry::ApiKey { key: Secret::from("k") },
        );
        assert_eq!(doc.ids().last().unwrap().as_str(), "new");
    }

    #[test]
    fn order_is_read_leniently_and_written_plainly() {
        let mut doc = AuthProfiles::parse(STORE).unwrap();
        let anthropic = ProviderId::new("anthropic");
        assert_eq!(doc.order(&anthropic).unwrap(), [ProfileId::stored("anthropic:manual")]);
        doc.set_order(&anthropic, Some(&[ProfileId::stored("b"), ProfileId::stored("a")]));
        let again = AuthProfiles::parse(&doc.to_text()).unwrap();
        assert_eq!(again.order(&anthropic).unwrap().len(), 2);
        doc.set_order(&anthropic, None);
        assert!(!doc.to_text().contains("\"order\""));
        assert!(doc.to_text().contains("usageStats"));
    }

    /// F6: what a newer version says is read and kept.
    #[test]
    fn f6_versions_are_read_as_written() {
        for (text, version) in
            [("2", 2), ("1", 1), ("\"3\"", 3), ("null", 1), ("99999999999999999999", i64::MAX)]
        {
            let doc = AuthProfiles::parse(&format!(r#"{{"version":{text},"profiles":{{}}}}"#)).unwrap();
            assert_eq!(doc.version(), version);
        }
        assert_eq!(AuthProfiles::parse(r#"{"profiles":{}}"#).unwrap().version(), 1);
    }

    /// F4: an entry with keys of another program's shape says which key is meant; nothing of its values is repeated.
    #[test]
    fn f4_misspelt_keys_are_named() {
        let table = [
            (
                r#""type":"oauth","accessToken":"canary","refreshToken":"canary""#,
                Some("rename it to `access`"),
            ),
            (r#""type":"oauth","refresh_token":"canary""#, Some("rename it to `refresh`")),
            (r#""type":"api_key","apiKey":"canary""#, Some("rename it to `key`")),
            (r#""type":"token","access-token":"canary""#, Some("rename it to `token`")),
            (r#""type":"oauth","access":"a","accessToken":"canary""#, None),
            (r#""type":"api_key","keyRef":{"x":"canary"}"#, None),
        ];
        for (keys, why) in table {
            let text = format!(r#"{{"profiles":{{"a":{{"provider":"p",{keys}}}}}}}"#);
            let doc = AuthProfiles::parse(&text).unwrap();
            match (doc.get(&ProfileId::stored("a")).unwrap(), why) {
                (Entry::Damaged { why: said }, Some(why)) => {
                    assert!(said.contains(why) && !said.contains("canary"), "{said}");
                }
                (Entry::Damaged { why }, None) => panic!("{keys}: {why}"),
                (entry, None) => assert_ne!(entry.kind(), "damaged"),
                (entry, Some(_)) => panic!("{keys}: {entry:?}"),
            }
            assert!(doc.to_text().contains(keys), "kept as it is");
        }
    }

    #[test]
    fn expiry_times_of_every_shape() {
        let table = [
            ("1000", Some(Millis(1000)), false),
            ("1000.7", Some(Millis(1000)), false),
            ("0", None, false),
            ("null", None, false),
            ("-5", None, true),
            ("\"soon\"", None, true),
            ("1e300", None, true),
        ];
        for (expires, at, invalid) in table {
            let text = format!(
                r#"{{"profiles":{{"a":{{"type":"token","provider":"p","token":"t","expires":{expires}}}}}}}"#
            );
            let Some(Entry::Token(entry)) = AuthProfiles::parse(&text).unwrap().get(&ProfileId::stored("a"))
            else {
                panic!()
            };
            assert_eq!((entry.expires, entry.invalid_expires), (at, invalid), "{expires}");
        }
    }

    /// G1: no formatting of a store or an entry shows a secret.
    #[test]
    fn g1_no_formatting_shows_a_secret() {
        let text = STORE.replace("at-1", "canary").replace("rt-1", "canary").replace("\"t\"", "\"canary\"");
        let doc = AuthProfiles::parse(&text).unwrap();
        let all = format!("{doc:?} {:?} {:?}", doc.entries().collect::<Vec<_>>(), tokens());
        assert!(!all.contains("canary") && !all.contains("at-2"), "{all}");
    }

    proptest! {
        /// F3: whatever stands in a store, reading and writing it twice changes nothing more, and loses no entry.
        #[test]
        fn f3_round_trips_keep_everything(
            ids in proptest::collection::vec("[a-z:@#\"\\\\é ]{0,12}", 0..8),
            body in "[a-z0-9 \"\\\\{}\\[\\],:]{0,30}",
        ) {
            let profiles: serde_json::Map<String, Value> =
                ids.iter().map(|id| (id.clone(), json!({"type": "oauth", "provider": "p", "x": body}))).collect();
            let text = json!({"profiles": profiles, "zzz": body}).to_string();
            let mut doc = AuthProfiles::parse(&text).unwrap();
            let once = doc.to_text();
            prop_assert_eq!(AuthProfiles::parse(&once).unwrap().to_text(), once);
            let first = doc.ids().next();
            if let Some(id) = first {
                doc.refresh_entry(&id, &tokens());
            }
            prop_assert_eq!(doc.ids().count(), profiles.len());
            let value: Value = serde_json::from_str(&doc.to_text()).unwrap();
            prop_assert_eq!(value["zzz"].as_str().unwrap(), body);
        }
    }
}

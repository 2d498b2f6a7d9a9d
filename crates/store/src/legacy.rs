//! Files of older programs that hold logins: `oauth.json`, and an `auth.json` that is no cache of ours.

use coderclaw_types::ProfileId;
use indexmap::IndexMap;
use serde_json::json;
use serde_json::value::RawValue;

use crate::profiles::{AuthProfiles, DocumentError, Entry};

/// What such a file holds, as a store would have it.
#[derive(Debug, Clone)]
pub struct Legacy {
    /// The entries, each under `<key>:default`, with all the keys it had.
    pub doc: AuthProfiles,
    /// Each entry's key in the file, in its order, and the id it gets.
    pub keys: Vec<(String, ProfileId)>,
    /// Keys of the file whose entry is of no use, with the reason.
    pub problems: Vec<(String, String)>,
}

type Fields<'a> = IndexMap<String, &'a RawValue>;

/// Reads an `oauth.json`: provider → tokens. Its own `type` and `provider`, should there be any, say nothing.
///
/// # Errors
/// Where it is no JSON object. What is wrong with a single entry is told as a problem.
pub fn parse_oauth_json(text: &str) -> Result<Legacy, DocumentError> {
    read(text, |provider, fields| {
        if !fields.contains_key("access") && !fields.contains_key("refresh") {
            return Err("it has neither `access` nor `refresh`".into());
        }
        Ok(entry("\"oauth\"", &json!(provider).to_string(), fields))
    })
}

/// Reads an `auth.json` of the original from before there were stores: provider → an entry with its `type`.
///
/// # Errors
/// Where it is no JSON object, or has the shape of a store. What is wrong with a single entry is told as a problem.
pub fn parse_auth_json(text: &str) -> Result<Legacy, DocumentError> {
    let legacy = read(text, |key, fields| {
        let kind = fields.get("type").map_or("", |raw| raw.get());
        if !["\"api_key\"", "\"token\"", "\"oauth\""].contains(&kind) {
            return Err("its `type` is none of api_key, token, oauth".into());
        }
        let own =
            fields.get("provider").map(|raw| raw.get()).filter(|raw| raw.len() > 2 && raw.starts_with('"'));
        let provider = own.map_or_else(|| json!(key).to_string(), str::to_owned);
        Ok(entry(kind, &provider, fields))
    })?;
    let is_store = |key: &str| key == "profiles";
    if legacy.keys.iter().any(|(key, _)| is_store(key))
        || legacy.problems.iter().any(|(key, _)| is_store(key))
    {
        return Err(DocumentError::Shape {
            key: "profiles".into(),
            wanted: "in auth-profiles.json, not here",
        });
    }
    Ok(legacy)
}

fn read(
    text: &str,
    compose: impl Fn(&str, &Fields<'_>) -> Result<String, String>,
) -> Result<Legacy, DocumentError> {
    // Asked first: an error about a text quotes it.
    let whole: &RawValue = serde_json::from_str(text).map_err(|e| DocumentError::Syntax(e.to_string()))?;
    let shape = || DocumentError::Shape { key: "the file".into(), wanted: "an object" };
    if !whole.get().starts_with('{') {
        return Err(shape());
    }
    let all: IndexMap<String, &RawValue> = serde_json::from_str(whole.get()).map_err(|_| shape())?;
    let mut legacy = Legacy { doc: AuthProfiles::empty(), keys: Vec::new(), problems: Vec::new() };
    for (key, raw) in all {
        let composed = match raw.get().starts_with('{') {
            true => serde_json::from_str::<Fields<'_>>(raw.get()).map_err(|_| "it is damaged".to_owned()),
            false => Err("it is not an object".into()),
        };
        let id = ProfileId::new(&format!("{key}:default"));
        let taken = composed.and_then(|fields| compose(&key, &fields)).and_then(|text| {
            let id = id.map_err(|e| e.to_string())?;
            legacy.doc.put_text(&id, &text);
            match legacy.doc.get(&id) {
                Some(Entry::Damaged { why }) => {
                    legacy.doc.remove(&id);
                    Err(why)
                }
                _ => Ok(id),
            }
        });
        match taken {
            Ok(id) => legacy.keys.push((key, id)),
            Err(why) => legacy.problems.push((key, why)),
        }
    }
    Ok(legacy)
}

/// The entry's text: our two keys, then all others as they stand in the source.
fn entry(kind: &str, provider: &str, fields: &Fields<'_>) -> String {
    let mut text = format!("{{\n      \"type\": {kind},\n      \"provider\": {provider}");
    for (key, raw) in fields.iter().filter(|(key, _)| !matches!(key.as_str(), "type" | "provider")) {
        text.push_str(&format!(",\n      {}: {}", json!(key), raw.get()));
    }
    text.push_str("\n    }");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(legacy: &Legacy) -> String {
        legacy.doc.to_text()
    }

    /// D-30: all keys come along, and none of them says of whom or of what kind the entry is.
    #[test]
    fn oauth_json_keeps_all_keys_and_overrides_none_of_ours() {
        let legacy = parse_oauth_json(
            r#"{"chutes": {"type": "api_key", "provider": "openai", "access": "a", "refresh": "r", "clientId": "c", "n": 1.50},
                "old": {"access": "a"}}"#,
        )
        .unwrap();
        let ids: Vec<_> = legacy.keys.iter().map(|(key, id)| (key.as_str(), id.as_str())).collect();
        assert_eq!(ids, [("chutes", "chutes:default"), ("old", "old:default")]);
        let text = texts(&legacy);
        assert!(text.contains("\"clientId\": \"c\"") && text.contains("\"n\": 1.50"), "{text}");
        assert!(!text.contains("api_key") && !text.contains("openai") && !text.contains("expires"), "{text}");
        let Some(Entry::OAuth(entry)) = legacy.doc.get(&ProfileId::stored("chutes:default")) else {
            panic!("{text}")
        };
        assert_eq!((entry.provider.as_str(), entry.client_id.as_deref()), ("chutes", Some("c")));
    }

    #[test]
    fn auth_json_takes_three_types_and_names_the_rest() {
        let legacy = parse_auth_json(
            r#"{"openai": {"type": "api_key", "key": "k", "metadata": {"accountId": "x"}},
                "a": {"type": "token", "provider": "anthropic", "token": "t"},
                "odd": {"type": "passkey"}, "seven": 7, "typeless": {"key": "k"}, "bad": {"type": "oauth", "accessToken": "x"}}"#,
        )
        .unwrap();
        let ids: Vec<_> = legacy.keys.iter().map(|(_, id)| id.as_str()).collect();
        assert_eq!(ids, ["openai:default", "a:default"]);
        let named: Vec<_> = legacy.problems.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(named, ["odd", "seven", "typeless", "bad"]);
        let entry = legacy.doc.get(&ProfileId::stored("a:default")).unwrap();
        assert_eq!(entry.provider().unwrap().as_str(), "anthropic");
        assert!(texts(&legacy).contains("\"metadata\": {\"accountId\": \"x\"}"));
        assert!(parse_auth_json(r#"{"version": 1, "profiles": {}}"#).is_err());
    }

    /// G2: what is wrong is told without quoting it.
    #[test]
    fn g2_damage_is_told_without_quoting_it() {
        for text in ["", "[", "\"canary\"", "7", "{\"a\": canary}", "{\"a\": {\"access\": \"canary"] {
            for error in [parse_oauth_json(text).unwrap_err(), parse_auth_json(text).unwrap_err()] {
                assert!(!error.to_string().contains("canary"), "{error}");
            }
        }
        let legacy = parse_oauth_json(r#"{"a": "canary", "b": ["canary"], "c": {"x": "canary"}}"#).unwrap();
        assert_eq!((legacy.keys.len(), legacy.problems.len()), (0, 3));
        assert!(!format!("{legacy:?}").contains("canary"));
    }
}

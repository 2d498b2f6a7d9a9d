//! `coderclaw.json`: an edit changes what it names and nothing else, and comments stay.

use std::path::Path;

use coderclaw_store::{ConfigDoc, KeyPath, Step, json5_value};
use coderclaw_types::Env;
use serde_json::{Value, json};

/// An optional first line `#KEY` names what is edited; the rest is the config.
pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // Files of this machine are no part of it.
    if text.contains("$include") {
        return;
    }
    drop(json5_value(text));
    let (key, text) = match text.strip_prefix('#').and_then(|rest| rest.split_once('\n')) {
        Some((key, text)) => (key.parse::<KeyPath>().ok(), text),
        None => (None, text),
    };
    let env = Env::new([("X".into(), "canary".into())], None, "/nowhere".into());
    let path = Path::new("/nowhere/coderclaw.json");
    let Ok(mut doc) = ConfigDoc::parse(path, text, &env) else { return };
    assert_eq!(doc.text(), text, "read and written, it is the same to the byte");
    drop(doc.view());
    let whole = |doc: &ConfigDoc| doc.get(&KeyPath::root()).expect("it is an object");
    let before = whole(&doc);
    let comments = comments(text);

    let key = key.unwrap_or_else(|| KeyPath::keys(["fuzz"]));
    if key.steps().is_empty() {
        return;
    }
    let was_there = key.find(&before).is_some();
    let new = json!({"a": [1, "canary"]});
    if doc.set(&key, new.clone()).is_err() {
        assert_eq!(doc.text(), text, "an edit that is refused changes nothing");
        return;
    }
    let edited = doc.text();
    let again = ConfigDoc::parse(path, &edited, &env).expect("an edit leaves a config");
    assert_eq!(again.get(&key), Some(new), "what was set is there");
    assert_eq!(others(&whole(&again), &key), others(&before, &key), "and nothing else has changed");
    if !was_there {
        for comment in &comments {
            assert!(edited.contains(comment.as_str()), "the comment {comment:?} is gone");
        }
    }
    assert_eq!(doc.remove(&key).ok(), Some(true));
    let removed = ConfigDoc::parse(path, &doc.text(), &env).expect("a removal leaves a config");
    assert!(removed.get(&key).is_none() || matches!(key.steps().last(), Some(Step::Index(_))), "it is gone");
}

/// All but what the first step of `key` leads to.
fn others(value: &Value, key: &KeyPath) -> Value {
    let mut value = value.clone();
    if let (Some(map), Some(Step::Key(first))) = (value.as_object_mut(), key.steps().first()) {
        map.shift_remove(first);
    }
    value
}

/// Comments that stand alone on a line outside any text.
fn comments(text: &str) -> Vec<String> {
    let is_plain = !text.contains(['\'', '"', '`', '*', '\\']);
    let lines = text.lines().filter(|line| is_plain && line.trim_start().starts_with("//"));
    lines.map(|line| line.trim().to_owned()).collect()
}

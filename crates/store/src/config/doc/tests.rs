//! Edits of single places, and a property over all of them.

use std::fmt::Write;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn doc(text: &str) -> ConfigDoc {
    let env = Env::new([("KEY".into(), "sk-canary".into())], None, "/".into());
    ConfigDoc::parse(Path::new("/s/coderclaw.json"), text, &env).unwrap()
}

fn key(text: &str) -> KeyPath {
    text.parse().unwrap()
}

const WRITTEN: &str = r#"// mine
{
  // who
  agents: {
    list: [
      { id: 'work', name: "W" }, // daily
      { id: 'home' },
    ],
    "defaults": { model: { primary: 'a/b' } /* the best */ },
  },
  models: { providers: { groq: { apiKey: '${KEY}', baseUrl: "https://x" } } },
}
"#;

fn edited(edit: impl FnOnce(&mut ConfigDoc)) -> String {
    let mut doc = doc(WRITTEN);
    edit(&mut doc);
    doc.text()
}

#[test]
fn a_change_touches_its_place_only() {
    let text = edited(|doc| doc.set(&key("agents.defaults.model.primary"), json!("c/d")).unwrap());
    assert_eq!(text, WRITTEN.replace("'a/b'", "\"c/d\""));
    let text = edited(|doc| doc.set(&key("agents.list[1].id"), json!("new")).unwrap());
    assert_eq!(text, WRITTEN.replace("'home'", "\"new\""));
    let text = edited(|doc| assert!(doc.remove(&key("agents.list[1]")).unwrap()));
    assert_eq!(text, WRITTEN.replace("      { id: 'home' },\n", ""));
    let text = edited(|doc| doc.push(&key("agents.list"), json!({"id": "third"})).unwrap());
    let third = "      { id: 'home' },\n      {\n        \"id\": \"third\",\n      },\n";
    assert_eq!(text, WRITTEN.replace("      { id: 'home' },\n", third));
}

#[test]
fn what_is_missing_on_the_way_is_made() {
    let text = edited(|doc| {
        doc.set(&key("agents.defaults.models[\"openai/gpt-5.2\"].alias"), json!("gpt")).unwrap();
    });
    let made = doc(&text);
    assert_eq!(made.get(&key("agents.defaults.models")), Some(json!({"openai/gpt-5.2": {"alias": "gpt"}})));
    assert!(text.contains("/* the best */") && text.contains("// daily"));
    let mut empty = doc("{}\n");
    empty.push(&key("bindings"), json!({"agentId": "work", "match": {"channel": "x"}})).unwrap();
    let wanted = "{\n  \"bindings\": [\n    {\n      \"agentId\": \"work\",\n      \"match\": {\n        \"channel\": \"x\"\n      }\n    }\n  ]\n}\n";
    assert_eq!(empty.text(), wanted);
}

#[test]
fn what_means_the_same_is_left_as_it_is_written() {
    let same = json!({"groq": {"apiKey": "sk-canary", "baseUrl": "https://y"}});
    let text = edited(|doc| doc.set(&key("models.providers"), same).unwrap());
    assert_eq!(text, WRITTEN.replace("https://x", "https://y"));
    let text = edited(|doc| doc.set(&key("agents.list[0]"), json!({"name": "W", "id": "work"})).unwrap());
    assert_eq!(text, WRITTEN);
}

#[test]
fn a_step_into_the_wrong_thing_is_refused_by_name() {
    let mut doc = doc(WRITTEN);
    let table = [
        ("agents.list.first", "`agents.list` is a list, not an object"),
        ("agents[0]", "`agents` is an object, not a list"),
        ("agents.defaults.model.primary.x", "`agents.defaults.model.primary` is text, not an object"),
        ("agents.list[7].id", "`agents.list` has 2 elements, so that there is no [7]"),
        ("bindings[1]", "`bindings` has 0 elements"),
    ];
    for (at, message) in table {
        let error = doc.set(&key(at), json!(1)).unwrap_err();
        assert!(error.to_string().contains(message), "{at}: {error}");
        assert_eq!(error.code(), Code::Usage);
    }
    assert!(doc.push(&key("agents.defaults"), json!(1)).is_err());
    assert!(!doc.remove(&key("agents.gone.x")).unwrap());
    assert_eq!(doc.text(), WRITTEN);
}

/// The last of two equal keys counts.
#[test]
fn a_key_that_stands_twice() {
    let mut twice = doc("{a: 1, b: 2, a: 3}");
    assert_eq!(twice.get(&key("a")), Some(json!(3)));
    twice.set(&key("a"), json!(4)).unwrap();
    assert_eq!(twice.text(), "{a: 1, b: 2, a: 4}");
    twice.remove(&key("a")).unwrap();
    assert_eq!(twice.get(&key("a")), None);
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9i64..999).prop_map(Value::from),
        "[a-z\\\\\"'$ /*\u{7f}é\n]{0,6}".prop_map(Value::from),
        Just(json!("${KEY}")),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::vec(("[a-d/.\"]{1,3}", inner), 0..4)
                .prop_map(|list| Value::Object(list.into_iter().collect())),
        ]
    })
}

/// Writes the value as JSON5 in one of several manners, with a numbered comment above each entry.
fn write(out: &mut String, value: &Value, style: u32, count: &mut u32) {
    let (open, close, entries): (_, _, Vec<(Option<&String>, &Value)>) = match value {
        Value::Object(map) => ('{', '}', map.iter().map(|(key, value)| (Some(key), value)).collect()),
        Value::Array(list) => ('[', ']', list.iter().map(|value| (None, value)).collect()),
        Value::String(text) if style % 5 == 1 && !text.contains(['\'', '\\', '\n']) => {
            return write!(out, "'{text}'").unwrap();
        }
        leaf => return write!(out, "{leaf}").unwrap(),
    };
    out.push(open);
    let total = entries.len();
    for (i, (key, value)) in entries.into_iter().enumerate() {
        match style % 3 {
            0 => write!(out, "\n  // c{count}.\n  ").unwrap(),
            1 => writeln!(out, " /* c{count}. */").unwrap(),
            _ => write!(out, "\n\t/* c{count}. */\n\t").unwrap(),
        }
        *count += 1;
        match key {
            Some(key) if style.is_multiple_of(2) && key.chars().all(|c| c.is_ascii_lowercase()) => {
                write!(out, "{key}: ").unwrap();
            }
            Some(key) => write!(out, "{} :", Value::from(key.as_str())).unwrap(),
            None => {}
        }
        write(out, value, style / 2, count);
        if i + 1 < total || style % 7 < 4 {
            out.push_str(if style.is_multiple_of(4) { " ," } else { "," });
        }
    }
    if total > 0 {
        out.push('\n');
    }
    out.push(close);
}

/// Every place in the value.
fn places(value: &Value, at: &KeyPath, out: &mut Vec<KeyPath>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let at = at.clone().key(key.as_str());
                places(value, &at, out);
                out.push(at);
            }
        }
        Value::Array(list) => {
            for (i, value) in list.iter().enumerate() {
                let at = at.clone().index(i);
                places(value, &at, out);
                out.push(at);
            }
        }
        _ => {}
    }
}

/// How many entries are written before the one at `place`.
fn all_before(top: &Value, place: &KeyPath) -> u32 {
    let mut count = 0;
    let mut value = top;
    for step in place.steps() {
        let before: Vec<&Value> = match (value, step) {
            (Value::Object(map), Step::Key(key)) => {
                map.iter().take_while(|(name, _)| *name != key).map(|(_, value)| value).collect()
            }
            (Value::Array(list), step) => list.iter().take(step.as_index().unwrap()).collect(),
            _ => panic!("no such place"),
        };
        for value in before {
            count += 1;
            write(&mut String::new(), value, 0, &mut count);
        }
        value = step.find(value).unwrap();
        count += 1;
    }
    count - 1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    /// Whatever is edited however: the result says exactly that, and everything around it is as it was written.
    #[test]
    fn edits_change_what_they_should_and_nothing_else(
        first in values(), new in values(), style in 0u32..1000, pick in any::<prop::sample::Index>(), what in 0..4,
    ) {
        let top = json!({"top": first, "more": {"x": "${KEY}"}, "list": [1]});
        let mut text = String::from("// head\n");
        let mut total = 0;
        write(&mut text, &top, style, &mut total);
        text.push_str("\n// tail\n");
        let mut doc = doc(&text);
        prop_assert_eq!(doc.value(), top.clone());
        let mut all = Vec::new();
        places(&top, &KeyPath::root(), &mut all);
        let place = pick.get(&all).clone();
        let old = place.find(&top).cloned();
        let mut model = top.clone();
        match what {
            0 => {
                doc.set(&place, new.clone()).unwrap();
                prop_assert_eq!(doc.get(&place), Some(new.clone()));
            }
            1 => {
                prop_assert!(doc.remove(&place).unwrap());
            }
            2 if old.as_ref().is_some_and(Value::is_array) => doc.push(&place, new.clone()).unwrap(),
            _ => {
                let below = place.clone().key("new key");
                if doc.set(&below, new.clone()).is_ok() {
                    prop_assert_eq!(doc.get(&below), Some(new.clone()));
                }
            }
        }
        // Taken out of both, nothing differs.
        let mut left = doc.value();
        let top_step = &place.steps()[..1];
        let Step::Key(name) = &top_step[0] else { panic!() };
        left.as_object_mut().unwrap().shift_remove(name);
        model.as_object_mut().unwrap().shift_remove(name);
        prop_assert_eq!(left, model);
        let text_after = doc.text();
        prop_assert!(text_after.starts_with("// head\n") && text_after.ends_with("// tail\n"));
        // Numbers go up inside of a place before they go on behind it.
        let first = all_before(&top, &place);
        let mut own = 0;
        write(&mut String::new(), old.as_ref().unwrap(), style, &mut own);
        let lost = (0..total).filter(|n| !(first..=first + own).contains(n));
        let lost = lost.filter(|n| !text_after.contains(&format!("c{n}."))).count();
        // What stands on the line of something that is taken away goes with it.
        prop_assert!(lost <= usize::from(what == 1), "{}\n---\n{}", text, text_after);
        if name != "more" {
            let is_kept = text_after.contains("${KEY}");
            prop_assert!(is_kept);
        }
    }
}

//! Whether a config says only what it may, and where it does not.

use serde_json::{Map, Value};
use strsim::damerau_levenshtein;

use super::doc::kind_of;
use super::key_path::{KeyPath, Step};
use super::schema::{Field, ROOT, Rule, VITAL};

/// More names than this help nobody.
const MOST_NAMES: usize = 8;

/// Something that should not stand as it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// Where.
    pub(super) key: KeyPath,
    /// What is wrong, in words that follow the key.
    pub(super) what: String,
    /// Nothing that uses the section can go on.
    pub(super) is_vital: bool,
    /// A default is used in its place.
    pub(super) is_harmless: bool,
}

impl Problem {
    pub(super) fn new(key: KeyPath, what: String) -> Self {
        Self { key, what, is_vital: true, is_harmless: false }
    }
}

/// A path that costs nothing until there is something to say about it.
#[derive(Clone, Copy)]
struct At<'a> {
    above: Option<&'a At<'a>>,
    step: Here<'a>,
}

#[derive(Clone, Copy)]
enum Here<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl At<'_> {
    fn path(&self) -> KeyPath {
        let above = self.above.map_or_else(KeyPath::root, At::path);
        match self.step {
            Here::Root => above,
            Here::Key(key) => above.key(key),
            Here::Index(index) => above.index(index),
        }
    }
}

const TOP: At<'static> = At { above: None, step: Here::Root };

/// What is wrong with the sections that choose whose credential is used.
pub(super) fn vital(root: &Map<String, Value>) -> Vec<Problem> {
    let mut out = Vec::new();
    for name in VITAL {
        if let (Some(value), Some(field)) = (root.get(name), ROOT.iter().find(|field| field.name == name)) {
            check(value, &field.rule, &At { above: Some(&TOP), step: Here::Key(name) }, &mut out);
        }
    }
    out
}

/// All that is wrong with the whole file.
pub(super) fn whole(root: &Map<String, Value>) -> Vec<Problem> {
    let mut out = Vec::new();
    fields(root, ROOT, true, &TOP, &mut out);
    for problem in &mut out {
        let is_ours =
            matches!(problem.key.steps().first(), Some(Step::Key(key)) if VITAL.contains(&key.as_str()));
        problem.is_vital &= is_ours;
    }
    out
}

fn check(value: &Value, rule: &Rule, at: &At<'_>, out: &mut Vec<Problem>) {
    let fits = match (rule, value) {
        (Rule::Any, _) | (Rule::Text, Value::String(_)) | (Rule::Flag, Value::Bool(_)) => true,
        (Rule::Number, Value::Number(_)) => true,
        (Rule::Positive, Value::Number(number)) => {
            if number.as_f64().is_none_or(|n| n <= 0.0) {
                let what = "should be a number above 0; the default is used".into();
                out.push(Problem { is_vital: false, is_harmless: true, ..Problem::new(at.path(), what) });
            }
            true
        }
        (Rule::ProfileId, Value::String(id)) => coderclaw_types::ProfileId::new(id).is_ok(),
        (Rule::OneOf(words), Value::String(word)) => words.contains(&word.as_str()),
        (Rule::List(rule), Value::Array(list)) => {
            for (i, item) in list.iter().enumerate() {
                check(item, rule, &At { above: Some(at), step: Here::Index(i) }, out);
            }
            true
        }
        (Rule::Map(rule), Value::Object(map)) => {
            for (key, value) in map {
                check(value, rule, &At { above: Some(at), step: Here::Key(key) }, out);
            }
            true
        }
        (Rule::Closed(known), Value::Object(map)) => {
            fields(map, known, true, at, out);
            true
        }
        (Rule::Open(known), Value::Object(map)) => {
            fields(map, known, false, at, out);
            true
        }
        (Rule::Either(one, other), value) => {
            let is_scalar = !value.is_object() && !value.is_array();
            check(value, if is_scalar { one } else { other }, at, out);
            true
        }
        _ => false,
    };
    if !fits {
        let what = match value {
            Value::String(word) if matches!(rule, Rule::OneOf(_)) => {
                format!("should be {}, and is \"{}\"", rule.wanted(), word.escape_debug())
            }
            value => format!("should be {}, and is {}", rule.wanted(), kind_of(value)),
        };
        out.push(Problem::new(at.path(), what));
    }
}

fn fields(map: &Map<String, Value>, known: &[Field], is_closed: bool, at: &At<'_>, out: &mut Vec<Problem>) {
    for (key, value) in map {
        let here = At { above: Some(at), step: Here::Key(key) };
        match known.iter().find(|field| field.name == key) {
            Some(field) => check(value, &field.rule, &here, out),
            None if is_closed => {
                out.push(Problem::new(here.path(), unknown(key, known)));
            }
            None => {}
        }
    }
    for field in known.iter().filter(|field| field.is_needed && !map.contains_key(field.name)) {
        let what = format!("is missing; it should be {}", field.rule.wanted());
        out.push(Problem::new(at.path().key(field.name), what));
    }
}

/// That a key is not known, and which one may have been meant.
fn unknown(key: &str, known: &[Field]) -> String {
    let typed: String = key.chars().take(64).collect::<String>().to_lowercase();
    let distance = |name: &str| damerau_levenshtein(&typed, &name.to_lowercase());
    let limit = (typed.chars().count() / 3).max(1);
    let names = known.iter().map(|field| field.name);
    let near = names.map(|name| (distance(name), name)).filter(|(wrong, _)| *wrong <= limit).min();
    if let Some((_, name)) = near {
        return format!("is no key that is known here; did you mean `{name}`?");
    }
    if known.len() <= MOST_NAMES {
        let names: Vec<String> = known.iter().map(|field| format!("`{}`", field.name)).collect();
        return format!("is no key that is known here; there is {}", names.join(", "));
    }
    "is no key that is known here".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let value: Value = jsonc_parser::parse_to_serde_value(text, &Default::default()).unwrap();
        let all = whole(value.as_object().unwrap());
        all.iter()
            .map(|one| format!("{}{} {}", if one.is_vital { "! " } else { "" }, one.key, one.what))
            .collect()
    }

    #[test]
    fn each_mistake_is_named_with_what_would_be_right() {
        let table = [
            ("{auth: {oder: {}}}", "! auth.oder is no key that is known here; did you mean `order`?"),
            (
                "{auth: {x: 1}}",
                "! auth.x is no key that is known here; there is `profiles`, `order`, `cooldowns`",
            ),
            (
                "{auth: {order: {'z.ai': 'x'}}}",
                "! auth.order[\"z.ai\"] should be a list of profile ids, and is text",
            ),
            (
                "{auth: {profiles: {'a:b': {provider: 'a', mode: 'magic'}}}}",
                "! auth.profiles.a:b.mode should be one of api_key, oauth, token, and is \"magic\"",
            ),
            (
                "{auth: {cooldowns: {billingMaxHours: -1}}}",
                "auth.cooldowns.billingMaxHours should be a number above 0; the default is used",
            ),
            ("{agents: {list: [{name: 'x'}]}}", "! agents.list[0].id is missing; it should be text"),
            ("{agents: {list: [{id: 'x', defualt: true}]}}", "did you mean `default`?"),
            (
                "{agents: {defaults: {model: 'a/b'}}}",
                "! agents.defaults.model should be an object, and is text",
            ),
            (
                "{agents: {list: [{id: 'a', model: 7}]}}",
                "! agents.list[0].model should be text, and is a number",
            ),
            ("{bindings: [{agentId: 'x'}]}", "bindings[0].match is missing"),
            (
                "{bindings: [{agentId: 'x', match: {channel: 'c', peer: {kind: 'x', id: 'y'}}}]}",
                "one of direct, group",
            ),
            ("{Auth: {}}", "Auth is no key that is known here; did you mean `auth`?"),
            ("{models: {providers: {x: {models: []}}}}", "models.providers.x.baseUrl is missing"),
            ("{session: {dmScope: 'all'}}", "session.dmScope should be one of main, per-peer"),
            ("{env: {vars: {A: 1}}}", "env.vars.A should be text, and is a number"),
            ("{plugins: {entries: {x: {enable: true}}}}", "did you mean `enabled`?"),
        ];
        for (text, wanted) in table {
            let found = problems(text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].contains(wanted), "{text}: {found:?}");
        }
    }

    #[test]
    fn what_is_right_or_not_ours_is_not_minded() {
        let text = "{$schema: 'x', meta: {any: 1}, channels: {telegram: {whatever: [1]}}, tools: {x: 1},
            agents: {defaults: {heartbeat: {every: '1h'}, models: {'a/b': {alias: 'x', params: {t: 1}}}},
                     list: [{id: 'a', model: 'x/y'}, {id: 'b', model: {primary: 'x/y'}, tools: {}}]},
            env: {shellEnv: {enabled: true}, OPENAI_API_KEY: 'x'}, session: {mainKey: 'main', reset: {}},
            models: {mode: 'merge', providers: {x: {baseUrl: 'http://x', models: [{id: 'm', cost: {}}]}}}}";
        assert_eq!(problems(text), Vec::<String>::new());
    }
}

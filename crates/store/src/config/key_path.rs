//! The name of a place in the config: `agents.list[0].id`, `agents.defaults.models["openai/gpt-5.2"]`.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// One step into an object or a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Into an object. Where a list is, a key of digits means its element.
    Key(String),
    /// Into a list.
    Index(usize),
}

/// Where something stands in the config. Keys are compared as they are written: `Z.AI` is not `zai`.
///
/// As text: keys with dots between them, elements in brackets, and in brackets and quotes any key that has a dot, a
/// bracket, a quote, a backslash or a blank.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPath(Vec<Step>);

/// A text that names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" names no place in the config: {why}")]
pub struct InvalidKeyPath {
    text: String,
    why: &'static str,
}

impl KeyPath {
    /// The whole file.
    pub fn root() -> Self {
        Self::default()
    }

    /// A place below objects only.
    pub fn keys<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        Self(keys.into_iter().map(|key| Step::Key(key.to_owned())).collect())
    }

    /// One step further, into an object.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.0.push(Step::Key(key.into()));
        self
    }

    /// One step further, into a list.
    #[must_use]
    pub fn index(mut self, index: usize) -> Self {
        self.0.push(Step::Index(index));
        self
    }

    /// The steps from the root.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    pub(super) fn prefix(&self, steps: usize) -> Self {
        Self(self.0[..steps].to_vec())
    }

    /// What is left after that many steps.
    pub(super) fn below(&self, steps: usize) -> Self {
        Self(self.0[steps..].to_vec())
    }

    /// Without the steps into lists: what an entry is called wherever it stands in its list.
    pub(super) fn without_indexes(&self) -> Self {
        Self(self.0.iter().filter(|step| matches!(step, Step::Key(_))).cloned().collect())
    }

    /// What stands there in `value`.
    pub fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(value, |value, step| step.find(value))
    }
}

impl Step {
    pub(super) fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        match (self, value) {
            (Self::Key(key), Value::Object(map)) => map.get(key),
            (_, Value::Array(list)) => list.get(self.as_index()?),
            _ => None,
        }
    }

    pub(super) fn as_index(&self) -> Option<usize> {
        match self {
            Self::Index(index) => Some(*index),
            Self::Key(key) => key.parse().ok(),
        }
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if !is_plain(key) => write!(f, "[{}]", Value::from(key.as_str()))?,
                Step::Key(key) if i == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

fn is_plain(key: &str) -> bool {
    let special = |c: char| c.is_whitespace() || c.is_control() || ".[]\\\"'".contains(c);
    !key.is_empty() && !key.chars().any(special)
}

impl FromStr for KeyPath {
    type Err = InvalidKeyPath;

    fn from_str(text: &str) -> Result<Self, InvalidKeyPath> {
        let wrong = |why| InvalidKeyPath { text: text.escape_debug().take(120).collect(), why };
        let mut steps = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (step, after) = match rest.strip_prefix('[') {
                Some(inner) => bracketed(inner).map_err(wrong)?,
                None => plain(rest).map_err(wrong)?,
            };
            steps.push(step);
            rest = match after.strip_prefix('.') {
                Some("") => return Err(wrong("it ends with a dot")),
                Some(next) if next.starts_with('[') => {
                    return Err(wrong("there is no dot before a bracket"));
                }
                Some(next) => next,
                None if after.is_empty() || after.starts_with('[') => after,
                None => return Err(wrong("a dot is missing after a bracket")),
            };
        }
        if steps.is_empty() { Err(wrong("it is empty")) } else { Ok(Self(steps)) }
    }
}

/// A key up to the next dot or bracket; a backslash takes the character after it as it is.
fn plain(text: &str) -> Result<(Step, &str), &'static str> {
    let mut key = String::new();
    let mut chars = text.char_indices();
    let mut end = text.len();
    while let Some((at, c)) = chars.next() {
        match c {
            '.' | '[' => {
                end = at;
                break;
            }
            ']' => return Err("a bracket is closed that was not opened"),
            '\\' => key.push(chars.next().ok_or("it ends with a backslash")?.1),
            _ => key.push(c),
        }
    }
    if key.is_empty() { Err("a key between dots is empty") } else { Ok((Step::Key(key), &text[end..])) }
}

/// What follows an opening bracket: a number, or a key in either kind of quotes.
fn bracketed(text: &str) -> Result<(Step, &str), &'static str> {
    if let Some(inner) = text.strip_prefix('"') {
        let mut escaped = false;
        let end = inner.find(|c| match c {
            _ if escaped => {
                escaped = false;
                false
            }
            '\\' => {
                escaped = true;
                false
            }
            _ => c == '"',
        });
        let end = end.ok_or("a quote is not closed")?;
        let key: String = serde_json::from_str(&text[..end + 2]).map_err(|_| "a quoted key is not valid")?;
        let rest = inner[end + 1..].strip_prefix(']').ok_or("a bracket is not closed")?;
        return Ok((Step::Key(key), rest));
    }
    if let Some(inner) = text.strip_prefix('\'') {
        let (key, rest) = inner.split_once("']").ok_or("a quote is not closed")?;
        return Ok((Step::Key(key.to_owned()), rest));
    }
    let (index, rest) = text.split_once(']').ok_or("a bracket is not closed")?;
    match index.parse() {
        Ok(index) if index < 100_000 => Ok((Step::Index(index), rest)),
        _ => Err("in brackets stands a number, or a key in quotes"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<KeyPath, InvalidKeyPath> {
        text.parse()
    }

    #[test]
    fn paths_are_read_as_people_write_them() {
        let models = KeyPath::keys(["agents", "defaults", "models"]);
        let table = [
            (r#"agents.defaults.models["openai/gpt-5.2"]"#, models.clone().key("openai/gpt-5.2")),
            (
                "agents.defaults.models['openai/gpt-5.2'].alias",
                models.clone().key("openai/gpt-5.2").key("alias"),
            ),
            (r"agents.defaults.models.openai/gpt-5\.2", models.clone().key("openai/gpt-5.2")),
            ("agents.defaults.models.zai/glm-4", models.key("zai/glm-4")),
            ("agents.list[0].id", KeyPath::keys(["agents", "list"]).index(0).key("id")),
            ("bindings[12]", KeyPath::keys(["bindings"]).index(12)),
            (" auth ", KeyPath::keys(["auth"])),
        ];
        for (text, path) in table {
            assert_eq!(parse(text).unwrap(), path, "{text}");
        }
    }

    #[test]
    fn what_names_no_place_is_refused_with_a_reason() {
        for text in
            ["", "  ", "a.", ".a", "a..b", "a[", "a[x]", "a[\"x]", "a]b", "a[0]b", "a.[0]", "a\\", "a[-1]"]
        {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_shown_path_is_read_back(steps in proptest::collection::vec(
            prop_oneof![".{0,8}".prop_map(Step::Key), (0usize..100_000).prop_map(Step::Index)], 1..5)
        ) {
            let path = KeyPath(steps);
            prop_assert_eq!(parse(&path.to_string()).unwrap(), path);
        }

        #[test]
        fn no_text_harms(text in ".{0,40}") {
            drop(parse(&text));
        }
    }
}

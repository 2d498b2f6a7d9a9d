//! `$include`: a config in several files.
//!
//! Its value is a path or a list of paths, relative to the including file. Objects merge, lists are joined, and what
//! stands beside it wins. Nothing outside of the config's folder is read, whatever links say.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::key_path::{KeyPath, Step};
use super::{ConfigError, parse_text};
use crate::read::read_text;

/// The key that includes.
pub(super) const INCLUDE: &str = "$include";
/// The original's limit.
const DEPTH: usize = 10;

/// What one file brought in.
#[derive(Debug, Clone)]
pub(super) struct Included {
    /// Where it was put.
    pub(super) at: KeyPath,
    /// Which file.
    pub(super) path: PathBuf,
    /// Its content, with its own includes resolved.
    pub(super) value: Value,
}

impl Included {
    /// Whether `key` names something that stands in this file, or something above all of it.
    pub(super) fn holds(&self, key: &KeyPath) -> bool {
        let (at, steps) = (self.at.steps(), key.steps());
        if at.starts_with(steps) {
            return true;
        }
        let Some(below) = steps.strip_prefix(at) else { return false };
        // `$include` itself always stands in the including file.
        if below.first() == Some(&Step::Key(INCLUDE.to_owned())) {
            return false;
        }
        let mut value = &self.value;
        for step in below {
            // Lists are joined, so that a number would mean another element here than in what is read.
            if value.is_array() {
                return true;
            }
            match step.find(value) {
                Some(next) => value = next,
                // A place in an object of which this file brings another part.
                None => return !value.is_object(),
            }
        }
        true
    }
}

/// Puts the contents of included files in their places. `included` is told which file brought what, outer files first.
pub(super) fn resolve(path: &Path, value: Value, included: &mut Vec<Included>) -> Result<Value, ConfigError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let root = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    let mut walk = Walk { root, open: vec![path.to_path_buf()], included };
    walk.value(value, &KeyPath::root())
}

struct Walk<'a> {
    root: PathBuf,
    /// The files that we are inside of, outermost first.
    open: Vec<PathBuf>,
    included: &'a mut Vec<Included>,
}

impl Walk<'_> {
    fn value(&mut self, value: Value, at: &KeyPath) -> Result<Value, ConfigError> {
        match value {
            Value::Array(list) => {
                let list = list.into_iter().enumerate();
                let list = list.map(|(i, item)| self.value(item, &at.clone().index(i)));
                Ok(Value::Array(list.collect::<Result<_, _>>()?))
            }
            Value::Object(mut map) => {
                let include = map.shift_remove(INCLUDE);
                let mut own = Map::new();
                for (key, value) in map {
                    let value = self.value(value, &at.clone().key(key.as_str()))?;
                    own.insert(key, value);
                }
                match include {
                    None => Ok(Value::Object(own)),
                    Some(include) => self.include(&include, own, at),
                }
            }
            other => Ok(other),
        }
    }

    fn include(
        &mut self,
        include: &Value,
        own: Map<String, Value>,
        at: &KeyPath,
    ) -> Result<Value, ConfigError> {
        let names: Option<Vec<&str>> = match include {
            Value::String(name) => Some(vec![name]),
            Value::Array(names) => names.iter().map(Value::as_str).collect(),
            _ => None,
        };
        let names = names.ok_or_else(|| self.wrong("", "a path or a list of paths is wanted"))?;
        let mut all = Value::Null;
        for name in &names {
            let value = self.file(name, at)?;
            all = if all.is_null() { value } else { merge(all, value) };
        }
        if all.is_null() {
            return Ok(Value::Object(own));
        }
        if own.is_empty() {
            return Ok(all);
        }
        if !all.is_object() {
            return Err(self.wrong(names[0], "it has no object, so that nothing may stand beside it"));
        }
        Ok(merge(all, Value::Object(own)))
    }

    fn file(&mut self, name: &str, at: &KeyPath) -> Result<Value, ConfigError> {
        if name.trim().is_empty() || name.contains('\0') {
            return Err(self.wrong(name, "it is no path"));
        }
        let folder = self.open.last().and_then(|file| file.parent()).unwrap_or(Path::new("/"));
        let path = folder.join(name);
        let real =
            fs::canonicalize(&path).map_err(|e| self.wrong(name, &format!("it cannot be read: {e}")))?;
        if !real.starts_with(&self.root) {
            return Err(self.wrong(name, "it is outside of the config's folder"));
        }
        let is_open = |file: &PathBuf| fs::canonicalize(file).is_ok_and(|open| open == real);
        if self.open.iter().any(is_open) {
            return Err(self.wrong(name, "it includes itself"));
        }
        if self.open.len() > DEPTH {
            return Err(self.wrong(name, "includes are nested more than 10 deep"));
        }
        let text = read_text(&path)?.ok_or_else(|| self.wrong(name, "it is not there"))?;
        let value = parse_text(&path, &text)?;
        // Before those that it includes, whose values are part of its own.
        let place = self.included.len();
        self.included.push(Included { at: at.clone(), path: path.clone(), value: Value::Null });
        self.open.push(path);
        let value = self.value(value, at)?;
        self.open.pop();
        self.included[place].value = value.clone();
        Ok(value)
    }

    fn wrong(&self, include: &str, detail: &str) -> ConfigError {
        let path = self.open.last().cloned().unwrap_or_default();
        ConfigError::Include { path, include: include.to_owned(), detail: detail.to_owned() }
    }
}

/// Objects merge, lists are joined, anything else is replaced.
fn merge(under: Value, over: Value) -> Value {
    match (under, over) {
        (Value::Object(mut under), Value::Object(over)) => {
            for (key, value) in over {
                let value = match under.shift_remove(&key) {
                    Some(old) => merge(old, value),
                    None => value,
                };
                under.insert(key, value);
            }
            Value::Object(under)
        }
        (Value::Array(mut under), Value::Array(over)) => {
            under.extend(over);
            Value::Array(under)
        }
        (_, over) => over,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct World(tempfile::TempDir);

    impl World {
        fn new(files: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            for (name, text) in files {
                let path = dir.path().join("s").join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            fs::write(dir.path().join("outside.json5"), "{secret: 1}").unwrap();
            Self(dir)
        }

        fn resolve(&self) -> Result<(Value, Vec<Included>), ConfigError> {
            let path = self.0.path().join("s/coderclaw.json");
            let value = parse_text(&path, &fs::read_to_string(&path).unwrap())?;
            let mut included = Vec::new();
            Ok((resolve(&path, value, &mut included)?, included))
        }
    }

    #[test]
    fn objects_merge_lists_join_and_siblings_win() {
        let world = World::new(&[
            (
                "coderclaw.json",
                "{$include: ['a.json5', './sub/b.json5'], x: 1, agents: {$include: 'c.json5', m: 2}}",
            ),
            ("a.json5", "{x: 0, list: [1], deep: {a: 1, b: 1}}"),
            ("sub/b.json5", "{list: [2], deep: {b: 2}, more: {$include: '../d.json5'}}"),
            ("c.json5", "{list: [{id: 'work'}], m: 1}"),
            ("d.json5", "[7]"),
        ]);
        let (value, included) = world.resolve().unwrap();
        let wanted = json!({
            "x": 1, "list": [1, 2], "deep": {"a": 1, "b": 2}, "more": [7],
            "agents": {"list": [{"id": "work"}], "m": 2},
        });
        assert_eq!(value, wanted);
        let at = |key: &str| {
            let key: KeyPath = key.parse().unwrap();
            let file = included.iter().rfind(|one| one.holds(&key))?;
            Some(file.path.file_name().unwrap().to_str().unwrap().to_owned())
        };
        for (key, file) in [
            ("agents.list[0].id", Some("c.json5")),
            ("agents.list", Some("c.json5")),
            ("agents.list[1]", Some("c.json5")),
            ("agents.list[0].name", Some("c.json5")),
            ("agents", Some("c.json5")),
            ("agents.other", None),
            ("agents.$include", None),
            ("more", Some("d.json5")),
            ("deep.b", Some("b.json5")),
            ("deep.a", Some("a.json5")),
            ("y", None),
            ("$include", None),
        ] {
            assert_eq!(at(key).as_deref(), file, "{key}");
        }
    }

    #[test]
    fn what_may_not_be_included_is_refused_by_name() {
        let many: Vec<(String, String)> =
            (0..12).map(|i| (format!("n{i}"), format!("{{a: {{$include: 'n{}'}}}}", i + 1))).collect();
        let table = [
            ("{$include: '../outside.json5'}", "outside of the config's folder"),
            ("{$include: 'link'}", "outside of the config's folder"),
            ("{$include: '/etc/hostname'}", "outside of the config's folder"),
            ("{$include: 'coderclaw.json'}", "includes itself"),
            ("{$include: 'loop'}", "includes itself"),
            ("{$include: 'gone'}", "cannot be read"),
            ("{$include: 7}", "a path or a list"),
            ("{$include: ['list', 7]}", "a path or a list"),
            ("{$include: ''}", "no path"),
            ("{$include: 'list', x: 1}", "nothing may stand beside it"),
            ("{$include: 'n0'}", "more than 10 deep"),
            ("{$include: 'torn'}", "torn"),
        ];
        for (text, message) in table {
            let mut files = vec![
                ("coderclaw.json", text),
                ("loop", "{x: {$include: 'loop'}}"),
                ("list", "[1]"),
                ("torn", "{"),
                ("n12", "{}"),
            ];
            files.extend(many.iter().map(|(name, text)| (name.as_str(), text.as_str())));
            let world = World::new(&files);
            std::os::unix::fs::symlink("../outside.json5", world.0.path().join("s/link")).unwrap();
            let error = world.resolve().unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}

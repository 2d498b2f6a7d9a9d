//! The config as it is written, for changing single places of it: comments, order, quotes and `${VAR}` texts stay.

use std::fmt;
use std::path::{Path, PathBuf};

use coderclaw_types::{Code, Env};
use jsonc_parser::cst::CstRootNode;
use serde_json::{Map, Value};

use super::include::Included;
use super::key_path::{KeyPath, Step};
use super::source::Source;
use super::substitute::substitute;
use super::{Config, ConfigError, parse_options, parse_text, tree};
use crate::commit::WriteError;
use crate::locks::LockError;

/// Why a config was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigEditError {
    /// It is not understood, or would not be after the change.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another process is changing it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The place stands in another file, which this one includes.
    #[error("`{key}` stands in {}, which the config includes; change it there", file.display())]
    Included {
        /// The place.
        key: KeyPath,
        /// The file that has it.
        file: PathBuf,
    },
    /// What stands in the way is of another kind.
    #[error("`{key}` is {is}, not {wanted}")]
    Kind {
        /// The place.
        key: KeyPath,
        /// What it is.
        is: &'static str,
        /// What it would have to be.
        wanted: &'static str,
    },
    /// A list has no such element, nor is it the next one.
    #[error("`{key}` has {len} elements, so that there is no [{index}]")]
    OutOfRange {
        /// The list.
        key: KeyPath,
        /// Its length.
        len: usize,
        /// What was asked for.
        index: usize,
    },
    /// The owner has made the file read-only.
    #[error("{} is read-only; `chmod u+w` it to let it be changed", path.display())]
    ReadOnly {
        /// Which file.
        path: PathBuf,
    },
    /// Another program writes the config: `CODERCLAW_NIX_MODE` is set.
    #[error("{} is written by another program (CODERCLAW_NIX_MODE is set); change it there", path.display())]
    Managed {
        /// Which file.
        path: PathBuf,
    },
    /// The change would have touched more than it should.
    #[error("`{key}` cannot be changed without touching what stands around it; edit {} by hand", path.display())]
    Entangled {
        /// Which file.
        path: PathBuf,
        /// The place.
        key: KeyPath,
    },
}

impl ConfigEditError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Config(e) => e.code(),
            Self::Lock(e) => e.code(),
            Self::Write(e) => e.code(),
            Self::Kind { .. } | Self::OutOfRange { .. } => Code::Usage,
            Self::Included { .. } | Self::ReadOnly { .. } | Self::Managed { .. } | Self::Entangled { .. } => {
                Code::NotWritable
            }
        }
    }
}

/// A config that is being changed. Values are as they are written: `${VAR}` is not replaced, and what included files
/// bring is not there.
pub struct ConfigDoc {
    root: CstRootNode,
    path: PathBuf,
    env: Env,
    included: Vec<Included>,
}

/// The config may hold API keys.
impl fmt::Debug for ConfigDoc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigDoc").field("path", &self.path).finish_non_exhaustive()
    }
}

impl ConfigDoc {
    /// A config with this text, as if it stood at `path`. Nothing of what is done to it gets there.
    ///
    /// # Errors
    /// Where the text, or a file that it includes, is not understood.
    pub fn parse(path: &Path, text: &str, env: &Env) -> Result<Self, ConfigError> {
        let included = Source::parse(path, text, env)?.included;
        Ok(Self { root: read_tree(path, text)?, path: path.to_path_buf(), env: env.clone(), included })
    }

    /// The document's text.
    pub fn text(&self) -> String {
        self.root.to_string()
    }

    fn value(&self) -> Value {
        match parse_text(&self.path, &self.text()) {
            Ok(value) if value.is_object() => value,
            _ => Value::Object(Map::new()),
        }
    }

    /// The config as it would be read now: with what included files bring, and with variables replaced.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn view(&self) -> Result<Config, ConfigError> {
        Config::parse(&self.path, &self.text(), &self.env)
    }

    /// What is written there.
    pub fn get(&self, key: &KeyPath) -> Option<Value> {
        key.find(&self.value()).cloned()
    }

    /// Writes `value` there, making what is missing on the way. Where an object or a list is replaced by another, what is
    /// equal in both is left as it is written; so is a `${VAR}` that stands for the same text. The index one behind a list's
    /// end appends.
    ///
    /// # Errors
    /// Where a step leads into something that is no object or list, or into another file.
    pub fn set(&mut self, key: &KeyPath, value: Value) -> Result<(), ConfigEditError> {
        self.check_is_ours(key)?;
        let before = self.value();
        let value = keep(key.find(&before), value, &self.env);
        let mut after = before.clone();
        put(&mut after, key, value.clone())?;
        self.apply(key, &before, &after, |root| tree::set(root, key.steps(), &value))
    }

    /// Appends to the list there, which is made where it is missing.
    ///
    /// # Errors
    /// As [`ConfigDoc::set`]; also where something else than a list stands there.
    pub fn push(&mut self, key: &KeyPath, value: Value) -> Result<(), ConfigEditError> {
        match self.get(key) {
            None => self.set(key, Value::Array(vec![value])),
            Some(Value::Array(list)) => {
                self.check_is_ours(key)?;
                self.set(&key.clone().index(list.len()), value)
            }
            Some(other) => Err(kind_error(key, &other, "a list")),
        }
    }

    /// Takes away what stands there; whether there was something. What surrounds it stays, also when it is empty then.
    ///
    /// # Errors
    /// Where it stands in another file.
    pub fn remove(&mut self, key: &KeyPath) -> Result<bool, ConfigEditError> {
        self.check_is_ours(key)?;
        let before = self.value();
        let Some((last, parent)) = key.steps().split_last() else {
            return Err(ConfigEditError::Kind { key: key.clone(), is: "the file", wanted: "a place in it" });
        };
        let mut after = before.clone();
        let gone = match find_mut(&mut after, parent) {
            Some(Value::Object(map)) => match last {
                Step::Key(key) => map.shift_remove(key).is_some(),
                Step::Index(_) => false,
            },
            Some(Value::Array(list)) => match last.as_index().filter(|i| *i < list.len()) {
                Some(index) => {
                    list.remove(index);
                    true
                }
                None => false,
            },
            _ => false,
        };
        if gone {
            self.apply(key, &before, &after, |root| tree::remove(root, key.steps()))?;
        }
        Ok(gone)
    }

    /// What an included file brings may be overruled here, but not changed: the file is another one.
    fn check_is_ours(&self, key: &KeyPath) -> Result<(), ConfigEditError> {
        match self.included.iter().rfind(|one| one.holds(key)) {
            None => Ok(()),
            Some(one) => Err(ConfigEditError::Included { key: key.clone(), file: one.path.clone() }),
        }
    }

    /// Edits the tree and reads it again: it must say `after`, or the text is what it was.
    fn apply(
        &mut self,
        key: &KeyPath,
        before: &Value,
        after: &Value,
        edit: impl FnOnce(&CstRootNode),
    ) -> Result<(), ConfigEditError> {
        if before == after {
            return Ok(());
        }
        let text = self.text();
        edit(&self.root);
        if parse_text(&self.path, &self.text()).is_ok_and(|read| read == *after) {
            return Ok(());
        }
        self.root = read_tree(&self.path, &text)?;
        Err(ConfigEditError::Entangled { path: self.path.clone(), key: key.clone() })
    }
}

fn read_tree(path: &Path, text: &str) -> Result<CstRootNode, ConfigError> {
    CstRootNode::parse(text, &parse_options()).map_err(|e| ConfigError::syntax(path, &e))
}

/// What is to stand in place of `old`: `new`, but where both mean the same, what is written now.
fn keep(old: Option<&Value>, new: Value, env: &Env) -> Value {
    match (old, new) {
        (Some(Value::String(old)), Value::String(new)) => {
            let same = substitute(old, env).is_ok_and(|text| text == new);
            Value::String(if same { old.clone() } else { new })
        }
        (Some(Value::Object(old)), Value::Object(new)) => {
            let new = new.into_iter().map(|(key, value)| {
                let value = keep(old.get(&key), value, env);
                (key, value)
            });
            Value::Object(new.collect())
        }
        (Some(Value::Array(old)), Value::Array(new)) => {
            let new = new.into_iter().enumerate();
            Value::Array(new.map(|(i, value)| keep(old.get(i), value, env)).collect())
        }
        (_, new) => new,
    }
}

fn find_mut<'v>(value: &'v mut Value, steps: &[Step]) -> Option<&'v mut Value> {
    steps.iter().try_fold(value, |value, step| match (step, value) {
        (Step::Key(key), Value::Object(map)) => map.get_mut(key),
        (step, Value::Array(list)) => list.get_mut(step.as_index()?),
        _ => None,
    })
}

fn put(root: &mut Value, key: &KeyPath, new: Value) -> Result<(), ConfigEditError> {
    let mut value = root;
    for (depth, step) in key.steps().iter().enumerate() {
        let here = || key.prefix(depth);
        value = match (step, value) {
            (Step::Key(name), Value::Object(map)) => map.entry(name).or_insert_with(|| made_for(key, depth)),
            (step, Value::Array(list)) => {
                let Some(index) = step.as_index() else {
                    return Err(ConfigEditError::Kind { key: here(), is: "a list", wanted: "an object" });
                };
                let len = list.len();
                if index == len {
                    list.push(made_for(key, depth));
                }
                match list.get_mut(index) {
                    Some(value) => value,
                    None => return Err(ConfigEditError::OutOfRange { key: here(), len, index }),
                }
            }
            (Step::Key(_), other) => return Err(kind_error(&here(), other, "an object")),
            (Step::Index(_), other) => return Err(kind_error(&here(), other, "a list")),
        };
    }
    *value = new;
    Ok(())
}

/// An empty container for the step after the one at `depth`.
fn made_for(key: &KeyPath, depth: usize) -> Value {
    match key.steps().get(depth + 1) {
        Some(Step::Index(_)) => Value::Array(Vec::new()),
        Some(Step::Key(_)) => Value::Object(Map::new()),
        None => Value::Null,
    }
}

fn kind_error(key: &KeyPath, value: &Value, wanted: &'static str) -> ConfigEditError {
    ConfigEditError::Kind { key: key.clone(), is: kind_of(value), wanted }
}

/// What a value is, in words.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests;

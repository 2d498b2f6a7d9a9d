//! A config's text, and what it means: with what included files bring, and with variables replaced.

use std::path::{Path, PathBuf};

use coderclaw_types::Env;
use serde_json::{Map, Value};

use super::check::Problem;
use super::include::{self, INCLUDE, Included};
use super::key_path::KeyPath;
use super::place::position;
use super::substitute::{Missing, substitute};
use super::{ConfigError, ConfigProblem, parse_text};
use crate::read::read_text;

/// What was read.
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) root: Map<String, Value>,
    pub(super) included: Vec<Included>,
    /// Places whose text needs a variable that is not set; they stay as they are written.
    pub(super) unset: Vec<(KeyPath, String)>,
    /// What the section `env` sets, in its order.
    pub(super) vars: Vec<(String, String)>,
}

impl Source {
    pub(super) fn parse(path: &Path, text: &str, env: &Env) -> Result<Self, ConfigError> {
        let mut value = parse_text(path, text)?;
        let mut included = Vec::new();
        if text.contains(INCLUDE) {
            value = include::resolve(path, value, &mut included)?;
        }
        let Value::Object(root) = value else {
            return Err(ConfigError::Invalid(ConfigProblem {
                file: path.to_path_buf(),
                position: position(text, &KeyPath::root()),
                key: KeyPath::root(),
                what: "should be an object".into(),
                is_vital: true,
                more: 0,
            }));
        };
        let mut source =
            Self { path: path.to_path_buf(), root, included, unset: Vec::new(), vars: Vec::new() };
        let has_variables = text.contains("${") || !source.included.is_empty();
        source.read_vars(env);
        if has_variables {
            source.put_in_variables(env);
        }
        Ok(source)
    }

    /// `env.vars` and the other texts of `env`. What needs a variable that is not there sets nothing.
    fn read_vars(&mut self, env: &Env) {
        let Some(Value::Object(section)) = self.root.get("env") else { return };
        let inner = section.get("vars").and_then(Value::as_object).into_iter().flatten();
        for (name, value) in inner.chain(section) {
            let Some(text) = value.as_str() else { continue };
            match substitute(text, env) {
                Ok(text) if !text.trim().is_empty() => self.vars.push((name.clone(), text.into_owned())),
                _ => {}
            }
        }
    }

    fn put_in_variables(&mut self, env: &Env) {
        let with_vars;
        let env = if self.vars.is_empty() {
            env
        } else {
            with_vars = extended(env.clone(), &self.vars);
            &with_vars
        };
        for (key, value) in &mut self.root {
            put_in(value, &KeyPath::keys([key.as_str()]), env, &mut self.unset);
        }
    }

    /// The variables that are not set, as problems.
    pub(super) fn unset_problems(&self) -> impl Iterator<Item = Problem> {
        let what = |name: &String| format!("needs the variable {name}, which is not set");
        self.unset.iter().map(move |(key, name)| Problem::new(key.clone(), what(name)))
    }

    /// The problem with the file, line and column where it stands.
    pub(super) fn placed(&self, problem: Problem, text: &str) -> ConfigProblem {
        let mut file = self.path.clone();
        let mut place = position(text, &problem.key);
        let is_own = parse_text(&self.path, text).is_ok_and(|own| problem.key.find(&own).is_some());
        let from_other = self.included.iter().rfind(|one| {
            let depth = one.at.steps().len();
            !is_own
                && problem.key.steps().starts_with(one.at.steps())
                && problem.key.below(depth).find(&one.value).is_some()
        });
        if let Some(one) = from_other
            && let Some(text) = read_text(&one.path).ok().flatten()
        {
            file.clone_from(&one.path);
            place = position(&text, &problem.key.below(one.at.steps().len()));
        }
        let Problem { key, what, is_vital, .. } = problem;
        ConfigProblem { file, position: place, key, what, is_vital, more: 0 }
    }
}

/// `env` with what the config sets, where it is not set already.
pub(super) fn extended(env: Env, vars: &[(String, String)]) -> Env {
    vars.iter().fold(
        env,
        |env, (name, value)| {
            if env.get(name).is_some() { env } else { env.with(name, value.as_str()) }
        },
    )
}

fn put_in(value: &mut Value, at: &KeyPath, env: &Env, unset: &mut Vec<(KeyPath, String)>) {
    match value {
        Value::String(text) => match substitute(text, env) {
            Ok(std::borrow::Cow::Borrowed(_)) => {}
            Ok(std::borrow::Cow::Owned(new)) => *text = new,
            Err(Missing(name)) => unset.push((at.clone(), name)),
        },
        Value::Array(list) => {
            for (i, item) in list.iter_mut().enumerate() {
                put_in(item, &at.clone().index(i), env, unset);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                put_in(value, &at.clone().key(key.as_str()), env, unset);
            }
        }
        _ => {}
    }
}

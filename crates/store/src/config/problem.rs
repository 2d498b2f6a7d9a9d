//! What is wrong with a config, as it is told.

use std::fmt;
use std::path::{Path, PathBuf};

use coderclaw_types::{AgentId, Code, Env};
use serde_json::Value;

use super::check::{self, Problem};
use super::key_path::KeyPath;
use super::source::Source;
use super::{Config, parse_text};
use crate::paths::StateDir;
use crate::read::{ReadError, read_text};

/// A config that cannot be used. Nothing is guessed in its place: a wrong guess sends the wrong account's token.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is not JSON5.
    #[error("{}: {detail}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// What and where.
        detail: String,
    },
    /// It says something that it may not.
    #[error("{0}")]
    Invalid(ConfigProblem),
    /// An `$include` that cannot be followed.
    #[error("{}: `$include` of \"{include}\": {detail}", path.display())]
    Include {
        /// The including file.
        path: PathBuf,
        /// What it includes.
        include: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Two agents would use each other's logins.
    #[error(
        "{}: the agents {} and {} have one folder, {}; each needs its own `agentDir`",
        path.display(), agents[0], agents[1], dir.display()
    )]
    SharedAgentDir {
        /// Which file.
        path: PathBuf,
        /// The agents.
        agents: [AgentId; 2],
        /// Their folder.
        dir: PathBuf,
    },
}

impl ConfigError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Read(ReadError::Unreadable { .. }) => Code::Unreadable,
            _ => Code::ConfigInvalid,
        }
    }

    pub(super) fn syntax(path: &Path, error: &jsonc_parser::errors::ParseError) -> Self {
        Self::Syntax { path: path.into(), detail: error.to_string() }
    }
}

/// Something in a config that should not stand as it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The file that it stands in.
    pub file: PathBuf,
    /// Line and column, from 1.
    pub position: Option<(usize, usize)>,
    /// The place.
    pub key: KeyPath,
    /// What is wrong, in words that follow the key.
    pub what: String,
    /// Commands that need this part do not run.
    pub is_vital: bool,
    /// How many more there are, where only this one is told.
    pub more: usize,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some((line, column)) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        if self.key.steps().is_empty() {
            write!(f, ": the file {}", self.what)?;
        } else {
            write!(f, ": `{}` {}", self.key, self.what)?;
        }
        if self.more > 0 {
            write!(f, " (and {} more)", self.more)?;
        }
        Ok(())
    }
}

/// All that is to be said about a config.
#[derive(Debug)]
pub struct ConfigReport {
    /// Whether there is one.
    pub exists: bool,
    /// What is wrong, in the order of the file's sections.
    pub problems: Vec<ConfigProblem>,
}

/// Checks the whole config of `state`, with what it includes.
///
/// # Errors
/// Where it cannot be read at all.
pub fn check_config(state: &StateDir, env: &Env) -> Result<ConfigReport, ConfigError> {
    let path = state.config_path();
    let Some(text) = read_text(path)? else {
        return Ok(ConfigReport { exists: false, problems: Vec::new() });
    };
    parse_text(path, &text)?;
    let source = Source::parse(path, &text, env)?;
    let mut found = check::whole(&source.root);
    found.extend(source.unset_problems().map(|mut problem| {
        problem.is_vital = problem.is_in_vital_section();
        problem
    }));
    let is_usable = !found.iter().any(|problem| problem.is_vital);
    let problems: Vec<ConfigProblem> =
        found.into_iter().map(|problem| source.placed(problem, &text)).collect();
    if is_usable {
        Config::parse(path, &text, env)?.check_agent_dirs(state)?;
    }
    Ok(ConfigReport { exists: true, problems })
}

/// The whole config as it is read, also where it says what it may not: for showing it. It may hold secrets. `None`
/// where there is none.
///
/// # Errors
/// Where it cannot be read at all.
pub fn config_value(state: &StateDir, env: &Env) -> Result<Option<Value>, ConfigError> {
    let path = state.config_path();
    let Some(text) = read_text(path)? else { return Ok(None) };
    Ok(Some(Value::Object(Source::parse(path, &text, env)?.root)))
}

impl Problem {
    pub(super) fn is_in_vital_section(&self) -> bool {
        self.key.steps().first().is_some_and(|step| match step {
            super::Step::Key(key) => super::schema::VITAL.contains(&key.as_str()),
            super::Step::Index(_) => false,
        })
    }
}

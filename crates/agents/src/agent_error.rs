//! Why an agent was not added, changed or deleted.

use std::path::PathBuf;

use coderclaw_auth::{EditError, LinkError};
use coderclaw_store::{ConfigEditError, LockError, ReadError, WriteError};
use coderclaw_types::{AgentId, Code};

use crate::binding::Match;

/// Why an agent was not added, changed or deleted. Nothing was written then, unless the text says so.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The name is none.
    #[error("\"{name}\" is no name for an agent: it needs a letter or a digit")]
    NoName {
        /// What was given.
        name: String,
    },
    /// `main` is always there.
    #[error("\"main\" is reserved: it is the agent that is there without being added")]
    Reserved,
    /// There is one of this name.
    #[error("agent \"{agent}\" already exists")]
    Exists {
        /// Which agent.
        agent: AgentId,
    },
    /// Another agent has this folder.
    #[error("{} is the agent dir of agent {owner} already; two agents in one folder would share their logins", dir.display())]
    SharedDir {
        /// Which folder.
        dir: PathBuf,
        /// Whose it is.
        owner: AgentId,
    },
    /// Another agent has the binding.
    #[error("{}", conflicts(.0))]
    AlreadyBound(Vec<(Match, AgentId)>),
    /// `main` cannot be deleted.
    #[error("\"main\" cannot be deleted")]
    IsMain,
    /// Others use the agent's logins.
    #[error("{} linked to agent {agent} and would lose its logins; nothing was deleted", are(linkers))]
    InUse {
        /// Which agent.
        agent: AgentId,
        /// Who is linked to it.
        linkers: Vec<AgentId>,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A lock cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Something cannot be written or moved.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The config cannot be changed.
    #[error(transparent)]
    Config(#[from] ConfigEditError),
    /// A profile cannot be logged out.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// A link cannot be looked at.
    #[error(transparent)]
    Link(#[from] LinkError),
}

fn are(agents: &[AgentId]) -> String {
    let names: Vec<&str> = agents.iter().map(AgentId::as_str).collect();
    match names.as_slice() {
        [one] => format!("agent {one} is"),
        many => format!("agents {} are", many.join(" and ")),
    }
}

fn conflicts(all: &[(Match, AgentId)]) -> String {
    let all: Vec<String> = all.iter().map(|(one, agent)| format!("agent {agent} has \"{one}\"")).collect();
    format!("{}; nothing was bound", all.join(", "))
}

impl AgentError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::NoName { .. } | Self::Reserved | Self::IsMain => Code::Usage,
            Self::Exists { .. } | Self::SharedDir { .. } => Code::AgentExists,
            Self::AlreadyBound(_) => Code::AlreadyBound,
            Self::InUse { .. } => Code::AgentInUse,
            Self::Read(e) => e.code(),
            Self::Lock(e) => e.code(),
            Self::Write(e) => e.code(),
            Self::Config(e) => e.code(),
            Self::Edit(e) => e.code(),
            Self::Link(e) => e.code(),
        }
    }
}

//! Whose profiles an agent uses beside its own. A link is a reference in the agent's `agent.toml`, never a copy of a
//! credential, and it is one level: nobody is reached through two.

use std::path::PathBuf;

use coderclaw_store::{
    AgentFileGuard, AgentPaths, AgentSettings, LockError, ReadError, WriteError, read_agent_settings,
};
use coderclaw_types::{AgentId, Code};

use crate::context::Auth;

/// Where a link leads.
#[derive(Debug, Clone)]
pub(crate) enum Link {
    /// There is none.
    None,
    /// To this agent's profiles.
    To(AgentPaths),
    /// Nowhere. Nothing is lent from there, and nothing is taken in its place.
    Broken(BrokenLink),
}

/// A link that is no good, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenLink {
    /// What `agent.toml` names.
    pub target: AgentId,
    /// `link_broken`, or what is wrong with a file there.
    pub reason: Code,
    /// In words.
    pub detail: String,
}

/// A link that was made or removed.
#[derive(Debug, Clone)]
pub struct Linked {
    /// The file that says so.
    pub path: PathBuf,
    /// What it said before.
    pub before: Option<AgentId>,
    /// It says something else now.
    pub changed: bool,
}

/// Why a link was not made.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// To itself.
    #[error("agent {agent} cannot be linked to itself")]
    Itself {
        /// Which agent.
        agent: AgentId,
    },
    /// The target is linked itself.
    #[error("agent {target} is linked to {to} itself, and links are one level; link to {to}")]
    TargetIsLinked {
        /// Which target.
        target: AgentId,
        /// Where that leads.
        to: AgentId,
    },
    /// Others are linked to the agent, and would reach the target through it.
    #[error("{} linked to agent {agent}, and links are one level; unlink first", are(linkers))]
    HasLinkers {
        /// Which agent.
        agent: AgentId,
        /// Who is linked to it.
        linkers: Vec<AgentId>,
    },
    /// An `agent.toml` is of no use.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A lock cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// `agent a is`, `agents a and b are`.
pub(crate) fn are(agents: &[AgentId]) -> String {
    let names: Vec<&str> = agents.iter().map(AgentId::as_str).collect();
    match names.as_slice() {
        [one] => format!("agent {one} is"),
        many => format!("agents {} are", many.join(" and ")),
    }
}

impl LinkError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Itself { .. } | Self::TargetIsLinked { .. } => Code::LinkRefused,
            Self::HasLinkers { .. } => Code::AgentInUse,
            Self::Read(e) => e.code(),
            Self::Lock(e) => e.code(),
            Self::Write(e) => e.code(),
        }
    }
}

impl Auth {
    /// What the agent's `agent.toml` says. Reads only.
    ///
    /// # Errors
    /// Where it exists and is of no use.
    pub fn settings(&self, agent: &AgentPaths) -> Result<AgentSettings, ReadError> {
        read_agent_settings(agent)
    }

    pub(crate) fn follow(&self, agent: &AgentPaths, settings: &AgentSettings) -> Result<Link, ReadError> {
        let Some(target) = &settings.link else { return Ok(Link::None) };
        let file = agent.settings();
        let broken = |reason, detail| Ok(Link::Broken(BrokenLink { target: target.clone(), reason, detail }));
        if *target == agent.agent {
            return broken(Code::LinkBroken, format!("{} links it to itself", file.display()));
        }
        let Some(paths) = self.known_agent(target)? else {
            return broken(
                Code::LinkBroken,
                format!("{} links it to {target}, and there is no such agent", file.display()),
            );
        };
        match read_agent_settings(&paths) {
            Err(e) => broken(e.code(), e.to_string()),
            Ok(AgentSettings { link: Some(next), .. }) => broken(
                Code::LinkBroken,
                format!("it is linked to {target}, which is linked to {next} itself; links are one level"),
            ),
            Ok(_) => Ok(Link::To(paths)),
        }
    }

    /// The agents that are linked to `target`.
    ///
    /// # Errors
    /// Where an `agent.toml` is of no use: its agent may be one of them.
    pub fn linkers(&self, target: &AgentId) -> Result<Vec<AgentId>, ReadError> {
        let mut linkers = Vec::new();
        for other in self.state().agents(self.config())? {
            if other.agent != *target && read_agent_settings(&other)?.link.as_ref() == Some(target) {
                linkers.push(other.agent);
            }
        }
        Ok(linkers)
    }

    /// Lets `agent` use the profiles of `target` after its own. No credential is copied.
    ///
    /// # Errors
    /// Where that would be a chain, or the file cannot be written. Nothing is written then.
    pub fn link(&self, agent: &AgentPaths, target: &AgentPaths) -> Result<Linked, LinkError> {
        if agent.agent == target.agent {
            return Err(LinkError::Itself { agent: agent.agent.clone() });
        }
        // Before a folder or a lock is made.
        self.check_link(agent, target)?;
        // Both, in one order everywhere: somebody may be linking the target at this moment.
        let mut both = [agent, target];
        both.sort_by_key(|one| one.settings());
        let [first, second] = both;
        let guards = [
            AgentFileGuard::acquire(self.state(), &first.settings())?,
            AgentFileGuard::acquire(self.state(), &second.settings())?,
        ];
        self.check_link(agent, target)?;
        let own = &guards[usize::from(first.agent != agent.agent)];
        let done = write_link(agent, own, Some(&target.agent))?;
        drop(guards);
        self.renew_cache(agent);
        Ok(done)
    }

    fn check_link(&self, agent: &AgentPaths, target: &AgentPaths) -> Result<(), LinkError> {
        if let Some(to) = read_agent_settings(target)?.link {
            return Err(LinkError::TargetIsLinked { target: target.agent.clone(), to });
        }
        read_agent_settings(agent)?;
        let linkers = self.linkers(&agent.agent)?;
        if linkers.is_empty() {
            return Ok(());
        }
        Err(LinkError::HasLinkers { agent: agent.agent.clone(), linkers })
    }

    /// Lets the agent use its own profiles only.
    ///
    /// # Errors
    /// Where its `agent.toml` is of no use, or cannot be written.
    pub fn unlink(&self, agent: &AgentPaths) -> Result<Linked, LinkError> {
        if read_agent_settings(agent)?.link.is_none() {
            return Ok(Linked { path: agent.settings(), before: None, changed: false });
        }
        let guard = AgentFileGuard::acquire(self.state(), &agent.settings())?;
        let done = write_link(agent, &guard, None)?;
        drop(guard);
        self.renew_cache(agent);
        Ok(done)
    }
}

fn write_link(
    agent: &AgentPaths,
    guard: &AgentFileGuard,
    target: Option<&AgentId>,
) -> Result<Linked, LinkError> {
    let mut doc = guard.read()?;
    let before = doc.settings()?.link;
    if before.as_ref() == target {
        return Ok(Linked { path: agent.settings(), before, changed: false });
    }
    doc.set_link(target);
    guard.commit(&doc)?;
    Ok(Linked { path: agent.settings(), before, changed: true })
}

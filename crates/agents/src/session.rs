//! An agent's sessions: one chat each, with the model and the profile that it uses.

use std::io;
use std::path::PathBuf;

use coderclaw_auth::Auth;
use coderclaw_store::{
    AgentPaths, LockError, Pin, ReadError, SessionEntry, SessionsGuard, StateDir, WriteError, read_sessions,
    read_transcript, transcript_path,
};
use coderclaw_types::{AgentId, Clock, Code, ProfileId, ProviderId};

use crate::conversation::{Conversation, Line, header};

/// Why a session cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// There is none under this key.
    #[error("agent {agent} has no session \"{key}\"{}", known(.keys))]
    Unknown {
        /// Whose sessions were looked at.
        agent: AgentId,
        /// What was asked for.
        key: String,
        /// Some that there are.
        keys: Vec<String>,
    },
    /// Its files cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The lock cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Its files cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The system gives no random numbers, so a new session gets no id.
    #[error("no id for a new session: {0}")]
    NoId(io::Error),
}

fn known(keys: &[String]) -> String {
    if keys.is_empty() { String::new() } else { format!("; it has {}", keys.join(", ")) }
}

impl SessionError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Unknown { .. } => Code::UnknownSession,
            Self::Read(e) => e.code(),
            Self::Lock(e) => e.code(),
            Self::Write(e) => e.code(),
            Self::NoId(_) => Code::Internal,
        }
    }
}

/// The key under which the agent's session `name` is kept: `agent:AGENT:NAME`, in lower case; such a key itself stays
/// as it is.
pub fn session_key(agent: &AgentId, name: &str) -> String {
    let name = name.trim().to_lowercase();
    match name.split_once(':') {
        Some(("agent", rest)) if rest.contains(':') => name,
        _ => format!("agent:{agent}:{name}"),
    }
}

/// The sessions of one agent.
#[derive(Debug, Clone)]
pub struct Sessions {
    agent: AgentId,
    state: StateDir,
    index: PathBuf,
    clock: Clock,
}

impl Sessions {
    /// Those of `agent`.
    pub fn of(auth: &Auth, agent: &AgentPaths) -> Self {
        Self {
            agent: agent.agent.clone(),
            state: auth.state().clone(),
            index: agent.sessions(),
            clock: auth.clock().clone(),
        }
    }

    /// The key that a person means by `name`: a key that exists, else what [`session_key`] makes of it.
    ///
    /// # Errors
    /// Where the index cannot be read.
    pub fn key(&self, name: &str) -> Result<String, SessionError> {
        let exists = read_sessions(&self.index)?.get(name).is_some();
        Ok(if exists { name.to_owned() } else { session_key(&self.agent, name) })
    }

    /// All of them, the one that was used last first.
    ///
    /// # Errors
    /// Where the index cannot be read.
    pub fn list(&self) -> Result<Vec<(String, SessionEntry)>, SessionError> {
        let index = read_sessions(&self.index)?;
        let mut all: Vec<_> = index.iter().map(|(key, entry)| (key.to_owned(), entry)).collect();
        all.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.updated_at()));
        Ok(all)
    }

    /// The entry of `key`; an empty one where there is none yet.
    ///
    /// # Errors
    /// Where the index cannot be read.
    pub fn entry(&self, key: &str) -> Result<SessionEntry, SessionError> {
        Ok(read_sessions(&self.index)?.get(key).unwrap_or_default())
    }

    /// The entry of `key`, which must exist.
    ///
    /// # Errors
    /// [`SessionError::Unknown`], or where the index cannot be read.
    pub fn existing(&self, key: &str) -> Result<SessionEntry, SessionError> {
        let index = read_sessions(&self.index)?;
        index.get(key).ok_or_else(|| SessionError::Unknown {
            agent: self.agent.clone(),
            key: key.to_owned(),
            keys: index.iter().map(|(key, _)| key.to_owned()).take(8).collect(),
        })
    }

    /// Changes the entry of `key` under the lock, on what stands there now. Nothing is written where nothing changes.
    ///
    /// # Errors
    /// Where the index cannot be read or written; it is as before then.
    pub fn change<T>(
        &self,
        key: &str,
        change: impl FnOnce(&mut SessionEntry) -> T,
    ) -> Result<T, SessionError> {
        let guard = SessionsGuard::acquire(&self.state, &self.index)?;
        self.change_under(&guard, key, change)
    }

    fn change_under<T>(
        &self,
        guard: &SessionsGuard,
        key: &str,
        change: impl FnOnce(&mut SessionEntry) -> T,
    ) -> Result<T, SessionError> {
        let mut index = guard.read()?;
        let before = index.get(key).unwrap_or_default();
        let mut entry = before.clone();
        let done = change(&mut entry);
        if entry != before {
            entry.touch(self.clock.now());
            index.set(key, entry);
            guard.commit(&index)?;
        }
        Ok(done)
    }

    /// Begins another conversation under `key`. How the session behaves and the user's own pins stay; what was picked
    /// automatically goes. The old transcript stays where it is.
    ///
    /// # Errors
    /// As [`Sessions::change`].
    pub fn renew(&self, key: &str) -> Result<SessionEntry, SessionError> {
        let id = new_session_id()?;
        self.change(key, |entry| {
            *entry = entry.renewed();
            entry.set_session_id(&id);
            entry.clone()
        })
    }

    /// Removes the pin of `key`, whoever has set it, and those that are parked. Returns what was pinned.
    ///
    /// # Errors
    /// [`SessionError::Unknown`], or as [`Sessions::change`].
    pub fn unpin(&self, key: &str) -> Result<Vec<ProfileId>, SessionError> {
        self.existing(key)?;
        self.change(key, |entry| {
            let parked = entry.parked_pins();
            for (provider, _) in &parked {
                entry.park_pin(provider, None);
            }
            let pinned: Vec<_> = entry.pin().map(|pin| pin.profile).into_iter().collect();
            entry.set_pin(None);
            pinned.into_iter().chain(parked.into_iter().map(|(_, profile)| profile)).collect()
        })
    }

    /// Remembers which profile was picked, unless the user has pinned one meanwhile.
    ///
    /// # Errors
    /// As [`Sessions::change`].
    pub fn picked(&self, key: &str, profile: &ProfileId) -> Result<(), SessionError> {
        self.change(key, |entry| {
            if !entry.pin().is_some_and(|pin| pin.by_user) {
                entry.set_pin(Some(&Pin { profile: profile.clone(), by_user: false }));
            }
        })
    }

    /// What was said in the session so far.
    ///
    /// # Errors
    /// Where index or transcript cannot be read.
    pub fn conversation(&self, key: &str) -> Result<Conversation, SessionError> {
        match self.entry(key)?.session_id() {
            Some(id) => Ok(Conversation::of(&read_transcript(&transcript_path(&self.index, id))?)),
            None => Ok(Conversation::default()),
        }
    }

    /// Adds `lines` to the session's transcript, and to the index where the session is new.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn append(&self, key: &str, workspace: &str, lines: &[Line]) -> Result<(), SessionError> {
        let now = self.clock.now();
        let fresh = new_session_id()?;
        let guard = SessionsGuard::acquire(&self.state, &self.index)?;
        let id = self.change_under(&guard, key, |entry| {
            let id = entry.session_id().map(str::to_owned).unwrap_or_else(|| {
                entry.set_session_id(&fresh);
                fresh.clone()
            });
            entry.touch(now);
            id
        })?;
        let entries = lines.iter().map(|line| line.to_entry(now)).collect::<Result<Vec<_>, _>>();
        guard.append(&id, &header(&id, workspace, now), entries.map_err(SessionError::NoId)?)?;
        Ok(())
    }
}

/// How a session came to its account, in words. `exists`: the agent has such a profile.
pub fn account_words(pin: &Pin, exists: bool) -> &'static str {
    match (exists, pin.by_user) {
        (false, true) => "pinned by you, which is no longer there",
        (true, true) => "pinned by you",
        (false, false) => "which is no longer there; another is picked",
        (true, false) => "picked automatically",
    }
}

/// Uses another model in a session. A user's pin stays within its provider; that of another provider is parked until
/// one of its models is chosen again. What was picked automatically for another provider is forgotten.
pub(crate) fn switch_model(
    entry: &mut SessionEntry,
    default: (&ProviderId, &str),
    chosen: (&ProviderId, &str),
    profile: Option<&ProfileId>,
) {
    let (before, _) = entry.model().unwrap_or((default.0.clone(), default.1));
    let pin = entry.pin();
    if before != *chosen.0 {
        if let Some(pin) = pin.filter(|pin| pin.by_user) {
            entry.park_pin(&before, Some(&pin.profile));
        }
        let parked = entry.parked_pin(chosen.0);
        entry.park_pin(chosen.0, None);
        entry.set_pin(parked.map(|profile| Pin { profile, by_user: true }).as_ref());
    }
    if let Some(profile) = profile {
        entry.set_pin(Some(&Pin { profile: profile.clone(), by_user: true }));
    }
    entry.set_model((default != chosen).then_some(chosen));
}

/// A random id in the form of a version 4 UUID (RFC 9562 section 5.4).
fn new_session_id() -> Result<String, SessionError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| SessionError::NoId(io::Error::other(e)))?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_sessions() {
        let agent = AgentId::new("work");
        for (name, key) in [
            ("main", "agent:work:main"),
            (" Notes ", "agent:work:notes"),
            ("agent:home:Main", "agent:home:main"),
            ("agent:x", "agent:work:agent:x"),
            ("slack:direct:u1", "agent:work:slack:direct:u1"),
        ] {
            assert_eq!(session_key(&agent, name), key);
        }
    }

    /// C5: a pin stays through a switch of models within its provider, and comes back with its provider.
    #[test]
    fn c5_a_pin_is_kept_within_its_provider_and_parked_outside() {
        let (claude, gpt) = (ProviderId::new("anthropic"), ProviderId::new("openai-codex"));
        let default = (&gpt, "gpt-5");
        let work = ProfileId::stored("anthropic:work");
        let pinned = |entry: &SessionEntry| entry.pin().map(|pin| (pin.profile.to_string(), pin.by_user));
        let mut entry = SessionEntry::default();
        switch_model(&mut entry, default, (&claude, "opus"), Some(&work));
        assert_eq!(pinned(&entry), Some(("anthropic:work".into(), true)));
        switch_model(&mut entry, default, (&claude, "sonnet"), None);
        assert_eq!(pinned(&entry), Some(("anthropic:work".into(), true)));
        switch_model(&mut entry, default, default, None);
        assert_eq!((pinned(&entry), entry.model()), (None, None));
        assert_eq!(entry.parked_pin(&claude), Some(work.clone()));
        let auto = Pin { profile: ProfileId::stored("openai-codex:me"), by_user: false };
        entry.set_pin(Some(&auto));
        switch_model(&mut entry, default, (&claude, "opus"), None);
        assert_eq!(pinned(&entry), Some(("anthropic:work".into(), true)));
        assert_eq!((entry.parked_pin(&claude), entry.parked_pin(&gpt)), (None, None));
        let other = ProfileId::stored("openai-codex:you");
        switch_model(&mut entry, default, default, Some(&other));
        assert_eq!(pinned(&entry), Some(("openai-codex:you".into(), true)));
        assert_eq!(entry.parked_pin(&claude), Some(work));
    }

    #[test]
    fn new_ids_are_uuids_and_differ() {
        let (a, b) = (new_session_id().unwrap(), new_session_id().unwrap());
        assert!(a != b && a.len() == 36 && a.as_bytes()[14] == b'4', "{a}");
    }
}

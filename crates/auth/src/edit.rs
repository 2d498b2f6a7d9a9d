//! Changing a store: under its lock, read again, checked to touch nothing else, committed, read back.

use coderclaw_store::{
    AgentPaths, AuthProfiles, LockError, ReadError, StateGuard, StoreGuard, WriteError, read_auth_state,
    read_auth_store,
};
use coderclaw_types::{AgentId, Code, ProfileId, ProviderId};

use crate::context::Auth;
use crate::link::Link;
use crate::resolve::ResolveError;

/// Why a store was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The store has no such profile.
    #[error("profile \"{id}\" not found in {store}{}", in_words(known))]
    Unknown {
        /// Which profile.
        id: ProfileId,
        /// Which store.
        store: String,
        /// Those that it has.
        known: Vec<ProfileId>,
    },
    /// The profile is that of the agent that this one is linked to.
    #[error("{id} is agent {owner}'s; {agent} is only linked to it, and changes nothing there")]
    Linked {
        /// Which profile.
        id: ProfileId,
        /// Who asked.
        agent: AgentId,
        /// Whose it is.
        owner: AgentId,
    },
    /// The profile belongs to another provider.
    #[error("profile \"{id}\" is for {theirs}, not {wanted}")]
    OtherProvider {
        /// Which profile.
        id: ProfileId,
        /// Whose it is.
        theirs: String,
        /// Whose it should be.
        wanted: ProviderId,
    },
    /// The entry belongs to no provider that is known here.
    #[error("the provider of \"{id}\" is not known")]
    NoProvider {
        /// Which profile.
        id: ProfileId,
    },
    /// The id holds another credential.
    #[error("{id} holds another credential; choose another id with --profile-id, or --replace it")]
    IdTaken {
        /// Which id.
        id: ProfileId,
    },
    /// The new name is somebody's.
    #[error("there is a profile \"{id}\" already; nothing was renamed")]
    NameTaken {
        /// Which id.
        id: ProfileId,
    },
    /// A refresh of this login does not end.
    #[error("{holder} has been refreshing this login for {secs} s; nothing was changed")]
    Busy {
        /// Who.
        holder: String,
        /// For how long it was waited for.
        secs: u64,
    },
    /// A file to restore from is of no use.
    #[error("{path} is no copy of a store: {why}")]
    NoCopy {
        /// Which file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// What was stored is not what was read back.
    #[error("{store} did not keep the change: another program wrote it at the same moment")]
    NotKept {
        /// Which store.
        store: String,
    },
    /// The agent's files cannot be read.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A lock cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The store cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

fn in_words(known: &[ProfileId]) -> String {
    if known.is_empty() {
        return String::new();
    }
    let ids: Vec<&str> = known.iter().map(ProfileId::as_str).collect();
    // They come from a file, and go to a terminal.
    format!("; it has {}", ids.join(", ").replace(char::is_control, "?"))
}

impl EditError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Unknown { .. } => Code::UnknownProfile,
            Self::Linked { .. } => Code::LinkedProfile,
            Self::OtherProvider { .. } => Code::ProviderMismatch,
            Self::NoProvider { .. } => Code::UnknownProvider,
            Self::IdTaken { .. } | Self::NameTaken { .. } => Code::IdTaken,
            Self::Busy { .. } => Code::RefreshInProgress,
            Self::NoCopy { .. } => Code::Corrupt,
            Self::NotKept { .. } => Code::NotWritable,
            Self::Resolve(e) => e.code(),
            Self::Read(e) => e.code(),
            Self::Lock(e) => e.code(),
            Self::Write(e) => e.code(),
        }
    }

    /// There is no such profile in this store. It may be one that the agent only borrows, which is another thing to say.
    pub(crate) fn unknown(auth: &Auth, id: &ProfileId, agent: &AgentPaths, doc: &AuthProfiles) -> Self {
        if let Ok(settings) = auth.settings(agent)
            && let Ok(Link::To(target)) = auth.follow(agent, &settings)
            && read_auth_store(&target.store()).is_ok_and(|store| store.doc.get(id).is_some())
        {
            return Self::Linked { id: id.clone(), agent: agent.agent.clone(), owner: target.agent };
        }
        let store = agent.store().display().to_string();
        Self::Unknown { id: id.clone(), store, known: doc.ids().take(8).collect() }
    }
}

/// Takes the lock of the agent's store, for a change that [`commit`] makes.
pub(crate) fn lock(auth: &Auth, agent: &AgentPaths) -> Result<StoreGuard, EditError> {
    Ok(StoreGuard::acquire(auth.state(), &agent.store())?)
}

/// Commits `doc` and reads it back. `touched` are the ids that may differ from what is there now.
pub(crate) fn commit(
    guard: &StoreGuard,
    doc: &AuthProfiles,
    touched: &[&ProfileId],
) -> Result<(), EditError> {
    let not_kept = || EditError::NotKept { store: guard.target().display().to_string() };
    // A store that is damaged beyond reading has nothing to keep; the commit sets it aside.
    if let Ok(before) = guard.read()
        && !doc.same_but_for(&before.doc, touched)
    {
        return Err(not_kept());
    }
    guard.commit(doc)?;
    if read_auth_store(guard.target())?.doc.to_text() == doc.to_text() { Ok(()) } else { Err(not_kept()) }
}

/// Changes what `auth-state.json` says about the use of profiles, where it says anything. The caller holds the lock
/// of the store.
pub(crate) fn forget_usage(
    auth: &Auth,
    agent: &AgentPaths,
    id: &ProfileId,
    to: Option<&ProfileId>,
) -> Result<(), EditError> {
    let path = agent.state();
    // Where there is no such file, the store's own usage counts, and that went with the entry.
    if !path.exists() {
        return Ok(());
    }
    let guard = StateGuard::acquire(auth.state(), &path)?;
    let mut usage = read_auth_state(guard.target(), &AuthProfiles::empty())?;
    if usage.forget(id, to) {
        guard.commit(&usage)?;
    }
    Ok(())
}

/// A fail point of an import or a logout.
pub(crate) fn fault(point: &'static str) -> Result<(), EditError> {
    coderclaw_store::faults::hit(point)
        .map_err(|source| EditError::Write(WriteError::Io { path: point.into(), source }))
}

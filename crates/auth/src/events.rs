//! What happened to the logins, told to the audit trail by the places that know.
//!
//! A line is written after the step that it speaks of, and a trail that cannot be written is no reason to fail: the step
//! has been taken. Looks tell nothing.

use std::path::Path;

use coderclaw_providers::CredentialKind;
use coderclaw_store::{
    AgentPaths, AuditLine, AuthProfiles, Entry, JournalView, Outcome, OutcomeKind, append_audit,
    read_auth_store, read_settings,
};
use coderclaw_types::{AgentId, Code, Fingerprint, GrantId, ProfileId, ProviderId, Secret, redact};

use crate::context::Auth;
use crate::lease::Lease;
use crate::moved::Moved;
use crate::revoke::Revocation;

/// The longest detail that is kept: what others say may be a whole page.
const LONGEST: usize = 500;

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A login, a token or a key was stored.
    Login,
    /// A credential came from another program's file.
    Import,
    /// A refresh ended.
    Refresh,
    /// A lease went to another program.
    Lend,
    /// A profile made way for the next.
    Failover,
    /// A profile came to need a new login.
    Quarantine,
    /// A credential that cannot renew itself ends soon.
    Expiring,
    /// A profile that needed somebody works again.
    Recovery,
    /// A profile was removed.
    Logout,
    /// A provider was told that a token has ended.
    Revocation,
    /// A profile got another id.
    Rename,
    /// An order was set or cleared.
    Order,
    /// A cooldown was ended by hand.
    CooldownClear,
    /// An agent was deleted, with the profiles that it had.
    AgentDelete,
    /// Somebody was told, or could not be.
    Alert,
}

impl Event {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Login,
        Self::Import,
        Self::Refresh,
        Self::Lend,
        Self::Failover,
        Self::Quarantine,
        Self::Expiring,
        Self::Recovery,
        Self::Logout,
        Self::Revocation,
        Self::Rename,
        Self::Order,
        Self::CooldownClear,
        Self::AgentDelete,
        Self::Alert,
    ];

    /// As it stands in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Import => "import",
            Self::Refresh => "refresh",
            Self::Lend => "lend",
            Self::Failover => "failover",
            Self::Quarantine => "quarantine",
            Self::Expiring => "expiring",
            Self::Recovery => "recovery",
            Self::Logout => "logout",
            Self::Revocation => "revocation",
            Self::Rename => "rename",
            Self::Order => "order",
            Self::CooldownClear => "cooldown_clear",
            Self::AgentDelete => "agent_delete",
            Self::Alert => "alert",
        }
    }
}

/// One event, before it is a line.
#[derive(Debug, Clone)]
pub(crate) struct Note {
    pub(crate) event: Event,
    pub(crate) agent: Option<AgentId>,
    pub(crate) provider: Option<ProviderId>,
    pub(crate) profile: Option<ProfileId>,
    pub(crate) was: Option<ProfileId>,
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) outcome: &'static str,
    pub(crate) code: Option<Code>,
    pub(crate) detail: Option<String>,
}

impl Note {
    pub(crate) fn new(event: Event, agent: &AgentPaths, outcome: &'static str) -> Self {
        Self {
            event,
            agent: Some(agent.agent.clone()),
            provider: None,
            profile: None,
            was: None,
            fingerprint: None,
            outcome,
            code: None,
            detail: None,
        }
    }

    /// The profile that it happened to.
    pub(crate) fn of(mut self, provider: Option<&ProviderId>, profile: &ProfileId) -> Self {
        (self.provider, self.profile) = (provider.cloned(), Some(profile.clone()));
        self
    }

    pub(crate) fn code(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into()).filter(|text| !text.is_empty());
        self
    }
}

impl Auth {
    /// Writes one line, unless the person wants none. A failure is nobody's business but the trail's.
    pub(crate) fn audit(&self, note: Note) {
        // Settings that are not understood do not say that there should be no trail.
        let audit = read_settings(self.state()).unwrap_or_default().audit;
        if !audit.enabled {
            return;
        }
        let line = AuditLine {
            at: self.clock().now(),
            event: note.event.as_str(),
            agent_id: note.agent,
            provider: note.provider,
            profile_id: note.profile,
            was: note.was,
            fingerprint: note.fingerprint,
            outcome: note.outcome,
            code: note.code.map(Code::as_str),
            pid: std::process::id(),
            command: self.command().to_owned(),
            detail: note.detail.map(|text| redact(&text).chars().take(LONGEST).collect()),
        };
        drop(append_audit(self.state(), &line, audit.max_bytes));
    }

    /// The same about a secret, which only its fingerprint stands for.
    pub(crate) fn audit_of(&self, secret: Option<&Secret>, mut note: Note) {
        note.fingerprint = secret.and_then(|secret| self.fingerprint(secret));
        self.audit(note);
    }

    /// Notes that a lease went to another program, by the way that `via` names, such as the key of a gateway.
    pub fn audit_lend(&self, lease: &Lease, via: &str) {
        self.audit_loan(lease, via, "lent");
    }

    /// Notes that a lease that was said to have gone to another program never got there.
    pub fn audit_not_lent(&self, lease: &Lease, via: &str) {
        self.audit_loan(lease, via, "not_started");
    }

    fn audit_loan(&self, lease: &Lease, via: &str, outcome: &'static str) {
        let mut note = Note::new(Event::Lend, &lease.owner, outcome).detail(via);
        (note.provider, note.profile) = (Some(lease.provider.clone()), lease.profile.clone());
        self.audit_of(Some(&lease.token), note);
    }

    /// Notes that a credential was taken over from another file.
    pub(crate) fn audit_import(&self, agent: &AgentPaths, profile: &ProfileId, source: &Path) {
        let store = read_auth_store(&agent.store()).map(|store| store.doc);
        let entry = store.ok().as_ref().and_then(|doc| doc.get(profile));
        let provider = entry.as_ref().and_then(Entry::provider).map(|provider| self.canonical(provider));
        let note = Note::new(Event::Import, agent, "stored").of(provider.as_ref(), profile);
        self.audit_of(entry.as_ref().and_then(lendable), note.detail(format!("from {}", source.display())));
    }

    /// Notes that an agent is gone, and which of its profiles went to the trash with it: one line for each of them, or
    /// one for the agent where it had none.
    pub fn audit_agent_delete(&self, agent: &AgentPaths, held: &AuthProfiles, trash: Option<&Path>) {
        let to = trash.map(|path| format!("moved to {}", path.display())).unwrap_or_default();
        let note = Note::new(Event::AgentDelete, agent, "deleted").detail(to);
        if held.ids().next().is_none() {
            self.audit(note.clone());
        }
        for (id, entry) in held.entries() {
            let provider = entry.provider().map(|provider| self.canonical(provider));
            self.audit_of(lendable(&entry), note.clone().of(provider.as_ref(), &id));
            self.forget_attention(agent, &id, None);
        }
    }

    pub(crate) fn audit_move(&self, agent: &AgentPaths, moved: &Moved) {
        let note = Note::new(Event::Failover, agent, "moved").of(Some(&moved.provider), &moved.from);
        let store = read_auth_store(&agent.store()).map(|store| store.doc);
        let entry = store.ok().as_ref().and_then(|doc| doc.get(&moved.from));
        self.audit_of(entry.as_ref().and_then(lendable), note.code(moved.code).detail(moved.to_string()));
    }

    /// Notes that a credential came into the store without a login.
    pub(crate) fn audit_stored(
        &self,
        agent: &AgentPaths,
        id: &ProfileId,
        entry: Option<&Entry>,
        outcome: &'static str,
    ) {
        let provider = entry.and_then(Entry::provider).map(|one| self.canonical(one));
        let note = Note::new(Event::Login, agent, outcome).of(provider.as_ref(), id);
        self.audit_of(entry.and_then(lendable), note);
    }

    pub(crate) fn audit_rename(
        &self,
        agent: &AgentPaths,
        id: &ProfileId,
        to: &ProfileId,
        entry: Option<&Entry>,
    ) {
        let provider = entry.and_then(Entry::provider).map(|one| self.canonical(one));
        let mut note = Note::new(Event::Rename, agent, "renamed").of(provider.as_ref(), to);
        note.was = Some(id.clone());
        self.audit_of(entry.and_then(lendable), note.detail(format!("was {id}")));
    }

    pub(crate) fn audit_order(&self, agent: &AgentPaths, provider: &ProviderId, order: Option<&[ProfileId]>) {
        let mut note = Note::new(Event::Order, agent, if order.is_some() { "set" } else { "cleared" });
        note.provider = Some(provider.clone());
        let ids: Vec<&str> = order.unwrap_or_default().iter().map(ProfileId::as_str).collect();
        self.audit(note.detail(ids.join(", ")));
    }

    /// What the provider was told about the tokens of a profile that is gone.
    pub(crate) fn audit_revocation(&self, note: &Note, what: &'static str, revocation: &Revocation) {
        let (outcome, why) = match revocation {
            Revocation::None | Revocation::NotTried(_) => return,
            Revocation::Done => ("revoked", None),
            Revocation::Failed(why) => ("failed", Some(why)),
        };
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let detail = Some(format!("{what}{why}"));
        self.audit(Note { event: Event::Revocation, outcome, detail, ..note.clone() });
    }

    /// The outcomes that a worker has added to the journal since the one numbered `from`.
    pub(crate) fn audit_refresh(
        &self,
        agent: &AgentPaths,
        profile: &ProfileId,
        grant: &GrantId,
        from: u64,
        failure: Option<Code>,
    ) {
        let Ok(journal) = JournalView::read(&self.state().journal(grant)) else { return };
        let store = read_auth_store(&agent.store()).map(|store| store.doc);
        let entry = store.ok().as_ref().and_then(|doc: &AuthProfiles| doc.get(profile));
        let provider = entry.as_ref().and_then(Entry::provider).map(|provider| self.canonical(provider));
        let access = match &entry {
            Some(Entry::OAuth(login)) => login.access.as_ref(),
            _ => None,
        };
        let note = |outcome| Note::new(Event::Refresh, agent, outcome).of(provider.as_ref(), profile);
        let mut is_told = false;
        for Outcome { kind, code, detail, clock_ahead, .. } in
            journal.outcomes.iter().filter(|one| one.seq >= from)
        {
            is_told = true;
            let clock = clock_ahead.map(|ms| {
                let side = if ms > 0 { "ahead of" } else { "behind" };
                format!("this machine's clock is {} s {side} the server's", ms.unsigned_abs() / 1000)
            });
            let parts: Vec<&str> = [Some(detail.as_str()), clock.as_deref()]
                .into_iter()
                .flatten()
                .filter(|p| !p.is_empty())
                .collect();
            self.audit_of(access, note(word(*kind)).code(*code).detail(parts.join("; ")));
        }
        if let Some(code) = failure.filter(|_| !is_told) {
            self.audit_of(access, note("failed").code(code));
        }
    }
}

/// The secret that stands for an entry: what would be lent of it.
fn lendable(entry: &Entry) -> Option<&Secret> {
    match entry {
        Entry::ApiKey(one) => one.key.as_ref(),
        Entry::Token(one) => one.token.as_ref(),
        Entry::OAuth(one) => one.access.as_ref(),
        Entry::Unknown { .. } | Entry::Damaged { .. } => None,
    }
}

fn word(kind: OutcomeKind) -> &'static str {
    match kind {
        OutcomeKind::Refreshed => "refreshed",
        OutcomeKind::Adopted => "adopted",
        OutcomeKind::Refused => "refused",
        OutcomeKind::Ambiguous => "ambiguous",
        OutcomeKind::NotSpent => "not_spent",
        OutcomeKind::Blocked => "blocked",
    }
}

/// What kind of thing was stored, for the detail of a login.
pub(crate) fn pasted(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::ApiKey => "an API key was pasted",
        _ => "a token was pasted",
    }
}

//! Who has to be told what about a login: that it needs somebody, that it ends soon, that it works again.
//!
//! Asked for where something has just been found out or stored: at the end of a refresh, by a report, after a login, and by
//! whoever looks after a state dir from time to time. Each trouble is told once, whoever finds it; the note of that is tied
//! to the token, so that new material ends it.

use std::time::Duration;

use coderclaw_store::{
    AgentPaths, AttentionGuard, Entry, JournalView, OutcomeKind, Told, read_attention, read_auth_store,
};
use coderclaw_types::{AgentId, Code, Fingerprint, GrantId, Millis, ProfileId, ProviderId, TokenHash};
use serde::Serialize;

use crate::context::Auth;
use crate::edit::EditError;
use crate::edit::fault;
use crate::events::{Event, Note};
use crate::grant::Refreshable;
use crate::resolve::ResolveError;
use crate::scene::{Scene, Seen, Whose};
use crate::standing::{Readiness, Standing, is_set_aside};

const DAY: Duration = Duration::from_secs(24 * 3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
/// Whoever began to tell something and has not ended by then was killed: no hook and no webhook may take so long.
const TELLING: Duration = Duration::from_secs(60);
/// What stands in a note in place of an urgency, while people are told that the profile works again.
const RECOVERED: &str = "recovered";

/// How urgent it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// It cannot renew itself, and ends within 7 days.
    EndsWithinAWeek,
    /// The same within 24 hours.
    EndsWithinADay,
    /// Nothing helps but a new login.
    NeedsLogin,
}

impl Urgency {
    fn as_str(self) -> &'static str {
        match self {
            Self::EndsWithinAWeek => "ends_within_a_week",
            Self::EndsWithinADay => "ends_within_a_day",
            Self::NeedsLogin => "needs_login",
        }
    }

    fn read(text: &str) -> Option<Self> {
        [Self::EndsWithinAWeek, Self::EndsWithinADay, Self::NeedsLogin]
            .into_iter()
            .find(|one| one.as_str() == text)
    }
}

/// What is told about one profile.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// `attention`, or `recovered`.
    pub event: &'static str,
    /// How urgent it is; `None` once it has recovered.
    pub urgency: Option<Urgency>,
    /// How the profile stands.
    pub code: &'static str,
    /// When it was found out.
    pub at: Millis,
    /// In which agent's store.
    pub agent_id: AgentId,
    /// Of which provider.
    pub provider: Option<ProviderId>,
    /// Which profile.
    pub profile_id: ProfileId,
    /// Identifies its token.
    pub fingerprint: Option<Fingerprint>,
    /// When that ends, where known.
    pub ends_at: Option<Millis>,
    /// More, for people.
    pub detail: Option<String>,
    /// The command to type.
    pub next: Option<String>,
    /// It was told before.
    pub told: bool,
}

/// How a profile stands in this regard.
struct Found {
    urgency: Option<Urgency>,
    /// It gives a token right now.
    works: bool,
    token: TokenHash,
    code: Code,
    detail: Option<String>,
    ends_at: Option<Millis>,
}

impl Auth {
    /// The agent's profiles that need somebody, and whether that was told already. Looks and changes nothing.
    ///
    /// # Errors
    /// Where the agent's files cannot be read.
    pub fn alerts(&self, agent: &AgentPaths) -> Result<Vec<Alert>, ResolveError> {
        let (scene, _) = Scene::look(self, agent)?;
        let told = read_attention(self.state())?;
        let mut all = Vec::new();
        for seen in scene.seen().iter().filter(|seen| seen.whose == Whose::Own) {
            let Some(found) = self.find(&scene, seen)? else { continue };
            let Some(urgency) = found.urgency else { continue };
            let known = told.told(&agent.agent, &seen.id);
            let is_told = known.is_some_and(|known| is_covered(&known, &found.token, urgency, scene.now()));
            all.push(Alert { told: is_told, ..self.alert(&scene, seen, &found) });
        }
        Ok(all)
    }

    /// Tells what there is to be told about the agent's profiles, and has not been told yet. What was told.
    ///
    /// # Errors
    /// Where the agent's files cannot be read, or what was told cannot be written down: then nobody is told.
    pub fn send_alerts(&self, agent: &AgentPaths) -> Result<Vec<Alert>, EditError> {
        self.attend_to(agent, |_| true)
    }

    /// The same for one profile, in passing: a failure is not the caller's.
    pub(crate) fn attend(&self, agent: &AgentPaths, profile: &ProfileId) {
        drop(self.attend_to(agent, |id| id == profile));
    }

    /// The same for every entry of a grant, in whatever agent.
    pub(crate) fn attend_grant(&self, grant: &GrantId) {
        for agent in self.state().agents(self.config()).unwrap_or_default() {
            let Ok(store) = read_auth_store(&agent.store()) else { continue };
            for one in Refreshable::all_in(self, &store, grant) {
                self.attend(&agent, &one.profile);
            }
        }
    }

    /// A profile that is gone is nobody's business any more; one that has another name keeps what was told about it.
    pub(crate) fn forget_attention(&self, agent: &AgentPaths, id: &ProfileId, to: Option<&ProfileId>) {
        let write = || -> Result<(), EditError> {
            if read_attention(self.state())?.told(&agent.agent, id).is_none() {
                return Ok(());
            }
            let guard = AttentionGuard::acquire(self.state())?;
            let mut told = read_attention(self.state())?;
            let known = told.told(&agent.agent, id);
            told.set(&agent.agent, id, None);
            if let Some(to) = to {
                told.set(&agent.agent, to, known.as_ref());
            }
            Ok(guard.commit(&told)?)
        };
        drop(write());
    }

    fn attend_to(
        &self,
        agent: &AgentPaths,
        is_meant: impl Fn(&ProfileId) -> bool,
    ) -> Result<Vec<Alert>, EditError> {
        let scene = Scene::read(self, agent)?;
        let mut news = Vec::new();
        for seen in scene.seen().iter().filter(|seen| seen.whose == Whose::Own && is_meant(&seen.id)) {
            let Some(found) = self.find(&scene, seen)? else { continue };
            // Nearly always there is nothing to tell, and then nothing is locked or written.
            if !is_news(read_attention(self.state())?.told(&agent.agent, &seen.id), &found, scene.now()) {
                continue;
            }
            fault("alert.found")?;
            let guard = AttentionGuard::acquire(self.state())?;
            let mut told = read_attention(self.state())?;
            // Somebody else may have told it while we waited.
            if !is_news(told.told(&agent.agent, &seen.id), &found, scene.now()) {
                continue;
            }
            let alert = self.alert(&scene, seen, &found);
            // Before anybody is told, so that others leave it to us; until it has ended, so that it is told by another if
            // we are killed.
            let note = Told {
                level: found.urgency.map_or(RECOVERED, Urgency::as_str).into(),
                token: found.token,
                at: alert.at,
                under_way: true,
            };
            told.set(&agent.agent, &seen.id, Some(&note));
            guard.commit(&told)?;
            drop(guard);
            fault("alert.marked")?;
            self.tell_alert(agent, &alert, found.code)?;
            news.push(alert);
        }
        Ok(news)
    }

    fn tell_alert(&self, agent: &AgentPaths, alert: &Alert, code: Code) -> Result<(), EditError> {
        let event = match alert.urgency {
            None => Event::Recovery,
            Some(Urgency::NeedsLogin) => Event::Quarantine,
            Some(_) => Event::Expiring,
        };
        let outcome = alert.urgency.map_or(RECOVERED, Urgency::as_str);
        let mut note = Note::new(event, agent, outcome).of(alert.provider.as_ref(), &alert.profile_id);
        note.fingerprint.clone_from(&alert.fingerprint);
        note.detail.clone_from(&alert.detail);
        self.audit(note.code(code));
        fault("alert.recorded")?;
        if !self.send_herald(alert) {
            self.end_telling(agent, &alert.profile_id, alert.at);
        }
        fault("alert.sent")
    }

    /// Notes that the telling which began `at` has come to its end, however it went.
    pub(crate) fn end_telling(&self, agent: &AgentPaths, id: &ProfileId, at: Millis) {
        let write = || -> Result<(), EditError> {
            let guard = AttentionGuard::acquire(self.state())?;
            let mut told = read_attention(self.state())?;
            let Some(known) = told.told(&agent.agent, id).filter(|known| known.under_way && known.at == at)
            else {
                return Ok(());
            };
            let note = Told { under_way: false, ..known };
            told.set(&agent.agent, id, Some(&note).filter(|note| note.level != RECOVERED));
            Ok(guard.commit(&told)?)
        };
        drop(write());
    }

    /// How an entry stands in this regard; `None` where that cannot be said.
    fn find(&self, scene: &Scene<'_>, seen: &Seen) -> Result<Option<Found>, ResolveError> {
        let shown = scene.shown(seen)?;
        // A cooldown passes by itself, and hides what lies below it.
        let standing = if is_set_aside(shown.reason) { scene.standing(seen)?.clone() } else { shown };
        let login = match &seen.entry {
            Entry::OAuth(login) => Refreshable::of(self, &seen.id, login),
            _ => None,
        };
        let token = match (&login, &standing.secret) {
            (Some(login), _) => login.token,
            (None, Some(secret)) => TokenHash::of(secret),
            (None, None) => return Ok(None),
        };
        let refused = match &login {
            Some(login) => {
                let journal = JournalView::read(&self.state().journal(&login.grant))?;
                let outcome = journal.outcome_of(&login.token);
                outcome.filter(|one| one.kind == OutcomeKind::Refused && !journal.logged_out).cloned()
            }
            None => None,
        };
        let (code, detail) = match refused {
            // The access token may go on for a while; the login is over all the same.
            Some(refused) => (refused.code, Some(refused.detail)),
            None => (standing.reason, standing.detail.clone()),
        };
        let ends_at = standing.valid_until;
        let urgency = urgency(code, &standing, login.is_some(), scene.now());
        let works = standing.readiness == Readiness::Now;
        Ok(Some(Found { urgency, works, token, code, detail, ends_at }))
    }

    fn alert(&self, scene: &Scene<'_>, seen: &Seen, found: &Found) -> Alert {
        Alert {
            event: if found.urgency.is_some() { "attention" } else { "recovered" },
            urgency: found.urgency,
            code: found.code.as_str(),
            at: scene.now(),
            agent_id: scene.own.agent.agent.clone(),
            provider: seen.provider.clone(),
            profile_id: seen.id.clone(),
            fingerprint: scene.fingerprint(seen),
            ends_at: found.ends_at,
            detail: found.detail.as_deref().map(|text| coderclaw_types::redact(text).into_owned()),
            next: found.urgency.map(|urgency| self.next_step(&scene.own.agent, seen, urgency)),
            told: false,
        }
    }

    /// The command that brings new material for this very profile.
    fn next_step(&self, agent: &AgentPaths, seen: &Seen, urgency: Urgency) -> String {
        let manifest = seen.provider.as_ref().and_then(|provider| self.registry().get(provider));
        let Some(manifest) = manifest else { return "coderclaw models status".into() };
        let mut command = crate::paste::way_in_for(manifest, &seen.entry);
        if !matches!(seen.entry, Entry::OAuth(_)) {
            if seen.id.as_str() != format!("{}:manual", manifest.id) {
                command.push_str(&format!(" --profile-id {}", shell_word(seen.id.as_str())));
            }
            // It works still, and is replaced only where somebody says so.
            if urgency != Urgency::NeedsLogin {
                command.push_str(" --replace");
            }
        }
        if agent.agent != self.config().default_agent() {
            command.push_str(&format!(" --agent {}", agent.agent));
        }
        command
    }
}

fn urgency(code: Code, standing: &Standing, renews: bool, now: Millis) -> Option<Urgency> {
    match code {
        Code::NeedsLogin
        | Code::Interrupted
        | Code::NeedsConsent
        | Code::Revoked
        | Code::Rejected
        | Code::Expired
        | Code::AccountBlocked => Some(Urgency::NeedsLogin),
        _ if renews || standing.readiness != Readiness::Now => None,
        _ => match standing.valid_until?.since(now) {
            left if left <= DAY => Some(Urgency::EndsWithinADay),
            left if left <= WEEK => Some(Urgency::EndsWithinAWeek),
            _ => None,
        },
    }
}

fn is_covered(known: &Told, token: &TokenHash, urgency: Urgency, now: Millis) -> bool {
    known.token == *token
        && Urgency::read(&known.level).is_some_and(|told| told >= urgency)
        && !was_broken_off(known, now)
}

/// Whether there is anything to tell beyond what was told.
fn is_news(known: Option<Told>, found: &Found, now: Millis) -> bool {
    match (known, found.urgency) {
        (None, urgency) => urgency.is_some(),
        (Some(known), Some(urgency)) => !is_covered(&known, &found.token, urgency, now),
        (Some(known), None) if known.level == RECOVERED => was_broken_off(&known, now),
        // With the very token that was told about, nothing has recovered before that works.
        (Some(known), None) => known.token != found.token || found.works,
    }
}

/// Whether whoever began to tell it was killed. A clock that was set back is no reason to wait for days.
fn was_broken_off(known: &Told, now: Millis) -> bool {
    known.under_way && (now.since(known.at) >= TELLING || known.at.since(now) >= TELLING)
}

/// A word that a shell takes as one word.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@+,=%".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

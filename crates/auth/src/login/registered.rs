//! "Sign in with ChatGPT", and whoever else registers a program anew for each person: as which client a login asks, and what its
//! answer says of that.
//!
//! The first login of an account asks as the client that the manifest names, and the answer brings the one that was registered.
//! It is written down before the code is exchanged, so that an exchange that fails registers nothing twice.

use coderclaw_oauth::Identity;
use coderclaw_providers::MethodKind;
use coderclaw_store::{
    AgentPaths, Entry, OAuthEntry, Registration, RegistrationError, RegistrationsGuard, read_auth_store,
    read_registrations,
};
use coderclaw_types::{Code, ProfileId, ProviderId};

use super::error::{LoginError, named};
use super::way::Way;
use super::{LoginRequest, fault};
use crate::context::Auth;
use crate::standing::{Readiness, standing};

/// What the registration is called on the vendor's pages, until the person calls it otherwise.
const NAME: &str = "CoderClaw";

/// As which client a login asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Registered {
    /// The client that was registered before; `None`: the answer brings one.
    pub(super) client_id: Option<String>,
    /// Whose client that is.
    pub(super) subject: Option<String>,
    /// Who is to log in.
    pub(super) email: Option<String>,
    /// The person is asked once more for what they had not allowed.
    asks_again: bool,
    host_id: String,
}

impl Registered {
    /// What the authorization request says besides.
    pub(super) fn parameters(&self) -> Vec<(String, String)> {
        let mut all = vec![("ext_agent_host_id", self.host_id.as_str())];
        if self.client_id.is_none() {
            all.push(("agent_name_hint", NAME));
        }
        if let Some(email) = &self.email {
            all.push(("login_hint", email));
        }
        if self.asks_again {
            all.push(("prompt", "consent"));
        }
        all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// The client that the answer is for. `named` is the one that it names.
    pub(super) fn answered(&self, named: Option<&str>, manifest_s: &str) -> Result<String, LoginError> {
        match (&self.client_id, named) {
            (Some(own), Some(named)) if own != named => {
                Err(LoginError::Denied("the answer is for another client than the one that asked".into()))
            }
            (Some(own), _) => Ok(own.clone()),
            (None, Some(named)) if is_client(named) && named != manifest_s => Ok(named.to_owned()),
            (None, _) => {
                Err(LoginError::Denied("the answer does not say as which client we are registered".into()))
            }
        }
    }
}

/// What somebody's first login asks for besides, from the machine of this name.
pub(crate) fn first_parameters(host_id: &str) -> Vec<(String, String)> {
    Registered { host_id: host_id.to_owned(), ..Registered::default() }.parameters()
}

/// One word, of a sensible length (RFC 6749 appendix A.1).
fn is_client(id: &str) -> bool {
    (1..=256).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A login that `request` may be about, by its profile.
struct Known {
    id: ProfileId,
    entry: OAuthEntry,
    /// It lends nothing any more.
    is_dead: bool,
    /// Its owner has not allowed what it is for.
    lacks_consent: bool,
}

impl Auth {
    /// As which client this login asks; `None` where the manifest's own is always the one. Gives this machine a name.
    ///
    /// The profile or the person that was asked for decides. Without either it is the registration whose login never came to
    /// its end, else the one account that has no working login here; else it is another account, and it is registered.
    pub(super) fn registered(
        &self,
        agent: &AgentPaths,
        way: &Way<'_>,
        request: &LoginRequest,
    ) -> Result<Option<Registered>, LoginError> {
        if way.method.method != MethodKind::Siwc {
            return Ok(None);
        }
        let issuer = issuer(way);
        let host_id = RegistrationsGuard::acquire(self.state())?.host_id(self.state())?;
        let known = self.known(agent, way)?;
        let all = read_registrations(self.state())?.of(issuer);
        let renew = |known: &Known| Registered {
            client_id: known.entry.client_id.clone(),
            subject: known.entry.subject.clone(),
            email: known.entry.email.clone(),
            asks_again: known.lacks_consent,
            host_id: host_id.clone(),
        };
        let again = |one: &Registration| Registered {
            client_id: Some(one.client_id.clone()),
            subject: one.subject.clone(),
            email: one.email.clone(),
            asks_again: false,
            host_id: host_id.clone(),
        };
        let new = || Registered { host_id: host_id.clone(), ..Registered::default() };
        if let Some(id) = &request.profile_id {
            let it = known.iter().find(|known| known.id == *id).filter(|_| !request.replace);
            return Ok(Some(it.map_or_else(new, renew)));
        }
        let is_person = |subject: &Option<String>, email: &Option<String>, who: &str| {
            subject.as_deref() == Some(who)
                || email.as_ref().is_some_and(|email| email.to_lowercase() == who.to_lowercase())
        };
        if let Some(who) = &request.expect {
            let it = known.iter().find(|known| is_person(&known.entry.subject, &known.entry.email, who));
            let registered = all.iter().rfind(|one| is_person(&one.subject, &one.email, who));
            let email = who.contains('@').then(|| who.clone());
            let new = || Registered { email, ..new() };
            return Ok(Some(it.map(renew).or_else(|| registered.map(again)).unwrap_or_else(new)));
        }
        let holder = |one: &Registration| {
            known.iter().find(|known| known.entry.client_id.as_deref() == Some(one.client_id.as_str()))
        };
        let unfinished = all.iter().rfind(|one| one.subject.is_none() && holder(one).is_none());
        if let Some(one) = unfinished {
            return Ok(Some(again(one)));
        }
        // Of a person who was registered twice, the newest counts.
        let newest = all.iter().enumerate().filter(|(at, one)| {
            one.subject.is_some() && all[at + 1..].iter().all(|later| later.subject != one.subject)
        });
        let mut idle = newest
            .map(|(_, one)| (one, known.iter().find(|known| known.entry.subject == one.subject)))
            .filter(|(_, known)| known.is_none_or(|known| known.is_dead));
        Ok(Some(match (idle.next(), idle.next()) {
            (Some((_, Some(known))), None) => renew(known),
            (Some((one, None)), None) => again(one),
            _ => new(),
        }))
    }

    /// The logins of this provider in the agent's store.
    fn known(&self, agent: &AgentPaths, way: &Way<'_>) -> Result<Vec<Known>, LoginError> {
        let provider = ProviderId::new(&way.manifest.id);
        let store = read_auth_store(&agent.store())?;
        let now = self.clock().now();
        let look = |(id, entry): (ProfileId, Entry)| {
            let standing = standing(self, &store, &id, &entry, now).ok();
            let Entry::OAuth(login) = entry else { return None };
            let lacks_consent = standing.as_ref().is_some_and(|one| one.reason == Code::NeedsConsent);
            let is_dead = standing.is_some_and(|one| one.readiness == Readiness::Never);
            (self.canonical(&login.provider) == provider && login.client_id.is_some()).then(|| Known {
                id,
                entry: *login,
                is_dead,
                lacks_consent,
            })
        };
        Ok(store.doc.entries().filter_map(look).collect())
    }

    /// Writes down the client that an answer has named, before anything is done with its code.
    pub(super) fn note_client(&self, way: &Way<'_>, client_id: &str) -> Result<(), LoginError> {
        let one = Registration { client_id: client_id.to_owned(), subject: None, email: None };
        self.note_registration(way, &one)?;
        fault("login.registered")
    }

    /// Writes down whose client it is. The login is stored by then, and says so itself: what fails here costs nothing.
    pub(super) fn note_owner(&self, way: &Way<'_>, client_id: &str, identity: &Identity) {
        if way.method.method != MethodKind::Siwc {
            return;
        }
        let (subject, email) = (identity.subject.clone(), identity.email.clone());
        let one = Registration { client_id: client_id.to_owned(), subject, email };
        drop(self.note_registration(way, &one));
    }

    fn note_registration(&self, way: &Way<'_>, one: &Registration) -> Result<(), LoginError> {
        let guard = RegistrationsGuard::acquire(self.state())?;
        Ok(guard.note(self.state(), issuer(way), one, self.clock().now())?)
    }

    /// What a login that waited in a file had asked as.
    pub(super) fn registered_as(
        &self,
        way: &Way<'_>,
        client_id: Option<String>,
    ) -> Result<Registered, LoginError> {
        let all = read_registrations(self.state())?.of(issuer(way));
        let known = all.into_iter().find(|one| Some(&one.client_id) == client_id.as_ref());
        let (subject, email) = known.map(|one| (one.subject, one.email)).unwrap_or_default();
        Ok(Registered { client_id, subject, email, ..Registered::default() })
    }
}

/// The registration is one person's: with it, nobody else logs in.
pub(super) fn check_owner(
    subject: Option<&str>,
    email: Option<&str>,
    identity: &Identity,
) -> Result<(), LoginError> {
    match (subject, identity.subject.as_deref()) {
        (Some(wanted), Some(came)) if wanted != came => Err(LoginError::OtherIdentity {
            expected: named(email.or(Some(wanted)), None),
            got: named(identity.email.as_deref().or(Some(came)), None),
        }),
        _ => Ok(()),
    }
}

fn issuer<'a>(way: &'a Way<'_>) -> &'a str {
    way.method.issuer.as_deref().unwrap_or(&way.endpoint.origin)
}

impl From<RegistrationError> for LoginError {
    fn from(error: RegistrationError) -> Self {
        match error {
            RegistrationError::Read(e) => e.into(),
            RegistrationError::Write(e) => e.into(),
        }
    }
}

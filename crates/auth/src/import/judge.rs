//! Is an entry of another program new, known, newer or older, and may it come in?

use coderclaw_oauth::{Identity, IdentityPointers, read_identity};
use coderclaw_providers::CredentialKind;
use coderclaw_store::{AuthProfiles, Entry, OAuthEntry, StoreSnapshot};
use coderclaw_types::{ProfileId, Secret};
use serde::Serialize;

use crate::context::Auth;
use crate::edit::EditError;
use crate::grant::{Endpoint, life};
use crate::identity::is_login_of;
use crate::prune::StayOut;
use crate::standing::{Readiness, standing};

/// What becomes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportVerdict {
    /// It is not here yet, and comes in.
    New,
    /// It replaces the same person's older login, which does not serve at the moment.
    Newer,
    /// It is here already.
    Same,
    /// The one here is as new or newer, or this one was spent here.
    Older,
    /// It is newer, and the one here still serves: that one stays.
    Kept,
    /// The id holds a credential of somebody else, or of nobody knows whom.
    IdTaken,
    /// It was logged out here.
    LoggedOut,
    /// It would come in, and two programs would then use one refresh token, which nobody has asked for.
    NotShared,
    /// It is not an entry.
    Damaged,
}

impl ImportVerdict {
    /// Whether it comes in.
    pub(crate) fn is_taken(self) -> bool {
        matches!(self, Self::New | Self::Newer)
    }
}

type Judged = (ImportVerdict, Option<String>);

impl Auth {
    /// What becomes of the entry `id` of `source` beside `ours`.
    pub(super) fn judge(
        &self,
        ours: &StoreSnapshot,
        source: &AuthProfiles,
        id: &ProfileId,
        theirs: &Entry,
    ) -> Result<Judged, EditError> {
        if let Entry::Damaged { why } = theirs {
            return Ok((ImportVerdict::Damaged, Some(why.clone())));
        }
        if ours.doc.is_same(source, id) {
            return Ok((ImportVerdict::Same, None));
        }
        if let Some(known) = holder_of(&ours.doc, theirs) {
            let detail = (known != *id).then(|| format!("it is here as {known}"));
            return Ok((ImportVerdict::Same, detail));
        }
        match self.must_stay_out(&ours.doc, id, theirs)? {
            Some(why @ StayOut::LoggedOut) => return Ok((ImportVerdict::LoggedOut, Some(why.to_string()))),
            Some(why @ StayOut::Spent) => return Ok((ImportVerdict::Older, Some(why.to_string()))),
            Some(StayOut::Held(known)) if known != *id => {
                let detail = format!("another state of the same login is here as {known}");
                return Ok((ImportVerdict::Older, Some(detail)));
            }
            Some(StayOut::Held(_)) | None => {}
        }
        let Some(mine) = ours.doc.get(id) else { return Ok((ImportVerdict::New, None)) };
        let taken = || Ok((ImportVerdict::IdTaken, None));
        let readiness = standing(self, ours, id, &mine, self.clock().now())?.readiness;
        let same_provider = mine
            .provider()
            .map(|one| self.canonical(one))
            .is_some_and(|mine| theirs.provider().map(|one| self.canonical(one)) == Some(mine));
        match (&mine, theirs) {
            _ if !same_provider => taken(),
            (Entry::OAuth(mine), Entry::OAuth(theirs)) => {
                if !self.is_same_person(mine, theirs) {
                    return taken();
                }
                Ok(match (is_newer(theirs, mine), readiness) {
                    (false, _) => (ImportVerdict::Older, None),
                    (true, Readiness::Now) => (ImportVerdict::Kept, Some("the one here works".into())),
                    (true, _) => (ImportVerdict::Newer, None),
                })
            }
            // Nobody can tell whose a key or a token is; one that has ended is of no use to anybody.
            (Entry::Token(mine), Entry::Token(_)) if readiness == Readiness::Never && !mine.is_ref => {
                Ok((ImportVerdict::Newer, Some("the one here has ended".into())))
            }
            _ => taken(),
        }
    }

    fn is_same_person(&self, mine: &OAuthEntry, theirs: &OAuthEntry) -> bool {
        let mut mine = mine.clone();
        let of = |entry: &OAuthEntry| self.identity_of(entry);
        let known = of(&mine);
        (mine.subject, mine.email) = (known.subject, known.email);
        (mine.account_id, mine.issuer) = (known.account, known.issuer);
        is_login_of(&mine, &of(theirs))
    }

    /// What the entry says of its owner, else what its access token says.
    fn identity_of(&self, entry: &OAuthEntry) -> Identity {
        let method = self.registry().get(&self.canonical(&entry.provider));
        let method = method.and_then(|manifest| manifest.auth_for(CredentialKind::OAuth));
        let pointers =
            method.and_then(Endpoint::of).map_or_else(IdentityPointers::default, |one| one.identity);
        let said =
            entry.access.as_ref().map(|access| read_identity(access, None, &pointers)).unwrap_or_default();
        Identity {
            issuer: entry.issuer.clone().or(said.issuer),
            subject: entry.subject.clone().or(said.subject),
            email: entry.email.clone().or(said.email),
            account: entry.account_id.clone().or(said.account),
            plan: None,
            name: None,
        }
    }
}

/// By the time of issue, else by the end. What says neither is not newer.
fn is_newer(theirs: &OAuthEntry, mine: &OAuthEntry) -> bool {
    let (Some(theirs), Some(mine)) = (life(theirs), life(mine)) else { return false };
    match (theirs.issued_at, mine.issued_at) {
        (Some(theirs), Some(mine)) => theirs > mine,
        _ => theirs.expires > mine.expires,
    }
}

/// The entry of `doc` that holds the same secret. A login is told by its refresh token.
fn holder_of(doc: &AuthProfiles, theirs: &Entry) -> Option<ProfileId> {
    let telling = |entry: &Entry| -> Option<Secret> {
        match entry {
            Entry::ApiKey(one) => one.key.clone(),
            Entry::Token(one) => one.token.clone(),
            Entry::OAuth(one) => one.refresh.clone().or_else(|| one.access.clone()),
            Entry::Unknown { .. } | Entry::Damaged { .. } => None,
        }
    };
    let wanted = telling(theirs)?;
    doc.entries().find(|(_, entry)| telling(entry).as_ref() == Some(&wanted)).map(|(id, _)| id)
}

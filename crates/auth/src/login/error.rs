//! How a login can fail.

use coderclaw_oauth::callback::WaitError;
use coderclaw_oauth::{BadIdToken, DiscoveryError, Identity, NoRandom};
use coderclaw_providers::{Manifest, MethodKind};
use coderclaw_store::{LockError, ReadError, WriteError};
use coderclaw_types::{Code, ProfileId};

use super::Door;
use crate::edit::EditError;

/// Why a login did not complete. What was stored before is untouched in every case.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The provider has no login of this kind.
    #[error("{provider} has no {what}")]
    NoMethod {
        /// Which provider.
        provider: String,
        /// What it does not have.
        what: &'static str,
    },
    /// The provider's client is the person's own, and no file names it.
    #[error(
        "{provider} wants an OAuth client of your own: write `extends = \"{provider}\"`, `[[auth]]`, `method = \"{method}\"` and \
         its `client_id` into a file in providers/ of the state dir"
    )]
    NoClient {
        /// Which provider.
        provider: String,
        /// Which method of it.
        method: MethodKind,
    },
    /// The provider gives out no codes for other devices.
    #[error("{0}")]
    NoCodes(String),
    /// The browser cannot come back, and nothing can be pasted.
    #[error("{0}")]
    InputRequired(String),
    /// The provider or the user said no.
    #[error("the provider ended the login: {0}")]
    Denied(String),
    /// The browser never came back with a code.
    #[error(transparent)]
    Wait(WaitError),
    /// What was handed to a login that waited in a file is not its answer. The login goes on waiting.
    #[error("{0}")]
    NotTheAnswer(String),
    /// No login with this id waits.
    #[error("no login with this id waits: it is done, or too old, or was begun in another state dir")]
    UnknownLogin,
    /// The login with this id waited for too long.
    #[error("this login was begun more than 15 minutes ago")]
    Expired,
    /// The issuer did not say where its endpoints are.
    #[error("the login cannot begin: {0}")]
    Discovery(#[from] DiscoveryError),
    /// The exchange of the code failed.
    #[error("the code could not be exchanged: {0}")]
    Exchange(String),
    /// The id_token does not prove who logged in.
    #[error("the id_token of this login proves nothing: {0}")]
    IdToken(BadIdToken),
    /// Nobody can tell whether it does.
    #[error("the keys of {issuer}, without which its id_token proves nothing, cannot be had: {why}")]
    NoKeys {
        /// Whose keys.
        issuer: String,
        /// The cause.
        why: String,
    },
    /// The program of a plugin was of no use.
    #[error("{0}; nothing was stored")]
    Plugin(String),
    /// A scope that is needed was not granted.
    #[error("the provider did not grant the scope {scope}")]
    MissingScope {
        /// Which one.
        scope: String,
    },
    /// Somebody else logged in than was expected.
    #[error("{expected} was expected, and {got} logged in; nothing was stored")]
    OtherIdentity {
        /// Who was expected.
        expected: String,
        /// Who came.
        got: String,
    },
    /// The login was refused here, and what became of it at the provider.
    #[error("{error}; {fate}")]
    GivenBack {
        /// Why it was refused.
        error: Box<LoginError>,
        /// What became of it.
        fate: String,
    },
    /// The id holds another login.
    #[error("{id} holds the login of somebody else; choose another id with --profile-id, or --replace it")]
    IdTaken {
        /// Which id.
        id: ProfileId,
    },
    /// What was stored is not what was read back.
    #[error("the store did not keep the login")]
    NotKept,
    /// Something on this machine.
    #[error("{0}")]
    Local(String),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store does not take the key.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The store's lock cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The store, or another file, cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<NoRandom> for LoginError {
    fn from(error: NoRandom) -> Self {
        Self::Local(error.to_string())
    }
}

impl LoginError {
    pub(super) fn no_method(manifest: &Manifest, door: Door) -> Self {
        let what = if door == Door::Device { "login by a code" } else { "browser login" };
        Self::NoMethod { provider: manifest.name.to_string(), what }
    }

    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Denied(_) | Self::NoCodes(_) => Code::LoginDenied,
            Self::GivenBack { error, .. } => error.code(),
            Self::IdTaken { .. } => Code::IdTaken,
            Self::InputRequired(_) => Code::InputRequired,
            Self::OtherIdentity { .. } => Code::OtherIdentity,
            Self::IdToken(_) => Code::IdTokenInvalid,
            Self::Edit(e) => e.code(),
            Self::Read(e) => e.code(),
            Self::Lock(e) => e.code(),
            Self::Write(e) => e.code(),
            Self::NoMethod { .. } | Self::NoClient { .. } => Code::Usage,
            Self::Plugin(_) => Code::PluginFailed,
            Self::Wait(_)
            | Self::NotTheAnswer(_)
            | Self::UnknownLogin
            | Self::Expired
            | Self::Discovery(_)
            | Self::Exchange(_)
            | Self::NoKeys { .. }
            | Self::MissingScope { .. }
            | Self::NotKept
            | Self::Local(_) => Code::LoginFailed,
        }
    }
}

/// A person and a workspace, in words.
pub(super) fn named(person: Option<&str>, workspace: Option<&str>) -> String {
    let fit = |text: &str| coderclaw_oauth::for_people(text).unwrap_or_default();
    match (person, workspace) {
        (Some(person), Some(workspace)) => format!("{} in workspace {}", fit(person), fit(workspace)),
        (Some(person), None) => fit(person),
        (None, Some(workspace)) => format!("workspace {}", fit(workspace)),
        (None, None) => "somebody whose tokens do not say who it is".into(),
    }
}

/// Refuses everybody but who is expected. An e-mail address counts in any case of its letters; what the tokens do not say is
/// not taken for granted.
pub(super) fn check_expected(
    identity: &Identity,
    person: Option<&str>,
    workspace: Option<&str>,
) -> Result<(), LoginError> {
    let is_person = person.is_none_or(|person| {
        identity.email.as_ref().is_some_and(|email| email.to_lowercase() == person.to_lowercase())
            || identity.subject.as_deref() == Some(person)
    });
    let is_there = workspace.is_none_or(|workspace| identity.account.as_deref() == Some(workspace));
    if is_person && is_there {
        return Ok(());
    }
    let came = identity.email.as_deref().or(identity.subject.as_deref());
    Err(LoginError::OtherIdentity {
        expected: named(person, workspace),
        got: named(came, identity.account.as_deref()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C10: the person by e-mail or subject, the workspace by its id; both where both are given.
    #[test]
    fn c10_who_is_expected() {
        let identity = Identity {
            subject: Some("s-1".into()),
            email: Some("Me@x.test".into()),
            account: Some("w-1".into()),
            ..Identity::default()
        };
        let ok = |person, workspace| check_expected(&identity, person, workspace).is_ok();
        assert!(
            ok(None, None)
                && ok(Some("me@X.test"), None)
                && ok(Some("s-1"), Some("w-1"))
                && ok(None, Some("w-1"))
        );
        assert!(
            !ok(Some("you@x.test"), None) && !ok(Some("S-1"), None) && !ok(Some("me@x.test"), Some("w-2"))
        );
        let nobody = check_expected(&Identity::default(), Some("me@x.test"), Some("w-1"));
        let said = nobody.unwrap_err().to_string();
        assert!(
            said.starts_with("me@x.test in workspace w-1 was expected") && said.contains("do not say"),
            "{said}"
        );
    }
}

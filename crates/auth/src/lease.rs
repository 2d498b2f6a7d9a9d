//! A token on loan.

use coderclaw_providers::CredentialKind;
use coderclaw_store::AgentPaths;
use coderclaw_types::{Millis, ProfileId, ProviderId, Secret};

use crate::moved::Moved;

/// The source of a lease on nothing: the provider asks for no credential.
pub(crate) const KEYLESS: &str = "none";

/// The source of a lease on a secret that its profile only refers to.
pub(crate) const ELSEWHERE: &str = "reference";

/// An access token, a static token or a key, lent for use. Never a refresh token: there is no field for one. What
/// identifies it on a screen is [`Auth::fingerprint`](crate::Auth::fingerprint).
#[derive(Debug, Clone)]
pub struct Lease {
    /// Whose API it opens.
    pub provider: ProviderId,
    /// The profile it comes from; `None` where it comes from the environment or the config.
    pub profile: Option<ProfileId>,
    /// Whose store and usage that profile is in: the agent that asked, or the one that it is linked to.
    pub owner: AgentPaths,
    /// `profile`, `reference` where that only says where the secret is kept, `env:NAME`, `config`, or `none` where no
    /// credential is needed.
    pub source: String,
    /// What kind of credential it is.
    pub kind: CredentialKind,
    /// The secret itself.
    pub token: Secret,
    /// The workspace it belongs to, where known.
    pub account_id: Option<String>,
    /// Until when it works; `None` where no end is known.
    pub valid_until: Option<Millis>,
    /// When it was lent.
    pub lent_at: Millis,
    /// It is lent in place of a token that the provider had just rejected: if it is rejected too, refreshing does not
    /// help.
    pub after_rejection: bool,
    /// The profile that should have been lent turned out to need a login, and this one took over.
    pub moved: Option<Box<Moved>>,
    /// The header lines that the API needs, the credential's first.
    pub headers: Vec<(String, Secret)>,
    /// The variables that a program needs.
    pub env: Vec<(String, Secret)>,
}

impl Lease {
    /// The profile it comes from, or else the source: a word for people.
    pub fn whose(&self) -> &str {
        self.profile.as_ref().map_or(self.source.as_str(), ProfileId::as_str)
    }

    /// Whether another token may be had after this one was rejected: by a refresh, or from where it is kept.
    pub fn renews(&self) -> bool {
        self.kind == CredentialKind::OAuth || self.is_fetched()
    }

    /// Whether it was fetched from where its profile says that it is kept.
    pub(crate) fn is_fetched(&self) -> bool {
        self.source == ELSEWHERE
    }

    /// No credential is needed: the token is empty, and no header carries it.
    pub fn is_keyless(&self) -> bool {
        self.source == KEYLESS
    }

    /// How it is presented: `Bearer`, `api_key` for a header of its own, or `none`.
    pub fn token_type(&self) -> &'static str {
        let is_bearer =
            self.headers.first().is_some_and(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        match self.kind {
            _ if self.is_keyless() => "none",
            CredentialKind::ApiKey if !is_bearer => "api_key",
            _ => "Bearer",
        }
    }
}

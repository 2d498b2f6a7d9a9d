//! Finding the one token in what a person has pasted, or saying why it will not do.
//!
//! Nothing of what was pasted appears in any message.

mod find;
mod kinds;
#[cfg(test)]
mod tests;

use coderclaw_providers::{AuthMethod, CredentialKind, Manifest, MethodKind, Rejected};
use coderclaw_types::{Code, Secret};

use find::Found;
use kinds::Known;
pub(crate) use kinds::way_in_for;

/// A terminal of the usual width cuts what is copied from it here.
const TERMINAL_WIDTH: usize = 80;
/// No credential is shorter.
const SHORTEST: usize = 8;

/// What a paste is meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasteKind {
    /// What a vendor's own program prints for use elsewhere.
    SetupToken,
    /// Any static bearer token.
    Token,
    /// A key that is billed per use.
    ApiKey,
}

impl PasteKind {
    /// What it becomes in the store.
    pub fn makes(self) -> CredentialKind {
        match self {
            Self::SetupToken | Self::Token => CredentialKind::Token,
            Self::ApiKey => CredentialKind::ApiKey,
        }
    }

    fn method(self, manifest: &Manifest) -> Option<&AuthMethod> {
        match self {
            Self::SetupToken => manifest.auth(MethodKind::SetupToken),
            Self::Token | Self::ApiKey => manifest.auth_for(self.makes()),
        }
    }
}

/// The token that was found.
#[derive(Debug, Clone)]
pub struct Cleaned {
    /// The token alone.
    pub secret: Secret,
    /// Something about it is unusual, and it was taken because the person insisted.
    pub forced: bool,
    /// It is one of those that end a year after they were made.
    pub lasts_a_year: bool,
}

/// Why a paste is refused. What was stored before is untouched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasteProblem {
    /// There is nothing.
    #[error("nothing was pasted")]
    Nothing,
    /// There are words, and nothing that could be a token.
    #[error("there is no token in what was pasted")]
    NoToken,
    /// There are several tokens.
    #[error("{count} different tokens were pasted; paste one")]
    Several {
        /// How many.
        count: usize,
    },
    /// A line break may end the token or be part of how it was copied.
    #[error("it cannot be told where the token ends; paste the token alone, on one line")]
    Unclear,
    /// Part of it is missing.
    #[error("it looks truncated ({length} characters); copy the whole token, on one line")]
    Truncated {
        /// How much there is.
        length: usize,
    },
    /// It is another kind of credential.
    #[error("this is {what}")]
    OtherKind {
        /// What it is.
        what: String,
        /// The command that is right for it.
        command: String,
        /// `--force` stores it all the same.
        forcible: bool,
    },
    /// It does not begin as such credentials do.
    #[error(
        "{name} credentials of this kind begin with {expected}, and this does not; --force stores it all the same"
    )]
    UnknownPrefix {
        /// The provider's name.
        name: String,
        /// How they begin.
        expected: String,
    },
    /// It is not of the right shape.
    #[error("{why}")]
    Shape {
        /// In the words of the check.
        why: String,
    },
    /// The provider has no credential of this kind.
    #[error("{name} takes no credential of this kind; --force stores it all the same")]
    NoMethod {
        /// The provider's name.
        name: String,
        /// What it takes instead.
        command: String,
    },
}

impl PasteProblem {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Nothing => Code::InputRequired,
            _ => Code::Usage,
        }
    }

    /// The one command to type instead, where it is another one.
    pub fn command(&self) -> Option<&str> {
        match self {
            Self::OtherKind { command, .. } | Self::NoMethod { command, .. } => Some(command),
            _ => None,
        }
    }
}

/// The one token in `raw`, which may come with line breaks, blanks, escape sequences of a terminal, words around it,
/// quotes, or as an assignment.
///
/// With `force`, a token of an unknown kind is taken; one of a known other kind, or a part of one, never is.
///
/// # Errors
/// [`PasteProblem`] says why there is none.
pub fn clean_token(
    raw: &Secret,
    manifest: &Manifest,
    kind: PasteKind,
    force: bool,
) -> Result<Cleaned, PasteProblem> {
    let method = kind.method(manifest);
    if method.is_none() && !force {
        return Err(PasteProblem::NoMethod {
            name: manifest.name.to_string(),
            command: kinds::way_in(manifest),
        });
    }
    let own_prefix = method.and_then(prefix);
    let text = find::tidy(raw.expose());
    if text.trim().is_empty() {
        return Err(PasteProblem::Nothing);
    }
    let whole = |token: &str| match method {
        Some(method) if own_prefix.as_deref().is_some_and(|prefix| token.starts_with(prefix)) => {
            // At that length it may as well have been cut, and go on behind the break.
            token.len() != TERMINAL_WIDTH && method.accepts(&Secret::from(token)).is_ok()
        }
        // Nobody knows how long other kinds are: enough not to be a mere prefix.
        _ => token.len() >= 40,
    };
    let found = find::find(&text, own_prefix.as_deref(), &whole)?;
    let token = choose(found, method)?;
    // Two that ran together, where a screen was drawn over.
    if own_prefix.as_deref().is_some_and(|prefix| token.match_indices(prefix).nth(1).is_some()) {
        return Err(PasteProblem::Unclear);
    }

    let known = Known::of(&token);
    let is_foreign = match &known {
        Some(known) => known.check(manifest, kind, force)?,
        None => false,
    };
    let length = token.len();
    let is_own = own_prefix.as_deref().is_some_and(|prefix| token.starts_with(prefix));
    let secret = Secret::from(token);
    let mut forced = is_foreign || method.is_none();
    match method.map_or(Ok(()), |method| method.accepts(&secret)) {
        Ok(()) => {}
        Err(Rejected::Blank) => return Err(PasteProblem::Nothing),
        Err(Rejected::Shape { .. }) if is_own => return Err(PasteProblem::Truncated { length }),
        Err(Rejected::Prefix { .. } | Rejected::Shape { .. }) if force => forced = true,
        Err(Rejected::Prefix { prefix: expected }) => {
            return Err(PasteProblem::UnknownPrefix { name: manifest.name.to_string(), expected });
        }
        Err(e) => return Err(PasteProblem::Shape { why: e.to_string() }),
    }
    let is_cut = length < SHORTEST || (kind != PasteKind::ApiKey && length == TERMINAL_WIDTH);
    if is_cut && !force {
        return Err(PasteProblem::Truncated { length });
    }
    let lasts_a_year = known.is_some_and(|known| known.lasts_a_year());
    Ok(Cleaned { secret, forced: forced || is_cut, lasts_a_year })
}

/// One token of those that were found; where there are several, the only one of the right kind.
fn choose(mut found: Vec<Found>, method: Option<&AuthMethod>) -> Result<String, PasteProblem> {
    let fits = |one: &Found| match (one, method) {
        (Found::Token(token), Some(method)) => {
            prefix(method).is_some() && method.accepts(&Secret::from(token.as_str())).is_ok()
        }
        _ => false,
    };
    if found.len() > 1 && found.iter().filter(|one| fits(one)).count() == 1 {
        found.retain(fits);
    }
    match found.len() {
        0 => Err(PasteProblem::NoToken),
        1 => match found.remove(0) {
            Found::Token(token) => Ok(token),
            Found::Unclear => Err(PasteProblem::Unclear),
        },
        count => Err(PasteProblem::Several { count }),
    }
}

/// What every credential of the method begins with: the check itself says it about something that cannot be one.
fn prefix(method: &AuthMethod) -> Option<String> {
    match method.accepts(&Secret::from("?")) {
        Err(Rejected::Prefix { prefix }) => Some(prefix),
        _ => None,
    }
}

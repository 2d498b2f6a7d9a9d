//! Credentials that can be told by how they begin.

use coderclaw_providers::{CredentialKind, Manifest, MethodKind};
use coderclaw_store::Entry;
use coderclaw_types::ProviderId;

use super::{PasteKind, PasteProblem};

/// What a beginning means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// A key of this provider.
    Key(&'static str),
    /// A static token of this provider, which ends after a year.
    YearToken(&'static str),
    /// A static token of this provider.
    Token(&'static str),
    /// Of no use here in any slot.
    Useless(&'static str),
    /// A signed token, as logins have them.
    Jwt,
}

const KNOWN: &[(&str, Sort, &str)] = &[
    ("sk-ant-api", Sort::Key("anthropic"), "an Anthropic API key, which is billed per use"),
    ("sk-ant-oat", Sort::YearToken("anthropic"), "a token of a Claude subscription"),
    (
        "sk-ant-ort",
        Sort::Useless("anthropic"),
        "the refresh token of another program's login: the first refresh here would log that program out",
    ),
    ("sk-ant-admin", Sort::Useless("anthropic"), "an Anthropic admin key, which no model takes"),
    ("sk-ant-sid", Sort::Useless("anthropic"), "the cookie of a browser, which is nobody else's business"),
    ("sk-proj-", Sort::Key("openai"), "an OpenAI API key, which is billed per use"),
    ("sk-svcacct-", Sort::Key("openai"), "an OpenAI API key, which is billed per use"),
    ("sk-or-", Sort::Key("openrouter"), "an OpenRouter key"),
    ("gsk_", Sort::Key("groq"), "a Groq key"),
    ("xai-", Sort::Key("xai"), "an xAI key"),
    ("AIza", Sort::Key("google"), "a Google API key"),
    ("hf_", Sort::Key("huggingface"), "a Hugging Face token"),
    ("ghp_", Sort::Token("github-copilot"), "a GitHub token"),
    ("gho_", Sort::Token("github-copilot"), "a GitHub token"),
    ("ghu_", Sort::Token("github-copilot"), "a GitHub token"),
    ("github_pat_", Sort::Token("github-copilot"), "a GitHub token"),
    ("ya29.", Sort::Useless("google"), "a Google access token, which ends within the hour"),
    ("eyJ", Sort::Jwt, "a JWT, such as the access token of a login: it ends soon and cannot be renewed"),
];

/// All beginnings that are known.
pub(super) fn prefixes<'a>() -> impl Iterator<Item = &'a str> {
    KNOWN.iter().map(|(prefix, ..)| *prefix)
}

/// A credential whose beginning is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    sort: Sort,
    what: &'static str,
}

impl Known {
    pub(super) fn of(token: &str) -> Option<Self> {
        let (_, sort, what) = KNOWN.iter().find(|(prefix, ..)| token.starts_with(prefix))?;
        // Anything may begin with these three letters; a JWT has three or five parts (RFC 7515, RFC 7516).
        if *sort == Sort::Jwt && !matches!(token.split('.').count(), 3 | 5) {
            return None;
        }
        Some(Self { sort: *sort, what })
    }

    pub(super) fn lasts_a_year(&self) -> bool {
        matches!(self.sort, Sort::YearToken(_))
    }

    /// Refuses what does not belong into a slot of this kind. True where it is another provider's, and was forced.
    pub(super) fn check(
        &self,
        manifest: &Manifest,
        kind: PasteKind,
        force: bool,
    ) -> Result<bool, PasteProblem> {
        let refuse = |command: String, forcible| {
            Err(PasteProblem::OtherKind { what: self.what.to_owned(), command, forcible })
        };
        let (owner, makes) = match self.sort {
            Sort::Key(owner) => (owner, CredentialKind::ApiKey),
            Sort::Token(owner) | Sort::YearToken(owner) => (owner, CredentialKind::Token),
            Sort::Useless(owner) => return refuse(instead_of_useless(owner), false),
            // Some vendors make their keys as JWTs.
            Sort::Jwt if kind == PasteKind::ApiKey && force => return Ok(true),
            Sort::Jwt => return refuse(way_in(manifest), kind == PasteKind::ApiKey),
        };
        let is_ours = ProviderId::new(&manifest.id).as_str() == owner;
        if is_ours && makes == kind.makes() {
            return Ok(false);
        }
        // Other providers may well take a key that looks like this one, a proxy for one.
        if !is_ours && makes == kind.makes() && force {
            return Ok(true);
        }
        let command = match (makes, self.sort) {
            (CredentialKind::ApiKey, _) => format!("paste-api-key --provider {owner}"),
            (_, Sort::YearToken(_)) => format!("setup-token --provider {owner}"),
            _ => format!("paste-token --provider {owner}"),
        };
        refuse(format!("coderclaw models auth {command}"), !is_ours && makes == kind.makes())
    }
}

fn instead_of_useless(owner: &str) -> String {
    match owner {
        "anthropic" => "coderclaw models auth setup-token --provider anthropic".into(),
        owner => format!("coderclaw models auth paste-api-key --provider {owner}"),
    }
}

/// The command that brings another credential of the kind that `entry` is.
pub(crate) fn way_in_for(manifest: &Manifest, entry: &Entry) -> String {
    let id = &manifest.id;
    match entry {
        Entry::ApiKey(_) => format!("coderclaw models auth paste-api-key --provider {id}"),
        Entry::Token(_) if manifest.auth(MethodKind::SetupToken).is_some() => {
            format!("coderclaw models auth setup-token --provider {id}")
        }
        Entry::Token(_) => format!("coderclaw models auth paste-token --provider {id}"),
        Entry::OAuth(_) if is_registered(manifest) => {
            format!("coderclaw models auth login --provider {id} --method {}", MethodKind::Siwc)
        }
        _ => way_in(manifest),
    }
}

/// Its logins are those for which a client is registered, and no others.
fn is_registered(manifest: &Manifest) -> bool {
    let has = |kind| manifest.auth(kind).is_some();
    has(MethodKind::Siwc) && !has(MethodKind::OAuth)
}

/// The command with which one gets in at this provider.
pub(super) fn way_in(manifest: &Manifest) -> String {
    let id = &manifest.id;
    let has = |kind| manifest.auth(kind).is_some();
    if has(MethodKind::OAuth) || has(MethodKind::DeviceCode) {
        format!("coderclaw models auth login --provider {id}")
    } else if has(MethodKind::SetupToken) {
        format!("coderclaw models auth setup-token --provider {id}")
    } else if has(MethodKind::Token) {
        format!("coderclaw models auth paste-token --provider {id}")
    } else {
        format!("coderclaw models auth paste-api-key --provider {id}")
    }
}

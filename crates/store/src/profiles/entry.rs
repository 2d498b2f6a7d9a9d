//! One entry of a store, as far as it means something here.

use coderclaw_types::{GrantId, Millis, ProviderId, Secret};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::reference::Reference;

/// One entry of a store.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A key that is billed per use.
    ApiKey(ApiKeyEntry),
    /// A static bearer token.
    Token(TokenEntry),
    /// A login that renews itself.
    OAuth(Box<OAuthEntry>),
    /// A type that this version does not know. Kept.
    Unknown {
        /// What it calls itself.
        kind: String,
        /// Its provider, where it names one.
        provider: Option<ProviderId>,
    },
    /// Not an entry. Kept, named, and never used.
    Damaged {
        /// What is wrong with it.
        why: String,
    },
}

/// `type: "api_key"`.
#[derive(Debug, Clone)]
pub struct ApiKeyEntry {
    /// Whose key it is.
    pub provider: ProviderId,
    /// The key; absent where the entry only refers to one.
    pub key: Option<Secret>,
    /// The account's e-mail, where known.
    pub email: Option<String>,
    /// The entry refers to a secret elsewhere (`keyRef`).
    pub is_ref: bool,
    /// Where that is, or why it cannot be followed.
    pub reference: Option<Result<Reference, String>>,
}

/// `type: "token"`.
#[derive(Debug, Clone)]
pub struct TokenEntry {
    /// Whose token it is.
    pub provider: ProviderId,
    /// The token; absent where the entry only refers to one.
    pub token: Option<Secret>,
    /// When it ends; `None` (absent or 0 in the file) means that no end is known.
    pub expires: Option<Millis>,
    /// When it was pasted, where that is on record; with `expires` this gives its lifetime.
    pub issued_at: Option<Millis>,
    /// `expires` is there and is no time.
    pub invalid_expires: bool,
    /// The account's e-mail, where known.
    pub email: Option<String>,
    /// The entry refers to a secret elsewhere (`tokenRef`).
    pub is_ref: bool,
    /// Where that is, or why it cannot be followed.
    pub reference: Option<Result<Reference, String>>,
}

/// `type: "oauth"`.
#[derive(Debug, Clone)]
pub struct OAuthEntry {
    /// Whose login it is.
    pub provider: ProviderId,
    /// The access token.
    pub access: Option<Secret>,
    /// The refresh token.
    pub refresh: Option<Secret>,
    /// When the access token ends.
    pub expires: Option<Millis>,
    /// When it was received; with `expires` this gives its lifetime.
    pub issued_at: Option<Millis>,
    /// No refresh is allowed before this.
    pub earliest_refresh_at: Option<Millis>,
    /// The person's e-mail.
    pub email: Option<String>,
    /// The workspace.
    pub account_id: Option<String>,
    /// The person's id at the issuer.
    pub subject: Option<String>,
    /// Who issued it.
    pub issuer: Option<String>,
    /// For which client.
    pub client_id: Option<String>,
    /// What was granted, where that decides whether it may be used.
    pub scope: Option<String>,
    /// The origin of the token endpoint that this login came from.
    pub token_origin: Option<String>,
    /// The token endpoint, where the login found it by discovery.
    pub token_url: Option<String>,
    /// The revocation endpoint, where the login found it by discovery.
    pub revoke_url: Option<String>,
    /// The grant's id, once a refresh has minted it.
    pub grant: Option<GrantId>,
}

impl Entry {
    /// The provider as the entry spells it, normalised.
    pub fn provider(&self) -> Option<&ProviderId> {
        match self {
            Self::ApiKey(entry) => Some(&entry.provider),
            Self::Token(entry) => Some(&entry.provider),
            Self::OAuth(entry) => Some(&entry.provider),
            Self::Unknown { provider, .. } => provider.as_ref(),
            Self::Damaged { .. } => None,
        }
    }

    /// The `type` of the entry, as the file has it.
    pub fn kind(&self) -> &str {
        match self {
            Self::ApiKey(_) => "api_key",
            Self::Token(_) => "token",
            Self::OAuth(_) => "oauth",
            Self::Unknown { kind, .. } => kind,
            Self::Damaged { .. } => "damaged",
        }
    }

    /// The e-mail of the account, where known.
    pub fn email(&self) -> Option<&str> {
        match self {
            Self::ApiKey(entry) => entry.email.as_deref(),
            Self::Token(entry) => entry.email.as_deref(),
            Self::OAuth(entry) => entry.email.as_deref(),
            Self::Unknown { .. } | Self::Damaged { .. } => None,
        }
    }

    pub(super) fn read(raw: &RawValue) -> Self {
        // Asked first: an array would be taken for the fields in their order, and an error about a text quotes it.
        if !raw.get().starts_with('{') {
            return Self::Damaged { why: "it is not an object".into() };
        }
        let fields = match serde_json::from_str::<Fields<'_>>(raw.get()) {
            Ok(fields) => fields,
            Err(e) => return Self::Damaged { why: e.to_string() },
        };
        let Some(kind) = text(fields.kind) else {
            return Self::Damaged { why: "it has no `type`".into() };
        };
        let provider = text(fields.provider).map(|id| ProviderId::new(&id));
        if !matches!(kind.as_str(), "api_key" | "token" | "oauth") {
            return Self::Unknown { kind, provider };
        }
        let Some(provider) = provider else {
            return Self::Damaged { why: "it has no `provider`".into() };
        };
        let wanted: &[(&str, &[&str])] = match kind.as_str() {
            "api_key" if fields.key.is_none() => &[("key", &["apikey", "token", "secret"])],
            "token" if fields.token.is_none() => &[("token", &["accesstoken", "bearer", "key"])],
            "oauth" if fields.access.is_none() && fields.refresh.is_none() => {
                &[("access", &["accesstoken", "token"]), ("refresh", &["refreshtoken"])]
            }
            _ => &[],
        };
        if let Some(why) = misspelt(raw, wanted) {
            return Self::Damaged { why };
        }
        let secret = |field| text(field).map(Secret::from);
        let email = text(fields.email);
        match kind.as_str() {
            "api_key" => Self::ApiKey(ApiKeyEntry {
                provider,
                key: secret(fields.key),
                email,
                is_ref: fields.key_ref.is_some(),
                reference: reference(fields.key_ref),
            }),
            "token" => Self::Token(TokenEntry {
                provider,
                token: secret(fields.token),
                expires: time(fields.expires),
                issued_at: time(fields.issued_at),
                invalid_expires: fields
                    .expires
                    .is_some_and(|raw| raw.get() != "null" && millis(raw).is_none()),
                email,
                is_ref: fields.token_ref.is_some(),
                reference: reference(fields.token_ref),
            }),
            _ => Self::OAuth(Box::new(OAuthEntry {
                provider,
                access: secret(fields.access),
                refresh: secret(fields.refresh),
                expires: time(fields.expires),
                issued_at: time(fields.issued_at),
                earliest_refresh_at: time(fields.earliest_refresh_at),
                email,
                account_id: text(fields.account_id),
                subject: text(fields.sub),
                issuer: text(fields.issuer),
                client_id: text(fields.client_id),
                scope: text(fields.scope),
                token_origin: text(fields.token_origin),
                token_url: text(fields.token_url),
                revoke_url: text(fields.revoke_url),
                grant: text(fields.grant).and_then(|grant| grant.parse().ok()),
            })),
        }
    }
}

/// A key that was meant for one of `wanted`, each with other spellings of it, in lower case without separators.
fn misspelt(raw: &RawValue, wanted: &[(&str, &[&str])]) -> Option<String> {
    if wanted.is_empty() {
        return None;
    }
    let keys: serde_json::Map<String, Value> = serde_json::from_str(raw.get()).ok()?;
    keys.keys().find_map(|key| {
        let plain: String = key.chars().filter(char::is_ascii_alphanumeric).collect();
        let plain = plain.to_ascii_lowercase();
        let (right, _) = wanted.iter().find(|(_, others)| others.contains(&plain.as_str()))?;
        // The key is one of a few words here, never a secret that stands in a key's place.
        Some(format!("`{right}` is missing, and `{key}` is no key of such an entry; rename it to `{right}`"))
    })
}

/// The keys of an entry that mean something here, each still as the text it has in the file: a value of the wrong
/// kind must not spoil the others, and what is not looked at need not be parsed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    provider: Option<&'a RawValue>,
    #[serde(borrow)]
    key: Option<&'a RawValue>,
    #[serde(borrow)]
    key_ref: Option<&'a RawValue>,
    #[serde(borrow)]
    token: Option<&'a RawValue>,
    #[serde(borrow)]
    token_ref: Option<&'a RawValue>,
    #[serde(borrow)]
    access: Option<&'a RawValue>,
    #[serde(borrow)]
    refresh: Option<&'a RawValue>,
    #[serde(borrow)]
    expires: Option<&'a RawValue>,
    #[serde(borrow)]
    issued_at: Option<&'a RawValue>,
    #[serde(borrow)]
    earliest_refresh_at: Option<&'a RawValue>,
    #[serde(borrow)]
    email: Option<&'a RawValue>,
    #[serde(borrow)]
    account_id: Option<&'a RawValue>,
    #[serde(borrow)]
    sub: Option<&'a RawValue>,
    #[serde(borrow)]
    issuer: Option<&'a RawValue>,
    #[serde(borrow)]
    client_id: Option<&'a RawValue>,
    #[serde(borrow)]
    scope: Option<&'a RawValue>,
    #[serde(borrow)]
    token_origin: Option<&'a RawValue>,
    #[serde(borrow)]
    token_url: Option<&'a RawValue>,
    #[serde(borrow)]
    revoke_url: Option<&'a RawValue>,
    #[serde(borrow)]
    grant: Option<&'a RawValue>,
}

fn reference(field: Option<&RawValue>) -> Option<Result<Reference, String>> {
    let value: Value = serde_json::from_str(field?.get()).ok()?;
    Some(Reference::read(&value))
}

fn text(field: Option<&RawValue>) -> Option<String> {
    let text: String = serde_json::from_str(field?.get()).ok()?;
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return None;
    }
    Some(if trimmed.len() == text.len() { text } else { trimmed.to_owned() })
}

fn time(field: Option<&RawValue>) -> Option<Millis> {
    millis(field?).filter(|at| at.0 > 0)
}

fn millis(raw: &RawValue) -> Option<Millis> {
    let value: Value = serde_json::from_str(raw.get()).ok()?;
    let number = value.as_i64().or_else(|| {
        let float = value.as_f64()?;
        // A float that is no whole number of milliseconds is cut, one out of range is refused.
        #[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
        (float.is_finite() && float.abs() < 9e15).then_some(float as i64)
    })?;
    (number >= 0).then_some(Millis(number))
}

//! What a login, a paste or a refresh brings into a store.

use coderclaw_types::{GrantId, Millis, Secret};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::reference::Reference;

/// The tokens that a login or a refresh brings, and what is known about them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenUpdate {
    /// The access token.
    #[serde(serialize_with = "exposed")]
    pub access: Secret,
    /// The refresh token: the new one, or the old one where none came.
    #[serde(serialize_with = "exposed")]
    pub refresh: Secret,
    /// When the access token ends.
    pub expires: Millis,
    /// When it was received.
    pub issued_at: Millis,
    /// No refresh before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earliest_refresh_at: Option<Millis>,
    /// The workspace, where the tokens name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// The person's e-mail, where the tokens name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The person's id, where the tokens name one.
    #[serde(rename = "sub", default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The issuer, where the tokens name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The client they were issued to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// What was granted, where that decides whether they may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The origin of the token endpoint that issued them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_origin: Option<String>,
    /// The token endpoint, where the login found it by discovery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_url: Option<String>,
    /// The revocation endpoint, where the login found it by discovery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke_url: Option<String>,
    /// The grant; a login has none until its first refresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantId>,
}

fn exposed<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

impl TokenUpdate {
    /// Tokens about which nothing more is known.
    pub fn new(access: Secret, refresh: Secret, expires: Millis, issued_at: Millis) -> Self {
        Self {
            access,
            refresh,
            expires,
            issued_at,
            earliest_refresh_at: None,
            account_id: None,
            email: None,
            subject: None,
            issuer: None,
            client_id: None,
            scope: None,
            token_origin: None,
            token_url: None,
            revoke_url: None,
            grant: None,
        }
    }

    /// Sets what is known and leaves the rest of `map` as it is.
    pub(super) fn lay_over(&self, map: &mut Map<String, Value>) {
        let mut set = |key: &str, value: Value| {
            map.insert(key.into(), value);
        };
        set("access", json!(self.access.expose()));
        set("refresh", json!(self.refresh.expose()));
        set("expires", json!(self.expires));
        set("issuedAt", json!(self.issued_at));
        let known = [
            ("accountId", &self.account_id),
            ("email", &self.email),
            ("sub", &self.subject),
            ("issuer", &self.issuer),
            ("clientId", &self.client_id),
            ("scope", &self.scope),
            ("tokenOrigin", &self.token_origin),
            ("tokenUrl", &self.token_url),
            ("revokeUrl", &self.revoke_url),
        ];
        for (key, value) in known {
            if let Some(value) = value {
                set(key, json!(value));
            }
        }
        if let Some(grant) = &self.grant {
            set("grant", json!(grant));
        }
        match self.earliest_refresh_at {
            Some(at) => set("earliestRefreshAt", json!(at)),
            None => {
                map.shift_remove("earliestRefreshAt");
            }
        }
    }
}

/// A credential that a login or a paste has brought.
#[derive(Debug, Clone)]
pub enum LoginEntry {
    /// A login that renews itself.
    OAuth(Box<TokenUpdate>),
    /// A static bearer token.
    Token {
        /// The token.
        token: Secret,
        /// When it ends, where known.
        expires: Option<Millis>,
        /// When it was pasted.
        issued_at: Millis,
    },
    /// A key that is billed per use.
    ApiKey {
        /// The key.
        key: Secret,
    },
    /// Where a token or a key is kept.
    Reference {
        /// It is a key.
        is_key: bool,
        /// Where it is kept.
        reference: Reference,
    },
}

/// The keys of an entry that belong to its credential; a new login replaces them all and leaves foreign keys alone.
pub(super) const CREDENTIAL_KEYS: &[&str] = &[
    "type",
    "provider",
    "key",
    "keyRef",
    "token",
    "tokenRef",
    "access",
    "refresh",
    "expires",
    "issuedAt",
    "earliestRefreshAt",
    "email",
    "accountId",
    "sub",
    "issuer",
    "clientId",
    "scope",
    "tokenOrigin",
    "tokenUrl",
    "revokeUrl",
    "grant",
];

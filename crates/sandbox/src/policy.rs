//! How the server behaves while nothing is being faulted, and who may sign in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A person with an account, as the tokens describe them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The person: claim `sub`.
    pub subject: String,
    /// Claim `email`; also how the authorize page names the person.
    pub email: String,
    /// The workspace: claim `chatgpt_account_id`.
    pub account: String,
    /// Claim `chatgpt_plan_type`, such as `plus`.
    pub plan: String,
}

impl User {
    /// A person made up from a subject: `SUBJECT@example.test` in `acct-SUBJECT`, on plan `plus`.
    pub fn named(subject: &str) -> Self {
        Self {
            subject: subject.to_owned(),
            email: format!("{subject}@example.test"),
            account: format!("acct-{subject}"),
            plan: "plus".to_owned(),
        }
    }
}

/// What happens when a spent refresh token is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reuse {
    /// It is refused and the whole family ends, with the newest token and all access tokens (RFC 9700 section 4.14.2).
    KillFamily,
    /// It is refused; its successors live on.
    Refuse,
    /// For this long after it was spent, and while no successor has been spent, it yields another pair; after that as
    /// [`Reuse::KillFamily`].
    Grace(Duration),
    /// It yields another pair for ever.
    Tolerate,
}

/// The shape of a refusal at the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorStyle {
    /// 401 with `{"error":{"message","type","param","code"}}` and a code that says what was wrong.
    Nested,
    /// 400 with `{"error":"invalid_grant"}`, which never says why (RFC 6749 section 5.2).
    Rfc6749,
}

/// How `earliest_refresh_at` is written in a token answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EarliestForm {
    /// A JSON number of Unix seconds.
    Number,
    /// The same number as a string.
    NumericString,
    /// An RFC 3339 time.
    Rfc3339,
    /// `null`, which tells the client nothing.
    Null,
}

/// What happens to a refresh before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforced {
    /// It works all the same.
    No,
    /// It is refused with `invalid_grant`, and the token stays good.
    Refuse,
    /// It is refused with `invalid_grant`, and the token is spent.
    RefuseAndSpend,
}

/// How id tokens are signed, and what they say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdTokens {
    /// ES256, by the key that `jwks_uri` shows.
    #[default]
    Signed,
    /// By another key that pretends to be that one.
    ForeignKey,
    /// By a key that `jwks_uri` does not show.
    UnknownKey,
    /// Not at all: `alg` is `none`.
    Unsigned,
    /// Well, for another client.
    OtherAudience,
    /// Well, in the name of another issuer.
    OtherIssuer,
    /// Well, as the answer to another request.
    OtherNonce,
    /// Well, yesterday.
    Expired,
    /// Nothing comes.
    Absent,
}

/// What the page that registers a client for each person answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registers {
    /// The client that was registered, the first time; nothing when it comes again.
    #[default]
    Once,
    /// The same, each time.
    Always,
    /// Nothing, not even the first time.
    Silently,
    /// Another client than the one that came again.
    Another,
    /// As [`Registers::Once`], and lets others in by a person's client.
    ForAnybody,
}

/// A server that names the first moment at which it wants to see a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Earliest {
    /// That moment, counted back from the access token's expiry.
    #[serde(with = "seconds")]
    pub before_expiry: Duration,
    /// How the answer writes it.
    pub form: EarliestForm,
    /// What an early refresh brings.
    pub enforced: Enforced,
}

/// The server's rules. Changing them affects tokens that are issued or sent from then on.
///
/// As JSON, in the admin interface, durations are whole seconds, except [`Reuse::Grace`], which is serde's usual form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// How long access tokens live; `expires_in` and the claim `exp` say so.
    #[serde(with = "seconds")]
    pub access_lifetime: Duration,
    /// How long each refresh token lives from its own issue.
    #[serde(with = "seconds")]
    pub refresh_lifetime: Duration,
    /// Whether a refresh brings a new refresh token. If not, answers to refreshes carry none and nothing is spent.
    pub rotates: bool,
    /// What the reuse of a spent token brings.
    pub reuse: Reuse,
    /// How refusals look.
    pub errors: ErrorStyle,
    /// Whether, and how, `earliest_refresh_at` is sent and enforced.
    pub earliest_refresh: Option<Earliest>,
    /// Seconds by which this server's clock is ahead of (or behind) the clock it was started with. Seen in the claims,
    /// in `earliest_refresh_at` and in the `Date` header.
    pub skew: i64,
    /// Whether the callback carries `iss` (RFC 9207).
    pub send_iss: bool,
    /// The scopes granted whatever was asked for; `None` grants what was asked for.
    pub granted_scope: Option<String>,
    /// How id tokens are signed.
    #[serde(default)]
    pub id_tokens: IdTokens,
    /// How clients are registered.
    #[serde(default)]
    pub registers: Registers,
    /// Nobody gets a code for another device.
    #[serde(default)]
    pub device_off: bool,
    /// The seconds between two questions of a device login; `None`: the answer does not say.
    #[serde(default = "one_second")]
    pub device_interval: Option<u64>,
    /// How long a code for another device is good for.
    #[serde(default = "a_quarter", with = "seconds")]
    pub device_lifetime: Duration,
    /// A device login brings a token that stays, and nothing else, as GitHub's does.
    #[serde(default)]
    pub bare_tokens: bool,
    /// The answer with a key names its user.
    #[serde(default)]
    pub keys_name_users: bool,
}

fn one_second() -> Option<u64> {
    Some(1)
}

fn a_quarter() -> Duration {
    Duration::from_secs(15 * 60)
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            access_lifetime: Duration::from_secs(3600),
            refresh_lifetime: Duration::from_secs(30 * 86_400),
            rotates: true,
            reuse: Reuse::KillFamily,
            errors: ErrorStyle::Nested,
            earliest_refresh: None,
            skew: 0,
            send_iss: true,
            granted_scope: None,
            id_tokens: IdTokens::default(),
            registers: Registers::Once,
            device_off: false,
            device_interval: one_second(),
            device_lifetime: a_quarter(),
            bare_tokens: false,
            keys_name_users: false,
        }
    }
}

mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(span: &Duration, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_u64(span.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_secs)
    }
}

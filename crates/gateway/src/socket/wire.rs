//! What goes over the token socket. The same types write and read it, on both ends.
//!
//! There is no field for a refresh token in any of them, and none that passes on what it does not know.

use coderclaw_types::{Millis, Secret};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

/// The versions that are spoken here.
pub const VERSIONS: [u32; 1] = [1];

/// One line of a client.
#[derive(Debug, Deserialize)]
pub(crate) struct Line {
    /// Comes back with the answer.
    #[serde(default)]
    pub(crate) id: Option<Value>,
    #[serde(flatten)]
    pub(crate) request: Request,
}

/// What a client may want. Keys that are not known are passed over.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "op", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub(crate) enum Request {
    Hello {
        versions: Vec<u32>,
        #[serde(default, serialize_with = "maybe_exposed")]
        key: Option<Secret>,
    },
    List,
    Lend(LendRequest),
    Report(ReportRequest),
}

/// What is to be lent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LendRequest {
    /// Of which provider.
    pub provider: String,
    /// This profile and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The token works for at least so many milliseconds.
    #[serde(default)]
    pub min_validity_ms: u64,
}

/// What became of a request with a token that was lent here.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportRequest {
    /// Of which provider.
    pub provider: String,
    /// The lease's profile, if it had one.
    #[serde(default)]
    pub profile_id: Option<String>,
    /// The lease's generation.
    pub generation: u64,
    /// The HTTP status of the provider's answer.
    pub status: u16,
    /// The answer's headers, as far as they speak of limits.
    #[serde(default)]
    pub headers: std::collections::BTreeMap<String, String>,
    /// The beginning of the answer's body, where it is a failure.
    #[serde(default)]
    pub body: String,
}

/// Who is asked, and what for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Welcome {
    /// The version that is spoken from now on.
    pub version: u32,
    /// The server's name and version.
    pub server: String,
    /// Its process.
    pub pid: u32,
    /// Whose logins the key lends.
    pub agent_id: String,
    /// The key's public id.
    pub key_id: String,
    /// What the person calls it.
    pub key_name: String,
    /// Of these providers only; empty: of all.
    pub providers: Vec<String>,
    /// This profile only.
    pub profile_id: Option<String>,
}

/// How the logins stand that the key is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listing {
    /// Whose they are.
    pub agent_id: String,
    /// Each profile.
    pub profiles: Vec<ListedProfile>,
    /// What would be lent of each provider.
    pub providers: Vec<ListedProvider>,
}

/// One profile.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedProfile {
    /// Its id.
    pub profile_id: String,
    /// Its provider.
    pub provider: Option<String>,
    /// `oauth`, `token` or `api_key`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The account's e-mail.
    pub email: Option<String>,
    /// A code of the table of codes.
    pub state: String,
    /// The original's word for it.
    pub status: String,
    /// Until when the state holds, by the server's clock.
    pub until: Option<Millis>,
    /// When the credential ends, by the server's clock.
    pub expires_at: Option<Millis>,
    /// In how many milliseconds it ends.
    pub expires_in_ms: Option<i64>,
    /// It renews itself, over there.
    pub refreshable: bool,
    /// Identifies the secret.
    pub fingerprint: Option<String>,
}

/// One provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedProvider {
    /// Its id.
    pub provider: String,
    /// Its name.
    pub name: String,
    /// The profile that would be lent.
    pub profile_id: Option<String>,
    /// Where what would be lent comes from; none where nothing can be.
    pub source: Option<String>,
}

/// A token on loan.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BorrowedLease {
    /// Whose API it opens.
    pub provider: String,
    /// The profile it comes from.
    pub profile_id: Option<String>,
    /// `profile`, `env:NAME`, `config`, or `none` where no credential is needed.
    pub source: String,
    /// The access token; none where no credential is needed.
    #[serde(serialize_with = "maybe_exposed")]
    pub token: Option<Secret>,
    /// `Bearer`, `api_key` or `none`.
    pub token_type: String,
    /// The header lines that the API needs, the credential's first.
    pub header: Vec<Pair>,
    /// The variables that a program needs.
    pub env: Vec<Pair>,
    /// The variables in which a program could find another credential of this provider.
    pub unset: Vec<String>,
    /// The workspace it belongs to.
    pub account_id: Option<String>,
    /// Until when it works, by the server's clock.
    pub valid_until: Option<Millis>,
    /// For how many milliseconds it works from now on, whatever the borrower's clock says.
    pub valid_for_ms: Option<u64>,
    /// The higher one of two is the newer token of a profile.
    pub generation: u64,
    /// Identifies the secret.
    pub fingerprint: Option<String>,
}

/// A name and what belongs to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pair {
    /// The name.
    pub name: String,
    /// The value.
    #[serde(serialize_with = "exposed")]
    pub value: Secret,
}

/// What may be done after a failure.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Advice {
    /// `nothing`, `retry` with the lease beside it, `same` login again or another model, `pause`, or `stop`.
    pub next: String,
    /// What to use from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Box<BorrowedLease>>,
    /// What it was: a code of the table of codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Until when, by the server's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Millis>,
    /// For how many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Complaint {
    /// A code of the table of codes.
    pub code: String,
    /// One line for people.
    pub message: String,
    /// What a person types next, on the machine that has the logins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Until when it stands, by the server's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Millis>,
}

fn exposed<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

fn maybe_exposed<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys of a later version are passed over; an `op` that is not known is told from noise.
    #[test]
    fn requests_are_read_as_the_page_has_them() {
        let read = |text: &str| serde_json::from_str::<Line>(text);
        let hello = read(r#"{"op":"hello","versions":[1,2],"key":"ccg_x","later":true,"id":"a"}"#).unwrap();
        assert_eq!(hello.id, Some(Value::from("a")));
        assert!(matches!(hello.request, Request::Hello { versions, key: Some(_) } if versions == [1, 2]));
        assert!(
            !format!("{:?}", read(r#"{"op":"hello","versions":[1],"key":"ccg_x"}"#).unwrap())
                .contains("ccg_x")
        );
        assert!(matches!(read(r#"{"op":"list"}"#).unwrap().request, Request::List));
        let lend = read(r#"{"op":"lend","provider":"p","minValidityMs":5}"#).unwrap();
        assert!(matches!(lend.request, Request::Lend(LendRequest { min_validity_ms: 5, profile: None, .. })));
        for bad in [r#"{"op":"steal"}"#, "[]", "1", r#"{"op":"lend"}"#, r#"{"op":"lend","provider":1}"#, "{}"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    /// H3: nothing on the wire has a place for a refresh token, also where somebody sends one.
    #[test]
    fn h3_a_lease_has_no_field_for_a_refresh_token() {
        let text = r#"{"provider":"p","profileId":"p:x","source":"profile","token":"at","tokenType":"Bearer","header":[],
            "env":[],"unset":[],"accountId":null,"validUntil":1,"validForMs":1,"generation":2,"fingerprint":null,
            "refresh":"canary","refreshToken":"canary","refresh_token":"canary"}"#;
        let lease: BorrowedLease = serde_json::from_str(text).unwrap();
        let again = serde_json::to_value(&lease).unwrap();
        assert!(!again.to_string().contains("canary"), "{again}");
        let keys: Vec<_> = again.as_object().unwrap().keys().cloned().collect();
        assert!(keys.iter().all(|key| !key.to_lowercase().contains("refresh")), "{keys:?}");
    }
}

//! What of a head goes along, and what is put in.

use coderclaw_auth::Lease;
use coderclaw_providers::Manifest;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue};

/// A list of words that name what a request wants to use; the one for the kind of the token is added to the client's.
const BETA: &str = "anthropic-beta";
/// Where programs put credentials of their own, and whose those are. Nothing of it reaches a provider.
const CREDENTIALS: [HeaderName; 3] =
    [AUTHORIZATION, HeaderName::from_static("x-api-key"), HeaderName::from_static("chatgpt-account-id")];

/// Takes away what speaks of one connection only: RFC 9110 section 7.6.1, and what `Connection` itself names.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .collect();
    let known =
        [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION];
    let more = ["keep-alive", "proxy-connection"].map(HeaderName::from_static);
    for name in named.iter().chain(&known).chain(&more) {
        headers.remove(name);
    }
}

/// What of a client's head may go along: nothing that speaks of its connection to us, and no credential of its own.
pub(crate) fn bare(client: &HeaderMap) -> HeaderMap {
    let mut headers = client.clone();
    strip_hop_by_hop(&mut headers);
    for name in [HOST, CONTENT_LENGTH, EXPECT].iter().chain(&CREDENTIALS) {
        headers.remove(name);
    }
    headers
}

/// The head of a request as the provider gets it.
///
/// The client's credentials go out first, with everything that says whose they are, and the lease's come in together
/// with its account. What the manifest only suggests, such as a version, is the client's to say.
///
/// `None` where the lease holds what no header can carry.
pub(crate) fn outgoing(client: &HeaderMap, manifest: &Manifest, lease: &Lease) -> Option<HeaderMap> {
    let mut headers = bare(client);
    let account = manifest.account_headers();
    for name in &account {
        headers.remove(*name);
    }
    for (at, (name, value)) in lease.headers.iter().enumerate() {
        let name = HeaderName::try_from(name.as_str()).ok()?;
        let mut value = HeaderValue::from_str(value.expose()).ok()?;
        if name == BETA {
            value = HeaderValue::from_str(&betas(&headers, manifest, value.to_str().ok()?)).ok()?;
        } else if at == 0 || account.contains(&name.as_str()) {
            value.set_sensitive(true);
        } else if headers.contains_key(&name) {
            continue;
        }
        headers.insert(name, value);
    }
    if !lease.headers.iter().any(|(name, _)| name == BETA) && headers.contains_key(BETA) {
        let own = betas(&headers, manifest, "");
        match own.is_empty() {
            true => drop(headers.remove(BETA)),
            false => drop(headers.insert(BETA, HeaderValue::from_str(&own).ok()?)),
        }
    }
    Some(headers)
}

/// The client's words without those that name another kind of credential than the lease's, and then the lease's.
fn betas(client: &HeaderMap, manifest: &Manifest, lease: &str) -> String {
    let tables = manifest.auth.iter().flat_map(|one| one.api.headers.iter());
    let of_kinds: Vec<&str> =
        tables.filter(|(name, _)| name == BETA).flat_map(|(_, value)| words(value)).collect();
    let mut all: Vec<&str> = client
        .get_all(BETA)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(words)
        .filter(|word| !of_kinds.contains(word))
        .collect();
    all.extend(words(lease));
    let mut seen = Vec::new();
    all.retain(|word| {
        !seen.contains(word) && {
            seen.push(*word);
            true
        }
    });
    all.join(",")
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use coderclaw_providers::{CredentialKind, Registry};
    use coderclaw_store::{Config, StateDir};
    use coderclaw_types::{AgentId, Env, Millis, ProviderId, Secret};

    use super::*;

    fn lease(manifest: &Manifest, kind: CredentialKind, account: Option<&str>) -> Lease {
        let env = Env::new([("CODERCLAW_STATE_DIR".into(), "/s".into())], None, "/".into());
        let token = Secret::from("lent-token");
        Lease {
            provider: ProviderId::new(&manifest.id),
            profile: None,
            owner: StateDir::from_env(&env).agent(&Config::default(), &AgentId::main()),
            source: "config".into(),
            kind,
            headers: manifest.request_headers(kind, &token, account),
            token,
            account_id: account.map(str::to_owned),
            valid_until: None,
            lent_at: Millis(0),
            after_rejection: false,
            moved: None,
            env: Vec::new(),
        }
    }

    fn out(
        provider: &str,
        kind: CredentialKind,
        account: Option<&str>,
        client: &[(&str, &str)],
    ) -> Vec<String> {
        let registry = Registry::built_in();
        let manifest = registry.get(&ProviderId::new(provider)).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in client {
            headers.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        let headers = outgoing(&headers, manifest, &lease(manifest, kind, account)).unwrap();
        let mut lines: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    /// The client's own credentials never reach the provider, in whatever header; a token and its account go together.
    #[test]
    fn credentials_are_replaced_together_with_their_account() {
        let client = [
            ("host", "127.0.0.1:18789"),
            ("authorization", "Bearer ccg_x"),
            ("x-api-key", "ccg_x"),
            ("chatgpt-account-id", "somebody-else"),
            ("session-id", "s-1"),
        ];
        assert_eq!(
            out("openai-codex", CredentialKind::OAuth, Some("acct-1"), &client),
            ["authorization: Bearer lent-token", "chatgpt-account-id: acct-1", "session-id: s-1"]
        );
        // No account known: then none is claimed.
        assert_eq!(
            out("openai-codex", CredentialKind::OAuth, None, &client),
            ["authorization: Bearer lent-token", "session-id: s-1"]
        );
        assert_eq!(
            out("openai", CredentialKind::ApiKey, None, &client),
            ["authorization: Bearer lent-token", "session-id: s-1"]
        );
    }

    /// The word for the kind of the token is merged into the client's list, and another kind's is taken out of it.
    #[test]
    fn the_beta_list_is_merged_and_the_version_is_the_client_s() {
        let client =
            [("anthropic-beta", "a-1, b-2"), ("anthropic-beta", "a-1"), ("anthropic-version", "2099-01-01")];
        assert_eq!(
            out("anthropic", CredentialKind::Token, None, &client),
            [
                "anthropic-beta: a-1,b-2,oauth-2025-04-20",
                "anthropic-version: 2099-01-01",
                "authorization: Bearer lent-token",
            ]
        );
        let client = [("anthropic-beta", "oauth-2025-04-20,b-2")];
        assert_eq!(
            out("anthropic", CredentialKind::ApiKey, None, &client),
            ["anthropic-beta: b-2", "anthropic-version: 2023-06-01", "x-api-key: lent-token"]
        );
        let client = [("anthropic-beta", "oauth-2025-04-20")];
        assert_eq!(
            out("anthropic", CredentialKind::ApiKey, None, &client),
            ["anthropic-version: 2023-06-01", "x-api-key: lent-token"]
        );
    }

    /// What `Connection` names goes, before the credential comes in: naming that takes nothing away.
    #[test]
    fn hop_by_hop_headers_stay_behind() {
        let client = [
            ("connection", "close, X-Mine , authorization,x-api-key"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic x"),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("expect", "100-continue"),
            ("content-length", "3"),
            ("x-mine", "1"),
            ("x-yours", "2"),
            ("content-encoding", "zstd"),
        ];
        assert_eq!(
            out("openai", CredentialKind::ApiKey, None, &client),
            ["authorization: Bearer lent-token", "content-encoding: zstd", "x-yours: 2"]
        );
    }
}

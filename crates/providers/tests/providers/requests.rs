//! How a credential goes out.

use coderclaw_providers::{CredentialKind, Registry};
use coderclaw_types::Secret;

use crate::{get, with};

fn shown(lines: &[(String, Secret)]) -> Vec<(&str, &str)> {
    lines.iter().map(|(name, value)| (name.as_str(), value.expose())).collect()
}

#[test]
fn headers_of_the_built_in_providers() {
    let registry = Registry::built_in();
    let bearer = [
        ("authorization", "Bearer tok"),
        ("anthropic-beta", "oauth-2025-04-20"),
        ("anthropic-version", "2023-06-01"),
    ];
    let key = [("x-api-key", "tok"), ("anthropic-version", "2023-06-01")];
    let codex = [("authorization", "Bearer tok"), ("chatgpt-account-id", "acct-1")];
    let plain = [("authorization", "Bearer tok")];
    for (provider, kind, wanted) in [
        ("anthropic", CredentialKind::Token, &bearer[..]),
        ("anthropic", CredentialKind::OAuth, &bearer),
        ("anthropic", CredentialKind::ApiKey, &key),
        ("openai-codex", CredentialKind::OAuth, &codex),
        ("openai-codex", CredentialKind::Token, &codex),
        ("openai", CredentialKind::ApiKey, &plain),
        ("groq", CredentialKind::Token, &plain),
    ] {
        let headers = get(&registry, provider).request_headers(kind, &Secret::from("tok"), Some("acct-1"));
        assert_eq!(shown(&headers), wanted, "{provider} {kind}");
    }
}

#[test]
fn an_account_header_without_a_sound_account_is_left_out() {
    let registry = Registry::built_in();
    let codex = get(&registry, "openai-codex");
    for account in [None, Some(""), Some("a b"), Some("a\r\nx-evil: 1"), Some("é")] {
        let headers = codex.request_headers(CredentialKind::OAuth, &Secret::from("tok"), account);
        assert_eq!(shown(&headers), [("authorization", "Bearer tok")], "{account:?}");
    }
}

#[test]
fn a_token_that_looks_like_a_placeholder_stays_itself() {
    let registry = with(&[(
        "a.toml",
        "id = 'acme'\n[lend]\nenv = { BOTH = '{token}@{accountId}', FIXED = 'x' }\n[[auth]]\nmethod = 'token'",
    )])
    .unwrap();
    let acme = get(&registry, "acme");
    let token = Secret::from("{accountId}{token}");
    let lent = acme.lend_env(CredentialKind::Token, &token, Some("acct"));
    assert_eq!(shown(&lent), [("BOTH", "{accountId}{token}@acct"), ("FIXED", "x")]);
    assert_eq!(shown(&acme.lend_env(CredentialKind::Token, &token, None)), [("FIXED", "x")]);
}

#[test]
fn child_programs_get_the_variable_that_they_know() {
    let registry = Registry::built_in();
    for (provider, kind, name) in [
        ("anthropic", CredentialKind::Token, "CLAUDE_CODE_OAUTH_TOKEN"),
        ("anthropic", CredentialKind::ApiKey, "ANTHROPIC_API_KEY"),
        ("openai-codex", CredentialKind::OAuth, "CODEX_ACCESS_TOKEN"),
        ("openai", CredentialKind::ApiKey, "OPENAI_API_KEY"),
        ("chutes", CredentialKind::OAuth, "CHUTES_OAUTH_TOKEN"),
        ("chutes", CredentialKind::ApiKey, "CHUTES_API_KEY"),
        ("github-copilot", CredentialKind::Token, "COPILOT_GITHUB_TOKEN"),
    ] {
        let lent = get(&registry, provider).lend_env(kind, &Secret::from("tok"), None);
        assert_eq!(shown(&lent), [(name, "tok")], "{provider} {kind}");
    }
    let vertex = get(&registry, "google-vertex");
    assert!(vertex.lend_env(CredentialKind::Token, &Secret::from("tok"), None).is_empty());
}

/// G1, G2: neither headers nor variables show the credential when they are printed for debugging.
#[test]
fn g1_g2_debug_output_shows_no_token() {
    let registry = Registry::built_in();
    let token = Secret::from("canary-token");
    for one in registry.iter() {
        for kind in [CredentialKind::ApiKey, CredentialKind::Token, CredentialKind::OAuth] {
            let headers = one.request_headers(kind, &token, Some("canary-account"));
            let lent = one.lend_env(kind, &token, Some("canary-account"));
            let text = format!("{headers:?} {lent:#?} {one:?}");
            assert!(!text.contains("canary"), "{}", one.id);
        }
    }
}

#[test]
fn the_credentials_header_is_sent_once() {
    let text = "extends = 'groq'\n[api]\nheaders = { Authorization = 'Basic x', x-a = '1' }";
    let registry = with(&[("a.toml", text)]).unwrap();
    let headers = get(&registry, "groq").request_headers(CredentialKind::ApiKey, &Secret::from("tok"), None);
    assert_eq!(shown(&headers), [("authorization", "Bearer tok"), ("x-a", "1")]);
}

//! What a person's own files change.

use coderclaw_providers::{ApiKind, Billing, CredentialKind, MethodKind, Registry, Source};
use coderclaw_types::ProviderId;

use crate::{get, with};

const ACME: &str = r#"
id = "acme"
name = "Acme AI"
aliases = ["acme-ai"]
env = ["ACME_API_KEY"]

[api]
kind = "openai-chat"
base_url = "https://api.acme.example/v1"
headers = { "X-Acme-Account" = "{accountId}", x-b = "2" }
probe = "/models"

[lend]
env = { ACME_TOKEN = "{token}" }

[[auth]]
method = "oauth"
issuer = "https://id.acme.example"
client_id = "c"
redirect = "http://127.0.0.1/callback"
scopes = ["openid", "offline_access"]
required_scopes = ["openid"]
authorize_params = { prompt = "login" }
default_lifetime = "30m"
identity = { subject = "/sub", email = ["/email", "/mail"], account = "/acme/org" }

[[auth]]
method = "device-code"
issuer = "https://id.acme.example"
client_id = "c"
device_url = "https://id.acme.example/device"

[[auth]]
method = "api-key"
billing = "metered"
pattern = "^acme-[A-Za-z0-9]{20,}$"

[auth.api]
header = "x-api-key"
"#;

#[test]
fn a_provider_of_ones_own() {
    let registry = with(&[("acme.toml", ACME)]).unwrap();
    let acme = get(&registry, "acme");
    assert_eq!(get(&registry, "ACME-ai"), acme);
    assert_eq!(acme.source, Source::UserFile("acme.toml".into()));
    assert_eq!(registry.iter().count(), Registry::built_in().iter().count() + 1);
    assert!(registry.iter().map(|one| &one.id).is_sorted());
    assert_eq!(registry.near("acmee"), ["acme"]);

    let oauth = acme.auth(MethodKind::OAuth).unwrap();
    assert_eq!(oauth.token_origin(), None, "discovery names it");
    assert_eq!(oauth.token_source, Source::UserFile("acme.toml".into()));
    assert_eq!(*oauth.identity.email, ["/email", "/mail"]);
    assert!(oauth.rotates, "the careful answer where nothing is said");
    assert_eq!(oauth.billing, Billing::Subscription);
    assert_eq!(acme.api.headers[0].0, "x-acme-account", "header names are lower case");
    assert_eq!(acme.api(CredentialKind::ApiKey).header.as_deref(), Some("x-api-key"));
    assert_eq!(acme.api(CredentialKind::ApiKey).kind, Some(ApiKind::OpenAiChat));
    assert_eq!(acme.api(CredentialKind::OAuth).header, None);
}

/// A file that only extends changes what it names, and nothing else.
#[test]
fn scalars_and_arrays_replace_tables_merge_methods_merge_by_name() {
    let built_in = Registry::built_in();
    let before = get(&built_in, "openai-codex");
    let registry = with(&[(
        "codex.toml",
        r#"
            extends = "OpenAI-Codex"
            name = "Ours"
            [api]
            base_url = "http://127.0.0.1:8080"
            headers = { x-proxy = "1" }
            [[auth]]
            method = "oauth"
            token_url = "http://127.0.0.1:8080/token"
            scopes = ["openid"]
            authorize_params = { originator = "me", extra = "1" }
            identity = { email = "/mail" }
            [[auth]]
            method = "token"
        "#,
    )])
    .unwrap();
    let after = get(&registry, "openai-codex");
    assert_eq!(registry.iter().count(), built_in.iter().count());

    let mut wanted = before.clone();
    wanted.source = Source::UserFile("codex.toml".into());
    wanted.name = "Ours".into();
    wanted.api.base_url = Some("http://127.0.0.1:8080".into());
    wanted.api.headers =
        vec![("chatgpt-account-id".into(), "{accountId}".into()), ("x-proxy".into(), "1".into())].into();
    let methods = wanted.auth.to_mut();
    methods[0].token_url = Some("http://127.0.0.1:8080/token".into());
    methods[0].token_source = Source::UserFile("codex.toml".into());
    methods[0].scopes = vec!["openid".into()].into();
    let mut params = before.auth[0].authorize_params.to_vec();
    params[2].1 = "me".into();
    params.insert(1, ("extra".into(), "1".into()));
    methods[0].authorize_params = params.into();
    methods[0].identity.email = vec!["/mail".into()].into();
    methods.push(after.auth(MethodKind::Token).unwrap().clone());
    assert_eq!(after, &wanted);
}

#[test]
fn a_file_that_leaves_the_token_endpoint_alone_does_not_vouch_for_it() {
    let registry = with(&[
        ("a.toml", "extends = 'openai-codex'\n[[auth]]\nmethod = 'oauth'\nissuer = 'https://other.example'"),
        ("b.toml", "id = 'mine'\nextends = 'openai-codex'"),
    ])
    .unwrap();
    for id in ["openai-codex", "mine"] {
        assert_eq!(get(&registry, id).auth[0].token_source, Source::Builtin);
    }
}

#[test]
fn a_new_provider_based_on_another() {
    let registry = with(&[
        // In the wrong order on purpose, and based on a provider that another file changes in place.
        ("1.toml", "id = 'third'\nextends = 'second'\naliases = ['three']"),
        ("2.toml", "id = 'second'\nextends = 'anthropic'\nname = 'Second'\naliases = ['two']"),
        ("3.toml", "extends = 'anthropic'\n[api]\nbase_url = 'http://127.0.0.1:1/v1'"),
    ])
    .unwrap();
    let third = get(&registry, "three");
    assert_eq!((&*third.id, &*third.name), ("third", "third"), "a name is its owner's");
    assert_eq!(*third.aliases, ["three"]);
    assert_eq!(third.api.base_url.as_deref(), Some("http://127.0.0.1:1/v1"));
    assert_eq!(third.auth, get(&registry, "anthropic").auth);
    assert_eq!(registry.canonical("two"), Some(ProviderId::new("second")));
}

#[test]
fn methods_can_be_taken_away() {
    let registry = with(&[(
        "a.toml",
        "extends = 'anthropic'\n[[auth]]\nmethod = 'api-key'\ndisabled = true\n[[auth]]\nmethod = 'token'\ndisabled = false",
    )])
    .unwrap();
    let methods: Vec<_> = get(&registry, "anthropic").auth.iter().map(|one| one.method).collect();
    assert_eq!(methods, [MethodKind::SetupToken, MethodKind::Token]);
}

#[test]
fn no_files_change_nothing() {
    let registry = with(&[]).unwrap();
    assert!(registry.iter().eq(Registry::built_in().iter()));
}

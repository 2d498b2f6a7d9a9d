//! What the program knows without any file.

use std::time::Duration;

use coderclaw_providers::{
    ApiKind, Billing, CredentialKind, DeviceDialect, MethodKind, Registry, Rejected, Revoke, Source,
    TokenRequest,
};
use coderclaw_types::{ProviderId, Secret};

use crate::get;

/// The variables that the original program reads, in its order.
const ENV: &[(&str, &[&str])] = &[
    ("amazon-bedrock", &["AWS_BEARER_TOKEN_BEDROCK"]),
    ("anthropic", &["ANTHROPIC_OAUTH_TOKEN", "ANTHROPIC_API_KEY"]),
    ("cerebras", &["CEREBRAS_API_KEY"]),
    ("chutes", &["CHUTES_OAUTH_TOKEN", "CHUTES_API_KEY"]),
    ("cloudflare-ai-gateway", &["CLOUDFLARE_AI_GATEWAY_API_KEY"]),
    ("coderclawllm", &["BUILDERFORCE_API_KEY"]),
    ("deepgram", &["DEEPGRAM_API_KEY"]),
    ("github-copilot", &["COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN"]),
    ("google", &["GEMINI_API_KEY"]),
    ("google-gemini-cli", &[]),
    ("google-vertex", &[]),
    ("groq", &["GROQ_API_KEY"]),
    ("huggingface", &["HUGGINGFACE_HUB_TOKEN", "HF_TOKEN"]),
    ("kimi-coding", &["KIMI_API_KEY", "KIMICODE_API_KEY"]),
    ("litellm", &["LITELLM_API_KEY"]),
    ("minimax", &["MINIMAX_API_KEY"]),
    ("minimax-portal", &["MINIMAX_OAUTH_TOKEN", "MINIMAX_API_KEY"]),
    ("mistral", &["MISTRAL_API_KEY"]),
    ("moonshot", &["MOONSHOT_API_KEY"]),
    ("nvidia", &["NVIDIA_API_KEY"]),
    ("ollama", &["OLLAMA_API_KEY"]),
    ("openai", &["OPENAI_API_KEY"]),
    ("openai-codex", &[]),
    ("opencode", &["OPENCODE_API_KEY", "OPENCODE_ZEN_API_KEY"]),
    ("openrouter", &["OPENROUTER_API_KEY"]),
    ("qianfan", &["QIANFAN_API_KEY"]),
    ("qwen-portal", &["QWEN_OAUTH_TOKEN", "QWEN_PORTAL_API_KEY"]),
    ("synthetic", &["SYNTHETIC_API_KEY"]),
    ("together", &["TOGETHER_API_KEY"]),
    ("venice", &["VENICE_API_KEY"]),
    ("vercel-ai-gateway", &["AI_GATEWAY_API_KEY"]),
    ("vllm", &["VLLM_API_KEY"]),
    ("voyage", &["VOYAGE_API_KEY"]),
    ("xai", &["XAI_API_KEY"]),
    ("xiaomi", &["XIAOMI_API_KEY"]),
    ("zai", &["ZAI_API_KEY", "Z_AI_API_KEY"]),
];

#[test]
fn environment_variables_are_the_originals() {
    let registry = Registry::built_in();
    let all: Vec<(&str, Vec<&str>)> =
        registry.iter().map(|one| (&*one.id, one.env.iter().map(|name| &**name).collect())).collect();
    let wanted: Vec<(&str, Vec<&str>)> = ENV.iter().map(|&(id, env)| (id, env.to_vec())).collect();
    assert_eq!(all, wanted);
}

/// E14: whatever provider is known, there is a way to log in to it.
#[test]
fn e14_every_provider_has_a_way_in() {
    for one in Registry::built_in().iter() {
        assert!(!one.auth.is_empty(), "{}", one.id);
        assert_eq!(one.source, Source::Builtin);
        assert_eq!(ProviderId::new(&one.id).as_str(), one.id, "an id has one spelling");
        let kinds = [CredentialKind::ApiKey, CredentialKind::Token, CredentialKind::OAuth];
        assert!(kinds.iter().any(|&kind| one.auth_for(kind).is_some()), "{}", one.id);
    }
}

/// E14: an unknown id brings up what it may have been meant to be.
#[test]
fn e14_near_matches() {
    let registry = Registry::built_in();
    for (typed, best) in [
        ("openai-codx", "openai-codex"),
        ("antropic", "anthropic"),
        ("Anthropci", "anthropic"),
        ("codex", "openai-codex"),
        ("claude", "anthropic"),
        ("gemini", "google"),
        ("copilot", "github-copilot"),
        ("openruoter", "openrouter"),
        ("zia", "zai"),
    ] {
        let near = registry.near(typed);
        assert_eq!(near.first().map(String::as_str), Some(best), "{typed}: {near:?}");
        assert!(near.len() <= 3);
    }
    for nothing in ["", " ", "q", "something-else-entirely", &"x".repeat(100_000)] {
        assert_eq!(registry.near(nothing), Vec::<String>::new());
    }
}

#[test]
fn ids_are_found_in_any_spelling() {
    let registry = Registry::built_in();
    for (typed, id) in
        [("OpenAI-Codex ", "openai-codex"), ("z.ai", "zai"), ("qwen", "qwen-portal"), ("openai", "openai")]
    {
        assert_eq!(registry.canonical(typed), Some(ProviderId::new(id)));
    }
    assert_eq!(registry.canonical("nobody"), None);
}

#[test]
fn codex_as_its_login_needs_it() {
    let registry = Registry::built_in();
    let codex = get(&registry, "openai-codex");
    let oauth = codex.auth(MethodKind::OAuth).unwrap();
    assert_eq!(codex.auth_for(CredentialKind::OAuth), Some(oauth));
    assert_eq!(oauth.token_origin().as_deref(), Some("https://auth.openai.com"));
    assert_eq!(oauth.token_source, Source::Builtin);
    assert_eq!(*oauth.redirect_ports, [1455, 1457]);
    assert_eq!(oauth.redirect.as_deref(), Some("http://127.0.0.1/auth/callback"));
    assert_eq!((oauth.token_request, oauth.revoke, oauth.rotates), (TokenRequest::Form, Revoke::Token, true));
    assert_eq!(oauth.default_lifetime, Some(Duration::from_secs(3600)));
    let params: Vec<(&str, &str)> =
        oauth.authorize_params.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(
        params,
        [
            ("codex_cli_simplified_flow", "true"),
            ("id_token_add_organizations", "true"),
            ("originator", "coderclaw"),
        ]
    );
    assert_eq!(*oauth.identity.account, ["/https:~1~1api.openai.com~1auth/chatgpt_account_id"]);
    assert_eq!(oauth.identity.subject.len(), 3);
    assert_eq!(codex.api(CredentialKind::OAuth).kind, Some(ApiKind::OpenAiResponses));
    assert_eq!(codex.billing(CredentialKind::OAuth), Billing::Subscription);
}

#[test]
fn setup_tokens_are_checked_when_pasted() {
    let registry = Registry::built_in();
    let anthropic = get(&registry, "anthropic");
    let setup = anthropic.auth_for(CredentialKind::Token).unwrap();
    assert_eq!(setup.method, MethodKind::SetupToken);
    let of_length = |length: usize| Secret::from(format!("{:x<length$}", "sk-ant-oat01-"));
    assert_eq!(setup.accepts(&of_length(80)), Ok(()));
    let short = setup.accepts(&of_length(79)).unwrap_err();
    assert!(matches!(short, Rejected::Shape { .. }), "{short}");
    for (pasted, why) in [
        ("", "nothing was pasted"),
        ("  \n", "nothing was pasted"),
        ("sk-ant-api03-canary", "it should begin with sk-ant-oat01-"),
        (
            "sk-ant-oat01-canary canary",
            "it holds a space, a line break or another character that no token has",
        ),
    ] {
        let rejected = setup.accepts(&Secret::from(pasted)).unwrap_err();
        assert_eq!(rejected.to_string(), why);
        assert!(!format!("{rejected:?}").contains("canary"));
    }
    let key = anthropic.auth(MethodKind::ApiKey).unwrap();
    assert_eq!(key.accepts(&Secret::from("sk-ant-api03-x")), Ok(()));
    assert_eq!(
        key.accepts(&of_length(90)).unwrap_err(),
        Rejected::Prefix { prefix: "sk-ant-api".to_owned() }
    );
    assert_eq!(anthropic.auth(MethodKind::Token).unwrap().accepts(&Secret::from("anything")), Ok(()));
}

#[test]
fn subscriptions_and_keys_are_told_apart() {
    let registry = Registry::built_in();
    let anthropic = get(&registry, "anthropic");
    assert_eq!(anthropic.billing(CredentialKind::Token), Billing::Subscription);
    assert_eq!(anthropic.billing(CredentialKind::OAuth), Billing::Subscription);
    assert_eq!(anthropic.billing(CredentialKind::ApiKey), Billing::Metered);
    assert_eq!(anthropic.env_kind("ANTHROPIC_OAUTH_TOKEN"), CredentialKind::Token);
    assert_eq!(anthropic.env_kind("ANTHROPIC_API_KEY"), CredentialKind::ApiKey);
    assert_eq!(get(&registry, "huggingface").env_kind("HF_TOKEN"), CredentialKind::ApiKey);
    assert_eq!(get(&registry, "github-copilot").env_kind("GH_TOKEN"), CredentialKind::Token);
    assert_eq!(get(&registry, "google-vertex").billing(CredentialKind::Token), Billing::Metered);
}

/// What was built in without anybody having tried it says so, and what was tried does not; no client secret is built in.
#[test]
fn what_was_not_tried_says_so() {
    let registry = Registry::built_in();
    let methods: Vec<_> =
        registry.iter().flat_map(|one| one.auth.iter().map(move |method| (&*one.id, method))).collect();
    let untested: Vec<(&str, &str)> = methods
        .iter()
        .filter(|(_, method)| method.untested)
        .map(|(id, method)| (*id, method.method.as_str()))
        .collect();
    assert_eq!(
        untested,
        [
            ("github-copilot", "device-code"),
            ("google-gemini-cli", "oauth"),
            ("openai", "siwc"),
            ("openrouter", "oauth-key"),
            ("qwen-portal", "device-code"),
            ("xai", "oauth"),
            ("xai", "device-code"),
        ]
    );
    assert!(methods.iter().all(|(_, method)| method.client_secret.is_none()));
    // A client of one's own is asked for where none is built in, and nowhere else.
    for (id, method) in methods {
        let wants = matches!(method.method, MethodKind::OAuth | MethodKind::DeviceCode)
            && !(method.method == MethodKind::DeviceCode && method.token_url.is_none());
        assert_eq!(method.own_client, wants && method.client_id.is_none(), "{id}");
    }
}

/// E9, E10: a device login that leaves out where tokens come from is the browser login by another door.
#[test]
fn e10_a_device_login_beside_a_browser_login() {
    let registry = Registry::built_in();
    let codex = get(&registry, "openai-codex");
    let (device, oauth) = (codex.device_login().unwrap(), codex.auth(MethodKind::OAuth).unwrap());
    assert_eq!((device.method, device.device_dialect), (MethodKind::DeviceCode, DeviceDialect::OpenAi));
    assert_eq!((&device.token_url, &device.client_id), (&oauth.token_url, &oauth.client_id));
    assert_eq!((&device.scopes, &device.identity), (&oauth.scopes, &oauth.identity));
    assert_eq!((device.redirect.as_ref(), device.redirect_ports.len()), (None, 0));
    assert_eq!(device.device_page.as_deref(), Some("https://auth.openai.com/codex/device"));
    assert_eq!(codex.auth_for(CredentialKind::OAuth), Some(oauth), "which refreshes both");
    let copilot = get(&registry, "github-copilot").device_login().unwrap();
    assert_eq!(copilot.token_origin().as_deref(), Some("https://github.com"));
    assert!(!copilot.rotates && copilot.access_url.is_some());
    assert!(get(&registry, "anthropic").device_login().is_none());
    let openrouter = get(&registry, "openrouter");
    assert_eq!(openrouter.auth(MethodKind::OAuthKey).unwrap().method.makes(), CredentialKind::ApiKey);
    assert_eq!(openrouter.billing(CredentialKind::ApiKey), Billing::Metered);
}

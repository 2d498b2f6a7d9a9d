//! `onboard --non-interactive`: each flag, each refusal, and nothing that waits.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{ME, PROVIDER, Ran, World};

const SCRIPT: &[&str] = &["onboard", "--non-interactive", "--accept-risk"];
const SOON: Duration = Duration::from_secs(10);

fn script(world: &World, more: &[&str]) -> Ran {
    world.run_within(SOON, &[SCRIPT, more].concat())
}

fn config(world: &World) -> Value {
    let text = std::fs::read_to_string(world.state().join("coderclaw.json")).unwrap_or_else(|_| "{}".into());
    serde_json::from_str(&text).unwrap()
}

fn model(world: &World) -> Value {
    config(world)["agents"]["defaults"]["model"]["primary"].clone()
}

fn setup_token() -> String {
    format!("sk-ant-oat01-{}", "canary".repeat(16))
}

/// Flag, the choice that it means, its profile, the default model: the original's table.
const ROWS: &[(&str, &str, &str, &str)] = &[
    ("anthropic-api-key", "apiKey", "anthropic:default", "anthropic/claude-sonnet-4-6"),
    ("openai-api-key", "openai-api-key", "openai:default", "openai/gpt-5.1-codex"),
    ("openrouter-api-key", "openrouter-api-key", "openrouter:default", "openrouter/auto"),
    (
        "ai-gateway-api-key",
        "ai-gateway-api-key",
        "vercel-ai-gateway:default",
        "vercel-ai-gateway/anthropic/claude-opus-4.6",
    ),
    (
        "cloudflare-ai-gateway-api-key",
        "cloudflare-ai-gateway-api-key",
        "cloudflare-ai-gateway:default",
        "cloudflare-ai-gateway/claude-sonnet-4-5",
    ),
    ("moonshot-api-key", "moonshot-api-key", "moonshot:default", "moonshot/kimi-k2.5"),
    ("kimi-code-api-key", "kimi-code-api-key", "kimi-coding:default", "kimi-coding/k2p5"),
    ("gemini-api-key", "gemini-api-key", "google:default", "google/gemini-3-pro-preview"),
    ("zai-api-key", "zai-api-key", "zai:default", "zai/glm-5"),
    ("xiaomi-api-key", "xiaomi-api-key", "xiaomi:default", "xiaomi/mimo-v2-flash"),
    ("minimax-api-key", "minimax-api", "minimax:default", "minimax/MiniMax-M2.5"),
    ("synthetic-api-key", "synthetic-api-key", "synthetic:default", "synthetic/hf:MiniMaxAI/MiniMax-M2.1"),
    ("venice-api-key", "venice-api-key", "venice:default", "venice/llama-3.3-70b"),
    ("together-api-key", "together-api-key", "together:default", "together/moonshotai/Kimi-K2.5"),
    (
        "huggingface-api-key",
        "huggingface-api-key",
        "huggingface:default",
        "huggingface/deepseek-ai/DeepSeek-R1",
    ),
    ("opencode-zen-api-key", "opencode-zen", "opencode:default", "opencode/claude-opus-4-6"),
    ("xai-api-key", "xai-api-key", "xai:default", "xai/grok-4"),
    ("litellm-api-key", "litellm-api-key", "litellm:default", "litellm/claude-opus-4-6"),
    ("qianfan-api-key", "qianfan-api-key", "qianfan:default", "qianfan/deepseek-v3.2"),
];

fn key_for(flag: &str) -> &'static str {
    match flag {
        "anthropic-api-key" => "sk-ant-api03-canary-canary-canary-canary",
        _ => "canary-canary-canary-canary-canary",
    }
}

/// E11: each key flag stores its key under the original's id, in the store and nowhere else, and sets the model; standard
/// output is JSON alone, and no key is shown.
#[test]
fn e11_every_key_flag_of_the_original_s() {
    for (flag, choice, profile, wanted_model) in ROWS {
        let world = World::new();
        let ran = script(&world, &["--json", &format!("--{flag}"), key_for(flag)]);
        assert!(!ran.stdout.contains("canary") && !ran.stderr.contains("canary"), "{flag}: {ran:?}");
        assert!(ran.stderr.contains("every user of this machine"), "{flag}: {ran:?}");
        let told = ran.json();
        assert_eq!(told["authChoice"], *choice, "{flag}");
        assert_eq!(
            (&told["profileId"], &told["defaultModel"]),
            (&json!(profile), &json!(wanted_model)),
            "{flag}"
        );
        for key in ["mode", "workspace", "gateway", "installDaemon", "skipSkills", "skipHealth"] {
            assert!(told.get(key).is_some(), "{flag}: {key}");
        }
        let entry = world.entry("main", profile);
        assert_eq!((&entry["type"], &entry["key"]), (&json!("api_key"), &json!(key_for(flag))), "{flag}");
        assert_eq!(model(&world), *wanted_model, "{flag}");
        let text = std::fs::read_to_string(world.state().join("coderclaw.json")).unwrap();
        assert!(!text.contains("canary"), "{flag}: {text}");
        assert!(!world.state().join(".env").exists(), "{flag}");
    }
}

/// E11, B9: each refusal comes at once, says what is missing and what to type, which exists, and changes nothing.
#[test]
fn e11_refusals_come_at_once_and_change_nothing() {
    let world = World::new();
    let before = world.everything();
    let rows: &[(&[&str], &str, &str)] = &[
        (&["onboard"], "input_required", "--non-interactive"),
        (&["onboard", "--auth-choice", "openai-api-key"], "input_required", "--non-interactive"),
        (&["onboard", "--non-interactive"], "input_required", "--accept-risk"),
        (&["configure"], "input_required", "flags"),
        (&["configure", "--section", "model"], "input_required", "flags"),
        (&["configure", "--section", "gateway"], "usage", "there is: model"),
        (&["configure", "--section", "nonsense"], "usage", "there is: model"),
        (&["onboard", "--nonsense"], "usage", "--nonsense"),
        (&["onboard", "--non-interactive", "--accept-risk", "--reset"], "input_required", "--yes"),
    ];
    for (line, code, words) in rows {
        let ran = world.run_within(SOON, line);
        assert_eq!(ran.code(), *code, "{line:?}");
        assert!(ran.stderr.contains(words), "{line:?}: {ran:?}");
        let error = world.run_within(SOON, &[line, &["--json"][..]].concat()).error_json();
        assert_eq!((&error["code"], error["hint"].is_string()), (&json!(code), true), "{line:?}");
    }
    let choices: &[(&[&str], &str, &str)] = &[
        (&["--auth-choice", "openai-codex"], "input_required", "models auth login --provider openai-codex"),
        (&["--auth-choice", "setup-token"], "input_required", "models auth setup-token --provider anthropic"),
        (&["--auth-choice", "oauth"], "input_required", "setup-token"),
        (&["--auth-choice", "token", "--token-provider", "anthropic"], "input_required", "--token"),
        (
            &["--auth-choice", "token", "--token-provider", "openai", "--token", "x"],
            "usage",
            "paste-token --provider openai",
        ),
        (&["--auth-choice", "token", "--token", "too-short"], "", "anthropic"),
        (&["--auth-choice", "openai-api-key"], "input_required", "OPENAI_API_KEY"),
        (&["--auth-choice", "claude-cli"], "usage", "setup-token"),
        (&["--auth-choice", "codex-cli"], "usage", "openai-codex"),
        (&["--auth-choice", "chutes"], "usage", "paste-token --provider chutes"),
        (
            &["--auth-choice", "github-copilot"],
            "input_required",
            "models auth login --provider github-copilot",
        ),
        (&["--auth-choice", "qwen-portal"], "input_required", "models auth login --provider qwen-portal"),
        (&["--auth-choice", "openrouter-oauth"], "input_required", "models auth login --provider openrouter"),
        (&["--auth-choice", "minimax-portal"], "usage", "paste-token"),
        (&["--auth-choice", "local"], "usage", "custom-api-key"),
        (&["--auth-choice", "vllm"], "usage", "custom-api-key"),
        (&["--auth-choice", "google-antigravity"], "usage", "no provider"),
        (&["--auth-choice", "zai-cn"], "usage", "another address"),
        (&["--auth-choice", "nonsense"], "usage", "openrouter-api-key"),
        (&["--openai-api-key", "canary1", "--xai-api-key", "canary2"], "usage", "--auth-choice"),
        (&["--mode", "remote"], "usage", "this machine"),
        (&["--auth-choice", "custom-api-key"], "input_required", "--custom-base-url"),
        (&["--custom-base-url", "http://x.test/v1"], "input_required", "--custom-model-id"),
        (&["--custom-base-url", "nonsense", "--custom-model-id", "m"], "usage", "http"),
        (
            &[
                "--custom-base-url",
                "http://x.test",
                "--custom-model-id",
                "m",
                "--custom-provider-id",
                "openai",
            ],
            "usage",
            "another name",
        ),
    ];
    for (line, code, words) in choices {
        let ran = script(&world, line);
        if !code.is_empty() {
            assert_eq!(ran.code(), *code, "{line:?}");
        }
        assert_eq!(ran.code, Some(1), "{line:?}");
        assert!(ran.stderr.contains(words), "{line:?}: {ran:?}");
        assert!(!ran.stderr.contains("canary"), "{line:?}: {ran:?}");
        let next = ran
            .stderr
            .lines()
            .find_map(|line| line.trim().strip_prefix("next: coderclaw "))
            .expect(&ran.stderr);
        let words: Vec<&str> = next.split(' ').chain(["--help"]).collect();
        assert_eq!(world.run(&words).code, Some(0), "{line:?}: {next}");
    }
    assert_eq!(world.everything(), before, "a refusal changed something");
}

/// E11: a key by standard input or by its variable; one that is stored already; and twice the same.
#[test]
fn e11_keys_that_nobody_else_can_see() {
    let mut world = World::new();
    let line = [SCRIPT, &["--auth-choice", "openai-api-key", "--stdin", "--json"]].concat();
    let ran = world.run_with_input(&line, "export OPENAI_API_KEY='sk-canary-canary-canary-canary'\n");
    assert!(!ran.stderr.contains("every user"), "{ran:?}");
    assert_eq!(ran.json()["profileId"], "openai:default");
    assert_eq!(world.entry("main", "openai:default")["key"], "sk-canary-canary-canary-canary");
    let again = script(&world, &["--auth-choice", "openai-api-key", "--json"]).json();
    assert!(again["notes"].to_string().contains("there already"), "{again}");
    world.set("XAI_API_KEY", "xai-canary-canary-canary");
    let told = script(&world, &["--auth-choice", "xai-api-key", "--json"]).json();
    assert!(told["notes"].to_string().contains("XAI_API_KEY"), "{told}");
    assert_eq!(world.entry("main", "xai:default")["key"], "xai-canary-canary-canary");
    assert_eq!(model(&world), "openai/gpt-5.1-codex", "the default is the one that was there first");
    // A bearer token in a variable is no API key.
    world.set("ANTHROPIC_OAUTH_TOKEN", setup_token());
    assert_eq!(script(&world, &["--auth-choice", "apiKey"]).code(), "input_required");
    // Another key under the same id is not overwritten silently.
    let other = ["--openai-api-key", "sk-canary-other-other-other-other"];
    assert_eq!(script(&world, &other).code(), "id_taken");
    assert_eq!(world.entry("main", "openai:default")["key"], "sk-canary-canary-canary-canary");
    script(&world, &[&other[..], &["--replace"]].concat()).ok();
    assert_eq!(world.entry("main", "openai:default")["key"], "sk-canary-other-other-other-other");
}

#[test]
fn the_token_of_a_claude_subscription() {
    let world = World::new();
    let token = setup_token();
    let flags = [
        "--auth-choice",
        "token",
        "--token-provider",
        "anthropic",
        "--token",
        &token,
        "--token-expires-in",
        "30",
    ];
    let told = script(&world, &[&flags[..], &["--json"]].concat()).json();
    assert_eq!((&told["profileId"], &told["provider"]), (&json!("anthropic:default"), &json!("anthropic")));
    let entry = world.entry("main", "anthropic:default");
    assert_eq!((&entry["type"], &entry["token"]), (&json!("token"), &json!(token)));
    let left = entry["expires"].as_i64().unwrap() - world.at(0);
    assert!((29 * 86_400_000..=30 * 86_400_000).contains(&left), "{left}");
    let line = [SCRIPT, &["--auth-choice", "setup-token", "--stdin", "--token-profile-id", "anthropic:work"]]
        .concat();
    world.run_with_input(&line, &format!("{token}\n")).ok();
    assert_eq!(world.entry("main", "anthropic:work")["token"], token);
}

#[test]
fn the_config_says_what_it_has_to_and_nothing_more() {
    let world = World::new();
    world.config(
        "// mine\n{agents: {defaults: {model: {primary: 'zai/glm-5'}, models: {'zai/glm-5': {}}}},\n\
         auth: {profiles: {'openai:old': {provider: 'openai', mode: 'api_key'}}}, odd: {stays: 1}}\n",
    );
    let flags = ["--openai-api-key", "sk-canary-canary-canary-canary", "--workspace", "work"];
    script(&world, &flags).ok();
    let text = std::fs::read_to_string(world.state().join("coderclaw.json")).unwrap();
    assert!(text.starts_with("// mine") && text.contains("odd: {stays: 1}"), "{text}");
    let get = |key: &str| world.run(&["config", "get", key, "--json"]).json();
    assert_eq!(get("agents.defaults.model.primary"), "zai/glm-5", "nobody said that it should change");
    // The original uses only declared profiles where there are some.
    assert_eq!(get("auth.profiles")["openai:default"], json!({"provider": "openai", "mode": "api_key"}));
    assert_eq!(get("agents.defaults.workspace"), world.path().join("work").to_str().unwrap());
    script(&world, &["--auth-choice", "openai-api-key", "--set-default"]).ok();
    assert_eq!(get("agents.defaults.model.primary"), "openai/gpt-5.1-codex");
    assert!(
        get("agents.defaults.models").get("openai/gpt-5.1-codex").is_some(),
        "only listed models may be used"
    );
}

#[test]
fn a_server_of_one_s_own() {
    let mut world = World::new();
    world.set("CUSTOM_API_KEY", "canary-canary-canary");
    let flags = ["--custom-base-url", "http://127.0.0.1:8000/v1", "--custom-model-id", "llama", "--json"];
    let told = script(&world, &[&["--auth-choice", "custom-api-key"], &flags[..]].concat()).json();
    assert_eq!(told["defaultModel"], "custom-127-0-0-1-8000/llama");
    assert_eq!(told["profileId"], "custom-127-0-0-1-8000:default");
    let server = &config(&world)["models"]["providers"]["custom-127-0-0-1-8000"];
    assert_eq!(
        (&server["baseUrl"], &server["api"]),
        (&json!("http://127.0.0.1:8000/v1"), &json!("openai-completions"))
    );
    assert!(server.get("apiKey").is_none(), "keys belong into the store: {server}");
    assert_eq!(world.entry("main", "custom-127-0-0-1-8000:default")["key"], "canary-canary-canary");
    assert_eq!(world.run(&["config", "validate"]).code, Some(0));
    let token = world.run(&["models", "auth", "token", "--provider", "custom-127-0-0-1-8000"]).ok();
    assert_eq!(token.trim(), "canary-canary-canary");
}

#[test]
fn cloudflare_s_ids_stand_beside_its_key() {
    let world = World::new();
    let flags = [
        "--cloudflare-ai-gateway-api-key",
        "canary-canary-canary-canary",
        "--cloudflare-ai-gateway-account-id",
        "acc",
        "--cloudflare-ai-gateway-gateway-id",
        "gw",
    ];
    script(&world, &flags).ok();
    let entry = world.entry("main", "cloudflare-ai-gateway:default");
    assert_eq!(entry["metadata"], json!({"accountId": "acc", "gatewayId": "gw"}));
}

/// Nothing is skipped without a word, and what has no effect is named.
#[test]
fn flags_without_effect_are_said() {
    let world = World::new();
    let flags = [
        "--auth-choice",
        "skip",
        "--flow",
        "quickstart",
        "--mode",
        "local",
        "--gateway-port",
        "1",
        "--gateway-token",
        "canary",
        "--install-daemon",
        "--skip-channels",
        "--skip-skills",
        "--skip-health",
        "--skip-ui",
        "--node-manager",
        "npm",
        "--json",
    ];
    let ran = script(&world, &flags);
    assert!(!ran.stderr.contains("canary"), "{ran:?}");
    let told = ran.json();
    let notes = told["notes"].to_string();
    for flag in ["--gateway-port", "--gateway-token", "--install-daemon", "--node-manager"] {
        assert!(notes.contains(flag), "{flag}: {notes}");
    }
    assert!(!notes.contains("--skip"), "{notes}");
    assert_eq!((&told["skipSkills"], &told["profileId"]), (&json!(true), &Value::Null));
    assert!(!world.store().exists());
    let told = script(&world, &["--json"]).json();
    assert!(told["notes"].to_string().contains("no login was set up"), "{told}");
    let both = [
        "--auth-choice",
        "xai-api-key",
        "--xai-api-key",
        "xai-canary-canary",
        "--zai-api-key",
        "canary",
        "--json",
    ];
    let told = script(&world, &both).json();
    assert!(told["notes"].to_string().contains("--zai-api-key"), "{told}");
}

/// Everything goes to the trash, nothing is deleted, and a damaged config is no hindrance.
#[test]
fn a_reset_loses_nothing() {
    let world = World::new();
    let login = world.login(3_600_000);
    world.seed("main", &[(ME, &login.entry)]);
    world.seed("work", &[(ME, &login.entry)]);
    world.private(&world.state().join("agents/main/sessions/sessions.json"), "{}");
    world.private(&world.state().join("credentials/oauth.json"), "{}");
    world.private(&world.state().join("workspace-work/mine"), "mine");
    world.config("{damaged");
    world.private(&world.state().join("coderclaw.json.bak"), "{}");
    let line = [SCRIPT, &["--auth-choice", "skip", "--reset", "--yes", "--json"]].concat();
    let told = world.run_within(SOON, &line).json();
    assert!(told["notes"].to_string().contains("trash"), "{told}");
    for gone in [
        "agents/main/agent/auth-profiles.json",
        "agents/work",
        "credentials",
        "coderclaw.json",
        "coderclaw.json.bak",
    ] {
        assert!(!world.state().join(gone).exists(), "{gone}");
    }
    assert!(world.state().join("workspace-work/mine").exists() && world.state().join("providers").exists());
    let mut found = Vec::new();
    for folder in std::fs::read_dir(world.state().join("trash")).unwrap() {
        for file in
            ["agent/auth-profiles.json", "sessions/sessions.json", "coderclaw.json", "credentials/oauth.json"]
        {
            let path = folder.as_ref().unwrap().path().join(file);
            found.extend(path.exists().then_some(file));
        }
    }
    found.sort_unstable();
    let wanted = [
        "agent/auth-profiles.json",
        "agent/auth-profiles.json",
        "coderclaw.json",
        "credentials/oauth.json",
        "sessions/sessions.json",
    ];
    assert_eq!(found, wanted);
    assert_eq!(world.run(&["models", "auth", "list", "--json"]).json()["profiles"], json!([]));
    let paths = world.run(&["models", "auth", "paths", "--json"]).ok();
    assert!(paths.contains("/trash/reset-") && paths.contains("/trash/work-"), "{paths}");
    // Twice is as good as once.
    world.run_within(SOON, &line).ok();
}

#[test]
fn another_agent_and_an_empty_state_dir() {
    let world = World::new();
    assert!(world.run(&[]).ok().contains("  coderclaw onboard\n"));
    world.config("{agents: {list: [{id: 'main', default: true}, {id: 'work'}]}}");
    let told = script(&world, &["--agent", "work", "--xai-api-key", "xai-canary-canary", "--json"]).json();
    assert_eq!(told["agentId"], "work");
    assert!(world.store_of("work").exists() && !world.store().exists());
    assert_eq!(script(&world, &["--agent", "nobody", "--auth-choice", "skip"]).code(), "unknown_agent");
    let hint = script(&world, &["--agent", "work", "--auth-choice", PROVIDER, "--json"]).error_json();
    assert_eq!(hint["hint"], "coderclaw models auth login --provider openai-codex --agent work");
}

//! `models list|set|set-image|aliases|fallbacks|image-fallbacks`, and providers that want no key.

use serde_json::{Value, json};

use crate::world::{ME, Ran, World};

fn config(world: &World) -> Value {
    let text = std::fs::read_to_string(world.state().join("coderclaw.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn refused(ran: &Ran, code: &str, says: &str) {
    assert_eq!(ran.code(), code, "{ran:?}");
    assert!(ran.stderr.contains(says), "{says}: {ran:?}");
}

/// The lines after the first, which says which file was written.
fn told(ran: Ran) -> String {
    let out = ran.ok();
    let (first, rest) = out.split_once('\n').unwrap();
    assert!(first.starts_with("Updated ") && first.ends_with("coderclaw.json"), "{first}");
    rest.to_owned()
}

#[test]
fn the_default_model_is_set_by_name_or_alias() {
    let world = World::new();
    let ran = world.run(&["models", "set", "Opus"]);
    assert!(ran.stderr.contains("is a list now"), "{ran:?}");
    assert_eq!(told(ran), "Default model: anthropic/claude-opus-4-6\n");
    let defaults = json!({"model": {"primary": "anthropic/claude-opus-4-6"}, "models": {"anthropic/claude-opus-4-6": {}}});
    assert_eq!(config(&world)["agents"]["defaults"], defaults);
    assert_eq!(world.run(&["models", "status", "--plain"]).ok(), "anthropic/claude-opus-4-6\n");
    assert_eq!(world.run(&["models", "--status-plain"]).ok(), "anthropic/claude-opus-4-6\n");
    assert_eq!(world.run(&["models", "--status-json"]).json()["defaultModel"], "anthropic/claude-opus-4-6");
    let set = world.run(&["models", "set", "openai/gpt-5.3-codex", "--json"]);
    assert_eq!(set.stderr, "");
    assert_eq!(set.json()["model"], "openai-codex/gpt-5.3-codex");
    assert_eq!(
        told(world.run(&["models", "set-image", "google/gemini-3-pro"])),
        "Image model: google/gemini-3-pro-preview\n"
    );
    let models = config(&world)["agents"]["defaults"]["models"].clone();
    assert_eq!(models.as_object().unwrap().len(), 3);
    refused(&world.run(&["models", "set", "opsu"]), "unknown_model", "did you mean opus?");
    refused(&world.run(&["models", "set", "antropic/x"]), "unknown_provider", "did you mean anthropic?");
    assert_eq!(world.run(&["models", "set", "opsu", "--json"]).error_json()["code"], "unknown_model");
}

#[test]
fn an_agents_own_model_is_set_in_its_entry() {
    let world = World::new();
    world.config("{ agents: { list: [{ id: 'work' }, { id: 'both', model: { primary: 'x/y', fallbacks: ['x/z'] } }] } }");
    assert_eq!(
        told(world.run(&["models", "set", "openai/gpt-5.2", "--agent", "work"])),
        "Model of work: openai/gpt-5.2\n"
    );
    world.run(&["models", "set", "openai/gpt-5.2", "--agent", "both"]).ok();
    let list = world.run(&["config", "get", "agents.list", "--json"]).json();
    assert_eq!(list[0]["model"], "openai/gpt-5.2");
    assert_eq!(list[1]["model"], json!({"primary": "openai/gpt-5.2", "fallbacks": ["x/z"]}));
    refused(&world.run(&["models", "set", "openai/gpt-5.2", "--agent", "gone"]), "unknown_agent", "gone");
    let own = world.run(&["models", "fallbacks", "list", "--plain", "--agent", "both"]).ok();
    assert_eq!(
        (own.as_str(), world.run(&["models", "fallbacks", "list", "--plain"]).ok().as_str()),
        ("x/z\n", "")
    );
    for arguments in [&["models", "set-image", "gpt"][..], &["models", "fallbacks", "clear"]] {
        let ran = world.run(&[arguments, &["--agent", "work"]].concat());
        refused(&ran, "usage", "the same for all agents");
    }
}

#[test]
fn aliases_are_added_listed_and_removed() {
    let world = World::new();
    let built_in = world.run(&["models", "aliases", "list", "--json"]).json();
    assert_eq!(built_in["aliases"]["opus"], "anthropic/claude-opus-4-6");
    assert_eq!(
        told(world.run(&["models", "aliases", "add", "fast", "openai/gpt-5-mini"])),
        "Alias fast -> openai/gpt-5-mini\n"
    );
    assert_eq!(world.run(&["models", "aliases", "list", "--plain"]).ok(), "fast openai/gpt-5-mini\n");
    assert_eq!(world.run(&["models", "aliases", "list"]).ok(), "Aliases (1):\n- fast -> openai/gpt-5-mini\n");
    refused(
        &world.run(&["models", "aliases", "add", "FAST", "openai/gpt-5.2"]),
        "alias_taken",
        "openai/gpt-5-mini",
    );
    refused(&world.run(&["models", "aliases", "add", "a b", "openai/gpt-5.2"]), "usage", "is no alias");
    refused(&world.run(&["models", "aliases", "remove", "gone"]), "unknown_alias", "Alias not found: gone");
    assert_eq!(told(world.run(&["models", "set", "FAST"])), "Default model: openai/gpt-5-mini\n");
    assert_eq!(told(world.run(&["models", "aliases", "remove", "Fast"])), "No aliases configured.\n");
    // Without an alias of its own, the model has its built-in one, which can be switched off too.
    assert_eq!(world.run(&["models", "aliases", "list", "--plain"]).ok(), "gpt-mini openai/gpt-5-mini\n");
    world.run(&["models", "aliases", "remove", "gpt-mini"]).ok();
    assert_eq!(world.run(&["models", "aliases", "list"]).ok(), "Aliases (0):\n- none\n");
    assert_eq!(world.run(&["models", "aliases", "list", "--json"]).json(), json!({"aliases": {}}));
}

#[test]
fn fallbacks_keep_their_order() {
    for (list, key, label, cleared) in [
        ("fallbacks", "model", "Fallbacks", "Fallback list cleared.\n"),
        ("image-fallbacks", "imageModel", "Image fallbacks", "Image fallback list cleared.\n"),
    ] {
        let world = World::new();
        assert_eq!(world.run(&["models", list, "list"]).ok(), format!("{label} (0):\n- none\n"));
        assert_eq!(world.run(&["models", list, "list", "--json"]).json(), json!({"fallbacks": []}));
        world.run(&["models", list, "add", "gpt"]).ok();
        assert_eq!(
            told(world.run(&["models", list, "add", "xai/grok-4"])),
            format!("{label}: openai/gpt-5.2, xai/grok-4\n")
        );
        let again = world.run(&["models", list, "add", "openai/gpt-5.2"]).ok();
        assert!(again.starts_with("Unchanged "), "{again}");
        assert_eq!(
            world.run(&["models", list, "list"]).ok(),
            format!("{label} (2):\n- openai/gpt-5.2\n- xai/grok-4\n")
        );
        assert_eq!(world.run(&["models", list, "list", "--plain"]).ok(), "openai/gpt-5.2\nxai/grok-4\n");
        assert_eq!(
            config(&world)["agents"]["defaults"][key]["fallbacks"],
            json!(["openai/gpt-5.2", "xai/grok-4"])
        );
        refused(
            &world.run(&["models", list, "remove", "zai/glm-4"]),
            "unknown_model",
            "not found: zai/glm-4",
        );
        assert_eq!(
            told(world.run(&["models", list, "remove", "openai/gpt-5.2"])),
            format!("{label}: xai/grok-4\n")
        );
        assert_eq!(told(world.run(&["models", list, "clear"])), cleared);
        assert_eq!(world.run(&["models", list, "list", "--json"]).json(), json!({"fallbacks": []}));
    }
}

/// What is listed is JSON also when it is nothing, and `available` is what the resolver says.
#[test]
fn models_are_listed_without_a_download() {
    let world = World::new();
    let login = world.login(3_000_000);
    world.seed("main", &[(ME, &login.entry)]);
    world.config(
        "{ agents: { defaults: { model: { primary: 'openai-codex/gpt-5.2', fallbacks: ['box/m'] },
             models: { 'openai-codex/gpt-5.2': { alias: 'mine' }, 'box/m': {}, 'groq/x': {} } } },
           models: { providers: { box: { baseUrl: 'http://127.0.0.1:9/v1',
             models: [{ id: 'm', name: 'Box M', input: ['text', 'image'], contextWindow: 32000 }, { id: 'n' }] } } } }",
    );
    let list = world.run(&["models", "list", "--json"]).json();
    let row =
        |key: &str| list["models"].as_array().unwrap().iter().find(|row| row["key"] == key).cloned().unwrap();
    assert_eq!(list["count"], 3);
    let mine = row("openai-codex/gpt-5.2");
    assert_eq!(
        (&mine["available"], &mine["tags"]),
        (&json!(true), &json!(["default", "configured", "alias:mine"]))
    );
    let boxed = json!({"key": "box/m", "name": "Box M", "input": "text+image", "contextWindow": 32000, "local": true,
        "available": true, "tags": ["fallback#1", "configured"], "missing": false});
    assert_eq!(row("box/m"), boxed);
    assert_eq!(row("groq/x")["available"], false);
    assert_eq!(world.run(&["models", "list", "--local", "--plain"]).ok(), "box/m\n");
    assert_eq!(
        world.run(&["models", "list", "--provider", "box", "--all", "--plain"]).ok(),
        "box/m\nbox/n\n"
    );
    let table = world.run(&["models", "list"]).ok();
    assert!(table.starts_with("Model ") && table.contains("default,configured,alias:mine"), "{table}");
    assert_eq!(
        world.run(&["models", "list", "--provider", "xai", "--json"]).json(),
        json!({"count": 0, "models": []})
    );
    assert_eq!(world.run(&["models", "list", "--provider", "xai"]).ok(), "No models found.\n");
    refused(&world.run(&["models", "list", "--provider", "gorq"]), "unknown_provider", "groq");
    refused(&world.run(&["models", "list", "--jsn"]), "usage", "--jsn");
}

/// C19: a provider nearby that wants no key is served without one, and everybody says so; one far away is not.
#[test]
fn c19_a_local_provider_needs_no_key() {
    let world = World::new();
    world.config(
        "{ models: { providers: { ollama: { baseUrl: 'http://127.0.0.1:11434/v1', models: [] },
             lab: { baseUrl: 'http://10.0.0.7/v1', models: [] },
             far: { baseUrl: 'https://far.example/v1', models: [] },
             later: { baseUrl: 'http://127.0.0.1:1', apiKey: '${GONE}', models: [] } } } }",
    );
    for provider in ["ollama", "lab"] {
        let token = world.run(&["models", "auth", "token", "--provider", provider]);
        assert_eq!((token.code, token.stdout.as_str()), (Some(0), "\n"), "{token:?}");
        assert_eq!(token.stderr, format!("{provider}: no credential needed\n"));
        let token =
            world.run(&["models", "auth", "token", "--provider", provider, "--format", "json"]).json();
        assert_eq!(
            (&token["token"], &token["tokenType"], &token["header"]),
            (&json!(null), &json!("none"), &json!([]))
        );
        let why = world.run(&["models", "auth", "explain", "--provider", provider, "--json"]).json();
        assert_eq!(
            why["winner"],
            json!({"profileId": null, "source": "none", "fingerprint": null, "validUntil": null})
        );
        assert_eq!(why["candidates"][0]["detail"], "no credential needed");
        assert_eq!(why["candidates"][0]["verdict"], "winner");
    }
    let words = world.run(&["models", "status"]).ok();
    assert!(words.contains("ollama"), "{words}");
    assert_eq!(world.run(&["models", "auth", "token", "--provider", "far"]).code(), "missing_credential");
    let later = world.run(&["models", "auth", "token", "--provider", "later"]);
    refused(&later, "unresolved_ref", "needs the variable GONE, which is not set");
    // A key that is stored counts: somebody wanted it.
    world.seed("main", &[("ollama:x", &json!({"type": "api_key", "provider": "ollama", "key": "k-canary"}))]);
    assert_eq!(world.run(&["models", "auth", "token", "--provider", "ollama"]).ok(), "k-canary\n");
}

//! What a shell's completion is told. How the shells use it: `shells.rs`.

use serde_json::json;

use crate::world::{ME, PROVIDER, World};

pub(crate) const WORK: &str = "openai-codex:work@x.test#1a2b3c4d";
/// A name that another program has put into the store.
pub(crate) const HOSTILE: &str = "openai-codex:$(touch owned);`touch owned` 'x";
pub(crate) const BROKEN: &str = "openai-codex:a\nvalues\tb";
const HOUR: i64 = 3_600_000;

/// Two agents, some profiles, sessions and names for models.
pub(crate) fn world() -> World {
    let world = World::new();
    let (mine, works) = (world.login(HOUR), world.login_of("work", HOUR));
    let key = json!({"type": "api_key", "provider": "anthropic", "key": "sk-ant-canary-canary-canary"});
    let entries = [(ME, &mine.entry), (WORK, &works.entry), ("anthropic:default", &key)];
    world.seed("main", &entries);
    world.seed("ops", &[("openai-codex:ops@x.test", &world.login_of("ops", HOUR).entry)]);
    world.config(
        r#"{agents: {list: [{id: "main", default: true}, {id: "ops", name: "Night shift"}],
        defaults: {model: {primary: "openai-codex/gpt-5", fallbacks: ["anthropic/claude-x"]},
        models: {"openai-codex/gpt-5": {alias: "Five"}}}}, channels: {telegram: {}}}"#,
    );
    let sessions = json!({
        "agent:main:main": {"sessionId": "s1", "authProfileOverride": WORK, "authProfileOverrideSource": "user"},
        "agent:main:plan": {"sessionId": "s2"},
    });
    world.private(&world.state().join("agents/main/sessions/sessions.json"), &sessions.to_string());
    world
}

/// What is offered at the end of `line`: the kind, then the values.
fn offered(world: &World, line: &str) -> Vec<String> {
    let mut words: Vec<&str> = line.split(' ').collect();
    let word = format!("--word={}", words.pop().unwrap());
    let out = world.run(&[&["complete", word.as_str(), "--"], words.as_slice()].concat()).ok();
    out.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

/// B9: what is offered is what there is: of the agent and the provider that were named, and nothing that cannot follow.
#[test]
fn b9_what_is_offered_exists() {
    let world = world();
    let table: [(&str, &[&str]); 28] = [
        ("do", &["values", "doctor"]),
        ("models auth lo", &["values", "login", "log", "logout", "lock"]),
        ("models auth use openai-codex:", &["values", ME, WORK]),
        ("models auth use openai-codex:w", &["values", WORK]),
        ("models auth logout ", &["values", ME, WORK, "anthropic:default"]),
        ("--agent ops models auth logout ", &["values", "openai-codex:ops@x.test"]),
        ("models auth logout --agent=ops ", &["values", "openai-codex:ops@x.test"]),
        ("models auth order set --provider anthropic ", &["values", "anthropic:default"]),
        (&format!("models auth order set --provider openai-codex {ME} "), &["values", WORK]),
        ("exec --provider openai-codex --profile=openai-codex:m", &["values", &format!("--profile={ME}")]),
        (
            "models status --probe --probe-profile anthropic:default,openai-codex:m",
            &["values", &format!("anthropic:default,{ME}")],
        ),
        ("models auth login --provider openai-c", &["values", PROVIDER]),
        ("models auth token --format ", &["values", "token", "json", "env", "header"]),
        ("models auth token --format=h", &["values", "--format=header"]),
        ("models auth token --ver", &["values", "--verify", "--verbose"]),
        ("models auth token --verify --ver", &["values", "--verbose"]),
        ("--agent ", &["values", "main", "ops"]),
        ("agents link ops --to m", &["values", "main"]),
        ("sessions show ", &["values", "main", "plan"]),
        ("models auth explain --session p", &["values", "plan"]),
        ("models set Fi", &["values", "Five"]),
        ("models fallbacks remove ", &["values", "anthropic/claude-x"]),
        (
            "config get agents.defaults.model",
            &[
                "values",
                "agents.defaults.model",
                "agents.defaults.model.primary",
                "agents.defaults.model.fallbacks",
                "agents.defaults.models",
                "agents.defaults.models.openai-codex/gpt-5",
            ],
        ),
        ("agent --channel ", &["values", "telegram"]),
        ("models auth paste-token --file ", &["files"]),
        ("exec --provider openai-codex -- ", &["commands"]),
        ("exec --provider openai-codex -- cat ", &["files"]),
        ("models auth token --min-validity ", &["values"]),
    ];
    for (line, expected) in table {
        let found = offered(&world, line);
        let sorted = |mut all: Vec<String>| {
            all.sort();
            all
        };
        let expected: Vec<String> = expected.iter().map(|one| (*one).to_owned()).collect();
        assert_eq!(sorted(found), sorted(expected), "{line}");
    }
    let choices = offered(&world, "onboard --auth-choice s");
    assert!(choices.contains(&"setup-token".to_owned()), "{choices:?}");
    let all = offered(&world, "");
    assert!(all.contains(&"completions".to_owned()) && !all.contains(&"complete".to_owned()), "{all:?}");
    let told = world.run(&["complete", "--word=openai-codex:m", "--", "models", "auth", "use"]).ok();
    assert_eq!(told, format!("values\n{ME}\toauth, ok\n"));
}

/// What is broken, elsewhere or hostile makes fewer words, and never a message in somebody's command line.
#[test]
fn what_cannot_be_read_has_no_words() {
    let mut world = world();
    let mine = world.login(HOUR);
    world.seed("main", &[(HOSTILE, &mine.entry), (BROKEN, &mine.entry)]);
    assert_eq!(offered(&world, "models auth use openai"), ["values", HOSTILE]);
    let quiet = |world: &World, line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let ran = world.run(&[&["complete", "--word=", "--"], words.as_slice()].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{line}: {ran:?}");
        ran.stdout
    };
    world.private(&world.store(), "{ not json");
    assert_eq!(quiet(&world, "models auth use"), "values\n");
    world.config("{ agents: [ }");
    assert_eq!(quiet(&world, "models auth use"), "values\n");
    assert!(quiet(&world, "models auth").contains("login\t"));
    assert!(quiet(&world, "--agent").contains("main"));
    for odd in [
        "no such command",
        "models auth --agent",
        "-- -- --",
        "--profile",
        "--profile ../x",
        "models --agent=",
        "-",
    ] {
        quiet(&world, odd);
    }
    world.set("CODERCLAW_SOCKET", "/nowhere/token.sock");
    assert!(quiet(&world, "models auth").contains("login\t"));
    assert_eq!(quiet(&world, "models auth use"), "values\n");
    assert!(world.run(&["completions", "fish"]).ok().contains("coderclaw"));
}

/// Another state dir is looked at where the line names one.
#[test]
fn the_state_dir_of_the_line_counts() {
    let mut world = world();
    world.unset("CODERCLAW_STATE_DIR");
    world.set("CODERCLAW_STATE_DIR", "");
    let there = world.home().join(".coderclaw-lab/agents/main/agent/auth-profiles.json");
    let entry = json!({"type": "api_key", "provider": "anthropic", "key": "sk-ant-canary-canary-canary"});
    world.private(&there, &json!({"version": 1, "profiles": {"anthropic:lab": entry}}).to_string());
    assert_eq!(offered(&world, "--profile lab models auth use "), ["values", "anthropic:lab"]);
    assert_eq!(offered(&world, "models auth use "), ["values"]);
}

/// Every shell has its script, in JSON too; another one is named with those that there are.
#[test]
fn each_shell_has_a_script() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = world.run(&["completions", shell]).ok();
        assert!(script.contains("complete \"--word="), "{script}");
        let json = world.run(&["completions", shell, "--json"]).json();
        assert_eq!((json["shell"].as_str(), json["script"].as_str()), (Some(shell), Some(script.as_str())));
    }
    let ran = world.run(&["completions", "tcsh"]);
    assert_eq!(ran.code(), "usage");
    assert!(ran.stderr.contains("tcsh") && ran.stderr.contains("fish"), "{ran:?}");
}

//! Looking changes nothing, says the same whatever looks, and shows no secret.

use coderclaw_sandbox::{Fault, Reply};
use serde_json::{Value, json};

use crate::world::{ME, PROVIDER, TOKEN, World};

const OTHER: &str = "openai-codex:other";
const HOUR: i64 = 3_600_000;

/// Every command that only looks.
const LOOKS: &[&[&str]] = &[
    &[],
    &["--json"],
    &["models", "status"],
    &["models", "status", "--json"],
    &["models", "status", "--check"],
    &["models", "auth", "list"],
    &["models", "auth", "list", "--json", "--provider", PROVIDER],
    &["models", "auth", "explain", "--provider", PROVIDER],
    &["models", "auth", "explain", "--provider", PROVIDER, "--json", "--session", "k", "--model", "m"],
    &["models", "auth", "explain", "--provider", "anthropic", "--json"],
    &["models", "auth", "order", "get", "--provider", PROVIDER],
    &["models", "auth", "order", "get", "--provider", PROVIDER, "--json"],
    &["models", "auth", "alerts"],
    &["models", "auth", "alerts", "--json"],
    &["models", "auth", "log"],
    &["models", "auth", "log", "--json", "--profile", ME],
    &["models", "auth", "paths"],
    &["models", "auth", "paths", "--json"],
    &["channels", "list"],
    &["channels", "list", "--json"],
    &["doctor"],
    &["doctor", "--json"],
    &["completions", "bash"],
    &["complete", "--word=openai-codex:", "--", "models", "auth", "use"],
    &["complete", "--", "sessions", "show"],
];

/// A token that is fresh, in every format; the last clearing of an order that is not there.
const LOANS: &[&[&str]] = &[
    TOKEN,
    &["models", "auth", "token", "--provider", PROVIDER, "--format", "token"],
    &["models", "auth", "token", "--provider", PROVIDER, "--format", "json"],
    &["models", "auth", "token", "--provider", PROVIDER, "--format", "env"],
    &["models", "auth", "token", "--provider", PROVIDER, "--format", "header"],
    &["models", "auth", "token", "--provider", PROVIDER, "--min-validity", "30m"],
    &["models", "auth", "refresh", "--provider", PROVIDER],
    &["models", "auth", "order", "clear", "--provider", PROVIDER],
];

/// Runs the commands, and fails where one leaves a trace on the disk or at the server.
fn leaves_no_trace(world: &World, name: &str, commands: &[&[&str]]) {
    let before = world.everything();
    let requests = world.sandbox.log().len();
    for command in commands {
        let ran = world.run(command);
        assert!(matches!(ran.code, Some(0..=2)), "{name}: {command:?}: {ran:?}");
        assert_eq!(world.everything(), before, "{name}: {command:?} changed something");
        assert_eq!(world.sandbox.log().len(), requests, "{name}: {command:?} sent something");
    }
}

/// Law 4: a world without a state dir has none afterwards, whatever is asked.
#[test]
fn law4_an_empty_world_stays_empty() {
    let mut world = World::new();
    std::fs::remove_dir_all(world.state()).unwrap();
    std::fs::remove_dir_all(world.home()).unwrap();
    leaves_no_trace(&world, "nothing", LOOKS);
    leaves_no_trace(&world, "nothing", LOANS);
    world.unset("CODERCLAW_STATE_DIR");
    world.set("CODERCLAW_STATE_DIR", "");
    leaves_no_trace(&world, "no state dir named", LOOKS);
}

/// Law 4: with a fresh login, looks and loans read only; with and without the key of the fingerprints.
#[test]
fn law4_looks_and_loans_of_a_fresh_login() {
    let world = World::new();
    let login = world.login(HOUR / 2 + 60_000);
    world.seed("main", &[(ME, &login.entry), (OTHER, &json!({"type": "new kind", "x": 1}))]);
    for name in ["without a key", "with a key"] {
        leaves_no_trace(&world, name, LOOKS);
        leaves_no_trace(&world, name, LOANS);
        world.fingerprint_key();
    }
}

/// Law 4: the same on stores that something is wrong with.
#[test]
fn law4_looks_at_what_is_broken() {
    let damaged = World::new();
    damaged.private(&damaged.store(), "{\"version\": 1, \"profiles\": {");
    let served_from_backup = World::new();
    let login = served_from_backup.login(HOUR / 2);
    served_from_backup.seed("main", &[(ME, &login.entry)]);
    served_from_backup
        .private(&served_from_backup.store().with_extension("json.bak"), &served_from_backup.text());
    served_from_backup.private(&served_from_backup.store(), "");
    let (newer, login) = World::expired();
    let text = json!({"version": 2, "profiles": {ME: login.entry}, "more": [1]}).to_string();
    newer.private(&newer.store(), &text);
    let (refused, _) = World::expired();
    refused.sandbox.script(Fault::Reply(Reply::error("invalid_grant")), 1);
    assert_eq!(refused.token().code(), "needs_login");
    let (spaced, _) = World::expired();
    spaced.sandbox.script(
        Fault::Reply(
            Reply::error("temporarily_unavailable")
                .retry_after(coderclaw_sandbox::RetryAfter::Seconds(3_000)),
        ),
        1,
    );
    assert_eq!(spaced.token().code(), "offline");
    let odd = World::new();
    let login = odd.login(HOUR / 2);
    odd.seed("main", &[(ME, &login.entry)]);
    odd.private(&odd.store().with_file_name("auth-state.json"), "{torn");
    odd.private(
        &odd.state().join("agents/main/sessions/sessions.json"),
        r#"{"k": {"authProfileOverride": 7}}"#,
    );
    let worlds = [
        ("damaged", &damaged),
        ("served from its backup", &served_from_backup),
        ("of a newer version", &newer),
        ("refused", &refused),
        ("spaced", &spaced),
        ("odd state", &odd),
    ];
    // What is damaged is read again for a while, so they wait side by side.
    std::thread::scope(|scope| {
        for (name, world) in worlds {
            scope.spawn(move || leaves_no_trace(world, name, &[LOOKS, &[TOKEN]].concat()));
        }
    });
}

/// C11: with a state dir of its own nothing under the home is touched, also by what writes.
#[test]
fn c11_writers_leave_the_home_alone() {
    let world = World::new();
    for name in [".coderclaw/agents/main/agent/auth-profiles.json", ".codex/auth.json"] {
        world.private(&world.home().join(name), "{\"version\": 1, \"profiles\": {}}");
    }
    let home = |world: &World| -> Vec<_> {
        world.picture().into_iter().filter(|(path, ..)| path.starts_with(world.home())).collect()
    };
    let before = home(&world);
    let login = world.login(-1_000);
    world.seed("main", &[(ME, &login.entry)]);
    world.token().ok();
    world.run(&["models", "auth", "order", "set", "--provider", PROVIDER, ME]).ok();
    world.log_in(&["--profile-id", OTHER]).0.ok();
    assert_eq!(world.run(&["models", "auth", "token", "--provider", "openai"]).code(), "missing_credential");
    assert_eq!(home(&world), before);
    assert_eq!(world.sandbox.counts().refreshes, 1);
}

/// One way to have something to lend, for [`b3_status_explain_and_token_agree`].
struct Scene {
    name: &'static str,
    provider: &'static str,
    /// The session to ask for; status knows of none.
    session: Option<&'static str>,
    winner: Option<&'static str>,
    set_up: fn(&mut World),
}

fn seed(world: &World, left: i64) {
    let (mine, other) = (world.login(left), world.login_of("other", left));
    world.seed("main", &[(ME, &mine.entry), (OTHER, &other.entry)]);
}

fn usage(world: &World, usage: &Value) {
    let text = json!({"version": 1, "usageStats": usage}).to_string();
    world.private(&world.store().with_file_name("auth-state.json"), &text);
}

fn scene(name: &'static str, winner: &'static str, set_up: fn(&mut World)) -> Scene {
    Scene { name, provider: PROVIDER, session: None, winner: Some(winner), set_up }
}

fn scenes() -> Vec<Scene> {
    vec![
        scene("fresh", ME, |world| seed(world, HOUR / 2)),
        scene("due", ME, |world| seed(world, 60_000)),
        scene("expired", ME, |world| seed(world, -60_000)),
        scene("due, and the server is down", ME, |world| {
            seed(world, 200_000);
            world.sandbox.script(Fault::status(503), 100);
        }),
        scene("due, and the server's answer is lost", ME, |world| {
            seed(world, 200_000);
            world.sandbox.script(Fault::RotateThenDrop, 1);
        }),
        scene("ordered", OTHER, |world| {
            seed(world, HOUR / 2);
            world.run(&["models", "auth", "order", "set", "--provider", PROVIDER, OTHER, ME]).ok();
        }),
        scene("ordered by the config", OTHER, |world| {
            seed(world, HOUR / 2);
            world.config(&json!({"auth": {"order": {"OpenAI-Codex": [OTHER, ME]}}}).to_string());
        }),
        scene("cooling", OTHER, |world| {
            seed(world, HOUR / 2);
            usage(world, &json!({ME: {"cooldownUntil": world.at(600_000)}}));
        }),
        scene("used last", OTHER, |world| {
            seed(world, HOUR / 2);
            usage(world, &json!({ME: {"lastUsed": world.at(-1_000)}}));
        }),
        Scene {
            session: Some("k"),
            ..scene("pinned by the user", OTHER, |world| {
                seed(world, HOUR / 2);
                let pin = json!({"k": {"authProfileOverride": OTHER, "authProfileOverrideSource": "user"}});
                world.private(&world.state().join("agents/main/sessions/sessions.json"), &pin.to_string());
            })
        },
        Scene {
            session: Some("k"),
            ..scene("picked by the session", OTHER, |world| {
                seed(world, HOUR / 2);
                let pin = json!({"k": {"authProfileOverride": OTHER, "authProfileOverrideSource": "auto"}});
                world.private(&world.state().join("agents/main/sessions/sessions.json"), &pin.to_string());
            })
        },
        scene("a metered key first in the file", ME, |world| {
            let key = json!({"type": "api_key", "provider": PROVIDER, "key": "canary-key"});
            world.seed("main", &[("openai-codex:key", &key), (ME, &world.login(HOUR / 2).entry)]);
        }),
        scene("an alias of the provider", ME, |world| {
            let mut login = world.login(HOUR / 2);
            login.entry["provider"] = json!(" OpenAI-Codex ");
            world.seed("main", &[(ME, &login.entry)]);
        }),
        Scene {
            provider: "anthropic",
            ..scene("a token without an end", "anthropic:manual", |world| {
                let token = json!({"type": "token", "provider": "anthropic", "token": "canary-token"});
                world.seed("main", &[("anthropic:manual", &token)]);
                world.set("ANTHROPIC_API_KEY", "canary-env");
            })
        },
        Scene {
            provider: "anthropic",
            winner: None,
            ..scene("only a key in the environment", "", |world| {
                world.set("ANTHROPIC_API_KEY", "canary-env");
            })
        },
    ]
}

fn facts(from: &Value) -> [Value; 3] {
    ["profileId", "fingerprint", "validUntil"].map(|key| from.get(key).cloned().unwrap_or_default())
}

/// B3: status, explain and token name the same profile, fingerprint and end.
#[test]
fn b3_status_explain_and_token_agree() {
    for scene in scenes() {
        let mut world = World::new();
        world.fingerprint_key();
        (scene.set_up)(&mut world);
        let session: &[&str] = match &scene.session {
            Some(session) => &["--session", session],
            None => &[],
        };
        let auth = |command: &'static str| ["models", "auth", command, "--provider", scene.provider];
        // The first refreshes what is due; from there on all is quiet.
        let first = world.run(&[&auth("token"), session, &["--json"]].concat()).json();
        let requests = world.sandbox.log().len();
        let token = world.run(&[&auth("token"), session, &["--format", "json"]].concat()).json();
        let explained = world.run(&[&auth("explain"), session, &["--json"]].concat()).json();
        let status = world.run(&["models", "status", "--json"]).json();
        let winner = scene.winner.map_or(Value::Null, |id| json!(id));
        assert_eq!(token["profileId"], winner, "{}", scene.name);
        assert!(token["fingerprint"].is_string(), "{}: {token}", scene.name);
        assert_eq!(facts(&token), facts(&first), "{}", scene.name);
        assert_eq!(facts(&token), facts(&explained["winner"]), "{}", scene.name);
        if scene.session.is_none() {
            let providers = status["auth"]["providers"].as_array().unwrap();
            let one = providers.iter().find(|one| one["provider"] == scene.provider).unwrap();
            assert_eq!(facts(&token), facts(&one["winner"]), "{}", scene.name);
        }
        assert_eq!(world.sandbox.log().len(), requests, "{}: a second request", scene.name);
    }
}

/// B3: the profile's own line in status and list has the fingerprint and the end that explain has.
#[test]
fn b3_the_profiles_own_line_agrees() {
    let world = World::new();
    world.fingerprint_key();
    seed(&world, HOUR / 2);
    let explained = world.run(&["models", "auth", "explain", "--provider", PROVIDER, "--json"]).json();
    let winner = &explained["winner"];
    let list = world.run(&["models", "auth", "list", "--json"]).json();
    let status = world.run(&["models", "status", "--json"]).json();
    for profiles in [&list["profiles"], &status["auth"]["oauth"]["profiles"]] {
        let one = profiles.as_array().unwrap().iter().find(|one| one["profileId"] == winner["profileId"]);
        let one = one.unwrap();
        assert_eq!((&one["fingerprint"], &one["expiresAt"]), (&winner["fingerprint"], &winner["validUntil"]));
        assert_eq!((&one["state"], &one["status"]), (&json!("ok"), &json!("ok")));
    }
}

/// Every secret that stands in the store now.
fn secrets(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    let mut values: Vec<Value> = serde_json::from_str(&world.text()).into_iter().collect();
    while let Some(value) = values.pop() {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    match value {
                        Value::String(text) if matches!(&*key, "access" | "refresh") => found.push(text),
                        value => values.push(value),
                    }
                }
            }
            Value::Array(list) => values.extend(list),
            _ => {}
        }
    }
    found
}

/// Files under the state dir in which `secrets`, or a canary, stand.
fn holders(world: &World, secrets: &[String]) -> Vec<String> {
    let has = |content: &[u8], needle: &str| content.windows(needle.len()).any(|w| w == needle.as_bytes());
    let all = world.everything().into_iter().filter(|(_, _, _, content)| {
        has(content, "canary") || secrets.iter().any(|secret| has(content, secret))
    });
    all.map(|(path, ..)| path.strip_prefix(world.state()).unwrap_or(&path).display().to_string()).collect()
}

/// G1, G2, G5: no byte of a secret in what any command but `token` prints, nor in any file but the declared ones.
#[test]
fn g2_secrets_stay_where_they_belong() {
    let mut world = World::new();
    let (due, dead, fresh) =
        (world.login(60_000), world.login_of("dead", -1_000), world.login_of("fresh", HOUR / 2));
    let mut due_entry = due.entry.clone();
    due_entry["idToken"] = json!("canary-id-token");
    let entries = [
        (ME, due_entry),
        ("openai-codex:dead", dead.entry.clone()),
        ("openai-codex:fresh", fresh.entry.clone()),
        ("openai-codex:key", json!({"type": "api_key", "provider": PROVIDER, "key": "canary-key"})),
        ("anthropic:manual", json!({"type": "token", "provider": "anthropic", "token": "canary-token"})),
        ("acme:later", json!({"type": "passkey", "provider": "acme", "secret": "canary-later"})),
        ("acme:odd", json!({"type": "oauth", "provider": 7, "access": ["canary-odd"]})),
        ("acme:text", json!("canary-text")),
    ];
    let entries: Vec<_> = entries.iter().map(|(id, entry)| (*id, entry)).collect();
    world.seed("main", &entries);
    world.config(r#"{"models": {"providers": {"groq": {"apiKey": "canary-config"}}}}"#);
    world.set("OPENAI_API_KEY", "canary-env");
    world.sandbox.kill_family(&dead.refresh);
    let refresh = ["models", "auth", "refresh", "--provider", PROVIDER, "--profile"];
    let writers: Vec<Vec<&str>> = vec![
        [&refresh[..], &[ME]].concat(),
        [&refresh[..], &["openai-codex:dead", "--json"]].concat(),
        [&refresh[..], &["openai-codex:dead"]].concat(),
        vec!["models", "auth", "order", "set", "--provider", PROVIDER, "openai-codex:key", ME, "--json"],
        vec!["models", "auth", "order", "set", "--provider", PROVIDER, "anthropic:manual"],
        vec!["models", "auth", "explain", "--provider", "openai", "--json"],
        vec!["models", "auth", "explain", "--provider", "groq"],
        vec!["models", "auth", "token", "--provider", PROVIDER, "--profile", "openai-codex:dead"],
        vec!["--verbose", "models", "status"],
    ];
    let mut known = secrets(&world);
    let mut printed = Vec::new();
    for command in
        LOOKS.iter().map(|look| look.to_vec()).chain(writers).chain(LOOKS.iter().map(|l| l.to_vec()))
    {
        printed.push((format!("{command:?}"), world.run(&command)));
        known.extend(secrets(&world));
    }
    world.sandbox.next_user("me@x.test");
    let rejected = format!("{}\n", fresh.access.expose());
    let forced = [&refresh[..], &["openai-codex:fresh", "--rejected-stdin"]].concat();
    printed.push(("forced".into(), world.run_with_input(&forced, &rejected)));
    printed.push(("login".into(), world.log_in(&["--profile-id", "openai-codex:new"]).0));
    known.extend(secrets(&world));
    for (command, ran) in printed {
        for text in [&ran.stdout, &ran.stderr] {
            assert!(!text.contains("canary"), "{command}: {ran:?}");
            let shown = known.iter().find(|secret| text.contains(secret.as_str()));
            assert!(shown.is_none(), "{command} shows a token");
            // Nor a part of one: what stands in the middle is not the common head or tail of its kind.
            let middle = |s: &String| s[s.len() / 2 - 12..s.len() / 2 + 12].to_owned();
            let part = known.iter().map(middle).find(|part| text.contains(part));
            assert!(part.is_none(), "{command} shows a part of a token");
        }
    }
    assert!(world.sandbox.counts().refreshes >= 3, "{:?}", world.sandbox.counts());
    let store = "agents/main/agent/auth-profiles.json";
    let cache = "agents/main/agent/auth.json";
    assert_eq!(holders(&world, &known), [store, &format!("{store}.bak"), cache, "coderclaw.json"]);
    // The cache has nothing that could renew itself.
    let renewing: Vec<String> = serde_json::from_str::<Value>(&world.text()).unwrap()["profiles"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(|entry| entry["refresh"].as_str().map(str::to_owned))
        .collect();
    let text = std::fs::read_to_string(world.state().join(cache)).unwrap();
    assert!(renewing.len() > 2 && renewing.iter().all(|secret| !text.contains(secret)));
}

fn quotes_nothing(world: &World, what: &str) {
    for command in [&["models", "status"][..], &["models", "auth", "list", "--json"], TOKEN] {
        let ran = world.run(command);
        let text = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!text.contains("canary"), "{what}: {command:?}: {text}");
    }
}

/// G2: what is said about damage quotes nothing of what is damaged.
#[test]
fn g2_damage_is_told_without_quoting_it() {
    let stores = [
        r#"{"version": 1, "profiles": {"a:x": {"type": "oauth", "access": "canary-an"#,
        r#"{"version": 1, "profiles": {"a:x": {"type": "oauth", "access": canary}}}"#,
        r#"{"version": 1, "profiles": {"a:x": {"type": "oauth", "access": "x", "canary"}}}"#,
        r#"{"version": 1, "profiles": "canary"}"#,
        r#""canary""#,
        r#"{"version": "canary", "profiles": {"a:x": {"type": "oauth", "provider": "openai-codex", "access": "canary"}}}"#,
        r#"{"version": 1, "profiles": {"a:x": "canary", "a:y": ["canary"], "a:z": {"type": ["canary"]}}}"#,
    ];
    std::thread::scope(|scope| {
        for store in stores {
            scope.spawn(move || {
                let world = World::new();
                world.private(&world.store(), store);
                quotes_nothing(&world, store);
            });
        }
    });
    let world = World::new();
    for config in [
        "{models: {providers: {openai: {apiKey: 'canary",
        "{models: {providers: {openai: {apiKey: 'canary'}} auth: 1}",
        "{auth: {order: {x: 'canary'}}}",
        "{auth: 'canary'}",
        "canary",
    ] {
        world.config(config);
        quotes_nothing(&world, config);
    }
}

//! One agent using another's logins: by reference, one level, and nothing moves where it was not said to.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{ME, PROVIDER, Ran, TOKEN, World};

const KEY: &str = "openai-codex:key";

fn settings(world: &World, agent: &str, text: &str) {
    let path = world.state().join("agents").join(agent).join("agent/agent.toml");
    world.private(&path, text);
}

fn token(world: &World, agent: &str) -> Ran {
    world.run(&[TOKEN, &["--agent", agent]].concat())
}

fn explain(world: &World, agent: &str, more: &[&str]) -> Value {
    let call = ["models", "auth", "explain", "--provider", PROVIDER, "--agent", agent, "--json"];
    world.run(&[&call, more].concat()).json()
}

/// The hint of a failed command, as arguments.
fn hint(ran: &Ran) -> Vec<String> {
    let line = ran.stderr.lines().find_map(|line| line.trim().strip_prefix("next: coderclaw "));
    line.unwrap_or_else(|| panic!("no hint: {ran:?}")).split(' ').map(str::to_owned).collect()
}

fn follow(world: &World, ran: &Ran) -> Ran {
    let words = hint(ran);
    world.run(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A world with the agents `main`, which has a login that ends in `left` ms, and `work`, which has nothing.
fn pair(left: i64) -> (World, crate::world::Login) {
    let world = World::new();
    let login = world.login(left);
    world.seed("main", &[(ME, &login.entry)]);
    world.config(r#"{"agents": {"list": [{"id": "main"}, {"id": "work"}]}}"#);
    (world, login)
}

/// C13: with isolation on, an agent without a login fails with a code of its own, and the command that it names makes it
/// work. Nobody else's token is lent before, and asking wrote nothing.
#[test]
fn c13_an_agent_that_is_not_linked_says_so() {
    let (world, login) = pair(3_600_000);
    let before = world.everything();
    let ran = token(&world, "work");
    assert_eq!(ran.code(), "not_linked");
    assert!(ran.stderr.contains("agent main has one"), "{ran:?}");
    assert_eq!(hint(&ran).join(" "), "agents link work --to main");
    let told = explain(&world, "work", &[]);
    assert_eq!(told["winner"], Value::Null);
    let candidate = &told["candidates"][0];
    assert_eq!(
        (&candidate["profileId"], &candidate["agentId"], &candidate["verdict"], &candidate["reason"]),
        (&json!(ME), &json!("main"), &json!("skipped"), &json!("not_linked"))
    );
    assert_eq!(world.everything(), before, "looking wrote");
    assert!(follow(&world, &ran).ok().contains("Nothing was copied"));
    assert_eq!(token(&world, "work").ok().trim(), login.access.expose());
}

/// C13: one refresh updates everybody who uses the login, whoever asks, and no copy of it is made anywhere.
#[test]
fn c13_one_refresh_serves_all_that_are_linked() {
    let (world, login) = pair(-1_000);
    settings(&world, "work", "link = \"main\"\n");
    let asks = |agent: &str| {
        let mut command = world.command(&[TOKEN, &["--agent", agent]].concat());
        world.start(&mut command)
    };
    let children: Vec<_> = (0..12).map(|i| asks(if i % 2 == 0 { "work" } else { "main" })).collect();
    let tokens: Vec<_> =
        children.into_iter().map(|child| Ran::from(child.wait_with_output().unwrap()).ok()).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0] && token.trim() != login.access.expose()));
    assert_eq!(world.sent(&login.refresh), 1);
    assert!(!world.store_of("work").exists(), "a store was made for the agent that only borrows");
    world.wait_for_access("main", ME, tokens[0].trim());
    let told = explain(&world, "work", &[]);
    assert_eq!(told["winner"]["profileId"], ME);
    assert_eq!(told["candidates"][0]["agentId"], "main");
    assert_eq!(told["agentId"], "work");
    // The agent's own are told as before.
    assert_eq!(explain(&world, "main", &[])["candidates"][0].get("agentId"), None);
    let status = world.run(&["models", "status", "--json", "--agent", "work"]).json();
    assert_eq!(status["auth"]["link"], json!({"agentId": "main", "state": "ok"}));
    assert_eq!(status["auth"]["oauth"]["profiles"][0]["agentId"], "main");
    assert!(world.run(&["models", "status", "--agent", "work"]).ok().contains("agent main's"));
}

/// Law 4: an agent that borrows looks as an agent that does not: no write, no lock.
#[test]
fn law4_looks_of_a_linked_agent_write_nothing() {
    let (world, login) = pair(3_600_000);
    settings(&world, "work", "link = \"main\"\n");
    let before = world.everything();
    assert_eq!(token(&world, "work").ok().trim(), login.access.expose());
    explain(&world, "work", &[]);
    for command in [
        &["models", "status"][..],
        &["models", "auth", "list"],
        &["models", "auth", "paths"],
        &["agents", "list"],
        &["agents", "route", "--channel", "x"],
    ] {
        world.run(&[command, &["--agent", "work", "--json"]].concat()).json();
    }
    assert_eq!(world.everything(), before);
}

/// The agent's own profiles come first, then the target's in the target's order and with its cooldowns. A name that both
/// have means the agent's own.
#[test]
fn own_profiles_first_then_the_targets_as_the_target_has_them() {
    let (world, _) = pair(3_600_000);
    let [a, b, c] = ["a", "b", "c"].map(|name| world.login_of(name, 3_600_000).entry);
    world.seed("main", &[("openai-codex:a", &a), ("openai-codex:b", &b), ("openai-codex:c", &c)]);
    world.seed("work", &[("openai-codex:c", &c), ("openai-codex:own", &a)]);
    settings(&world, "work", "link = \"main\"\n");
    let order =
        ["models", "auth", "order", "set", "--provider", PROVIDER, "openai-codex:b", "openai-codex:a"];
    world.run(&order).ok();
    let until = world.at(600_000);
    let usage =
        json!({"version": 1, "usageStats": {"openai-codex:b": {"cooldownUntil": until, "errorCount": 1}}});
    world.private(&world.state().join("agents/main/agent/auth-state.json"), &usage.to_string());
    let told = explain(&world, "work", &[]);
    let rows: Vec<(String, String, String)> = told["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let text = |key: &str| one[key].as_str().unwrap_or("-").to_owned();
            (text("profileId"), text("agentId"), text("reason"))
        })
        .collect();
    let row = |id: &str, agent: &str, reason: &str| {
        (format!("openai-codex:{id}"), agent.to_owned(), reason.to_owned())
    };
    assert_eq!(
        rows,
        [
            row("c", "-", "ok"),
            row("own", "-", "ok"),
            row("a", "main", "ok"),
            row("b", "main", "cooldown"),
            row("c", "main", "id_taken"),
        ]
    );
    // Without own ones the target's order decides, and says whose it is.
    world.seed("work", &[]);
    let told = explain(&world, "work", &[]);
    assert_eq!(
        (&told["winner"]["profileId"], &told["orderSource"]),
        (&json!("openai-codex:a"), &json!("store"))
    );
}

/// A borrowed profile is changed only where it is: each command is refused, names the owner, and changes nothing.
#[test]
fn a_borrowed_profile_is_not_changed_from_here() {
    let (world, _) = pair(3_600_000);
    settings(&world, "work", "link = \"main\"\n");
    let before = world.everything();
    let refused: [&[&str]; 5] = [
        &["models", "auth", "logout", ME],
        &["models", "auth", "rename", ME, "openai-codex:new"],
        &["models", "auth", "use", ME],
        &["models", "auth", "order", "set", "--provider", PROVIDER, ME],
        &["models", "auth", "cooldown", "clear", ME],
    ];
    for command in refused {
        let ran = world.run(&[command, &["--agent", "work"]].concat());
        assert_eq!(ran.code(), "linked_profile", "{command:?}");
        assert_eq!(hint(&ran), [command, &["--agent", "main"]].concat(), "{command:?}");
    }
    assert_eq!(world.everything(), before);
    let logout = world.run(&["models", "auth", "logout", ME, "--agent", "work", "--json"]).error_json();
    assert_eq!(logout["hint"], format!("coderclaw models auth logout {ME} --agent main"));
    // The command that it names does it.
    world.run(&["models", "auth", "logout", ME, "--agent", "main"]).ok();
    assert_eq!(token(&world, "work").code(), "missing_credential");
}

/// What is wrong with a borrowed login is put right where it is: the next command is its owner's.
#[test]
fn the_next_command_for_a_borrowed_login_is_its_owners() {
    let (world, login) = pair(-1_000);
    settings(&world, "work", "link = \"main\"\n");
    world.sandbox.kill_family(&login.refresh);
    for _ in 0..2 {
        let ran = token(&world, "work");
        assert_eq!(ran.code(), "needs_login");
        assert_eq!(hint(&ran).join(" "), format!("models auth login --provider {PROVIDER} --agent main"));
    }
}

/// A link is one level: no chain can be made from either end, nor a loop, nor a link to nobody.
#[test]
fn links_make_no_chains() {
    let world = World::new();
    world.config(r#"{"agents": {"list": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}}"#);
    let link = |from: &str, to: &str| world.run(&["agents", "link", from, "--to", to]);
    assert_eq!(link("a", "a").code(), "link_refused");
    assert_eq!(link("a", "nobody").code(), "unknown_agent");
    assert_eq!(link("ghost", "a").code(), "unknown_agent");
    assert!(!world.state().join("agents").exists(), "a refusal made a folder");
    link("a", "b").ok();
    assert!(link("a", "b").ok().contains("already"));
    let ran = link("c", "a");
    assert_eq!((ran.code(), ran.stderr.contains("link to b")), ("link_refused", true));
    let ran = link("b", "c");
    assert_eq!(ran.code(), "agent_in_use");
    assert_eq!(hint(&ran).join(" "), "agents unlink a");
    follow(&world, &ran).ok();
    link("b", "c").ok();
    assert!(world.run(&["agents", "unlink", "a"]).ok().contains("linked to nobody"));
    let ran = world.run(&["agents", "link", "c", "--to", "b", "--json"]).error_json();
    assert_eq!(ran["code"], "link_refused");
}

/// Two links made at the same moment are one too many: whoever comes second is refused.
#[test]
fn two_links_at_once_make_no_chain() {
    let world = World::new();
    world.config(r#"{"agents": {"list": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}}"#);
    for round in 0..20 {
        let start =
            |from: &str, to: &str| world.start(&mut world.command(&["agents", "link", from, "--to", to]));
        let both = [start("a", "b"), start("b", "c")];
        let done = both.map(|child| child.wait_with_output().unwrap().status.success());
        assert_eq!(done.iter().filter(|done| **done).count(), 1, "round {round}: {done:?}");
        for agent in ["a", "b"] {
            world.run(&["agents", "unlink", agent]).ok();
        }
    }
}

/// Law 7: what is wrong with a link is named, and nothing steps in for it: not the target, not a key from the
/// environment. The agent's own profiles go on.
#[test]
fn a_link_that_is_no_good_is_named_and_lends_nothing() {
    let (mut world, login) = pair(3_600_000);
    let own = world.login_of("own", 3_600_000);
    world.config(r#"{"agents": {"list": [{"id": "main"}, {"id": "work"}, {"id": "third"}]}}"#);
    let manifest = world.sandbox.manifest(PROVIDER).replacen("\n\n", "\nenv = [\"CODEX_TEST_KEY\"]\n\n", 1);
    world.private(&world.state().join("providers/openai-codex.toml"), &manifest);
    world.set("CODEX_TEST_KEY", "canary-env-key");
    world.seed("work", &[]);
    assert_eq!(token(&world, "work").ok().trim(), "canary-env-key", "without a link it counts");
    let main = world.state().join("agents/main/agent/agent.toml");
    let table: [(&str, Option<&str>, &str, &str); 6] = [
        ("link = \"nobody\"", None, "link_broken", "no such agent"),
        ("link = \"work\"", None, "link_broken", "itself"),
        ("link = \"main\"", Some("link = \"third\""), "link_broken", "main, which is linked to third"),
        ("link = \"main\"", Some("link = ["), "agent_settings_invalid", "agents/main/agent/agent.toml"),
        ("link = [", None, "agent_settings_invalid", "agents/work/agent/agent.toml"),
        ("metered_fallback = 1", None, "agent_settings_invalid", "metered_fallback"),
    ];
    for (ours, theirs, code, said) in table {
        settings(&world, "work", ours);
        drop(std::fs::remove_file(&main));
        if let Some(theirs) = theirs {
            settings(&world, "main", theirs);
        }
        world.seed("work", &[]);
        let before = world.everything();
        let ran = token(&world, "work");
        assert_eq!(ran.code(), code, "{ours} {theirs:?}: {ran:?}");
        assert!(ran.stderr.contains(said), "{ours}: {ran:?}");
        assert_eq!(world.everything(), before);
        let listed = world.run(&["agents", "list", "--json"]).json();
        let at = if theirs == Some("link = [") { 0 } else { 1 };
        assert_eq!(listed[at]["problem"].is_string(), code == "agent_settings_invalid", "{listed}");
        // Its own file is its own affair; a link that leads nowhere leaves its own profiles alone.
        world.seed("work", &[("openai-codex:own", &own.entry)]);
        let ran = token(&world, "work");
        if ours.contains("link = \"") {
            assert_eq!(ran.ok().trim(), own.access.expose(), "{ours}");
            let told = explain(&world, "work", &[]);
            assert_eq!(told["candidates"][1]["reason"], code, "{ours}: {told}");
            let status = world.run(&["models", "status", "--json", "--agent", "work"]).json();
            assert_eq!(status["auth"]["link"]["state"], code);
        } else {
            assert_eq!(ran.code(), code, "{ours}");
        }
    }
    // A store that cannot be used there.
    drop(std::fs::remove_file(&main));
    settings(&world, "work", "link = \"main\"");
    world.private(&world.store(), "{torn");
    assert_eq!(token(&world, "work").ok().trim(), own.access.expose());
    world.seed("work", &[]);
    let ran = token(&world, "work");
    assert_eq!(ran.code(), "corrupt");
    assert!(ran.stderr.contains("agents/main/agent"), "{ran:?}");
    drop(login);
}

/// C15: a key that is billed per use follows a subscription only where somebody said yes: with `metered_fallback` of
/// the asking agent. The other agent's order says yes for that agent's subscription, not for this one's.
#[test]
fn c15_a_borrowed_key_does_not_follow_a_subscription_unasked() {
    let (world, _) = pair(3_600_000);
    let key = json!({"type": "api_key", "provider": PROVIDER, "key": "canary-metered-key"});
    let cooling = |agent: &str, id: &str| {
        let usage =
            json!({"version": 1, "usageStats": {id: {"cooldownUntil": world.at(600_000), "errorCount": 1}}});
        world.private(
            &world.state().join("agents").join(agent).join("agent/auth-state.json"),
            &usage.to_string(),
        );
    };
    let own = world.login_of("own", 3_600_000);
    world.seed("work", &[("openai-codex:own", &own.entry)]);
    cooling("work", "openai-codex:own");
    world.seed("main", &[(KEY, &key)]);
    world.run(&["models", "auth", "order", "set", "--provider", PROVIDER, KEY]).ok();
    settings(&world, "work", "link = \"main\"\n");
    assert_eq!(explain(&world, "work", &[])["candidates"][0]["reason"], "metered_not_allowed");
    assert_ne!(token(&world, "work").code, Some(0));
    settings(&world, "work", "link = \"main\"\nmetered_fallback = true\n");
    assert_eq!(token(&world, "work").ok().trim(), "canary-metered-key");
    // Of the agent's own it is the same setting, and it is off by default.
    world.seed("work", &[("openai-codex:own", &own.entry), (KEY, &key)]);
    settings(&world, "work", "metered_fallback = false\n");
    assert_ne!(token(&world, "work").code, Some(0));
    settings(&world, "work", "metered_fallback = true\n");
    assert_eq!(token(&world, "work").ok().trim(), "canary-metered-key");
    cooling("work", "openai-codex:nobody");
    assert_eq!(token(&world, "work").ok().trim(), own.access.expose(), "it follows, and does not lead");
}

/// C18: a flag beats a session's pin, that beats the agent's, and that beats the order; explain says which applied.
#[test]
fn c18_flag_then_session_then_agent_then_order() {
    let (world, _) = pair(3_600_000);
    let logins = ["a", "b", "c", "d"].map(|name| world.login_of(name, 3_600_000));
    let ids = ["a", "b", "c", "d"].map(|name| format!("openai-codex:{name}"));
    let entries: Vec<(&str, &Value)> =
        ids.iter().map(String::as_str).zip(logins.iter().map(|login| &login.entry)).collect();
    world.seed("work", &entries);
    let sessions = json!({
        "agent:work:pinned": {"authProfileOverride": ids[1], "authProfileOverrideSource": "user"},
        "agent:work:auto": {"authProfileOverride": ids[1], "authProfileOverrideSource": "auto"},
    });
    world.private(&world.state().join("agents/work/sessions/sessions.json"), &sessions.to_string());
    let used = |more: &[&str]| {
        let told = explain(&world, "work", more);
        let id = told["winner"]["profileId"].as_str().unwrap_or_default().to_owned();
        (id, told["pinSource"].as_str().unwrap_or("none").to_owned())
    };
    let auto = ["--session", "agent:work:auto"];
    assert_eq!(used(&[]), (ids[0].clone(), "none".into()));
    assert_eq!(used(&auto), (ids[1].clone(), "session_auto".into()));
    let order =
        ["models", "auth", "order", "set", "--provider", PROVIDER, &ids[3], &ids[0], &ids[1], &ids[2]];
    world.run(&[&order[..], &["--agent", "work"]].concat()).ok();
    assert_eq!(used(&[]), (ids[3].clone(), "none".into()));
    assert_eq!(used(&auto), (ids[3].clone(), "none".into()), "an order overrules what was only picked");
    settings(&world, "work", &format!("auth_profile = \"{}\"\n", ids[2]));
    assert_eq!(used(&[]), (ids[2].clone(), "agent".into()));
    assert_eq!(used(&auto), (ids[2].clone(), "agent".into()), "an automatic pick is no pin");
    let pinned = ["--session", "agent:work:pinned"];
    assert_eq!(used(&pinned), (ids[1].clone(), "session".into()));
    let lent = world.run(&[TOKEN, &["--agent", "work", "--profile", &ids[0]], &pinned].concat()).ok();
    assert_eq!(lent.trim(), logins[0].access.expose());
    assert_eq!(token(&world, "work").ok().trim(), logins[2].access.expose());
    assert!(
        world
            .run(&["models", "auth", "explain", "--provider", PROVIDER, "--agent", "work"])
            .ok()
            .contains("agent.toml")
    );
    // A pin means a pin: one that is gone is not replaced, and one that is no profile's name is told.
    world.run(&["models", "auth", "logout", &ids[2], "--agent", "work", "--local-only"]).ok();
    assert_eq!(token(&world, "work").code(), "missing_credential");
    settings(&world, "work", "auth_profile = \"mine\"\n");
    let ran = token(&world, "work");
    assert_eq!(ran.code(), "agent_settings_invalid");
    assert!(ran.stderr.contains("agent.toml") && ran.stderr.contains("mine"), "{ran:?}");
    // A pin for one provider says nothing about another.
    settings(&world, "work", "auth_profile = \"anthropic:x\"\n");
    assert_eq!(used(&[]), (ids[3].clone(), "none".into()));
}

/// A linked agent can pin one of the target's profiles, by its session or by itself.
#[test]
fn a_borrowed_profile_can_be_pinned() {
    let (world, login) = pair(3_600_000);
    let own = world.login_of("own", 3_600_000);
    world.seed("work", &[("openai-codex:own", &own.entry)]);
    settings(&world, "work", &format!("link = \"main\"\nauth_profile = \"{ME}\"\n"));
    assert_eq!(token(&world, "work").ok().trim(), login.access.expose());
    let told = explain(&world, "work", &[]);
    assert_eq!((&told["pinSource"], &told["winner"]["profileId"]), (&json!("agent"), &json!(ME)));
    world.run(&["agents", "unlink", "work"]).ok();
    assert_eq!(token(&world, "work").code(), "missing_credential", "and is missed once the link is gone");
}

/// A clone that the original has made is one login with two names: linked or not, it is refreshed once.
#[test]
fn a_clone_and_a_link_are_one_grant() {
    let (mut world, login) = pair(-1_000);
    world.seed("work", &[(ME, &login.entry)]);
    settings(&world, "work", "link = \"main\"\n");
    let lent = token(&world, "work").ok();
    assert_eq!(token(&world, "main").ok(), lent);
    assert_eq!(world.sandbox.counts().refreshes, 1);
    world.wait_for_access("main", ME, lent.trim());
    world.wait_for_access("work", ME, lent.trim());
    world.shift_clock(Duration::from_secs(7_200));
    assert_eq!(token(&world, "main").ok(), token(&world, "work").ok());
    assert_eq!((world.sandbox.counts().refreshes, world.sandbox.counts().reuses), (2, 0));
}

//! `import`: another program's logins come in verified, never over something newer or somebody else's.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::profiles::{HOUR, holders, run, store};
use crate::world::{Login, ME, PROVIDER, Ran, World};

fn theirs(world: &World) -> PathBuf {
    world.path().join("openclaw")
}

fn their_store(world: &World, agent: &str) -> PathBuf {
    theirs(world).join("agents").join(agent).join("agent/auth-profiles.json")
}

fn write(world: &World, agent: &str, profiles: &Value) {
    let text = format!("{:#}\n", json!({"version": 1, "profiles": profiles, "usageStats": {"x": {}}}));
    world.private(&their_store(world, agent), &text);
}

fn import(world: &World, more: &[&str]) -> Ran {
    let path = theirs(world).display().to_string();
    world.run(&[&["import", "openclaw", &path], more].concat())
}

fn verdicts(json: &Value, at: usize) -> Vec<(String, String)> {
    let entries = json["stores"][at]["entries"].as_array().unwrap().iter();
    entries
        .map(|one| {
            (one["profileId"].as_str().unwrap().to_owned(), one["verdict"].as_str().unwrap().to_owned())
        })
        .collect()
}

fn silent(ran: &Ran, logins: &[&Login]) {
    for secret in logins.iter().flat_map(|login| [&login.access, &login.refresh]) {
        assert!(!ran.stdout.contains(secret.expose()) && !ran.stderr.contains(secret.expose()), "{ran:?}");
    }
    assert!(!ran.stdout.contains("canary") && !ran.stderr.contains("canary"), "{ran:?}");
}

/// H1, F5: every case of an entry beside ours. What the dry run says is what happens; older entries and other people's
/// never overwrite; unknown types, unknown keys and references come along; the source is never written.
#[test]
fn h1_every_entry_gets_its_verdict() {
    let world = World::new();
    let of = |name: &str, left: i64| world.login_of(name, left);
    let (fresh, mine, dead) = (of("fresh", HOUR), world.login(HOUR), of("dead", -2 * HOUR));
    let (works, person) = (of("works", HOUR), of("person", HOUR));
    let (dead_new, works_new, older) = (of("dead", HOUR / 2), of("works", 2 * HOUR), of("person", -9 * HOUR));
    let stranger = of("stranger", HOUR);
    let same_entry = json!({"type": "api_key", "provider": "groq", "key": "canary-same"});
    let odd = json!({"type": "passkey", "provider": "acme", "blob": {"n": 1}});
    let by_ref = json!({"type": "api_key", "provider": "xai", "keyRef": {"source": "env", "id": "X"}, "displayName": "X"});
    let ended = |token: &str, expires: i64| json!({"type": "token", "provider": "anthropic", "token": token, "expires": expires});
    world.seed(
        "main",
        &[
            (ME, &mine.entry),
            ("openai-codex:dead", &dead.entry),
            ("openai-codex:works", &works.entry),
            ("openai-codex:person", &person.entry),
            ("openai-codex:held", &mine_of(&world)),
            ("groq:default", &same_entry),
            ("openai:manual", &json!({"type": "api_key", "provider": "openai", "key": "canary-mine"})),
            ("anthropic:manual", &ended("canary-old", 5)),
        ],
    );
    let mut with_more = fresh.entry.clone();
    with_more["chatgptPlanType"] = json!("plus");
    write(
        &world,
        "main",
        &json!({
            "openai-codex:fresh": with_more,
            "openai-codex:copy": mine.entry,
            "openai-codex:dead": dead_new.entry,
            "openai-codex:works": works_new.entry,
            "openai-codex:person": older.entry,
            "openai-codex:held": stranger.entry,
            "groq:default": same_entry,
            "openai:manual": {"type": "api_key", "provider": "openai", "key": "canary-theirs"},
            "anthropic:manual": ended("canary-new", world.at(HOUR)),
            "acme:odd": odd,
            "xai:ref": by_ref,
            "broken": 7,
        }),
    );
    let source = std::fs::read(their_store(&world, "main")).unwrap();
    let before = world.everything();
    let plan = import(&world, &["--dry-run", "--json"]).json();
    assert_eq!(world.everything(), before, "a dry run changes nothing");
    let expected = [
        ("openai-codex:fresh", "new"),
        ("openai-codex:copy", "same"),
        ("openai-codex:dead", "newer"),
        ("openai-codex:works", "kept"),
        ("openai-codex:person", "older"),
        ("openai-codex:held", "id_taken"),
        ("groq:default", "same"),
        ("openai:manual", "id_taken"),
        ("anthropic:manual", "newer"),
        ("acme:odd", "new"),
        ("xai:ref", "new"),
        ("broken", "damaged"),
    ];
    let expected: Vec<_> =
        expected.iter().map(|(id, verdict)| ((*id).to_owned(), (*verdict).to_owned())).collect();
    assert_eq!(verdicts(&plan, 0), expected);

    let ours = store(&world);
    let ran = import(&world, &["--json"]);
    silent(&ran, &[&fresh, &mine, &dead, &dead_new, &stranger]);
    let done = ran.json();
    assert_eq!(verdicts(&done, 0), expected);
    assert_eq!((&done["stores"][0]["imported"], &done["sharedLogins"]), (&json!(5), &json!([PROVIDER])));
    let now = store(&world);
    for id in [
        ME,
        "openai-codex:works",
        "openai-codex:person",
        "openai-codex:held",
        "groq:default",
        "openai:manual",
    ] {
        assert_eq!(now["profiles"][id], ours["profiles"][id], "{id}");
    }
    assert_eq!(now["profiles"]["openai-codex:fresh"], with_more);
    assert_eq!(now["profiles"]["openai-codex:dead"], dead_new.entry);
    assert_eq!((&now["profiles"]["acme:odd"], &now["profiles"]["xai:ref"]), (&odd, &by_ref));
    assert_eq!(now["profiles"].as_object().unwrap().len(), ours["profiles"].as_object().unwrap().len() + 3);
    assert_eq!(std::fs::read(their_store(&world, "main")).unwrap(), source, "the source is never written");
    let receipts = std::fs::read_to_string(world.state().join("credentials/imports.json")).unwrap();
    let receipt: Value = serde_json::from_str(&receipts).unwrap();
    assert_eq!(receipt["commands"][0]["count"], 5);
    assert!(!receipts.contains("canary") && !receipts.contains(fresh.refresh.expose()));

    // Again: nothing is new, nothing is written.
    let before = world.everything();
    let again = import(&world, &["--json"]).json();
    assert_eq!(again["stores"][0]["imported"], 0, "{again:#}");
    assert_eq!(world.everything(), before);
    assert!(world.sandbox.log().is_empty(), "nobody was asked");
}

/// A login of nobody that anything is known about.
fn mine_of(world: &World) -> Value {
    let mut entry = world.login_of("holder", HOUR).entry;
    entry["accountId"] = json!("acct-holder");
    entry
}

/// H1: people are told that two programs hold one login now, and what is safer; the words fit a terminal.
#[test]
fn h1_the_risk_of_sharing_is_told() {
    let world = World::new();
    let (one, two) = (world.login(HOUR), world.login_of("two", HOUR));
    write(&world, "main", &json!({ME: one.entry, "openai-codex:two": two.entry}));
    world.seed("main", &[("openai-codex:two", &world.login_of("holder", HOUR).entry)]);
    let ran = import(&world, &[]);
    silent(&ran, &[&one, &two]);
    let text = ran.ok();
    assert!(text.contains("A refresh token works once"), "{text}");
    assert!(text.contains("  coderclaw models auth login --provider openai-codex\n"), "{text}");
    assert!(text.contains("Imported 1 of 2. The source was not changed.\n"), "{text}");
    assert!(text.contains("coderclaw models auth rename openai-codex:two NEW"), "{text}");
    let long = text.lines().find(|line| line.chars().count() > 80 && !line.starts_with("From "));
    assert!(long.is_none(), "{long:?}");
}

/// The shapes of PATH: a state dir, an agent's folders, a file.
#[test]
fn a_state_dir_an_agents_folder_or_a_file_will_do() {
    for tail in ["", "agents/main", "agents/main/agent", "agents/main/agent/auth-profiles.json"] {
        let world = World::new();
        let login = world.login(HOUR);
        write(&world, "main", &json!({ME: login.entry}));
        let path = theirs(&world).join(tail);
        let json = world.run(&["import", "openclaw", path.to_str().unwrap(), "--json"]).json();
        assert_eq!(verdicts(&json, 0), [(ME.to_owned(), "new".to_owned())], "{tail}");
        assert_eq!(world.token().ok().trim(), login.access.expose());
    }
    // A file by itself goes to the default agent, and `~/.openclaw` need not be named.
    let world = World::new();
    let login = world.login(HOUR);
    let text = json!({"version": 1, "profiles": {ME: login.entry}}).to_string();
    world.private(&world.path().join("copy.json"), &text);
    world.run(&["import", "openclaw", "copy.json"]).ok();
    assert_eq!(world.token().ok().trim(), login.access.expose());
    let world = World::new();
    world.private(&world.home().join(".openclaw/agents/main/agent/auth-profiles.json"), &text);
    world.run(&["import", "openclaw"]).ok();
    assert_eq!(world.token().ok().trim(), login.access.expose());
}

/// C11: each agent's store goes into the agent of the same name; the others are named with a command that works.
#[test]
fn c11_agents_are_matched_by_name() {
    let world = World::new();
    let (one, two) = (world.login(HOUR), world.login_of("two", HOUR));
    write(&world, "main", &json!({ME: one.entry}));
    write(&world, "Side Show", &json!({"openai-codex:two": two.entry}));
    let json = import(&world, &["--json"]).json();
    assert_eq!(json["stores"].as_array().unwrap().len(), 1);
    let left = &json["notImported"][0];
    assert_eq!(left["agentId"], "Side Show");
    let command = left["command"].as_str().unwrap();
    assert!(import(&world, &[]).ok().contains(command));
    let words = world.command(&[]).get_program().to_str().unwrap().to_owned();
    let line = command.replacen("coderclaw", &words, 1);
    let mut shell = world.command(&[]);
    let ran = std::process::Command::new("/bin/sh")
        .args(["-c", &line])
        .env_clear()
        .envs(shell.env("X", "").get_envs().filter_map(|(name, value)| Some((name, value?))))
        .output()
        .unwrap();
    assert!(ran.status.success(), "{line}: {ran:?}");
    assert_eq!(store(&world)["profiles"].as_object().unwrap().len(), 2);

    world.config(r#"{"agents": {"list": [{"id": "main"}, {"id": "side-show"}]}}"#);
    let json = import(&world, &["--json", "--agent", "side-show"]).json();
    assert_eq!(
        (&json["stores"][0]["agentId"], &json["stores"][0]["imported"]),
        (&json!("side-show"), &json!(1))
    );
    assert_eq!(world.entry("side-show", "openai-codex:two"), two.entry);
    assert_eq!(import(&world, &["--agent", "nobody"]).code(), "unknown_agent");
    world.config(r#"{"agents": {"list": [{"id": "third"}]}}"#);
    assert_eq!(import(&world, &["--agent", "third"]).code(), "usage");
    let error = World::new();
    write(&error, "elsewhere", &json!({ME: one.entry}));
    let error = import(&error, &["--json"]).error_json();
    assert_eq!(error["code"], "unknown_agent");
    assert!(error["hint"].as_str().unwrap().ends_with("--agent main"), "{error}");
}

/// F4, F5: what is no store is told apart, and nothing is written.
#[test]
fn f4_what_cannot_be_imported_is_told_apart() {
    let world = World::new();
    let login = world.login(HOUR);
    let at = |path: &Path| world.run(&["import", "openclaw", path.to_str().unwrap()]);
    let empty = world.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let own = json!({"version": 1, "profiles": {ME: login.entry}}).to_string();
    world.private(&world.store(), &own);
    let before = world.everything();
    for (path, code, said) in [
        (world.path().join("nowhere"), "usage", "there is no "),
        (empty, "usage", "holds no logins of any agent"),
        (world.state(), "usage", "own store"),
    ] {
        let ran = at(&path);
        assert!(ran.stderr.contains(said), "{ran:?}");
        assert_eq!(ran.code(), code, "{}", path.display());
    }
    assert_eq!(world.everything(), before);
    for text in ["", "{torn", "[]", r#"{"version": 1}"#, r#""canary""#] {
        let torn = world.path().join("torn.json");
        world.private(&torn, text);
        let ran = at(&torn);
        silent(&ran, &[]);
        assert_eq!(ran.code(), "corrupt", "{text}");
        let ran = world.run(&["import", "oauth.json", torn.to_str().unwrap()]);
        assert!(text == r#"{"version": 1}"# || ran.code() == "corrupt", "{text}: {ran:?}");
    }
    assert_eq!(world.run(&["import", "oauth.json"]).code(), "usage");
    // One damaged store among two: neither is imported.
    write(&world, "main", &json!({"groq:x": {"type": "api_key", "provider": "groq", "key": "canary"}}));
    world.config(r#"{"agents": {"list": [{"id": "main"}, {"id": "work"}]}}"#);
    world.private(&their_store(&world, "work"), "{torn");
    assert_eq!(import(&world, &[]).code(), "corrupt");
    assert_eq!(std::fs::read_to_string(world.store()).unwrap(), own);
}

/// F6: a store of a newer version is read as far as it is understood; one of ours that is newer is not written.
#[test]
fn f6_newer_versions_on_either_side() {
    let world = World::new();
    let login = world.login(HOUR);
    let newer =
        json!({"version": 3, "profiles": {ME: login.entry, "acme:x": {"type": "later", "y": [1]}}, "z": 1});
    world.private(&their_store(&world, "main"), &newer.to_string());
    let json = import(&world, &["--json"]).json();
    assert_eq!(json["stores"][0]["imported"], 2);
    assert_eq!(store(&world)["version"], 1);
    let text = json!({"version": 2, "profiles": {}}).to_string();
    world.private(&world.store(), &text);
    assert_eq!(import(&world, &[]).code(), "unsupported_version");
    assert_eq!(std::fs::read_to_string(world.store()).unwrap(), text);
}

/// F5: killed after the store and before the receipt: the next run finds everything there, once.
#[test]
fn f5_a_killed_import_is_whole_or_not_at_all() {
    for point in
        ["import.stored", "import.recorded", "store.write@1", "store.before_rename@1", "store.after_rename@1"]
    {
        let mut world = World::new();
        let (one, two) = (world.login(HOUR), world.login_of("two", HOUR));
        write(&world, "main", &json!({ME: one.entry, "openai-codex:two": two.entry}));
        world.set("CODERCLAW_FAULT", format!("{point}:kill"));
        assert_eq!(import(&world, &[]).code, None, "{point}");
        world.unset("CODERCLAW_FAULT");
        let half = std::fs::read_to_string(world.store()).unwrap_or_default();
        assert!(half.is_empty() || (half.contains(ME) && half.contains("openai-codex:two")), "{point}");
        import(&world, &[]).ok();
        assert_eq!(store(&world)["profiles"].as_object().unwrap().len(), 2, "{point}");
    }
}

/// `import oauth.json`: also what the first use left out; what was logged out here stays out.
#[test]
fn an_oauth_json_by_command() {
    let world = World::new();
    let login = world.login(HOUR);
    let path = world.state().join("credentials/oauth.json");
    let text = json!({PROVIDER: {"access": login.access.expose(), "refresh": login.refresh.expose(), "expires": world.at(HOUR)}, "bad": 1});
    world.private(&path, &text.to_string());
    let json = world.run(&["import", "oauth.json", "--dry-run", "--json"]).json();
    assert_eq!(
        verdicts(&json, 0),
        [("openai-codex:default".to_owned(), "new".to_owned()), ("bad".to_owned(), "damaged".to_owned())]
    );
    assert!(!world.store().exists());
    world.run(&["import", "oauth.json", path.to_str().unwrap()]).ok();
    assert_eq!(world.token().ok().trim(), login.access.expose());
    run(&world, &["logout", "openai-codex:default", "--local-only"]).ok();
    let json = world.run(&["import", "oauth.json", "--json"]).json();
    assert_eq!(json["stores"][0]["entries"][0]["verdict"], "logged_out", "{json:#}");
    let ran = world.token();
    assert!(ran.code == Some(1) && ran.stderr.contains("[missing_credential]"), "{ran:?}");
    assert_eq!(holders(&world, &login.refresh), [path.display().to_string()]);
}

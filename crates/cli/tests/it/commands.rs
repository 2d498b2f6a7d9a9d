//! What each command does and prints.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use coderclaw_sandbox::{ExpiresIn, Fault, Reply, RetryAfter, User};
use serde_json::{Value, json};

use crate::world::{LOGIN, Login, ME, PROVIDER, Ran, TOKEN, World};

const OTHER: &str = "openai-codex:other";
const KEY: &str = "openai-codex:key";
const HOUR: i64 = 3_600_000;
/// Reached only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(60);
const REFRESH: &[&str] = &["models", "auth", "refresh", "--provider", PROVIDER];
const EXPLAIN: &[&str] = &["models", "auth", "explain", "--provider", PROVIDER, "--json"];

fn order(words: &[&'static str]) -> Vec<&'static str> {
    [&["models", "auth", "order", words[0], "--provider", PROVIDER], &words[1..]].concat()
}

fn one(left: i64) -> (World, Login) {
    let world = World::new();
    let login = world.login(left);
    world.seed("main", &[(ME, &login.entry)]);
    (world, login)
}

/// Two subscriptions and a metered key of one provider, in this order.
fn three(first: i64, second: i64) -> (World, Login, Login) {
    let world = World::new();
    let (mine, other) = (world.login(first), world.login_of("other", second));
    let key = json!({"type": "api_key", "provider": PROVIDER, "key": "metered"});
    world.seed("main", &[(ME, &mine.entry), (OTHER, &other.entry), (KEY, &key)]);
    (world, mine, other)
}

fn with_key(left: i64) -> (World, Login) {
    let (world, login) = one(left);
    let key = json!({"type": "api_key", "provider": PROVIDER, "key": "metered"});
    world.seed("main", &[(KEY, &key), (ME, &login.entry)]);
    (world, login)
}

#[test]
fn a_token_in_every_format() {
    let (world, login) = one(HOUR / 2);
    world.fingerprint_key();
    let access = login.access.expose();
    let token = |format: &str| world.run(&[TOKEN, &["--format", format]].concat());
    assert_eq!(world.token().ok(), format!("{access}\n"));
    assert_eq!(token("token").ok(), format!("{access}\n"));
    assert_eq!(token("env").ok(), format!("CODEX_ACCESS_TOKEN='{access}'\n"));
    let headers = token("header").ok();
    assert_eq!(headers, format!("authorization: Bearer {access}\nchatgpt-account-id: acct-me-1\n"));
    let json = token("json").json();
    let expected = json!({
        "provider": PROVIDER,
        "profileId": ME,
        "token": access,
        "tokenType": "Bearer",
        "header": [
            {"name": "authorization", "value": format!("Bearer {access}")},
            {"name": "chatgpt-account-id", "value": "acct-me-1"},
        ],
        "accountId": "acct-me-1",
        "validUntil": login.entry["expires"],
        "fingerprint": json["fingerprint"],
        "source": "profile",
    });
    assert_eq!(json, expected);
    assert_eq!(world.run(&[TOKEN, &["--json"]].concat()).json(), expected);
    let fingerprint = json["fingerprint"].as_str().unwrap();
    assert!(fingerprint.len() >= 6 && !access.contains(fingerprint), "{fingerprint}");
    assert_eq!(world.sandbox.log().len(), 0);
}

/// A key of a provider that wants it bare, with a quote in it: the shell line is safe.
#[test]
fn a_key_in_every_format() {
    let world = World::new();
    let key = json!({"type": "api_key", "provider": "anthropic", "key": "it's $HOME"});
    world.seed("main", &[("anthropic:work", &key)]);
    let token =
        |format: &str| world.run(&["models", "auth", "token", "--provider", "anthropic", "--format", format]);
    assert!(token("header").ok().starts_with("x-api-key: it's $HOME\n"));
    let json = token("json").json();
    assert_eq!((&json["tokenType"], &json["validUntil"]), (&json!("api_key"), &Value::Null));
    assert!(json.get("accountId").is_none());
    for line in token("env").ok().lines() {
        let shell = std::process::Command::new("/bin/sh")
            .args(["-c", &format!("{line}; printf %s \"${}\"", line.split('=').next().unwrap())])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(shell.stdout).unwrap(), "it's $HOME", "{line}");
    }
}

/// A16: a token with less than the wanted time is refreshed first; where that cannot help, the code says so.
#[test]
fn a16_a_wish_for_more_time() {
    let (world, login) = one(HOUR / 2);
    let wish = |wish: &str| world.run(&[TOKEN, &["--min-validity", wish]].concat());
    assert_eq!(wish("25m").ok().trim(), login.access.expose());
    assert_eq!(world.sandbox.counts().refreshes, 0);
    let renewed = wish("45m").ok();
    assert_ne!(renewed.trim(), login.access.expose());
    assert_eq!(wish("55m").ok(), renewed);
    assert_eq!(world.sandbox.counts().refreshes, 1);
    // No token lasts two hours here, and one that is new is not renewed for that.
    for _ in 0..3 {
        assert_eq!(wish("2h").code(), "cannot_guarantee");
    }
    assert_eq!(world.sandbox.counts().refreshes, 1);
    assert!(world.token().ok().len() > 1, "what there is is lent to who wishes for less");
}

/// A16: with a server that is down, what is there is measured against the wish.
#[test]
fn a16_a_wish_with_the_server_down() {
    let (world, login) = one(240_000);
    world.sandbox.script(Fault::status(503), 10);
    let wish = |wish: &str| world.run(&[TOKEN, &["--min-validity", wish]].concat());
    assert_eq!(wish("45m").code(), "cannot_guarantee");
    assert_eq!(wish("1m").ok().trim(), login.access.expose(), "due, and long enough");
    assert_eq!(world.token().ok().trim(), login.access.expose());
}

/// A16: many who wish for more than there is cause one refresh, and all are told the same.
#[test]
fn a16_a_storm_of_wishes() {
    let (world, _) = one(HOUR / 2);
    let wish = [TOKEN, &["--min-validity", "2h"]].concat();
    let children: Vec<_> = (0..12).map(|_| world.start(&mut world.command(&wish))).collect();
    for child in children {
        assert_eq!(Ran::from(child.wait_with_output().unwrap()).code(), "cannot_guarantee");
    }
    let counts = world.sandbox.counts();
    assert_eq!((counts.refreshes, counts.reuses), (1, 0), "{counts:?}");
}

/// A6: a refresh of a fresh token sends nothing and says so; also with a token that is not the one in use.
#[test]
fn a6_a_fresh_token_is_not_refreshed() {
    let (world, login) = one(HOUR / 2);
    let said = world.run(REFRESH).ok();
    assert!(said.contains("is not due") && said.contains("Nothing was sent"), "{said}");
    let json = world.run(&[REFRESH, &["--json"]].concat()).json();
    assert_eq!((&json["refreshed"], &json["profileId"]), (&json!(false), &json!(ME)));
    assert_eq!(json["validUntil"], login.entry["expires"]);
    let other = world.run_with_input(&[REFRESH, &["--rejected-stdin"]].concat(), "another token\n").ok();
    assert!(other.contains("Nothing was sent"), "{other}");
    assert_eq!(world.sandbox.log().len(), 0);
}

/// A12: the very token that was rejected is refreshed, once in five minutes.
#[test]
fn a12_a_rejected_token_is_refreshed_once() {
    let (mut world, login) = one(HOUR / 2);
    let rejected = |world: &World, token: &str| {
        world.run_with_input(&[REFRESH, &["--rejected-stdin"]].concat(), &format!(" {token}\n"))
    };
    assert!(rejected(&world, login.access.expose()).ok().contains("Refreshed"));
    let second = world.token().ok();
    assert_ne!(second.trim(), login.access.expose());
    // Late: somebody who still has the first token is served from the store.
    assert!(rejected(&world, login.access.expose()).ok().contains("Nothing was sent"));
    for minutes in [0, 2] {
        world.shift_clock(Duration::from_secs(minutes * 60));
        let ran = rejected(&world, second.trim());
        assert_eq!(ran.code(), "rejected", "{minutes}: {ran:?}");
    }
    assert_eq!(world.sandbox.counts().refreshes, 1);
    world.shift_clock(Duration::from_secs(4 * 60));
    assert!(rejected(&world, second.trim()).ok().contains("Refreshed"));
    assert_eq!((world.sandbox.counts().refreshes, world.sandbox.counts().reuses), (2, 0));
}

/// A static token that was rejected cannot be renewed; the words say so.
#[test]
fn a_rejected_key_is_said_to_be_rejected() {
    let world = World::new();
    let token = json!({"type": "token", "provider": "anthropic", "token": "static"});
    world.seed("main", &[("anthropic:manual", &token)]);
    let command = ["models", "auth", "refresh", "--provider", "anthropic", "--rejected-stdin"];
    assert_eq!(world.run_with_input(&command, "static\n").code(), "rejected");
    world.run_with_input(&command, "another\n").ok();
}

/// A11: after a failure requests are spaced. A person may go ahead of that, not of a server's plea.
#[test]
fn a11_a_person_goes_ahead_of_the_spacing_only() {
    let (world, login) = one(-1_000);
    world.sandbox.script(Fault::status(503), 1);
    assert_eq!(world.token().code(), "offline");
    assert_eq!(world.token().code(), "offline");
    assert_eq!(world.sent(&login.refresh), 1, "spaced");
    assert!(world.run(REFRESH).ok().contains("Refreshed"));
    assert_eq!(world.sent(&login.refresh), 2);

    let (mut world, login) = one(-1_000);
    let limited = Reply::new(429, coderclaw_sandbox::Body::Empty).retry_after(RetryAfter::Seconds(600));
    world.sandbox.script(Fault::Reply(limited), 1);
    assert_eq!(world.token().code(), "offline");
    for _ in 0..3 {
        let error = world.run(&[REFRESH, &["--json"]].concat()).error_json();
        assert_eq!(error["code"], "offline");
        let wait = error["until"].as_i64().unwrap() - world.at(0);
        assert!((500_000..=600_000).contains(&wait), "{wait}");
    }
    assert_eq!(world.sent(&login.refresh), 1, "the server asked for ten minutes");
    world.shift_clock(Duration::from_secs(601));
    world.token().ok();
    assert_eq!(world.sent(&login.refresh), 2);
}

/// B4: a token that is due, still works, and was not refreshed: no success is announced.
#[test]
fn b4_a_refresh_that_failed_is_not_called_one() {
    let (world, login) = one(120_000);
    world.sandbox.script(Fault::status(503), 1);
    let ran = world.run(REFRESH);
    assert_eq!(ran.code(), "refresh_due", "{ran:?}");
    assert!(ran.stderr.contains("503"), "{ran:?}");
    assert_eq!(world.token().ok().trim(), login.access.expose(), "and it is lent all the same");
}

#[test]
fn orders_are_shown_set_and_cleared() {
    let (world, _, _) = three(HOUR / 2, HOUR / 2);
    let path = world.store().display().to_string();
    let json = |list: Value| {
        json!({
            "agentId": "main",
            "agentDir": world.store().parent().unwrap(),
            "provider": PROVIDER,
            "authStorePath": path,
            "order": list,
        })
    };
    let head = format!("Agent: main\nProvider: {PROVIDER}\n");
    let shown = |list: &str| format!("{head}Auth file: {path}\nOrder override: {list}\n");
    assert_eq!(world.run(&order(&["get"])).ok(), shown("(none)"));
    assert_eq!(world.run(&order(&["get", "--json"])).json(), json(Value::Null));
    let set = world.run(&order(&["set", OTHER, ME, OTHER])).ok();
    assert_eq!(set, shown(&format!("{OTHER}, {ME}")));
    assert_eq!(world.run(&order(&["get"])).ok(), shown(&format!("{OTHER}, {ME}")));
    assert_eq!(world.run(&order(&["get", "--json"])).json(), json(json!([OTHER, ME])));
    assert_eq!(world.run(&order(&["set", "--json", KEY])).json(), json(json!([KEY])));
    assert_eq!(world.token().ok(), "metered\n");
    let cleared = world.run(&order(&["clear"])).ok();
    assert_eq!(cleared, format!("{head}Auth file: {path}\nCleared per-agent order override.\n"));
    assert_eq!(world.run(&order(&["clear", "--json"])).json(), json(Value::Null));
    assert_eq!(world.run(&order(&["get"])).ok(), shown("(none)"));
}

/// An order names profiles of its provider only, and a refused one changes nothing.
#[test]
fn an_order_names_its_own_profiles_only() {
    let (world, _, _) = three(HOUR / 2, HOUR / 2);
    let token = json!({"type": "token", "provider": "anthropic", "token": "t"});
    let login = world.login(HOUR / 2);
    world.seed("main", &[(ME, &login.entry), ("anthropic:manual", &token), ("x:y", &json!(1))]);
    let before = world.everything();
    for (id, code, says) in [
        ("nobody", "unknown_profile", "not found in"),
        ("anthropic:manual", "provider_mismatch", "is for anthropic"),
        ("x:y", "provider_mismatch", "is for"),
        ("", "unknown_profile", "not found in"),
    ] {
        let ran = world.run(&order(&["set", ME, id]));
        assert_eq!(ran.code(), code, "{ran:?}");
        assert!(ran.stderr.contains(says), "{ran:?}");
    }
    assert_eq!(world.everything(), before);
}

/// C3: an order is still there, and in use, after a refresh and after a login.
#[test]
fn c3_an_order_survives_a_refresh_and_a_login() {
    let (world, _, other) = three(-1_000, -1_000);
    world.run(&order(&["set", OTHER, ME])).ok();
    let lent = world.token().ok();
    assert_ne!(lent.trim(), other.access.expose());
    assert_eq!(world.entry("main", OTHER)["access"], lent.trim());
    world.sandbox.next_user("me@x.test");
    let (ran, _) = world.log_in(&["--profile-id", "openai-codex:new"]);
    assert!(ran.ok().contains("An order hides it"), "and the login says so");
    let got = world.run(&order(&["get", "--json"])).json();
    assert_eq!(got["order"], json!([OTHER, ME]));
    assert_eq!(world.token().ok(), lent);
}

/// C1, C2: neither names, nor the place in the file, nor past use outrank an order.
#[test]
fn c1_an_order_is_followed_to_the_letter() {
    let world = World::new();
    let ids = ["openai-codex:default", "default", "openai-codex:a", "a", "b"];
    for round in 0..30 {
        let mut profiles = serde_json::Map::new();
        for i in 0..ids.len() {
            let id = ids[(i * 2 + round) % ids.len()];
            let kind = if id == "b" { "oauth" } else { ["api_key", "token"][round % 2] };
            let mut entry = json!({"type": kind, "provider": PROVIDER, "key": id, "token": id});
            if id == "b" {
                entry = world.login(HOUR / 2).entry;
                entry["access"] = json!("token of b");
            }
            profiles.insert(id.into(), entry);
        }
        let store = json!({
            "version": 1,
            "profiles": profiles,
            "order": {PROVIDER: ["b", "a", "default"]},
            "lastGood": {PROVIDER: "a"},
            "usageStats": {"b": {"lastUsed": world.at(-5)}},
        });
        world.private(&world.store(), &store.to_string());
        world.config(&json!({"auth": {"order": {PROVIDER: ["a", "b"]}}}).to_string());
        assert_eq!(world.token().ok(), "token of b\n", "round {round}: {store}");
    }
}

fn verdicts(explained: &Value) -> Vec<[String; 3]> {
    let text = |value: &Value| value.as_str().unwrap_or("null").to_owned();
    let all = explained["candidates"].as_array().unwrap().iter();
    all.map(|one| [&one["profileId"], &one["verdict"], &one["reason"]].map(text)).collect()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// B7: the whole decision, in the order in which profiles are tried, with a reason for each.
#[test]
fn b7_explain_lists_every_candidate_in_its_place() {
    let world = World::new();
    world.fingerprint_key();
    let (good, due) = (world.login(HOUR / 2), world.login_of("due", -1_000));
    let key = json!({"type": "api_key", "provider": PROVIDER, "key": "k"});
    world.seed(
        "main",
        &[
            ("empty", &json!({"type": "oauth", "provider": PROVIDER})),
            ("late", &good.entry),
            ("soon", &good.entry),
            ("off", &good.entry),
            (KEY, &key),
            ("due", &due.entry),
            (ME, &good.entry),
            ("theirs", &json!({"type": "token", "provider": "groq", "token": "t"})),
        ],
    );
    let usage = json!({"usageStats": {
        "late": {"cooldownUntil": world.at(3_000_000)},
        "soon": {"cooldownUntil": world.at(600_000)},
        "off": {"disabledUntil": world.at(1_800_000), "disabledReason": "billing"},
        "due": {"lastUsed": world.at(-100)},
    }});
    world.private(&world.store().with_file_name("auth-state.json"), &usage.to_string());
    let explained = world.run(&[EXPLAIN, &["--session", "k", "--model", "m"]].concat()).json();
    let expected = ["agentId", "provider", "model", "session", "orderSource", "winner", "candidates"];
    assert_eq!(keys(&explained).into_iter().collect::<BTreeSet<_>>(), expected.into_iter().collect());
    assert_eq!(explained["orderSource"], "none");
    assert_eq!(keys(&explained["winner"]), ["profileId", "source", "fingerprint", "validUntil"]);
    let winner = &explained["winner"];
    assert_eq!((&winner["profileId"], &winner["source"]), (&json!(ME), &json!("profile")));
    assert_eq!(winner["validUntil"], good.entry["expires"]);
    assert_eq!(
        verdicts(&explained),
        [
            [ME, "winner", "ok"],
            ["due", "standby", "refresh_due"],
            [KEY, "standby", "metered_not_allowed"],
            ["soon", "skipped", "cooldown"],
            ["off", "skipped", "disabled"],
            ["late", "skipped", "cooldown"],
            ["empty", "skipped", "missing_credential"],
        ]
    );
    for candidate in explained["candidates"].as_array().unwrap() {
        let known = ["profileId", "type", "verdict", "reason", "until", "detail"];
        assert!(keys(candidate).iter().all(|key| known.contains(key)), "{candidate}");
        let is_cooling = ["cooldown", "disabled"].contains(&candidate["reason"].as_str().unwrap());
        assert_eq!(candidate["until"].is_i64(), is_cooling, "{candidate}");
    }
    // With an order: its sequence, what it leaves out, and what it names that nobody holds.
    world.run(&order(&["set", KEY, "due", "soon", ME])).ok();
    let text = world.text().replace("\"soon\",", "\"soon\", \"gone\", \"theirs\",");
    world.private(&world.store(), &text);
    let explained = world.run(EXPLAIN).json();
    assert_eq!(explained["orderSource"], "store");
    assert_eq!(
        verdicts(&explained),
        [
            [KEY, "winner", "ok"],
            ["due", "standby", "refresh_due"],
            [ME, "standby", "ok"],
            ["soon", "skipped", "cooldown"],
            ["empty", "skipped", "excluded_by_order"],
            ["late", "skipped", "excluded_by_order"],
            ["off", "skipped", "excluded_by_order"],
            ["gone", "skipped", "missing_credential"],
            ["theirs", "skipped", "provider_mismatch"],
        ]
    );
}

/// C5: a pin of the user holds, whatever order and cooldown say; the others are pinned elsewhere.
#[test]
fn c5_a_pin_means_a_pin() {
    let (world, _, other) = three(HOUR / 2, HOUR / 2);
    world.run(&order(&["set", ME])).ok();
    let usage = json!({"usageStats": {OTHER: {"cooldownUntil": world.at(600_000)}}});
    world.private(&world.store().with_file_name("auth-state.json"), &usage.to_string());
    let pin = json!({"k": {"authProfileOverride": OTHER, "authProfileOverrideSource": "user"},
        "gone": {"authProfileOverride": "nobody", "authProfileOverrideSource": "user"}});
    world.private(&world.state().join("agents/main/sessions/sessions.json"), &pin.to_string());
    let explained = world.run(&[EXPLAIN, &["--session", "k"]].concat()).json();
    assert_eq!(
        verdicts(&explained),
        [[OTHER, "winner", "ok"], [ME, "skipped", "pinned_elsewhere"], [KEY, "skipped", "pinned_elsewhere"],]
    );
    let lent = world.run(&[TOKEN, &["--session", "k"]].concat()).ok();
    assert_eq!(lent.trim(), other.access.expose());
    let ran = world.run(&[TOKEN, &["--session", "gone"]].concat());
    assert_eq!(ran.code(), "missing_credential", "a pin to nothing is told: {ran:?}");
    assert!(ran.stderr.contains("nobody"), "{ran:?}");
}

/// Without a winner explain says so and exits 0; a key of the environment is last, and counts only where the agent
/// has no profile.
#[test]
fn explain_without_a_profile() {
    let mut world = World::new();
    let explain = ["models", "auth", "explain", "--provider", "anthropic", "--json"];
    let nothing = world.run(&explain).json();
    assert_eq!((&nothing["winner"], &nothing["candidates"]), (&Value::Null, &json!([])));
    world.set("ANTHROPIC_API_KEY", "from the environment");
    let explained = world.run(&explain).json();
    assert_eq!(explained["winner"]["source"], "env:ANTHROPIC_API_KEY");
    assert_eq!(verdicts(&explained), [["null", "winner", "ok"]]);
    assert_eq!(explained["candidates"][0]["profileId"], Value::Null);
    let lend = ["models", "auth", "token", "--provider", "anthropic"];
    assert_eq!(world.run(&lend).ok(), "from the environment\n");
    // C15: an expired profile is not replaced by it.
    let expired = json!({"type": "token", "provider": "anthropic", "token": "t", "expires": 5});
    world.seed("main", &[("anthropic:manual", &expired)]);
    assert_eq!(world.run(&lend).code(), "expired");
    assert_eq!(verdicts(&world.run(&explain).json()), [["anthropic:manual", "skipped", "expired"]]);
}

/// C15: a key that is billed per use never follows a subscription, unless an order says so.
#[test]
fn c15_a_subscription_is_not_followed_by_a_metered_key() {
    let (world, login) = with_key(-1_000);
    let before = verdicts(&world.run(EXPLAIN).json());
    assert_eq!(before, [[ME, "winner", "refresh_due"], [KEY, "standby", "metered_not_allowed"]]);
    world.sandbox.kill_family(&login.refresh);
    for _ in 0..2 {
        let ran = world.token();
        assert_eq!(ran.code(), "needs_login", "the cause, not its consequence: {ran:?}");
        assert!(ran.stderr.contains(ME) && ran.stderr.contains("auth login"), "{ran:?}");
    }
    let after = verdicts(&world.run(EXPLAIN).json());
    assert_eq!(after, [[KEY, "standby", "metered_not_allowed"], [ME, "skipped", "needs_login"]]);
    assert_eq!(world.sandbox.counts().refreshes, 1);

    let (world, login) = with_key(-1_000);
    world.sandbox.kill_family(&login.refresh);
    world.run(&order(&["set", ME, KEY])).ok();
    assert_eq!(world.token().ok(), "metered\n", "an order is consent");
    assert_eq!(world.sandbox.counts().refreshes, 1);
}

/// C15: a subscription that is only out of reach is waited for, not replaced.
#[test]
fn c15_no_network_moves_nothing() {
    let (world, login, _) = three(-1_000, HOUR / 2);
    world.sandbox.script(Fault::status(503), 100);
    for commands in [&[][..], &order(&["set", ME, OTHER, KEY])[..]] {
        if !commands.is_empty() {
            world.run(commands).ok();
        }
        assert_eq!(world.token().code(), "offline");
        assert_eq!(verdicts(&world.run(EXPLAIN).json())[0], [ME, "winner", "offline"]);
    }
    assert_eq!(world.entry("main", ME)["refresh"], login.refresh.expose());
}

/// C16: a dead first profile makes way for the second subscription in the same call.
#[test]
fn c16_a_dead_login_makes_way_in_the_same_call() {
    let (world, mine, other) = three(-1_000, HOUR / 2);
    world.sandbox.kill_family(&mine.refresh);
    assert_eq!(world.token().ok().trim(), other.access.expose());
    assert_eq!(world.sandbox.counts().refreshes, 1);
    assert_eq!(world.token().ok().trim(), other.access.expose());
    assert_eq!(world.sandbox.counts().refreshes, 1, "and costs nothing afterwards");
    let ran = world.run(&[TOKEN, &["--profile", ME]].concat());
    assert_eq!(ran.code(), "needs_login", "who asked for it by name is told: {ran:?}");
    assert!(ran.stderr.contains(ME), "{ran:?}");
    world.run(&order(&["set", ME])).ok();
    assert_eq!(world.token().code(), "needs_login", "an order of one has no second");
}

/// F7: under umask 000 every folder that we make is 0700 and every file 0600.
#[test]
fn f7_everything_is_private_from_birth() {
    let (mut world, _) = one(-1_000);
    let before: BTreeSet<PathBuf> = world.everything().into_iter().map(|(path, ..)| path).collect();
    let run = |world: &World, words: &[&str]| Ran::from(world.with_umask("000", words).output().unwrap());
    run(&world, TOKEN).ok();
    run(&world, &order(&["set", ME])).ok();
    let new_login = [LOGIN, &["--profile-id", "openai-codex:new"]].concat();
    world.log_in_with(&mut world.with_umask("000", &new_login)).0.ok();
    // A state dir that does not exist yet, for an agent that has none.
    let elsewhere = world.path().join("deep/state");
    world.private(&elsewhere.join("providers/openai-codex.toml"), &world.sandbox.manifest(PROVIDER));
    let known: BTreeSet<PathBuf> = world.everything().into_iter().map(|(path, ..)| path).collect();
    world.set("CODERCLAW_STATE_DIR", elsewhere.display().to_string());
    world.log_in_with(&mut world.with_umask("000", LOGIN)).0.ok();
    let mut seen = 0;
    for (path, mode, ..) in world.everything() {
        let was_mine = before.contains(&path) || (path.starts_with(&elsewhere) && known.contains(&path));
        if was_mine || path == world.path().join("deep") {
            continue;
        }
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode & 0o777, wanted, "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 10, "{seen} paths");
    let store = std::fs::metadata(world.store()).unwrap();
    assert_eq!(store.mode() & 0o777, 0o600, "the store, which was there before");
}

/// A13: a lifetime that is missing or absurd is replaced by the token's own; no refresh for every request.
#[test]
fn a13_absurd_lifetimes_cause_no_loop() {
    let table = [
        ExpiresIn::Absent,
        ExpiresIn::Zero,
        ExpiresIn::Negative,
        ExpiresIn::Huge,
        ExpiresIn::String,
        ExpiresIn::Float,
        ExpiresIn::Exact(i64::MAX),
        ExpiresIn::Exact(i64::MIN),
    ];
    for lifetime in table {
        let (world, _) = one(-1_000);
        world.sandbox.script(Fault::ExpiresIn(lifetime), 10);
        let lent: BTreeSet<String> = (0..3).map(|_| world.token().ok()).collect();
        assert_eq!((lent.len(), world.sandbox.counts().refreshes), (1, 1), "{lifetime:?}");
        let entry = world.entry("main", ME);
        let life = entry["expires"].as_i64().unwrap() - entry["issuedAt"].as_i64().unwrap();
        assert!((3_500_000..=3_700_000).contains(&life), "{lifetime:?}: {life} ms");
    }
}

/// A7: a token of 300 s is used for 240 s at least, and renewed before its end.
#[test]
fn a7_a_short_token_is_used_for_most_of_its_life() {
    let (mut world, _) = one(-1_000);
    world.sandbox.policy(|policy| policy.access_lifetime = Duration::from_secs(300));
    let lent = world.token().ok();
    for _ in 0..8 {
        world.shift_clock(Duration::from_secs(30));
        assert_eq!(world.token().ok(), lent);
    }
    assert_eq!(world.sandbox.counts().refreshes, 1);
    world.shift_clock(Duration::from_secs(35));
    assert_ne!(world.token().ok(), lent);
    assert_eq!(world.sandbox.counts().refreshes, 2);
}

/// F10: while a refresh waits for its answer nobody else waits for it, and what others write survives its commit.
#[test]
fn f10_a_hanging_refresh_holds_nobody_up() {
    let (world, mine, other) = three(-1_000, HOUR / 2);
    let gate = world.sandbox.gate();
    let asker = world.start(&mut world.command(&[TOKEN, &["--profile", ME]].concat()));
    assert!(gate.wait_arrived(PATIENCE));
    let began = Instant::now();
    world.run(&["models", "status"]).ok();
    world.run(&order(&["set", OTHER, ME])).ok();
    assert_eq!(world.token().ok().trim(), other.access.expose());
    world.sandbox.next_user("me@x.test");
    world.log_in(&["--profile-id", "openai-codex:new"]).0.ok();
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert_eq!(world.entry("main", ME)["refresh"], mine.refresh.expose(), "the refresh still waits");
    gate.open();
    let lent = Ran::from(asker.wait_with_output().unwrap()).ok();
    assert_eq!(world.entry("main", ME)["access"], lent.trim());
    assert_eq!(world.run(&order(&["get", "--json"])).json()["order"], json!([OTHER, ME]));
    assert!(world.entry("main", "openai-codex:new")["refresh"].is_string());
    assert_eq!((world.sandbox.counts().refreshes, world.sandbox.counts().reuses), (1, 0));
}

fn person(world: &World, subject: &str, email: &str, account: &str) {
    world.sandbox.add_user(User { email: email.into(), account: account.into(), ..User::named(subject) });
    world.sandbox.next_user(email);
}

/// C9: two workspaces of one e-mail, and two people in one workspace, are three logins; logging in again renews.
#[test]
fn c9_person_and_workspace_make_the_id() {
    let world = World::new();
    let logins = [
        ("ann", "ann@x.test", "ws-number-1", "openai-codex:ann@x.test"),
        ("ann", "ann@x.test", "ws-number-2", "openai-codex:ann@x.test#ws-numbe"),
        ("bob", "bob@x.test", "ws-number-1", "openai-codex:bob@x.test"),
        ("ann", "ann@x.test", "ws-number-1", "openai-codex:ann@x.test"),
    ];
    let mut known = BTreeSet::new();
    let mut first = Value::Null;
    for (subject, email, account, id) in logins {
        person(&world, subject, email, account);
        let (ran, page) = world.log_in(&["--json"]);
        let json = ran.json();
        assert_eq!(json["profileId"], id, "{json}");
        assert_eq!(json["replaced"], !known.insert(id), "{json}");
        assert_eq!((&json["email"], &json["accountId"]), (&json!(email), &json!(account)));
        assert_eq!(page.status, 200);
        assert_eq!(world.entry("main", id)["accountId"], account);
        if first.is_null() {
            first = world.entry("main", id);
        }
    }
    let again = world.entry("main", logins[0].3);
    assert_ne!(again["refresh"], first["refresh"]);
    let list = world.run(&["models", "auth", "list", "--json"]).json();
    assert_eq!(list["profiles"].as_array().unwrap().len(), 3);
    // A17, A18: no login ends another one.
    for (.., id) in &logins {
        let refresh = coderclaw_types::Secret::from(world.entry("main", id)["refresh"].as_str().unwrap());
        assert!(world.sandbox.is_live(&refresh), "{id}");
    }
    assert!(world.sandbox.is_live(&coderclaw_types::Secret::from(first["refresh"].as_str().unwrap())));
}

/// What a login leaves: these keys, private files, and a token that is fresh.
#[test]
fn a_login_leaves_a_fresh_token() {
    let world = World::new();
    let (ran, page) = world.log_in(&[]);
    let said = ran.ok();
    assert!(said.contains(ME) && said.contains("acct-me-1"), "{said}");
    assert!(page.body.contains(ME), "{page:?}");
    let entry = world.entry("main", ME);
    let expected = [
        "type",
        "provider",
        "access",
        "refresh",
        "expires",
        "issuedAt",
        "accountId",
        "email",
        "sub",
        "issuer",
        "clientId",
        "tokenOrigin",
        "grant",
    ];
    assert_eq!(keys(&entry).into_iter().collect::<BTreeSet<_>>(), expected.into_iter().collect());
    assert_eq!(entry["tokenOrigin"], world.sandbox.origin());
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(world.store()), mode(world.store().with_extension("json.bak"))), (0o600, 0o600));
    assert_eq!(world.token().ok().trim(), entry["access"]);
    assert_eq!((world.sandbox.counts().exchanges, world.sandbox.counts().refreshes), (1, 0));
}

/// C8: an id that holds somebody else's login is not overwritten, unless that is said.
#[test]
fn c8_a_taken_id_is_replaced_only_by_command() {
    let world = World::new();
    world.log_in(&["--profile-id", "work"]).0.ok();
    let before = world.text();
    person(&world, "bob", "bob@x.test", "ws-2");
    let (ran, page) = world.log_in(&["--profile-id", "work"]);
    let line = ran.stderr.lines().find(|line| line.starts_with("Error: ")).unwrap();
    assert!(ran.code == Some(1) && line.ends_with("[id_taken]"), "{ran:?}");
    assert!(line.contains("--profile-id") && line.contains("--replace"), "{line}");
    assert!(!page.body.contains("is stored"), "the page says what is true: {page:?}");
    assert_eq!(world.text(), before);
    world.log_in(&["--profile-id", "work", "--replace"]).0.ok();
    assert_eq!(world.entry("main", "work")["email"], "bob@x.test");
    let (ran, _) = world.log_in(&["--profile-id", "work", "--json"]);
    assert_eq!(ran.json()["replaced"], true, "the same person needs no flag");
}

/// A17: a login that fails, at any step, leaves the store byte for byte and the old login alive.
#[test]
fn a17_a_login_that_fails_changes_nothing() {
    let (world, login) = one(HOUR / 2);
    let before = world.text();
    let fails = |code: &str| {
        let (ran, page) = world.log_in(&[]);
        let line = ran.stderr.lines().find(|line| line.starts_with("Error: ")).unwrap().to_owned();
        assert!(ran.code == Some(1) && line.ends_with(&format!("[{code}]")), "{code}: {ran:?}");
        assert!(!page.body.contains("is stored"), "{page:?}");
        assert_eq!(world.text(), before, "{code}");
        line
    };
    world.sandbox.deny_next("access_denied", "not today");
    assert!(fails("login_denied").contains("access_denied"));
    for fault in [
        Fault::status(503),
        Fault::error("invalid_grant"),
        Fault::html_200(),
        Fault::DropBeforeRotate,
        Fault::NoRefreshToken,
        Fault::RotateThenHalfBody,
    ] {
        world.sandbox.script_on(coderclaw_sandbox::On::Exchange, fault, 1);
        fails("login_failed");
    }
    assert!(world.sandbox.is_live(&login.refresh));
    assert_eq!(world.token().ok().trim(), login.access.expose());
    assert_eq!(world.sandbox.counts().exchanges, 6);
}

/// A17: a login whose commit the disk refuses leaves the old one.
#[test]
fn a17_a_login_that_the_disk_refuses_changes_nothing() {
    let (mut world, login) = one(HOUR / 2);
    let before = world.text();
    world.set("CODERCLAW_FAULT", "store.before_rename:enospc");
    let (ran, page) = world.log_in(&[]);
    assert!(ran.code == Some(1) && ran.stderr.contains("[not_writable]"), "{ran:?}");
    assert!(!page.body.contains("is stored"), "{page:?}");
    assert_eq!(world.text(), before);
    world.unset("CODERCLAW_FAULT");
    assert_eq!(world.token().ok().trim(), login.access.expose());
}

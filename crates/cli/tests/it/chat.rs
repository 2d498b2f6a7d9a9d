//! `agent --message`: turns that use the right account, and what a failed one does.

use std::process::Stdio;
use std::time::Duration;

use coderclaw_sandbox::{KeyKind, ModelCall, ModelFault};
use coderclaw_types::Secret;
use serde_json::{Value, json};

use crate::world::{ME, PROVIDER, Ran, World};

pub(crate) const WORK: &str = "anthropic:work";
pub(crate) const HOME: &str = "anthropic:home";
const YOU: &str = "openai-codex:you@x.test";

pub(crate) fn setup_token(letter: &str) -> Secret {
    Secret::from(format!("sk-ant-oat01-canary-{}", letter.repeat(70)))
}

/// Two setup-tokens of Anthropic, `work` and `home`, and one login of ChatGPT; their model APIs are the sandbox.
pub(crate) fn world() -> World {
    let world = World::new();
    for provider in ["anthropic", PROVIDER, "openai"] {
        let path = world.state().join(format!("providers/{provider}.toml"));
        world.private(&path, &world.sandbox.model_manifest(provider));
    }
    let mut entries = vec![(ME.to_owned(), world.login(3_000_000).entry)];
    for (id, letter, account) in [(HOME, "h", "home"), (WORK, "w", "work")] {
        let token = setup_token(letter);
        world.sandbox.add_key(KeyKind::SetupToken, &token, account);
        entries.push((
            id.to_owned(),
            json!({"type": "token", "provider": "anthropic", "token": token.expose()}),
        ));
    }
    let entries: Vec<(&str, &Value)> = entries.iter().map(|(id, entry)| (id.as_str(), entry)).collect();
    world.seed("main", &entries);
    world
}

fn say(world: &World, text: &str) -> Ran {
    world.run(&["agent", "--message", text])
}

fn answer(world: &World, text: &str) -> Value {
    world.run(&["agent", "--json", "--message", text]).json()
}

/// The requests that the model APIs have seen.
pub(crate) fn calls(world: &World) -> Vec<ModelCall> {
    world.sandbox.log().into_iter().filter_map(|seen| seen.model).collect()
}

fn accounts(world: &World) -> Vec<String> {
    calls(world).into_iter().filter_map(|call| call.account).collect()
}

fn order(world: &World, provider: &str, ids: &[&str]) {
    world.run(&[&["models", "auth", "order", "set", "--provider", provider], ids].concat()).ok();
}

fn index(world: &World) -> Value {
    let text = std::fs::read_to_string(world.state().join("agents/main/sessions/sessions.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn transcript(world: &World) -> Vec<Value> {
    let id = index(world)["agent:main:main"]["sessionId"].as_str().unwrap().to_owned();
    let path = world.state().join(format!("agents/main/sessions/{id}.jsonl"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn usage(world: &World, id: &str) -> Value {
    let path = world.state().join("agents/main/agent/auth-state.json");
    let text = std::fs::read_to_string(path).unwrap_or_else(|_| "{}".into());
    serde_json::from_str::<Value>(&text).unwrap()["usageStats"][id].clone()
}

/// C5: the product page's own example, on a state dir without a config: the account of the very next request changes, and
/// stays through a switch of models, a new session and another provider's model, until it is dropped.
#[test]
fn c5_a_model_and_an_account_for_a_session() {
    let world = world();
    order(&world, "anthropic", &[HOME, WORK]);
    assert_eq!(answer(&world, "/model opus")["reply"], "Model set to opus (anthropic/claude-opus-4-6).");
    assert_eq!(answer(&world, "one")["profileId"], HOME);
    let told = answer(&world, "/model Opus@anthropic:work")["reply"].as_str().unwrap().to_owned();
    assert!(told.ends_with("Auth profile set to anthropic:work."), "{told}");
    let second = answer(&world, "two");
    assert_eq!((&second["profileId"], &second["model"]), (&json!(WORK), &json!("claude-opus-4-6")));
    assert_eq!(second["reply"], "work claude-opus-4-6: two");
    let switched = answer(&world, "/model sonnet")["reply"].as_str().unwrap().to_owned();
    assert!(switched.contains("stays anthropic:work"), "{switched}");
    assert_eq!(answer(&world, "three")["reply"], "work claude-sonnet-4-6: three");
    // To another provider and back.
    let away =
        answer(&world, &format!("/model {PROVIDER}/gpt-5.3-codex"))["reply"].as_str().unwrap().to_owned();
    assert!(away.contains("set aside"), "{away}");
    assert_eq!(answer(&world, "four")["profileId"], ME);
    answer(&world, "/sonnet");
    assert_eq!(answer(&world, "five")["profileId"], WORK);
    // A new session keeps what the user chose, and says so.
    let renewed = answer(&world, "/new")["reply"].as_str().unwrap().to_owned();
    assert!(renewed.contains("stays anthropic:work") && renewed.contains("/unpin"), "{renewed}");
    assert_eq!(answer(&world, "six")["reply"], "work claude-sonnet-4-6: six");
    answer(&world, "/unpin");
    assert_eq!(answer(&world, "seven")["profileId"], HOME);
    assert_eq!(accounts(&world), ["home", "work", "work", "acct-me-1", "work", "work", "home"]);
    let betas: Vec<_> =
        calls(&world).iter().map(|call| call.headers.get("anthropic-beta").cloned()).collect();
    assert_eq!(betas[0].as_deref(), Some("oauth-2025-04-20"));
}

/// C4: what was picked automatically gives way to a new order, to a recovered first choice and to a new session.
#[test]
fn c4_an_automatic_pick_is_made_anew() {
    let mut world = world();
    order(&world, "anthropic", &[HOME, WORK]);
    answer(&world, "/model opus");
    world.sandbox.script_model(Some("home"), ModelFault::RateLimit(Some(30)), 1);
    let moved = answer(&world, "one");
    assert_eq!((&moved["profileId"], &moved["moved"][0]["from"]), (&json!(WORK), &json!(HOME)));
    assert_eq!(index(&world)["agent:main:main"]["authProfileOverrideSource"], "auto");
    assert_eq!(answer(&world, "two")["profileId"], WORK, "home still cools");
    world.shift_clock(Duration::from_secs(31));
    assert_eq!(answer(&world, "three")["profileId"], HOME, "home has recovered");
    order(&world, "anthropic", &[WORK, HOME]);
    assert_eq!(answer(&world, "four")["profileId"], WORK, "the order has changed");
    world.run(&["models", "auth", "order", "clear", "--provider", "anthropic"]).ok();
    // When an account was last used is noted once a minute.
    world.shift_clock(Duration::from_secs(120));
    assert_eq!(answer(&world, "five")["profileId"], WORK, "without an order a session keeps its account");
    answer(&world, "/new");
    answer(&world, "/model opus");
    assert_eq!(answer(&world, "six")["profileId"], HOME, "a new session takes the one unused for longest");
}

/// D2, D4: a usage limit stops the chat with the provider's own time; only an order lets another account take over.
#[test]
fn d4_a_usage_limit_pauses_or_moves_along_an_order() {
    let world = world();
    answer(&world, "/model opus");
    assert_eq!(answer(&world, "one")["profileId"], HOME);
    world.sandbox.script_model(Some("home"), ModelFault::UsageLimit(7_200), 1);
    let error = world.run(&["agent", "--json", "--message", "two"]);
    assert_eq!(error.code, Some(1), "{error:?}");
    let error: Value = serde_json::from_str(&error.stdout).unwrap();
    assert_eq!(error["error"]["code"], "usage_limit");
    let until = error["error"]["until"].as_i64().unwrap();
    let ahead = until - crate::world::now().0;
    assert!((7_100_000..=7_200_000).contains(&ahead), "{ahead}");
    assert_eq!(usage(&world, HOME)["cooldownUntil"], until);
    let again = say(&world, "three");
    assert!(again.stderr.contains("[usage_limit]") && again.stderr.contains("until"), "{again:?}");
    assert_eq!(
        accounts(&world),
        ["home", "home"],
        "nothing was sent while it pauses, and work was left alone"
    );
    order(&world, "anthropic", &[HOME, WORK]);
    assert_eq!(answer(&world, "four")["profileId"], WORK, "writing an order is consent");
    // The account of a pinned session is never left, order or not.
    answer(&world, "/model opus@anthropic:work");
    world.sandbox.script_model(Some("work"), ModelFault::UsageLimit(600), 1);
    world.run(&["models", "auth", "cooldown", "clear", HOME]).ok();
    let pinned = say(&world, "five");
    assert!(pinned.stderr.contains("[usage_limit]") && pinned.stderr.contains(WORK), "{pinned:?}");
}

/// D8: a limit in the middle of an answer goes on with the next account in the same turn, and says so in a line.
#[test]
fn d8_another_account_goes_on_in_mid_stream() {
    let world = world();
    order(&world, "anthropic", &[HOME, WORK]);
    answer(&world, "/model opus");
    world.sandbox.script_model(Some("home"), ModelFault::LimitMidStream(3_600), 1);
    let ran = say(&world, "hello");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stdout, "work claude-opus-4-6: hello\n", "what broke off is not in it");
    assert!(ran.stderr.contains(HOME) && ran.stderr.contains("anthropic:work goes on"), "{ran:?}");
    assert!(ran.stderr.contains("(until "), "when the other one may be used again: {ran:?}");
}

/// D5: a limit that ends in a moment is waited for.
#[test]
fn d5_a_short_wait_is_waited() {
    let world = world();
    answer(&world, "/model opus@anthropic:work");
    world.sandbox.script_model(Some("work"), ModelFault::RateLimit(Some(1)), 1);
    let ran = say(&world, "hello");
    assert_eq!(ran.stdout, "work claude-opus-4-6: hello\n", "{ran:?}");
    assert!(ran.stderr.contains("waiting until"), "{ran:?}");
}

/// D3: near the end of a limit one request in half a minute may see whether it is over already; a success ends it at once.
#[test]
fn d3_a_limit_that_is_over_early_is_noticed() {
    let mut world = world();
    answer(&world, "/model opus@anthropic:work");
    world.sandbox.script_model(Some("work"), ModelFault::UsageLimit(600), 1);
    assert_eq!(say(&world, "one").code, Some(1));
    // A pin is tried also while its profile is set aside; without one, nothing is sent that far from the end.
    answer(&world, "/unpin");
    world.run(&["models", "auth", "order", "set", "--provider", "anthropic", WORK]).ok();
    assert_eq!(say(&world, "two").code, Some(1));
    assert_eq!(accounts(&world).len(), 1);
    world.shift_clock(Duration::from_secs(500));
    assert_eq!(answer(&world, "three")["profileId"], WORK, "the limit was lifted early");
    assert!(usage(&world, WORK).get("cooldownUntil").is_none());
    assert_eq!(answer(&world, "four")["profileId"], WORK);
}

/// A12, A16: a token that runs out before or within a turn is renewed, and the turn goes on.
#[test]
fn a12_a_token_that_dies_in_a_turn() {
    let world = world();
    answer(&world, &format!("/model {PROVIDER}/gpt-5.3-codex"));
    for fault in [ModelFault::Expired, ModelFault::ExpiresMidStream] {
        world.seed("main", &[(ME, &world.login(3_000_000).entry)]);
        let before = world.sandbox.counts().refreshes;
        world.sandbox.script_model(None, fault.clone(), 1);
        let ran = say(&world, "hello");
        assert_eq!(ran.stdout, "acct-me-1 gpt-5.3-codex: hello\n", "{fault:?}: {ran:?}");
        assert_eq!(world.sandbox.counts().refreshes, before + 1, "{fault:?}");
    }
    world.seed("main", &[(ME, &world.login(-1_000).entry)]);
    let before = world.sandbox.counts().refreshes;
    assert_eq!(say(&world, "hello").ok(), "acct-me-1 gpt-5.3-codex: hello\n");
    assert_eq!(world.sandbox.counts().refreshes, before + 1);
}

/// C16: a login that turns out to be dead makes way for the next of its kind in the same call.
#[test]
fn c16_a_dead_login_does_not_block_the_next() {
    let world = world();
    let (dead, alive) = (world.login(-1_000), world.login(3_000_000));
    world.sandbox.kill_family(&dead.refresh);
    world.seed("main", &[(ME, &dead.entry), (YOU, &alive.entry)]);
    answer(&world, &format!("/model {PROVIDER}/gpt-5.3-codex"));
    let answered = answer(&world, "hello");
    assert_eq!((&answered["profileId"], &answered["moved"][0]["from"]), (&json!(YOU), &json!(ME)));
}

/// C15: when the subscription can do no more, the chat stops: neither a stored key nor a variable takes its place, unless
/// an order names it.
#[test]
fn c15_no_metered_key_takes_over_silently() {
    let mut world = world();
    let key = Secret::from("sk-ant-api-canary-kkkkkkkkkkkkkkkk");
    world.sandbox.add_key(KeyKind::AnthropicKey, &key, "metered");
    let entry = json!({"type": "api_key", "provider": "anthropic", "key": key.expose()});
    let token = json!({"type": "token", "provider": "anthropic", "token": setup_token("w").expose()});
    world.seed("main", &[(WORK, &token), ("anthropic:key", &entry)]);
    world.set("ANTHROPIC_API_KEY", key.expose());
    answer(&world, "/model opus");
    for fault in [ModelFault::UsageLimit(3_600), ModelFault::Billing, ModelFault::Revoked] {
        world.sandbox.script_model(Some("work"), fault.clone(), 1);
        let ran = say(&world, "hello");
        assert_eq!(ran.code, Some(1), "{fault:?}: {ran:?}");
        let seen = accounts(&world);
        assert!(!seen.contains(&"metered".to_owned()), "{fault:?}: {seen:?}");
        world.seed("main", &[(WORK, &token), ("anthropic:key", &entry)]);
        std::fs::remove_file(world.state().join("agents/main/agent/auth-state.json")).unwrap();
    }
    order(&world, "anthropic", &[WORK, "anthropic:key"]);
    world.sandbox.script_model(Some("work"), ModelFault::UsageLimit(3_600), 1);
    let moved = answer(&world, "hello");
    assert_eq!(
        (&moved["profileId"], &moved["moved"][0]["to"]),
        (&json!("anthropic:key"), &json!("anthropic:key"))
    );
}

/// D2: a model's own limit, a broken service and a bad request leave the profile alone and go to the next model of the
/// config, on the same account where it is the same provider.
#[test]
fn d2_what_is_the_models_goes_to_the_next_model() {
    let world = world();
    let config = json!({"agents": {"defaults": {"model": {
        "primary": "anthropic/claude-opus-4-6", "fallbacks": ["anthropic/claude-sonnet-4-6"],
    }}}});
    world.private(&world.state().join("coderclaw.json"), &config.to_string());
    order(&world, "anthropic", &[HOME, WORK]);
    let page = || ModelFault::Page(502);
    let cases = [
        (vec![ModelFault::ModelUsageLimit(3_600)], "model_limit"),
        // A broken service is asked once more.
        (vec![page(), page()], "unavailable"),
        (vec![ModelFault::Overloaded, ModelFault::Overloaded], "unavailable"),
        (vec![ModelFault::Cut, ModelFault::Cut], "unreachable"),
        (vec![ModelFault::EndsEarly, ModelFault::EndsEarly], "unreachable"),
    ];
    for (faults, code) in cases {
        for fault in &faults {
            world.sandbox.script_model(Some("home"), fault.clone(), 1);
        }
        let ran = say(&world, "hello");
        assert_eq!(ran.stdout, "home claude-sonnet-4-6: hello\n", "{code}: {ran:?}");
        assert!(ran.stderr.contains("anthropic/claude-sonnet-4-6 goes on"), "{code}: {ran:?}");
        let usage = usage(&world, HOME);
        assert!(usage.get("cooldownUntil").is_none() && usage["errorCount"] == 0, "{code}: {usage}");
    }
}

/// B4: an answer that did not come to its end is said to be incomplete, stands so in the transcript, and is not told to
/// the model again.
#[test]
fn b4_a_broken_answer_is_no_answer() {
    let world = world();
    answer(&world, "/model opus@anthropic:work");
    for fault in [ModelFault::Cut, ModelFault::EndsEarly, ModelFault::Garbage] {
        world.sandbox.script_model(Some("work"), fault.clone(), 2);
        let ran = say(&world, "hello");
        if ran.code == Some(0) {
            // Bytes that are no events may be passed over, where the answer is whole all the same.
            assert_eq!(
                (&fault, ran.stdout.as_str()),
                (&ModelFault::Garbage, "work claude-opus-4-6: hello\n")
            );
            world.sandbox.clear_script();
            continue;
        }
        assert!(ran.stdout.is_empty() && ran.stderr.contains("Error:"), "{fault:?}: {ran:?}");
        let last = transcript(&world).pop().unwrap();
        assert_eq!(last["message"]["stopReason"], "error", "{fault:?}");
        assert!(last["message"]["errorMessage"].is_string());
    }
    assert_eq!(answer(&world, "whole")["reply"], "work claude-opus-4-6: whole");
    let shown = world.run(&["sessions", "show", "main", "--json"]).json();
    let said: Vec<&str> =
        shown["messages"].as_array().unwrap().iter().map(|said| said["text"].as_str().unwrap()).collect();
    assert_eq!(said.last(), Some(&"work claude-opus-4-6: whole"));
    assert!(
        !said[..said.len() - 1]
            .iter()
            .any(|text| text.starts_with("work claude-opus-4-6: h") && text.len() < 26)
    );
}

/// Two processes in one session at once: every message and every answer is in the transcript, each line linked to the one
/// before it.
#[test]
fn no_message_of_two_terminals_is_lost() {
    let world = world();
    answer(&world, "/model opus@anthropic:work");
    let children: Vec<_> = (0..8)
        .map(|i| {
            let mut command = world.command(&["agent", "--stdin"]);
            let mut child = world.start(command.stdin(Stdio::piped()));
            let mut input = child.stdin.take().unwrap();
            std::io::Write::write_all(&mut input, format!("message {i}").as_bytes()).unwrap();
            child
        })
        .collect();
    for child in children {
        Ran::from(child.wait_with_output().unwrap()).ok();
    }
    let lines = transcript(&world);
    for i in 0..8 {
        let asked =
            lines.iter().filter(|line| line["message"]["content"][0]["text"] == format!("message {i}"));
        assert_eq!(asked.count(), 1, "message {i}");
    }
    assert_eq!(lines.iter().filter(|line| line["message"]["role"] == "assistant").count(), 8);
    for pair in lines[1..].windows(2) {
        assert_eq!(pair[1]["parentId"], pair[0]["id"]);
    }
}

/// What the original says about a session stays through turns, also where it keeps the transcript.
#[test]
fn what_others_say_about_a_session_stays() {
    let world = world();
    let folder = world.state().join("agents/main/sessions");
    let entry = json!({"sessionId": "s-1", "sessionFile": "/elsewhere/s-1.jsonl", "queueMode": "x"});
    world.private(&folder.join("sessions.json"), &json!({"agent:main:main": entry}).to_string());
    answer(&world, "/model opus@anthropic:work");
    answer(&world, "hello");
    let after = &index(&world)["agent:main:main"];
    for key in ["sessionId", "sessionFile", "queueMode"] {
        assert_eq!(after[key], entry[key], "{key}");
    }
}

/// C6: a pinned profile that has gone stops the session, with the way out of it; nothing is sent.
#[test]
fn c6_a_session_whose_profile_is_gone_says_so() {
    let world = world();
    answer(&world, "/model opus@anthropic:work");
    answer(&world, "one");
    world.run(&["models", "auth", "logout", WORK, "--local-only"]).ok();
    let ran = say(&world, "two");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains(WORK) && ran.stderr.contains("/unpin"), "{ran:?}");
    assert!(ran.stderr.contains(HOME), "the ids that there are: {ran:?}");
    assert_eq!(accounts(&world).len(), 1);
    answer(&world, "/unpin");
    assert_eq!(answer(&world, "three")["profileId"], HOME);
}

/// Everything that `/model` refuses, each with its own sentence; nothing changes and nothing is sent.
#[test]
fn model_commands_that_are_refused() {
    let world = world();
    answer(&world, "/model opus@anthropic:work");
    let before = index(&world);
    let table = [
        ("/model opus@anthropic:nosuch", "unknown_profile", "anthropic:home, anthropic:work"),
        ("/model opus@openai-codex:me@x.test", "provider_mismatch", "is for openai-codex, not anthropic"),
        ("/model @anthropic:work", "usage", "a profile goes with a model"),
        ("/model list@x", "usage", "a profile goes with a model"),
        ("/model 3", "usage", "no numbers"),
        ("/model ops", "unknown_model", "did you mean opus"),
        ("/model nosuch/model", "unknown_provider", "no provider is called"),
        ("/model opus hello there", "usage", "takes one name"),
        ("/modle opus", "usage", "there is no command /modle"),
    ];
    for (text, code, words) in table {
        let ran = say(&world, text);
        assert_eq!(ran.code, Some(1), "{text}");
        assert!(ran.stderr.contains(&format!("[{code}]")) && ran.stderr.contains(words), "{text}: {ran:?}");
    }
    assert_eq!(index(&world), before);
    assert!(calls(&world).is_empty());
    // What only looks like a command is a message.
    assert_eq!(answer(&world, "/etc/hosts is a file")["reply"], "work claude-opus-4-6: /etc/hosts is a file");
}

#[test]
fn looks_of_a_chat_change_nothing() {
    let world = world();
    answer(&world, "/model opus@anthropic:work");
    let before = world.picture();
    for (text, words) in [
        ("/model", "Account: anthropic:work, pinned by you"),
        ("/model list", "Providers:"),
        ("/model status", "Auth file:"),
        ("/models anthropic", "- anthropic/claude-opus-4-6 (opus)"),
        ("/status", "Session: agent:main:main"),
        ("/help", "/model MODEL@PROFILE"),
    ] {
        let told = answer(&world, text)["reply"].as_str().unwrap().to_owned();
        assert!(told.contains(words), "{text}: {told}");
        assert!(!told.contains("canary"), "{text}: {told}");
    }
    assert_eq!(world.picture(), before);
    assert!(calls(&world).is_empty());
}

/// C18: an account for one run goes before the session's pin, and leaves it as it was.
#[test]
fn c18_a_profile_for_one_run() {
    let world = world();
    answer(&world, "/model opus@anthropic:work");
    let once = world.run(&["agent", "--json", "--auth-profile", HOME, "--message", "one"]).json();
    assert_eq!(once["profileId"], HOME);
    assert_eq!(answer(&world, "two")["profileId"], WORK);
    let other = ["agent", "--json", "--model", "sonnet", "--message", "three"];
    assert_eq!(world.run(&other).json()["model"], "claude-sonnet-4-6");
    let ran = world.run(&["agent", "--auth-profile", "anthropic:nosuch", "--message", "x"]);
    assert!(ran.stderr.contains("[unknown_profile]"), "{ran:?}");
}

/// E11: without a terminal nothing waits, and nothing is sent that nobody has said.
#[test]
fn e11_a_chat_without_a_terminal() {
    let world = world();
    let ran = world.run(&["chat"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("[input_required]") && ran.stderr.contains("coderclaw agent --stdin"),
        "{ran:?}"
    );
    for arguments in [&["agent"][..], &["agent", "--message", " "], &["agent", "--stdin"]] {
        assert_eq!(world.run(arguments).code, Some(1), "{arguments:?}");
    }
    assert_eq!(world.run(&["agent", "--message", "x", "--stdin"]).code, Some(1));
    let nobody = World::new();
    let ran = say(&nobody, "hello");
    assert!(ran.stderr.contains("no login brings one"), "{ran:?}");
    assert!(calls(&world).is_empty() && calls(&nobody).is_empty());
    assert_eq!(world.run_with_input(&["agent", "--stdin"], "from a pipe\n").code, Some(0));
}

/// Routes in use: a message that comes through a channel goes to the agent that the bindings name, in a session of its
/// own, and the provider sees that agent's token.
#[test]
fn a_message_goes_to_the_agent_that_is_bound() {
    let world = world();
    let config = json!({
        "agents": {"list": [{"id": "main", "default": true}, {"id": "office"}]},
        "bindings": [{"agentId": "office", "match": {"channel": "slack", "peer": {"kind": "direct", "id": "u1"}}}],
    });
    world.private(&world.state().join("coderclaw.json"), &config.to_string());
    let token = setup_token("o");
    world.sandbox.add_key(KeyKind::SetupToken, &token, "office");
    world.seed(
        "office",
        &[(WORK, &json!({"type": "token", "provider": "anthropic", "token": token.expose()}))],
    );
    let through = |peer: &str, text: &str| {
        world
            .run(&[
                "agent",
                "--json",
                "--channel",
                "slack",
                "--peer",
                peer,
                "--model",
                "opus",
                "--message",
                text,
            ])
            .json()
    };
    let bound = through("direct:u1", "hello");
    assert_eq!(
        (&bound["agentId"], &bound["reply"]),
        (&json!("office"), &json!("office claude-opus-4-6: hello"))
    );
    let other = through("direct:u2", "hello");
    assert_eq!((&other["agentId"], &other["profileId"]), (&json!("main"), &json!(HOME)));
    assert_eq!(accounts(&world), ["office", "home"]);
    let sessions = world.run(&["sessions", "--agent", "office", "--json"]).json();
    assert_eq!(sessions["sessions"][0]["key"], bound["sessionKey"]);
    let both = ["agent", "--agent", "office", "--channel", "slack", "--message", "x"];
    let keyed = ["agent", "--session-key", "k", "--channel", "slack", "--message", "x"];
    let alone = ["agent", "--peer", "direct:u1", "--message", "x"];
    let odd = ["agent", "--channel", "slack", "--peer", "nobody", "--message", "x"];
    for wrong in [&both[..], &keyed, &alone, &odd] {
        let ran = world.run(wrong);
        assert!(ran.code == Some(1) && ran.stderr.contains("[usage]"), "{wrong:?}: {ran:?}");
    }
    assert_eq!(accounts(&world).len(), 2);
}

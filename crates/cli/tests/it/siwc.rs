//! "Sign in with ChatGPT": a login for which CoderClaw is registered anew for each person.

use std::process::Stdio;
use std::time::Duration;

use coderclaw_sandbox::{Earliest, EarliestForm, Enforced, Fault, IdTokens, On, Registers, User, browse};
use coderclaw_store::faults::REGISTERED;
use coderclaw_types::Secret;
use serde_json::{Value, json};

use crate::login::{Waiting, code_of, flat, location};
use crate::world::{Ran, World};

const LOGIN: &[&str] = &["models", "auth", "login", "--provider", "openai", "--method", "siwc"];
const TOKEN: &[&str] = &["models", "auth", "token", "--provider", "openai"];
const ME: &str = "openai:me@x.test";
const AGAIN: &str = "next: coderclaw models auth login --method siwc --provider openai";
const USE: &str = "openid profile email offline_access resource.invoke chatgpt.tokens.use.direct";

fn world() -> World {
    let world = World::new();
    world.private(&world.state().join("providers/openai.toml"), &world.sandbox.siwc_manifest());
    world
}

fn start(world: &World, more: &[&str]) -> Waiting {
    let mut command = world.command(&[LOGIN, more].concat());
    Waiting::of(world.start(command.stdin(Stdio::piped())), "Ctrl-C")
}

/// Logs in, with a browser that does what the page says.
fn log_in(world: &World, more: &[&str]) -> Ran {
    let waiting = start(world, more);
    drop(browse(&waiting.url));
    waiting.done()
}

fn asks(waiting: &Waiting, name: &str) -> Option<String> {
    let url = waiting.url.split_once('?').unwrap().1.to_owned();
    let mut pairs = url::form_urlencoded::parse(url.as_bytes());
    pairs.find(|(own, _)| own == name).map(|(_, value)| value.into_owned())
}

fn registered(world: &World) -> Value {
    let text = std::fs::read_to_string(world.state().join("registrations.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn clients(world: &World) -> Vec<String> {
    world.sandbox.clients().into_iter().map(|(id, _)| id).collect()
}

fn nothing_stored(world: &World) -> bool {
    !world.store().exists() || !world.text().contains("openai:")
}

fn another(world: &World) {
    let you = User { email: "you@x.test".into(), ..User::named("user-you") };
    world.sandbox.add_user(you);
    world.sandbox.next_user("you@x.test");
}

/// E14: the first login asks under the common name and says what the program is called; the client that the answer names is what
/// the code is exchanged with, what is stored, and what every refresh names. The access token is nobody's to look into.
#[test]
fn e14_sign_in_with_chatgpt() {
    let mut world = world();
    let waiting = start(&world, &[]);
    assert!(waiting.said.contains("Nobody has tried this login"), "{}", waiting.said);
    let ask = |name: &str| asks(&waiting, name);
    assert_eq!(ask("client_id").as_deref(), Some("dynamic_agent_client"));
    assert_eq!(ask("agent_name_hint").as_deref(), Some("CoderClaw"));
    assert_eq!(ask("resource"), Some(format!("{}/v1", world.sandbox.origin())));
    assert_eq!(ask("scope").as_deref(), Some(USE));
    assert_eq!(ask("nonce").unwrap().len(), 43);
    assert!(ask("redirect_uri").unwrap().starts_with("http://127.0.0.1:"));
    let host = ask("ext_agent_host_id").unwrap();
    let page = waiting.browse();
    assert!(page.status == 200 && page.body.contains(ME), "{page:?}");
    let said = waiting.done().ok();
    assert!(said.contains(ME) && said.contains("Person: me@x.test"), "{said}");

    let entry = world.entry("main", ME);
    let client = clients(&world).pop().unwrap();
    assert_eq!(
        (&entry["clientId"], &entry["sub"], &entry["scope"], &entry["accountId"]),
        (&json!(client), &json!("user-me"), &json!(USE), &Value::Null)
    );
    let file = registered(&world);
    assert_eq!(file["hostId"], json!(host));
    assert_eq!(
        (&file["clients"][0]["clientId"], &file["clients"][0]["email"]),
        (&json!(client), &json!("me@x.test"))
    );
    let first = world.run(TOKEN).ok();
    // The sandbox refuses a refresh that names no resource, another client, or a scope.
    world.sandbox.policy(|policy| policy.id_tokens = IdTokens::Absent);
    world.shift_clock(Duration::from_secs(2 * 3_600));
    let second = world.run(TOKEN).ok();
    assert_ne!(first, second);
    assert_eq!(world.sandbox.counts().rotations, 1);
    let after = world.entry("main", ME);
    assert_eq!(
        (&after["clientId"], &after["email"], &after["scope"]),
        (&entry["clientId"], &entry["email"], &entry["scope"])
    );
    // A logout ends it there, under the same name, and forgets neither the client nor the machine.
    let said = world.run(&["models", "auth", "logout", ME]).ok();
    assert!(said.contains("Revoked at the provider"), "{said}");
    assert!(!world.sandbox.is_live_access(&Secret::from(second.trim())));
    assert_eq!(registered(&world), file);
}

/// B1: a turn goes to the public Responses API with what the login lends, within what plans allow there.
#[test]
fn a_turn_with_a_registered_login() {
    let world = world();
    log_in(&world, &[]).ok();
    let words = ["agent", "--message", "hello there", "--model", "openai/gpt-5.1-codex"];
    let said = world.run(&words).ok();
    assert!(said.contains("hello there"), "{said}");
    let log = world.sandbox.log();
    let call = log.iter().filter_map(|seen| seen.model.as_ref()).find(|call| call.method == "POST").unwrap();
    assert_eq!((call.path.as_str(), call.credential_in), ("/v1/responses", Some("authorization")));
}

/// A2, A6: before the moment that the server has named nothing is sent; the token that works is lent, and one that has ended is
/// `not_ready`, with the time.
#[test]
fn earliest_refresh_at_is_kept_and_honoured() {
    let mut world = world();
    let earliest = |before: u64| Earliest {
        before_expiry: Duration::from_secs(before),
        form: EarliestForm::Rfc3339,
        enforced: Enforced::RefuseAndSpend,
    };
    world.sandbox.policy(|policy| policy.earliest_refresh = Some(earliest(60)));
    log_in(&world, &[]).ok();
    assert!(world.entry("main", ME)["earliestRefreshAt"].is_i64());
    let first = world.run(TOKEN).ok();
    world.shift_clock(Duration::from_secs(3_600 - 200));
    assert_eq!(world.run(TOKEN).ok(), first, "due, and not yet allowed: it works and is lent");
    assert_eq!(world.sandbox.counts().refreshes, 0);
    let mut entry = world.entry("main", ME);
    entry["earliestRefreshAt"] = json!(world.at(3_600_000));
    world.seed("main", &[(ME, &entry)]);
    world.shift_clock(Duration::from_secs(300));
    assert_eq!(world.run(TOKEN).code(), "not_ready");
    assert_eq!(world.sandbox.counts().refreshes, 0);
    world.shift_clock(Duration::from_secs(3_600));
    // Its time has come by the server's clock as well.
    world.sandbox.policy(|policy| policy.skew = 7_300);
    assert_ne!(world.run(TOKEN).ok(), first);
    assert_eq!((world.sandbox.counts().refreshes, world.sandbox.counts().rotations), (1, 1));
}

/// A17: killed between registration and exchange, or with an exchange that failed: the client is written down, the next login
/// asks as that client, and nothing is registered twice.
#[test]
fn a17_a_registration_outlives_its_login() {
    for fault in [None, Some(Fault::error("invalid_grant")), Some(Fault::status(500)), Some(Fault::HugeBody)]
    {
        let mut world = world();
        match &fault {
            None => world.set("CODERCLAW_FAULT", format!("{REGISTERED}:kill")),
            Some(fault) => world.sandbox.script_on(On::Exchange, fault.clone(), 1),
        }
        let waiting = start(&world, &[]);
        drop(browse(&waiting.url));
        let ran = waiting.done();
        match &fault {
            None => assert_eq!(ran.code, None),
            Some(_) => {
                assert_eq!(code_of(&ran), "login_failed");
                assert!(flat(&ran).ends_with(AGAIN), "{ran:?}");
            }
        }
        assert!(nothing_stored(&world), "{fault:?}");
        let client = clients(&world);
        assert_eq!(registered(&world)["clients"][0]["clientId"], json!(client[0]));
        assert_eq!(registered(&world)["clients"][0]["sub"], Value::Null);
        world.unset("CODERCLAW_FAULT");
        let waiting = start(&world, &[]);
        assert_eq!(asks(&waiting, "client_id"), Some(client[0].clone()), "{fault:?}");
        assert_eq!(asks(&waiting, "agent_name_hint"), None);
        assert_eq!(waiting.browse().status, 200);
        waiting.done().ok();
        assert_eq!(clients(&world), client, "{fault:?}");
        assert_eq!(world.entry("main", ME)["clientId"], json!(client[0]));
        assert_eq!(registered(&world)["clients"][0]["email"], "me@x.test");
    }
}

/// E6, E7: a person who says no has registered nothing; an answer that names no client, or another than the one that asked, is
/// refused, and so is one that proves nothing. Nothing is stored.
#[test]
fn e6_e7_answers_that_do_not_count() {
    let world = world();
    world.sandbox.deny_next("access_denied", "not today");
    let ran = log_in(&world, &[]);
    assert_eq!(code_of(&ran), "login_denied");
    assert!(flat(&ran).contains("not today") && flat(&ran).ends_with(AGAIN), "{ran:?}");
    assert!(registered(&world)["clients"].is_null() && clients(&world).is_empty());

    world.sandbox.policy(|policy| policy.registers = Registers::Silently);
    assert_eq!(code_of(&log_in(&world, &[])), "login_denied");
    assert_eq!(world.sandbox.counts().exchanges, 0, "the code is not spent");

    world.sandbox.policy(|policy| policy.registers = Registers::Once);
    world.sandbox.policy(|policy| policy.id_tokens = IdTokens::OtherNonce);
    let ran = log_in(&world, &[]);
    assert_eq!(code_of(&ran), "id_token_invalid");
    assert!(flat(&ran).contains("nonce") && flat(&ran).ends_with(AGAIN), "{ran:?}");

    world.sandbox.policy(|policy| policy.id_tokens = IdTokens::Signed);
    world.sandbox.policy(|policy| policy.registers = Registers::Another);
    let exchanges = world.sandbox.counts().exchanges;
    assert_eq!(code_of(&log_in(&world, &[])), "login_denied");
    assert_eq!(world.sandbox.counts().exchanges, exchanges);
    assert!(nothing_stored(&world));

    // The same client, named once more, is no trouble.
    world.sandbox.policy(|policy| policy.registers = Registers::Always);
    log_in(&world, &[]).ok();
    // Somebody else by that client, where a server lets them.
    world.sandbox.policy(|policy| policy.registers = Registers::ForAnybody);
    another(&world);
    let before = world.text();
    let waiting = start(&world, &["--profile-id", ME]);
    let page = browse(&waiting.url.replace("login_hint=me%40x.test", "login_hint=you%40x.test")).unwrap();
    assert_eq!(page.status, 400);
    let ran = waiting.done();
    assert_eq!(code_of(&ran), "other_identity", "{ran:?}");
    assert_eq!(world.text(), before);
}

/// C6: a second account is registered for itself while the first one works; who logs out and in again, or names an account, is
/// asked for as the client that it has.
#[test]
fn c6_which_client_a_login_asks_as() {
    let world = world();
    log_in(&world, &[]).ok();
    let mine = world.entry("main", ME)["clientId"].as_str().unwrap().to_owned();
    another(&world);
    log_in(&world, &[]).ok();
    let yours = world.entry("main", "openai:you@x.test")["clientId"].as_str().unwrap().to_owned();
    assert_ne!(mine, yours);
    let asked = |more: &[&str]| {
        let mut waiting = start(&world, more);
        let ask = |name: &str| asks(&waiting, name);
        let asked = (ask("client_id").unwrap(), ask("login_hint"));
        waiting.child.kill().unwrap();
        waiting.child.wait().unwrap();
        (asked.0, asked.1, waiting.said)
    };
    let (client, hint, said) = asked(&["--profile-id", ME]);
    assert_eq!((client.as_str(), hint.as_deref()), (mine.as_str(), Some("me@x.test")));
    assert!(said.contains("renews the login of me@x.test"), "{said}");
    assert_eq!(asked(&["--expect", "You@x.test"]).0, yours);
    let (client, hint, _) = asked(&["--expect", "new@x.test"]);
    assert_eq!((client.as_str(), hint.as_deref()), ("dynamic_agent_client", Some("new@x.test")));
    assert_eq!(asked(&["--profile-id", "openai:work"]).0, "dynamic_agent_client");
    assert_eq!(asked(&[]).0, "dynamic_agent_client");
    world.run(&["models", "auth", "logout", ME]).ok();
    assert_eq!(asked(&[]).0, mine);
    world.sandbox.next_user("me@x.test");
    log_in(&world, &[]).ok();
    assert_eq!(world.entry("main", ME)["clientId"], json!(mine));
    assert_eq!(clients(&world).len(), 2);
}

/// E3: two logins at once register twice and lose nothing; one in two processes wants the whole address.
#[test]
fn e3_at_once_and_in_two_processes() {
    let world = world();
    let (one, two) = (start(&world, &[]), start(&world, &[]));
    assert_eq!((one.browse().status, two.browse().status), (200, 200));
    one.done().ok();
    two.done().ok();
    assert_eq!(registered(&world)["clients"].as_array().unwrap().len(), 2);
    assert!(world.run(TOKEN).code == Some(0));
    world.run(&["models", "auth", "logout", ME]).ok();
    std::fs::remove_file(world.state().join("registrations.json")).unwrap();

    let words = [&LOGIN[..3], &["start"], &LOGIN[3..], &["--json"]].concat();
    let started = world.run(&words).json();
    let finish = ["models", "auth", "login", "finish", started["id"].as_str().unwrap()];
    let end = location(started["url"].as_str().unwrap());
    let code = end.split("code=").nth(1).unwrap().split('&').next().unwrap();
    let ran = world.run_with_input(&finish, code);
    assert_eq!(code_of(&ran), "login_failed");
    assert!(flat(&ran).contains("Paste the whole address"), "{ran:?}");
    world.run_with_input(&finish, &end).ok();
    assert_eq!(registered(&world)["clients"][0]["clientId"], world.entry("main", ME)["clientId"]);

    let mut waiting = start(&world, &["--profile-id", "openai:new"]);
    let end = waiting.ends_at();
    waiting.paste(end.split("code=").nth(1).unwrap().split('&').next().unwrap());
    waiting.until("whole address");
    waiting.paste(&end);
    // The same person twice: under the id that was asked for.
    assert!(waiting.done().ok().contains("openai:new"));
}

/// B5: who signs in without allowing the use of the plan has signed in: the login is kept, lent to nobody, refreshed by nobody,
/// and says what helps; the next login asks once more.
#[test]
fn b5_a_plan_that_may_not_be_used() {
    let world = world();
    world.sandbox.policy(|policy| policy.granted_scope = Some("openid profile email offline_access".into()));
    let said = log_in(&world, &[]).ok();
    assert!(
        said.contains("kept and not used") && said.contains("login --method siwc --provider openai"),
        "{said}"
    );
    let ran = world.run(TOKEN);
    assert_eq!(ran.code(), "needs_consent");
    assert!(flat(&ran).ends_with(AGAIN), "{ran:?}");
    let explained = world.run(&["models", "auth", "explain", "--provider", "openai", "--json"]).json();
    assert_eq!(
        (&explained["winner"], &explained["candidates"][0]["reason"]),
        (&Value::Null, &json!("needs_consent"))
    );
    let status = world.run(&["models", "status", "--json"]).json();
    assert!(status.to_string().contains("\"needs_consent\""), "{status}");
    let told = world.run(&["models", "status"]).ok();
    assert!(told.contains("coderclaw models auth login --method siwc --provider openai"), "{told}");
    assert_eq!(world.sandbox.counts().refreshes, 0);

    world.sandbox.policy(|policy| policy.granted_scope = None);
    let waiting = start(&world, &[]);
    assert_eq!(asks(&waiting, "prompt").as_deref(), Some("consent"));
    assert_eq!(asks(&waiting, "client_id"), clients(&world).pop());
    assert_eq!(waiting.browse().status, 200);
    waiting.done().ok();
    assert!(world.run(TOKEN).code == Some(0));
}

/// F2: a file of registrations that cannot be understood stops a login before anybody is sent to a browser, and is left alone.
#[test]
fn f2_registrations_that_cannot_be_read() {
    let world = world();
    world.private(&world.state().join("registrations.json"), "{torn");
    let ran = world.run(LOGIN);
    assert_eq!(code_of(&ran), "corrupt");
    assert!(!ran.stderr.contains("http://") && clients(&world).is_empty(), "{ran:?}");
    assert_eq!(std::fs::read_to_string(world.state().join("registrations.json")).unwrap(), "{torn");
}

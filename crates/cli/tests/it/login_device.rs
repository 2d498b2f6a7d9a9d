//! Logging in by a code that is typed in on another device.

use std::process::Stdio;
use std::time::Duration;

use coderclaw_sandbox::{Fault, Kind, On, Seen};
use serde_json::Value;

use crate::login::{Waiting, assert_untouched, code_of, flat};
use crate::world::{ME, PROVIDER, Ran, World};

const SOON: Duration = Duration::from_secs(60);

/// The two dialects: a provider, and its file.
fn worlds() -> [(World, &'static str); 2] {
    let openai = World::new();
    openai_codes(&openai);
    let standard = World::new();
    issuer_alone(&standard);
    [(openai, PROVIDER), (standard, "acme")]
}

fn openai_codes(world: &World) {
    world.private(
        &world.state().join("providers/openai-codex.toml"),
        &world.sandbox.device_manifest(PROVIDER),
    );
}

/// Of this provider only the issuer is known.
fn issuer_alone(world: &World) {
    let text = format!(
        "id = \"acme\"\nname = \"Acme\"\n\n[[auth]]\nmethod = \"oauth\"\nissuer = \"{}\"\nclient_id = \"acme-cli\"\n\n\
         [[auth]]\nmethod = \"device-code\"\n",
        world.sandbox.origin()
    );
    world.private(&world.state().join("providers/acme.toml"), &text);
}

fn words<'a>(provider: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["models", "auth", "login", "--provider", provider], more].concat()
}

/// A login that shows a code.
fn waiting(world: &World, provider: &str, more: &[&str], stdin: Stdio) -> Waiting {
    let child = world.start(world.command(&words(provider, more)).stdin(stdin));
    Waiting::of(child, "Ctrl-C")
}

/// A login by a code alone, at nobody's terminal.
fn alone(world: &World, provider: &str) -> Waiting {
    waiting(world, provider, &["--device", "--json"], Stdio::null())
}

/// The code on the screen.
fn code(said: &str) -> String {
    let at = said.find("SBOX-").expect(said);
    said[at..at + 9].to_owned()
}

fn polls(log: &[Seen]) -> usize {
    log.iter().filter(|seen| seen.kind == Kind::Poll).count()
}

/// Waits until the program has asked, and been told to wait.
fn asked(world: &World) {
    assert!(world.sandbox.wait_for(SOON, |log| polls(log) > 0), "nobody asks");
}

fn type_in(world: &World, said: &str) {
    assert!(world.sandbox.type_in(&code(said), true), "no such code: {said}");
}

fn profile(ran: Ran) -> String {
    ran.json()["profileId"].as_str().unwrap().to_owned()
}

/// E10: a code typed in elsewhere brings a login like any other, in both dialects, with nobody at the terminal: pure JSON, and
/// tokens that are refreshed.
#[test]
fn e10_a_code_typed_in_elsewhere() {
    for (mut world, provider) in worlds() {
        let waiting = alone(&world, provider);
        assert!(waiting.said.contains("15 minutes"), "{}", waiting.said);
        let page = if provider == PROVIDER { "/codex/device" } else { "/device" };
        assert_eq!(waiting.url, format!("{}{page}", world.sandbox.origin()));
        asked(&world);
        assert!(!world.store().exists() || world.text().contains("\"profiles\": {}"), "nothing yet");
        type_in(&world, &waiting.said);
        let id = profile(waiting.done());
        assert_eq!(id, format!("{provider}:me@x.test"));
        assert_eq!(world.sandbox.counts().exchanges, u32::from(provider == PROVIDER));
        let entry = world.entry("main", &id);
        assert_eq!(entry["email"], "me@x.test");
        let ask = ["models", "auth", "token", "--provider", provider];
        let first = world.run(&ask).ok();
        assert_eq!(first.trim(), entry["access"].as_str().unwrap());
        world.shift_clock(Duration::from_secs(2 * 3_600));
        assert_ne!(world.run(&ask).ok(), first);
        assert_eq!(world.sandbox.counts().refreshes, 1, "{provider}");
    }
}

/// E10, E3: code, browser and paste are open in one run; the first that answers counts, and the others end with it.
#[test]
fn e10_three_doors_in_one_run() {
    for door in ["code", "browser", "paste"] {
        for (world, provider) in worlds() {
            let mut waiting = waiting(&world, provider, &[], Stdio::piped());
            waiting.until("SBOX-");
            asked(&world);
            match door {
                "code" => type_in(&world, &waiting.said),
                "browser" => assert_eq!(waiting.browse().status, 200),
                _ => {
                    let end = waiting.ends_at();
                    waiting.paste(&end);
                }
            }
            let ran = waiting.done();
            assert_eq!(ran.code, Some(0), "{door} {provider}: {ran:?}");
            assert_eq!(world.entry("main", &format!("{provider}:me@x.test"))["email"], "me@x.test");
        }
    }
}

/// E9: a provider that gives out no codes is explained before anybody is sent to a browser, and the address can be pasted in
/// the same run. A script is told, and ends.
#[test]
fn e9_codes_that_are_switched_off() {
    for (world, provider) in worlds() {
        world.sandbox.policy(|policy| policy.device_off = true);
        let began = std::time::Instant::now();
        let ran = world.run(&words(provider, &["--device"]));
        assert!(began.elapsed() < Duration::from_secs(20), "nobody waits for a browser");
        assert_eq!(code_of(&ran), "login_denied", "{ran:?}");
        assert!(flat(&ran).contains("gives out no codes"), "{ran:?}");
        if provider == PROVIDER {
            assert!(
                flat(&ran).contains("ChatGPT's security settings have a switch for device codes"),
                "{ran:?}"
            );
        }
        assert!(!flat(&ran).contains("/oauth/authorize"), "{ran:?}");
        assert!(
            ran.stderr.contains(&format!("coderclaw models auth login --provider {provider}")),
            "{ran:?}"
        );

        let mut waiting = waiting(&world, provider, &["--device"], Stdio::piped());
        let explained = waiting.said.find("gives out no codes").expect(&waiting.said);
        assert!(explained < waiting.said.find("/oauth/authorize").unwrap(), "{}", waiting.said);
        let end = waiting.ends_at();
        waiting.paste(&end);
        waiting.done().ok();

        // Beside the browser it is a sentence.
        let mut beside = self::waiting(&world, provider, &[], Stdio::piped());
        beside.until("gives out no codes");
        assert_eq!(beside.browse().status, 200);
        beside.done().ok();
    }
}

/// E10: what fails on the way to a code ends a login by code alone, and no other.
#[test]
fn e10_no_code_to_be_had() {
    let faults = [
        Fault::status(500),
        Fault::html_200(),
        Fault::DropBeforeRotate,
        Fault::HugeBody,
        Fault::RotateThenHalfBody,
        Fault::Reply(coderclaw_sandbox::Reply::new(200, coderclaw_sandbox::Body::Json("{}".into()))),
    ];
    for fault in faults {
        let (world, store) = crate::login::with_login();
        openai_codes(&world);
        world.sandbox.script_on(On::Device, fault.clone(), 2);
        let ran = world.run(&words(PROVIDER, &["--device"]));
        assert_eq!(code_of(&ran), "login_failed", "{fault:?}: {ran:?}");
        assert_untouched(&world, &store);
        let mut beside = waiting(&world, PROVIDER, &[], Stdio::piped());
        beside.until("of no use");
        assert_eq!(beside.browse().status, 200, "{fault:?}");
        beside.done().ok();
    }
}

/// E10: no, too late, and nonsense end the login with their own words; the store is as it was.
#[test]
fn e10_codes_that_bring_nothing() {
    for (world, provider) in worlds() {
        let waiting = alone(&world, provider);
        asked(&world);
        world.sandbox.script_on(On::Poll, Fault::error("invalid_grant"), 1);
        let ran = waiting.done();
        assert!(ran.code == Some(1) && ran.stdout.contains("invalid_grant"), "{ran:?}");
        if provider == "acme" {
            let denied = alone(&world, provider);
            assert!(world.sandbox.type_in(&code(&denied.said), false));
            let ran = denied.done();
            let error: Value = serde_json::from_str(&ran.stdout).unwrap();
            assert_eq!(error["error"]["code"], "login_denied", "{ran:?}");
            assert!(error["error"]["message"].as_str().unwrap().contains("the person said no"), "{ran:?}");

            let late = alone(&world, provider);
            world.sandbox.policy(|policy| policy.skew = 3_600);
            let ran = late.done();
            assert!(ran.stdout.contains("not typed in in time"), "{ran:?}");
        }
        assert!(!world.store().exists() || !world.text().contains("me@x.test"), "{provider}");
    }
    // Somebody else types it in, or the tokens are not whole.
    for (fault, words) in [(Fault::OtherAccount, "was expected"), (Fault::NoRefreshToken, "no refresh token")]
    {
        let world = World::new();
        issuer_alone(&world);
        let waiting = waiting(&world, "acme", &["--device", "--expect", "me@x.test"], Stdio::null());
        world.sandbox.script_on(On::Poll, Fault::error("authorization_pending"), 1);
        world.sandbox.script_on(On::Poll, fault, 1);
        type_in(&world, &waiting.said);
        let ran = waiting.done();
        assert!(ran.code == Some(1) && flat(&ran).contains(words), "{ran:?}");
    }
}

/// E10: pages of walls, servers that fail and connections that end are asked again, more slowly.
#[test]
fn e10_trouble_on_the_way_ends_nothing() {
    for (world, provider) in worlds() {
        let waiting = alone(&world, provider);
        world.sandbox.script_on(On::Poll, Fault::status(403), 1);
        world.sandbox.script_on(On::Poll, Fault::DropBeforeRotate, 1);
        type_in(&world, &waiting.said);
        let ran = waiting.done();
        assert_eq!(ran.code, Some(0), "{provider}: {ran:?}");
    }
}

/// A17, E2: a login that is interrupted while its code waits leaves everything as it was, byte for byte.
#[test]
fn a17_an_interrupted_code_leaves_nothing() {
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::KILL] {
        let (world, store) = crate::login::with_login();
        openai_codes(&world);
        let mut waiting = alone(&world, PROVIDER);
        asked(&world);
        let pid = rustix::process::Pid::from_child(&waiting.child);
        rustix::process::kill_process(pid, signal).unwrap();
        assert_ne!(waiting.child.wait().unwrap().code(), Some(0));
        type_in(&world, &waiting.said);
        assert_untouched(&world, &store);
        assert_eq!(world.sandbox.counts().exchanges, 0);
        assert!(std::fs::read_dir(world.state().join("logins")).map_or(0, Iterator::count) == 0);
    }
}

/// C6: two logins by code at once, of one person: both succeed, and there is one profile.
#[test]
fn c6_two_codes_at_once() {
    let world = World::new();
    openai_codes(&world);
    let both: Vec<Waiting> = (0..2).map(|_| alone(&world, PROVIDER)).collect();
    assert_ne!(code(&both[0].said), code(&both[1].said));
    for waiting in &both {
        type_in(&world, &waiting.said);
    }
    for waiting in both {
        assert_eq!(profile(waiting.done()), ME);
    }
    assert_eq!(world.text().matches("\"refresh\"").count(), 1);
}

fn start(world: &World, provider: &str) -> Value {
    let all =
        [&["models", "auth", "login", "start"], &words(provider, &["--device", "--json"])[3..]].concat();
    world.run(&all).json()
}

fn finish(id: &str) -> [&str; 6] {
    ["models", "auth", "login", "finish", id, "--json"]
}

/// E12: in two processes. The file is private, a finish that is killed loses nothing, and of several one gets the login.
#[test]
fn e12_a_code_in_two_processes() {
    use std::os::unix::fs::MetadataExt;
    for (world, provider) in worlds() {
        let started = start(&world, provider);
        let (id, user_code) = (started["id"].as_str().unwrap(), started["userCode"].as_str().unwrap());
        assert!(started["url"].as_str().unwrap().contains("/device"), "{started}");
        assert_eq!(started["redirectUri"], Value::Null);
        let file = world.state().join(format!("logins/{id}.json"));
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);

        let mut killed = world.start(&mut world.command(&finish(id)));
        asked(&world);
        killed.kill().unwrap();
        killed.wait().unwrap();
        assert!(file.exists(), "it still waits");

        assert!(world.sandbox.type_in(user_code, true));
        let all: Vec<_> = (0..3).map(|_| world.start(&mut world.command(&finish(id)))).collect();
        let all: Vec<Ran> = all.into_iter().map(|one| Ran::from(one.wait_with_output().unwrap())).collect();
        assert_eq!(all.iter().filter(|ran| ran.code == Some(0)).count(), 1, "{all:?}");
        assert!(!file.exists());
        assert!(world.sandbox.counts().exchanges <= 1, "a code is redeemed once");
        let kept = world.entry("main", &format!("{provider}:me@x.test"));
        assert!(world.sandbox.is_live(&coderclaw_types::Secret::from(kept["refresh"].as_str().unwrap())));
        assert_eq!(world.run(&finish(id)).error_json()["code"], "login_failed");
    }
}

/// E14: `--device` where there is no such login is a wrong call, at once.
#[test]
fn e14_a_provider_without_codes() {
    let world = World::new();
    for (all, said) in [
        (words("anthropic", &["--device"]), "no login by a code"),
        (words("acme", &["--device"]), "acme"),
        (words(PROVIDER, &["--device", "--method", "oauth"]), "--method"),
    ] {
        let ran = world.run_within(Duration::from_secs(20), &all);
        assert!(ran.code == Some(1) && flat(&ran).contains(said), "{ran:?}");
    }
    assert!(world.sandbox.log().is_empty());
}

/// G1: whoever points the tokens of a provider elsewhere is not sent to the vendor for a code, unasked.
#[test]
fn a_code_comes_from_where_the_tokens_do() {
    let world = World::new();
    let text = world.sandbox.manifest(PROVIDER)
        + "\n[[auth]]\nmethod = \"device-code\"\ndevice_url = \"http://127.0.0.1:9/usercode\"\n";
    world.private(&world.state().join("providers/openai-codex.toml"), &text);
    let waiting = Waiting::start(&world, &[]);
    assert_eq!(waiting.browse().status, 200);
    let ran = waiting.done();
    assert!(!ran.stderr.contains("any device") && !ran.stderr.contains("of no use"), "{ran:?}");
}

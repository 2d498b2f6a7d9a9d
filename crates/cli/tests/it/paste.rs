//! `paste-token`, `setup-token`, `paste-api-key` and `add`.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::terminal::Terminal;
use crate::world::{ME, Ran, World};

const MANUAL: &str = "anthropic:manual";
const DAY: i64 = 86_400_000;

/// As long as real ones, and easy to find in an output.
fn token(mark: &str) -> String {
    let body = format!("{mark}{}", "Ab3-dEf_Gh1jKlMn0pQrStUv".repeat(5));
    format!("sk-ant-oat01-{}", &body[..95])
}

fn auth<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["models", "auth"], words].concat()
}

fn setup(world: &World, more: &[&str], input: &str) -> Ran {
    world.run_with_input(&[&auth(&["setup-token", "--stdin"])[..], more].concat(), input)
}

/// No part of a secret that could be of use to anybody.
fn is_silent(ran: &Ran, secret: &str) {
    for window in secret.as_bytes()["sk-ant-oat01-".len()..].windows(8) {
        let part = std::str::from_utf8(window).unwrap();
        assert!(!ran.stdout.contains(part) && !ran.stderr.contains(part), "{ran:?}");
    }
}

fn lent(world: &World) -> String {
    world.run(&auth(&["token", "--provider", "anthropic"])).ok().trim().to_owned()
}

/// E17, E11, B4: a token that was broken by a terminal is stored whole, from standard input or a file, and lent at
/// once; it is shown nowhere.
#[test]
fn e17_a_broken_token_is_stored_whole() {
    let world = World::new();
    let token = token("canary");
    let broken = format!("Your token:\n\n  {}\n  {}\n\nKeep it.\n", &token[..80], &token[80..]);
    let ran = setup(&world, &[], &broken);
    is_silent(&ran, &token);
    let text = ran.ok();
    assert!(text.contains("\nAuth profile: anthropic:manual (anthropic/token)\n"), "{text}");
    assert!(text.contains("364 days") || text.contains("365 days"), "{text}");
    assert_eq!(world.entry("main", MANUAL)["token"], token);
    assert_eq!(std::fs::metadata(world.store()).unwrap().mode() & 0o777, 0o600);
    assert_eq!(lent(&world), token);

    let file = world.path().join("token.txt");
    std::fs::write(&file, format!("export CLAUDE_CODE_OAUTH_TOKEN='{token}'\n")).unwrap();
    let words =
        ["paste-token", "--provider", "anthropic", "--profile-id", "anthropic:work", "--json", "--file"];
    let ran = world.run(&[&auth(&words)[..], &[file.to_str().unwrap()]].concat());
    is_silent(&ran, &token);
    let json = ran.json();
    assert_eq!((&json["profileId"], &json["mode"]), (&json!("anthropic:work"), &json!("token")));
    assert_eq!((&json["replaced"], &json["expiresAssumed"]), (&json!(false), &json!(true)));
    assert!(json["fingerprint"].is_string());
    assert_eq!(world.sandbox.log().len(), 0);
}

/// E17, E18, B4: what is no whole token of this kind is refused, nothing is written, nothing is shown, and the next
/// command is one that fits.
#[test]
fn e18_what_does_not_fit_is_refused() {
    let world = World::new();
    let before = world.picture();
    let token = token("canary");
    let key = token.replace("oat01", "api03");
    let table: [(&str, &[&str], String, &str, &str); 7] = [
        ("setup-token", &[], token[..80].into(), "looks truncated (80 characters)", "setup-token"),
        ("setup-token", &[], String::new(), "nothing was pasted", "setup-token"),
        ("setup-token", &["--force"], key.clone(), "API key", "paste-api-key --provider anthropic"),
        (
            "paste-token",
            &["--provider", "anthropic"],
            key.clone(),
            "API key",
            "paste-api-key --provider anthropic",
        ),
        (
            "paste-api-key",
            &["--provider", "anthropic"],
            token.clone(),
            "subscription",
            "setup-token --provider anthropic",
        ),
        (
            "paste-token",
            &["--provider", "anthropic"],
            token.replace("sk-ant", "zz-abc"),
            "--force",
            "paste-token",
        ),
        (
            "paste-token",
            &["--provider", "openai-codex"],
            token.clone(),
            "no credential of this kind",
            "login --provider openai-codex",
        ),
    ];
    for (command, more, input, said, next) in table {
        let ran = world.run_with_input(&[&auth(&[command, "--stdin"])[..], more].concat(), &input);
        is_silent(&ran, &token);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains(said), "{said}: {ran:?}");
        let hint = ran.stderr.lines().find(|line| line.contains("next:")).unwrap_or_default();
        assert!(hint.contains(next), "{next}: {ran:?}");
        assert_eq!(world.picture(), before, "{command}");
    }
    let odd = token.replace("sk-ant", "zz-abc");
    let text = setup(&world, &["--force"], &odd).ok();
    assert!(text.contains("because of --force"), "{text}");
    assert_eq!(world.entry("main", MANUAL)["token"], odd);
    assert_eq!(world.entry("main", MANUAL)["expires"], Value::Null);
}

/// E11: without a terminal and without a source, each command fails at once, names the flags, and does nothing.
#[test]
fn e11_without_input_it_fails_at_once() {
    let world = World::new();
    let before = world.picture();
    let table: [&[&str]; 5] = [
        &["setup-token"],
        &["paste-token", "--provider", "anthropic"],
        &["paste-api-key", "--provider", "openai"],
        &["add"],
        &["use", "--provider", "anthropic"],
    ];
    for words in table {
        let began = Instant::now();
        let ran = world.run(&auth(words));
        assert!(began.elapsed() < Duration::from_secs(1), "{words:?}");
        assert_eq!(ran.code(), "input_required", "{words:?}");
        assert!(words[0] == "use" || ran.stderr.contains("--stdin"), "{ran:?}");
        let ran = world.run(&[&auth(words)[..], &["--json"]].concat());
        let json: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(json["error"]["code"], "input_required", "{words:?}");
    }
    assert_eq!(world.picture(), before);
}

/// B13: the end of a pasted token is stored, and shown; `--expires-in` counts in days unless it says otherwise.
#[test]
fn b13_the_end_is_known() {
    let world = World::new();
    let token = token("canary");
    for (more, days) in [(&[][..], 365), (&["--expires-in", "30"], 30), (&["--expires-in", "2d"], 2)] {
        let json = setup(&world, &[more, &["--json"]].concat(), &token).json();
        let left = json["expiresAt"].as_i64().unwrap() - world.at(0);
        assert!((left - days * DAY).abs() < DAY / 24, "{days}: {left}");
        assert_eq!(json["expiresAssumed"], days == 365);
        let listed = world.run(&auth(&["list", "--json"])).json();
        assert_eq!(listed["profiles"][0]["expiresAt"], json["expiresAt"]);
    }
    setup(&world, &["--expires-in", "29"], &token).ok();
    let status = world.run(&["models", "status"]).ok();
    assert!(status.contains("Needs attention\n  anthropic:manual: it ends in 28 days"), "{status}");
    setup(&world, &["--expires-in", "31"], &token).ok();
    assert!(!world.run(&["models", "status"]).ok().contains("Needs attention"));
    setup(&world, &["--expires-in", "2"], &token).ok();
    let status = world.run(&["models", "status"]).ok();
    assert!(status.contains("ends in 47 h") || status.contains("ends in 48 h"), "{status}");
    assert_eq!(setup(&world, &["--expires-in", "0"], &token).code(), "usage");
}

/// E19: a dead token is replaced under its own id, and what it was set aside for ends with it.
#[test]
fn e19_a_dead_token_is_replaced() {
    let world = World::new();
    let (old, new) = (token("old-"), token("new-"));
    let entry = json!({"type": "token", "provider": "anthropic", "token": old, "expires": world.at(-1_000), "note": "mine"});
    world.seed("main", &[("anthropic:work", &entry)]);
    let usage = json!({"version": 1, "usageStats": {"anthropic:work": {
        "cooldownUntil": world.at(3_000_000), "errorCount": 3, "lastUsed": 5, "failureCounts": {"auth": 3}}}});
    world.private(&world.store().with_file_name("auth-state.json"), &usage.to_string());
    let words = ["paste-token", "--provider", "anthropic", "--profile-id", "anthropic:work", "--stdin"];
    let text = world.run_with_input(&auth(&words), &new).ok();
    assert!(text.starts_with("Renewed"), "{text}");
    assert_eq!(world.entry("main", "anthropic:work")["note"], "mine");
    assert_eq!(lent(&world), new);
    // One that works is not replaced by another one, unless that is said; the same one again is.
    let ran = world.run_with_input(&auth(&words), &old);
    assert_eq!(ran.code(), "id_taken");
    assert!(ran.stderr.contains("--replace") && ran.stderr.contains("--profile-id"));
    assert_eq!(lent(&world), new);
    world.run_with_input(&auth(&words), &new).ok();
    world.run_with_input(&[&auth(&words)[..], &["--replace"]].concat(), &old).ok();
    assert_eq!(lent(&world), old);
}

/// F3: a paste changes its own entry; all others keep their bytes, and the config is not touched.
#[test]
fn f3_others_keep_their_bytes() {
    let world = World::new();
    let login = world.login(3_600_000);
    let odd = r#""odd": {"type":"passkey","provider":"acme","n":1.50}, "broken": 7"#;
    let text = format!(
        r#"{{"version": 1, "future": [1.0], "profiles": {{"{ME}": {}, {odd}}}, "order": {{"anthropic": ["a:b"]}}}}"#,
        login.entry
    );
    world.private(&world.store(), &text);
    world.config("{ /* mine */ }");
    let said = setup(&world, &[], &token("canary")).ok();
    assert!(
        said.contains("An order hides it. To use it: coderclaw models auth use anthropic:manual"),
        "{said}"
    );
    let after = std::fs::read_to_string(world.store()).unwrap();
    for kept in
        [login.entry.to_string().as_str(), r#"{"type":"passkey","provider":"acme","n":1.50}"#, "[1.0]"]
    {
        assert!(after.contains(kept), "{kept}");
    }
    assert_eq!(std::fs::read_to_string(world.state().join("coderclaw.json")).unwrap(), "{ /* mine */ }");
    assert_eq!(world.sent(&login.refresh), 0);
}

/// B4: where the disk takes nothing, nothing is said to be done.
#[test]
fn b4_success_is_not_announced_early() {
    let mut world = World::new();
    world.set("CODERCLAW_FAULT", "store.write:enospc");
    let ran = setup(&world, &[], &token("canary"));
    assert_eq!((ran.code(), ran.stdout.as_str()), ("not_writable", ""));
    is_silent(&ran, &token("canary"));
    assert!(!world.store().exists());
}

/// E17, G1: at a terminal a paste of several lines is one token and is not shown; Ctrl-C ends it, and the echo is on
/// again afterwards.
#[test]
fn e17_a_terminal_shows_nothing_and_takes_several_lines() {
    use std::io::{Read, Write};
    let world = World::new();
    let token = token("canary");
    for (typed, code) in [
        (format!("\u{1b}[200~{}\n{}\u{1b}[201~\r", &token[..80], &token[80..]), 0),
        (format!("{}\u{3}", &token[..50]), 1),
    ] {
        let mut terminal = Terminal::open();
        let keep = terminal.other_end();
        let mut command = world.command(&auth(&["setup-token", "--replace"]));
        command.stdin(terminal.other_end());
        let child = world.start(&mut command);
        terminal.wait_for_silence();
        terminal.master.write_all(typed.as_bytes()).unwrap();
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert_eq!(ran.code, Some(code), "{ran:?}");
        is_silent(&ran, &token);
        assert!(terminal.echoes());
        // What the terminal itself has shown, up to a mark of ours.
        let mut keep = keep;
        keep.write_all(b"END").unwrap();
        let mut shown = Vec::new();
        let mut buffer = [0; 256];
        while !shown.ends_with(b"END") {
            let read = terminal.master.read(&mut buffer).unwrap();
            shown.extend_from_slice(&buffer[..read]);
        }
        assert!(!String::from_utf8_lossy(&shown).contains("dEf"), "{shown:?}");
        assert_eq!(world.entry("main", MANUAL)["token"], token);
    }
}

//! Broken stores, configs, provider files, disks and arguments: told apart, told in a line, and survived.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::{LOGIN, Login, ME, PROVIDER, Ran, TOKEN, World};

const HOUR: i64 = 3_600_000;
/// Longer than any command takes on a busy machine; reached only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(60);
const ORDER_SET: &[&str] = &["models", "auth", "order", "set", "--provider", PROVIDER, ME];
const ORDER_CLEAR: &[&str] = &["models", "auth", "order", "clear", "--provider", PROVIDER];

fn fresh() -> (World, Login) {
    let world = World::new();
    let login = world.login(HOUR / 2);
    world.seed("main", &[(ME, &login.entry)]);
    (world, login)
}

/// One line with a code, one line with the next command, nothing on standard output.
fn is_told_in_a_line(ran: &Ran, code: &str) {
    assert_eq!(ran.code(), code, "{ran:?}");
    assert_eq!(ran.stdout, "", "{ran:?}");
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert!(lines.len() <= 2 && lines[0].starts_with("Error: "), "{ran:?}");
    assert!(lines.iter().skip(1).all(|line| line.starts_with("  next: coderclaw ")), "{ran:?}");
    assert!(!ran.stderr.trim_end_matches('\n').chars().any(|c| c.is_control() && c != '\n'), "{ran:?}");
    assert!(ran.stderr.len() < 4_000, "{} bytes", ran.stderr.len());
}

/// F2: what is no store is damaged, never empty: nothing is lent, nothing is written over it, and the words say so.
#[test]
fn f2_what_is_no_store_is_corrupt() {
    let cut = json!({"version": 1, "profiles": {ME: World::new().login(HOUR / 2).entry}}).to_string();
    let stores = [
        "",
        "\0\0\0\0",
        &cut[..cut.len() / 2],
        "not JSON",
        "[]",
        "7",
        "{\"version\": 1}",
        "{\"profiles\": []}",
    ];
    // Each is read again for a while, so they wait side by side.
    std::thread::scope(|scope| {
        for store in stores {
            scope.spawn(move || is_corrupt(store));
        }
    });
}

fn is_corrupt(store: &str) {
    let world = World::new();
    world.private(&world.store(), store);
    for command in [TOKEN, ORDER_SET] {
        let ran = world.run(command);
        is_told_in_a_line(&ran, "corrupt");
        assert!(ran.stderr.contains("auth-profiles.json is damaged"), "{ran:?}");
    }
    let ran = world.run(LOGIN);
    assert_eq!(ran.code(), "corrupt", "found before anybody is sent to a browser: {ran:?}");
    assert_eq!(world.text(), store);
    assert_eq!(world.sandbox.log().len(), 0);
}

/// F13: one damaged entry among 20: the others work, it is named, and a write keeps it byte for byte.
#[test]
fn f13_a_damaged_entry_stands_alone() {
    for damaged in [
        r#"{"type": "oauth",   "access": ["x"]}"#,
        "12.50",
        "null",
        r#""text\u0041""#,
        "[1,  2]",
        r#"["api_key", "groq", "k"]"#,
        "{}",
    ] {
        let world = World::new();
        let (good, bad): (Vec<_>, _) = ((0..19).map(|n| format!("groq:{n}")).collect(), "groq:bad");
        let mut entries: Vec<String> = good
            .iter()
            .map(|id| format!(r#""{id}": {{"type": "api_key", "provider": "groq", "key": "key of {id}"}}"#))
            .collect();
        entries.insert(7, format!("\"{bad}\": {damaged}"));
        world.private(
            &world.store(),
            &format!("{{\"version\": 1, \"profiles\": {{{}}}, \"more\":  [1]}}", entries.join(",\n")),
        );
        for id in &good {
            let ran = world.run(&["models", "auth", "token", "--provider", "groq", "--profile", id]);
            assert_eq!(ran.ok(), format!("key of {id}\n"), "beside {damaged}");
        }
        let list = world.run(&["models", "auth", "list", "--json"]).json();
        let one = list["profiles"].as_array().unwrap().iter().find(|one| one["profileId"] == bad).unwrap();
        assert_eq!((&one["state"], &one["status"]), (&json!("corrupt"), &json!("missing")), "{damaged}");
        assert!(one["detail"].as_str().unwrap().contains("damaged"), "{one}");
        assert!(world.run(&["models", "status"]).ok().contains(bad));
        world.run(&["models", "auth", "order", "set", "--provider", "groq", "groq:3", "groq:1"]).ok();
        assert!(world.text().contains(damaged), "{damaged} was changed: {}", world.text());
        assert!(world.text().contains("\"more\":  [1]") || world.text().contains("\"more\": [1]"));
        let text = world.text();
        let names: Vec<_> = good.iter().filter(|id| text.contains(&format!("key of {id}\""))).collect();
        assert_eq!(names.len(), 19);
    }
}

/// Entries of an odd shape are states, not crashes: each is told with its own word.
#[test]
fn odd_entries_are_states() {
    let world = World::new();
    let long = "x".repeat(100_000);
    let table = [
        (json!({"type": "oauth", "provider": PROVIDER}), "missing_credential"),
        (json!({"type": "oauth", "provider": PROVIDER, "access": "a"}), "invalid_expires"),
        (json!({"type": "oauth", "provider": PROVIDER, "access": "a", "expires": "soon"}), "invalid_expires"),
        (json!({"type": "oauth", "provider": PROVIDER, "access": "a", "expires": 1}), "expired"),
        (json!({"type": "oauth", "provider": PROVIDER, "access": "a", "expires": 9e18}), "invalid_expires"),
        (json!({"type": "api_key", "provider": PROVIDER, "key": " \n"}), "missing_credential"),
        (json!({"type": "api_key", "provider": PROVIDER, "keyRef": {"source": "x"}}), "unresolved_ref"),
        (json!({"type": "token", "provider": PROVIDER, "token": "t", "expires": "x"}), "invalid_expires"),
        (json!({"type": "token", "provider": PROVIDER, "token": "t", "expires": 5}), "expired"),
        (json!({"type": "token", "provider": PROVIDER, "token": "t", "expires": world.at(HOUR)}), "expiring"),
        (json!({"type": "token", "provider": PROVIDER, "token": "t", "expires": 0}), "ok"),
        (json!({"type": long, "provider": PROVIDER}), "missing_credential"),
    ];
    for (entry, state) in table {
        world.seed("main", &[(ME, &entry)]);
        let list = world.run(&["models", "auth", "list", "--json"]).json();
        assert_eq!(list["profiles"][0]["state"], state, "{list}");
        let ran = world.token();
        if matches!(state, "ok" | "expiring") {
            assert_eq!(ran.ok(), "t\n");
        } else {
            is_told_in_a_line(&ran, state);
        }
    }
    assert_eq!(world.sandbox.log().len(), 0);
}

/// A byte order mark is no damage, and a store that has one is written all the same.
#[test]
fn a_byte_order_mark_is_no_damage() {
    let (world, login) = World::expired();
    world.private(&world.store(), &format!("\u{feff}{}", world.text()));
    assert_ne!(world.token().ok().trim(), login.access.expose());
    world.run(ORDER_SET).ok();
    assert_eq!(world.sandbox.counts().refreshes, 1);
}

/// F6: a newer store is read and lent from, and nothing writes it.
#[test]
fn f6_a_newer_store_is_read_and_never_written() {
    let (world, login) = fresh();
    for left in [HOUR / 2, 60_000, -1_000] {
        let mut entry = login.entry.clone();
        entry["expires"] = json!(world.at(left));
        let store = json!({"version": 2, "profiles": {ME: entry}, "news": {"x": 1}}).to_string();
        world.private(&world.store(), &store);
        let ran = world.token();
        if left > 0 {
            assert_eq!(ran.ok().trim(), login.access.expose(), "{left}");
        } else {
            is_told_in_a_line(&ran, "unsupported_version");
        }
        is_told_in_a_line(&world.run(ORDER_SET), "unsupported_version");
        assert_eq!(
            world.run(LOGIN).code(),
            "unsupported_version",
            "found before anybody is sent to a browser"
        );
        assert_eq!(world.text(), store);
    }
    assert!(world.run(&["models", "status"]).ok().contains("unsupported_version"));
    assert_eq!(world.sandbox.log().len(), 0);
}

/// Rewrites the file in place until told to stop, as the original does: truncated, then written. Whole for about as
/// long as torn, however slow the disk is. Gives the longest time that it was torn.
fn rewrite_in_place(path: &Path, text: &str, stop: &AtomicBool) -> Duration {
    let mut longest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        std::fs::write(path, text).unwrap();
        let torn = began.elapsed();
        longest = longest.max(torn);
        std::thread::sleep(torn.max(Duration::from_millis(1)));
    }
    longest
}

/// Loans beside a program that rewrites the store in place always see one whole version. Without a backup they read
/// again, for half a second; with one, as after any write of ours, there is always something to lend.
#[test]
fn a_store_that_is_rewritten_in_place_is_never_seen_torn() {
    for has_backup in [false, true] {
        let (world, login) = fresh();
        let (path, text) = (world.store(), world.text());
        if has_backup {
            world.private(&path.with_extension("json.bak"), &text);
        }
        let stop = AtomicBool::new(false);
        let (lent, longest) = std::thread::scope(|scope| {
            let writer = scope.spawn(|| rewrite_in_place(&path, &text, &stop));
            let lent: Vec<Ran> = (0..5).flat_map(|_| world.storm(4)).collect();
            stop.store(true, Ordering::Relaxed);
            (lent, writer.join().unwrap())
        });
        assert_eq!(lent.len(), 20);
        // A disk that leaves it torn for so long leaves nothing to read.
        let is_readable = has_backup || longest < Duration::from_millis(400);
        for ran in lent.into_iter().filter(|ran| is_readable || ran.code == Some(0)) {
            assert_eq!(ran.ok().trim(), login.access.expose(), "torn for {longest:?} at most");
        }
    }
}

/// F11: a store behind a link is refreshed and ordered where it is, and the link stays.
#[test]
fn f11_a_linked_store_stays_linked() {
    let (world, login) = World::expired();
    let real = world.path().join("shared/store.json");
    world.private(&real, &world.text());
    std::fs::remove_file(world.store()).unwrap();
    std::os::unix::fs::symlink(&real, world.store()).unwrap();
    let token = world.token().ok();
    world.run(ORDER_SET).ok();
    assert!(std::fs::symlink_metadata(world.store()).unwrap().is_symlink());
    let text = std::fs::read_to_string(&real).unwrap();
    assert!(text.contains(token.trim()) && text.contains("order") && !text.contains(login.refresh.expose()));
}

fn make(what: &str, path: &Path) {
    match what {
        "a folder" => std::fs::create_dir(path).unwrap(),
        "a FIFO" => assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
        _ => std::os::unix::fs::symlink("/nowhere/at/all.json", path).unwrap(),
    }
}

/// What stands in the store's place and is no file is told, at once, and left there.
#[test]
fn what_stands_in_the_stores_place_is_left_alone() {
    let table = [
        ("a folder", "unreadable", "unreadable"),
        ("a FIFO", "unreadable", "unreadable"),
        ("a dangling link", "missing_credential", "not_writable"),
    ];
    for (what, look, write) in table {
        let world = World::new();
        std::fs::create_dir_all(world.store().parent().unwrap()).unwrap();
        make(what, &world.store());
        let before = world.everything();
        assert_eq!(world.run_within(PATIENCE, TOKEN).code(), look, "{what}");
        let status = world.run_within(PATIENCE, &["models", "status"]);
        assert_eq!(status.code == Some(0), what == "a dangling link", "{what}: {status:?}");
        assert_eq!(world.everything(), before, "{what}");
        let ran = world.run_within(PATIENCE, LOGIN);
        assert_eq!(ran.code(), write, "{what}: {ran:?}");
        let kind = std::fs::symlink_metadata(world.store()).unwrap().file_type();
        assert_eq!((kind.is_file(), kind.is_symlink()), (false, what == "a dangling link"), "{what}");
        assert_eq!(world.sandbox.log().len(), 0);
    }
}

/// F1, F2: a disk that fails before anything is sent: the error says so, nothing is sent, the store is as it was, and
/// afterwards everything works.
#[test]
fn f2_a_failing_disk_sends_nothing_and_changes_nothing() {
    let table = [
        ("store.read:emfile", "unreadable", "unreadable"),
        ("store.read:eio", "unreadable", "unreadable"),
        ("store.read:eacces", "unreadable", "unreadable"),
        ("store.read@2:eio", "unreadable", "unreadable"),
        ("store.write:enospc", "", "not_writable"),
        ("store.before_rename:erofs", "", "not_writable"),
        ("store.before_rename:enospc", "", "not_writable"),
        ("journal.create:enospc", "not_writable", ""),
        ("journal.create:erofs", "not_writable", ""),
        ("journal.append:eio", "not_writable", ""),
        ("journal.append@1:enospc", "not_writable", ""),
        ("journal.append@2:enospc", "not_writable", ""),
    ];
    for (fault, token, order) in table {
        let (mut world, login) = World::expired();
        let store = world.text();
        world.set("CODERCLAW_FAULT", fault);
        if !token.is_empty() {
            let ran = world.token();
            is_told_in_a_line(&ran, token);
            assert!(ran.stderr.contains("cannot be "), "{fault}: {ran:?}");
            let json = world.run(&[TOKEN, &["--json"]].concat()).error_json();
            assert_eq!(json["code"], token, "{fault}");
        }
        if !order.is_empty() {
            let ran = world.run(ORDER_SET);
            is_told_in_a_line(&ran, order);
            assert!(ran.stderr.contains("cannot be "), "{fault}: {ran:?}");
        }
        assert_eq!(world.text(), store, "{fault}");
        assert_eq!(world.sandbox.log().len(), 0, "{fault}");
        assert!(world.sandbox.is_live(&login.refresh));
        world.unset("CODERCLAW_FAULT");
        // A reason that was written down is spaced like any failure; the clock stands for the wait.
        world.shift_clock(Duration::from_secs(60));
        assert_ne!(world.token().ok().trim(), login.access.expose(), "{fault}");
        world.run(ORDER_SET).ok();
        assert_eq!(world.sandbox.counts().refreshes, 1, "{fault}");
    }
}

/// A8: a store that cannot be written after the answer: the token is lent from the journal, and comes into the store
/// without another request once the disk takes it.
#[test]
fn a8_a_disk_that_fills_up_after_the_answer_loses_nothing() {
    for fault in [
        "store.write:enospc",
        "store.before_rename:enospc",
        "store.before_rename:erofs",
        "store.before_rename@1:eio",
    ] {
        let (mut world, login) = World::expired();
        let store = world.text();
        world.set("CODERCLAW_FAULT", fault);
        let lent = world.token().ok();
        assert_ne!(lent.trim(), login.access.expose(), "{fault}");
        if !fault.contains('@') {
            assert_eq!(world.text(), store, "{fault}");
            assert_eq!(world.token().ok(), lent, "{fault}: again");
        }
        world.unset("CODERCLAW_FAULT");
        assert_eq!(world.token().ok(), lent, "{fault}");
        assert_eq!(world.entry("main", ME)["access"], lent.trim(), "{fault}");
        let refresh = coderclaw_types::Secret::from(world.entry("main", ME)["refresh"].as_str().unwrap());
        assert!(world.sandbox.is_live(&refresh), "{fault}");
        assert_eq!((world.sandbox.counts().refreshes, world.sandbox.counts().reuses), (1, 0), "{fault}");
    }
}

/// A8: a journal that does not take the answer: the store has it instead.
#[test]
fn a8_an_answer_that_the_journal_refuses_goes_into_the_store() {
    let (mut world, login) = World::expired();
    world.set("CODERCLAW_FAULT", "journal.append@3:enospc");
    let lent = world.token().ok();
    assert_ne!(lent.trim(), login.access.expose());
    assert_eq!(world.entry("main", ME)["access"], lent.trim());
    world.unset("CODERCLAW_FAULT");
    assert_eq!(world.token().ok(), lent);
    assert_eq!((world.sandbox.counts().refreshes, world.sandbox.counts().reuses), (1, 0));
}

/// F1: a backup that cannot be written is removed, rather than left behind with an old generation.
#[test]
fn f1_no_old_generation_stays_as_the_backup() {
    let (mut world, _) = fresh();
    world.run(ORDER_SET).ok();
    let backup = world.store().with_extension("json.bak");
    assert_eq!(std::fs::read_to_string(&backup).unwrap(), world.text());
    world.set("CODERCLAW_FAULT", "store.write@2:enospc");
    world.run(ORDER_CLEAR).ok();
    assert!(!world.text().contains("order") && !backup.exists());
}

/// B8, B13: a name that means nothing is told with the nearest that do.
#[test]
fn unknown_names_are_told_with_the_nearest() {
    let (world, _) = fresh();
    let auth = |words: &[&str]| world.run(&[&["models", "auth"], words].concat());
    let table: [(&[&str], &str, &str); 9] = [
        (&["token", "--provider", "openai-codx"], "unknown_provider", "did you mean openai-codex"),
        (&["explain", "--provider", "codex"], "unknown_provider", "openai-codex"),
        (&["login", "--provider", "antropic"], "unknown_provider", "did you mean anthropic"),
        (&["order", "get", "--provider", "qqqqqqqqqqqq"], "unknown_provider", "qqqqqqqqqqqq"),
        (&["token", "--provider", PROVIDER, "--profile", "openai-codex:m@x.test"], "unknown_profile", ME),
        (&["refresh", "--provider", PROVIDER, "--profile", "nobody"], "unknown_profile", ME),
        (&["order", "set", "--provider", PROVIDER, "nobody"], "unknown_profile", "not found in"),
        (&["list", "--agent", "nobody"], "unknown_agent", "there is main"),
        (&["token", "--provider", PROVIDER, "--agent", "../../etc"], "unknown_agent", "there is main"),
    ];
    for (words, code, says) in table {
        let ran = auth(words);
        is_told_in_a_line(&ran, code);
        assert!(ran.stderr.contains(says), "{words:?}: {ran:?}");
        assert!(ran.stderr.contains("  next: "), "{words:?}: {ran:?}");
        let json = auth(&[words, &["--json"]].concat()).error_json();
        assert_eq!(json["code"], code);
        assert!(json["hint"].as_str().unwrap().starts_with("coderclaw "), "{json}");
    }
}

/// B9: what a provider does not have is told with the command that brings what it has.
#[test]
fn b9_a_login_that_there_is_not_names_the_one_that_there_is() {
    let world = World::new();
    let login = ["models", "auth", "login", "--provider"];
    let table: [(&[&str], &str); 6] = [
        (&["anthropic"], "models auth setup-token --provider anthropic"),
        (&["anthropic", "--device"], "models auth setup-token --provider anthropic"),
        (&["groq", "--agent", "main"], "models auth paste-api-key --provider groq --agent main"),
        (&["groq", "--method", "siwc"], "models auth paste-api-key --provider groq"),
        (&["openai", "--method", "api-key"], "models auth paste-api-key --provider openai"),
        (&["openai", "--method", "no-such"], "models auth login --help"),
    ];
    for (words, next) in table {
        let ran = world.run(&[&login[..], words].concat());
        is_told_in_a_line(&ran, "usage");
        assert!(ran.stderr.ends_with(&format!("  next: coderclaw {next}\n")), "{words:?}: {ran:?}");
    }
    // Where there is nothing, whoever asks why is told how to get something.
    let none = world.run(&["models", "auth", "explain", "--provider", "anthropic"]).ok();
    assert!(none.ends_with("\n  coderclaw models auth setup-token --provider anthropic\n"), "{none}");
}

/// A secret of which only the beginning would fit is refused, not cut.
#[test]
fn a_secret_that_is_too_long_is_refused() {
    let world = World::new();
    let paste = ["models", "auth", "paste-api-key", "--provider", "openai", "--stdin"];
    let ran = world.run_with_input(&paste, &"k".repeat(300 * 1024));
    is_told_in_a_line(&ran, "input_required");
    assert!(ran.stderr.contains("longer than 256 KiB"), "{ran:?}");
    assert!(!world.store().exists());
}

/// What is neither a file nor a folder holds no logins, and is not waited for.
#[test]
fn an_import_from_no_file_ends_at_once() {
    let world = World::new();
    for place in ["/dev/zero", "/dev/null"] {
        let ran = world.run(&["import", "openclaw", place]);
        is_told_in_a_line(&ran, "usage");
        assert!(ran.stderr.contains(&format!("{place} holds no logins")), "{ran:?}");
    }
}

/// An agent's name that comes down to nothing (a variable that is not set) is not quietly the main agent.
#[test]
fn an_empty_agent_is_not_the_main_one() {
    let (world, _) = fresh();
    for name in ["", "  ", "..", "@@"] {
        is_told_in_a_line(&world.run(&[TOKEN, &["--agent", name]].concat()), "unknown_agent");
    }
    world.run(&[TOKEN, &["--agent", " Main "]].concat()).ok();
}

/// C7: old spellings, aliases and any case name the same provider, in commands and in stores.
#[test]
fn c7_old_spellings_work_everywhere() {
    let world = World::new();
    for (written, asked) in [
        ("Z.AI", "zai"),
        ("zai", "Z.AI"),
        ("z-ai", " z.ai "),
        ("OPENAI", "openai"),
        ("groq", "GROQ"),
        ("opencode-zen", "opencode"),
    ] {
        let entry = json!({"type": "api_key", "provider": written, "key": "k"});
        world.seed("main", &[("x:y", &entry)]);
        assert_eq!(
            world.run(&["models", "auth", "token", "--provider", asked]).ok(),
            "k\n",
            "{written} {asked}"
        );
        world.run(&["models", "auth", "order", "set", "--provider", asked, "x:y"]).ok();
        let got = world.run(&["models", "auth", "order", "get", "--json", "--provider", asked]).json();
        assert_eq!(got["order"], json!(["x:y"]), "{written} {asked}");
    }
}

/// A config that is not understood stops everything: a wrong guess sends the wrong account's token.
#[test]
fn a_config_that_is_not_understood_is_named() {
    let (world, _) = fresh();
    let table = [
        ("{", "coderclaw.json"),
        ("{auth: {order: {'openai-codex': ['a']}} agents: {}}", "line 1"),
        ("{auth: {order: {'openai-codex': 'a'}}}", "`auth.order.openai-codex`"),
        ("{auth: {order: []}}", "`auth.order`"),
        ("{auth: {order: {x: ['']}}}", "`auth.order.x[0]`"),
        ("{agents: {list: {}}}", "`agents.list`"),
        ("{agents: {list: [{id: 5}]}}", "`agents.list[0].id`"),
        ("[]", "the file should be an object"),
        ("\u{0}", "coderclaw.json"),
    ];
    for (config, says) in table {
        world.config(config);
        for command in [TOKEN, &["models", "status"], ORDER_SET, LOGIN] {
            let ran = world.run(command);
            is_told_in_a_line(&ran, "config_invalid");
            assert!(ran.stderr.contains(says) && ran.stderr.contains("coderclaw.json"), "{config}: {ran:?}");
        }
    }
}

/// Comments, trailing commas, unknown keys and an agent's own folder are understood.
#[test]
fn a_config_in_json5_is_understood() {
    let (world, login) = World::expired();
    let elsewhere = world.path().join("work agent");
    let store = world.text();
    world.private(&elsewhere.join("auth-profiles.json"), &store);
    std::fs::remove_file(world.store()).unwrap();
    let config = format!(
        "// mine\n{{ agents: {{ list: [ {{ id: 'Work', agentDir: {}, identity: {{ theme: 'x' }}, }}, ], }}, /* more */ unknown: [+1, .5], }}",
        json!(elsewhere)
    );
    world.config(&config);
    for agent in [&[][..], &["--agent", "work"], &["--agent", "WORK"]] {
        assert_ne!(world.run(&[TOKEN, agent].concat()).ok().trim(), login.access.expose());
    }
    assert_ne!(std::fs::read_to_string(elsewhere.join("auth-profiles.json")).unwrap(), store);
    assert!(!world.store().exists());
    assert_eq!(world.sandbox.counts().refreshes, 1);
    assert_eq!(std::fs::read_to_string(world.state().join("coderclaw.json")).unwrap(), config);
}

/// A provider file decides where tokens are sent: one that is not understood, or that others may write, stops
/// everything, with its place.
#[test]
fn a_provider_file_that_cannot_be_trusted_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let (world, _) = fresh();
    let path = world.state().join("providers/mine.toml");
    let table = [
        ("id = \"mine\"\nname = \"Mine\"\nurl = \"x\"\n", "mine.toml:3"),
        ("id = \"mine\"\nname = ", "mine.toml:2"),
        ("extends = \"nobody\"\n", "mine.toml:1"),
        ("extends = \"openai-codex\"\n", "mine.toml"),
    ];
    for (text, place) in table {
        world.private(&path, text);
        for command in [TOKEN, &["models", "status"], LOGIN] {
            let ran = world.run(command);
            is_told_in_a_line(&ran, "manifest_invalid");
            assert!(ran.stderr.contains(place), "{text}: {ran:?}");
        }
    }
    world.private(&path, "id = \"mine\"\nname = \"Mine\"\n\n[[auth]]\nmethod = \"api-key\"\n");
    world.token().ok();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o620)).unwrap();
    let ran = world.token();
    is_told_in_a_line(&ran, "manifest_invalid");
    assert!(ran.stderr.contains("mine.toml") && ran.stderr.contains("chmod go-w"), "{ran:?}");
}

/// B8: a wrong call exits 1 with a line, or with the error object alone where JSON was asked for.
#[test]
fn wrong_calls_are_told_in_a_line() {
    let (world, _) = fresh();
    let (long, before) = ("x".repeat(100_000), world.everything());
    let with = |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).to_owned()).collect() };
    let token = |words: &[&str]| with(&[TOKEN, words].concat());
    let table = [
        (with(&["statsu"]), "usage"),
        (with(&["models", "auth", "token"]), "usage"),
        (with(&["models", "auth", "token", "--provider"]), "usage"),
        (with(&["models", "auth", "token", "--provider", ""]), "unknown_provider"),
        (with(&["models", "auth", "order", "set", "--provider", PROVIDER]), "usage"),
        (with(&["models", "auth", "order", "get", "--provider", PROVIDER, ME]), "usage"),
        (with(&["models", "status", "extra"]), "usage"),
        (with(&["models", "status", "--quiet", "--verbose"]), "usage"),
        (with(&["models", "status", "--nonsense"]), "usage"),
        (with(&["--profile", "../x", "models", "status"]), "usage"),
        (with(&["--dev", "--profile", "x", "models", "status"]), "usage"),
        (with(&["models", "auth", "login", "--provider", PROVIDER, "--method", "telepathy"]), "usage"),
        (with(&["models", "auth", "login", "--provider", "groq"]), "usage"),
        (with(&["models", "auth", "login", "--provider", PROVIDER, "--profile-id", ""]), "usage"),
        (with(&["models", "auth", "login", "--provider", PROVIDER, "--profile-id", "a\u{1b}[31mb"]), "usage"),
        (with(&["models", "auth", "login", "--provider", PROVIDER, "--profile-id", &long]), "usage"),
        (token(&["--min-validity", "-1"]), "usage"),
        (token(&["--min-validity", "soon"]), "usage"),
        (token(&["--min-validity", "1e999h"]), "usage"),
        (token(&["--min-validity", "10000000d"]), "cannot_guarantee"),
        (token(&["--format", "xml"]), "usage"),
        (token(&["--provider", "groq"]), "usage"),
        (token(&["--profile", &long]), "unknown_profile"),
        (token(&["--profile", "a\u{1b}[31m\nb"]), "unknown_profile"),
        (token(&["--agent", "a\u{1b}[31m\nb"]), "unknown_agent"),
        (token(&["--agent", &long]), "unknown_agent"),
        (token(&["\u{1b}[31m\u{7}"]), "usage"),
        (token(&[&long]), "usage"),
        (with(&["models", "auth", "explain", "--provider", "a\u{1b}[31m\nb"]), "unknown_provider"),
        (with(&["models", "auth", "explain", "--provider", &long]), "unknown_provider"),
    ];
    for (words, code) in table {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        // A wish for more time than a token lasts is a wish for a new one.
        if code == "cannot_guarantee" {
            assert_eq!(world.run(&words).code(), code);
            continue;
        }
        let shown: String = format!("{words:?}").chars().take(200).collect();
        let before = if world.sandbox.log().is_empty() { &before } else { &world.everything() };
        is_told_in_a_line(&world.run(&words), code);
        let json = world.run(&[&["--json"], &words[..]].concat());
        let error = json.error_json();
        assert_eq!(error["code"], code, "{shown}");
        assert!(json.stdout.len() < 4_000, "{shown}: {} bytes", json.stdout.len());
        let keys: Vec<&String> = error.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["code", "message", "hint"], "{shown}");
        assert!(world.everything() == *before, "{shown} changed something");
    }
}

/// Bytes that are no text are told too.
#[test]
fn arguments_that_are_no_text_are_told() {
    use std::os::unix::ffi::OsStrExt;
    let (world, _) = fresh();
    let odd = std::ffi::OsStr::from_bytes(b"a\xff\x1bb");
    for before in [&["models", "auth", "token", "--provider"][..], &["models"], &["--profile"], &[]] {
        let ran = Ran::from(world.command(before).arg(odd).output().unwrap());
        is_told_in_a_line(&ran, "usage");
    }
}

/// A standard input that is no token is told; no request is made for it.
#[test]
fn a_rejected_token_that_is_no_token_is_told() {
    let (world, _) = fresh();
    let command = ["models", "auth", "refresh", "--provider", PROVIDER, "--rejected-stdin"];
    for input in ["", " \n\n", "\u{feff}", &"x".repeat(200_000)] {
        let ran = world.run_with_input(&command, input);
        assert!(input.len() > 3 || ran.code == Some(0) || ran.code() == "input_required", "{ran:?}");
    }
    assert_eq!(world.run_with_input(&command, " \n").code(), "input_required");
    assert_eq!(world.sandbox.log().len(), 0);
}

/// What `--json` prints on success is JSON too, for every command that looks.
#[test]
fn json_is_pure() {
    let (world, _) = fresh();
    for words in [
        &["models", "status"][..],
        &["models", "auth", "list"],
        &["models", "auth", "paths"],
        &["models", "auth", "explain", "--provider", PROVIDER],
        &["models", "auth", "order", "get", "--provider", PROVIDER],
        &["models", "auth", "refresh", "--provider", PROVIDER],
        TOKEN,
        ORDER_SET,
        ORDER_CLEAR,
    ] {
        let ran = world.run(&[words, &["--json"]].concat());
        assert_eq!(ran.stderr, "", "{words:?}");
        assert!(ran.json().is_object(), "{words:?}");
    }
    let _: Value = world.run(&["--json"]).json();
}

//! `import codex` and `import claude`: what those programs keep in a file of their own.

use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use coderclaw_types::Secret;
use serde_json::{Value, json};

use crate::profiles::{HOUR, store};
use crate::terminal::Terminal;
use crate::world::{Login, ME, PROVIDER, Ran, World};

fn codex_file(world: &World) -> PathBuf {
    world.home().join(".codex/auth.json")
}

fn claude_file(world: &World) -> PathBuf {
    world.home().join(".claude/.credentials.json")
}

fn auth_json(login: &Login, key: &Value) -> String {
    json!({
        "auth_mode": "chatgpt",
        "OPENAI_API_KEY": key,
        "tokens": {
            "id_token": login.access.expose(),
            "access_token": login.access.expose(),
            "refresh_token": login.refresh.expose(),
            "account_id": login.entry["accountId"],
        },
        "last_refresh": "2026-11-22T23:40:20.123456789Z",
    })
    .to_string()
}

fn verdict(ran: Ran) -> String {
    ran.json()["stores"][0]["entries"][0]["verdict"].as_str().unwrap().to_owned()
}

/// H1: a login that renews itself comes in only where somebody asks for it; the next command gives one of its own; the
/// other program's file is never written; it then works, is warned about, and is not imported twice.
#[test]
fn h1_codex_is_shared_only_on_purpose() {
    let world = World::new();
    let login = world.login(HOUR);
    let text = auth_json(&login, &json!(null));
    world.private(&codex_file(&world), &text);
    let before = world.everything();
    assert_eq!(verdict(world.run(&["import", "codex", "--dry-run", "--json"])), "not_shared");
    let ran = world.run(&["import", "codex"]);
    assert!(
        ran.stderr.contains("--share")
            && ran.stderr.contains("next: coderclaw models auth login --provider openai-codex"),
        "{ran:?}"
    );
    assert_eq!(ran.code(), "input_required");
    assert_eq!(world.run(&["import", "codex", "--json"]).error_json()["code"], "input_required");
    assert_eq!(world.everything(), before, "nothing was written");

    let text_of_run = world.run(&["import", "codex", "--share"]).ok();
    assert!(text_of_run.contains("Codex CLI holds the same openai-codex login"), "{text_of_run}");
    assert!(
        text_of_run.lines().all(|line| line.chars().count() <= 80 || line.starts_with("From ")),
        "{text_of_run}"
    );
    let entry = world.entry("main", ME);
    assert_eq!(
        (&entry["refresh"], &entry["accountId"]),
        (&json!(login.refresh.expose()), &json!("acct-me-1"))
    );
    assert_eq!(world.token().ok().trim(), login.access.expose());
    assert_eq!(std::fs::read_to_string(codex_file(&world)).unwrap(), text);
    let receipts = std::fs::read_to_string(world.state().join("credentials/imports.json")).unwrap();
    assert!(receipts.contains("auth.json") && !receipts.contains(login.refresh.expose()));

    let before = world.everything();
    assert_eq!(verdict(world.run(&["import", "codex", "--share", "--json"])), "same");
    assert_eq!(world.everything(), before);
    assert!(world.sandbox.log().is_empty(), "nobody was asked");
}

/// H2: the same refresh token in the file of another program: status and doctor warn before it is used up here, and so does
/// the refresh that uses it up. Afterwards that file holds something else, and nobody is warned.
#[test]
fn h2_sharing_is_told_before_the_first_refresh() {
    let (world, login) = World::expired();
    world.private(&codex_file(&world), &auth_json(&login, &json!(null)));
    let said = "Codex CLI";
    assert!(world.run(&["models", "status"]).ok().contains(said));
    assert!(world.run(&["doctor"]).stdout.contains(said));
    assert!(world.sandbox.log().is_empty(), "before anything was sent");
    let ran = world.token();
    assert!(ran.stderr.contains(said) && ran.stderr.contains("log"), "{ran:?}");
    ran.ok();
    assert_eq!(world.sent(&login.refresh), 1);
    assert!(!world.run(&["models", "status"]).ok().contains(said));
    // What Codex still has was used up here, so it never comes back.
    assert_eq!(verdict(world.run(&["import", "codex", "--share", "--json"])), "older");
    assert_ne!(world.entry("main", ME)["refresh"], json!(login.refresh.expose()));
}

/// H1: a file that is older by its time of issue, or of somebody else, overwrites nothing.
#[test]
fn h1_older_files_and_other_people_overwrite_nothing() {
    let world = World::new();
    let fresh = world.login(HOUR);
    let stranger = world.login_of("stranger", HOUR);
    let mut ended = fresh.entry.clone();
    ended["expires"] = json!(world.at(-1_000));
    world.seed("main", &[(ME, &ended)]);
    // Opaque tokens: the time of the last refresh is all there is.
    let opaque = json!({"tokens": {"access_token": "canary-a", "refresh_token": "canary-r", "account_id": "acct-me-1"},
        "last_refresh": "2020-01-01T00:00:00Z"});
    world.private(&codex_file(&world), &opaque.to_string());
    let json = world.run(&["import", "codex", "--share", "--json", "--dry-run"]).json();
    assert_ne!(json["stores"][0]["entries"][0]["profileId"], ME, "nothing says whose it is: {json:#}");
    // The same person's, issued long ago: ours has ended, and is the newer one all the same.
    let old = Login {
        access: issued_in_2020(&fresh.access),
        refresh: "canary-old".into(),
        entry: fresh.entry.clone(),
    };
    world.private(&codex_file(&world), &auth_json(&old, &json!(null)));
    let json = world.run(&["import", "codex", "--share", "--json"]).json();
    let entry = &json["stores"][0]["entries"][0];
    assert_eq!((&entry["profileId"], &entry["verdict"]), (&json!(ME), &json!("older")));
    assert_eq!(world.entry("main", ME), ended);
    world.private(&codex_file(&world), &auth_json(&stranger, &json!(null)));
    let json = world.run(&["import", "codex", "--share", "--json"]).json();
    assert_ne!(json["stores"][0]["entries"][0]["profileId"], ME, "{json:#}");
    assert_eq!(world.entry("main", ME), ended);
}

/// The same claims, with other times. Nobody here checks a signature.
fn issued_in_2020(access: &Secret) -> Secret {
    let body = BASE64_URL_SAFE_NO_PAD.decode(access.expose().split('.').nth(1).unwrap()).unwrap();
    let mut claims: Value = serde_json::from_slice(&body).unwrap();
    claims["iat"] = json!(1_577_836_800);
    claims["exp"] = json!(1_577_840_400);
    let body = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
    Secret::from(format!("{}.{body}.x", access.expose().split('.').next().unwrap()))
}

/// An API key needs nobody's consent; it is billed per use and stands under a provider of its own.
#[test]
fn a_key_of_codex_comes_in_by_itself() {
    let world = World::new();
    world.private(
        &world.home().join(".elsewhere/auth.json"),
        r#"{"auth_mode":"apikey","OPENAI_API_KEY":"sk-canary-canary-canary-canary"}"#,
    );
    let path = world.home().join(".elsewhere");
    let ran = world.run(&["import", "codex", path.to_str().unwrap()]);
    assert!(!ran.stdout.contains("canary"), "{ran:?}");
    ran.ok();
    assert_eq!(world.entry("main", "openai:manual")["type"], "api_key");
    // The same folder by its variable.
    let mut world = World::new();
    world.private(
        &world.home().join(".elsewhere/auth.json"),
        r#"{"OPENAI_API_KEY":"sk-canary-canary-canary-canary"}"#,
    );
    world.set("CODEX_HOME", path_of(&world, ".elsewhere"));
    world.run(&["import", "codex"]).ok();
    assert_eq!(store(&world)["profiles"].as_object().unwrap().len(), 1);
}

fn path_of(world: &World, name: &str) -> String {
    world.home().join(name).display().to_string()
}

/// Claude Code's own login stays its own; the message names the command that brings a token for other programs. One that
/// it was given comes in.
#[test]
fn claude_keeps_its_own_login() {
    let mut world = World::new();
    let own = json!({"claudeAiOauth": {"accessToken": "sk-ant-oat01-canary", "refreshToken": "sk-ant-ort01-canary",
        "expiresAt": world.at(HOUR), "scopes": ["user:inference"], "subscriptionType": "max"}});
    world.private(&claude_file(&world), &own.to_string());
    let before = world.everything();
    for more in [&[][..], &["--share"], &["--dry-run"]] {
        let ran = world.run(&[&["import", "claude"], more].concat());
        assert!(ran.stderr.contains("next: coderclaw models auth setup-token"), "{ran:?}");
        assert!(!ran.stderr.contains("canary"), "{ran:?}");
        assert_eq!(ran.code(), "not_authorized_here");
    }
    assert_eq!(world.everything(), before);
    let token = format!("sk-ant-oat01-{}", "canary-".repeat(12));
    let given = json!({"claudeAiOauth": {"accessToken": token, "expiresAt": world.at(300 * 24 * HOUR)}});
    world.private(&world.home().join("work/.credentials.json"), &given.to_string());
    world.set("CLAUDE_CONFIG_DIR", path_of(&world, "work"));
    world.run(&["import", "claude"]).ok();
    let entry = world.entry("main", "anthropic:manual");
    assert_eq!((&entry["type"], &entry["token"]), (&json!("token"), &json!(token)));
    let cut = json!({"claudeAiOauth": {"accessToken": "sk-ant-oat01-canary-cut"}});
    world.private(&world.home().join("work/.credentials.json"), &cut.to_string());
    assert_eq!(verdict(world.run(&["import", "claude", "--json"])), "damaged");
    assert_eq!(world.entry("main", "anthropic:manual"), entry);
}

/// F4: what is no such file is told apart, without its content, and changes nothing.
#[test]
fn f4_files_that_cannot_be_used_are_told_apart() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    assert_eq!(world.run(&["import", "codex"]).code(), "missing_credential");
    let ran = world.run(&["import", "claude"]);
    assert!(ran.stderr.contains("Keychain"), "{ran:?}");
    assert_eq!(ran.code(), "missing_credential");
    let file = codex_file(&world);
    for (text, code) in [
        ("", "corrupt"),
        ("{\"canary\": tru", "corrupt"),
        ("[\"canary\"]", "corrupt"),
        ("{}", "missing_credential"),
        (r#"{"auth_mode": "agentIdentity", "tokens": null}"#, "missing_credential"),
        (r#"{"OPENAI_API_KEY": "canary with blanks\n"}"#, "missing_credential"),
    ] {
        world.private(&file, text);
        let ran = world.run(&["import", "codex", "--share"]);
        assert!(!ran.stderr.contains("canary"), "{ran:?}");
        assert_eq!(ran.code(), code, "{text}");
    }
    world.private(&file, r#"{"tokens": {"access_token": "canary-access"}}"#);
    assert_eq!(verdict(world.run(&["import", "codex", "--json"])), "damaged");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert_eq!(world.run(&["import", "codex"]).code(), "unreadable");
    std::fs::remove_dir(&file).unwrap();
    // A link is followed and left as it is.
    let login = world.login(HOUR);
    let real = world.home().join("dotfiles/auth.json");
    world.private(&real, &auth_json(&login, &json!(null)));
    std::os::unix::fs::symlink(&real, &file).unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o400)).unwrap();
    world.run(&["import", "codex", "--share"]).ok();
    assert!(std::fs::symlink_metadata(&file).unwrap().is_symlink());
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o400);
    assert!(store(&world)["profiles"].get(ME).is_some());
}

/// H1: at a terminal a login of one's own is the first choice; "leave it" changes nothing.
#[test]
fn h1_a_terminal_is_asked() {
    let world = World::new();
    let login = world.login(HOUR);
    world.private(&codex_file(&world), &auth_json(&login, &json!(null)));
    for (answer, is_there) in [("x\n3\n", false), ("2\n", true)] {
        let mut terminal = Terminal::open();
        let mut command = terminal.controls(&world.command(&["import", "codex"]));
        let mut child = command.spawn().unwrap();
        drop(command);
        let mut shown = String::new();
        terminal.until(&mut shown, "Which? [1]");
        use std::io::Write;
        terminal.master.write_all(answer.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{shown}");
        assert_eq!(world.store().exists(), is_there);
    }
    assert_eq!(world.entry("main", ME)["provider"], PROVIDER);
}

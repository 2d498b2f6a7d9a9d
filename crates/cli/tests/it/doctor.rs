//! `doctor`: each thing that can be wrong is named, what is safe is repaired, and looking changes nothing.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::status::point_api_at;
use crate::world::{ME, PROVIDER, World};

const DOCTOR: &[&str] = &["doctor", "--json"];

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A state dir with which nothing is wrong.
fn healthy() -> World {
    let world = World::new();
    let login = world.login(3_600_000);
    world.seed("main", &[(ME, &login.entry)]);
    closed(&world.state());
    world
}

fn closed(path: &Path) {
    chmod(path, 0o700);
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            closed(&path);
        }
    }
}

/// What `doctor` says, after it was seen that looking left everything as it was.
fn look(world: &World) -> Value {
    look_at(world, DOCTOR)
}

fn look_at(world: &World, line: &[&str]) -> Value {
    let before = (world.picture(), world.sandbox.log().len());
    let told = world.run(line).json();
    assert!((world.picture(), world.sandbox.log().len()) == before, "looking changed something");
    for check in told["checks"].as_array().unwrap() {
        let keys: Vec<_> = check.as_object().unwrap().keys().map(String::as_str).collect();
        let known = ["id", "status", "code", "message", "next", "fix"];
        assert!(keys.iter().all(|key| known.contains(key)), "{check}");
        if let Some(command) = check["next"].as_str().and_then(|next| next.strip_prefix("coderclaw ")) {
            exists(world, command);
        }
    }
    told
}

/// B9: what is said to be typed is a command that there is, with flags that it has.
fn exists(world: &World, command: &str) {
    let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
    assert_eq!(world.run(&words).code, Some(0), "coderclaw {command}");
}

fn found<'v>(told: &'v Value, id: &str) -> Vec<&'v Value> {
    let checks = told["checks"].as_array().unwrap();
    checks.iter().filter(|check| check["id"] == id && check["status"] != "ok").collect()
}

/// The one finding with this id.
fn one<'v>(told: &'v Value, id: &str) -> &'v Value {
    let found = found(told, id);
    assert_eq!(found.len(), 1, "{id}: {told:#}");
    found[0]
}

fn says(check: &Value, words: &[&str]) {
    let text = check["message"].as_str().unwrap();
    for word in words {
        assert!(text.contains(word), "{word} in {text}");
    }
}

/// B2: nothing is called wrong where nothing is.
#[test]
fn b2_a_healthy_state_dir_is_called_healthy() {
    let world = healthy();
    let told = look(&world);
    let summary = &told["summary"];
    assert_eq!(
        (&summary["warn"], &summary["fail"], &summary["fixable"]),
        (&json!(0), &json!(0), &json!(0)),
        "{told:#}"
    );
    let text = world.run(&["doctor"]).ok();
    assert!(text.contains("✓ state_dir") && text.ends_with("Nothing needs attention.\n"), "{text}");
    // With the same login expired but renewable, too.
    let due = World::expired().0;
    closed(&due.state());
    assert_eq!(look(&due)["summary"]["warn"], 0);
}

#[test]
fn a_world_without_anything_stays_so() {
    let world = World::new();
    std::fs::remove_dir_all(world.state()).unwrap();
    let before = world.everything();
    for line in [&["doctor"][..], DOCTOR, &["doctor", "--fix"], &["doctor", "--repair", "--yes", "--json"]] {
        let ran = world.run(line);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(world.everything(), before, "{line:?}");
    }
    let told = world.run(DOCTOR).json();
    let next = told["checks"].as_array().unwrap().iter().find(|check| check["id"] == "state_dir").unwrap();
    assert_eq!(next["next"], "coderclaw onboard");
}

/// F7: what others may read is named; `--fix` closes it, says each, and touches neither content nor a person's own files.
#[test]
fn f7_open_files_are_named_and_closed() {
    let world = healthy();
    world.config("{}");
    let notes = world.state().join("workspace/notes");
    world.private(&notes, "mine");
    let outside = world.path().join("outside.json");
    std::fs::write(&outside, "{}").unwrap();
    symlink(&outside, world.state().join("agents/main/agent/auth.json")).unwrap();
    let manifest = world.state().join("providers/openai-codex.toml");
    for (path, mode) in [
        (world.state(), 0o755),
        (world.store(), 0o644),
        (world.state().join("coderclaw.json"), 0o666),
        (manifest.clone(), 0o644),
        (notes.clone(), 0o666),
        (outside.clone(), 0o644),
    ] {
        chmod(&path, mode);
    }
    let text = std::fs::read(world.store()).unwrap();
    let told = look(&world);
    let open = found(&told, "permissions");
    assert_eq!(open.len(), 5, "{told:#}");
    assert_eq!(told["summary"]["fixable"], 4, "a link is not followed");
    let fixed = world.run(&["doctor", "--fix", "--json"]).json();
    assert_eq!(fixed["summary"]["fixed"], 4, "{fixed:#}");
    for path in [world.store(), world.state().join("coderclaw.json"), manifest] {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    assert_eq!((mode(&world.state()), mode(&notes), mode(&outside)), (0o700, 0o666, 0o644));
    assert_eq!(std::fs::read(world.store()).unwrap(), text);
    let again = world.run(&["doctor", "--fix", "--json"]).json();
    assert_eq!(again["summary"]["fixed"], 0);
    let link = one(&again, "permissions");
    assert!(link["next"].as_str().unwrap().starts_with("chmod go-rwx "), "{link}");
}

/// F4: misspelt keys, entries of no use and a store in a wrong place are each listed with file and entry, and the good
/// entries still work.
#[test]
fn f4_what_is_not_understood_is_listed() {
    let world = healthy();
    let login = world.login(3_600_000);
    let misspelt = json!({"type": "api_key", "provider": "openai", "apiKey": "sk-canary"});
    world.seed("main", &[("openai:x", &misspelt), ("bad:x", &json!("canary")), (ME, &login.entry)]);
    world.private(&world.state().join("agents/work/auth-profiles.json"), "{}");
    std::fs::create_dir_all(world.state().join("agents/work/agent")).unwrap();
    closed(&world.state());
    let told = look(&world);
    let stores = found(&told, "store");
    assert_eq!(stores.len(), 3, "{told:#}");
    says(stores[0], &["openai:x", "auth-profiles.json", "apiKey"]);
    says(stores[0], &["rename it to `key`", "models auth prune"]);
    says(stores[1], &["bad:x"]);
    says(stores[2], &["work", "belongs at"]);
    assert!(!told.to_string().contains("canary"));
    assert_eq!(world.token().ok().trim(), login.access.expose());
}

#[test]
fn a_damaged_store_and_what_serves_in_its_place() {
    let world = healthy();
    let good = world.text();
    world.private(&world.store(), "{torn");
    let told = look(&world);
    assert_eq!(one(&told, "store")["code"], "corrupt");
    let bak = world.state().join("agents/main/agent/auth-profiles.json.bak");
    world.private(&bak, &good);
    says(one(&look(&world), "store"), &["its backup serves"]);
    world.private(&world.store(), &good);
    world.private(&bak, "{torn");
    let told = look(&world);
    assert!(found(&told, "store").is_empty());
    says(one(&told, "backup"), &["auth-profiles.json.bak"]);
    std::fs::remove_file(&bak).unwrap();
    world.private(&world.store(), &good.replacen("\"version\": 1", "\"version\": 99", 1));
    assert_eq!(one(&look(&world), "store")["code"], "unsupported_version");
}

/// B7, B9: what decides the choice and does not fit: orders, pins, the config, variables, old ids.
#[test]
fn b7_what_shadows_what_is_told() {
    let mut world = healthy();
    let login = world.login(3_600_000);
    let (other, cli) = (world.login(3_600_000), world.login(3_600_000));
    let key = json!({"type": "api_key", "provider": "anthropic", "key": "sk-ant-api-canary"});
    let entries = [
        (ME, &login.entry),
        ("openai-codex:two", &other.entry),
        ("openai-codex:codex-cli", &cli.entry),
        ("anthropic:manual", &key),
    ];
    world.seed("main", &entries);
    world.config(&format!(
        "{{auth: {{order: {{'openai-codex': ['{ME}', 'openai-codex:gone', 'openai-codex:codex-cli']}},
           profiles: {{'anthropic:manual': {{provider: 'anthropic', mode: 'oauth'}},
                       'zai:default': {{provider: 'zai', mode: 'api_key'}}}}}}}}"
    ));
    let sessions = json!({
        "agent:main:a": {"sessionId": "a", "authProfileOverride": "openai-codex:lost", "authProfileOverrideSource": "user"},
        "agent:main:b": {"sessionId": "b", "authProfileOverride": "openai-codex:lost", "authProfileOverrideSource": "auto"},
        "agent:main:c": {"sessionId": "c", "authProfileOverride": ME, "authProfileOverrideSource": "user"},
    });
    world.private(&world.state().join("agents/main/sessions/sessions.json"), &sessions.to_string());
    closed(&world.state());
    world.set("ANTHROPIC_API_KEY", "sk-ant-api-canary2");
    world.set("OPENAI_API_KEY", "sk-canary3");
    let told = look(&world);
    let orders = found(&told, "order");
    assert_eq!(orders.len(), 2, "{told:#}");
    says(orders[0], &["openai-codex:gone", "nobody"]);
    says(orders[1], &["openai-codex:two", "hides"]);
    let pin = one(&told, "session_pin");
    says(pin, &["agent:main:a", "openai-codex:lost"]);
    assert_eq!(pin["next"], "coderclaw sessions unpin agent:main:a");
    let declared = found(&told, "config_profiles");
    assert_eq!(declared.len(), 2, "{told:#}");
    says(declared[0], &["zai:default", "no agent has it"]);
    says(declared[1], &["anthropic:manual", "is not used"]);
    let old = one(&told, "deprecated_id");
    assert_eq!(old["next"], "coderclaw models auth rename openai-codex:codex-cli openai-codex:imported");
    says(one(&told, "environment"), &["OPENAI_API_KEY", "billed per use"]);
    let ignored = told["checks"].as_array().unwrap().iter().any(|check| {
        check["id"] == "environment"
            && check["message"].as_str().unwrap().contains("ANTHROPIC_API_KEY is set and not used")
    });
    assert!(ignored, "{told:#}");
    assert!(!told.to_string().contains("canary"));
    // Nothing of all that is removed by `--fix`.
    let store = std::fs::read(world.store()).unwrap();
    world.run(&["doctor", "--fix"]).ok();
    assert_eq!(std::fs::read(world.store()).unwrap(), store);
}

#[test]
fn logins_that_need_a_person_and_those_that_cool() {
    let world = healthy();
    let ended = world.login(-3_600_000);
    let mut entry = ended.entry.clone();
    entry.as_object_mut().unwrap().remove("refresh");
    let login = world.login(3_600_000);
    world.seed("work", &[(ME, &login.entry), ("openai-codex:old", &entry)]);
    let usage = json!({"usageStats": {ME: {"cooldownUntil": world.at(600_000), "errorCount": 2}}});
    world.private(&world.state().join("agents/work/agent/auth-state.json"), &usage.to_string());
    closed(&world.state());
    let told = look(&world);
    let cooling = one(&told, "cooldown");
    assert_eq!(
        (&cooling["code"], &cooling["next"]),
        (&json!("cooldown"), &json!("coderclaw models auth cooldown list --agent work"))
    );
    let login = one(&told, "login");
    assert_eq!(login["code"], "expired");
    assert_eq!(login["next"], format!("coderclaw models auth login --provider {PROVIDER} --agent work"));
    // Only the agent that was asked for.
    assert!(found(&look_at(&world, &["doctor", "--json", "--agent", "main"]), "login").is_empty());
    assert_eq!(world.run(&["doctor", "--json", "--agent", "nobody"]).error_json()["code"], "unknown_agent");
}

/// A config, a provider file or a journal that is of no use is named, and everything else is looked at all the same.
#[test]
fn a_damaged_config_does_not_end_the_examination() {
    let world = healthy();
    chmod(&world.store(), 0o640);
    world.config("{auth: ");
    world.private(&world.state().join("providers/x.toml"), "no toml");
    std::fs::create_dir_all(world.state().join("journal/dir")).unwrap();
    closed(&world.state());
    let told = look(&world);
    assert_eq!(one(&told, "config")["code"], "config_invalid");
    assert_eq!(one(&told, "provider_files")["code"], "manifest_invalid");
    assert_eq!(one(&told, "journal")["code"], "unreadable");
    assert_eq!(found(&told, "permissions").len(), 1);
    let config = std::fs::read(world.state().join("coderclaw.json")).unwrap();
    world.run(&["doctor", "--fix"]).ok();
    assert_eq!(mode(&world.store()), 0o600);
    assert_eq!(std::fs::read(world.state().join("coderclaw.json")).unwrap(), config);
}

#[test]
fn files_that_lie_elsewhere_or_twice_or_about() {
    let world = healthy();
    let dir = world.state().join("agents/main/agent");
    std::fs::hard_link(world.store(), world.path().join("second-name.json")).unwrap();
    world.private(&dir.join(".auth-profiles.json.next"), "{");
    world.private(&dir.join("auth-profiles.json.damaged-0"), "{");
    let login = json!({"provider": PROVIDER, "agent": "main", "verifier": "canary", "state": "canary", "redirectUri": "http://x",
        "expires": world.at(-1), "profileId": null, "replace": false, "expect": null, "workspace": null});
    let pending = world.state().join(format!("logins/{:032x}.json", 7));
    world.private(&pending, &login.to_string());
    std::fs::create_dir_all(world.state().join("agents/twin")).unwrap();
    symlink(&dir, world.state().join("agents/twin/agent")).unwrap();
    closed(&world.state());
    let told = look(&world);
    says(found(&told, "links")[0], &["2 names"]);
    says(one(&told, "agents"), &["main", "twin", "not isolated"]);
    let left: Vec<_> = found(&told, "leftovers");
    assert!(left.iter().any(|check| check["fix"].is_string()), "{told:#}");
    assert!(!told.to_string().contains("canary"));
    world.run(&["doctor", "--fix"]).ok();
    assert!(!pending.exists(), "a login that nobody can finish");
    assert!(
        dir.join(".auth-profiles.json.next").exists() && dir.join("auth-profiles.json.damaged-0").exists()
    );
}

#[test]
fn clocks_and_times_that_cannot_be() {
    let world = healthy();
    let mut login = world.login(3_600_000);
    login.entry["issuedAt"] = json!(world.at(3_600_000));
    let seconds =
        json!({"type": "token", "provider": "anthropic", "token": "canary", "expires": 1_900_000_000});
    world.seed("main", &[(ME, &login.entry), ("anthropic:manual", &seconds)]);
    world.fingerprint_key();
    let key = std::fs::File::options().write(true).open(world.state().join("fingerprint.key")).unwrap();
    key.set_modified(SystemTime::now() + Duration::from_secs(86_400)).unwrap();
    closed(&world.state());
    let told = look(&world);
    let clock = found(&told, "clock");
    assert_eq!(clock.len(), 3, "{told:#}");
    says(clock[0], &["fingerprint.key", "behind"]);
    says(clock[1], &[ME, "in the future"]);
    says(clock[2], &["anthropic:manual", "seconds"]);
}

/// The proxies and CAs in force are told by the variable that names them, without a password, and without a connection.
#[test]
fn proxies_certificates_and_env_files() {
    let mut world = healthy();
    world.set("HTTPS_PROXY", "http://user:canary@proxy.test:8080");
    world.set("NODE_EXTRA_CA_CERTS", "/nowhere/ca.pem");
    std::fs::write(world.path().join(".env"), "OPENAI_API_KEY=canary\n").unwrap();
    world.private(&world.state().join(".env"), "# x\nexport OPENAI_API_KEY = canary\nOTHER=canary\n");
    let told = look(&world);
    let text = told.to_string();
    assert!(text.contains("through http://proxy.test:8080 (HTTPS_PROXY)"), "{told:#}");
    says(one(&told, "certificates"), &["NODE_EXTRA_CA_CERTS", "/nowhere/ca.pem"]);
    says(one(&told, "dotenv"), &["is not read", "OPENAI_API_KEY"]);
    assert!(!text.contains("canary"), "{text}");
    world.set("HTTPS_PROXY", "gopher://user:canary@proxy.test");
    let told = look(&world);
    assert!(found(&told, "network").iter().all(|check| check["code"] == "offline"), "{told:#}");
    assert!(!told.to_string().contains("canary"));
}

/// Only `--deep` asks the providers, and says of each credential what its provider says.
#[test]
fn deep_asks_and_nothing_else_does() {
    let world = healthy();
    let (good, dead) = (world.login(3_600_000), world.login(3_600_000));
    world.seed("main", &[(ME, &good.entry), ("openai-codex:dead", &dead.entry)]);
    point_api_at(&world, "/api/whoami");
    world.sandbox.reject_access(&dead.access);
    let asked = world.sandbox.log().len();
    assert!(found(&look(&world), "probe").is_empty());
    assert_eq!(world.sandbox.log().len(), asked);
    let told = world.run(&["doctor", "--deep", "--json"]).json();
    let probes: Vec<_> =
        told["checks"].as_array().unwrap().iter().filter(|check| check["id"] == "probe").collect();
    assert_eq!((&probes[0]["status"], &probes[1]["code"]), (&json!("ok"), &json!("rejected")), "{told:#}");
    says(probes[0], &[ME]);
    assert_eq!(world.sandbox.log().len(), asked + 2);
}

/// Whatever its text is made of, a screen of 60 columns shows it, and no control character reaches a terminal.
#[test]
fn it_fits_a_narrow_screen_and_flags_of_the_original_s_are_taken() {
    let world = healthy();
    chmod(&world.store(), 0o644);
    let key = json!({"type": "api_key", "provider": "openai", "key": ""});
    world.seed("work", &[("openai:\u{1b}[31m", &key)]);
    closed(&world.state());
    let text = world.run(&["doctor"]).ok();
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 80 || line.contains("next: ") || line.contains('/')),
        "{text}"
    );
    for flags in [
        &["--yes", "--non-interactive", "--no-workspace-suggestions", "--force"][..],
        &["--generate-gateway-token"],
    ] {
        let told = world.run(&[DOCTOR, flags].concat()).json();
        let is_said = told["checks"].as_array().unwrap().iter().any(|check| check["id"] == "flags");
        assert_eq!(is_said, flags.len() == 1, "{flags:?}");
    }
    assert_eq!(world.run(&["doctor", "--fxi"]).code(), "usage");
}

/// Another user's state dir, and one that cannot be written, are looked at and left alone, also with `--fix`.
#[test]
fn nothing_is_changed_that_is_not_ours() {
    let world = healthy();
    chmod(&world.store(), 0o644);
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        use std::os::unix::fs::chown;
        for path in [world.state(), world.store()] {
            chown(path, Some(12_345), None).unwrap();
        }
    } else {
        chmod(&world.state(), 0o500);
    }
    let told = look(&world);
    let place = one(&told, "state_dir");
    assert_eq!(place["code"], if is_root { "not_owner" } else { "not_writable" });
    let before = world.everything();
    let fixed = world.run(&["doctor", "--fix", "--json"]).json();
    if is_root {
        assert_eq!(fixed["summary"]["fixed"], 0);
        assert_eq!(world.everything(), before);
        std::os::unix::fs::chown(world.state(), Some(0), None).unwrap();
    }
    chmod(&world.state(), 0o700);
}

/// An agent without a login is offered the link that an upgrade took from it, and is never given one; what is borrowed is
/// looked at once, where it lies.
#[test]
fn links_are_offered_and_never_made() {
    let world = healthy();
    let mut ended = world.login(-3_600_000).entry;
    ended.as_object_mut().unwrap().remove("refresh");
    let login = world.login(3_600_000);
    world.seed("main", &[(ME, &login.entry), ("openai-codex:old", &ended)]);
    std::fs::create_dir_all(world.state().join("agents/work/agent")).unwrap();
    closed(&world.state());
    let told = look(&world);
    let offer = one(&told, "link");
    assert_eq!(
        (&offer["code"], &offer["next"]),
        (&json!("not_linked"), &json!("coderclaw agents link work --to main"))
    );
    world.run(&["doctor", "--fix", "--yes"]).ok();
    assert!(!world.state().join("agents/work/agent/agent.toml").exists());
    world.run(&["agents", "link", "work", "--to", "main"]).ok();
    let told = look(&world);
    assert!(found(&told, "link").is_empty());
    assert_eq!(found(&told, "login").len(), 1, "{told:#}");
    world.private(&world.state().join("agents/work/agent/agent.toml"), "link = \"nobody\"\n");
    let told = look(&world);
    assert_eq!(one(&told, "link")["next"], "coderclaw agents unlink work");
}

/// H2: one login in two stores, or in another program's file, is named before the first refresh.
#[test]
fn h2_a_login_that_stands_twice_is_named() {
    let world = healthy();
    let login = world.login(-1_000);
    world.seed("main", &[(ME, &login.entry)]);
    world.seed("work", &[("openai-codex:copy", &login.entry)]);
    let codex = json!({"tokens": {"refresh_token": login.refresh.expose()}});
    world.private(&world.home().join(".codex/auth.json"), &codex.to_string());
    closed(&world.state());
    let told = look(&world);
    let twice = found(&told, "shared_login");
    assert_eq!(twice.len(), 2, "{told:#}");
    says(twice[0], &["Codex CLI", ".codex/auth.json", "logs the other one out"]);
    assert_eq!(twice[0]["next"], format!("coderclaw models auth login --provider {PROVIDER}"));
    says(twice[1], &["work", "openai-codex:copy", "main", ME]);
    assert_eq!(twice[1]["next"], "coderclaw agents link work --to main");
    assert!(!told.to_string().contains(login.refresh.expose()));
    assert_eq!(world.sent(&login.refresh), 0);
}

/// H2: the original has refreshed one of two copies before we refreshed any. They look like two logins of one person; doctor says
/// what they may be, and of which one it is to be feared. Once we have refreshed one, or where the persons differ, there is
/// nothing to fear.
#[test]
fn h2_copies_that_another_program_has_parted_are_named() {
    let world = healthy();
    let (mut older, mut newer) = (world.login(-1_000), world.login(3_600_000));
    world.seed("main", &[(ME, &newer.entry)]);
    world.seed("work", &[(ME, &older.entry)]);
    closed(&world.state());
    let told = look(&world);
    let parted = one(&told, "shared_login");
    says(parted, &["agents main and work hold", ME, "copied", "agent work's would be refused"]);
    assert_eq!(parted["next"], format!("coderclaw models auth login --provider {PROVIDER} --agent work"));
    assert!(!told.to_string().contains(older.refresh.expose()));
    assert_eq!(world.sandbox.counts().refreshes, 0);

    let is_named = || look(&world)["checks"].to_string().contains("with different tokens");
    newer.entry["accountId"] = json!("acct-me-2");
    world.seed("main", &[(ME, &newer.entry)]);
    assert!(!is_named(), "another workspace");
    newer.entry["accountId"] = older.entry["accountId"].clone();
    world.seed("main", &[(ME, &newer.entry)]);
    assert!(is_named());
    older.entry["grant"] = json!("0".repeat(64));
    world.seed("work", &[(ME, &older.entry)]);
    assert!(!is_named(), "it has been refreshed here, and its tokens are known");
}

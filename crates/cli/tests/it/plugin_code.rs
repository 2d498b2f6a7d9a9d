//! Plugins with a program: one that works, and every way of being bad.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{Ran, World};

const TOKEN: &[&str] = &["models", "auth", "token", "--provider", "acme"];
const LOGIN: &[&str] = &["models", "auth", "login", "--provider", "acme", "--no-browser"];
const ME: &str = "acme:me@acme.test";

/// A plugin whose program is a shell script; `does` what it takes over.
pub(crate) fn plugin(world: &World, does: &str, script: &str) -> PathBuf {
    let folder = world.path().join("acme-plugin");
    let method = if does.contains("login") { "plugin" } else { "token" };
    let manifest = format!(
        "id = 'acme'\n[plugin]\nversion = '1.2.3'\ncommand = ['/bin/sh', '-c', '. ./run.sh']\ndoes = [{does}]\n\
         [api]\nkind = 'openai-chat'\nbase_url = 'https://api.acme.test/v1'\n[[auth]]\nmethod = '{method}'\n"
    );
    // A name without a folder is looked for in PATH.
    let manifest = manifest.replace("'/bin/sh'", "'sh'");
    world.private(&folder.join("coderclaw.plugin.toml"), &manifest);
    world.private(&folder.join("run.sh"), &format!("echo '{{\"v\": [1]}}'\n{script}\n"));
    folder
}

pub(crate) fn install(world: &World, does: &str, script: &str) {
    let folder = plugin(world, does, script);
    world.run(&["plugins", "install", folder.to_str().unwrap(), "--yes"]).ok();
}

/// A login that the plugin has brought, which has expired.
fn seed(world: &World) {
    let entry = json!({
        "type": "oauth", "provider": "acme", "access": "canary-at-0", "refresh": "canary-rt-0",
        "expires": world.at(-1_000), "issuedAt": world.at(-3_600_000), "email": "me@acme.test", "sub": "u-1",
        "clientId": "", "tokenOrigin": "plugin:acme",
    });
    world.seed("main", &[(ME, &entry)]);
}

const BOTH: &str = "'login', 'refresh'";

/// The example in Python, from its folder to a token: it logs in with a browser against the sandbox; twelve processes on the
/// expired login cause one refresh; a logout is told to the provider.
#[test]
fn the_python_example_logs_in_refreshes_once_and_logs_out() {
    let mut world = World::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/plugins/acme-python");
    let said = world.run(&["plugins", "install", example, "--yes"]).ok();
    assert!(
        said.contains("with its program") && said.contains("models auth login --provider acme"),
        "{said}"
    );
    let settings = world.state().join("plugins/acme/settings.json");
    world.private(&settings, &json!({"server": world.sandbox.origin(), "client_id": "acme-app"}).to_string());
    let mut child = world.start(&mut world.command(LOGIN));
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("http") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "no page was shown");
    }
    coderclaw_sandbox::browse(line.trim()).unwrap();
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert!(ran.code == Some(0), "{said}");
    assert!(ran.stdout.contains("Stored acme:me@x.test"), "{}", ran.stdout);
    let entry = world.entry("main", "acme:me@x.test");
    assert_eq!(entry["tokenOrigin"], "plugin:acme");
    let first = world.run(TOKEN).ok();
    assert_eq!(first.trim(), entry["access"]);
    assert_eq!(world.sandbox.counts().refreshes, 0);

    world.shift_clock(Duration::from_secs(3_500));
    let children: Vec<_> = (0..12).map(|_| world.start(&mut world.command(TOKEN))).collect();
    let mut tokens: Vec<String> =
        children.into_iter().map(|child| Ran::from(child.wait_with_output().unwrap()).ok()).collect();
    tokens.dedup();
    assert!(tokens.iter().any(|token| *token != first));
    assert_eq!((world.sandbox.counts().refreshes, world.sandbox.counts().most_sent()), (1, 1));

    let said = world.run(&["models", "auth", "logout", "acme:me@x.test"]).ok();
    assert!(world.sandbox.counts().revokes >= 1, "{said}");
}

/// Each bad program is ended and named, and nothing is stored; everything else goes on working.
#[test]
fn a_bad_program_is_ended_and_named_and_stores_nothing() {
    let world = World::new();
    for (script, said) in [
        ("exit 3", "it ended without an answer"),
        ("read call; exit 0", "it ended without an answer"),
        (
            "read call; echo 'oh no, sk-ant-oat01-canarycanary' >&2; exit 1",
            "it ended without an answer: oh no, ***",
        ),
        ("read call; echo hello", "it printed a line that is no JSON"),
        ("read call; echo '{\"ok\": {}}'", "it brought no `access` token"),
        ("read call; head -c 300000 /dev/zero | tr '\\0' x", "it printed more than it may"),
        ("read call; yes '{\"say\": \"\"}'", "it says more than it may"),
        (
            "read call; echo '{\"profile\": \"openai-codex:me@x.test\"}'; cat",
            "it asks for `profile`, which no plugin gets",
        ),
        (
            "read call; echo '{\"ok\": {\"access\": \"at\", \"refresh\": \"rt\", \"profileId\": \"openai-codex:me@x.test\"}}'",
            "it speaks for openai-codex, which is not its own",
        ),
        ("read call; echo '{\"open\": \"http://evil.test/\"}'; cat", "a page that it names cannot be opened"),
        ("read call; echo '{\"error\": \"whatever\", \"message\": \"no luck\"}'", "no luck"),
    ] {
        install(&world, BOTH, script);
        let ran = world.run_within(Duration::from_secs(60), LOGIN);
        assert_eq!(ran.code(), "plugin_failed", "{script}: {}", ran.stderr);
        let said_so =
            ran.stderr.lines().any(|line| line.contains("the plugin acme: ") && line.contains(said));
        assert!(said_so, "{script}: {}", ran.stderr);
        assert!(!ran.stderr.contains("canary"), "{}", ran.stderr);
        assert!(!world.store().exists() || !world.text().contains("acme"), "{script}: something was stored");
    }
    install(&world, BOTH, "read call; echo '{\"error\": \"denied\", \"message\": \"you said no\"}'");
    assert_eq!(world.run(LOGIN).code(), "login_denied");
    // One that never says hello, or speaks another version.
    let folder = world.state().join("plugins/acme/run.sh");
    world.private(&folder, "echo '{\"v\": [2]}'; cat");
    assert!(world.run(LOGIN).stderr.contains("does not speak version 1"));
    world.private(&folder, "sleep 600");
    let ran = world.run_within(Duration::from_secs(60), LOGIN);
    assert!(ran.stderr.contains("it did not answer in time"), "{}", ran.stderr);
    // What it complained about is kept for whoever looks for the fault, without secrets.
    world.private(
        &folder,
        "echo '{\"v\": [1]}'; read call; echo 'debug: sk-ant-oat01-canarycanary' >&2; exit 1",
    );
    world.run(LOGIN);
    let log = std::fs::read_to_string(world.state().join("logs/plugin-acme.log")).unwrap();
    assert!(log.contains("debug: ***") && !log.contains("canary"), "{log}");
    let login = world.login(3_600_000);
    world.seed("main", &[(crate::world::ME, &login.entry)]);
    world.token().ok();
}

/// A login through a program may ask; a script answers on standard input, and where nobody is there the program hears so.
#[test]
fn a_program_may_ask() {
    let world = World::new();
    install(
        &world,
        BOTH,
        "read call; echo '{\"ask\": \"Which region?\"}'; read answer\n\
         case $answer in *eu*) echo '{\"ok\": {\"access\": \"canary-at\", \"refresh\": \"canary-rt\", \"expiresIn\": 600, \"email\": \"me@acme.test\"}}';;\n\
         *null*) echo '{\"error\": \"denied\", \"message\": \"no region\"}';; esac",
    );
    let ran = world.run(LOGIN);
    assert_eq!(ran.code(), "login_denied");
    let ran = world.run_with_input(LOGIN, "eu\n");
    assert!(ran.stderr.contains("Which region?") && ran.code == Some(0), "{ran:?}");
    assert_eq!(world.run(TOKEN).ok(), "canary-at\n");
    // Somebody else than was expected: nothing is stored.
    let ran = world.run_with_input(&[LOGIN, &["--expect", "you@acme.test"]].concat(), "eu\n");
    assert_eq!(ran.code(), "other_identity");
    assert_eq!(world.entry("main", ME)["access"], "canary-at");
}

/// A1: one refresh for everybody who asks, by one run of the program, whose answer all adopt.
#[test]
fn a1_a_storm_makes_a_plugin_refresh_once() {
    let world = World::new();
    install(
        &world,
        BOTH,
        "read call; echo run >> refreshes; sleep 0.3\n\
         echo '{\"ok\": {\"access\": \"canary-at-1\", \"refresh\": \"canary-rt-1\", \"expiresIn\": 3600, \"subject\": \"u-1\"}}'",
    );
    seed(&world);
    let children: Vec<_> = (0..16).map(|_| world.start(&mut world.command(TOKEN))).collect();
    for child in children {
        assert_eq!(Ran::from(child.wait_with_output().unwrap()).ok(), "canary-at-1\n");
    }
    let runs = std::fs::read_to_string(world.state().join("plugins/acme/refreshes")).unwrap();
    assert_eq!(runs.lines().count(), 1);
    world.wait_for_access("main", ME, "canary-at-1");
    assert_eq!(world.entry("main", ME)["refresh"], "canary-rt-1");
}

/// What a program's failure of a refresh means is what the same failure of a token endpoint means; no token is lost by it.
#[test]
fn what_a_plugin_s_failure_of_a_refresh_means() {
    for (script, code, said) in [
        ("read call; echo '{\"error\": \"refused\", \"message\": \"gone\"}'", "needs_login", "gone"),
        (
            "read call; echo '{\"error\": \"try_later\", \"message\": \"busy\", \"retryAfter\": 60}'",
            "offline",
            "busy",
        ),
        ("read call; echo '{\"error\": \"offline\", \"message\": \"no net\"}'", "offline", "no net"),
        ("read call; exit 1", "offline", "was lost: the plugin acme: it ended without an answer"),
        ("read call; echo garbage", "offline", "no JSON"),
        ("read call; echo '{\"ask\": \"Who are you?\"}'; cat", "offline", "nobody is there"),
        (
            "read call; echo '{\"ok\": {\"access\": \"canary-at-9\", \"refresh\": \"canary-rt-9\", \"subject\": \"u-2\"}}'",
            "needs_login",
            "another person",
        ),
    ] {
        let world = World::new();
        install(&world, BOTH, script);
        seed(&world);
        let ran = world.run_within(Duration::from_secs(60), TOKEN);
        assert_eq!(ran.code(), code, "{script}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{script}: {}", ran.stderr);
        let entry = world.entry("main", ME);
        assert_eq!(
            (&entry["access"], &entry["refresh"]),
            (&"canary-at-0".into(), &"canary-rt-0".into()),
            "{script}"
        );
    }
    // Out of force: the login stays, and is not sent anywhere.
    let world = World::new();
    install(&world, BOTH, "exit 1");
    seed(&world);
    world.run(&["plugins", "disable", "acme"]).ok();
    assert_eq!(world.run(TOKEN).code(), "unknown_provider");
    assert_eq!(world.entry("main", ME)["refresh"], "canary-rt-0");
}

/// A program's environment is clean and its folder is its own; what it is told is its own login.
#[test]
fn a_program_sees_nothing_of_others() {
    let mut world = World::new();
    world.set("OPENAI_API_KEY", "canary-of-openai");
    world.set("ACME_TOKEN", "canary-of-acme");
    world.set("HTTPS_PROXY", "http://127.0.0.1:9");
    let other = world.login(3_600_000);
    install(
        &world,
        BOTH,
        "env > environment; pwd > folder; read call; printf '%s' \"$call\" > told\n\
         echo '{\"ok\": {\"access\": \"canary-at-1\", \"expiresIn\": 3600}}'",
    );
    seed(&world);
    let acme = world.entry("main", ME);
    world.seed("main", &[(ME, &acme), (crate::world::ME, &other.entry)]);
    world.run(TOKEN).ok();
    let folder = world.state().join("plugins/acme");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let known = ["HOME", "PATH", "LANG", "TMPDIR", "HTTPS_PROXY", "PWD", "OLDPWD", "SHLVL", "_"];
    let names: Vec<String> =
        read("environment").lines().map(|line| line.split('=').next().unwrap().to_owned()).collect();
    assert!(names.iter().all(|name| known.contains(&name.as_str())), "{names:?}");
    assert_eq!(PathBuf::from(read("folder").trim()).canonicalize().unwrap(), folder.canonicalize().unwrap());
    let told: Value = serde_json::from_str(&read("told")).unwrap();
    assert_eq!(
        told,
        json!({"v": 1, "call": "refresh", "refresh": "canary-rt-0", "access": "canary-at-0", "account": null, "subject": "u-1"})
    );
    for (path, _, content) in world.picture() {
        let is_acme_s = path.starts_with(&folder);
        assert!(
            !is_acme_s || !String::from_utf8_lossy(&content).contains(other.access.expose()),
            "{}",
            path.display()
        );
    }
}

/// A program may add header lines to a request, not those that frame it; a failure is told and nothing is lent.
#[test]
fn a_program_may_add_header_lines() {
    let world = World::new();
    let lend = &[TOKEN, &["--format", "header"]].concat();
    let entry = json!({"type": "token", "provider": "acme", "token": "canary-token"});
    for (answer, wanted) in [
        ("{\"ok\": {\"headers\": {\"X-Acme-Sign\": \"c2ln\"}}}", Ok("x-acme-sign: c2ln")),
        ("{\"error\": \"unsupported\"}", Ok("authorization: Bearer canary-token")),
        ("{\"ok\": {\"headers\": {\"host\": \"evil.test\"}}}", Err("may not make")),
        ("{\"ok\": {\"headers\": {\"x-a\": \"a\\r\\nb: c\"}}}", Err("may not make")),
        ("{\"say\": \"hi\"}", Err("nobody is there")),
        ("{\"error\": \"other\", \"message\": \"no key\"}", Err("no key")),
    ] {
        install(&world, "'headers'", &format!("read call; printf '%s\\n' '{answer}'"));
        world.seed("main", &[("acme:manual", &entry)]);
        let ran = world.run(lend);
        match wanted {
            Ok(line) => assert!(ran.ok().to_lowercase().contains(&line.to_lowercase()), "{answer}"),
            Err(why) => {
                assert_eq!(ran.code(), "plugin_failed", "{answer}: {}", ran.stderr);
                assert!(
                    ran.stderr.contains(why) && !ran.stderr.contains("canary"),
                    "{answer}: {}",
                    ran.stderr
                );
            }
        }
    }
    install(&world, "'headers'", "read call; sleep 600 & wait");
    let ran = world.run_within(Duration::from_secs(60), lend);
    assert!(ran.stderr.contains("it did not answer in time"), "{}", ran.stderr);
}

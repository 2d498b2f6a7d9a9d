//! `exec`: a program with a lent token, and nothing else different.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use coderclaw_types::Secret;
use serde_json::json;

use crate::chat::{self, WORK};
use crate::world::{ME, PROVIDER, World};

fn exec<'a>(provider: &'a str, more: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
    [&["exec", "--provider", provider][..], more, &["--"], command].concat()
}

/// The lines of `env` for a program that is started with or without us.
fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// The environment is the caller's to the byte, but for the lent variable and for the provider's other credentials: also
/// what the config sets for CoderClaw itself stays out of it.
#[test]
fn the_environment_is_the_caller_s_but_for_the_loan() {
    let mut world = chat::world();
    world.config(r#"{"env": {"OPENAI_API_KEY": "canary-of-the-config"}}"#);
    world.set("ANTHROPIC_API_KEY", "canary-key");
    world.set("CLAUDE_CODE_OAUTH_TOKEN", "canary-old");
    world.set("GROQ_API_KEY", "of-another-provider");
    world.set("ODD", " spaces and 'quotes' ");
    let plain = std::process::Command::new("/usr/bin/env")
        .env_clear()
        .envs(world.command(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))))
        .output()
        .unwrap();
    let mut expected = lines(&String::from_utf8(plain.stdout).unwrap());
    let ran = world.run(&exec("anthropic", &["--profile", WORK], &["/usr/bin/env"]));
    assert!(ran.stderr.contains("CLAUDE_CODE_OAUTH_TOKEN") && ran.stderr.contains(WORK), "{}", ran.stderr);
    let token = format!("sk-ant-oat01-canary-{}", "w".repeat(70));
    assert!(!ran.stderr.contains(&token));
    expected.retain(|line| {
        !line.starts_with("ANTHROPIC_API_KEY=") && !line.starts_with("CLAUDE_CODE_OAUTH_TOKEN=")
    });
    expected.push(format!("CLAUDE_CODE_OAUTH_TOKEN={token}"));
    expected.sort();
    assert_eq!(lines(&ran.ok()), expected);
}

/// The program gets an access token, refreshed first where it is due, and never a refresh token.
#[test]
fn a_due_token_is_refreshed_first_and_only_the_access_token_is_lent() {
    let (world, login) = World::expired();
    let ran = world.run(&exec(PROVIDER, &[], &["/usr/bin/env"]));
    assert!(ran.stderr.contains("ends in 59 min") && ran.stderr.lines().count() == 1, "{}", ran.stderr);
    let out = ran.ok();
    let entry = world.entry("main", ME);
    assert!(out.contains(&format!("CODEX_ACCESS_TOKEN={}", entry["access"].as_str().unwrap())), "{out}");
    assert_eq!(world.sent(&login.refresh), 1);
    for refresh in [login.refresh.expose(), entry["refresh"].as_str().unwrap()] {
        assert!(!out.contains(refresh), "{out}");
    }
    let quiet = world.run(&exec(PROVIDER, &["--quiet"], &["/bin/true"]));
    assert_eq!((quiet.stderr.as_str(), quiet.code), ("", Some(0)));
}

/// Standard streams, the exit status, a death by signal and the process id are the program's own.
#[test]
fn the_process_is_the_program() {
    let world = chat::world();
    let arguments = |script| exec("anthropic", &["--quiet"], &["/bin/sh", "-c", script]);
    assert_eq!(world.run(&arguments("exit 7")).code, Some(7));
    let dead = world.command(&arguments("kill -TERM $$")).output().unwrap();
    assert_eq!(dead.status.signal(), Some(15));
    let mut child =
        world.start(world.command(&arguments("echo $$; cat; echo err >&2")).stdin(Stdio::piped()));
    let id = child.id();
    child.stdin.take().unwrap().write_all(b"through").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{id}\nthrough"));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "err\n");
    // A shell in front of it sees what it would see without us.
    let shell = format!(
        "'{}' exec --quiet --provider anthropic -- /bin/sh -c 'kill -INT $$'; echo $?",
        env!("CARGO_BIN_EXE_coderclaw")
    );
    let mut shell_command = std::process::Command::new("/bin/sh");
    let inner = world.command(&[]);
    shell_command.args(["-c", &shell]).env_clear();
    shell_command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert_eq!(String::from_utf8(shell_command.output().unwrap().stdout).unwrap().trim(), "130");
}

/// What goes wrong before the start has a code, and nothing is started then.
#[test]
fn failures_before_the_start_have_codes() {
    let world = chat::world();
    let touch = ["/usr/bin/touch", "started"];
    let table = [
        (exec("no-such", &[], &touch), "unknown_provider"),
        (exec("groq", &[], &touch), "missing_credential"),
        (exec("anthropic", &["--profile", "anthropic:nobody"], &touch), "unknown_profile"),
        (exec(PROVIDER, &["--min-validity", "30d"], &touch), "cannot_guarantee"),
        (exec("anthropic", &[], &["/no/such/program"]), "not_started"),
        (exec("anthropic", &[], &["/etc/passwd"]), "not_started"),
        (exec("anthropic", &[], &[]), "usage"),
        (vec!["exec", "--provider", "anthropic", "/usr/bin/touch", "started"], "usage"),
    ];
    for (arguments, code) in &table {
        let ran = world.run_within(Duration::from_secs(30), arguments);
        let said = ran.stderr.lines().find(|line| line.ends_with(&format!("[{code}]")));
        assert!(ran.code == Some(1) && said.is_some(), "{arguments:?}: {ran:?}");
    }
    assert!(!world.path().join("started").exists());
    let error = world.run(&exec("groq", &["--json"], &touch)).error_json();
    assert_eq!(error["code"], "missing_credential");
}

/// A provider whose manifest has no variable for the credential cannot lend it this way, and says which way is left.
#[test]
fn without_a_variable_there_is_no_loan() {
    let world = World::new();
    world.private(
        &world.state().join("providers/acme.toml"),
        "id = 'acme'\nname = 'Acme'\n[api]\nkind = 'openai-chat'\nbase_url = 'http://127.0.0.1:9/v1'\n[[auth]]\nmethod = 'api-key'\n",
    );
    let key = Secret::from("acme-canary-key");
    let entry = json!({"type": "api_key", "provider": "acme", "key": key.expose()});
    world.seed("main", &[("acme:x", &entry)]);
    let ran = world.run(&exec("acme", &[], &["/bin/true"]));
    assert_eq!(ran.code(), "usage");
    assert!(
        ran.stderr.contains("coderclaw models auth token --provider acme --format json"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains(key.expose()));
}

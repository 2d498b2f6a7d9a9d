//! The token socket: what a machine or a sandbox without logins gets, and what it never gets.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use coderclaw_types::Secret;
use serde_json::{Value, json};

use crate::chat::{HOME, WORK, calls, setup_token, world};
use crate::gateway_world::{Gate, PATIENCE, key, wait_until};
use crate::world::{ME, PROVIDER, Ran, TOKEN, World};

const HOUR: i64 = 3_600_000;

fn socket(world: &World) -> PathBuf {
    world.state().join("gateway/token.sock")
}

/// Another machine: it has the socket, a key and a clock of its own, and nothing else of the world.
struct Elsewhere<'a> {
    world: &'a World,
    home: PathBuf,
    key: String,
    clock: i64,
}

impl<'a> Elsewhere<'a> {
    fn new(world: &'a World, name: &str, key: &str) -> Self {
        let home = world.path().join(name);
        std::fs::create_dir(&home).unwrap();
        Self { world, home, key: key.into(), clock: 0 }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.world.command(arguments);
        command
            .env_clear()
            .env("HOME", &self.home)
            .env("PATH", "/usr/bin:/bin")
            .env("TZ", "UTC")
            .env("CODERCLAW_SOCKET", socket(self.world))
            .env("CODERCLAW_KEY", &self.key)
            .env("CODERCLAW_CLOCK", self.clock.to_string())
            .current_dir(&self.home);
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }

    /// Nothing was written there.
    fn is_bare(&self) {
        assert_eq!(std::fs::read_dir(&self.home).unwrap().count(), 0, "{}", self.home.display());
    }
}

/// A client by hand.
struct Line(BufReader<UnixStream>);

impl Line {
    fn new(world: &World, key: &str) -> Self {
        let stream = UnixStream::connect(socket(world)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut line = Self(BufReader::new(stream));
        assert_eq!(line.ask(&json!({"op": "hello", "versions": [1], "key": key}))["ok"], true);
        line
    }

    fn send(&mut self, request: &Value) {
        self.0.get_mut().write_all(format!("{request}\n").as_bytes()).unwrap();
    }

    fn ask(&mut self, request: &Value) -> Value {
        self.send(request);
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"))
    }

    fn lend(&mut self, provider: &str) -> Value {
        self.ask(&json!({"op": "lend", "provider": provider}))
    }
}

fn report(lease: &Value, status: u16) -> Value {
    json!({
        "op": "report", "provider": lease["provider"], "profileId": lease["profileId"],
        "generation": lease["generation"], "status": status,
        "body": "{\"error\": {\"code\": \"token_expired\", \"message\": \"expired\"}}",
    })
}

fn loans(world: &World) -> Vec<Value> {
    world.run(&["models", "auth", "log", "--event", "lend", "--json"]).json()["events"]
        .as_array()
        .unwrap()
        .clone()
}

/// H4: a sandbox with the socket and a key for one profile gets a short-lived token of it, with a line in the trail, and
/// is refused everything else; nothing is written where it runs, and no refresh token passes.
#[test]
fn h4_a_sandbox_borrows_what_its_key_is_for_and_nothing_else() {
    let world = world();
    let login = world.login(HOUR);
    let other = world.login_of("you", HOUR);
    let work = setup_token("w");
    world.seed(
        "main",
        &[
            (ME, &login.entry),
            ("openai-codex:you@x.test", &other.entry),
            (WORK, &json!({"type": "token", "provider": "anthropic", "token": work.expose()})),
        ],
    );
    world.run(&["agents", "add", "other"]).ok();
    let gate = Gate::start(&world);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&socket(&world)), mode(socket(&world).parent().unwrap())), (0o600, 0o700));
    let made = world.run(&["gateway", "keys", "add", "sandbox", "--profile", ME, "--json"]).json();
    let sandbox = Elsewhere::new(&world, "sandbox", made["key"].as_str().unwrap());

    let lease = sandbox.run(&[TOKEN, &["--json"]].concat()).json();
    assert_eq!((&lease["token"], &lease["profileId"]), (&json!(login.access.expose()), &json!(ME)));
    assert_eq!((&lease["tokenType"], &lease["accountId"]), (&json!("Bearer"), &json!("acct-me-1")));
    let left = lease["validUntil"].as_i64().unwrap() - world.at(0);
    assert!((HOUR - 60_000..=HOUR).contains(&left), "{left}");
    let lent = loans(&world);
    assert_eq!(lent.len(), 1, "{lent:?}");
    assert_eq!(lent[0]["profileId"], ME, "{lent:?}");
    assert!(lent[0]["detail"].as_str().unwrap().contains(made["id"].as_str().unwrap()), "{lent:?}");

    for (arguments, code) in [
        (&["models", "auth", "token", "--provider", "anthropic"][..], "gateway_key_refused"),
        (&[TOKEN, &["--profile", "openai-codex:you@x.test"]].concat(), "gateway_key_refused"),
        (&[TOKEN, &["--profile", "openai-codex:nobody"]].concat(), "gateway_key_refused"),
        (&[TOKEN, &["--agent", "other"]].concat(), "gateway_key_refused"),
        (&["models", "auth", "token", "--provider", "no-such"], "unknown_provider"),
        (&["exec", "--provider", "anthropic", "--", "true"], "gateway_key_refused"),
    ] {
        assert_eq!(sandbox.run(arguments).code(), code, "{arguments:?}");
    }
    let listed = sandbox.run(&["models", "status", "--json"]).ok();
    assert!(listed.contains(ME) && !listed.contains("you@x.test") && !listed.contains(WORK), "{listed}");
    assert_eq!(loans(&world).len(), 1, "what was refused was not lent");
    world.run(&["gateway", "keys", "revoke", "sandbox"]).ok();
    assert_eq!(sandbox.run(TOKEN).code(), "gateway_key_refused");
    sandbox.is_bare();
    gate.wait_said("token socket: refused [gateway_key_refused]");
    for secret in [login.refresh.expose(), login.access.expose(), &sandbox.key] {
        assert!(!gate.said().contains(secret), "{}", gate.said());
        assert!(!listed.contains(secret));
    }
}

/// H3: host O has the login; P and Q, with clocks half a day off, borrow for a week while the token ends every hour. O alone
/// asks the provider, once for each token; P and Q hold nothing, and agree on which token is newer.
#[test]
fn h3_only_the_host_that_has_the_login_refreshes_it() {
    let (mut world, login) = World::expired();
    let made = key(&world, &["machines"]);
    std::fs::create_dir(world.path().join("p")).unwrap();
    std::fs::create_dir(world.path().join("q")).unwrap();
    let mut last = 0;
    let mut refresh = login.refresh;
    for day in 1..=7 {
        let gate = Gate::start(&world);
        let machine = |name: &str, clock: i64| Elsewhere {
            world: &world,
            home: world.path().join(name),
            key: made.clone(),
            clock,
        };
        let (p, q) = (machine("p", -12 * HOUR), machine("q", 12 * HOUR));
        let children: Vec<_> = [&p, &q, &p, &q, &p, &q]
            .iter()
            .map(|one| world.start(&mut one.command(&[TOKEN, &["--json", "--min-validity", "30m"]].concat())))
            .collect();
        let leases: Vec<Value> =
            children.into_iter().map(|child| Ran::from(child.wait_with_output().unwrap()).json()).collect();
        for lease in &leases {
            assert_eq!(
                (&lease["token"], &lease["generation"]),
                (&leases[0]["token"], &leases[0]["generation"])
            );
            assert!(!lease.to_string().contains(refresh.expose()), "day {day}");
        }
        let generation = leases[0]["generation"].as_u64().unwrap();
        assert!(generation > last, "day {day}: {generation} after {last}");
        // By their own clocks, it works for the better part of an hour.
        let until = |lease: &Value| lease["validUntil"].as_i64().unwrap();
        let apart = until(&leases[1]) - until(&leases[0]);
        assert!(apart != 0, "day {day}: each goes by its own clock");
        assert_eq!(world.sent(&refresh), 1, "day {day}");
        assert_eq!((world.sandbox.counts().refreshes, world.sandbox.counts().reuses), (day, 0));
        wait_until("the new refresh token is in the store", || {
            world.entry("main", ME)["refresh"].as_str() != Some(refresh.expose())
        });
        p.is_bare();
        q.is_bare();
        last = generation;
        refresh = Secret::from(world.entry("main", ME)["refresh"].as_str().unwrap());
        drop(gate);
        world.shift_clock(Duration::from_secs(86_400));
    }
}

/// H3: 64 clients at once, whose token is rejected: one refresh, one new token for all, with one number. A late report about
/// the old one refreshes nothing.
#[test]
fn h3_a_rejected_token_is_refreshed_once_for_all_clients() {
    let world = World::new();
    let login = world.login(3_000_000);
    world.seed("main", &[(ME, &login.entry)]);
    let key = key(&world, &["tools"]);
    let _gate = Gate::start(&world);
    let mut clients: Vec<Line> = (0..64).map(|_| Line::new(&world, &key)).collect();
    let first = clients[0].lend(PROVIDER)["lease"].clone();
    assert_eq!(first["token"], login.access.expose());
    world.sandbox.reject_access(&login.access);
    for client in &mut clients {
        client.send(&report(&first, 401));
    }
    let advice: Vec<Value> = clients
        .iter_mut()
        .map(|client| {
            let mut line = String::new();
            client.0.read_line(&mut line).unwrap();
            serde_json::from_str(&line).unwrap()
        })
        .collect();
    let lease = &advice[0]["lease"];
    for one in &advice {
        assert_eq!(one["next"], "retry", "{one}");
        assert_eq!(
            (&one["lease"]["token"], &one["lease"]["generation"]),
            (&lease["token"], &lease["generation"])
        );
    }
    assert!(lease["generation"].as_u64() > first["generation"].as_u64(), "{lease}");
    assert_eq!((world.sent(&login.refresh), world.sandbox.counts().refreshes), (1, 1));
    let late = Line::new(&world, &key).ask(&report(&first, 401));
    assert_eq!((&late["next"], &late["lease"]["token"]), (&json!("retry"), &lease["token"]));
    let good = clients[1].ask(&report(lease, 200));
    assert_eq!((&good["ok"], &good["next"]), (&json!(true), &json!("nothing")));
    assert_eq!(world.sandbox.counts().refreshes, 1);
}

/// A client that leaves while its token is being refreshed takes nothing with it: the new token is kept, once.
#[test]
fn a_client_that_leaves_in_the_middle_loses_nothing() {
    let world = World::new();
    let login = world.login(3_000_000);
    world.seed("main", &[(ME, &login.entry)]);
    let key = key(&world, &["tools"]);
    let _gate = Gate::start(&world);
    let mut client = Line::new(&world, &key);
    let lease = client.lend(PROVIDER)["lease"].clone();
    world.sandbox.reject_access(&login.access);
    let held = world.sandbox.gate();
    client.send(&report(&lease, 401));
    assert!(held.wait_arrived(PATIENCE));
    drop(client);
    held.open();
    let next = Line::new(&world, &key).ask(&report(&lease, 401));
    assert_eq!(next["next"], "retry", "{next}");
    assert_eq!((world.sent(&login.refresh), world.sandbox.counts().refreshes), (1, 1));
    world.wait_for_access("main", ME, next["lease"]["token"].as_str().unwrap());
}

/// The gateway ends and starts again: the socket goes and comes, clients connect again, and numbers go on. After a kill, what
/// was left behind is replaced. A second gateway of the same state dir says who has it.
#[test]
fn a_gateway_that_starts_again_makes_the_socket_anew() {
    let world = world();
    let key = key(&world, &["tools"]);
    let mut gate = Gate::start(&world);
    let first = Line::new(&world, &key).lend("anthropic")["lease"].clone();
    let second = world.run(&["gateway", "run", "--port", "0"]);
    assert_eq!(second.code(), "socket_taken");
    assert!(second.stderr.contains("coderclaw gateway run --no-socket"), "{}", second.stderr);
    assert!(second.stderr.contains(&format!("pid {}", gate.pid().as_raw_nonzero())), "{}", second.stderr);
    let beside = Gate::start_with(&world, &["--no-socket"]);
    assert_eq!(beside.send("GET /healthz", &[], "").status, 200);
    drop(beside);
    let mut idle = Line::new(&world, &key);
    gate.terminate();
    assert_eq!(gate.wait(), Some(0));
    assert!(!socket(&world).exists());
    let mut rest = String::new();
    assert_eq!(idle.0.read_line(&mut rest).unwrap(), 0, "{rest}");
    // Killed: the file stays.
    drop(Gate::start(&world));
    assert!(socket(&world).exists());
    let elsewhere = Elsewhere::new(&world, "box", &key);
    assert_eq!(elsewhere.run(TOKEN).code(), "socket_down");
    let _gate = Gate::start(&world);
    let again = Line::new(&world, &key).lend("anthropic")["lease"].clone();
    assert_eq!((&again["token"], &again["generation"]), (&first["token"], &first["generation"]));
    // Elsewhere, and not where others may go.
    let open = world.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = open.join("x.sock");
    let ran = world.run(&["gateway", "run", "--port", "0", "--socket", path.to_str().unwrap()]);
    assert!(ran.stderr.contains("its owner's alone") && !path.exists(), "{ran:?}");
    let long = format!("{}/{}/x.sock", world.path().display(), "d".repeat(100));
    let ran = world.run(&["gateway", "run", "--port", "0", "--socket", &long]);
    assert!(ran.stderr.contains("too long") && ran.stderr.contains("--socket PATH"), "{ran:?}");
}

/// The commands that borrow work elsewhere as they do here; the others say with a code that they need the store.
#[test]
fn commands_ask_the_socket_or_say_that_they_need_the_store() {
    let world = world();
    world.run(&["models", "auth", "order", "set", "--provider", "anthropic", WORK, HOME]).ok();
    let mut there = Elsewhere::new(&world, "box", &key(&world, &["box", "--provider", "anthropic"]));
    assert_eq!(there.run(TOKEN).code(), "socket_down");
    let _gate = Gate::start(&world);
    let ask = ["models", "auth", "token", "--provider", "anthropic"];
    for format in ["token", "env", "header"] {
        let arguments = [&ask[..], &["--format", format]].concat();
        assert_eq!(there.run(&arguments).ok(), world.run(&arguments).ok(), "{format}");
    }
    let (mut far, near) = (
        there.run(&[&ask[..], &["--json"]].concat()).json(),
        world.run(&[&ask[..], &["--json"]].concat()).json(),
    );
    assert!(far.as_object_mut().unwrap().remove("generation").is_some());
    assert_eq!(far, near);
    let script = "echo \"$CLAUDE_CODE_OAUTH_TOKEN:$ANTHROPIC_API_KEY\"; exit 7";
    let mut command = there.command(&["exec", "--provider", "anthropic", "--", "/bin/sh", "-c", script]);
    let ran = Ran::from(command.env("ANTHROPIC_API_KEY", "of-another").output().unwrap());
    assert_eq!((ran.code, ran.stdout), (Some(7), format!("{}:\n", setup_token("w").expose())));
    assert!(ran.stderr.contains("CLAUDE_CODE_OAUTH_TOKEN: a token of anthropic:work"), "{}", ran.stderr);
    let status = there.run(&["models", "status", "--check"]).ok();
    assert!(status.contains("→ anthropic:work\n") && status.contains("  anthropic:home\n"), "{status}");
    assert!(status.lines().all(|line| line.chars().count() <= 80), "{status}");
    assert_eq!(there.run(&[]).ok(), status);
    assert_eq!(
        there.run(&["models", "--status-json"]).json()["auth"]["providers"][0]["winner"]["profileId"],
        WORK
    );
    for arguments in [
        &["models", "auth", "login", "--provider", "anthropic"][..],
        &["models", "auth", "list"],
        &["models", "auth", "refresh", "--provider", "anthropic"],
        &["models", "auth", "logout", WORK],
        &["models", "status", "--probe"],
        &["models", "auth", "token", "--provider", "anthropic", "--session", "x"],
        &["gateway", "run"],
        &["gateway", "keys", "list"],
        &["agents", "list"],
        &["config", "get", "x"],
        &["doctor"],
        &["chat"],
    ] {
        assert_eq!(there.run(arguments).code(), "needs_store", "{arguments:?}");
    }
    let error = there.run(&["doctor", "--json"]).error_json();
    assert_eq!((&error["code"], &error["hint"]), (&json!("needs_store"), &json!("coderclaw models status")));
    assert!(there.run(&["--version"]).ok().starts_with("coderclaw "));
    there.key = "ccg_wrong".into();
    assert_eq!(there.run(&ask).code(), "gateway_key_refused");
    there.key = String::new();
    let none = there.run(&ask);
    assert_eq!(none.code(), "gateway_key_refused");
    assert!(none.stderr.contains("CODERCLAW_KEY"), "{}", none.stderr);
    there.is_bare();
    assert_eq!(calls(&world), []);
}

/// A report moves on as a request through the gateway does: along an order only, and it is told.
#[test]
fn a_report_of_a_limit_moves_along_an_order() {
    let world = world();
    let key = key(&world, &["tool"]);
    world.run(&["models", "auth", "order", "set", "--provider", "anthropic", WORK, HOME]).ok();
    let gate = Gate::start(&world);
    let mut client = Line::new(&world, &key);
    let lease = client.lend("anthropic")["lease"].clone();
    assert_eq!(lease["profileId"], WORK);
    let mut limit = report(&lease, 429);
    limit["headers"] = json!({"Retry-After": "600", "anthropic-ratelimit-unified-status": "rejected"});
    limit["body"] =
        json!("{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"limit\"}}");
    let moved = client.ask(&limit);
    assert_eq!((&moved["next"], &moved["lease"]["profileId"]), (&json!("retry"), &json!(HOME)), "{moved}");
    gate.wait_said("anthropic:work -> anthropic:home");
    let mut other = limit.clone();
    other["profileId"] = moved["lease"]["profileId"].clone();
    other["generation"] = moved["lease"]["generation"].clone();
    let paused = client.ask(&other);
    assert_eq!((&paused["next"], &paused["code"]), (&json!("pause"), &json!("usage_limit")), "{paused}");
    assert!(paused["waitMs"].as_u64().unwrap() <= 600_000, "{paused}");
    let refused = client.lend("anthropic");
    assert_eq!(
        (&refused["ok"], &refused["error"]["code"]),
        (&json!(false), &json!("usage_limit")),
        "{refused}"
    );
    assert!(refused["error"]["until"].is_i64(), "{refused}");
    assert_eq!(calls(&world), [], "nobody asked the provider");
}

/// What the page shows in Python and in shell runs as it stands there.
#[test]
fn the_examples_of_the_page_run() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/token-socket.md");
    let page = std::fs::read_to_string(page).unwrap();
    let block = |language: &str| {
        let (_, rest) = page.split_once(&format!("```{language}\n")).unwrap();
        rest.split_once("```").unwrap().0.to_owned()
    };
    let world = world();
    let there = Elsewhere::new(&world, "box", &key(&world, &["box", "--provider", "anthropic"]));
    let _gate = Gate::start(&world);
    let program = Path::new(env!("CARGO_BIN_EXE_coderclaw")).parent().unwrap().display().to_string();
    let run = |program_and_flags: &[&str], text: &str| {
        let inner = there.command(&[]);
        let mut command = Command::new(program_and_flags[0]);
        command.args(&program_and_flags[1..]).arg("-c").arg(text).env_clear().current_dir(&there.home);
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Ran::from(command.env("PATH", format!("{program}:/usr/bin:/bin")).output().unwrap())
    };
    let out = run(&["python3", "-I", "-B"], &block("python")).ok();
    assert_eq!(out, format!("{HOME} ok\n{WORK} ok\nnothing\n"));
    run(&["sh", "-eu"], &block("sh")).ok();
    there.is_bare();
}

//! What the resolver costs in a process that runs on: 100 agents with 50 profiles each.
//!
//! `cargo xtask bench` runs this and puts the figures beside their budgets.

#![allow(clippy::disallowed_methods, reason = "a measurement makes its own files")]
#![allow(clippy::unwrap_used, reason = "a failed step is a failed measurement")]
#![allow(clippy::print_stdout, reason = "its figures are its output")]

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use coderclaw_auth::{Ask, Auth, Lender, Runner};
use coderclaw_providers::Manifest;
use coderclaw_store::{AgentPaths, AuthProfiles};
use coderclaw_types::{AgentId, Clock, Env, Millis, ProfileId};
use serde_json::json;

const AGENTS: usize = 100;
const PROFILES: usize = 50;
/// Of so many providers each agent has profiles.
const PROVIDERS: [&str; 5] = ["openai-codex", "anthropic", "openai", "groq", "openrouter"];
/// Calls for the 99th percentile.
const CALLS: usize = 100_000;

struct World {
    _dir: tempfile::TempDir,
    auth: Auth,
    lender: Lender,
    agents: Vec<AgentPaths>,
    store: String,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    // An hour on, so that the files have settled.
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = Millis(0).plus(since_epoch + Duration::from_secs(3600));
    let clock = Clock::from_fn(move || now);
    let vars = [("CODERCLAW_STATE_DIR".into(), dir.path().into())];
    let env = Env::new(vars, None, "/".into());
    let store = store(now);
    for agent in 0..AGENTS {
        let folder = dir.path().join(format!("agents/a{agent}/agent"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("auth-profiles.json"), &store).unwrap();
    }
    let config =
        json!({"agents": {"list": (0..AGENTS).map(|n| json!({"id": format!("a{n}")})).collect::<Vec<_>>()}});
    std::fs::write(dir.path().join("coderclaw.json"), config.to_string()).unwrap();
    let auth = Auth::open(env, clock, Runner::Thread).unwrap();
    let agents =
        (0..AGENTS).map(|n| auth.state().agent(auth.config(), &AgentId::new(&format!("a{n}")))).collect();
    World { lender: Lender::new(auth.clone()), _dir: dir, auth, agents, store }
});

/// Ten profiles of each of five providers; tokens as long as real ones.
fn store(now: Millis) -> String {
    let ends = now.plus(Duration::from_secs(30 * 24 * 3600));
    let profiles: serde_json::Map<_, _> = (0..PROFILES)
        .map(|n| {
            let provider = PROVIDERS[n % PROVIDERS.len()];
            let entry = match provider {
                "openai-codex" => json!({
                    "type": "oauth", "provider": provider, "access": format!("access-{n}{}", "-bench".repeat(300)),
                    "refresh": format!("refresh-{n}{}", "-bench".repeat(15)), "expires": ends.0, "issuedAt": now.0,
                    "email": format!("me-{n}@example.com"), "accountId": format!("account-{n}"),
                }),
                "anthropic" => json!({"type": "token", "provider": provider, "token": format!("token-{n}{}", "-bench".repeat(16))}),
                _ => json!({"type": "api_key", "provider": provider, "key": format!("key-{n}{}", "-bench".repeat(25))}),
            };
            (format!("{provider}:p{n}"), entry)
        })
        .collect();
    let order: Vec<String> =
        (0..PROFILES).rev().step_by(PROVIDERS.len()).map(|n| format!("openai-codex:p{}", n - 4)).collect();
    json!({"version": 1, "profiles": profiles, "order": {"openai-codex": order}}).to_string()
}

fn codex() -> &'static Manifest {
    WORLD.auth.provider("openai-codex").unwrap()
}

fn main() {
    percentile();
    divan::main();
}

/// Divan has no percentiles, and the budget is one.
fn percentile() {
    let (manifest, ask) = (codex(), Ask::default());
    let lend = |n: usize| drop(WORLD.lender.lease(&WORLD.agents[n % AGENTS], manifest, &ask).unwrap());
    (0..4 * AGENTS).for_each(lend);
    let mut took: Vec<Duration> = (0..CALLS)
        .map(|n| {
            let began = Instant::now();
            lend(n);
            began.elapsed()
        })
        .collect();
    took.sort();
    let micros = |at: usize| took[at].as_secs_f64() * 1e6;
    println!("warm resolve, median: {:.1} us", micros(CALLS / 2));
    println!("warm resolve, p99: {:.1} us", micros(CALLS * 99 / 100));
}

/// One store's text.
#[divan::bench]
fn parse() -> AuthProfiles {
    AuthProfiles::parse(divan::black_box(&WORLD.store)).unwrap()
}

/// Which profile, and why not the others: from the files, as a cold process does.
#[divan::bench]
fn resolve_from_files(bencher: divan::Bencher<'_, '_>) {
    let (manifest, ask) = (codex(), Ask::default());
    bencher.bench_local(|| WORLD.auth.lease(&WORLD.agents[0], manifest, &ask).unwrap());
}

/// The same where nothing has changed.
#[divan::bench]
fn resolve_warm(bencher: divan::Bencher<'_, '_>) {
    let (manifest, ask) = (codex(), Ask::default());
    bencher.bench_local(|| WORLD.lender.lease(&WORLD.agents[0], manifest, &ask).unwrap());
}

/// All ten of a provider, each with its reason.
#[divan::bench]
fn explain(bencher: divan::Bencher<'_, '_>) {
    let (manifest, ask) = (codex(), Ask::default());
    bencher.bench_local(|| WORLD.auth.explain(&WORLD.agents[0], manifest, &ask).unwrap());
}

/// A new order of ten: locked, read, changed, durable on the disk, with its backup and the other programs' view of it.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn commit_an_order(bencher: divan::Bencher<'_, '_>) {
    let manifest = codex();
    let mut order: Vec<ProfileId> = (0..PROFILES)
        .step_by(PROVIDERS.len())
        .map(|n| ProfileId::stored(&format!("openai-codex:p{n}")))
        .collect();
    bencher.bench_local(|| {
        order.rotate_left(1);
        WORLD.auth.set_order(&WORLD.agents[1], manifest, Some(&order)).unwrap()
    });
}

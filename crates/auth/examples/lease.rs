//! Borrows an access token and calls an API with it: `cargo run -p coderclaw-auth --example lease -- openai-codex`

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coderclaw_auth::{Ask, Auth, Next, Outcome, Runner};
use coderclaw_http::{Client, HeaderText, Limits, Network, Request, Url};
use coderclaw_providers::{ApiKind, read_failure};
use coderclaw_types::{Clock, Env, Millis};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The status with which the provider answers its cheapest request that needs a login.
pub(crate) fn ask(env: Env, clock: Clock, provider: &str) -> Result<u16> {
    let limits = Limits { connect: Duration::from_secs(5), total: Duration::from_secs(30) };
    let client = Client::new(&Network::from_env(&env), limits)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let auth = Auth::open(env, clock, Runner::Thread)?;
    let (agent, provider, want) = (auth.agent(None)?, auth.provider(provider)?, Ask::default());
    let mut lease = auth.lease(&agent, provider, &want)?; // refreshed first where it is due, once for all who ask
    loop {
        let api = provider.api(lease.kind);
        let (base, path) = (api.base_url.unwrap_or_default(), api.probe.unwrap_or_default());
        let mut request = Request::get(Url::parse(&format!("{base}{path}"))?);
        for (name, value) in &lease.headers {
            request = request.header(name, HeaderText::Secret(value.clone()));
        }
        let answer = runtime.block_on(client.send(request))?;
        let kind = api.kind.unwrap_or(ApiKind::OpenAiChat);
        let failure = read_failure(kind, answer.status, &answer.headers, &answer.body, auth.clock().now());
        let outcome = if answer.status == 200 { Outcome::Worked } else { Outcome::Failed(&failure) };
        match auth.report(&agent, provider, &lease, outcome, &want)? {
            Next::Retry { lease: another, .. } => lease = *another, // a new token, or the next account of an order
            _ => return Ok(answer.status),
        }
    }
}

/// A program captures its own world once, and hands it down.
#[allow(dead_code, clippy::disallowed_methods, clippy::print_stdout, reason = "the edge of a program")]
fn main() -> Result<()> {
    let env = Env::new(std::env::vars_os(), std::env::home_dir(), std::env::current_dir()?);
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let clock = Clock::from_fn(move || Millis(i64::try_from(now()).unwrap_or(i64::MAX)));
    let provider = std::env::args().nth(1).unwrap_or_else(|| "openai-codex".into());
    println!("{provider}: {}", ask(env, clock, &provider)?);
    Ok(())
}

//! `models auth token`: lends an access token.

use std::time::Duration;

use coderclaw_auth::Ask;
use coderclaw_types::{Fingerprint, Millis, ProfileId, Secret};
use serde::Serialize;

use crate::args::{TokenArgs, TokenFormat};
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::{Report, say};

/// For the provider's word on a token. One that says nothing in this time says nothing against it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is lent, wherever it comes from.
pub(super) struct Lent<'a> {
    pub(super) provider: &'a str,
    pub(super) profile_id: Option<&'a str>,
    pub(super) source: &'a str,
    /// None where no credential is needed.
    pub(super) token: Option<&'a Secret>,
    pub(super) token_type: &'a str,
    pub(super) headers: Vec<(&'a str, &'a Secret)>,
    pub(super) env: Vec<(&'a str, &'a Secret)>,
    pub(super) account_id: Option<&'a str>,
    pub(super) valid_until: Option<Millis>,
    /// Which of two is newer, where it was borrowed.
    pub(super) generation: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LeaseJson<'a> {
    provider: &'a str,
    profile_id: Option<&'a str>,
    token: Option<&'a str>,
    token_type: &'a str,
    header: Vec<HeaderJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
    valid_until: Option<Millis>,
    fingerprint: Option<String>,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
}

#[derive(Serialize)]
struct HeaderJson<'a> {
    name: &'a str,
    value: &'a str,
}

pub(super) fn run(context: &Context, args: TokenArgs) -> Result<Report, CommandError> {
    let (manifest, mut lease) = context.lease(&args.loan)?;
    if args.verify && context.auth.is_rejected(manifest, &lease, PATIENCE) {
        let agent = context.agent()?;
        let ask = Ask { rejected: Some(lease.token.clone()), ..context.ask(&agent, &args.loan)? };
        lease = context.auth.lease(&agent, manifest, &ask).map_err(context.about(manifest))?;
    }
    fn pairs(all: &[(String, Secret)]) -> Vec<(&str, &Secret)> {
        all.iter().map(|(name, value)| (name.as_str(), value)).collect()
    }
    let lent = Lent {
        provider: lease.provider.as_str(),
        profile_id: lease.profile.as_ref().map(ProfileId::as_str),
        source: &lease.source,
        token: (!lease.is_keyless()).then_some(&lease.token),
        token_type: lease.token_type(),
        headers: pairs(&lease.headers),
        env: pairs(&lease.env),
        account_id: lease.account_id.as_deref(),
        valid_until: lease.valid_until,
        generation: None,
    };
    let fingerprint = |token: &Secret| context.auth.fingerprint(token).as_ref().map(Fingerprint::to_string);
    Ok(report(
        &lent,
        fingerprint,
        if context.global.json { TokenFormat::Json } else { args.format.unwrap_or_default() },
        context.global.quiet,
    ))
}

/// Prints it as it is wanted. `fingerprint` is asked only where it is shown.
pub(super) fn report(
    lent: &Lent<'_>,
    fingerprint: impl Fn(&Secret) -> Option<String>,
    format: TokenFormat,
    is_quiet: bool,
) -> Report {
    if lent.token.is_none() && !is_quiet {
        say(&format!("{}: no credential needed", lent.provider));
    }
    match format {
        TokenFormat::Token => Report::text(format!("{}\n", lent.token.map_or("", Secret::expose))),
        TokenFormat::Json => Report::json(&json(lent, lent.token.and_then(fingerprint))),
        TokenFormat::Env => Report::text(lines(&lent.env, |name, value| {
            // Always quoted, so that any shell and any later token is safe.
            format!("{name}='{}'", value.replace('\'', "'\\''"))
        })),
        TokenFormat::Header => Report::text(lines(&lent.headers, |name, value| format!("{name}: {value}"))),
    }
}

fn lines(pairs: &[(&str, &Secret)], line: impl Fn(&str, &str) -> String) -> String {
    pairs.iter().map(|(name, value)| line(name, value.expose()) + "\n").collect()
}

fn json<'a>(lent: &'a Lent<'_>, fingerprint: Option<String>) -> LeaseJson<'a> {
    let header = lent.headers.iter().map(|(name, value)| HeaderJson { name, value: value.expose() });
    LeaseJson {
        provider: lent.provider,
        profile_id: lent.profile_id,
        token: lent.token.map(Secret::expose),
        token_type: lent.token_type,
        header: header.collect(),
        account_id: lent.account_id,
        valid_until: lent.valid_until,
        fingerprint,
        source: lent.source,
        generation: lent.generation,
    }
}

//! `models auth token`: lends an access token.

use std::time::Duration;

use coderclaw_auth::{Ask, Lease};
use coderclaw_providers::CredentialKind;
use coderclaw_types::{Fingerprint, Millis, ProfileId};
use serde::Serialize;

use crate::args::{TokenArgs, TokenFormat};
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::{Report, say};

/// For the provider's word on a token. One that says nothing in this time says nothing against it.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LeaseJson<'a> {
    provider: &'a str,
    profile_id: Option<&'a ProfileId>,
    token: Option<&'a str>,
    token_type: &'static str,
    header: Vec<HeaderJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
    valid_until: Option<Millis>,
    fingerprint: Option<Fingerprint>,
    source: &'a str,
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
    if lease.is_keyless() && !context.global.quiet {
        say(&format!("{}: no credential needed", lease.provider));
    }
    let format = if context.global.json { TokenFormat::Json } else { args.format.unwrap_or_default() };
    Ok(match format {
        TokenFormat::Token => Report::text(format!("{}\n", lease.token.expose())),
        TokenFormat::Json => {
            let shown = (!lease.is_keyless()).then_some(&lease.token);
            Report::json(&json(&lease, shown.and_then(|token| context.auth.fingerprint(token))))
        }
        TokenFormat::Env => Report::text(lines(&lease.env, |name, value| {
            // Always quoted, so that any shell and any later token is safe.
            format!("{name}='{}'", value.replace('\'', "'\\''"))
        })),
        TokenFormat::Header => Report::text(lines(&lease.headers, |name, value| format!("{name}: {value}"))),
    })
}

fn lines(pairs: &[(String, coderclaw_types::Secret)], line: impl Fn(&str, &str) -> String) -> String {
    pairs.iter().map(|(name, value)| line(name, value.expose()) + "\n").collect()
}

fn json(lease: &Lease, fingerprint: Option<Fingerprint>) -> LeaseJson<'_> {
    let bearer = lease.headers.first().is_some_and(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    LeaseJson {
        provider: lease.provider.as_str(),
        profile_id: lease.profile.as_ref(),
        token: (!lease.is_keyless()).then(|| lease.token.expose()),
        token_type: match lease.kind {
            _ if lease.is_keyless() => "none",
            CredentialKind::ApiKey if !bearer => "api_key",
            _ => "Bearer",
        },
        header: lease
            .headers
            .iter()
            .map(|(name, value)| HeaderJson { name, value: value.expose() })
            .collect(),
        account_id: lease.account_id.as_deref(),
        valid_until: lease.valid_until,
        fingerprint,
        source: &lease.source,
    }
}

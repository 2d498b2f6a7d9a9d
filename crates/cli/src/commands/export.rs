//! `export --access-only`: tokens for machines that must not renew them.

use coderclaw_auth::{Ask, Lease};
use coderclaw_types::{Code, Fingerprint, Millis, ProfileId, ProviderId};
use serde::Serialize;

use crate::args::{ExportArgs, ExportFormat};
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::{Report, say};

/// What leaves this machine. A refresh token has no place in it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bundle<'a> {
    exported_at: Millis,
    credentials: Vec<Credential<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Credential<'a> {
    provider: &'a ProviderId,
    profile_id: Option<&'a ProfileId>,
    token: &'a str,
    token_type: &'a str,
    header: Vec<Pair<'a>>,
    env: Vec<Pair<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
    valid_until: Option<Millis>,
    fingerprint: Option<Fingerprint>,
}

#[derive(Serialize)]
struct Pair<'a> {
    name: &'a str,
    value: &'a str,
}

pub(super) fn run(context: &Context, args: &ExportArgs) -> Result<Report, CommandError> {
    let leases = leases(context, args)?;
    let format = if context.global.json { ExportFormat::Json } else { args.format };
    if format == ExportFormat::Json {
        let exported_at = context.auth.clock().now();
        let credentials = leases.iter().map(|lease| credential(context, lease)).collect();
        return Ok(Report::json(&Bundle { exported_at, credentials }));
    }
    let mut out = String::new();
    for lease in &leases {
        if lease.env.is_empty() {
            let provider = &lease.provider;
            let message =
                format!("{provider} names no variable for such a credential; --format json has all of it");
            let hint = format!("coderclaw export --access-only --provider {provider} --format json");
            return Err(CommandError::new(Code::Usage, message).hint(hint));
        }
        for (name, value) in &lease.env {
            let value = value.expose();
            if format == ExportFormat::Env {
                out.push_str(&format!("{name}='{}'\n", value.replace('\'', "'\\''")));
                continue;
            }
            if value.contains(['\n', '\r']) {
                return Err(CommandError::new(Code::Usage, format!("{name} does not fit on one line")));
            }
            // A runner reads its commands from both streams; this one is not redirected into the file.
            if context.auth.env().get("GITHUB_ACTIONS") == Some("true") {
                say(&format!("::add-mask::{value}"));
            }
            out.push_str(&format!("{name}={value}\n"));
        }
    }
    Ok(Report::text(out))
}

fn leases(context: &Context, args: &ExportArgs) -> Result<Vec<Lease>, CommandError> {
    let agent = context.agent()?;
    let mut providers = args.provider.clone();
    if providers.is_empty() {
        let status = context.auth.status(&agent)?;
        let has_login = |id: &ProviderId| {
            let mut own = status.profiles.iter().filter(|one| one.provider.as_ref() == Some(id));
            own.any(|one| matches!(one.kind.as_str(), "oauth" | "token"))
        };
        let all = status.providers.iter().filter(|one| has_login(&one.provider));
        providers = all.map(|one| one.provider.to_string()).collect();
    }
    if providers.is_empty() {
        return Err(CommandError::new(Code::MissingCredential, "there is no login to export")
            .hint("coderclaw models status".into()));
    }
    let mut leases = Vec::new();
    for provider in &providers {
        let manifest = context.provider(provider)?;
        let ask = Ask {
            profile: args.profile.as_deref().map(ProfileId::stored),
            min_validity: args.min_validity,
            ..Ask::default()
        };
        let lease = context.auth.lease(&agent, manifest, &ask).map_err(|e| {
            let error = context.about(manifest)(e);
            match error.code() {
                Code::CannotGuarantee => error.hint(shorter(context, &manifest.id)),
                _ => error,
            }
        })?;
        if !lease.is_keyless() {
            leases.push(lease);
        }
    }
    Ok(leases)
}

/// What there is, for however short a time.
fn shorter(context: &Context, provider: &str) -> String {
    format!("coderclaw export --access-only --min-validity 1m --provider {provider}{}", context.agent_flag())
}

fn credential<'a>(context: &Context, lease: &'a Lease) -> Credential<'a> {
    let pairs = |all: &'a [(String, coderclaw_types::Secret)]| {
        all.iter().map(|(name, value)| Pair { name, value: value.expose() }).collect()
    };
    Credential {
        provider: &lease.provider,
        profile_id: lease.profile.as_ref(),
        token: lease.token.expose(),
        token_type: lease.token_type(),
        header: pairs(&lease.headers),
        env: pairs(&lease.env),
        account_id: lease.account_id.as_deref(),
        valid_until: lease.valid_until,
        fingerprint: context.auth.fingerprint(&lease.token),
    }
}

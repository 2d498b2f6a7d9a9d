//! `models auth refresh`: refreshes a login that is due, and says what happened.

use std::io::Read;

use coderclaw_auth::Ask;
use coderclaw_store::AgentPaths;
use coderclaw_types::{Code, ProfileId, Secret};
use serde_json::json;

use crate::args::RefreshArgs;
use crate::commands::{Context, persist};
use crate::error::{CommandError, login_command};
use crate::report::Report;
use crate::text;

pub(super) fn run(context: &Context, args: RefreshArgs) -> Result<Report, CommandError> {
    let agent = context.agent()?;
    let manifest = context.provider(&args.provider)?;
    let rejected = if args.rejected_stdin { Some(rejected()?) } else { None };
    let ask = Ask {
        profile: args.profile.as_deref().map(ProfileId::stored),
        rejected,
        explicit_refresh: true,
        ..Ask::default()
    };
    let before = context.auth.explain(&agent, manifest, &ask).map_err(context.about(manifest))?;
    let planned = before.winner.as_ref().and_then(|winner| winner.profile_id.clone());
    if let Some(profile) = planned.filter(|_| args.persist_cmd.is_some()) {
        let seen = before.candidates.iter().find(|one| one.profile_id.as_ref() == Some(&profile));
        let owner = match seen.and_then(|one| one.agent_id.as_ref()) {
            Some(owner) => context.auth.agent(Some(owner.as_str()))?,
            None => agent.clone(),
        };
        context.auth.begin_persisting(&owner, &profile).map_err(context.about(manifest))?;
    }
    let lease = context.auth.lease(&agent, manifest, &ask).map_err(context.about(manifest))?;
    let persisted = match (&args.persist_cmd, &lease.profile) {
        (Some(command), Some(profile)) => {
            let mut send = |material: &Secret| persist::send(command, material);
            let done = context.auth.persist(&lease.owner, profile, &mut send);
            Some(done.map_err(|e| {
                let error = CommandError::new(e.code(), format!("{profile}: {e}"));
                error.about(&manifest.id, context.agent_hint()).profile(profile.to_string())
            })?)
        }
        _ => None,
    };
    let profile = lease.profile.as_ref().map_or_else(|| lease.source.clone(), ToString::to_string);
    let refreshed = before
        .winner
        .is_none_or(|winner| winner.profile_id == lease.profile && winner.valid_until != lease.valid_until);
    if !refreshed && let Some(why) = still_due(context, &agent, lease.profile.as_ref())? {
        return Err(CommandError::new(Code::RefreshDue, format!("{profile} was not refreshed: {why}"))
            .about(&manifest.id, context.agent_hint())
            .login(login_command(manifest))
            .profile(profile));
    }
    if context.global.json {
        return Ok(Report::json(&json!({
            "provider": lease.provider,
            "profileId": lease.profile,
            "refreshed": refreshed,
            "validUntil": lease.valid_until,
            "fingerprint": context.auth.fingerprint(&lease.token),
            "persisted": persisted,
        })));
    }
    let now = context.auth.clock().now();
    let until = lease.valid_until.map_or_else(
        || "no end is known".to_owned(),
        |until| format!("its token ends {} ({})", text::when(until, now), text::local(until)),
    );
    let mut words = if refreshed {
        format!("Refreshed {profile}; {until}.\n")
    } else {
        format!("{profile} is not due: {until}. Nothing was sent.\n")
    };
    match persisted {
        Some(true) => words.push_str("The secret store has it now.\n"),
        Some(false) => {
            words.push_str("The secret store has it already; nothing was given to --persist-cmd.\n")
        }
        None => {}
    }
    Ok(Report::text(words))
}

/// A token that is due and was lent all the same: why it was not refreshed.
fn still_due(
    context: &Context,
    agent: &AgentPaths,
    profile: Option<&ProfileId>,
) -> Result<Option<String>, CommandError> {
    let status = context.auth.status(agent)?;
    let one = status.profiles.into_iter().find(|one| Some(&one.id) == profile);
    Ok(one.filter(|one| one.state == Code::RefreshDue).and_then(|one| one.detail))
}

fn rejected() -> Result<Secret, CommandError> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(256 * 1024)
        .read_to_string(&mut text)
        .map_err(|e| CommandError::new(Code::InputRequired, format!("standard input cannot be read: {e}")))?;
    let token = Secret::from(text.trim());
    if token.is_blank() {
        return Err(CommandError::new(
            Code::InputRequired,
            "--rejected-stdin wants a token on standard input",
        ));
    }
    Ok(token)
}

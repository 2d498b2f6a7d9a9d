//! `models auth refresh`: refreshes a login that is due, and says what happened.

use std::io::Read;

use coderclaw_auth::Ask;
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
    let ask = Ask { profile: args.profile.as_deref().map(ProfileId::stored), rejected, ..Ask::default() };
    if args.persist_cmd.is_some() {
        let planned = context.auth.explain(&agent, manifest, &ask).map_err(context.about(manifest))?;
        if let Some(profile) = planned.winner.and_then(|winner| winner.profile_id) {
            let mut seen = planned.candidates.iter().filter(|one| one.profile_id.as_ref() == Some(&profile));
            let owner = match seen.find_map(|one| one.agent_id.as_ref()) {
                Some(owner) => context.auth.agent(Some(owner.as_str()))?,
                None => agent.clone(),
            };
            context.auth.begin_persisting(&owner, &profile).map_err(context.about(manifest))?;
        }
    }
    let done = context.auth.refresh_now(&agent, manifest, ask).map_err(context.about(manifest))?;
    let (now, lease) = (context.auth.clock().now(), &done.lease);
    let persisted = match (&args.persist_cmd, &lease.profile) {
        (Some(command), Some(profile)) => {
            let mut send = |material: &Secret| persist::send(command, material);
            let persisted = context.auth.persist(&lease.owner, profile, &mut send);
            Some(persisted.map_err(|e| {
                let error = CommandError::new(e.code(), format!("{profile}: {e}"));
                error.about(&manifest.id, context.agent_hint()).profile(profile.to_string())
            })?)
        }
        _ => None,
    };
    let mut sentence = done.sentence(now, text::local);
    if done.still_due.is_some() {
        return Err(CommandError::new(Code::RefreshDue, sentence)
            .about(&manifest.id, context.agent_hint())
            .login(login_command(manifest))
            .profile(done.whose()));
    }
    if context.global.json {
        return Ok(Report::json(&json!({
            "provider": lease.provider,
            "profileId": lease.profile,
            "refreshed": done.is_new,
            "validUntil": lease.valid_until,
            "fingerprint": context.auth.fingerprint(&lease.token),
            "persisted": persisted,
        })));
    }
    match persisted {
        Some(true) => sentence.push_str("\nThe secret store has it now."),
        Some(false) => {
            sentence.push_str(
                "\nIt is no newer than what the secret store had; nothing was given to --persist-cmd.",
            );
        }
        None => {}
    }
    Ok(Report::text(format!("{sentence}\n")))
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

//! `models auth logout`.

use coderclaw_auth::Revocation;
use coderclaw_types::ProfileId;
use serde_json::{Value, json};

use crate::commands::profiles::leftovers;
use crate::commands::{Context, at_its_owner};
use crate::error::CommandError;
use crate::report::Report;
use crate::text::{self, clean, shell_word};

pub(super) fn run(context: &Context, profile: &str, local_only: bool) -> Result<Report, CommandError> {
    let agent = context.agent()?;
    let id = ProfileId::stored(profile.trim());
    let command = || format!("models auth logout {}", shell_word(id.as_str()));
    let done = context.auth.logout(&agent, &id, local_only).map_err(at_its_owner(command))?;
    if context.global.json {
        return Ok(Report::json(&json!({
            "agentId": agent.agent,
            "profileId": done.profile,
            "provider": done.provider,
            "type": done.kind,
            "authStorePath": agent.store(),
            "refreshToken": outcome(&done.refresh),
            "accessToken": outcome(&done.access),
            "accessWorksUntil": done.access_works_until(),
            "copies": done.copies,
            "pinnedSessions": done.pinned_sessions,
            "namedByConfig": done.named_by_config,
        })));
    }
    let mut text = format!("Removed {} from {}\n", clean(id.as_str()), agent.store().display());
    for sentence in done.sentences(context.auth.clock().now(), text::local) {
        text.push_str(&format!("{}\n", clean(&sentence)));
    }
    text.push_str(&leftovers(&id, done.pinned_sessions, done.named_by_config));
    Ok(Report::text(text))
}

fn outcome(revocation: &Revocation) -> Value {
    match revocation {
        Revocation::None => json!({"state": "none"}),
        Revocation::Done => json!({"state": "revoked"}),
        Revocation::Failed(why) => json!({"state": "failed", "detail": why}),
        Revocation::NotTried(why) => json!({"state": "not_tried", "detail": why}),
    }
}

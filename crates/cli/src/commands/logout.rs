//! `models auth logout`.

use coderclaw_auth::{LoggedOut, Revocation};
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
            "accessWorksUntil": works_until(&done),
            "copies": done.copies,
            "pinnedSessions": done.pinned_sessions,
            "namedByConfig": done.named_by_config,
        })));
    }
    let mut text = format!("Removed {} from {}\n", clean(id.as_str()), agent.store().display());
    text.push_str(&sentence(context, &done));
    for path in &done.copies {
        text.push_str(&format!("A copy that is not this program's to change: {}\n", path.display()));
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

fn works_until(done: &LoggedOut) -> Option<coderclaw_types::Millis> {
    done.works_until.filter(|_| !matches!(done.access, Revocation::Done | Revocation::None))
}

/// What the provider knows of it, and for how long a token goes on working.
fn sentence(context: &Context, done: &LoggedOut) -> String {
    let is_login = done.kind == "oauth";
    let access = match (done.kind.as_str(), is_login) {
        (_, true) => "access token",
        ("api_key", _) => "key",
        _ => "token",
    };
    let mut revoked = Vec::new();
    let mut not = Vec::new();
    for (name, what) in [("refresh token", &done.refresh), (access, &done.access)] {
        match what {
            Revocation::None => {}
            Revocation::Done => revoked.push(name),
            Revocation::Failed(why) | Revocation::NotTried(why) => not.push((name, why.as_str())),
        }
    }
    let mut text = String::new();
    if !revoked.is_empty() {
        text.push_str(&format!("Revoked at the provider: {}.\n", revoked.join(" and ")));
    }
    match not.as_slice() {
        [] => {}
        [(one, why), (two, same)] if why == same => {
            text.push_str(&format!("Not revoked: {one} and {two} ({}).\n", clean(why)));
        }
        all => {
            for (name, why) in all {
                text.push_str(&format!("Not revoked: {name} ({}).\n", clean(why)));
            }
        }
    }
    if let Some(at) = works_until(done) {
        let now = context.auth.clock().now();
        text.push_str(&format!(
            "Its {access} works for another {}, until {}, wherever there is a copy of it.\n",
            text::span(at.since(now)),
            text::local(at)
        ));
    } else if !is_login && !matches!(done.access, Revocation::None) {
        text.push_str(&format!("The {access} itself works until it is deleted at the provider.\n"));
    }
    text
}

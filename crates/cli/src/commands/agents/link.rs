//! `agents link` and `agents unlink`.

use coderclaw_auth::Linked;
use coderclaw_store::AgentPaths;
use coderclaw_types::AgentId;
use serde_json::json;

use super::named;
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::Report;

pub(super) fn link(context: &Context, id: &str, to: &str) -> Result<Report, CommandError> {
    let (agent, target) = (named(context, id)?, named(context, to)?);
    let done = context.auth.link(&agent, &target)?;
    let mut text = match &done.before {
        _ if !done.changed => format!("Agent {} is linked to {} already.\n", agent.agent, target.agent),
        Some(before) => {
            format!("Agent {} is now linked to {}, and no longer to {before}.\n", agent.agent, target.agent)
        }
        None => format!(
            "Agent {} now also uses the logins of {}, after its own. Nothing was copied.\n",
            agent.agent, target.agent
        ),
    };
    if done.changed {
        text.push_str(&format!("Updated {}\n", done.path.display()));
    }
    Ok(report(context, &agent, Some(&target.agent), &done, text))
}

pub(super) fn unlink(context: &Context, id: &str) -> Result<Report, CommandError> {
    let agent = named(context, id)?;
    let done = context.auth.unlink(&agent)?;
    let text = match &done.before {
        None => format!("Agent {} is linked to nobody.\n", agent.agent),
        Some(before) => format!(
            "Agent {} uses only its own logins now, and no longer those of {before}.\nUpdated {}\n",
            agent.agent,
            done.path.display()
        ),
    };
    Ok(report(context, &agent, None, &done, text))
}

fn report(
    context: &Context,
    agent: &AgentPaths,
    target: Option<&AgentId>,
    done: &Linked,
    text: String,
) -> Report {
    if !context.global.json {
        return Report::text(text);
    }
    Report::json(&json!({
        "agentId": agent.agent,
        "linkedTo": target,
        "before": done.before,
        "changed": done.changed,
        "settingsPath": done.path,
    }))
}

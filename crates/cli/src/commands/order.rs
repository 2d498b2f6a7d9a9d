//! `models auth order get|set|clear`.

use coderclaw_providers::Manifest;
use coderclaw_store::AgentPaths;
use coderclaw_types::ProfileId;
use serde_json::json;

use crate::args::OrderCommand;
use crate::commands::{Context, at_its_owner};
use crate::error::CommandError;
use crate::report::Report;
use crate::text::shell_word;

pub(super) fn run(context: &Context, command: OrderCommand) -> Result<Report, CommandError> {
    let agent = context.agent()?;
    match command {
        OrderCommand::Get { provider } => {
            let manifest = context.provider(&provider)?;
            let order = context.auth.order(&agent, manifest).map_err(context.about(manifest))?;
            Ok(report(context, &agent, manifest, order, true))
        }
        OrderCommand::Set { provider, profiles } => {
            let manifest = context.provider(&provider)?;
            let ids: Vec<ProfileId> = profiles.iter().map(|id| ProfileId::stored(id.trim())).collect();
            let command = || {
                let ids: Vec<String> = profiles.iter().map(|id| shell_word(id.trim())).collect();
                format!("models auth order set --provider {} {}", manifest.id, ids.join(" "))
            };
            let about = context.about(manifest);
            let set = context
                .auth
                .set_order(&agent, manifest, Some(&ids))
                .map_err(|e| about(at_its_owner(command)(e)))?;
            Ok(report(context, &agent, manifest, Some(set), false))
        }
        OrderCommand::Clear { provider } => {
            let manifest = context.provider(&provider)?;
            context.auth.set_order(&agent, manifest, None).map_err(context.about(manifest))?;
            Ok(report(context, &agent, manifest, None, false))
        }
    }
}

fn report(
    context: &Context,
    agent: &AgentPaths,
    manifest: &Manifest,
    order: Option<Vec<ProfileId>>,
    is_look: bool,
) -> Report {
    if context.global.json {
        return Report::json(&json!({
            "agentId": agent.agent,
            "agentDir": agent.dir,
            "provider": manifest.id,
            "authStorePath": agent.store(),
            "order": order,
        }));
    }
    let mut text = format!("Agent: {}\nProvider: {}\n", agent.agent, manifest.id);
    text.push_str(&format!("Auth file: {}\n", agent.store().display()));
    let listed = |ids: Vec<ProfileId>| ids.iter().map(ProfileId::as_str).collect::<Vec<_>>().join(", ");
    match order {
        Some(ids) => text.push_str(&format!("Order override: {}\n", listed(ids))),
        None if is_look => text.push_str("Order override: (none)\n"),
        None => text.push_str("Cleared per-agent order override.\n"),
    }
    Report::text(text)
}

//! `models auth cooldown list|clear`.

use coderclaw_types::ProfileId;
use serde_json::json;

use crate::args::CooldownCommand;
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::Report;
use crate::text::{self, clean};

pub(super) fn run(context: &Context, command: CooldownCommand) -> Result<Report, CommandError> {
    let agent = context.agent()?;
    match command {
        CooldownCommand::List => {
            let now = context.auth.clock().now();
            let cooling = context.auth.cooldowns(&agent)?;
            if context.global.json {
                let cooling: Vec<_> = cooling
                    .iter()
                    .map(|one| {
                        json!({
                            "profileId": one.profile,
                            "reason": one.reason,
                            "until": one.until,
                            "errorCount": one.errors,
                        })
                    })
                    .collect();
                return Ok(Report::json(&json!({"agentId": agent.agent, "cooldowns": cooling})));
            }
            if cooling.is_empty() {
                return Ok(Report::text("No profile is set aside.\n"));
            }
            let lines = cooling.iter().map(|one| {
                let id = clean(one.profile.as_str());
                format!(
                    "{id}  {} for another {} (until {}), after {} failures\n",
                    one.reason,
                    text::span(one.until.since(now)),
                    text::local(one.until),
                    one.errors
                )
            });
            Ok(Report::text(lines.collect::<String>()))
        }
        CooldownCommand::Clear { profile } => {
            let id = profile.as_deref().map(|id| ProfileId::stored(id.trim()));
            let cleared = context.auth.clear_cooldowns(&agent, id.as_ref())?;
            if context.global.json {
                return Ok(Report::json(&json!({"agentId": agent.agent, "cleared": cleared})));
            }
            if cleared.is_empty() {
                return Ok(Report::text("There was nothing to clear.\n"));
            }
            let lines = cleared.iter().map(|id| format!("{} is used again at once.\n", clean(id.as_str())));
            Ok(Report::text(lines.collect::<String>()))
        }
    }
}

//! `models auth cooldown list|clear`.

use coderclaw_types::ProfileId;
use serde_json::json;

use crate::args::CooldownCommand;
use crate::commands::{Context, at_its_owner};
use crate::error::CommandError;
use crate::report::Report;
use crate::text::{self, clean, shell_word};

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
            let name = || id.as_ref().map(|id| shell_word(id.as_str())).unwrap_or_default();
            let command = || format!("models auth cooldown clear {}", name());
            let cleared = context.auth.clear_cooldowns(&agent, id.as_ref()).map_err(at_its_owner(command))?;
            if context.global.json {
                return Ok(Report::json(&json!({
                    "agentId": agent.agent, "usagePath": agent.state(), "cleared": cleared,
                })));
            }
            if cleared.is_empty() {
                return Ok(Report::text("There was nothing to clear.\n"));
            }
            let lines = cleared.iter().map(|id| format!("{} is used again at once.\n", clean(id.as_str())));
            let written = format!("Usage file: {}\n", agent.state().display());
            Ok(Report::text(lines.collect::<String>() + &written))
        }
    }
}

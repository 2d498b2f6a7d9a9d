//! `models auth list`: the agent's profiles.

use coderclaw_types::ProviderId;
use serde_json::json;

use crate::commands::Context;
use crate::commands::status::ProfileJson;
use crate::error::CommandError;
use crate::report::Report;
use crate::text::clean;

pub(super) fn run(context: &Context, provider: Option<&str>) -> Result<Report, CommandError> {
    let agent = context.agent()?;
    let wanted = provider.map(|name| context.provider(name)).transpose()?;
    let wanted = wanted.map(|manifest| ProviderId::new(&manifest.id));
    let status = context.auth.status(&agent)?;
    let profiles: Vec<_> =
        status.profiles.iter().filter(|profile| wanted.is_none() || profile.provider == wanted).collect();
    if context.global.json {
        return Ok(Report::json(&json!({
            "agentId": agent.agent,
            "agentDir": agent.dir,
            "authStorePath": agent.store(),
            "profiles": profiles.iter().map(|profile| ProfileJson::from(*profile)).collect::<Vec<_>>(),
        })));
    }
    if profiles.is_empty() {
        let login = "coderclaw models auth login --provider openai-codex";
        return Ok(Report::text(format!("Agent {} has no such profile. To log in: {login}\n", agent.agent)));
    }
    let width = profiles.iter().map(|p| p.id.as_str().chars().count()).max().unwrap_or(0);
    let lines = profiles.iter().map(|profile| {
        let id = clean(profile.id.as_str());
        let pending = if profile.is_pending { "  not imported yet" } else { "" };
        let from = profile.owner.as_ref().map(|owner| format!("  from agent {owner}")).unwrap_or_default();
        format!("{id:width$}  {:8}  {}{from}{pending}\n", clean(&profile.kind), profile.state)
    });
    Ok(Report::text(lines.collect::<String>()))
}

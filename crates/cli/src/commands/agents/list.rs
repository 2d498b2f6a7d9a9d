//! `agents list`.

use coderclaw_agents::{AgentSummary, Binding, bindings, roster};
use coderclaw_auth::ResolveError;
use serde_json::{Value, json};

use crate::commands::Context;
use crate::error::CommandError;
use crate::report::Report;
use crate::text::clean;

pub(super) fn run(context: &Context, details: bool) -> Result<Report, CommandError> {
    let agents = roster(&context.auth).map_err(ResolveError::from)?;
    let bindings = bindings(context.auth.config());
    if context.global.json {
        let rows: Vec<_> = agents.iter().map(|agent| row(agent, &bindings, details)).collect();
        return Ok(Report::json(&rows));
    }
    let mut text = String::from("Agents:\n");
    for agent in &agents {
        text.push_str(&words(agent, &bindings, details));
    }
    Ok(Report::text(text))
}

fn of<'b>(agent: &AgentSummary, bindings: &'b [Binding]) -> Vec<&'b Binding> {
    bindings.iter().filter(|binding| binding.agent == agent.paths.agent).collect()
}

fn row(agent: &AgentSummary, bindings: &[Binding], details: bool) -> Value {
    let own = of(agent, bindings);
    let mut row = json!({"id": agent.paths.agent});
    if let Some(name) = &agent.name {
        row["name"] = json!(name);
    }
    if let Some((identity, source)) = &agent.identity {
        for (key, text) in [("identityName", &identity.name), ("identityEmoji", &identity.emoji)] {
            if let Some(text) = text {
                row[key] = json!(text);
            }
        }
        row["identitySource"] = json!(source);
    }
    row["workspace"] = json!(agent.workspace);
    row["agentDir"] = json!(agent.paths.dir);
    if let Some(model) = &agent.model {
        row["model"] = json!(model);
    }
    row["bindings"] = json!(own.len());
    if details && !own.is_empty() {
        row["bindingDetails"] = own.iter().map(|binding| json!(binding.on.to_string())).collect();
    }
    if own.is_empty() && agent.is_default {
        row["routes"] = json!(["default (no explicit rules)"]);
    }
    row["isDefault"] = json!(agent.is_default);
    if let Some(link) = &agent.link {
        row["linkedTo"] = json!(link);
    }
    if let Some(problem) = &agent.problem {
        row["problem"] = json!(problem);
    }
    row
}

fn words(agent: &AgentSummary, bindings: &[Binding], details: bool) -> String {
    let own = of(agent, bindings);
    let id = &agent.paths.agent;
    let mut head = format!("- {id}");
    if agent.is_default {
        head.push_str(" (default)");
    }
    if let Some(name) = agent.name.as_ref().filter(|name| name.as_str() != id.as_str()) {
        head.push_str(&format!(" ({})", clean(name)));
    }
    let mut lines = vec![head];
    if let Some((identity, source)) = &agent.identity {
        let parts: Vec<&str> =
            [&identity.emoji, &identity.name].into_iter().filter_map(|part| part.as_deref()).collect();
        let source = if *source == "identity" { "IDENTITY.md" } else { "config" };
        if !parts.is_empty() {
            lines.push(format!("  Identity: {} ({source})", clean(&parts.join(" "))));
        }
    }
    lines.push(format!("  Workspace: {}", agent.workspace.display()));
    lines.push(format!("  Agent dir: {}", agent.paths.dir.display()));
    if let Some(model) = &agent.model {
        lines.push(format!("  Model: {}", clean(model)));
    }
    lines.push(format!("  Routing rules: {}", own.len()));
    if own.is_empty() && agent.is_default {
        lines.push("  Routing: default (no explicit rules)".into());
    }
    if details {
        lines.extend(own.iter().map(|binding| format!("    {}", clean(&binding.on.to_string()))));
    }
    if let Some(link) = &agent.link {
        lines.push(format!("  Linked to: {link}, whose logins it also uses"));
    }
    if let Some(problem) = &agent.problem {
        lines.push(format!("  ! {}", clean(problem)));
    }
    lines.join("\n") + "\n"
}

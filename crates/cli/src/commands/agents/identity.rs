//! `agents set-identity`.

use coderclaw_agents::{Identity, read_identity, set_identity, workspace};
use coderclaw_store::AgentPaths;
use coderclaw_types::Code;
use serde_json::json;

use super::updated;
use crate::args::IdentityArgs;
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::Report;
use crate::text::clean;

pub(super) fn run(context: &Context, args: IdentityArgs) -> Result<Report, CommandError> {
    let agent = which(context, args.workspace.as_deref())?;
    let place = workspace(&context.auth, &agent.agent);
    let file = match args.identity_file {
        Some(file) => Some(context.auth.env().cwd().join(file)),
        None => args.from_identity.then(|| place.join("IDENTITY.md")),
    };
    let from_file = match &file {
        None => Identity::default(),
        Some(file) => read_identity(file).ok_or_else(|| {
            let message = format!("{} says nothing about an identity, or is not there", file.display());
            CommandError::new(Code::Usage, message).hint("coderclaw agents set-identity --help".into())
        })?,
    };
    let text = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let said = Identity {
        name: text(args.name),
        theme: text(args.theme),
        emoji: text(args.emoji),
        avatar: text(args.avatar),
    };
    let identity = said.or(from_file);
    if identity.is_empty() {
        let message =
            "nothing is said about the identity; give --name, --theme, --emoji, --avatar or --from-identity";
        return Err(CommandError::new(Code::InputRequired, message)
            .hint("coderclaw agents set-identity --help".into()));
    }
    let done = set_identity(&context.auth, &agent.agent, &identity)?;
    if context.global.json {
        return Ok(Report::json(&json!({
            "agentId": agent.agent,
            "identity": done.value.to_value(),
            "workspace": place,
            "identityFile": file,
        })));
    }
    let mut text = if done.is_changed { updated(context, &done.path) } else { String::new() };
    text.push_str(&format!("Agent: {}\n", agent.agent));
    for (what, value) in [
        ("Name", &done.value.name),
        ("Theme", &done.value.theme),
        ("Emoji", &done.value.emoji),
        ("Avatar", &done.value.avatar),
    ] {
        if let Some(value) = value {
            text.push_str(&format!("{what}: {}\n", clean(value)));
        }
    }
    Ok(Report::text(text))
}

/// The agent that `--agent` names, else the one that works in the folder, else the default one.
fn which(context: &Context, folder: Option<&str>) -> Result<AgentPaths, CommandError> {
    let Some(folder) = folder.filter(|_| context.global.agent.is_none()) else {
        return context.agent();
    };
    let folder = context.auth.env().resolve(folder);
    let all =
        context.auth.state().agents(context.auth.config()).map_err(coderclaw_auth::ResolveError::from)?;
    let mut found = all.into_iter().filter(|agent| workspace(&context.auth, &agent.agent) == folder);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (first, _) => {
            let how_many = if first.is_some() { "more than one agent works" } else { "no agent works" };
            let message = format!("{how_many} in {}; name it with --agent", folder.display());
            Err(CommandError::new(Code::UnknownAgent, message))
        }
    }
}

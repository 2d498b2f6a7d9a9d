//! `channels list`: the chat channels of the config, and the ids of the agent's profiles. Nobody is asked anything.

use coderclaw_auth::ProfileStatus;
use serde_json::{Map, Value, json};

use crate::args::ChannelsCommand;
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::Report;
use crate::text::clean;

pub(super) fn run(context: &Context, command: Option<ChannelsCommand>) -> Result<Report, CommandError> {
    // The only question that `--no-usage` could forbid is never asked.
    let ChannelsCommand::List { no_usage: _ } = command.unwrap_or(ChannelsCommand::List { no_usage: true });
    let agent = context.agent()?;
    let channels = context.auth.config().channels();
    let profiles = context.auth.status(&agent)?.profiles;
    if context.global.json {
        let chat: Map<String, Value> =
            channels.iter().map(|(channel, accounts)| ((*channel).to_owned(), json!(accounts))).collect();
        let auth: Vec<Value> = profiles.iter().map(profile_json).collect();
        return Ok(Report::json(&json!({"chat": chat, "auth": auth})));
    }
    let mut text = "Chat channels:\n".to_owned();
    for (channel, accounts) in &channels {
        text.push_str(&format!("- {}: {}\n", clean(channel), clean(&accounts.join(", "))));
    }
    if channels.is_empty() {
        text.push_str("- none\n");
    }
    text.push_str("\nAuth providers (OAuth + API keys):\n");
    for profile in &profiles {
        text.push_str(&format!("- {} ({})\n", clean(profile.id.as_str()), clean(&profile.kind)));
    }
    if profiles.is_empty() {
        text.push_str("- none\n");
    }
    Ok(Report::text(text))
}

fn profile_json(profile: &ProfileStatus) -> Value {
    let id = profile.id.as_str();
    // A damaged entry names no provider, but its id does.
    let provider = match &profile.provider {
        Some(provider) => provider.as_str(),
        None => id.split_once(':').map_or(id, |(provider, _)| provider),
    };
    json!({"id": id, "provider": provider, "type": profile.kind, "isExternal": false})
}

//! `channels list`: the chat channels of the config, and the ids of the agent's profiles. Nobody is asked anything without `--usage`.

use coderclaw_auth::ProfileStatus;
use serde_json::{Map, Value, json};

use crate::args::ChannelsCommand;
use crate::commands::{Context, usage};
use crate::error::CommandError;
use crate::report::Report;
use crate::text::clean;

pub(super) fn run(context: &Context, command: Option<ChannelsCommand>) -> Result<Report, CommandError> {
    let command = command.unwrap_or(ChannelsCommand::List { usage: false, no_usage: false });
    let ChannelsCommand::List { usage: ask, no_usage } = command;
    let agent = context.agent()?;
    let channels = context.auth.config().channels();
    let profiles = context.auth.status(&agent)?.profiles;
    // The original asks here unbidden. A list is a look: it shows what is known.
    let known = match (ask, no_usage) {
        (true, _) => Some(context.auth.usage(&agent)?),
        (false, true) => None,
        (false, false) => Some(context.auth.known_usage(&agent)?).filter(|known| !known.is_empty()),
    };
    let now = context.auth.clock().now();
    if context.global.json {
        let chat: Map<String, Value> =
            channels.iter().map(|(channel, accounts)| ((*channel).to_owned(), json!(accounts))).collect();
        let auth: Vec<Value> = profiles.iter().map(profile_json).collect();
        let mut all = json!({"chat": chat, "auth": auth});
        if let Some(known) = known {
            let at = known.iter().map(|one| one.fetched_at).max().unwrap_or(now);
            all["usage"] = json!({"updatedAt": at, "providers": known});
        }
        return Ok(Report::json(&all));
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
    text.extend(known.map(|known| usage::words(&known, now)));
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

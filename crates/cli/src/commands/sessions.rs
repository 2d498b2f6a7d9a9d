//! `sessions`: the chats of an agent, and which account each of them uses.

use coderclaw_agents::model::Role;
use coderclaw_agents::{Sessions, account_words};
use coderclaw_store::{AgentPaths, Pin, SessionEntry};
use coderclaw_types::{Code, Millis, ProfileId};
use serde_json::{Value, json};

use crate::args::SessionsCommand;
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::Report;
use crate::text::{clean, shell_word, when};

pub(super) fn run(context: &Context, command: Option<SessionsCommand>) -> Result<Report, CommandError> {
    let agent = context.agent()?;
    let sessions = Sessions::of(&context.auth, &agent);
    match command.unwrap_or(SessionsCommand::List) {
        SessionsCommand::List => list(context, &agent, &sessions),
        SessionsCommand::Show { key, limit } => show(context, &agent, &sessions, &key, limit),
        SessionsCommand::Unpin { key } => unpin(context, &sessions, &key),
    }
}

/// The agent's profiles that a session may be pinned to.
fn stored(context: &Context, agent: &AgentPaths) -> Result<Vec<ProfileId>, CommandError> {
    Ok(context.auth.status(agent)?.profiles.into_iter().map(|profile| profile.id).collect())
}

fn entry_json(key: &str, entry: &SessionEntry, stored: &[ProfileId]) -> Value {
    let mut json = json!({"key": key, "sessionId": entry.session_id(), "updatedAt": entry.updated_at()});
    if let Some((provider, model)) = entry.model() {
        json["provider"] = json!(provider);
        json["model"] = json!(model);
    }
    if let Some(pin) = entry.pin() {
        let exists = stored.contains(&pin.profile);
        json["pin"] = json!({"profileId": pin.profile, "source": source(&pin), "exists": exists});
    }
    let parked = entry.parked_pins();
    if !parked.is_empty() {
        let parked =
            parked.iter().map(|(provider, profile)| json!({"provider": provider, "profileId": profile}));
        json["parkedPins"] = parked.collect();
    }
    json
}

fn source(pin: &Pin) -> &'static str {
    if pin.by_user { "user" } else { "auto" }
}

fn list(context: &Context, agent: &AgentPaths, sessions: &Sessions) -> Result<Report, CommandError> {
    let all = sessions.list()?;
    let stored = stored(context, agent)?;
    if context.global.json {
        let rows: Vec<_> = all.iter().map(|(key, entry)| entry_json(key, entry, &stored)).collect();
        return Ok(Report::json(&json!({
            "agentId": agent.agent, "path": agent.sessions(), "count": rows.len(), "sessions": rows,
        })));
    }
    if all.is_empty() {
        return Ok(Report::text(format!(
            "Agent {} has no sessions. To begin one: coderclaw chat\n",
            agent.agent
        )));
    }
    let now = context.auth.clock().now();
    let mut text = String::new();
    for (key, entry) in &all {
        text.push_str(&format!("{}{}\n", clean(key), used(entry, now)));
        for line in about(entry, &stored, key) {
            text.push_str(&format!("    {line}\n"));
        }
    }
    Ok(Report::text(text))
}

fn used(entry: &SessionEntry, now: Millis) -> String {
    entry.updated_at().map_or_else(String::new, |at| format!("  ({})", when(at, now)))
}

/// The model and the account of a session, in words.
fn about(entry: &SessionEntry, stored: &[ProfileId], key: &str) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some((provider, model)) = entry.model() {
        lines.push(format!("model: {}", clean(&format!("{provider}/{model}"))));
    }
    if let Some(pin) = entry.pin() {
        let id = clean(pin.profile.as_str());
        let is_gone = !stored.contains(&pin.profile);
        lines.push(format!("account: {id}, {}", account_words(&pin, !is_gone)));
        if is_gone && pin.by_user {
            lines.push(format!("next: coderclaw sessions unpin {}", shell_word(key)));
        }
    }
    for (provider, profile) in entry.parked_pins() {
        lines.push(format!("for {}: {}, pinned by you", clean(provider.as_str()), clean(profile.as_str())));
    }
    lines
}

fn show(
    context: &Context,
    agent: &AgentPaths,
    sessions: &Sessions,
    name: &str,
    limit: usize,
) -> Result<Report, CommandError> {
    let key = sessions.key(name)?;
    let entry = sessions.existing(&key)?;
    let conversation = sessions.conversation(&key)?;
    let stored = stored(context, agent)?;
    let last = &conversation.said[conversation.said.len().saturating_sub(limit)..];
    let speaker = |role: Role| match role {
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    if context.global.json {
        let mut json = entry_json(&key, &entry, &stored);
        json["agentId"] = json!(agent.agent);
        json["messageCount"] = json!(conversation.said.len());
        json["damagedLines"] = json!(conversation.damaged);
        json["messages"] =
            last.iter().map(|said| json!({"role": speaker(said.role), "text": said.text})).collect();
        return Ok(Report::json(&json));
    }
    let mut text = format!("{}{}\n", clean(&key), used(&entry, context.auth.clock().now()));
    for line in about(&entry, &stored, &key) {
        text.push_str(&format!("    {line}\n"));
    }
    if conversation.damaged > 0 {
        text.push_str(&format!(
            "    {} damaged lines of its transcript are passed over\n",
            conversation.damaged
        ));
    }
    for said in last {
        text.push_str(&format!("\n{}:\n", speaker(said.role)));
        for line in said.text.lines() {
            text.push_str(&format!("  {}\n", clean(line)));
        }
    }
    Ok(Report::text(text))
}

fn unpin(context: &Context, sessions: &Sessions, name: &str) -> Result<Report, CommandError> {
    let key = sessions.key(name)?;
    let dropped = sessions.unpin(&key)?;
    if context.global.json {
        return Ok(Report::json(&json!({"key": key, "unpinned": dropped})));
    }
    let key = clean(&key);
    Ok(Report::text(match dropped.is_empty() {
        true => format!("{key} was not pinned; nothing was changed.\n"),
        false => {
            let ids: Vec<_> = dropped.iter().map(|id| clean(id.as_str())).collect();
            format!(
                "{key} is no longer pinned to {}; the order chooses its account again.\n",
                ids.join(" and ")
            )
        }
    }))
}

/// A session that exists nowhere, or whose files are of no use.
impl From<coderclaw_agents::SessionError> for CommandError {
    fn from(error: coderclaw_agents::SessionError) -> Self {
        let hint = (error.code() == Code::UnknownSession).then(|| "coderclaw sessions list".to_owned());
        let said = Self::new(error.code(), error.to_string());
        match hint {
            Some(hint) => said.hint(hint),
            None => said,
        }
    }
}

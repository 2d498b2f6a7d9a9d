//! `agent`: one message, for scripts.

use std::io::Read;

use coderclaw_agents::{Answered, Chat};
use coderclaw_store::AgentPaths;
use coderclaw_types::Code;
use serde_json::json;

use crate::args::AgentArgs;
use crate::commands::Context;
use crate::commands::agents::route;
use crate::commands::chat::{Screen, Sent, With, cleaned, send};
use crate::error::CommandError;
use crate::report::{Report, say};

/// No model takes more, and no message by mistake fills the memory.
const LONGEST: u64 = 8 * 1024 * 1024;

pub(super) fn run(context: &Context, args: &AgentArgs) -> Result<Report, CommandError> {
    let (agent, key) = place(context, args)?;
    let chat = Chat::open(&context.auth, &agent, &key)?;
    let with = With::read(&chat, &args.with)?;
    let text = message(args)?;
    let told = match chat.read(&text)? {
        Some(slash) => chat.command(slash)?,
        None => return ask(context, &agent, &chat, &with, text),
    };
    let Some(message) = told.send else {
        return Ok(match context.global.json {
            true => Report::json(&json!({
                "agentId": agent.agent, "sessionKey": chat.key(), "reply": told.text, "command": true,
            })),
            false => Report::text(format!("{}\n", cleaned(&told.text))),
        });
    };
    if !context.global.json {
        say(&cleaned(&told.text));
    }
    ask(context, &agent, &chat, &with, message)
}

/// The agent that answers and its session: as named, or as the bindings say.
fn place(context: &Context, args: &AgentArgs) -> Result<(AgentPaths, String), CommandError> {
    let Some(channel) = &args.channel else {
        return Ok((context.agent()?, args.session_key.clone().unwrap_or_else(|| "main".into())));
    };
    if context.agent_hint().is_some() {
        let message = "--agent and --channel exclude each other: the bindings name the agent";
        return Err(CommandError::new(Code::Usage, message).hint("coderclaw agent --help".into()));
    }
    let route = route(context, channel.clone(), args.from.clone())?;
    Ok((context.auth.agent(Some(route.agent_id.as_str()))?, route.session_key))
}

fn message(args: &AgentArgs) -> Result<String, CommandError> {
    if let Some(message) = &args.message {
        return wanted(message.clone());
    }
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .take(LONGEST)
        .read_to_end(&mut bytes)
        .map_err(|e| CommandError::new(Code::InputRequired, format!("standard input cannot be read: {e}")))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| CommandError::new(Code::Usage, "the message on standard input is not UTF-8"))?;
    wanted(text)
}

fn wanted(text: String) -> Result<String, CommandError> {
    if text.trim().is_empty() {
        let message = "the message is empty; nothing was sent";
        return Err(CommandError::new(Code::InputRequired, message).hint("coderclaw agent --help".into()));
    }
    Ok(text)
}

fn ask(
    context: &Context,
    agent: &AgentPaths,
    chat: &Chat,
    with: &With,
    text: String,
) -> Result<Report, CommandError> {
    let mut screen = Screen::new(context);
    let is_shown = screen.is_seen();
    match send(context, agent, chat, with, text, &mut screen)? {
        Sent::Answered(answered) if context.global.json => Ok(json(agent, chat, &answered)),
        // It was shown as it came.
        Sent::Answered(_) if is_shown => Ok(Report::default()),
        Sent::Answered(answered) => Ok(Report::text(format!("{}\n", answered.text.trim_end_matches('\n')))),
        Sent::Stopped => Err(CommandError::new(Code::Usage, "stopped; what had come is in the transcript")),
    }
}

fn json(agent: &AgentPaths, chat: &Chat, answered: &Answered) -> Report {
    let (input, output) = answered.usage;
    let moved = answered.moved.iter().map(|moved| {
        json!({
            "provider": moved.provider, "from": moved.from, "to": moved.to, "code": moved.code, "why": moved.why,
            "until": moved.until, "at": moved.at,
        })
    });
    Report::json(&json!({
        "agentId": agent.agent,
        "sessionKey": chat.key(),
        "reply": answered.text,
        "provider": answered.model.provider,
        "model": answered.model.model,
        "profileId": answered.profile,
        "truncated": answered.is_cut,
        "usage": {"input": input, "output": output},
        "moved": moved.collect::<Vec<_>>(),
    }))
}

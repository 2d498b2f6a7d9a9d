//! `agents bind` and `agents unbind`.

use coderclaw_agents::{AgentError, bind_agent, unbind_agent};
use serde_json::json;

use super::add::{bound_json, bound_words, parse};
use super::{named, updated};
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::Report;
use crate::text::clean;

pub(super) fn bind(context: &Context, id: &str, texts: &[String]) -> Result<Report, CommandError> {
    let agent = named(context, id)?.agent;
    let wanted = parse(texts)?;
    let done = bind_agent(&context.auth, &agent, &wanted).map_err(|e| match e {
        AgentError::AlreadyBound(all) if !all.is_empty() => {
            let hint = format!("coderclaw agents unbind {} --all", all[0].1);
            CommandError::from(AgentError::AlreadyBound(all)).hint(hint)
        }
        other => other.into(),
    })?;
    if context.global.json {
        return Ok(Report::json(&json!({"agentId": agent, "bindings": bound_json(&done.value)})));
    }
    let written = if done.is_changed { updated(context, &done.path) } else { String::new() };
    Ok(Report::text(format!("{written}Agent: {agent}\n{}", bound_words(&done.value))))
}

pub(super) fn unbind(
    context: &Context,
    id: &str,
    texts: &[String],
    all: bool,
) -> Result<Report, CommandError> {
    let agent = named(context, id)?.agent;
    let wanted = parse(texts)?;
    let done = unbind_agent(&context.auth, &agent, (!all).then_some(wanted.as_slice()))?;
    let removed: Vec<_> = done.value.iter().map(ToString::to_string).collect();
    let missing: Vec<_> =
        wanted.iter().map(ToString::to_string).filter(|one| !removed.contains(one)).collect();
    if context.global.json {
        return Ok(Report::json(&json!({"agentId": agent, "removed": removed, "missing": missing})));
    }
    let mut text = if done.is_changed { updated(context, &done.path) } else { String::new() };
    text.push_str(&format!("Agent: {agent}\n"));
    for one in &removed {
        text.push_str(&format!("No longer answers: {}\n", clean(one)));
    }
    for one in &missing {
        text.push_str(&format!("Was not bound to it: {}\n", clean(one)));
    }
    if removed.is_empty() && missing.is_empty() {
        text.push_str("It has no bindings.\n");
    }
    Ok(Report::text(text))
}

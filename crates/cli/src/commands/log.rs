//! `models auth log`: the audit trail, and what it says about one profile.

mod names;
mod story;

use coderclaw_auth::TrailLine;
use coderclaw_store::{AuditRead, read_audit, read_settings};
use coderclaw_types::{AgentId, Millis, ProfileId};
use serde_json::{Map, Value, json};

use self::story::Story;
use crate::args::LogArgs;
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::Report;
use crate::text::{self, clean};

type Line = Map<String, Value>;

pub(super) fn run(context: &Context, args: &LogArgs) -> Result<Report, CommandError> {
    let state = context.auth.state();
    let AuditRead { lines, damaged, .. } =
        read_audit(state).map_err(|e| CommandError::new(e.code(), e.to_string()))?;
    let settings = read_settings(state);
    let provider = args.provider.as_deref().map(|name| context.provider(name)).transpose()?;
    let from = args.since.map(|span| context.auth.clock().now().minus(span));
    let is =
        |line: &Line, key: &str, wanted: Option<&str>| wanted.is_none_or(|wanted| word(line, key) == wanted);
    let agent = match context.agent() {
        Ok(agent) => agent,
        // One that is gone has a past all the same.
        Err(e) => match context.global.agent.as_deref().map(AgentId::new) {
            Some(id) if lines.iter().any(|line| word(line, "agentId") == id.as_str()) => {
                state.agent(context.auth.config(), &id)
            }
            _ => return Err(e),
        },
    };
    let wanted_agent = context.global.agent.as_ref().map(|_| agent.agent.as_str());
    let mine = |line: &&Line| {
        is(line, "agentId", wanted_agent)
            && is(line, "provider", provider.map(|provider| provider.id.as_ref()))
    };
    let mut shown: Vec<&Line> = lines.iter().filter(mine).collect();
    let mut story = None;
    if let Some(id) = &args.profile {
        shown = names::about(&shown, id);
        story = Some(Story::of(context, &agent, ProfileId::stored(id), &shown)?);
    }
    shown.retain(|line| is(line, "event", args.event) && from.is_none_or(|from| at(line) >= from));
    let all = shown.len();
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    shown.drain(..all.saturating_sub(limit));
    let enabled = settings.as_ref().map_or(true, |settings| settings.audit.enabled);
    if context.global.json {
        return Ok(Report::json(&json!({
            "path": state.audit_log(),
            "enabled": enabled,
            "settingsProblem": settings.err().map(|e| e.to_string()),
            "events": shown,
            "left": all - shown.len(),
            "damagedLines": damaged,
            "profile": story.as_ref().map(Story::json),
        })));
    }
    let width = text::width();
    let mut out: String = shown.iter().map(|line| screen(line, width)).collect();
    let mut say = |words: String| {
        for line in text::wrap(&words, width) {
            out.push_str(&line);
            out.push('\n');
        }
    };
    if shown.is_empty() {
        say("Nothing of the kind is on record.".into());
    }
    if all > shown.len() {
        say(format!("{} older events are not shown; --limit shows more.", all - shown.len()));
    }
    if damaged > 0 {
        say(format!("Damaged lines that were passed over: {damaged}."));
    }
    if !enabled {
        say("Nothing is recorded at present: settings.toml says so.".into());
    }
    if let Err(e) = &settings {
        say(format!("{e}. Events are recorded all the same, and nobody is told of them."));
    }
    if let Some(story) = &story {
        say(String::new());
        say(story.words(context.auth.clock().now()));
        if let Some(next) = &story.next {
            say(format!("  next: {next}"));
        }
    }
    Ok(Report::text(out))
}

fn word<'a>(line: &'a Line, key: &str) -> &'a str {
    line.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn at(line: &Line) -> Millis {
    Millis(line.get("at").and_then(Value::as_i64).unwrap_or_default())
}

/// One event on one line; below it what more there is.
fn screen(line: &Line, width: usize) -> String {
    let TrailLine { at, what, code, whose, more, .. } = TrailLine::of(line);
    let code = code.map(|code| format!(" [{code}]")).unwrap_or_default();
    let head = format!("{}  {what}{code}  {whose}", text::local(at));
    let mut out = format!("{}\n", clean(head.trim_end()));
    for line in text::wrap(&clean(&more), width.saturating_sub(4)) {
        if !line.is_empty() {
            out.push_str(&format!("    {line}\n"));
        }
    }
    out
}

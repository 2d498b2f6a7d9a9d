//! `models auth explain`: which profile is used, and why not the others.

use coderclaw_auth::{Ask, Explanation, OrderSource, PinSource, Verdict};
use coderclaw_types::AgentId;

use crate::args::ExplainArgs;
use crate::commands::Context;
use crate::error::{CommandError, login_command};
use crate::report::Report;
use crate::text::{self, clean};

pub(super) fn run(context: &Context, args: ExplainArgs) -> Result<Report, CommandError> {
    let agent = context.agent()?;
    let manifest = context.provider(&args.provider)?;
    let ask = Ask {
        session: context.session(&agent, args.session.as_deref())?,
        model: args.model,
        ..Ask::default()
    };
    let explanation = context.auth.explain(&agent, manifest, &ask).map_err(context.about(manifest))?;
    if context.global.json {
        return Ok(Report::json(&explanation));
    }
    let mut text = words(&explanation, context.auth.clock().now());
    if explanation.candidates.is_empty() {
        let command = context.auth_command(login_command(manifest), &manifest.id);
        text.push_str(&format!("\nThere is no login, token or key of it here. To bring one:\n  {command}\n"));
    }
    Ok(Report::text(text))
}

/// The agent whose profile is used, if that is another one.
fn lender(explanation: &Explanation) -> Option<&AgentId> {
    let winner = explanation.winner.as_ref()?.profile_id.as_ref()?;
    let used = explanation.candidates.iter().find(|one| one.profile_id.as_ref() == Some(winner));
    used?.agent_id.as_ref()
}

fn words(explanation: &Explanation, now: coderclaw_types::Millis) -> String {
    let mut out = String::new();
    let provider = &explanation.provider;
    let agent = &explanation.agent_id;
    match &explanation.winner {
        Some(winner) => {
            let name = winner.profile_id.as_ref().map_or_else(|| winner.source.clone(), ToString::to_string);
            let from = lender(explanation).map(|other| format!(", agent {other}'s,")).unwrap_or_default();
            out.push_str(&format!("{provider}, agent {agent}: {}{from} is used.\n", clean(&name)));
        }
        None => out.push_str(&format!("{provider}, agent {agent}: nothing can be used.\n")),
    }
    out.push_str(match explanation.order_source {
        OrderSource::Store => "Order: the agent's own, from its store.\n",
        OrderSource::Config => "Order: auth.order of the config.\n",
        OrderSource::None => "Order: none set. Logins, then tokens, then keys; longest unused first.\n",
    });
    out.push_str(match explanation.pin_source {
        Some(PinSource::Flag) => "Pin: by this call.\n",
        Some(PinSource::Session) => "Pin: the session's, by its user.\n",
        Some(PinSource::Agent) => "Pin: auth_profile of the agent's agent.toml.\n",
        Some(PinSource::SessionAuto) => "The session keeps what it was given, while that works.\n",
        None => "",
    });
    if !explanation.candidates.is_empty() {
        out.push('\n');
    }
    for candidate in &explanation.candidates {
        let name = match (&candidate.profile_id, &candidate.source) {
            (Some(id), _) => clean(id.as_str()),
            (None, Some(source)) => source.clone(),
            (None, None) if candidate.agent_id.is_some() => "a link".into(),
            (None, None) => "a key".into(),
        };
        let (mark, verdict) = match candidate.verdict {
            Verdict::Winner => ("→", "winner"),
            Verdict::Standby => (" ", "standby"),
            Verdict::Skipped => (" ", "skipped"),
        };
        let kind = candidate.kind.as_deref().unwrap_or("nothing stored");
        let from = candidate.agent_id.as_ref().map(|agent| format!(", agent {agent}")).unwrap_or_default();
        out.push_str(&format!("{mark} {name}  ({}{from})\n", clean(kind)));
        let mut why = format!("{verdict}, {}", candidate.reason);
        if candidate.reason != coderclaw_types::Code::Ok {
            let detail = candidate.detail.as_deref().unwrap_or(candidate.reason.meaning());
            why.push_str(&format!(": {}", clean(detail).trim_end_matches('.')));
        }
        if let Some(until) = candidate.until {
            why.push_str(&format!(" (until {}, {})", text::local(until), text::when(until, now)));
        }
        for line in text::wrap(&why, text::width().saturating_sub(4)) {
            out.push_str(&format!("    {line}\n"));
        }
    }
    out
}

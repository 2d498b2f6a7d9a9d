//! `models auth alerts`: which logins need somebody, and telling it to those whom `settings.toml` names.

use coderclaw_auth::{Alert, ResolveError, Urgency};
use serde_json::json;

use crate::commands::Context;
use crate::error::CommandError;
use crate::report::Report;
use crate::text::{self, clean};

pub(super) fn run(context: &Context, send: bool) -> Result<Report, CommandError> {
    let agents = match &context.global.agent {
        Some(_) => vec![context.agent()?],
        None => context.auth.state().agents(context.auth.config()).map_err(ResolveError::from)?,
    };
    let (mut sent, mut all) = (Vec::new(), Vec::new());
    for agent in &agents {
        if send {
            sent.extend(context.auth.send_alerts(agent)?);
        }
        all.extend(context.auth.alerts(agent)?);
    }
    if context.global.json {
        return Ok(Report::json(&json!({"alerts": all, "sent": sent})));
    }
    let mut out = String::new();
    let width = text::width();
    let now = context.auth.clock().now();
    let recovered = sent.iter().filter(|alert| alert.urgency.is_none());
    for alert in all.iter().chain(recovered) {
        for line in text::wrap(&words(alert, now), width) {
            out.push_str(&format!("{line}\n"));
        }
        if let Some(next) = &alert.next {
            out.push_str(&format!("  next: {}\n", clean(next)));
        }
    }
    if out.is_empty() {
        out.push_str("No login needs anybody.\n");
    }
    if send {
        out.push_str(&format!("Told now: {}.\n", sent.len()));
    }
    Ok(Report::text(out))
}

fn words(alert: &Alert, now: coderclaw_types::Millis) -> String {
    let whose = format!("{} of agent {}", clean(alert.profile_id.as_str()), alert.agent_id);
    let ends = || alert.ends_at.map_or_else(|| "soon".to_owned(), |at| text::when(at, now));
    let what = match alert.urgency {
        None => "works again".to_owned(),
        Some(Urgency::NeedsLogin) => format!("needs a new login [{}]", alert.code),
        Some(_) => format!("ends {} and cannot renew itself", ends()),
    };
    let told = if alert.told { ", which was told" } else { "" };
    format!("{whose} {what}{told}")
}

//! `models status`, and `coderclaw` alone: how every login stands, and what is used.

mod json;
mod watch;
mod words;

use coderclaw_auth::{AgentStatus, Auth, Call, ProfileStatus};
use coderclaw_types::{AgentId, ProviderId};

pub(super) use self::json::ProfileJson;
use self::json::StatusJson;
use self::words::View;
use crate::args::StatusArgs;
use crate::commands::{Context, probe, usage};
use crate::error::{CommandError, Next};
use crate::paint::{Paint, draws};
use crate::report::Report;
use crate::text::{self, clean};

pub(super) fn run(context: &Context, args: &StatusArgs) -> Result<Report, CommandError> {
    let agent = context.agent()?;
    if args.plain {
        let (model, _) = context.auth.config().default_model();
        return Ok(Report::text(model.map(|model| format!("{model}\n")).unwrap_or_default()));
    }
    if args.watch {
        return watch::run(context, &agent);
    }
    let probes = if args.probe { Some(probe::run(context, &agent, args)?) } else { None };
    let fetched = if args.usage { Some(context.auth.usage(&agent)?) } else { None };
    // After the probes, since a probe refreshes what is due.
    let status = context.auth.status(&agent)?;
    let exit = if args.check { check(&status) } else { 0 };
    let report = if context.global.json {
        Report::json(&StatusJson::new(context, &agent, &status, probes.as_ref(), fetched.as_deref()))
    } else {
        let paint = Paint::of_stdout(&context.auth, &context.global);
        let draws = draws(&context.auth);
        // Figures that cannot be read are figures that are not known.
        let known = if draws && fetched.is_none() { context.auth.known_usage(&agent).ok() } else { None };
        let view = View {
            auth: &context.auth,
            hint: context.agent_hint(),
            agent: &agent,
            status: &status,
            usage: if draws { fetched.as_deref().or(known.as_deref()).unwrap_or_default() } else { &[] },
            now: context.auth.clock().now(),
            width: text::width(),
            draws,
            paint,
        };
        let mut out = view.words();
        out.extend(probes.as_ref().map(|probes| probes.words(paint)));
        if let Some(fetched) = fetched.filter(|fetched| !draws || fetched.is_empty()) {
            out.push_str(&usage::words(&fetched, context.auth.clock().now()));
        }
        Report::text(out)
    };
    Ok(report.exit(exit))
}

/// 1 where something needs a person, 2 where something that cannot renew itself ends within a day.
fn check(status: &AgentStatus) -> u8 {
    let words = || status.profiles.iter().map(|profile| profile.status);
    let unserved = status.providers.iter().any(|provider| provider.explanation.winner.is_none());
    if unserved || words().any(|word| word == "expired" || word == "missing") {
        1
    } else if words().any(|word| word == "expiring") {
        2
    } else {
        0
    }
}

fn of<'a>(status: &'a AgentStatus, provider: &'a ProviderId) -> impl Iterator<Item = &'a ProfileStatus> {
    status.profiles.iter().filter(move |profile| profile.provider.as_ref() == Some(provider))
}

/// The command that does what a profile calls for. `agent`: whose it is, if it has to be said.
pub(super) fn answer_to(auth: &Auth, profile: &ProfileStatus, call: &Call, agent: Option<&str>) -> String {
    let agent = profile.owner.as_ref().map(AgentId::as_str).or(agent);
    if let (true, Some(provider)) = (call.ends, &profile.provider) {
        let id = text::shell_word(&clean(profile.id.as_str()));
        let agent = agent.map(|agent| format!(" --agent {agent}")).unwrap_or_default();
        return format!(
            "coderclaw models auth paste-token --provider {provider} --profile-id {id} --replace{agent}"
        );
    }
    Next::of(auth, profile, agent).command()
}

//! `models status`, and `coderclaw` alone: how every login stands, and what is used.

use coderclaw_auth::{AgentStatus, Auth, Call, GrantPlace, ProfileStatus, Tone};
use coderclaw_store::AgentPaths;
use coderclaw_types::{AgentId, Millis, ProviderId};

use crate::args::StatusArgs;
use crate::commands::status_json::StatusJson;
use crate::commands::{Context, probe, usage};
use crate::error::{CommandError, Next};
use crate::paint::Paint;
use crate::report::Report;
use crate::text::{self, clean};

pub(super) fn run(context: &Context, args: &StatusArgs) -> Result<Report, CommandError> {
    let agent = context.agent()?;
    if args.plain {
        let (model, _) = context.auth.config().default_model();
        return Ok(Report::text(model.map(|model| format!("{model}\n")).unwrap_or_default()));
    }
    let probes = if args.probe { Some(probe::run(context, &agent, args)?) } else { None };
    let usage = if args.usage { Some(context.auth.usage(&agent)?) } else { None };
    // After the probes, since a probe refreshes what is due.
    let status = context.auth.status(&agent)?;
    let exit = if args.check { check(&status) } else { 0 };
    let report = if context.global.json {
        Report::json(&StatusJson::new(context, &agent, &status, probes.as_ref(), usage.as_deref()))
    } else {
        let paint = Paint::of_stdout(context);
        let mut out = words(context, &agent, &status, paint);
        out.extend(probes.as_ref().map(|probes| probes.words(paint)));
        out.extend(usage.map(|usage| usage::words(&usage, context.auth.clock().now())));
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

pub(super) fn of<'a>(
    status: &'a AgentStatus,
    provider: &'a ProviderId,
) -> impl Iterator<Item = &'a ProfileStatus> {
    status.profiles.iter().filter(move |profile| profile.provider.as_ref() == Some(provider))
}

fn words(context: &Context, agent: &AgentPaths, status: &AgentStatus, paint: Paint) -> String {
    let now = context.auth.clock().now();
    let mut out = format!("Agent {}: {}\n", agent.agent, agent.store().display());
    if let Some((code, detail)) = &status.store_note {
        for line in text::wrap(&format!("! {} [{code}]", clean(detail)), text::width()) {
            out.push_str(&format!("{}\n", paint.yellow(&line)));
        }
    }
    match (&status.linked_to, &status.broken_link) {
        (_, Some(broken)) => {
            let line = format!("! its link to agent {} is no good: {}", broken.target, broken.detail);
            for wrapped in text::wrap(&clean(&line), text::width()) {
                out.push_str(&format!("{wrapped}\n"));
            }
        }
        (Some(target), None) => {
            out.push_str(&format!("Linked to agent {target}, whose logins it also uses\n"));
        }
        (None, None) => {}
    }
    if let Some(line) = status.clock_line() {
        for wrapped in text::wrap(&format!("! {line}"), text::width()) {
            out.push_str(&format!("{}\n", paint.yellow(&wrapped)));
        }
    }
    for problem in &status.import_problems {
        out.push_str(&format!("! {} [{}]\n", clean(&problem.detail), problem.code));
    }
    if status.profiles.is_empty() && status.providers.is_empty() {
        out.push_str("\nNobody is logged in. To set up a login, step by step:\n  coderclaw onboard\n");
        out.push_str(
            "Or at once, with a ChatGPT account:\n  coderclaw models auth login --provider openai-codex\n",
        );
        return out;
    }
    let mut attention: Vec<String> = Vec::new();
    for provider in &status.providers {
        let name = clean(&provider.name);
        out.push_str(&format!("\n{}  ({name})\n", paint.bold(provider.provider.as_str())));
        let winner = provider.explanation.winner.as_ref();
        let mut shown = false;
        for profile in of(status, &provider.provider) {
            shown = true;
            let is_used = provider.explanation.uses(profile);
            let is_hidden = provider.explanation.hides(profile);
            out.push_str(&profile_line(profile, is_used, is_hidden, now, paint));
            note(context, profile, is_used, &mut attention);
        }
        if let Some(winner) = winner.filter(|winner| winner.profile_id.is_none()) {
            out.push_str(&format!("→ {}  a key from outside the store\n", winner.source));
        } else if shown && winner.is_none() {
            out.push_str("  nothing of this can be used now\n");
        }
    }
    let nameless: Vec<_> = status
        .profiles
        .iter()
        .filter(|profile| {
            !status.providers.iter().any(|provider| Some(&provider.provider) == profile.provider.as_ref())
        })
        .collect();
    if !nameless.is_empty() {
        out.push_str("\nOf no known provider\n");
        for profile in nameless {
            out.push_str(&profile_line(profile, false, false, now, paint));
        }
    }
    out.push_str(&imports(status));
    out.push_str(&shared(context, agent));
    if !attention.is_empty() {
        out.push_str(&format!("\n{}\n", paint.bold("Needs attention")));
        out.extend(attention);
    }
    out
}

/// What an older version left.
fn imports(status: &AgentStatus) -> String {
    if status.imports.is_empty() {
        return String::new();
    }
    let mut out = String::from("\nFrom an older version; the next command that uses a login imports them\n");
    for one in &status.imports {
        out.push_str(&format!("  {}\n    {}\n", clean(one.profile.as_str()), one.source.display()));
    }
    out
}

/// Logins that another agent holds too, or another program, which refreshes by itself.
fn shared(context: &Context, agent: &AgentPaths) -> String {
    let (mut agents, mut programs) = (String::new(), String::new());
    for shared in context.auth.shared_grants(Some(agent), true) {
        let is_here = |place: &&GrantPlace| matches!(place, GrantPlace::Profile { agent: one, .. } if *one == agent.agent);
        for place in shared.places.iter().filter(is_here) {
            let GrantPlace::Profile { profile, .. } = place else { continue };
            let (mut others, mut rivals) = (Vec::new(), Vec::new());
            for other in shared.places.iter().filter(|place| !is_here(place)) {
                match other {
                    GrantPlace::Profile { agent, profile } => {
                        others.push(format!("{profile} of agent {agent}"));
                    }
                    GrantPlace::Program { name, .. } => rivals.push(*name),
                }
            }
            if !others.is_empty() {
                let others = others.join(" and ");
                say_of(
                    &format!("{profile}: the same login as {others}. They are refreshed as one."),
                    &mut agents,
                );
            }
            for name in rivals {
                let words = format!(
                    "{profile} is {name}'s own login as well: whichever refreshes it first logs the other out."
                );
                say_of(&words, &mut programs);
                let agent = context.agent_hint().map(|agent| format!(" --agent {agent}")).unwrap_or_default();
                programs.push_str(&format!(
                    "    coderclaw models auth login --provider {}{agent}\n",
                    shared.provider
                ));
            }
        }
    }
    if !agents.is_empty() {
        agents.insert_str(0, "\nShared with another agent\n");
    }
    if !programs.is_empty() {
        agents.push_str("\nShared with another program\n");
    }
    agents + &programs
}

fn say_of(words: &str, out: &mut String) {
    let lines = text::wrap(&clean(words), text::width().saturating_sub(2));
    out.extend(lines.iter().map(|line| format!("  {line}\n")));
}

fn profile_line(
    profile: &ProfileStatus,
    is_used: bool,
    is_hidden: bool,
    now: Millis,
    paint: Paint,
) -> String {
    let mark = if is_used { '→' } else { ' ' };
    let facts = profile.facts(is_hidden, now, text::local);
    let label = clean(&profile.label());
    let mut line = format!("{mark} {}\n", if is_used { paint.bold(&label) } else { label });
    for (i, wrapped) in text::wrap(&facts.join(" · "), text::width().saturating_sub(4)).iter().enumerate() {
        // The state is the first word of the first line.
        let state = profile.state.as_str();
        match wrapped.strip_prefix(state).filter(|_| i == 0) {
            Some(rest) => line.push_str(&format!("    {}{rest}\n", coloured(profile, state, paint))),
            None => line.push_str(&format!("    {wrapped}\n")),
        }
    }
    if let Some(detail) = &profile.detail {
        for wrapped in text::wrap(&clean(detail), text::width().saturating_sub(4)) {
            line.push_str(&format!("    {wrapped}\n"));
        }
    }
    line
}

fn coloured(profile: &ProfileStatus, text: &str, paint: Paint) -> String {
    match profile.tone() {
        Tone::Bad => paint.red(text),
        Tone::Good => paint.green(text),
        Tone::Middling => paint.yellow(text),
    }
}

/// What a person should do about a profile, as one line with one command.
fn note(context: &Context, profile: &ProfileStatus, is_used: bool, attention: &mut Vec<String>) {
    let Some(call) = profile.call(is_used, context.auth.clock().now()) else { return };
    let why = format!("{}: {}", clean(profile.id.as_str()), call.why);
    let lines = text::wrap(&why, text::width().saturating_sub(2));
    attention.extend(lines.iter().map(|line| format!("  {line}\n")));
    let next = answer_to(&context.auth, profile, &call, context.agent_hint());
    if !next.is_empty() {
        attention.push(format!("    {next}\n"));
    }
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

//! `models status`, and `coderclaw` alone: how every login stands, and what is used.

use coderclaw_auth::{AgentStatus, GrantPlace, ProfileStatus};
use coderclaw_store::AgentPaths;
use coderclaw_types::{AgentId, Code, Millis, ProviderId};

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

pub(super) fn label(profile: &ProfileStatus) -> String {
    match &profile.email {
        Some(email) if !profile.id.as_str().contains(email.as_str()) => format!("{} ({email})", profile.id),
        _ => profile.id.to_string(),
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
    if let Some(ms) = status.clock_ahead {
        let side = if ms > 0 { "ahead of" } else { "behind" };
        let span = text::span(std::time::Duration::from_millis(ms.unsigned_abs()));
        let line = format!(
            "! This machine's clock was {span} {side} the provider's at the last refresh. Tokens are timed by when they came, so they are good; set the clock all the same."
        );
        for wrapped in text::wrap(&line, text::width()) {
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
            let is_used = winner.is_some_and(|winner| winner.profile_id.as_ref() == Some(&profile.id));
            let candidates = &provider.explanation.candidates;
            let seen = candidates.iter().find(|one| one.profile_id.as_ref() == Some(&profile.id));
            let is_hidden = seen.is_some_and(|one| one.reason == Code::ExcludedByOrder);
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
                        others.push(format!("{profile} of agent {agent}"))
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
    let mut facts = vec![profile.state.to_string()];
    if profile.is_pending {
        facts.push("not imported yet".into());
    }
    if is_hidden {
        facts.push("not in the order".into());
    }
    match profile.expires_at {
        Some(at) if at > now => facts.push(format!("ends {}", text::when(at, now))),
        Some(at) => facts.push(format!("ended {}", text::when(at, now))),
        None => {}
    }
    if profile.refreshable && !matches!(profile.state, Code::NeedsLogin | Code::Interrupted) {
        facts.push("renews itself".into());
    }
    if let Some(until) = profile.until.filter(|until| *until > now) {
        facts.push(format!("until {}", text::local(until)));
    }
    if let Some(owner) = &profile.owner {
        facts.push(format!("agent {owner}'s"));
    }
    if let Some(fingerprint) = &profile.fingerprint {
        facts.push(format!("#{fingerprint}"));
    }
    let label = clean(&label(profile));
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
    match (profile.state, profile.status) {
        (_, "expired" | "missing") => paint.red(text),
        (Code::Ok | Code::RefreshDue, _) => paint.green(text),
        _ => paint.yellow(text),
    }
}

/// What a person should do about a profile, as one line with one command.
fn note(context: &Context, profile: &ProfileStatus, is_used: bool, attention: &mut Vec<String>) {
    let calls = matches!(profile.status, "expired" | "missing" | "expiring")
        || (is_used && profile.state == Code::Offline);
    if !calls {
        last_month(context, profile, attention);
        return;
    }
    let agent = profile.owner.as_ref().map(AgentId::as_str).or(context.agent_hint());
    let next = Next::of(&context.auth, profile, agent).command();
    let why = format!("{}: {}", clean(profile.id.as_str()), profile.state.meaning());
    indent(&why, attention);
    if !next.is_empty() {
        attention.push(format!("    {next}\n"));
    }
}

fn indent(words: &str, attention: &mut Vec<String>) {
    let lines = text::wrap(words, text::width().saturating_sub(2));
    attention.extend(lines.iter().map(|line| format!("  {line}\n")));
}

/// A pasted token that lasts for months ends on a day that nobody remembers, so its last month is announced.
fn last_month(context: &Context, profile: &ProfileStatus, attention: &mut Vec<String>) {
    const A_MONTH: std::time::Duration = std::time::Duration::from_secs(30 * 86_400);
    let now = context.auth.clock().now();
    let ends = profile.expires_at.filter(|at| *at > now && at.since(now) <= A_MONTH);
    let (Some(at), Some(provider), "token") = (ends, &profile.provider, profile.kind.as_str()) else {
        return;
    };
    let id = profile.id.as_str();
    let why = format!("{}: it ends {} and cannot be renewed", clean(id), text::when(at, now));
    indent(&why, attention);
    let id = text::shell_word(&clean(id));
    attention.push(format!(
        "    coderclaw models auth paste-token --provider {provider} --profile-id {id} --replace\n"
    ));
}

//! The status in words, and on a terminal in bars.

use coderclaw_auth::{AgentStatus, Auth, GrantPlace, ProfileStatus, Usage};
use coderclaw_store::AgentPaths;
use coderclaw_types::Millis;

use super::{answer_to, of};
use crate::commands::usage::{self, Bar};
use crate::paint::Paint;
use crate::text::{self, clean};

/// What is looked at, at one moment, and for whose eyes.
pub(super) struct View<'a> {
    pub(super) auth: &'a Auth,
    /// The agent's name for a next command; none where it is the default agent anyway.
    pub(super) hint: Option<&'a str>,
    pub(super) agent: &'a AgentPaths,
    pub(super) status: &'a AgentStatus,
    /// The figures that are known; shown as bars only.
    pub(super) usage: &'a [Usage],
    pub(super) now: Millis,
    pub(super) width: usize,
    /// Bars and clocks as well as words.
    pub(super) draws: bool,
    pub(super) paint: Paint,
}

impl View<'_> {
    pub(super) fn words(&self) -> String {
        let (agent, status, paint) = (self.agent, self.status, self.paint);
        let mut out = format!("Agent {}: {}\n", agent.agent, agent.store().display());
        self.notices(&mut out);
        if status.profiles.is_empty() && status.providers.is_empty() {
            out.push_str("\nNobody is logged in. To set up a login, step by step:\n  coderclaw onboard\n");
            out.push_str(
                "Or at once, with a ChatGPT account:\n  coderclaw models auth login --provider openai-codex\n",
            );
            return out;
        }
        let mut attention = String::new();
        for provider in &status.providers {
            let name = clean(&provider.name);
            out.push_str(&format!("\n{}  ({name})\n", paint.bold(provider.provider.as_str())));
            let winner = provider.explanation.winner.as_ref();
            let mut shown = false;
            for profile in of(status, &provider.provider) {
                shown = true;
                let is_used = provider.explanation.uses(profile);
                self.profile(profile, is_used, provider.explanation.hides(profile), &mut out);
                self.call(profile, is_used, &mut attention);
            }
            if let Some(winner) = winner.filter(|winner| winner.profile_id.is_none()) {
                out.push_str(&format!("→ {}  a key from outside the store\n", winner.source));
            } else if shown && winner.is_none() {
                out.push_str("  nothing of this can be used now\n");
            }
        }
        let known = |profile: &&ProfileStatus| {
            status.providers.iter().any(|provider| Some(&provider.provider) == profile.provider.as_ref())
        };
        let mut nameless = status.profiles.iter().filter(|profile| !known(profile)).peekable();
        if nameless.peek().is_some() {
            out.push_str("\nOf no known provider\n");
            nameless.for_each(|profile| self.profile(profile, false, false, &mut out));
        }
        self.imports(&mut out);
        self.shared(&mut out);
        if !attention.is_empty() {
            out.push_str(&format!("\n{}\n{attention}", paint.bold("Needs attention")));
        }
        out
    }

    /// `text` in lines that fit, each behind `indent` blanks.
    fn say(&self, indent: usize, text: &str, out: &mut String) {
        for line in text::wrap(&clean(text), self.width.saturating_sub(indent)) {
            out.push_str(&format!("{:indent$}{line}\n", ""));
        }
    }

    /// What is to be known before anything else.
    fn notices(&self, out: &mut String) {
        let status = self.status;
        let warn = |text: &str, out: &mut String| {
            for line in text::wrap(&clean(&format!("! {text}")), self.width) {
                out.push_str(&format!("{}\n", self.paint.yellow(&line)));
            }
        };
        if let Some((code, detail)) = &status.store_note {
            warn(&format!("{detail} [{code}]"), out);
        }
        match (&status.linked_to, &status.broken_link) {
            (_, Some(broken)) => {
                let line = format!("! its link to agent {} is no good: {}", broken.target, broken.detail);
                self.say(0, &line, out);
            }
            (Some(target), None) => {
                out.push_str(&format!("Linked to agent {target}, whose logins it also uses\n"));
            }
            (None, None) => {}
        }
        if let Some(line) = status.clock_line() {
            warn(&line, out);
        }
        for problem in &status.import_problems {
            out.push_str(&format!("! {} [{}]\n", clean(&problem.detail), problem.code));
        }
    }

    fn profile(&self, profile: &ProfileStatus, is_used: bool, is_hidden: bool, out: &mut String) {
        let mark = if is_used { '→' } else { ' ' };
        let facts = profile.facts(is_hidden, self.now, text::local).join(" · ");
        let label = clean(&profile.label());
        out.push_str(&format!("{mark} {}\n", if is_used { self.paint.bold(&label) } else { label }));
        let room = self.width.saturating_sub(4);
        for (i, wrapped) in text::wrap(&facts, room).iter().enumerate() {
            // The state is the first word of the first line.
            let state = profile.state.as_str();
            match wrapped.strip_prefix(state).filter(|_| i == 0) {
                Some(rest) => {
                    out.push_str(&format!("    {}{rest}\n", self.paint.tone(profile.tone(), state)));
                }
                None => out.push_str(&format!("    {wrapped}\n")),
            }
        }
        if let Some(detail) = &profile.detail {
            self.say(4, detail, out);
        }
        if self.draws {
            self.drawn(profile, out);
        }
    }

    /// What runs down: the credential, what keeps the profile aside, and the plan.
    fn drawn(&self, profile: &ProfileStatus, out: &mut String) {
        let refreshed = profile.refreshed_at.map(|at| format!("refreshed {}", text::when(at, self.now)));
        match (profile.percent_left(self.now), &refreshed) {
            (Some(percent), _) => {
                let tail = refreshed.unwrap_or_default();
                let bar = Bar { label: "Time left", percent, tail: &tail, tone: profile.tone() };
                out.push_str(&bar.line(self.width, self.paint));
            }
            (None, Some(refreshed)) => self.say(4, refreshed, out),
            (None, None) => {}
        }
        if let Some(until) = profile.until.filter(|until| *until > self.now) {
            let clock = text::countdown(until.since(self.now));
            out.push_str(&format!("    {:<12} {}\n", "Waits", self.paint.yellow(&clock)));
        }
        // Another agent's figures are not among this one's.
        let is_its = |usage: &&Usage| usage.profile_id == profile.id && profile.owner.is_none();
        if let Some(usage) = self.usage.iter().find(is_its) {
            usage::of_profile(usage, self.now, self.width, self.paint, out);
        }
    }

    /// What an older version left.
    fn imports(&self, out: &mut String) {
        if self.status.imports.is_empty() {
            return;
        }
        out.push_str("\nFrom an older version; the next command that uses a login imports them\n");
        for one in &self.status.imports {
            out.push_str(&format!("  {}\n    {}\n", clean(one.profile.as_str()), one.source.display()));
        }
    }

    /// Logins that another agent holds too, or another program, which refreshes by itself.
    fn shared(&self, out: &mut String) {
        let (mut agents, mut programs) = (String::new(), String::new());
        for shared in self.auth.shared_grants(Some(self.agent), true) {
            let is_here = |place: &&GrantPlace| matches!(place, GrantPlace::Profile { agent: one, .. } if *one == self.agent.agent);
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
                    let words = format!("{profile}: the same login as {others}. They are refreshed as one.");
                    self.say(2, &words, &mut agents);
                }
                for name in rivals {
                    let words = format!(
                        "{profile} is {name}'s own login as well: whichever refreshes it first logs the other out."
                    );
                    self.say(2, &words, &mut programs);
                    let agent = self.hint.map(|agent| format!(" --agent {agent}")).unwrap_or_default();
                    programs.push_str(&format!(
                        "    coderclaw models auth login --provider {}{agent}\n",
                        shared.provider
                    ));
                }
            }
        }
        if !agents.is_empty() {
            out.push_str(&format!("\nShared with another agent\n{agents}"));
        }
        if !programs.is_empty() {
            out.push_str(&format!("\nShared with another program\n{programs}"));
        }
    }

    /// What a person should do about a profile, as one line with one command.
    fn call(&self, profile: &ProfileStatus, is_used: bool, out: &mut String) {
        let Some(call) = profile.call(is_used, self.now) else { return };
        self.say(2, &format!("{}: {}", profile.id, call.why), out);
        let next = answer_to(self.auth, profile, &call, self.hint);
        if !next.is_empty() {
            out.push_str(&format!("    {next}\n"));
        }
    }
}

//! How one profile came to stand as it does: why was I logged out on Tuesday?

use coderclaw_store::AgentPaths;
use coderclaw_types::{Code, Millis, ProfileId, ProviderId};
use serde_json::{Value, json};

use super::names::was;
use super::{Line, at, word};
use crate::commands::Context;
use crate::error::{CommandError, Next, login_for};
use crate::text::{self, clean, shell_word};

pub(super) struct Story {
    profile: ProfileId,
    /// The last time that it got a token, by a login or a refresh.
    last_good: Option<Millis>,
    /// What went wrong since.
    since: Vec<Line>,
    /// What it was renamed to, if that was the last that was heard of it.
    renamed: Option<String>,
    /// How it stands now; `None` where the store has no such profile.
    state: Option<(Code, Option<String>)>,
    pub(super) next: Option<String>,
}

impl Story {
    /// From the lines about the profile, oldest first, and how it stands now.
    pub(super) fn of(
        context: &Context,
        agent: &AgentPaths,
        profile: ProfileId,
        lines: &[&Line],
    ) -> Result<Self, CommandError> {
        let (mut last_good, mut since, mut renamed) = (None, Vec::new(), None);
        // Another agent's profile of that id has a story of its own.
        for line in lines.iter().copied().filter(|line| word(line, "agentId") == agent.agent.as_str()) {
            match (word(line, "event"), word(line, "outcome")) {
                // It goes on under another name, and whoever asks by the old one is to hear of it.
                ("rename", _) if was(line).is_some_and(|before| before == profile.as_str()) => {
                    renamed = Some(word(line, "profileId").to_owned());
                    since.push(line.clone());
                }
                ("login" | "import", _) | ("refresh", "refreshed" | "adopted") => {
                    (last_good, renamed) = (Some(at(line)), None);
                    since.clear();
                }
                ("refresh" | "quarantine" | "expiring" | "failover" | "logout" | "agent_delete", _) => {
                    since.push(line.clone());
                }
                _ => {}
            }
        }
        let status = context.auth.status(agent)?.profiles.into_iter().find(|one| one.id == profile);
        let renamed = renamed.filter(|_| status.is_none());
        let next = match (&status, &renamed) {
            (Some(one), _) => {
                let manifest = one.provider.as_ref().and_then(|id| context.auth.registry().get(id));
                let next = Next {
                    code: one.state,
                    login: manifest.map_or("login", |manifest| login_for(manifest, one.state)),
                    provider: one.provider.as_ref().map(ProviderId::as_str),
                    profile: Some(one.id.as_str()),
                    agent: context.agent_hint(),
                    other: None,
                };
                Some(next.command()).filter(|command| !command.is_empty())
            }
            (None, Some(to)) => Some(format!("coderclaw models auth log --profile {}", shell_word(to))),
            (None, None) => None,
        };
        let state = status.map(|one| (one.state, one.detail));
        Ok(Self { profile, last_good, since, renamed, state, next })
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "profileId": self.profile,
            "lastGoodAt": self.last_good,
            "since": self.since,
            "renamedTo": self.renamed,
            "state": self.state.as_ref().map(|(code, _)| code),
            "detail": self.state.as_ref().and_then(|(_, detail)| detail.as_deref()),
            "next": self.next,
        })
    }

    pub(super) fn words(&self, now: Millis) -> String {
        let id = clean(self.profile.as_str());
        let mut words = match self.last_good {
            Some(good) => format!("{id} last got a token {} ({}).", text::when(good, now), text::local(good)),
            None => format!("When {id} last got a token is not on record."),
        };
        match self.since.as_slice() {
            [] if self.last_good.is_some() => words.push_str(" Nothing went wrong since."),
            [] => {}
            [first, ..] => {
                let count = self.since.len();
                let what = format!("{} {}", word(first, "event"), word(first, "outcome"));
                words.push_str(&format!(" Trouble began {}: {}", text::local(at(first)), what.trim_end()));
                let why =
                    self.since.iter().map(|line| word(line, "detail")).find(|detail| !detail.is_empty());
                words.push_str(&why.map(|why| format!(" ({})", clean(why))).unwrap_or_default());
                words.push_str(&if count > 1 {
                    format!("; {count} events since then.")
                } else {
                    ".".to_owned()
                });
            }
        }
        match &self.state {
            Some((Code::Ok, _)) => words.push_str(" It works."),
            Some((code, _)) => words.push_str(&format!(" Now: {} [{code}]", code.meaning())),
            None => match &self.renamed {
                Some(to) => words.push_str(&format!(" It is called {} now.", clean(to))),
                None => words.push_str(" This agent's store does not have it now."),
            },
        }
        words
    }
}

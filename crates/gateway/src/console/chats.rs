//! An agent's sessions: which account each of them uses, and letting go of a pin.

use coderclaw_agents::{Sessions, account_words};
use coderclaw_store::SessionEntry;
use coderclaw_types::{visible, when};
use maud::{Markup, html};

use super::board::{Board, plain_trouble};
use super::frame::{hidden, name, said, token};

/// Older ones are for `coderclaw sessions list`.
const SHOWN: usize = 50;

pub(super) fn section(board: &Board<'_>) -> Markup {
    let all = Sessions::of(board.auth, board.agent).list();
    html! {
        section #sessions aria-labelledby="sessions-h" {
            h2 #sessions-h { "Sessions" }
            @match &all {
                Err(e) => { (said(Some(&plain_trouble(board.shared, e.code(), &e.to_string())))) }
                Ok(all) if all.is_empty() => {
                    p.empty { "Agent " (board.agent.agent) " has no sessions. To begin one, type: " code { "coderclaw chat" } }
                }
                Ok(all) => {
                    ul.sessions { @for (key, entry) in all.iter().take(SHOWN) { (session(board, key, entry)) } }
                    @if all.len() > SHOWN {
                        p.quiet { (all.len() - SHOWN) " older ones are not shown: " code { "coderclaw sessions list" } }
                    }
                }
            }
        }
    }
}

fn session(board: &Board<'_>, key: &str, entry: &SessionEntry) -> Markup {
    let pin = entry.pin();
    let parked = entry.parked_pins();
    let is_pinned = pin.is_some() || !parked.is_empty();
    html! {
        li.session {
            div.who {
                h3 { (name(key)) @if let Some(at) = entry.updated_at() { " " span.fact { (when(at, board.now)) } } }
                @if let Some((provider, model)) = entry.model() { p.quiet { "model: " (name(&format!("{provider}/{model}"))) } }
                @if let Some(pin) = &pin {
                    p { (name(pin.profile.as_str())) ", " (account_words(pin, board.status.profiles.iter().any(|one| one.id == pin.profile))) }
                }
                @for (provider, profile) in &parked {
                    p.quiet { "for " (name(provider.as_str())) ": " (name(profile.as_str())) ", pinned by you" }
                }
            }
            @if is_pinned {
                form method="post" action="/console/unpin" {
                    (token(board.visit)) (hidden("agent", board.agent.agent.as_str())) (hidden("session", key))
                    button type="submit" aria-label={ "Unpin: " (visible(key)) } { "Unpin" }
                }
            }
        }
    }
}

//! What every page of the console has in common.

use coderclaw_types::{AgentId, Secret, redact, visible};
use maud::{DOCTYPE, Markup, html};

use super::visits::{Said, TOKEN_FIELD, Visit};

/// A page for somebody who is in.
pub(super) fn page(title: &str, visit: &Visit, agents: &Markup, until: &str, body: &Markup) -> Markup {
    whole(
        title,
        &html! {
            a.skip href="#main" { "Skip to the content" }
            header.top {
                div.inner {
                    a.brand href="/" { span.claw aria-hidden="true" {} "CoderClaw" }
                    (agents)
                    form.leave method="post" action="/console/leave" {
                        (token(visit))
                        button type="submit" title={ "Signed in until " (until) } { "Sign out" }
                    }
                }
            }
            main #main { (body) }
        },
    )
}

/// A page with one thing on it.
pub(super) fn small(title: &str, body: Markup) -> Markup {
    whole(title, &html! { main.small #main { (body) } })
}

fn whole(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) " · CoderClaw" }
                link rel="icon" href="/console/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/console/console.css";
                script src="/console/console.js" defer {}
            }
            body { (body) }
        }
    }
}

/// The field that makes a form ours.
pub(super) fn token(visit: &Visit) -> Markup {
    html! { input type="hidden" name=(TOKEN_FIELD) value=(visit.token()); }
}

pub(super) fn hidden(name: &str, value: &str) -> Markup {
    html! { input type="hidden" name=(name) value=(value); }
}

/// A name that somebody else chose: nothing of it is hidden, and it turns nothing around it.
pub(super) fn name(text: &str) -> Markup {
    html! { bdi { (visible(text)) } }
}

/// What somebody said, which may quote anybody: no credential in it is shown.
pub(super) fn words(text: &str) -> String {
    visible(&redact(text))
}

/// What came of something.
pub(super) fn said(said: Option<&Said>) -> Markup {
    html! {
        @if let Some(said) = said {
            div.said.trouble[said.is_trouble] role=(if said.is_trouble { "alert" } else { "status" }) {
                @for line in &said.lines { p { (words(line)) } }
                @if let Some(next) = &said.next { p { "Type: " code { (words(next)) } } }
            }
        }
    }
}

/// The agents, and whose page it is.
pub(super) fn agents(all: &[AgentId], own: &AgentId) -> Markup {
    html! {
        @if all.len() > 1 {
            nav.agents aria-label="Agents" {
                ul {
                    @for agent in all {
                        li { a href=(home(agent, None, "")) aria-current=[(agent == own).then_some("page")] { (agent) } }
                    }
                }
            }
        }
    }
}

/// The address of an agent's page; with what came of something, and at a place of it.
pub(super) fn home(agent: &AgentId, said: Option<u64>, at: &str) -> String {
    // An agent's id has no character that an address would read otherwise.
    let said = said.map(|number| format!("&said={number}")).unwrap_or_default();
    let at = if at.is_empty() { String::new() } else { format!("#{at}") };
    format!("/?agent={agent}{said}{at}")
}

/// A name for a place on the page that stands for a text, whatever that is.
pub(super) fn place(kind: &str, text: &str) -> String {
    let hash = coderclaw_types::TokenHash::of(&Secret::from(text)).to_string();
    format!("{kind}-{}", &hash[..12])
}

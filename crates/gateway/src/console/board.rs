//! The one page with everything on it: an agent's logins, its sessions, and the audit trail of the state dir.

use std::time::Duration;

use coderclaw_auth::{AgentStatus, Auth, ResolveError, Usage};
use coderclaw_store::AgentPaths;
use coderclaw_types::{AgentId, Code, Millis};
use http::{Response, StatusCode};
use maud::{Markup, html};

use super::form::Query;
use super::frame::{self, words};
use super::visits::{Said, Visit};
use super::{chats, logins, reply, trail};
use crate::answer::Answer;
use crate::gateway::Shared;
use crate::options::Trouble;

/// Renewing a certificate is somebody's work, and takes a few days' notice.
const SOON: Duration = Duration::from_secs(7 * 86_400);

/// What a page is made from: everything as it stands at one moment.
pub(super) struct Board<'a> {
    pub(super) shared: &'a Shared,
    pub(super) visit: &'a Visit,
    pub(super) auth: &'a Auth,
    pub(super) agent: &'a AgentPaths,
    pub(super) status: &'a AgentStatus,
    /// The figures that were asked for before.
    pub(super) usage: &'a [Usage],
    pub(super) now: Millis,
}

impl Board<'_> {
    pub(super) fn local(&self, at: Millis) -> String {
        (self.shared.local_time)(at)
    }

    /// The agent's name for a command; none where it is the default agent anyway.
    pub(super) fn agent_hint(&self) -> Option<&str> {
        hint(self.auth, self.agent)
    }
}

fn hint<'a>(auth: &Auth, agent: &'a AgentPaths) -> Option<&'a str> {
    (agent.agent != auth.config().default_agent()).then(|| agent.agent.as_str())
}

/// The page. Reads only.
pub(super) fn page(shared: &Shared, visit: &Visit, query: &Query) -> Response<Answer> {
    let said = query.get("said").and_then(|number| number.parse().ok()).and_then(|number| visit.said(number));
    let auth = match shared.logins.console() {
        Ok(auth) => auth,
        Err(e) => return sorry(shared, visit, e.code(), &e.to_string()),
    };
    let agent = match auth.agent(query.get("agent")) {
        Ok(agent) => agent,
        Err(e) => return sorry(shared, visit, e.code(), &e.to_string()),
    };
    let body = match auth.status(&agent) {
        Ok(status) => {
            let now = shared.clock.now();
            // Figures that cannot be read are figures that are not known.
            let usage = auth.known_usage(&agent).unwrap_or_default();
            let (auth, agent, status, usage) = (&auth, &agent, &status, usage.as_slice());
            everything(&Board { shared, visit, auth, agent, status, usage, now })
        }
        Err(e) => html! { (frame::said(Some(&of_resolve(shared, &e)))) },
    };
    let body = html! {
        (frame::said(said.as_ref()))
        (body)
    };
    let agents = agents(&auth, &agent.agent);
    let page = frame::page("Logins", visit, &agents, &(shared.local_time)(visit.ends), &body);
    reply::page(StatusCode::OK, page)
}

/// The agents there are.
pub(super) fn agents(auth: &Auth, own: &AgentId) -> Markup {
    let all = auth.state().agents(auth.config()).unwrap_or_default();
    let ids: Vec<AgentId> = all.into_iter().map(|agent| agent.agent).collect();
    frame::agents(&ids, own)
}

fn everything(board: &Board<'_>) -> Markup {
    html! {
        h1.unseen { "Agent " (board.agent.agent) }
        (notices(board))
        (logins::attention(board))
        (logins::section(board))
        (chats::section(board))
        (trail::section(board.shared, board.auth))
        @if let Some(line) = certificate(board) { p.quiet { (line) } }
    }
}

/// Until when those who connect over TLS are shown a certificate that is good.
fn certificate(board: &Board<'_>) -> Option<String> {
    let tls = board.shared.shown()?;
    Some(match tls.ends() {
        Some(at) => format!("This gateway speaks TLS; its certificate ends {}.", board.local(at)),
        None => "This gateway speaks TLS.".into(),
    })
}

/// What is wrong with the certificate, or soon will be.
fn certificate_trouble(board: &Board<'_>) -> Vec<String> {
    let Some(certified) = &board.shared.tls else { return Vec::new() };
    let soon = certified.shown().ends().filter(|at| *at < board.now.plus(SOON));
    let ends = soon.map(|at| format!("This gateway's certificate ends {}.", board.local(at)));
    let trouble = certified.trouble().map(|why| format!("The certificate before goes on: {why}"));
    ends.into_iter().chain(trouble).collect()
}

/// What is wrong with more than one login.
fn notices(board: &Board<'_>) -> Markup {
    let status = board.status;
    let mut lines = Vec::new();
    if let Some((code, detail)) = &status.store_note {
        lines.push(format!("{detail} [{code}]"));
    }
    match (&status.linked_to, &status.broken_link) {
        (_, Some(broken)) => {
            lines.push(format!("Its link to agent {} is no good: {}", broken.target, broken.detail));
        }
        (Some(target), None) => lines.push(format!("Linked to agent {target}, whose logins it also uses.")),
        (None, None) => {}
    }
    lines.extend(status.clock_line());
    lines.extend(certificate_trouble(board));
    lines.extend(status.import_problems.iter().map(|one| format!("{} [{}]", one.detail, one.code)));
    if !status.imports.is_empty() {
        lines.push("Logins of an older version are imported by the next command that uses one.".into());
    }
    html! {
        @if !lines.is_empty() {
            section.notices aria-label="Notices" { ul { @for line in &lines { li { (words(line)) } } } }
        }
    }
}

/// A failure, with its code and what to type next.
pub(super) fn trouble(shared: &Shared, about: &Trouble<'_>, text: &str) -> Said {
    let next = (shared.next_command)(about);
    Said {
        is_trouble: true,
        lines: vec![format!("{} [{}]", text.trim_end_matches('.'), about.code)],
        next: Some(next).filter(|next| !next.is_empty()),
    }
}

/// Of something that is about nobody in particular.
pub(super) fn plain_trouble(shared: &Shared, code: Code, text: &str) -> Said {
    let about = Trouble { code, manifest: None, profile: None, agent: None, other: None };
    trouble(shared, &about, text)
}

pub(super) fn of_resolve(shared: &Shared, error: &ResolveError) -> Said {
    plain_trouble(shared, error.code(), &error.to_string())
}

/// A page that can only say why there is no other.
pub(super) fn sorry(shared: &Shared, visit: &Visit, code: Code, text: &str) -> Response<Answer> {
    let body = html! {
        h1 { "This cannot be shown" }
        (frame::said(Some(&plain_trouble(shared, code, text))))
        p { a href="/" { "Back" } }
    };
    let until = (shared.local_time)(visit.ends);
    reply::page(StatusCode::OK, frame::page("Trouble", visit, &html! {}, &until, &body))
}

//! Coming in and going out: the link that works once, and the cookie that follows it.
//!
//! The link's page only shows a button, and the script presses it: what previews or scans links asks for pages, and uses
//! nothing up.

use coderclaw_store::{LinkUse, use_console_link};
use coderclaw_types::Secret;
use http::header::COOKIE;
use http::request::Parts;
use http::{Response, StatusCode};
use maud::html;

use super::form::Query;
use super::visits::Visit;
use super::{frame, reply};
use crate::answer::Answer;
use crate::gateway::Shared;
use crate::options::Note;

/// The command that brings another link.
const OPEN: &str = "coderclaw gateway open";

/// Browsers send a cookie to every port of a host, so each gateway's has a name of its own.
fn cookie_name(port: u16) -> String {
    format!("coderclaw-console-{port}")
}

/// The console's cookie of this request.
pub(super) fn cookie(head: &Parts, port: u16) -> Option<Secret> {
    let name = cookie_name(port);
    let lines = head.headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(own, _)| *own == name).map(|(_, value)| Secret::from(value))
}

/// What the link leads to. The form goes to the page's own address, which has the link in it.
pub(super) fn page(problem: Option<&str>) -> Response<Answer> {
    let body = html! {
        h1 { "Open the console" }
        @if let Some(problem) = problem {
            p.said.trouble role="alert" { (problem) }
            p { "For another link, type this on the machine where the gateway runs:" }
            pre { code { (OPEN) } }
        } @else {
            p { "This link works once. It signs this browser in for eight hours." }
            form method="post" data-now { button.main type="submit" { "Sign in" } }
        }
    };
    let status = if problem.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    reply::page(status, frame::small("Open the console", body))
}

/// Whoever comes without a visit.
pub(super) fn stranger() -> Response<Answer> {
    let body = html! {
        h1 { "CoderClaw" }
        p { "This browser is not signed in. Type this on the machine where the gateway runs, and open the link that it prints:" }
        pre { code { (OPEN) } }
        p.quiet { "Programs come with a key of their own: " code { "coderclaw gateway keys add NAME" } }
    };
    reply::page(StatusCode::FORBIDDEN, frame::small("Sign in", body))
}

/// Uses the link up and lets the browser in.
pub(super) fn enter(shared: &Shared, query: &Query) -> Response<Answer> {
    let now = shared.clock.now();
    let (open, _) = shared.logins.now();
    let link = Secret::from(query.get("link").unwrap_or_default());
    let problem = match use_console_link(open.auth().state(), &link, now) {
        Ok(LinkUse::Entered) => match shared.console.visits.open(now) {
            Ok(cookie) => {
                shared.tell(Note::event("console: a browser signed in with a link".into()));
                let mut response = reply::redirect("/");
                reply::set_cookie(
                    &mut response,
                    &cookie_name(shared.port),
                    Some(&cookie),
                    shared.tls.is_some(),
                );
                return response;
            }
            Err(e) => format!("The system gives no random numbers: {e}."),
        },
        Ok(LinkUse::Ended) => "This link has ended: it came too late.".into(),
        Ok(LinkUse::Unknown) => "This link was used already, or was made in another state dir.".into(),
        Err(e) => format!("This link cannot be used: {e}."),
    };
    shared.tell(Note::event("console: a link that does not work was tried".into()));
    page(Some(&problem))
}

pub(super) fn leave(shared: &Shared, visit: &Visit) -> Response<Answer> {
    visit.end();
    shared.tell(Note::event("console: a browser signed out".into()));
    let mut response = reply::redirect("/");
    reply::set_cookie(&mut response, &cookie_name(shared.port), None, shared.tls.is_some());
    response
}

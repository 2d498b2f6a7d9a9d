//! The console: the same looks and the same changes as the commands, for a browser.
//!
//! Its pages are made here, from what the commands are made from, and work without script; the one that there is brings
//! the audit trail as it is written. Somebody comes in with a link that works once ([`enter`]), and is known by a cookie
//! from then on ([`visits`]). A page that is asked for changes nothing; what changes something is a form that carries the
//! visit's own token and comes from one of our pages ([`gate`], [`form`]).
//!
//! Names, addresses and labels in here were chosen by others. They reach a page as text and in no other way: the template
//! escapes them, and the page's policy runs no script but ours.

mod acts;
mod board;
mod chats;
mod enter;
mod form;
mod frame;
mod gate;
mod line;
mod login;
mod logins;
mod reply;
mod trail;
mod visits;

use std::sync::Arc;

use http::request::Parts;
use http::{Method, Response};
use hyper::body::Incoming;
use tokio::sync::{Semaphore, watch};

use self::form::{Form, Query};
use self::visits::{Visit, Visits};
use crate::answer::Answer;
use crate::gateway::Shared;
use crate::lend::aside;
use crate::refusal::Refusal;

/// So many pages may watch the trail at a time.
const WATCHERS: usize = 16;

/// What the console keeps in memory: who is in. A gateway that ends shows everybody out.
#[derive(Debug)]
pub(crate) struct Console {
    visits: Visits,
    watchers: Arc<Semaphore>,
    ends: watch::Sender<bool>,
}

impl Default for Console {
    fn default() -> Self {
        Self {
            visits: Visits::default(),
            watchers: Arc::new(Semaphore::new(WATCHERS)),
            ends: watch::Sender::new(false),
        }
    }
}

impl Console {
    /// Pages that watch would be waited for: they end here.
    pub(crate) fn end(&self) {
        self.ends.send_replace(true);
    }
}

/// Whether a request is for the console, by its path.
pub(crate) fn is_for(path: &str) -> bool {
    matches!(path, "/" | "/console") || path.starts_with("/console/")
}

/// Answers a request for the console.
pub(crate) async fn answer(
    shared: &Arc<Shared>,
    head: &Parts,
    body: Incoming,
) -> Result<Response<Answer>, Refusal> {
    gate::check(head, shared.port, shared.shown().as_deref())?;
    let path = head.uri.path();
    let query = Query::of(&head.uri);
    if head.method == Method::POST {
        let form = Form::read(head, body, shared.limits.body).await?;
        return act(shared, head, query, form).await;
    }
    match path {
        "/console/console.css" => return Ok(reply::style()),
        "/console/console.js" => return Ok(reply::script()),
        "/console/icon.svg" => return Ok(reply::icon()),
        "/console/enter" => return Ok(enter::page(None)),
        _ => {}
    }
    let Some(visit) = who(shared, head) else { return Ok(enter::stranger()) };
    match path {
        "/" => {
            let shared = Arc::clone(shared);
            aside(move || board::page(&shared, &visit, &query)).await
        }
        "/console/trail" => Ok(trail::stream(shared, head, &query, visit)),
        "/console/logout" => {
            let shared = Arc::clone(shared);
            aside(move || acts::confirm_logout(&shared, &visit, &query)).await
        }
        "/console/login" => Ok(login::page(shared, &visit, &query)),
        _ => Ok(reply::redirect("/")),
    }
}

async fn act(
    shared: &Arc<Shared>,
    head: &Parts,
    query: Query,
    form: Form,
) -> Result<Response<Answer>, Refusal> {
    if head.uri.path() == "/console/enter" {
        let shared = Arc::clone(shared);
        return aside(move || enter::enter(&shared, &query)).await;
    }
    let Some(visit) = who(shared, head) else { return Ok(enter::stranger()) };
    if !visit.wrote(&form) {
        return Err(gate::not_ours("this form is not from a page of this visit"));
    }
    let path = head.uri.path().to_owned();
    let shared = Arc::clone(shared);
    aside(move || match path.as_str() {
        "/console/leave" => enter::leave(&shared, &visit),
        "/console/order" => acts::order(&shared, &visit, &form),
        "/console/refresh" => acts::refresh(&shared, &visit, &form),
        "/console/logout" => acts::logout(&shared, &visit, &form),
        "/console/unpin" => acts::unpin(&shared, &visit, &form),
        "/console/login" => login::start(&shared, &visit, &form),
        "/console/login/finish" => login::finish(&shared, &visit, &form),
        _ => reply::redirect("/"),
    })
    .await
}

/// Who is in, by the cookie.
fn who(shared: &Shared, head: &Parts) -> Option<Visit> {
    let cookie = enter::cookie(head, shared.port)?;
    shared.console.visits.find(&cookie, shared.clock.now())
}

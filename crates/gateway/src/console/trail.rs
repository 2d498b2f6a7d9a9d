//! The audit trail: what happened last, and, while the page is open, what happens.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coderclaw_auth::{Auth, TrailLine};
use coderclaw_store::{AuditPlace, AuditRead, Signature, StateDir, read_audit, read_audit_since};
use coderclaw_types::{redact, visible};
use http::request::Parts;
use http::{Response, StatusCode};
use maud::{Markup, html};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::board::plain_trouble;
use super::form::Query;
use super::frame::said;
use super::visits::Visit;
use super::{frame, reply};
use crate::answer::Answer;
use crate::gateway::Shared;

/// So many lines are on the page.
const SHOWN: usize = 40;
/// Between two looks at the file.
const PAUSE: Duration = Duration::from_millis(400);
/// After so long without a line something is sent, so that whoever is gone is noticed.
const SILENCE: Duration = Duration::from_secs(20);

/// One line as it is shown: at what time, what, with which code, about whom, and more.
struct Row {
    when: String,
    what: String,
    code: Option<String>,
    whose: String,
    more: String,
}

impl Row {
    fn of(shared: &Shared, line: &Map<String, Value>) -> Self {
        let TrailLine { at, what, code, whose, agent, more } = TrailLine::of(line);
        let words = |text: &str| visible(&redact(text));
        // An id is a name, and some names look like keys.
        let mut whose = visible(&whose);
        if let Some(agent) = agent {
            let _written = write!(whose, " of {}", visible(&agent));
        }
        Self {
            when: (shared.local_time)(at),
            what: words(&what),
            code: code.as_deref().map(words),
            whose,
            more: words(&more),
        }
    }
}

pub(super) fn section(shared: &Shared, auth: &Auth) -> Markup {
    let read = read_audit(auth.state());
    html! {
        section #trail aria-labelledby="trail-h" {
            div.head {
                h2 #trail-h { "Audit trail" }
                span.live #live role="status" { noscript { "Reload the page to see what is new." } }
            }
            @match &read {
                Err(e) => { (said(Some(&plain_trouble(shared, e.code(), &e.to_string())))) }
                Ok(AuditRead { lines, damaged, end }) => {
                    ol.trail #lines data-from=(end) aria-label="Newest first" {
                        @for line in lines.iter().rev().take(SHOWN) { (row(Some(&Row::of(shared, line)))) }
                    }
                    @if lines.is_empty() { p.empty #no-lines { "Nothing has happened yet." } }
                    @if *damaged > 0 { p.quiet { "Damaged lines that were passed over: " (damaged) "." } }
                    p.quiet { "All of it: " code { "coderclaw models auth log" } }
                }
            }
            template #line { (row(None)) }
        }
    }
}

fn row(row: Option<&Row>) -> Markup {
    let text = |of: fn(&Row) -> &str| row.map(of).unwrap_or_default().to_owned();
    let code = row.and_then(|row| row.code.as_deref());
    html! {
        li.trouble[code.is_some()] {
            span.when { (text(|row| &row.when)) }
            span.line {
                span.what { (text(|row| &row.what)) } " "
                code.code { (code.unwrap_or_default()) } " "
                bdi.whose { (text(|row| &row.whose)) }
            }
            span.more { (text(|row| &row.more)) }
        }
    }
}

/// What happens from now on, line by line, as server-sent events.
pub(super) fn stream(shared: &Arc<Shared>, head: &Parts, query: &Query, visit: Visit) -> Response<Answer> {
    let Ok(seat) = Arc::clone(&shared.console.watchers).try_acquire_owned() else {
        let body = html! { p { "Too many pages watch already." } };
        return reply::page(StatusCode::SERVICE_UNAVAILABLE, frame::small("Too many", body));
    };
    // A browser that was cut off says where it was.
    let last = head.headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let from = last.or(query.get("from")).and_then(|place| place.parse().ok());
    let (send, lines) = mpsc::channel(16);
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        watch(&shared, from, &send, &visit).await;
        drop(seat);
    });
    reply::events(Answer::live(lines))
}

/// Sends until the page is closed, the visit ends, or the gateway does.
async fn watch(shared: &Arc<Shared>, from: Option<AuditPlace>, send: &mpsc::Sender<Bytes>, visit: &Visit) {
    let mut ends = shared.console.ends.subscribe();
    let (mut place, mut seen) = (from, None);
    let mut heard = Instant::now();
    if send.send(Bytes::from_static(b"retry: 1000\n\n")).await.is_err() {
        return;
    }
    while !*ends.borrow_and_update() && visit.goes_on(shared.clock.now()) {
        let with = Arc::clone(shared);
        let Ok((now_place, now_seen, text)) =
            tokio::task::spawn_blocking(move || look(&with, place, seen)).await
        else {
            return;
        };
        (place, seen) = (now_place, now_seen);
        let text = match text {
            Some(text) => text,
            None if heard.elapsed() >= SILENCE => ": nothing new\n\n".to_owned(),
            None => String::new(),
        };
        if !text.is_empty() {
            heard = Instant::now();
            if send.send(text.into()).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = ends.changed() => {}
            () = send.closed() => return,
        }
    }
}

type Looked = (Option<AuditPlace>, Option<Signature>, Option<String>);

/// What is new, and where to look on. A file that has not changed is not read.
fn look(shared: &Shared, place: Option<AuditPlace>, seen: Option<Signature>) -> Looked {
    let (open, _) = shared.logins.now();
    let state = open.auth().state();
    let now = Signature::of(&state.audit_log());
    if place.is_some() && now == seen {
        return (place, seen, None);
    }
    match new(state, place) {
        // What cannot be read now may be readable later.
        Err(_) => (place, None, None),
        Ok(read) => {
            let text = place.map(|_| events(shared, &read)).filter(|text| !text.is_empty());
            (Some(read.end), now, text)
        }
    }
}

/// Without a place to go on from, only where the trail ends.
fn new(state: &StateDir, place: Option<AuditPlace>) -> Result<AuditRead, coderclaw_store::ReadError> {
    match place {
        Some(place) => read_audit_since(state, place),
        None => read_audit(state),
    }
}

fn events(shared: &Shared, read: &AuditRead) -> String {
    let mut text = String::new();
    for line in &read.lines {
        let Row { when, what, code, whose, more } = Row::of(shared, line);
        // JSON has no line breaks of its own, so one line is one event.
        let data = json!({"when": when, "what": what, "code": code, "whose": whose, "more": more});
        let _written = write!(text, "id: {}\ndata: {data}\n\n", read.end);
    }
    text
}

//! Logging in from a page: the two halves of `models auth login start` and `finish`, so that the browser may be on any machine.

use std::sync::{Arc, PoisonError};

use coderclaw_auth::{Auth, LoggedIn, LoginError, LoginRequest, NotYet, StartedLogin, Tried};
use coderclaw_providers::Manifest;
use coderclaw_store::AgentPaths;
use coderclaw_types::{AgentId, ProfileId, ProviderId, Secret, span, visible};
use http::{Response, StatusCode};
use maud::{Markup, html};

use super::board::{agents, of_resolve, plain_trouble, trouble};
use super::form::{Form, Query};
use super::frame::{self, hidden, home, name, token};
use super::reply;
use super::visits::{Begun, Presses, Said, Visit};
use crate::answer::Answer;
use crate::gateway::Shared;
use crate::options::Trouble;

/// Begins a login and shows what to do. Where the form names a profile, only its own person may log in.
pub(super) fn start(shared: &Shared, visit: &Visit, form: &Form) -> Response<Answer> {
    match begin(shared, form) {
        Ok(begun) => {
            let id = begun.login.id.clone();
            visit.begin(begun);
            reply::redirect(&format!("/console/login?id={id}"))
        }
        Err(said) => {
            let agent = AgentId::new(form.text("agent"));
            reply::redirect(&home(&agent, Some(visit.say(said)), ""))
        }
    }
}

fn begin(shared: &Shared, form: &Form) -> Result<Begun, Said> {
    let auth = shared.logins.console().map_err(|e| plain_trouble(shared, e.code(), &e.to_string()))?;
    let agent = auth.agent(Some(form.text("agent"))).map_err(|e| of_resolve(shared, &e))?;
    let manifest = auth.provider(form.text("provider")).map_err(|e| of_resolve(shared, &e))?;
    let request = match form.get("profile").map(ProfileId::stored) {
        None => LoginRequest::default(),
        Some(id) => {
            let status = auth.status(&agent).map_err(|e| of_resolve(shared, &e))?;
            let expect = status.profiles.into_iter().find(|one| one.id == id).and_then(|one| one.email);
            LoginRequest { profile_id: Some(id), expect, ..LoginRequest::default() }
        }
    };
    let login: StartedLogin = auth
        .start_login(&agent, manifest, &request)
        .map_err(|e| of_login(shared, &auth, &agent, Some(manifest), &e))?;
    Ok(Begun {
        login,
        agent: agent.agent,
        provider: ProviderId::new(&manifest.id),
        name: manifest.name.to_string(),
        expect: request.expect,
        presses: Arc::default(),
    })
}

fn of_login(
    shared: &Shared,
    auth: &Auth,
    agent: &AgentPaths,
    manifest: Option<&Manifest>,
    error: &LoginError,
) -> Said {
    let is_default = agent.agent == auth.config().default_agent();
    let whose = (!is_default).then_some(&agent.agent);
    let about = Trouble { code: error.code(), manifest, profile: None, agent: whose, other: None };
    // The next step is the button on the page, not a command.
    Said { next: None, ..trouble(shared, &about, &error.to_string()) }
}

/// What to do: open, log in, copy, paste.
pub(super) fn page(shared: &Shared, visit: &Visit, query: &Query) -> Response<Answer> {
    let Some(begun) = query.get("id").and_then(|id| visit.begun(id)) else {
        let said = Said {
            is_trouble: true,
            lines: vec!["This login is over. Begin another one.".into()],
            next: None,
        };
        let agent = AgentId::new(query.get("agent").unwrap_or_default());
        return reply::redirect(&home(&agent, Some(visit.say(said)), ""));
    };
    let said = query.get("said").and_then(|number| number.parse().ok()).and_then(|number| visit.said(number));
    let body = html! {
        section.ask.steps {
            h1 { "Log in to " (name(&begun.name)) }
            @if let Some(expect) = &begun.expect { p.quiet { "As " (name(expect)) ", and nobody else." } }
            (frame::said(said.as_ref()))
            ol {
                li {
                    p { "Open the provider's page and log in there. Any browser will do, on any machine." }
                    (link(&begun.login.url))
                }
                @match &begun.login.user_code {
                    Some(code) => (typed(visit, &begun, code)),
                    None => (pasted(shared, visit, &begun)),
                }
            }
        }
    };
    let agents = shared.logins.console().map(|auth| agents(&auth, &begun.agent)).unwrap_or_default();
    let page = frame::page("Log in", visit, &agents, &(shared.local_time)(visit.ends), &body);
    reply::page(StatusCode::OK, page)
}

/// The rest of it where a code is typed in on the provider's page.
fn typed(visit: &Visit, begun: &Begun, code: &str) -> Markup {
    html! {
        li { p { "Type in this code there:" } p.typed { code { (visible(code)) } } }
        li {
            p { "Then come back and press this:" }
            form method="post" action="/console/login/finish" {
                (token(visit)) (hidden("id", &begun.login.id))
                (buttons(begun, "I have typed it in"))
            }
        }
    }
}

/// The rest of it where the browser ends at an address that is pasted here.
fn pasted(shared: &Shared, visit: &Visit, begun: &Begun) -> Markup {
    let ends = begun.login.redirect_uri.as_deref();
    html! {
        li {
            p {
                "The browser then ends at an address"
                @if let Some(ends) = ends { " that begins with " code { (name(ends)) } }
                " and may not load. That is as it should be: copy that whole address."
            }
        }
        li {
            form method="post" action="/console/login/finish" {
                (token(visit)) (hidden("id", &begun.login.id))
                label for="pasted" { "Paste it here" }
                textarea #pasted name="pasted" rows="3" required spellcheck="false" autocomplete="off"
                    autocapitalize="off" aria-describedby="pasted-hint" {}
                p.quiet #pasted-hint {
                    "The code alone will do, too. It works until " ((shared.local_time)(begun.login.expires)) "."
                }
                (buttons(begun, "Finish"))
            }
        }
    }
}

fn buttons(begun: &Begun, finish: &str) -> Markup {
    html! {
        div.doing {
            button.main type="submit" { (finish) }
            a.button href=(home(&begun.agent, None, "")) { "Not now" }
        }
    }
}

/// A provider's file may say anything; only what a browser opens as a page becomes a link.
fn link(url: &str) -> Markup {
    let is_page = url.starts_with("https://") || url.starts_with("http://");
    html! {
        @if is_page {
            p { a.button.main href=(url) target="_blank" rel="noopener noreferrer" { "Open the login page" } }
        }
        details open[!is_page] {
            summary { "Or copy its address" }
            p.address { code { (url) } }
        }
    }
}

/// Hands over what was pasted, or asks whether the code has been typed in. What is not the answer leaves the login waiting.
pub(super) fn finish(shared: &Shared, visit: &Visit, form: &Form) -> Response<Answer> {
    let id = form.text("id");
    let Some(begun) = visit.begun(id) else {
        return reply::redirect(&format!("/console/login?id={}", if is_plain(id) { id } else { "" }));
    };
    let mut presses = begun.presses.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(number) = presses.ended {
        return reply::redirect(&home(&begun.agent, Some(number), ""));
    }
    let nothing = Secret::from("");
    let pasted = form.secret("pasted").unwrap_or(&nothing);
    match end(shared, &begun, pasted, &mut presses) {
        End::Waits(said) => reply::redirect(&format!("/console/login?id={id}&said={}", visit.say(said))),
        End::Over(said) => {
            let number = visit.say(said);
            presses.ended = Some(number);
            visit.finished(id);
            reply::redirect(&home(&begun.agent, Some(number), ""))
        }
    }
}

/// What came of a press: the login waits on, or is over.
enum End {
    Waits(Said),
    Over(Said),
}

fn end(shared: &Shared, begun: &Begun, pasted: &Secret, presses: &mut Presses) -> End {
    let auth = match shared.logins.console() {
        Ok(auth) => auth,
        Err(e) => return End::Waits(plain_trouble(shared, e.code(), &e.to_string())),
    };
    match auth.try_login(&begun.login.id, pasted, &mut presses.questions) {
        Ok(Tried::Done(_, done)) => End::Over(words(begun, &done, auth.take_notes())),
        Ok(Tried::NotYet(why)) => End::Waits(not_yet(&begun.name, why)),
        Err(e) => {
            let agent = auth.state().agent(auth.config(), &begun.agent);
            let manifest = auth.registry().get(&begun.provider);
            let said = of_login(shared, &auth, &agent, manifest, &e);
            // What is not its answer, and a store that takes none, leave it waiting.
            let waits = auth.pending_login(&begun.login.id).is_ok();
            if waits { End::Waits(said) } else { End::Over(said) }
        }
    }
}

fn not_yet(provider: &str, why: NotYet) -> Said {
    let (is_trouble, lines) = match why {
        NotYet::NotTypedIn => (
            false,
            vec![
                format!("Not yet: {provider} says that the code has not been typed in."),
                "Type it in on the provider's page, then press again.".into(),
            ],
        ),
        NotYet::TooSoon { pause, left } => (
            false,
            vec![
                format!("Not yet: {provider} wants {} between two questions.", span(pause)),
                format!("Press again in {}.", span(left)),
            ],
        ),
        NotYet::Unknown { why, pause } => (
            true,
            vec![
                format!("{provider} could not say whether the code has been typed in: {why}"),
                format!("The login still waits. Press again in {}.", span(pause)),
            ],
        ),
    };
    Said { is_trouble, lines, next: None }
}

fn is_plain(id: &str) -> bool {
    id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn words(begun: &Begun, done: &LoggedIn, notes: Vec<String>) -> Said {
    let what = if done.replaced { "Renewed" } else { "Stored" };
    let mut lines = vec![format!("{what} {} for agent {}.", done.profile, begun.agent)];
    if done.hidden_by_order {
        lines.push("The order leaves it out; \"Add to the order\" beside it puts it in.".into());
    }
    for (agent, id) in &done.also_in {
        lines.push(format!(
            "Agent {agent} has a login of the same person, {id}. It is another one and goes on by itself."
        ));
    }
    if let Some(why) = &done.still_set_aside {
        lines.push(format!("The login is stored, but the profile may still be set aside: {why}"));
    }
    lines.extend(notes);
    Said { lines, ..Said::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_become_links() {
        let shown = |url: &str| link(url).into_string();
        assert!(
            shown("https://id.example/authorize?a=1&b=2")
                .contains("href=\"https://id.example/authorize?a=1&amp;b=2\"")
        );
        for wrong in ["javascript:alert(1)", "data:text/html,x", " https://x", "HTTPS://x", "//x"] {
            assert!(!shown(wrong).contains("href"), "{wrong}");
        }
    }
}

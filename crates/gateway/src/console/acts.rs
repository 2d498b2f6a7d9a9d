//! What the buttons do: the same as the commands, by the same functions.

use coderclaw_agents::Sessions;
use coderclaw_auth::{Ask, Auth, EditError, ProfileStatus};
use coderclaw_providers::Manifest;
use coderclaw_store::AgentPaths;
use coderclaw_types::{AgentId, Code, ProfileId, ProviderId};
use http::{Response, StatusCode};
use maud::html;

use super::board::{agents, of_resolve, plain_trouble, sorry, trouble};
use super::form::{Form, Query};
use super::frame::{self, hidden, home, name, place, token};
use super::line::{Line, Move};
use super::reply;
use super::visits::{Said, Visit};
use crate::answer::Answer;
use crate::gateway::Shared;
use crate::options::Trouble;

/// What an act works with: the agent that the form names.
struct Act<'a> {
    shared: &'a Shared,
    auth: Auth,
    agent: AgentPaths,
}

impl<'a> Act<'a> {
    fn of(shared: &'a Shared, agent: &str) -> Result<Self, Said> {
        let auth = shared.logins.console().map_err(|e| plain_trouble(shared, e.code(), &e.to_string()))?;
        let agent = auth.agent(Some(agent)).map_err(|e| of_resolve(shared, &e))?;
        Ok(Self { shared, auth, agent })
    }

    fn profile(&self, id: &ProfileId) -> Result<ProfileStatus, Said> {
        let status = self.auth.status(&self.agent).map_err(|e| of_resolve(self.shared, &e))?;
        let found = status.profiles.into_iter().find(|one| one.id == *id);
        found.ok_or_else(|| {
            let text = format!("agent {} has no profile \"{id}\"", self.agent.agent);
            self.trouble(Code::UnknownProfile, &text, None, Some(id))
        })
    }

    fn manifest(&self, provider: &str) -> Result<&Manifest, Said> {
        self.auth.provider(provider).map_err(|e| of_resolve(self.shared, &e))
    }

    /// The agent for a command, where it has to be named.
    fn hint(&self) -> Option<&AgentId> {
        Some(&self.agent.agent).filter(|agent| **agent != self.auth.config().default_agent())
    }

    fn trouble(
        &self,
        code: Code,
        text: &str,
        manifest: Option<&Manifest>,
        profile: Option<&ProfileId>,
    ) -> Said {
        let other = None;
        trouble(self.shared, &Trouble { code, manifest, profile, agent: self.hint(), other }, text)
    }

    fn of_edit(&self, error: &EditError, manifest: Option<&Manifest>, profile: &ProfileId) -> Said {
        self.trouble(error.code(), &error.to_string(), manifest, Some(profile))
    }

    /// What was said beside the result, too.
    fn done(&self, mut lines: Vec<String>) -> Said {
        lines.extend(self.auth.take_notes());
        Said { lines, ..Said::default() }
    }
}

/// Back to the agent's page, with what came of it, at a place of it.
fn back(visit: &Visit, agent: &str, said: Said, at: &str) -> Response<Answer> {
    let number = visit.say(said);
    reply::redirect(&home(&AgentId::new(agent), Some(number), at))
}

fn either(result: Result<Said, Said>) -> Said {
    result.unwrap_or_else(|trouble| trouble)
}

/// `models auth order set`, one place at a time, and `clear`.
pub(super) fn order(shared: &Shared, visit: &Visit, form: &Form) -> Response<Answer> {
    let (agent, to) = (form.text("agent"), form.text("to"));
    let profile = ProfileId::stored(form.text("profile"));
    match move_to(shared, form, agent, &profile, to) {
        // The page itself says what has changed, at the button that changed it.
        Ok(()) => reply::redirect(&home(&AgentId::new(agent), None, &place(to, profile.as_str()))),
        Err(said) => back(visit, agent, said, ""),
    }
}

fn move_to(shared: &Shared, form: &Form, agent: &str, profile: &ProfileId, to: &str) -> Result<(), Said> {
    let act = Act::of(shared, agent)?;
    let manifest = act.manifest(form.text("provider"))?;
    let status = act.auth.status(&act.agent).map_err(|e| of_resolve(shared, &e))?;
    let provider = ProviderId::new(&manifest.id);
    let one = status.providers.iter().find(|one| one.provider == provider);
    let line = one.map(|one| Line::of(&act.auth, &act.agent, manifest, &one.explanation, &status.profiles));
    let line = line.transpose().map_err(|e| act.of_edit(&e, Some(manifest), profile))?;
    let Some(line) = line.filter(|line| line.is_shown(form)) else {
        let line = "The order was changed meanwhile, so nothing was done. This is how it stands now.".into();
        return Err(Said { is_trouble: true, lines: vec![line], next: None });
    };
    let wanted = match to {
        "clear" => None,
        to => match Move::of(to).and_then(|how| line.moved(profile, how)) {
            Some(ids) => Some(ids),
            // Already there.
            None => return Ok(()),
        },
    };
    let set = act.auth.set_order(&act.agent, manifest, wanted.as_deref());
    set.map(drop).map_err(|e| act.of_edit(&e, Some(manifest), profile))
}

/// `models auth refresh`.
pub(super) fn refresh(shared: &Shared, visit: &Visit, form: &Form) -> Response<Answer> {
    let (agent, id) = (form.text("agent"), ProfileId::stored(form.text("profile")));
    let said = Act::of(shared, agent).and_then(|act| {
        let profile = act.profile(&id)?;
        let provider = profile.provider.as_ref().map_or("", ProviderId::as_str);
        let manifest = act.manifest(provider)?;
        let ask = Ask { profile: Some(id.clone()), ..Ask::default() };
        let done = act
            .auth
            .refresh_now(&act.agent, manifest, ask)
            .map_err(|e| act.trouble(e.code(), &e.to_string(), Some(manifest), Some(&id)))?;
        let sentence = done.sentence(shared.clock.now(), shared.local_time);
        match done.still_due {
            Some(_) => Err(act.trouble(Code::RefreshDue, &sentence, Some(manifest), Some(&id))),
            None => Ok(act.done(vec![sentence])),
        }
    });
    back(visit, agent, either(said), "")
}

/// `sessions unpin`.
pub(super) fn unpin(shared: &Shared, visit: &Visit, form: &Form) -> Response<Answer> {
    let (agent, key) = (form.text("agent"), form.text("session"));
    let said = Act::of(shared, agent).and_then(|act| {
        let dropped = Sessions::of(&act.auth, &act.agent)
            .unpin(key)
            .map_err(|e| act.trouble(e.code(), &e.to_string(), None, None))?;
        let ids: Vec<_> = dropped.iter().map(ProfileId::as_str).collect();
        Ok(act.done(vec![match ids.as_slice() {
            [] => format!("{key} was not pinned; nothing was changed."),
            ids => format!(
                "{key} is no longer pinned to {}; the order chooses its account again.",
                ids.join(" and ")
            ),
        }]))
    });
    back(visit, agent, either(said), "sessions")
}

/// Asks before anything is lost.
pub(super) fn confirm_logout(shared: &Shared, visit: &Visit, query: &Query) -> Response<Answer> {
    let (agent, id) = (query.get("agent").unwrap_or_default(), query.get("profile").unwrap_or_default());
    let id = ProfileId::stored(id);
    let act = match Act::of(shared, agent) {
        Ok(act) => act,
        Err(said) => return back(visit, agent, said, ""),
    };
    let profile = match act.profile(&id) {
        Ok(profile) => profile,
        Err(said) => return back(visit, agent, said, ""),
    };
    if let Some(owner) = &profile.owner {
        let error = EditError::Linked { id, agent: act.agent.agent.clone(), owner: owner.clone() };
        return sorry(shared, visit, error.code(), &error.to_string());
    }
    let is_login = profile.kind == "oauth";
    let body = html! {
        section.ask {
            h1 { "Log out?" }
            p { (name(&profile.label())) " of agent " (act.agent.agent) }
            p {
                "It is removed from this machine, with every copy of its tokens that is CoderClaw's. "
                @if is_login { "Its tokens are revoked at the provider. To use the account again, somebody has to log in." }
                @else { "The provider is not told: a token or key is ended there by hand." }
            }
            form method="post" action="/console/logout" {
                (token(visit)) (hidden("agent", act.agent.agent.as_str())) (hidden("profile", id.as_str()))
                @if is_login {
                    label.check { input type="checkbox" name="local" value="yes"; " Only here: tell the provider nothing" }
                }
                div.doing {
                    button.danger type="submit" { "Log out" }
                    a.button href=(home(&act.agent.agent, None, &place("p", id.as_str()))) { "Keep it" }
                }
            }
        }
    };
    let page = frame::page(
        "Log out",
        visit,
        &agents(&act.auth, &act.agent.agent),
        &(shared.local_time)(visit.ends),
        &body,
    );
    reply::page(StatusCode::OK, page)
}

/// `models auth logout`.
pub(super) fn logout(shared: &Shared, visit: &Visit, form: &Form) -> Response<Answer> {
    let (agent, id) = (form.text("agent"), ProfileId::stored(form.text("profile")));
    let is_local = form.get("local") == Some("yes");
    let said = Act::of(shared, agent).and_then(|act| {
        let done = act.auth.logout(&act.agent, &id, is_local).map_err(|e| act.of_edit(&e, None, &id))?;
        let mut lines = vec![format!("Removed {id} from agent {}.", act.agent.agent)];
        lines.extend(done.sentences(shared.clock.now(), shared.local_time));
        if done.pinned_sessions > 0 {
            lines.push(format!("Sessions still pinned to it: {}.", done.pinned_sessions));
        }
        if done.named_by_config {
            lines.push("The config still names it.".into());
        }
        Ok(act.done(lines))
    });
    back(visit, agent, either(said), "")
}

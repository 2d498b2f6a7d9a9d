//! The commands of a chat: what each changes in its session, and what it has to say.

use coderclaw_auth::{AgentStatus, Candidate, Explanation, PinSource, Verdict};
use coderclaw_providers::{CredentialKind, Manifest};
use coderclaw_types::{Code, ProfileId, ProviderId};

use super::{Chat, ChatError};
use crate::model_ref::ModelRef;
use crate::session::{SessionError, switch_model};
use crate::slash::{Listing, ModelWish, Slash};

/// What a command has to say, and what is to be done behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// For the person.
    pub text: String,
    /// A message that is to be sent now.
    pub send: Option<String>,
    /// The chat is over.
    pub quit: bool,
}

impl Told {
    fn say(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

impl Chat {
    /// Carries out a command.
    ///
    /// # Errors
    /// Where it cannot be; nothing was changed then.
    pub fn command(&self, slash: Slash) -> Result<Told, ChatError> {
        match slash {
            Slash::Model(ModelWish::Show) => self.show(),
            Slash::Model(ModelWish::List) => self.list(&Listing::default()),
            Slash::Model(ModelWish::Status) => self.model_status(),
            Slash::Model(ModelWish::Choose(name)) => self.choose(&name).map(Told::say),
            Slash::Models(listing) => self.list(&listing),
            Slash::New(rest) => self.renew(rest.as_deref()),
            Slash::Reset => self.renew(None),
            Slash::Unpin => self.unpin(),
            Slash::Status => self.status(),
            Slash::Help => Ok(Told::say(HELP)),
            Slash::Quit => Ok(Told { quit: true, ..Told::default() }),
        }
    }

    /// Uses another model, and perhaps one account for it.
    fn choose(&self, name: &str) -> Result<String, ChatError> {
        let status = self.auth.status(&self.agent)?;
        let (model, profile) = self.read_choice(name, &status)?;
        let default = self.default_model().ok();
        // Without a default there is nothing to go back to, and every choice is one of its own.
        let none = ModelRef::new(ProviderId::new(""), "");
        let base = default.as_ref().unwrap_or(&none);
        let (before, after) = self.sessions.change(&self.key, |entry| {
            let before = entry.clone();
            switch_model(
                entry,
                (&base.provider, &base.model),
                (&model.provider, &model.model),
                profile.as_ref(),
            );
            (before, entry.clone())
        })?;
        let names = self.names();
        let is_default = default.as_ref() == Some(&model);
        let mut text = match (is_default, names.alias_of(&model)) {
            (true, _) => format!("Model reset to default ({model})."),
            (false, Some(alias)) => format!("Model set to {} ({model}).", alias.name),
            (false, None) => format!("Model set to {model}."),
        };
        if let Some(profile) = &profile {
            text.push_str(&format!(" Auth profile set to {profile}."));
        } else if let Some(pin) = after.pin().filter(|pin| pin.by_user) {
            let stays = if before.pin().as_ref() == Some(&pin) { "stays" } else { "is again" };
            text.push_str(&format!(" Auth profile {stays} {} (/unpin drops that).", pin.profile));
        } else if let Some(pin) = before.pin().filter(|pin| pin.by_user) {
            text.push_str(&format!(" {} is set aside until its provider is used again.", pin.profile));
        }
        if let Some(warning) = self.warning(&model)? {
            text.push_str(&format!("\n{warning}"));
        }
        Ok(text)
    }

    /// Says what stands in the way of the account that was chosen, before a message runs into it.
    fn warning(&self, model: &ModelRef) -> Result<Option<String>, ChatError> {
        let in_use = self.in_use()?;
        if in_use.explanation.winner.is_some() {
            return Ok(None);
        }
        let manifest = self.auth.provider(model.provider.as_str())?;
        Ok(Some(match in_use.explanation.candidates.first() {
            None => format!("No login for {} yet: coderclaw models auth list", manifest.name),
            Some(first) => format!("It cannot be used now: {}", why(first)),
        }))
    }

    /// `MODEL`, or `MODEL@PROFILE`. Models as well as profiles may have an `@` in their names.
    fn read_choice(
        &self,
        name: &str,
        status: &AgentStatus,
    ) -> Result<(ModelRef, Option<ProfileId>), ChatError> {
        let names = self.names();
        let whole = names.choose(name);
        if let Ok(model) = &whole
            && (!name.contains('@') || names.known().contains(model))
        {
            return Ok((model.clone(), None));
        }
        let splits = || name.match_indices('@').map(|(at, _)| (&name[..at], name[at + 1..].trim()));
        let known = splits().find(|(_, id)| status.profiles.iter().any(|profile| profile.id.as_str() == *id));
        let Some((model, id)) = known.or_else(|| splits().next()) else {
            return Err(whole.err().map_or(ChatError::NoModel, ChatError::Model));
        };
        let model = names.choose(model)?;
        let Some(profile) = status.profiles.iter().find(|profile| profile.id.as_str() == id) else {
            let of_provider =
                |profile: &&coderclaw_auth::ProfileStatus| profile.provider.as_ref() == Some(&model.provider);
            let ids = status.profiles.iter().filter(of_provider).map(|profile| profile.id.clone()).collect();
            return Err(ChatError::UnknownProfile { id: id.to_owned(), ids });
        };
        if profile.provider.as_ref() != Some(&model.provider) {
            let theirs = profile.provider.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string);
            return Err(ChatError::OtherProvider { id: profile.id.clone(), theirs, wanted: model.provider });
        }
        Ok((model, Some(profile.id.clone())))
    }

    fn renew(&self, rest: Option<&str>) -> Result<Told, ChatError> {
        // A first word that is a model's name is one; `/new` itself stands also where it is none.
        let (head, tail) = rest
            .unwrap_or_default()
            .split_once(char::is_whitespace)
            .unwrap_or((rest.unwrap_or_default(), ""));
        let names = self.names();
        let name = head.split('@').next().unwrap_or_default();
        let is_model = names.alias(name).is_some() || (name.contains('/') && names.choose(name).is_ok());
        let chosen = match is_model {
            true => Some(self.read_choice(head, &self.auth.status(&self.agent)?)?),
            false => None,
        };
        let entry = self.sessions.renew(&self.key)?;
        let mut text = "New session.".to_owned();
        if chosen.is_some() {
            text.push_str(&format!(" {}", self.choose(head)?));
        } else if let Some(pin) = entry.pin() {
            let model = self.model(&entry)?;
            let id = &pin.profile;
            text.push_str(&format!(
                " Model stays {model}, auth profile stays {id}, as you chose (/unpin drops that)."
            ));
        }
        let send = if chosen.is_some() { tail } else { rest.unwrap_or_default() }.trim();
        Ok(Told { text, send: (!send.is_empty()).then(|| send.to_owned()), quit: false })
    }

    fn unpin(&self) -> Result<Told, ChatError> {
        let dropped = match self.sessions.unpin(&self.key) {
            Err(SessionError::Unknown { .. }) => Vec::new(),
            other => other?,
        };
        if dropped.is_empty() {
            return Ok(Told::say("Nothing was pinned."));
        }
        let ids: Vec<&str> = dropped.iter().map(ProfileId::as_str).collect();
        Ok(Told::say(format!("No longer pinned to {}; the order chooses again.", ids.join(" and "))))
    }

    fn show(&self) -> Result<Told, ChatError> {
        let in_use = self.in_use()?;
        let text = format!(
            "Current: {}\nAccount: {}\nSwitch: /model MODEL or /model MODEL@PROFILE\nBrowse: /models\nMore: /model status",
            self.named(&in_use.model),
            account(&in_use.explanation),
        );
        Ok(Told::say(text))
    }

    fn named(&self, model: &ModelRef) -> String {
        match self.names().alias_of(model) {
            Some(alias) => format!("{model} ({})", alias.name),
            None => model.to_string(),
        }
    }

    fn list(&self, listing: &Listing) -> Result<Told, ChatError> {
        let known = self.names().known();
        let Some(wanted) = &listing.provider else {
            let mut providers: Vec<(&ProviderId, usize)> = Vec::new();
            for model in &known {
                match providers.iter_mut().find(|(provider, _)| **provider == model.provider) {
                    Some((_, count)) => *count += 1,
                    None => providers.push((&model.provider, 1)),
                }
            }
            let lines: Vec<String> =
                providers.iter().map(|(id, count)| format!("- {id} ({count})")).collect();
            return Ok(Told::say(format!(
                "Providers:\n{}\nUse: /models PROVIDER\nSwitch: /model PROVIDER/MODEL",
                lines.join("\n")
            )));
        };
        let provider = ProviderId::new(&self.auth.provider(wanted)?.id);
        let models: Vec<&ModelRef> = known.iter().filter(|model| model.provider == provider).collect();
        let size = listing.size.unwrap_or(models.len()).max(1);
        let pages = models.len().div_ceil(size).max(1);
        let page = listing.page.min(pages);
        let shown = models.iter().skip((page - 1) * size).take(size);
        let mut text = format!("Models ({provider}):\n");
        for model in shown {
            text.push_str(&format!("- {}\n", self.named(model)));
        }
        if pages > 1 {
            text.push_str(&format!("Page {page} of {pages}: /models {provider} {}\n", page % pages + 1));
        }
        text.push_str("Switch: /model PROVIDER/MODEL");
        Ok(Told::say(text))
    }

    fn model_status(&self) -> Result<Told, ChatError> {
        let in_use = self.in_use()?;
        let default = self.default_model().map_or_else(|_| "none".to_owned(), |model| model.to_string());
        let mut text = format!(
            "Current: {}\nDefault: {default}\nAgent: {}\nAuth file: {}\n",
            in_use.model,
            self.agent.agent,
            self.agent.store().display()
        );
        let known = self.names().known();
        for one in self.auth.status(&self.agent)?.providers {
            let Some(manifest) = self.auth.registry().get(&one.provider) else { continue };
            // The session may say something else about the provider that it uses.
            let is_used = one.provider == in_use.model.provider;
            let explanation = if is_used { &in_use.explanation } else { &one.explanation };
            let auth: Vec<String> = explanation.candidates.iter().map(labelled).collect();
            let auth = if auth.is_empty() { "missing".to_owned() } else { auth.join(", ") };
            text.push_str(&format!("\n[{}] endpoint: {} auth: {auth}\n", one.provider, endpoint(manifest)));
            for model in known.iter().filter(|model| model.provider == one.provider) {
                text.push_str(&format!("• {}\n", self.named(model)));
            }
        }
        Ok(Told::say(text.trim_end()))
    }

    fn status(&self) -> Result<Told, ChatError> {
        let in_use = self.in_use()?;
        let said = self.sessions.conversation(&self.key)?.said.len();
        Ok(Told::say(format!(
            "Agent: {}\nSession: {} ({said} messages)\nModel: {}\nAccount: {}",
            self.agent.agent,
            self.key,
            self.named(&in_use.model),
            account(&in_use.explanation),
        )))
    }
}

const HELP: &str = "\
/model               the model and the account in use
/model MODEL         use another model: an alias, or provider/model
/model MODEL@PROFILE and this account for it, until you drop it
/models [PROVIDER]   which models there are
/unpin               let the order choose the account again
/new [message]       begin another conversation; your own pin stays
/reset               the same
/status              model, account and session
/quit                leave; Ctrl-D does the same
A line that ends with \\ goes on in the next. Ctrl-C stops an answer.";

fn endpoint(manifest: &Manifest) -> String {
    let url = manifest.api(CredentialKind::OAuth).base_url.or_else(|| manifest.api.base_url.clone());
    url.map_or_else(|| "default".to_owned(), |url| url.to_string())
}

/// The account that is used, and why it is that one.
fn account(explanation: &Explanation) -> String {
    let Some(winner) = &explanation.winner else {
        return match explanation.candidates.first() {
            None => format!("none for {}", explanation.provider),
            Some(first) => format!("none can be used: {}", why(first)),
        };
    };
    let name = winner.profile_id.as_ref().map_or_else(|| winner.source.clone(), ToString::to_string);
    match explanation.pin_source {
        Some(PinSource::Session) => format!("{name}, pinned by you"),
        Some(PinSource::Agent) => format!("{name}, set for this agent"),
        _ => name,
    }
}

fn labelled(candidate: &Candidate) -> String {
    let name = candidate
        .profile_id
        .as_ref()
        .map_or_else(|| candidate.source.clone().unwrap_or_else(|| "a key".into()), ToString::to_string);
    match candidate.verdict {
        Verdict::Winner => format!("{name} (next)"),
        Verdict::Standby | Verdict::Skipped if candidate.reason == Code::Ok => name,
        Verdict::Standby | Verdict::Skipped => format!("{name} ({})", candidate.reason),
    }
}

fn why(candidate: &Candidate) -> String {
    let name = candidate.profile_id.as_ref().map_or("the key", ProfileId::as_str);
    let detail = candidate.detail.as_deref().unwrap_or(candidate.reason.meaning());
    format!("{name}: {} [{}]", detail.trim_end_matches('.'), candidate.reason)
}

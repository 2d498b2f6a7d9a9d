//! A chat: one session, the model and the account that it uses, and the commands that change them.

use coderclaw_auth::{AgentStatus, Ask, Auth, Candidate, Explanation, PinSource, ResolveError, Verdict};
use coderclaw_providers::{CredentialKind, Manifest};
use coderclaw_store::{AgentPaths, SessionEntry};
use coderclaw_types::{Code, ProfileId, ProviderId};

use crate::model_names::{ModelError, ModelNames};
use crate::model_ref::ModelRef;
use crate::session::{SessionError, Sessions, switch_model};
use crate::slash::{Listing, ModelWish, Slash, SlashError, read_slash};

/// Why a command of a chat was not carried out. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// It cannot be understood.
    #[error(transparent)]
    Slash(#[from] SlashError),
    /// The model's name means nothing here.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// No such profile.
    #[error("Auth profile \"{id}\" not found. {}", valid(.ids))]
    UnknownProfile {
        /// What was asked for.
        id: String,
        /// Those of the model's provider.
        ids: Vec<ProfileId>,
    },
    /// The profile is another provider's.
    #[error("Auth profile \"{id}\" is for {theirs}, not {wanted}.")]
    OtherProvider {
        /// Which profile.
        id: ProfileId,
        /// Whose it is.
        theirs: String,
        /// Whose model was named.
        wanted: ProviderId,
    },
    /// The session is pinned to a profile that is gone.
    #[error("this session is pinned to {id}, which is no longer there. /unpin drops that, or choose: /model MODEL@PROFILE. {}", valid(.ids))]
    VanishedPin {
        /// Which profile.
        id: ProfileId,
        /// Those that there are.
        ids: Vec<ProfileId>,
    },
    /// There is neither a model in the config nor a login that brings one.
    #[error("no model is chosen, and no login brings one. Log in first, or choose: /model PROVIDER/MODEL")]
    NoModel,
    /// The session cannot be read or written.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The agent's logins cannot be looked at.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
}

fn valid(ids: &[ProfileId]) -> String {
    let ids: Vec<&str> = ids.iter().map(ProfileId::as_str).collect();
    if ids.is_empty() { "There are none.".into() } else { format!("There is {}.", ids.join(", ")) }
}

impl ChatError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Slash(e) => e.code(),
            Self::Model(e) => e.code(),
            Self::UnknownProfile { .. } => Code::UnknownProfile,
            Self::OtherProvider { .. } => Code::ProviderMismatch,
            Self::VanishedPin { .. } => Code::MissingCredential,
            Self::NoModel => Code::InputRequired,
            Self::Session(e) => e.code(),
            Self::Resolve(e) => e.code(),
        }
    }
}

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

/// The model and the account that the next message would go to.
#[derive(Debug, Clone)]
pub struct InUse {
    /// Which model.
    pub model: ModelRef,
    /// Which account, and why: the resolver's own words.
    pub explanation: Explanation,
}

/// One session of one agent.
#[derive(Debug)]
pub struct Chat {
    auth: Auth,
    agent: AgentPaths,
    key: String,
    sessions: Sessions,
}

impl Chat {
    /// The chat under `key`, a session's name or key.
    ///
    /// # Errors
    /// Where the sessions cannot be read.
    pub fn open(auth: &Auth, agent: &AgentPaths, key: &str) -> Result<Self, ChatError> {
        let sessions = Sessions::of(auth, agent);
        Ok(Self { key: sessions.key(key)?, auth: auth.clone(), agent: agent.clone(), sessions })
    }

    /// The session's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The agent's sessions.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// What model names mean here.
    pub fn names(&self) -> ModelNames<'_> {
        ModelNames::new(self.auth.config(), self.auth.registry())
    }

    /// The command that `text` is; `None` where it is a message.
    ///
    /// # Errors
    /// Where it is a command that cannot be carried out as it stands.
    pub fn read(&self, text: &str) -> Result<Option<Slash>, ChatError> {
        Ok(read_slash(text, |name| self.names().alias(name).is_some())?)
    }

    /// The model that is used where the session has chosen none: the config's, else that of the first login that works.
    ///
    /// # Errors
    /// [`ChatError::NoModel`], or where the logins cannot be looked at.
    pub fn default_model(&self) -> Result<ModelRef, ChatError> {
        if let Some(model) = self.names().chosen(&self.agent.agent) {
            return Ok(model);
        }
        let status = self.auth.status(&self.agent)?;
        let usable = |provider: &ProviderId| {
            status.providers.iter().any(|one| one.provider == *provider && one.explanation.winner.is_some())
        };
        let of_profiles = status.profiles.iter().filter_map(|profile| profile.provider.clone());
        let of_keys = status.providers.iter().map(|provider| provider.provider.clone());
        let brought = of_profiles.chain(of_keys).filter(usable).find_map(|provider| {
            let model = self.auth.registry().get(&provider)?.default_model.as_ref()?.to_string();
            Some(ModelRef::new(provider, &model))
        });
        brought.ok_or(ChatError::NoModel)
    }

    /// The models that a message would be sent to: the session's, then the fallbacks.
    ///
    /// # Errors
    /// As [`Chat::default_model`].
    pub fn models(&self) -> Result<Vec<ModelRef>, ChatError> {
        let mut models = vec![self.model(&self.sessions.entry(&self.key)?)?];
        for fallback in self.names().fallbacks(&self.agent.agent) {
            if !models.contains(&fallback) {
                models.push(fallback);
            }
        }
        Ok(models)
    }

    fn model(&self, entry: &SessionEntry) -> Result<ModelRef, ChatError> {
        match entry.model() {
            Some((provider, model)) => Ok(ModelRef::new(provider, model)),
            None => self.default_model(),
        }
    }

    /// The model and the account that the next message would go to. Looks and changes nothing.
    ///
    /// # Errors
    /// As [`Chat::default_model`].
    pub fn in_use(&self) -> Result<InUse, ChatError> {
        let model = self.model(&self.sessions.entry(&self.key)?)?;
        let manifest = self.auth.provider(model.provider.as_str())?;
        let ask = Ask { session: Some(self.key.clone()), model: Some(model.to_string()), ..Ask::default() };
        Ok(InUse { explanation: self.auth.explain(&self.agent, manifest, &ask)?, model })
    }

    /// Refuses where the user's pin is on a profile that is gone: nothing else is taken in its place.
    ///
    /// # Errors
    /// [`ChatError::VanishedPin`], or where files cannot be read.
    pub fn check_pin(&self) -> Result<(), ChatError> {
        let Some(pin) = self.sessions.entry(&self.key)?.pin().filter(|pin| pin.by_user) else {
            return Ok(());
        };
        let ids = self.profiles()?;
        match ids.contains(&pin.profile) {
            true => Ok(()),
            false => Err(ChatError::VanishedPin { id: pin.profile, ids }),
        }
    }

    /// The ids of the profiles that there are, behind the provider of each.
    pub fn profile_names(&self) -> Vec<(String, String)> {
        let profiles = self.auth.status(&self.agent).map(|status| status.profiles).unwrap_or_default();
        let name = |profile: coderclaw_auth::ProfileStatus| {
            Some((profile.provider?.to_string(), profile.id.to_string()))
        };
        profiles.into_iter().filter_map(name).collect()
    }

    fn profiles(&self) -> Result<Vec<ProfileId>, ChatError> {
        Ok(self.auth.status(&self.agent)?.profiles.into_iter().map(|profile| profile.id).collect())
    }

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

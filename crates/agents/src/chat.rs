//! A chat: one session, and the model and the account that it uses.

mod command;

use coderclaw_auth::{Ask, Auth, Explanation, ResolveError};
use coderclaw_store::{AgentPaths, SessionEntry};
use coderclaw_types::{Code, ProfileId, ProviderId};

pub use self::command::Told;
use crate::model_names::{ModelError, ModelNames};
use crate::model_ref::ModelRef;
use crate::session::{SessionError, Sessions};
use crate::slash::{Slash, SlashError, read_slash};

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
}

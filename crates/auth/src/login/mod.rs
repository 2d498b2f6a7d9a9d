//! Logging in: the browser comes back or its address is pasted, then exchange, identity, commit, and only then "done".

mod attempt;
mod error;
mod give_back;
mod keep;
mod later;
mod plugin;
mod ui;
mod wait;

use std::time::Duration;

use coderclaw_oauth::Identity;
use coderclaw_oauth::callback::Listener;
use coderclaw_providers::Manifest;
use coderclaw_store::{AgentPaths, AuthProfiles, StoreGuard, WriteError, read_auth_store};
use coderclaw_types::{AgentId, ProfileId, ProviderId};
use tokio::runtime::Runtime;

use self::attempt::{Attempt, Way};
pub use self::error::LoginError;
pub use self::later::StartedLogin;
pub use self::plugin::PluginUi;
pub use self::ui::{LoginUi, LoginWait, Pastes};
use self::wait::{Answered, Waiting};
use crate::context::Auth;

/// A person needs this long at most, second factor included.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// What is to be logged in.
#[derive(Debug, Clone, Default)]
pub struct LoginRequest {
    /// Under this id, instead of one made from the identity.
    pub profile_id: Option<ProfileId>,
    /// Also where that id holds another login.
    pub replace: bool,
    /// Only this person: an e-mail address, or a subject.
    pub expect: Option<String>,
    /// Only this account or workspace.
    pub workspace: Option<String>,
    /// The browser is known not to come back to this machine; what it shows is pasted.
    pub no_listener: bool,
}

/// A login that is on disk.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// Under which id.
    pub profile: ProfileId,
    /// Of which provider.
    pub provider: ProviderId,
    /// Who logged in.
    pub identity: Identity,
    /// The id existed before.
    pub replaced: bool,
    /// An explicit order hides the new profile.
    pub hidden_by_order: bool,
    /// The same person and workspace in other agents' stores.
    pub also_in: Vec<(AgentId, ProfileId)>,
    /// Why a cooldown of the profile could not be ended; `None` where it was, or there was none.
    pub still_set_aside: Option<String>,
}

impl Auth {
    /// Logs in to `manifest`'s provider and stores the login in the agent's store. The browser may be on this machine or on
    /// any other: it comes back to a loopback listener, or the address where it ends is pasted, whichever is first.
    ///
    /// # Errors
    /// Where any step fails. The store is then as it was, and the browser's page says so.
    pub fn login(
        &self,
        agent: &AgentPaths,
        manifest: &Manifest,
        request: &LoginRequest,
        ui: &mut dyn LoginUi,
    ) -> Result<LoggedIn, LoginError> {
        // A wrong call leaves nothing behind.
        let way = Way::of(self, manifest)?;
        self.check_store(agent)?;
        let runtime = runtime()?;
        let result = runtime.block_on(self.run_login(agent, &way, request, ui));
        runtime.shutdown_background();
        result
    }

    /// What would refuse the result is found before a person is sent to a browser.
    fn check_store(&self, agent: &AgentPaths) -> Result<(), LoginError> {
        self.import_first(agent);
        StoreGuard::acquire(self.state(), &agent.store())?.check_writable()?;
        let store = read_auth_store(&agent.store())?;
        if store.doc.version() > AuthProfiles::VERSION {
            let version = store.doc.version();
            return Err(WriteError::UnsupportedVersion { path: store.path, version }.into());
        }
        Ok(())
    }

    async fn run_login(
        &self,
        agent: &AgentPaths,
        way: &Way<'_>,
        request: &LoginRequest,
        ui: &mut dyn LoginUi,
    ) -> Result<LoggedIn, LoginError> {
        let (listener, why_not) = if request.no_listener || !way.comes_back() {
            (None, None)
        } else {
            match Listener::bind(&way.method.redirect_ports).await {
                Ok(listener) => (Some(listener.yielding()), None),
                Err(e) => (None, Some(e.to_string())),
            }
        };
        let redirect_uri = match &listener {
            Some(listener) => listener.redirect_uri(way.host(), way.path()),
            None => way.redirect_without_listener(),
        };
        let pastes = ui.pastes();
        if listener.is_none() && pastes.is_none() {
            let why = why_not.unwrap_or_else(|| "no browser comes back to this login".into());
            return Err(LoginError::InputRequired(format!("{why}, and there is nowhere to paste")));
        }
        let attempt = Attempt::new(redirect_uri)?;
        ui.waiting(&LoginWait {
            provider: &way.manifest.name,
            url: attempt.url(way).as_str(),
            listening: listener.as_ref().map(Listener::port),
            why_not: why_not.as_deref(),
            redirect_uri: &attempt.redirect_uri,
            can_paste: pastes.is_some(),
        })?;
        let waiting = Waiting { auth: self, way, attempt: &attempt, listener, pastes, limit: PATIENCE };
        let Answered { tokens, reply } = waiting.run(ui).await?;
        let done = self.keep_login(agent, way, &tokens, request);
        // The page in the browser says what is true, and only once it is.
        match (&done, reply) {
            (Ok(login), Some(reply)) => reply.success(&format!("{} is stored.", login.profile)),
            (Err(e), Some(reply)) => reply.failure(e.code().as_str(), &e.to_string()),
            (_, None) => {}
        }
        match done {
            Ok(login) => Ok(login),
            Err(e) => Err(self.give_back(way, &tokens, e).await),
        }
    }
}

fn runtime() -> Result<Runtime, LoginError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| LoginError::Local(e.to_string()))
}

//! Logging in: the browser comes back, its address is pasted, or a code is typed in elsewhere; then exchange, identity,
//! commit, and only then "done".

mod attempt;
mod brought;
mod device;
mod error;
mod give_back;
mod keep;
mod keep_key;
mod later;
mod plugin;
mod question;
mod registered;
mod ui;
mod wait;
mod way;

use std::time::Duration;

use coderclaw_oauth::callback::Listener;
use coderclaw_oauth::device::DeviceCode;
use coderclaw_oauth::{Identity, Pkce};
use coderclaw_providers::{CredentialKind, Manifest};
use coderclaw_store::{AgentPaths, AuthProfiles, StoreGuard, WriteError, read_auth_store};
use coderclaw_types::{AgentId, ProfileId, ProviderId};
use tokio::runtime::Runtime;

use self::attempt::Attempt;
use self::device::NoLuck;
pub use self::error::LoginError;
pub use self::later::StartedLogin;
pub use self::plugin::PluginUi;
pub use self::question::{NotYet, Questions, Tried};
pub(crate) use self::registered::first_parameters;
pub use self::ui::{CodeWait, LoginUi, LoginWait, Pastes};
use self::wait::{Answered, Waiting};
use self::way::{DeviceWay, Doors};
use crate::context::Auth;

/// A person needs this long at most, second factor included.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// By which door.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Door {
    /// By all that the provider has, at once; the first answer counts.
    #[default]
    Any,
    /// In a browser.
    Browser,
    /// In a browser, as a client that is registered for each person (`siwc`).
    Registered,
    /// By a code that is typed in on another device.
    Device,
}

/// What is to be logged in.
#[derive(Debug, Clone, Default)]
pub struct LoginRequest {
    /// By which door.
    pub door: Door,
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
    /// What it is.
    pub kind: CredentialKind,
    /// Who logged in.
    pub identity: Identity,
    /// The id existed before.
    pub replaced: bool,
    /// The scope that it needs to be used, and that was not granted.
    pub missing_scope: Option<String>,
    /// An explicit order hides the new profile.
    pub hidden_by_order: bool,
    /// The same person and workspace in other agents' stores.
    pub also_in: Vec<(AgentId, ProfileId)>,
    /// Why a cooldown of the profile could not be ended; `None` where it was, or there was none.
    pub still_set_aside: Option<String>,
}

impl Auth {
    /// Logs in to `manifest`'s provider and stores the login in the agent's store. The browser may be on this machine or on
    /// any other: it comes back to a loopback listener, the address where it ends is pasted, or a code is typed in there,
    /// whichever is first.
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
        let doors = Doors::of(self, manifest, request.door)?;
        self.check_store(agent)?;
        if let Some(browser) = &doors.browser {
            self.check_key_id(agent, &browser.way, request)?;
        }
        let runtime = runtime()?;
        let result = runtime.block_on(self.run_login(agent, doors, request, ui));
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
        doors: Doors<'_>,
        request: &LoginRequest,
        ui: &mut dyn LoginUi,
    ) -> Result<LoggedIn, LoginError> {
        fault("login.checked")?;
        let Doors { browser, mut device } = doors;
        let has_browser = browser.is_some();
        let mut pastes = None;
        let mut begun = None;
        if let Some(way) = device.as_ref().filter(|_| request.door == Door::Device || !has_browser) {
            match self.begin_alone(way, !has_browser, ui).await? {
                Ok(code) => begun = Some(code),
                Err(why) => {
                    // Somebody has to be there: nobody is sent to a browser by a script.
                    pastes = ui.pastes().filter(|_| has_browser && matches!(why, NoLuck::Off(_)));
                    if pastes.is_none() {
                        return Err(why.into_error(way));
                    }
                    ui.said(&why.words(way));
                    device = None;
                }
            }
        }
        // A code that was asked for alone is alone.
        let browser = browser.filter(|_| begun.is_none());
        let (mut listener, mut why_not) = (None, None);
        if let Some(way) = browser.as_ref().filter(|way| !request.no_listener && way.comes_back()) {
            match Listener::bind(&way.way.method.redirect_ports).await {
                Ok(bound) => listener = Some(bound.yielding()),
                Err(e) => why_not = Some(e.to_string()),
            }
        }
        let browser = match browser {
            Some(way) => {
                pastes = pastes.or_else(|| ui.pastes());
                if listener.is_none() && pastes.is_none() && device.is_none() {
                    let why = why_not.unwrap_or_else(|| "no browser comes back to this login".into());
                    return Err(LoginError::InputRequired(format!("{why}, and there is nowhere to paste")));
                }
                let redirect_uri = match &listener {
                    Some(listener) => listener.redirect_uri(way.host(), way.path()),
                    None => way.redirect_without_listener(),
                };
                let registered = self.registered(agent, &way.way, request)?;
                let attempt = Attempt::new(redirect_uri, registered)?;
                let renews =
                    attempt.registered.as_ref().and_then(|one| one.subject.as_ref().and(one.email.clone()));
                ui.waiting(&LoginWait {
                    provider: &way.way.manifest.name,
                    url: attempt.url(&way).as_str(),
                    listening: listener.as_ref().map(Listener::port),
                    why_not: why_not.as_deref(),
                    redirect_uri: &attempt.redirect_uri,
                    can_paste: pastes.is_some(),
                    untested: way.way.method.untested,
                    renews: renews.as_deref(),
                })?;
                Some((way, attempt))
            }
            None => None,
        };
        let browser = browser.as_ref().map(|(way, attempt)| (way, attempt));
        let device = device.as_ref().map(|way| (way, begun));
        let waiting = Waiting { auth: self, browser, device, listener, pastes, limit: PATIENCE };
        let Answered { way, tokens: came, proof, reply } = waiting.run(ui).await?;
        let tokens = match self.complete(way, came.clone(), &proof).await {
            Ok(tokens) => tokens,
            Err(e) => return Err(self.give_back(way, &came, wait::fail(reply, e)).await),
        };
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

    /// Has a code made and shows it, for a login with no other door.
    async fn begin_alone(
        &self,
        way: &DeviceWay<'_>,
        only_way: bool,
        ui: &mut dyn LoginUi,
    ) -> Result<Result<(Pkce, DeviceCode), NoLuck>, LoginError> {
        let pkce = Pkce::generate()?;
        Ok(match device::begin(&device::client(self)?, way, &pkce).await {
            Ok(code) => {
                show(ui, way, &code, true, only_way)?;
                Ok((pkce, code))
            }
            Err(why) => Err(why),
        })
    }
}

fn show(
    ui: &mut dyn LoginUi,
    way: &DeviceWay<'_>,
    code: &DeviceCode,
    alone: bool,
    only_way: bool,
) -> Result<(), LoginError> {
    Ok(ui.code(&CodeWait {
        provider: &way.way.manifest.name,
        user_code: &code.user_code,
        page: code.page.as_str(),
        complete: code.complete.as_ref().map(AsRef::as_ref),
        lifetime: code.lifetime,
        alone,
        untested: way.way.method.untested,
        only_way,
    })?)
}

/// A fail point of a login.
fn fault(point: &'static str) -> Result<(), LoginError> {
    coderclaw_store::faults::hit(point).map_err(|e| LoginError::Local(e.to_string()))
}

fn runtime() -> Result<Runtime, LoginError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| LoginError::Local(e.to_string()))
}

//! A login in two processes: one gives out the address, another is handed what the browser showed.

use std::cell::Cell;
use std::time::Duration;

use coderclaw_http::Client;
use coderclaw_oauth::device::{DeviceCode, PollAnswer, ask_about_code, wait_for_code};
use coderclaw_oauth::{Pasted, Pkce, RefreshAnswer, State, TokenSet, Unusable, read_paste};
use coderclaw_providers::Manifest;
use coderclaw_store::{AgentPaths, PendingCode, PendingLogin};
use coderclaw_types::{Millis, ProviderId, Secret};
use tokio::runtime::Runtime;

use super::attempt::{Attempt, check_issuer, in_words};
use super::brought::Proof;
use super::device::{self, NoLuck};
use super::error::LoginError;
use super::question::{Questions, Tried};
use super::way::{BrowserWay, DeviceWay, Doors, Way};
use super::{Door, LoggedIn, LoginRequest, PATIENCE, runtime};
use crate::context::Auth;

/// A login that waits in a file.
#[derive(Debug, Clone)]
pub struct StartedLogin {
    /// What to finish it by.
    pub id: String,
    /// The page to open.
    pub url: String,
    /// After this it cannot be finished.
    pub expires: Millis,
    /// Where the browser ends. Nothing answers there. `None` for a login by a code.
    pub redirect_uri: Option<String>,
    /// What is typed in on that page, for a login by a code.
    pub user_code: Option<String>,
}

impl Auth {
    /// Begins a login for another process to finish within 15 minutes.
    ///
    /// # Errors
    /// Where the provider has no such login, or the state dir cannot be written.
    pub fn start_login(
        &self,
        agent: &AgentPaths,
        manifest: &Manifest,
        request: &LoginRequest,
    ) -> Result<StartedLogin, LoginError> {
        let doors = Doors::of(self, manifest, request.door)?;
        self.check_store(agent)?;
        match (doors.browser, doors.device) {
            (Some(way), _) if request.door != Door::Device => self.start_in_browser(agent, &way, request),
            (_, Some(way)) => self.start_with_code(agent, &way, request),
            _ => Err(LoginError::no_method(manifest, request.door)),
        }
    }

    fn start_in_browser(
        &self,
        agent: &AgentPaths,
        way: &BrowserWay<'_>,
        request: &LoginRequest,
    ) -> Result<StartedLogin, LoginError> {
        self.check_key_id(agent, &way.way, request)?;
        let registered = self.registered(agent, &way.way, request)?;
        let attempt = Attempt::new(way.redirect_without_listener(), registered)?;
        let now = self.clock().now();
        let pending = PendingLogin {
            state: attempt.state.secret().clone(),
            redirect_uri: attempt.redirect_uri.clone(),
            registers: attempt.registered.is_some(),
            client_id: attempt.registered.as_ref().and_then(|one| one.client_id.clone()),
            ..pending(&way.way, agent, request, &attempt.pkce, now.plus(PATIENCE))
        };
        let id = pending.save(self.state(), now)?;
        let url = attempt.url(way).into();
        let redirect_uri = Some(attempt.redirect_uri);
        Ok(StartedLogin { id, url, expires: pending.expires, redirect_uri, user_code: None })
    }

    fn start_with_code(
        &self,
        agent: &AgentPaths,
        way: &DeviceWay<'_>,
        request: &LoginRequest,
    ) -> Result<StartedLogin, LoginError> {
        let (client, pkce, runtime) = (device::client(self)?, Pkce::generate()?, runtime()?);
        let code = runtime.block_on(device::begin(&client, way, &pkce));
        runtime.shutdown_background();
        let code = code.map_err(|why| why.into_error(way))?;
        let now = self.clock().now();
        let page = code.complete.as_ref().unwrap_or(&code.page).to_string();
        let pending = PendingLogin {
            device: Some(PendingCode {
                handle: code.handle,
                user_code: code.user_code.clone(),
                page: code.page.to_string(),
                interval_ms: u64::try_from(code.interval.as_millis()).unwrap_or(u64::MAX),
            }),
            ..pending(&way.way, agent, request, &pkce, now.plus(code.lifetime))
        };
        let id = pending.save(self.state(), now)?;
        let user_code = Some(code.user_code);
        Ok(StartedLogin { id, url: page, expires: pending.expires, redirect_uri: None, user_code })
    }

    /// The login that waits under `id`.
    ///
    /// # Errors
    /// [`LoginError::UnknownLogin`], [`LoginError::Expired`]; the latter removes it.
    pub fn pending_login(&self, id: &str) -> Result<PendingLogin, LoginError> {
        let pending = PendingLogin::find(self.state(), id)?.ok_or(LoginError::UnknownLogin)?;
        if self.clock().now() >= pending.expires {
            PendingLogin::claim(self.state(), id)?;
            return Err(LoginError::Expired);
        }
        Ok(pending)
    }

    /// Finishes the login `id` with what the browser ended at: the address, or the code. What is not the answer leaves the
    /// login waiting; an answer uses it up, whatever comes of it. For a login by a code nothing is pasted: this waits until
    /// the code has been typed in.
    ///
    /// # Errors
    /// Where any step fails. The store is then as it was.
    pub fn finish_login(&self, id: &str, pasted: &Secret) -> Result<(AgentPaths, LoggedIn), LoginError> {
        let found = self.found(id)?;
        let Some((way, code)) = found.code()? else { return self.by_paste(id, &found, pasted) };
        self.check_store(&found.agent)?;
        let (client, runtime) = (device::client(self)?, runtime()?);
        let answer = runtime.block_on(wait_for_code(&client, &way.device, &code, &found.pkce));
        self.by_code(id, &found, way, &client, answer, runtime)
    }

    /// The same without a wait: whether a code has been typed in is asked once, where it is time for a question.
    ///
    /// # Errors
    /// As for [`Auth::finish_login`].
    pub fn try_login(
        &self,
        id: &str,
        pasted: &Secret,
        questions: &mut Questions,
    ) -> Result<Tried, LoginError> {
        let found = self.found(id)?;
        let done = |(agent, done)| Tried::Done(agent, Box::new(done));
        let Some((way, code)) = found.code()? else { return self.by_paste(id, &found, pasted).map(done) };
        if let Some(too_soon) = questions.too_soon(self.clock().now()) {
            return Ok(Tried::NotYet(too_soon));
        }
        self.check_store(&found.agent)?;
        let (client, runtime) = (device::client(self)?, runtime()?);
        let answer = runtime.block_on(ask_about_code(&client, &way.device, &code, &found.pkce));
        if let Some(not_yet) = questions.after(&answer, code.interval, self.clock().now()) {
            runtime.shutdown_background();
            return Ok(Tried::NotYet(not_yet));
        }
        self.by_code(id, &found, way, &client, answer, runtime).map(done)
    }

    fn found(&self, id: &str) -> Result<Found<'_>, LoginError> {
        let pending = self.pending_login(id)?;
        let no_provider =
            || LoginError::NoMethod { provider: pending.provider.to_string(), what: "browser login" };
        let manifest = self.registry().get(&pending.provider).ok_or_else(no_provider)?;
        let door = match &pending.device {
            Some(_) => Door::Device,
            None if pending.registers => Door::Registered,
            None => Door::Browser,
        };
        let request = LoginRequest {
            door,
            profile_id: pending.profile_id.clone(),
            replace: pending.replace,
            expect: pending.expect.clone(),
            workspace: pending.workspace.clone(),
            no_listener: true,
        };
        Ok(Found {
            manifest,
            doors: Doors::of(self, manifest, door)?,
            agent: self.state().agent(self.config(), &pending.agent),
            pkce: Pkce::from_verifier(pending.verifier.clone()).map_err(|_| LoginError::UnknownLogin)?,
            left: pending.expires.since(self.clock().now()),
            request,
            pending,
        })
    }

    /// Ends a login in a browser.
    fn by_paste(
        &self,
        id: &str,
        found: &Found<'_>,
        pasted: &Secret,
    ) -> Result<(AgentPaths, LoggedIn), LoginError> {
        let Found { agent, request, pending, .. } = found;
        let way = found.doors.browser.as_ref().ok_or_else(|| found.no_method())?;
        let registered = match pending.registers {
            true => Some(self.registered_as(&way.way, pending.client_id.clone())?),
            false => None,
        };
        let attempt = Attempt {
            pkce: found.pkce.clone(),
            state: State::from_secret(pending.state.clone()),
            redirect_uri: pending.redirect_uri.clone(),
            registered,
        };
        let (code, named) = self.code_of(id, agent, way, &attempt, pasted)?;
        let runtime = runtime()?;
        let tokens = match runtime.block_on(attempt.redeem(self, way, &code, named.as_deref())) {
            Ok(RefreshAnswer::Granted(tokens)) => Ok(tokens),
            Ok(other) => Err(LoginError::Exchange(in_words(other))),
            Err(e) => Err(e),
        };
        self.store(agent, &way.way, tokens, &attempt.proof(&way.way), request, runtime)
    }

    /// Ends a login by a code, with the provider's last word about it. Of several that have it for one login, one gets it.
    fn by_code(
        &self,
        id: &str,
        found: &Found<'_>,
        way: &DeviceWay<'_>,
        client: &Client,
        answer: PollAnswer,
        runtime: Runtime,
    ) -> Result<(AgentPaths, LoggedIn), LoginError> {
        let was_taken = Cell::new(false);
        let claim = || match PendingLogin::claim(self.state(), id) {
            Ok(true) => Ok(()),
            Ok(false) => {
                was_taken.set(true);
                Err(NoLuck::Failed("another process has finished this login".into()))
            }
            Err(e) => Err(NoLuck::Failed(e.to_string())),
        };
        let tokens = runtime.block_on(device::redeem(client, way, answer, claim)).map_err(|why| {
            // Nothing comes of it any more, except where nobody answered.
            if !was_taken.get() && !matches!(why, NoLuck::Failed(_)) {
                drop(PendingLogin::claim(self.state(), id));
            }
            why.into_error(way)
        });
        self.store(&found.agent, &way.way, tokens, &Proof::default(), &found.request, runtime)
    }

    /// The code in what was pasted; from here on the login is used up.
    fn code_of(
        &self,
        id: &str,
        agent: &AgentPaths,
        way: &BrowserWay<'_>,
        attempt: &Attempt,
        pasted: &Secret,
    ) -> Result<(Secret, Option<String>), LoginError> {
        let answer = read_paste(pasted.expose(), &attempt.state, &attempt.redirect_uri);
        match answer {
            Pasted::Code { ref client_id, .. } if attempt.needs_address(client_id.as_deref()) => {
                let words = "The code alone is not enough here. Paste the whole address of the last page.";
                Err(LoginError::NotTheAnswer(words.into()))
            }
            Pasted::Code { code, iss, client_id } => {
                self.check_store(agent)?;
                if !PendingLogin::claim(self.state(), id)? {
                    return Err(LoginError::UnknownLogin);
                }
                check_issuer(iss.as_deref(), way)?;
                Ok((code, client_id))
            }
            Pasted::Denied { ref iss, .. } => {
                PendingLogin::claim(self.state(), id)?;
                check_issuer(iss.as_deref(), way)?;
                Err(LoginError::Denied(answer.to_string()))
            }
            Pasted::Unusable(Unusable::Empty) => Err(LoginError::InputRequired(answer.to_string())),
            other => Err(LoginError::NotTheAnswer(other.to_string())),
        }
    }

    fn store(
        &self,
        agent: &AgentPaths,
        way: &Way<'_>,
        tokens: Result<TokenSet, LoginError>,
        proof: &Proof,
        request: &LoginRequest,
        runtime: Runtime,
    ) -> Result<(AgentPaths, LoggedIn), LoginError> {
        let done = tokens.and_then(|came| {
            let tokens = match runtime.block_on(self.complete(way, came.clone(), proof)) {
                Ok(tokens) => tokens,
                Err(e) => return Err(runtime.block_on(self.give_back(way, &came, e))),
            };
            match self.keep_login(agent, way, &tokens, request) {
                Ok(done) => Ok((agent.clone(), done)),
                Err(e) => Err(runtime.block_on(self.give_back(way, &tokens, e))),
            }
        });
        runtime.shutdown_background();
        done
    }
}

/// A login that waits, and what it takes to end it.
struct Found<'a> {
    manifest: &'a Manifest,
    doors: Doors<'a>,
    agent: AgentPaths,
    request: LoginRequest,
    pkce: Pkce,
    left: Duration,
    pending: PendingLogin,
}

impl Found<'_> {
    /// The code that waits to be typed in, and the way that it came by; `None` for a login in a browser.
    fn code(&self) -> Result<Option<(&DeviceWay<'_>, DeviceCode)>, LoginError> {
        let Some(code) = &self.pending.device else { return Ok(None) };
        let way = self.doors.device.as_ref().ok_or_else(|| self.no_method())?;
        let code = DeviceCode {
            user_code: code.user_code.clone(),
            page: code.page.parse().map_err(|_| LoginError::UnknownLogin)?,
            complete: None,
            interval: Duration::from_millis(code.interval_ms),
            lifetime: self.left,
            handle: code.handle.clone(),
        };
        Ok(Some((way, code)))
    }

    fn no_method(&self) -> LoginError {
        LoginError::no_method(self.manifest, self.request.door)
    }
}

/// What is kept of a login that waits.
fn pending(
    way: &Way<'_>,
    agent: &AgentPaths,
    request: &LoginRequest,
    pkce: &Pkce,
    expires: Millis,
) -> PendingLogin {
    PendingLogin {
        provider: ProviderId::new(&way.manifest.id),
        agent: agent.agent.clone(),
        verifier: pkce.verifier().clone(),
        state: Secret::from(String::new()),
        redirect_uri: String::new(),
        expires,
        profile_id: request.profile_id.clone(),
        replace: request.replace,
        expect: request.expect.clone(),
        workspace: request.workspace.clone(),
        registers: false,
        client_id: None,
        device: None,
    }
}

//! A login in two processes: one gives out the address, another is handed what the browser showed.

use coderclaw_oauth::{Pasted, Pkce, RefreshAnswer, State, Unusable, read_paste};
use coderclaw_providers::Manifest;
use coderclaw_store::{AgentPaths, PendingLogin};
use coderclaw_types::{Millis, ProviderId, Secret};

use super::attempt::{Attempt, Way, check_issuer, in_words};
use super::error::LoginError;
use super::{LoggedIn, LoginRequest, PATIENCE, runtime};
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
    /// Where the browser ends. Nothing answers there.
    pub redirect_uri: String,
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
        let way = Way::of(self, manifest)?;
        self.check_store(agent)?;
        let attempt = Attempt::new(way.redirect_without_listener())?;
        let now = self.clock().now();
        let expires = now.plus(PATIENCE);
        let pending = PendingLogin {
            provider: ProviderId::new(&manifest.id),
            agent: agent.agent.clone(),
            verifier: attempt.pkce.verifier().clone(),
            state: attempt.state.secret().clone(),
            redirect_uri: attempt.redirect_uri.clone(),
            expires,
            profile_id: request.profile_id.clone(),
            replace: request.replace,
            expect: request.expect.clone(),
            workspace: request.workspace.clone(),
        };
        let id = pending.save(self.state(), now)?;
        let url = attempt.url(&way).into();
        Ok(StartedLogin { id, url, expires, redirect_uri: attempt.redirect_uri })
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
    /// login waiting; an answer uses it up, whatever comes of it.
    ///
    /// # Errors
    /// Where any step fails. The store is then as it was.
    pub fn finish_login(&self, id: &str, pasted: &Secret) -> Result<(AgentPaths, LoggedIn), LoginError> {
        let pending = self.pending_login(id)?;
        let manifest = self.registry().get(&pending.provider);
        let manifest =
            manifest.ok_or_else(|| LoginError::NoMethod { provider: pending.provider.to_string() })?;
        let way = Way::of(self, manifest)?;
        let agent = self.state().agent(self.config(), &pending.agent);
        let pkce = Pkce::from_verifier(pending.verifier).map_err(|_| LoginError::UnknownLogin)?;
        let state = State::from_secret(pending.state);
        let attempt = Attempt { pkce, state, redirect_uri: pending.redirect_uri };
        let answer = read_paste(pasted.expose(), &attempt.state, &attempt.redirect_uri);
        let code = match answer {
            Pasted::Code { code, iss } => {
                self.check_store(&agent)?;
                if !PendingLogin::claim(self.state(), id)? {
                    return Err(LoginError::UnknownLogin);
                }
                check_issuer(iss.as_deref(), &way)?;
                code
            }
            Pasted::Denied { ref iss, .. } => {
                PendingLogin::claim(self.state(), id)?;
                check_issuer(iss.as_deref(), &way)?;
                return Err(LoginError::Denied(answer.to_string()));
            }
            Pasted::Unusable(Unusable::Empty) => return Err(LoginError::InputRequired(answer.to_string())),
            other => return Err(LoginError::NotTheAnswer(other.to_string())),
        };
        let runtime = runtime()?;
        let answer = runtime.block_on(attempt.redeem(self, &way, &code));
        let tokens = match answer {
            Ok(RefreshAnswer::Granted(tokens)) => tokens,
            other => {
                runtime.shutdown_background();
                return Err(LoginError::Exchange(in_words(other?)));
            }
        };
        let request = LoginRequest {
            profile_id: pending.profile_id,
            replace: pending.replace,
            expect: pending.expect,
            workspace: pending.workspace,
            no_listener: true,
        };
        let done = self.keep_login(&agent, &way, &tokens, &request);
        let done = match done {
            Ok(done) => Ok((agent, done)),
            Err(e) => Err(runtime.block_on(self.give_back(&way, &tokens, e))),
        };
        runtime.shutdown_background();
        done
    }
}

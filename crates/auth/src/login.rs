//! Logging in: browser, loopback, exchange, identity, commit, and only then "done".

use std::time::Duration;

use coderclaw_http::{Client, Limits};
use coderclaw_oauth::callback::{BindError, Callback, Listener, Reply, WaitError};
use coderclaw_oauth::{
    AuthorizationRequest, DiscoveryError, Identity, NoRandom, Pkce, RefreshAnswer, State, TokenSet, exchange,
    expiry, read_identity,
};
use coderclaw_providers::{AuthMethod, Manifest, MethodKind};
use coderclaw_store::{
    AgentPaths, AuthProfiles, Entry, LockError, LoginEntry, ReadError, StoreGuard, TokenUpdate, WriteError,
    fingerprint_key, read_auth_store,
};
use coderclaw_types::{Code, ProfileId, ProviderId};

use crate::context::Auth;
use crate::discovered::{Discovered, remember};
use crate::grant::Endpoint;
use crate::identity::is_login_of;

/// A person needs this long at most, second factor included.
const WAIT_FOR_BROWSER: Duration = Duration::from_secs(15 * 60);

/// What is to be logged in.
#[derive(Debug, Clone, Default)]
pub struct LoginRequest {
    /// Under this id, instead of one made from the identity.
    pub profile_id: Option<ProfileId>,
    /// Also where that id holds another login.
    pub replace: bool,
}

/// What a login tells its user while it runs.
pub trait LoginUi {
    /// The page to open. The browser is never waited for.
    fn open(&mut self, url: &str);
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
}

/// Why a login did not complete. What was stored before is untouched in every case.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The provider has no login of this kind.
    #[error("{provider} has no browser login")]
    NoMethod {
        /// Which provider.
        provider: String,
    },
    /// The listener could not be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The provider or the user said no.
    #[error("the provider ended the login: {0}")]
    Denied(String),
    /// The browser never came back with a code.
    #[error(transparent)]
    Wait(WaitError),
    /// The issuer did not say where its endpoints are.
    #[error("the login cannot begin: {0}")]
    Discovery(#[from] DiscoveryError),
    /// The exchange of the code failed.
    #[error("the code could not be exchanged: {0}")]
    Exchange(String),
    /// A scope that is needed was not granted.
    #[error("the provider did not grant the scope {scope}")]
    MissingScope {
        /// Which one.
        scope: String,
    },
    /// The id holds another login.
    #[error("{id} holds the login of somebody else; choose another id with --profile-id, or --replace it")]
    IdTaken {
        /// Which id.
        id: ProfileId,
    },
    /// What was stored is not what was read back.
    #[error("the store did not keep the login")]
    NotKept,
    /// Something on this machine.
    #[error("{0}")]
    Local(String),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store's lock cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The store cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<NoRandom> for LoginError {
    fn from(error: NoRandom) -> Self {
        Self::Local(error.to_string())
    }
}

impl LoginError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Denied(_) => Code::LoginDenied,
            Self::IdTaken { .. } => Code::IdTaken,
            Self::Read(e) => e.code(),
            Self::Lock(e) => e.code(),
            Self::Write(e) => e.code(),
            Self::NoMethod { .. } => Code::Usage,
            Self::Bind(_)
            | Self::Wait(_)
            | Self::Discovery(_)
            | Self::Exchange(_)
            | Self::MissingScope { .. }
            | Self::NotKept
            | Self::Local(_) => Code::LoginFailed,
        }
    }
}

impl Auth {
    /// Logs in to `manifest`'s provider with a browser on this machine and stores the login in the agent's store.
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
        if manifest.auth(MethodKind::OAuth).is_none() {
            return Err(LoginError::NoMethod { provider: manifest.name.to_string() });
        }
        // What would refuse the result is found before a person is sent to a browser.
        StoreGuard::acquire(self.state(), &agent.store())?.check_writable()?;
        let store = read_auth_store(&agent.store())?;
        if store.doc.version() > AuthProfiles::VERSION {
            let version = store.doc.version();
            return Err(WriteError::UnsupportedVersion { path: store.path, version }.into());
        }
        let method = manifest
            .auth(MethodKind::OAuth)
            .ok_or_else(|| LoginError::NoMethod { provider: manifest.name.to_string() })?;
        let discovered = self.discovered(method)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| LoginError::Local(e.to_string()))?;
        let result = runtime.block_on(self.run_login(agent, manifest, &discovered, request, ui));
        runtime.shutdown_background();
        result
    }

    async fn run_login(
        &self,
        agent: &AgentPaths,
        manifest: &Manifest,
        discovered: &Discovered<'_>,
        request: &LoginRequest,
        ui: &mut dyn LoginUi,
    ) -> Result<LoggedIn, LoginError> {
        let no_method = || LoginError::NoMethod { provider: manifest.name.to_string() };
        let method = &*discovered.method;
        let endpoint = Endpoint::of(method).ok_or_else(no_method)?;
        let authorize_url =
            method.authorize_url.as_deref().and_then(|url| url.parse().ok()).ok_or_else(no_method)?;
        let redirect = method.redirect.as_deref().unwrap_or("http://127.0.0.1/callback");
        let redirect: coderclaw_http::Url = redirect.parse().map_err(|_| no_method())?;
        let host = redirect.host_str().unwrap_or("127.0.0.1");

        let mut listener = Listener::bind(&method.redirect_ports).await?.yielding();
        let redirect_uri = listener.redirect_uri(host, redirect.path());
        let pkce = Pkce::generate()?;
        let state = State::generate()?;
        let url = AuthorizationRequest {
            authorize_url,
            client_id: endpoint.token.client_id.clone(),
            redirect_uri: redirect_uri.clone(),
            scopes: method.scopes.iter().map(ToString::to_string).collect(),
            extra: method.authorize_params.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
            challenge: pkce.challenge(),
            state: state.clone(),
        }
        .url();
        ui.open(url.as_str());
        let Callback { code, iss, reply } =
            listener.wait(redirect.path(), &state, WAIT_FOR_BROWSER).await.map_err(|e| match e {
                WaitError::Denied { .. } => LoginError::Denied(e.to_string()),
                e => LoginError::Wait(e),
            })?;
        let done = async {
            // RFC 9207: an answer that names another issuer belongs to another login.
            if let (Some(iss), Some(issuer)) = (&iss, method.issuer.as_deref())
                && iss != issuer
            {
                return Err(LoginError::Denied(format!("the answer comes from {iss}, not from {issuer}")));
            }
            if iss.is_none() && discovered.answers_name_issuer {
                return Err(LoginError::Denied("the answer does not say which issuer it comes from".into()));
            }
            let limits = Limits { connect: Duration::from_secs(10), total: Duration::from_secs(30) };
            let client =
                Client::new(&self.network(), limits).map_err(|e| LoginError::Local(e.to_string()))?;
            match exchange(&client, &endpoint.token, &code, pkce.verifier(), &redirect_uri).await {
                RefreshAnswer::Granted(set) => {
                    self.store_login(agent, manifest, method, &endpoint, &set, request)
                }
                other => Err(LoginError::Exchange(in_words(other))),
            }
        };
        tell_browser(done.await, reply)
    }

    /// Puts what the exchange brought into the store, and reads it back.
    fn store_login(
        &self,
        agent: &AgentPaths,
        manifest: &Manifest,
        method: &AuthMethod,
        endpoint: &Endpoint,
        set: &TokenSet,
        request: &LoginRequest,
    ) -> Result<LoggedIn, LoginError> {
        if let Some(granted) = &set.scope {
            let missing = method
                .required_scopes
                .iter()
                .find(|scope| !granted.split_whitespace().any(|one| one == *scope));
            if let Some(scope) = missing {
                return Err(LoginError::MissingScope { scope: scope.to_string() });
            }
        }
        let refresh =
            set.refresh.clone().ok_or_else(|| LoginError::Exchange("no refresh token came".into()))?;
        let now = self.clock().now();
        let life = expiry(set, now, endpoint.default_lifetime);
        let identity = read_identity(&set.access, set.id_token.as_ref(), &endpoint.identity);
        let mut tokens = TokenUpdate::new(set.access.clone(), refresh, life.expires, life.issued_at);
        tokens.earliest_refresh_at = set.earliest_refresh_at.map(|at| set.local_time(at, now));
        tokens.account_id.clone_from(&identity.account);
        tokens.email.clone_from(&identity.email);
        tokens.subject.clone_from(&identity.subject);
        tokens.issuer.clone_from(&identity.issuer);
        tokens.client_id = Some(endpoint.token.client_id.clone());
        tokens.token_origin = Some(endpoint.origin.clone());
        if let Some(own) = manifest.auth(method.method) {
            remember(own, &endpoint.token.url, &mut tokens)?;
        }

        let provider = ProviderId::new(&manifest.id);
        fingerprint_key(self.state())?;
        let guard = StoreGuard::acquire(self.state(), &agent.store())?;
        let mut doc = guard.read()?.doc;
        let profile = self.choose_id(&doc, &provider, &identity, request)?;
        let replaced = doc.get(&profile).is_some();
        doc.put_login(&profile, &provider, &LoginEntry::OAuth(Box::new(tokens.clone())));
        guard.commit(&doc)?;
        let kept = match guard.read()?.doc.get(&profile) {
            Some(Entry::OAuth(entry)) => {
                entry.refresh == Some(tokens.refresh) && entry.access == Some(tokens.access)
            }
            _ => false,
        };
        if !kept {
            return Err(LoginError::NotKept);
        }
        let order = doc.order(&provider).or_else(|| self.config().order(&provider).map(<[_]>::to_vec));
        let hidden_by_order = order.is_some_and(|order| !order.contains(&profile));
        Ok(LoggedIn { profile, provider, identity, replaced, hidden_by_order })
    }

    /// The same person in the same workspace keeps its id. A new one is named for its e-mail, else for its subject; a
    /// second workspace of one e-mail gets the first eight characters of its id behind it.
    fn choose_id(
        &self,
        doc: &AuthProfiles,
        provider: &ProviderId,
        identity: &Identity,
        request: &LoginRequest,
    ) -> Result<ProfileId, LoginError> {
        let of_same = |id: &ProfileId| match doc.get(id) {
            None => true,
            Some(Entry::OAuth(entry)) => {
                self.canonical(&entry.provider) == *provider && is_login_of(&entry, identity)
            }
            Some(_) => false,
        };
        if let Some(id) = &request.profile_id {
            if of_same(id) || request.replace {
                return Ok(id.clone());
            }
            return Err(LoginError::IdTaken { id: id.clone() });
        }
        if let Some(id) = doc.ids().find(|id| doc.get(id).is_some() && of_same(id)) {
            return Ok(id);
        }
        let name = identity.email.as_deref().or(identity.subject.as_deref()).unwrap_or("default");
        let plain = ProfileId::stored(&format!("{provider}:{name}"));
        let named = identity.account.as_deref().map(|account| {
            let short: String = account.chars().take(8).collect();
            ProfileId::stored(&format!("{provider}:{name}#{short}"))
        });
        let free = [Some(&plain), named.as_ref()].into_iter().flatten().find(|id| of_same(id));
        match free {
            Some(id) => Ok(id.clone()),
            None if request.replace => Ok(plain),
            None => Err(LoginError::IdTaken { id: plain }),
        }
    }
}

/// The page in the browser says what is true, and only once it is.
fn tell_browser(done: Result<LoggedIn, LoginError>, reply: Reply) -> Result<LoggedIn, LoginError> {
    match &done {
        Ok(login) => {
            reply.success(&format!("{} is stored. You can close this page.", login.profile));
        }
        Err(e) => reply.failure(e.code().as_str(), &e.to_string()),
    }
    done
}

fn in_words(answer: RefreshAnswer) -> String {
    let words = |text: Option<String>| text.map(|text| format!(": {text}")).unwrap_or_default();
    match answer {
        RefreshAnswer::Granted(_) => "it was".into(),
        RefreshAnswer::Refused { code, description } => format!("{code}{}", words(description)),
        RefreshAnswer::NotSpent { status, code, description, .. } => {
            let status = status.map_or_else(|| "an answer".into(), |status| format!("status {status}"));
            let code = code.map(|code| format!(" {code}")).unwrap_or_default();
            format!("{status}{code}{}", words(description))
        }
        RefreshAnswer::Ambiguous { why, .. } => why,
        RefreshAnswer::Offline { detail, .. } => detail,
    }
}

//! The handle: starting, setting, asking.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use coderclaw_types::{Clock, Secret, TokenHash};

use crate::device;
use crate::faults::{Fault, Faults, On};
use crate::gate::Gate;
use crate::jwt::Minter;
use crate::log::{Counts, Seen};
use crate::model::{KeyKind, Keys, ModelFault, ModelFaults, StreamGate};
use crate::policy::{Policy, User};
use crate::server;
use crate::sign::Signer;
use crate::state::{Shared, State};
use crate::token::mint;
use crate::tokens::{Family, FamilyId, Tokens};

/// What a server is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server's clock, before its skew.
    pub clock: Clock,
    /// The rules at the start.
    pub policy: Policy,
    /// Who may sign in. With nobody, one made-up person does.
    pub users: Vec<User>,
    /// Whether other processes may look and set things under `/admin/`.
    pub admin: bool,
}

impl Options {
    /// Default rules, nobody registered, no admin pages.
    pub fn new(clock: Clock) -> Self {
        Self { clock, policy: Policy::default(), users: Vec::new(), admin: false }
    }
}

/// Tokens that were issued without a browser.
#[derive(Debug, Clone)]
pub struct Grant {
    /// An access token.
    pub access: Secret,
    /// The refresh token of a new family.
    pub refresh: Secret,
    /// An id token.
    pub id_token: Secret,
    /// The access token's life in seconds.
    pub expires_in: i64,
    /// Whose it is.
    pub user: User,
    /// The new family.
    pub family: FamilyId,
}

/// A running server. Dropping it closes every connection, in whatever state, and waits for its threads.
#[derive(Debug)]
pub struct Sandbox {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts a server on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// Where no port, no thread or no randomness can be had.
    pub fn start(options: Options) -> io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|e| io::Error::other(e.to_string()))?;
        let listener = server::bind()?;
        let address = listener.local_addr()?;
        let state = State {
            policy: options.policy,
            users: options.users,
            signs_in: None,
            denials: VecDeque::new(),
            codes: HashMap::new(),
            clients: BTreeMap::new(),
            devices: HashMap::new(),
            tokens: Tokens::default(),
            minter: Minter::new(seed),
            signer: Signer::generate("sandbox-key-1".into())?,
            foreign: Signer::generate("sandbox-key-0".into())?,
            faults: Faults::default(),
            gates: BTreeMap::new(),
            last_gate: 0,
            stream_gates: BTreeMap::new(),
            keys: Keys::new(),
            model_faults: ModelFaults::default(),
            log: Vec::new(),
            connections: HashMap::new(),
            last_connection: 0,
            stopping: false,
        };
        let origin = format!("http://{address}");
        let shared = Arc::new(Shared::new(state, options.clock, origin, options.admin));
        let acceptor = Builder::new().name("sandbox accept".into()).spawn({
            let shared = Arc::clone(&shared);
            move || server::run(&shared, &listener)
        })?;
        Ok(Self { shared, address, acceptor: Some(acceptor) })
    }

    /// `http://127.0.0.1:PORT`
    pub fn origin(&self) -> &str {
        &self.shared.origin
    }

    /// The token endpoint's address.
    pub fn token_url(&self) -> String {
        format!("{}/oauth/token", self.origin())
    }

    /// A provider manifest that points the `oauth` method of `provider` here: the text of a `providers/NAME.toml`.
    pub fn manifest(&self, provider: &str) -> String {
        let origin = self.origin();
        // A JSON string with these escapes is a TOML basic string too.
        let provider = serde_json::Value::from(provider);
        format!(
            "extends = {provider}\n\n\
             [[auth]]\n\
             method = \"oauth\"\n\
             issuer = \"{origin}\"\n\
             authorize_url = \"{origin}/oauth/authorize\"\n\
             token_url = \"{origin}/oauth/token\"\n\
             revoke_url = \"{origin}/oauth/revoke\"\n\
             redirect = \"http://127.0.0.1/auth/callback\"\n\
             redirect_ports = []\n"
        )
    }

    /// The same with a device login as `openai-codex` has it.
    pub fn device_manifest(&self, provider: &str) -> String {
        let origin = self.origin();
        format!(
            "{}\n\
             [[auth]]\n\
             method = \"device-code\"\n\
             device_dialect = \"openai\"\n\
             device_url = \"{origin}/api/accounts/deviceauth/usercode\"\n\
             device_poll_url = \"{origin}/api/accounts/deviceauth/token\"\n\
             device_page = \"{origin}/codex/device\"\n\
             device_redirect = \"{origin}/deviceauth/callback\"\n",
            self.manifest(provider)
        )
    }

    /// A manifest that points `openai`'s "Sign in with ChatGPT" here, and its model API.
    pub fn siwc_manifest(&self) -> String {
        let origin = self.origin();
        format!(
            "extends = \"openai\"\n\n[api]\nbase_url = \"{origin}/v1\"\n\n[[auth]]\nmethod = \"siwc\"\n\
             issuer = \"{origin}\"\nauthorize_url = \"{origin}/api/accounts/authorize\"\n\
             token_url = \"{origin}/api/accounts/oauth/token\"\nrevoke_url = \"{origin}/api/accounts/oauth/revoke\"\n\
             jwks_url = \"{origin}/oauth/jwks\"\nresource = \"{origin}/v1\"\n"
        )
    }

    /// The clients that were registered in the course of a login: id, and whose they are.
    pub fn clients(&self) -> Vec<(String, String)> {
        let state = self.shared.lock();
        state.clients.iter().map(|(id, client)| (id.clone(), client.subject.clone())).collect()
    }

    /// The person types in this code and says yes, or no. False where no such code waits.
    #[must_use]
    pub fn type_in(&self, user_code: &str, yes: bool) -> bool {
        self.shared.change(|state| device::say(state, user_code, yes))
    }

    /// The same for a provider whose model API is here too: Anthropic's for `anthropic`, the ChatGPT route for
    /// `openai-codex`, and for any other what its own manifest speaks.
    pub fn model_manifest(&self, provider: &str) -> String {
        let origin = self.origin();
        match provider {
            "openai-codex" => {
                format!("{}\n[api]\nbase_url = \"{origin}/backend-api/codex\"\n", self.manifest(provider))
            }
            _ => {
                let provider = serde_json::Value::from(provider);
                format!("extends = {provider}\n\n[api]\nbase_url = \"{origin}/v1\"\n")
            }
        }
    }

    /// The manifest of a company's own proxy, which is here too: it speaks Anthropic's dialect below `/company/v1` and takes
    /// the access tokens of its own login, as a bearer and without a beta header.
    pub fn company_manifest(&self, id: &str) -> String {
        let origin = self.origin();
        let id = serde_json::Value::from(id);
        format!(
            "id = {id}\n\
             name = \"Company\"\n\n\
             [api]\n\
             kind = \"anthropic-messages\"\n\
             base_url = \"{origin}/company/v1\"\n\
             headers = {{ anthropic-version = \"2023-06-01\" }}\n\
             probe = \"/models\"\n\n\
             [[auth]]\n\
             method = \"oauth\"\n\
             billing = \"subscription\"\n\
             issuer = \"{origin}\"\n\
             authorize_url = \"{origin}/oauth/authorize\"\n\
             token_url = \"{origin}/oauth/token\"\n\
             client_id = \"company\"\n\
             scopes = [\"openid\", \"email\", \"offline_access\"]\n\
             redirect = \"http://127.0.0.1/callback\"\n\
             identity = {{ subject = \"/sub\", email = \"/email\" }}\n"
        )
    }

    /// Registers a key or a static token for the model APIs, as the property of this account.
    pub fn add_key(&self, kind: KeyKind, secret: &Secret, account: &str) {
        let hash = TokenHash::of(secret);
        self.shared.change(|state| state.keys.insert(hash, (kind, account.to_owned())));
    }

    /// From now on a registered key is refused.
    pub fn remove_key(&self, secret: &Secret) {
        self.shared.change(|state| state.keys.remove(&TokenHash::of(secret)));
    }

    /// Queues a fault for the next `times` model requests: of this account, or of anybody.
    pub fn script_model(&self, account: Option<&str>, fault: ModelFault, times: usize) {
        self.shared.change(|state| state.model_faults.push(account, &fault, times));
    }

    /// The same for the next `times` requests of anybody that ask a model something: programs list models as they please.
    pub fn script_turns(&self, fault: &ModelFault, times: usize) {
        self.shared.change(|state| state.model_faults.push_for_turns(fault, times));
    }

    /// The next model stream is held, chunk by chunk. Several gates take one stream each.
    pub fn stream_gate(&self) -> StreamGate {
        StreamGate::new(&self.shared)
    }

    /// Registers somebody, in place of whoever had that e-mail.
    pub fn add_user(&self, user: User) {
        self.shared.change(|state| {
            state.users.retain(|known| known.email != user.email);
            state.users.push(user);
        });
    }

    /// Who signs in from now on where an authorization request names nobody in `user` or `login_hint`. Until this is
    /// said, it is the only registered person; with several, the page asks.
    pub fn next_user(&self, email: &str) {
        self.shared.change(|state| state.signs_in = Some(email.to_owned()));
    }

    /// The next authorization ends with this error.
    pub fn deny_next(&self, error: &str, description: &str) {
        self.shared.change(|state| {
            state.denials.push_back((error.to_owned(), description.to_owned()));
        });
    }

    /// Changes the rules.
    pub fn policy(&self, change: impl FnOnce(&mut Policy)) {
        self.shared.change(|state| change(&mut state.policy));
    }

    /// Puts a new signing key, under a new name, in the place of the old one, which `jwks_uri` shows no more.
    ///
    /// # Errors
    /// Where no randomness can be had.
    pub fn rotate_key(&self) -> io::Result<()> {
        self.shared.change(|state| {
            let last: u64 = state.signer.kid().rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(1);
            state.signer = Signer::generate(format!("sandbox-key-{}", last + 1))?;
            Ok(())
        })
    }

    /// Queues a fault for the next `times` refreshes.
    pub fn script(&self, fault: Fault, times: usize) {
        self.script_on(On::Refresh, fault, times);
    }

    /// Queues a fault for the next `times` requests of a kind.
    pub fn script_on(&self, on: On, fault: Fault, times: usize) {
        self.shared.change(|state| state.faults.push(on, fault, times));
    }

    /// Forgets the faults that wait.
    pub fn clear_script(&self) {
        self.shared.change(|state| {
            state.faults.clear();
            state.model_faults.clear();
        });
    }

    /// The next refresh is carried out, and its answer held until the gate opens. Several gates take one refresh each.
    pub fn gate(&self) -> Gate {
        Gate::new(&self.shared)
    }

    /// Every request so far, in the order in which they were carried out.
    pub fn log(&self) -> Vec<Seen> {
        self.shared.lock().log.clone()
    }

    /// Sums over the log.
    pub fn counts(&self) -> Counts {
        Counts::of(&self.shared.lock().log)
    }

    /// Waits until the log is as wanted; false where `timeout` comes first.
    #[must_use]
    pub fn wait_for(&self, timeout: Duration, wanted: impl Fn(&[Seen]) -> bool) -> bool {
        self.shared.wait(timeout, |state| wanted(&state.log))
    }

    /// Issues tokens without a browser, to the person with this subject, or to [`User::named`] where there is none.
    /// Any client may refresh them. Not in the log: no request was made.
    pub fn grant(&self, subject: &str) -> Grant {
        self.shared.change(|state| {
            let known = state.users.iter().find(|user| user.subject == subject).cloned();
            let user = known.unwrap_or_else(|| User::named(subject));
            let family = Family {
                user: user.clone(),
                client: None,
                scope: "openid profile email offline_access".to_owned(),
                nonce: None,
                ended: false,
            };
            let refresh = Secret::from(state.minter.refresh_token());
            let now = self.shared.now(state);
            let first = TokenHash::of(&refresh);
            let id = state.tokens.begin(family.clone(), first, now, &state.policy);
            let pair = mint(&self.shared, state, id, &family, user.clone());
            Grant {
                access: Secret::from(pair.access),
                refresh,
                id_token: Secret::from(pair.id_token),
                expires_in: pair.expires_in,
                user,
                family: id,
            }
        })
    }

    /// Ends the family of this refresh or access token.
    pub fn kill_family(&self, token: &Secret) {
        self.shared.change(|state| {
            if let Some(id) = state.tokens.family_of(&TokenHash::of(token)) {
                state.tokens.end(id);
            }
        });
    }

    /// Ends all families of a person.
    pub fn revoke_all(&self, subject: &str) {
        self.shared.change(|state| state.tokens.end_all(subject));
    }

    /// From now on this access token is refused, though it looks valid; its family goes on.
    pub fn reject_access(&self, access: &Secret) {
        self.shared.change(|state| state.tokens.reject_access(&TokenHash::of(access)));
    }

    /// Whether this refresh token is unspent, unexpired and of a living family.
    pub fn is_live(&self, refresh: &Secret) -> bool {
        let state = self.shared.lock();
        state.tokens.is_live(&TokenHash::of(refresh), self.shared.now(&state))
    }

    /// Whether a call with this access token would succeed.
    pub fn is_live_access(&self, access: &Secret) -> bool {
        let state = self.shared.lock();
        let now = self.shared.now(&state);
        state.tokens.bearer(&TokenHash::of(access), now).is_some()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        server::stop(&self.shared, self.address, self.acceptor.take());
    }
}

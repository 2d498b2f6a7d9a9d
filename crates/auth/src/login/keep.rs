//! What the exchange brought goes into the store, and is read back.

use coderclaw_oauth::{Identity, TokenSet, expiry, identity_of};
use coderclaw_providers::CredentialKind;
use coderclaw_store::{
    AgentPaths, AuthProfiles, Entry, LoginEntry, StateGuard, StoreGuard, TokenUpdate, UsageStats,
    fingerprint_key, read_auth_state, read_auth_store,
};
use coderclaw_types::{AgentId, GrantId, ProfileId, ProviderId};

use super::error::{LoginError, check_expected};
use super::way::Way;
use super::{LoggedIn, LoginRequest, fault};
use crate::context::Auth;
use crate::discovered::remember;
use crate::events::{Event, Note};
use crate::identity::is_login_of;

impl Auth {
    /// Puts what the exchange brought into the store, and reads it back.
    pub(super) fn keep_login(
        &self,
        agent: &AgentPaths,
        way: &Way<'_>,
        set: &TokenSet,
        request: &LoginRequest,
    ) -> Result<LoggedIn, LoginError> {
        fault("login.exchanged")?;
        if let Some(granted) = &set.scope {
            let mut required = way.method.required_scopes.iter();
            if let Some(scope) = required.find(|scope| !granted.split_whitespace().any(|one| one == **scope))
            {
                return Err(LoginError::MissingScope { scope: scope.to_string() });
            }
        }
        let endpoint = &way.endpoint;
        let identity = way.said.clone().unwrap_or_else(|| identity_of(set, &endpoint.identity));
        check_expected(&identity, request.expect.as_deref(), request.workspace.as_deref())?;
        if way.method.method.makes() == CredentialKind::ApiKey {
            return self.keep_key(agent, way.manifest, set, identity, request);
        }
        let refresh =
            set.refresh.clone().ok_or_else(|| LoginError::Exchange("no refresh token came".into()))?;
        let now = self.clock().now();
        let life = expiry(set, now, endpoint.default_lifetime);
        let mut tokens = TokenUpdate::new(set.access.clone(), refresh, life.expires, life.issued_at);
        tokens.earliest_refresh_at = set.earliest_refresh_at.map(|at| set.local_time(at, now));
        tokens.account_id.clone_from(&identity.account);
        tokens.email.clone_from(&identity.email);
        tokens.subject.clone_from(&identity.subject);
        tokens.issuer.clone_from(&identity.issuer);
        let client_id = set.client_id.as_ref().unwrap_or(&endpoint.token.client_id);
        tokens.client_id = Some(client_id.clone());
        // Where nothing is said, all was granted that was asked for (RFC 6749 section 5.1).
        tokens.scope = endpoint.scope_of(set.scope.as_deref());
        tokens.token_origin = Some(endpoint.origin.clone());
        // From birth: the original clones stores and refreshes one of them, and the key is all that still tells then that
        // they hold one login.
        tokens.grant = Some(GrantId::mint(&endpoint.origin, client_id, &tokens.refresh));
        remember(&way.own, &way.method, &endpoint.token.url, &mut tokens)?;

        let provider = ProviderId::new(&way.manifest.id);
        self.readmit(&endpoint.origin, client_id, &tokens.refresh)
            .map_err(|e| LoginError::Local(e.to_string()))?;
        fault("login.admitted")?;
        fingerprint_key(self.state())?;
        let guard = StoreGuard::acquire_patiently(self.state(), &agent.store())?;
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
        drop(guard);
        if !kept {
            return Err(LoginError::NotKept);
        }
        fault("login.stored")?;
        self.note_owner(way, client_id, &identity);
        let note = Note::new(Event::Login, agent, if replaced { "replaced" } else { "stored" });
        self.audit_of(Some(&set.access), note.of(Some(&provider), &profile));
        let order = doc.order(&provider).or_else(|| self.config().order(&provider).map(<[_]>::to_vec));
        let still_set_aside = self.take_back(agent, &doc, &profile);
        self.renew_cache(agent);
        self.attend(agent, &profile);
        fault("login.done")?;
        Ok(LoggedIn {
            hidden_by_order: order.is_some_and(|order| !order.contains(&profile)),
            also_in: self.others_with(agent, &provider, &identity),
            still_set_aside,
            missing_scope: endpoint.missing_scope(set.scope.as_deref()).map(str::to_owned),
            profile,
            provider,
            kind: CredentialKind::OAuth,
            identity,
            replaced,
        })
    }

    /// Past failures say nothing about a new login. Where that cannot be written the login is none the worse, and
    /// the reason is given.
    fn take_back(&self, agent: &AgentPaths, doc: &AuthProfiles, profile: &ProfileId) -> Option<String> {
        let write = || -> Result<(), LoginError> {
            let is_clean = |usage: &UsageStats| {
                *usage == UsageStats { last_used: usage.last_used, ..UsageStats::default() }
            };
            if is_clean(&read_auth_state(&agent.state(), doc)?.usage(profile)) {
                return Ok(());
            }
            let guard = StateGuard::acquire(self.state(), &agent.state())?;
            let mut state = read_auth_state(&agent.state(), doc)?;
            let last_used = state.usage(profile).last_used;
            state.set_usage(profile, &UsageStats { last_used, ..UsageStats::default() });
            Ok(guard.commit(&state)?)
        };
        write().err().map(|e| e.to_string())
    }

    /// The same person and workspace in the stores of other agents. They have logins of their own, which this one does
    /// not renew.
    fn others_with(
        &self,
        agent: &AgentPaths,
        provider: &ProviderId,
        identity: &Identity,
    ) -> Vec<(AgentId, ProfileId)> {
        let mut found = Vec::new();
        for other in self.state().agents(self.config()).unwrap_or_default() {
            if other.store() == agent.store() {
                continue;
            }
            let Ok(store) = read_auth_store(&other.store()) else { continue };
            for (id, entry) in store.doc.entries() {
                if let Entry::OAuth(entry) = entry
                    && self.canonical(&entry.provider) == *provider
                    && is_login_of(&entry, identity)
                {
                    found.push((other.agent.clone(), id));
                }
            }
        }
        found
    }

    /// The id that was asked for, else that of [`Auth::id_for`].
    fn choose_id(
        &self,
        doc: &AuthProfiles,
        provider: &ProviderId,
        identity: &Identity,
        request: &LoginRequest,
    ) -> Result<ProfileId, LoginError> {
        if let Some(id) = &request.profile_id {
            if request.replace || self.may_hold(doc, id, provider, identity) {
                return Ok(id.clone());
            }
            return Err(LoginError::IdTaken { id: id.clone() });
        }
        match self.id_for(doc, provider, identity) {
            Ok(id) => Ok(id),
            Err(taken) if request.replace => Ok(taken),
            Err(id) => Err(LoginError::IdTaken { id }),
        }
    }

    /// The same person in the same workspace keeps its id. A new one is named for its e-mail, else for its subject; a
    /// second workspace of one e-mail gets the first eight characters of its id behind it.
    ///
    /// # Errors
    /// The id that it would have, where that holds another credential.
    pub(crate) fn id_for(
        &self,
        doc: &AuthProfiles,
        provider: &ProviderId,
        identity: &Identity,
    ) -> Result<ProfileId, ProfileId> {
        let of_same = |id: &ProfileId| self.may_hold(doc, id, provider, identity);
        if let Some(id) = doc.ids().find(|id| doc.get(id).is_some() && of_same(id)) {
            return Ok(id);
        }
        let names = [&identity.email, &identity.name, &identity.subject];
        let name = names.into_iter().find_map(|name| name.as_deref()).unwrap_or("default");
        let plain = ProfileId::stored(&format!("{provider}:{name}"));
        let named = identity.account.as_deref().map(|account| {
            let short: String = account.chars().take(8).collect();
            ProfileId::stored(&format!("{provider}:{name}#{short}"))
        });
        let free = [Some(&plain), named.as_ref()].into_iter().flatten().find(|id| of_same(id));
        free.cloned().ok_or(plain)
    }

    /// Whether nothing stands under the id, or a login of this very identity.
    fn may_hold(
        &self,
        doc: &AuthProfiles,
        id: &ProfileId,
        provider: &ProviderId,
        identity: &Identity,
    ) -> bool {
        match doc.get(id) {
            None => true,
            Some(Entry::OAuth(entry)) => {
                self.canonical(&entry.provider) == *provider && is_login_of(&entry, identity)
            }
            Some(_) => false,
        }
    }
}

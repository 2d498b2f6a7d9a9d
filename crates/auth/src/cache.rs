//! Keeping `auth.json`, the runtime cache, in line with the store: after every commit, from what the resolver says.
//!
//! The cache is never truth. That it cannot be written is told and is no failure of what was committed.

use coderclaw_providers::CredentialKind;
use coderclaw_store::{
    AgentPaths, Entry, RuntimeCache, StoreGuard, StoreOwner, read_auth_store, read_fingerprint_key,
    read_receipts, read_text, store_owner,
};
use coderclaw_types::{Fingerprint, GrantId, ProviderId, Secret, TokenHash};
use serde_json::json;

use crate::context::Auth;
use crate::decide::Contender;
use crate::grant::Refreshable;
use crate::resolve::Ask;
use crate::scene::Scene;
use crate::standing::Readiness;

/// Providers whose key, for readers of the cache, is a JSON text with the token and its project.
const WITH_PROJECT: &[&str] = &["google-gemini-cli", "google-antigravity"];

impl Auth {
    /// Writes the agent's runtime cache anew, where it would say something else than it does. Called after a commit, with
    /// no lock of a store or of a state held.
    pub(crate) fn renew_cache(&self, agent: &AgentPaths) {
        self.renew_cache_without(agent, &|_| false);
    }

    /// The same, and entries that hold a token which `is_gone` knows go, whoever wrote them.
    pub(crate) fn renew_cache_without(&self, agent: &AgentPaths, is_gone: &dyn Fn(&TokenHash) -> bool) {
        // What this agent has to lend, those that are linked to it have as well.
        let linkers = match self.state().may_have_several_agents(self.config()) {
            true => self.linkers(&agent.agent).unwrap_or_default(),
            false => Vec::new(),
        };
        let linkers: Vec<AgentPaths> =
            linkers.iter().map(|id| self.state().agent(self.config(), id)).collect();
        for one in std::iter::once(agent).chain(&linkers) {
            if let Err(why) = renew(self, one, is_gone) {
                self.note(format!("the runtime cache {} was not renewed: {why}", one.cache().display()));
            }
        }
    }

    /// The same for every agent whose store holds the grant, and for `agent`.
    pub(crate) fn renew_caches_of(
        &self,
        grant: &GrantId,
        agent: &AgentPaths,
        is_gone: &dyn Fn(&TokenHash) -> bool,
    ) {
        for one in self.state().agents(self.config()).unwrap_or_default() {
            let holds = || {
                read_auth_store(&one.store())
                    .is_ok_and(|store| !Refreshable::all_in(self, &store, grant).is_empty())
            };
            if one == *agent || holds() {
                self.renew_cache_without(&one, is_gone);
            }
        }
    }

    /// Takes the tokens out of the cache before the store forgets them, so that no kill in between leaves a copy.
    pub(crate) fn drop_from_cache(&self, guard: &StoreGuard, agent: &AgentPaths, tokens: &[&Secret]) {
        let gone: Vec<TokenHash> = tokens.iter().map(|token| TokenHash::of(token)).collect();
        let path = agent.cache();
        let Ok(Some(text)) = read_text(&path) else { return };
        let Ok(before) = RuntimeCache::parse(&text) else { return };
        let after = before.without(&|hash| gone.contains(hash));
        // The renewal after the commit says what went wrong, if it still does.
        if before.is_ours() && after != before {
            drop(guard.replace_cache(&path, &after));
        }
    }
}

fn renew(auth: &Auth, agent: &AgentPaths, is_gone: &dyn Fn(&TokenHash) -> bool) -> Result<(), String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    // Another state dir's: that one knows what it would lend.
    if let StoreOwner::Foreign(_) = store_owner(auth.state(), &agent.store()).map_err(|e| text(&e))? {
        return Ok(());
    }
    let path = agent.cache();
    if std::fs::symlink_metadata(&path).is_ok_and(|meta| !meta.is_file()) {
        return Err("it is no plain file".into());
    }
    let guard = StoreGuard::acquire(auth.state(), &agent.store()).map_err(|e| text(&e))?;
    let before = match read_text(&path).map_err(|e| text(&e))? {
        None => RuntimeCache::default(),
        Some(held) => {
            let before = RuntimeCache::parse(&held).map_err(|e| format!("it is damaged: {e}"))?;
            if !before.is_ours() && is_being_imported(auth, agent, &held) {
                return Ok(());
            }
            before
        }
    };
    let scene = Scene::read(auth, agent).map_err(|e| text(&e))?;
    let own: Vec<TokenHash> = scene
        .seen()
        .iter()
        .flat_map(|seen| secrets(&seen.entry))
        .map(|secret| TokenHash::of(&secret))
        .collect();
    let after =
        before.renewed(&agent.agent, &lendable(auth, &scene)?, &|hash| own.contains(hash) || is_gone(hash));
    // A file that has nothing of ours, and should have nothing, is left as it is.
    if after == before || (!before.is_ours() && after.differs_by_marker(&before)) {
        return Ok(());
    }
    guard.replace_cache(&path, &after).map_err(|e| text(&e))
}

/// An older program's `auth.json` whose import was cut off after the store had it. The next command that imports moves
/// it aside as it is.
fn is_being_imported(auth: &Auth, agent: &AgentPaths, text: &str) -> bool {
    let key = read_fingerprint_key(auth.state()).ok().flatten();
    let receipts = read_receipts(auth.state()).unwrap_or_default();
    let begun = receipts.auth_json(&agent.agent).map(|(source, _)| source.to_owned());
    key.is_some_and(|key| begun.as_deref() == Some(Fingerprint::of(&key, &Secret::from(text)).as_str()))
}

/// For each provider that the agent has profiles of: what would be lent now. What comes from the environment or the
/// config is not ours to write down.
fn lendable(auth: &Auth, scene: &Scene<'_>) -> Result<Vec<(String, Secret)>, String> {
    let mut all = Vec::new();
    for manifest in auth.registry().iter() {
        let provider = ProviderId::new(&manifest.id);
        if !scene.has_profiles_of(&provider) {
            continue;
        }
        let decision = scene.decide(manifest, &Ask::default()).map_err(|e| e.to_string())?;
        if let Some(secret) = decision.winner().and_then(|winner| key_of(scene, &provider, winner)) {
            all.push((provider.as_str().to_owned(), secret));
        }
    }
    Ok(all)
}

fn key_of(scene: &Scene<'_>, provider: &ProviderId, winner: &Contender) -> Option<Secret> {
    let id = winner.candidate.profile_id.as_ref()?;
    let standing = &winner.standing;
    let works = match standing.readiness {
        Readiness::Now => true,
        Readiness::AfterRefresh => standing.works,
        Readiness::OnDemand | Readiness::Blocked | Readiness::Never => false,
    };
    // What is kept elsewhere on purpose is not copied here.
    let works = works && standing.reference.is_none();
    let secret = standing.secret.clone().filter(|_| works)?;
    if winner.kind == Some(CredentialKind::OAuth) && WITH_PROJECT.contains(&provider.as_str()) {
        let project = scene.shelf(winner.whose).store.doc.field(id, "projectId").unwrap_or_default();
        return Some(Secret::from(json!({"token": secret.expose(), "projectId": project}).to_string()));
    }
    Some(secret)
}

/// Every secret of an entry.
pub(crate) fn secrets(entry: &Entry) -> Vec<Secret> {
    let all = match entry {
        Entry::ApiKey(one) => vec![one.key.clone()],
        Entry::Token(one) => vec![one.token.clone()],
        Entry::OAuth(one) => vec![one.access.clone(), one.refresh.clone()],
        Entry::Unknown { .. } | Entry::Damaged { .. } => Vec::new(),
    };
    all.into_iter().flatten().collect()
}

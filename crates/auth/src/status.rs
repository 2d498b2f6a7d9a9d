//! How every login of an agent stands: what the resolver would say, profile by profile.

use std::path::PathBuf;

use coderclaw_providers::Manifest;
use coderclaw_store::{AgentPaths, AuthProfiles, Entry, Origin};
use coderclaw_types::{AgentId, Code, Fingerprint, Millis, ProfileId, ProviderId};

use crate::context::Auth;
use crate::explain::Explanation;
use crate::first_use::{ImportProblem, PendingImport};
use crate::link::BrokenLink;
use crate::resolve::{Ask, ResolveError};
use crate::scene::Scene;
use crate::shared::SharedGrant;
use crate::standing::Readiness;

/// One profile.
#[derive(Debug, Clone)]
pub struct ProfileStatus {
    /// Its id.
    pub id: ProfileId,
    /// Its provider, by the id it has here; `None` where the entry names none.
    pub provider: Option<ProviderId>,
    /// `oauth`, `token`, `api_key`, or what it calls itself.
    pub kind: String,
    /// The account's e-mail.
    pub email: Option<String>,
    /// How it stands.
    pub state: Code,
    /// The original's word for it: `ok`, `expiring`, `expired`, `missing` or `static`.
    pub status: &'static str,
    /// Until when the state holds, where known.
    pub until: Option<Millis>,
    /// More, for people.
    pub detail: Option<String>,
    /// When the credential ends; for a login, its access token.
    pub expires_at: Option<Millis>,
    /// When that credential came, where the entry says so.
    pub issued_at: Option<Millis>,
    /// When it was last refreshed, as far as its journal remembers.
    pub refreshed_at: Option<Millis>,
    /// It renews itself.
    pub refreshable: bool,
    /// Identifies the secret.
    pub fingerprint: Option<Fingerprint>,
    /// It stands in a file of an older version, and is imported when a credential is first used.
    pub is_pending: bool,
    /// Whose it is, if not the agent's own: that of the agent that it is linked to.
    pub owner: Option<AgentId>,
}

/// One provider that the agent has profiles of, or a key in the environment.
#[derive(Debug, Clone)]
pub struct ProviderStatus {
    /// Its id.
    pub provider: ProviderId,
    /// Its name.
    pub name: String,
    /// What would be used, and why.
    pub explanation: Explanation,
}

/// One agent.
#[derive(Debug, Clone)]
pub struct AgentStatus {
    /// All its profiles, in store order; then those of the agent that it is linked to.
    pub profiles: Vec<ProfileStatus>,
    /// Its providers.
    pub providers: Vec<ProviderStatus>,
    /// What is wrong with the store itself.
    pub store_note: Option<(Code, String)>,
    /// Logins of older versions that are imported when a credential is first used. They are among the profiles.
    pub imports: Vec<PendingImport>,
    /// What is wrong with files of older versions.
    pub import_problems: Vec<ImportProblem>,
    /// Logins of the agent that another agent holds too.
    pub shared: Vec<SharedGrant>,
    /// The agent that it is linked to.
    pub linked_to: Option<AgentId>,
    /// By how many milliseconds this machine's clock was ahead of the provider's when a login was last refreshed;
    /// negative: behind. `None` where they agreed, by two minutes, or nobody knows.
    pub clock_ahead: Option<i64>,
    /// What is wrong with that link.
    pub broken_link: Option<BrokenLink>,
}

impl Auth {
    /// How the agent's logins stand. Looks and changes nothing.
    ///
    /// # Errors
    /// Where its files cannot be read.
    pub fn status(&self, agent: &AgentPaths) -> Result<AgentStatus, ResolveError> {
        let (mut scene, plan) = Scene::look(self, agent)?;
        let mut profiles = Vec::new();
        let mut clock = None;
        let mut with_profiles: Vec<ProviderId> = Vec::new();
        for seen in scene.seen() {
            let (entry, standing) = (&seen.entry, scene.shown(seen)?);
            clock = clock.max(standing.clock);
            if let Some(provider) = &seen.provider
                && !with_profiles.contains(provider)
            {
                with_profiles.push(provider.clone());
            }
            let issued_at = match entry {
                Entry::OAuth(login) => login.issued_at,
                Entry::Token(token) => token.issued_at,
                _ => None,
            };
            let refreshable = matches!(entry, Entry::OAuth(login) if login.refresh.is_some());
            let fingerprint = scene.fingerprint(seen);
            profiles.push(ProfileStatus {
                status: old_word(entry, standing.reason, standing.readiness),
                provider: seen.provider.clone(),
                kind: entry.kind().to_owned(),
                email: entry.email().map(str::to_owned),
                state: standing.reason,
                until: standing.until,
                detail: standing.detail,
                expires_at: standing.valid_until,
                issued_at,
                refreshed_at: standing.clock.map(|(at, _)| at),
                refreshable,
                fingerprint,
                is_pending: seen.is_pending,
                id: seen.id.clone(),
                owner: scene.other(seen.whose),
            });
        }
        let mut providers = Vec::new();
        for manifest in self.registry().iter() {
            let has_key = || {
                manifest.env.iter().any(|name| self.env().get(name).is_some())
                    || self
                        .config()
                        .provider(&ProviderId::new(&manifest.id))
                        .is_some_and(|provider| provider.api_key.is_some() || provider.is_keyless())
            };
            if with_profiles.contains(&ProviderId::new(&manifest.id)) || has_key() {
                providers.push(provider_status(&scene, manifest)?);
            }
        }
        let store_note = match &scene.store().origin {
            Origin::Backup { detail } => {
                Some((Code::Corrupt, format!("the store is damaged ({detail}); its backup serves")))
            }
            _ if scene.store().doc.version() > AuthProfiles::VERSION => {
                let detail =
                    format!("version {}: it is read, and never written", scene.store().doc.version());
                Some((Code::UnsupportedVersion, detail))
            }
            Origin::Missing => self.misplaced(agent).map(|path| {
                let detail = format!(
                    "{} looks like this agent's store; it belongs at {}",
                    path.display(),
                    agent.store().display()
                );
                (Code::MissingCredential, detail)
            }),
            _ => None,
        };
        let shared = self.shared_grants(Some(agent), false);
        let (imports, import_problems) = (plan.taken, plan.problems);
        let linked_to = scene.settings.link.clone();
        let broken_link = scene.broken_link.take();
        let clock_ahead = clock.map(|(_, ahead)| ahead).filter(|ahead| *ahead != 0);
        Ok(AgentStatus {
            clock_ahead,
            profiles,
            providers,
            store_note,
            imports,
            import_problems,
            shared,
            linked_to,
            broken_link,
        })
    }
}

impl Auth {
    /// A store in a place where people and other programs put it by mistake.
    fn misplaced(&self, agent: &AgentPaths) -> Option<PathBuf> {
        let root = self.state().root();
        let beside = agent.dir.parent().map(|folder| folder.join("auth-profiles.json"));
        let others = [root.join("auth-profiles.json"), root.join("credentials/auth-profiles.json")];
        beside.into_iter().chain(others).find(|path| path.is_file())
    }
}

fn provider_status(scene: &Scene<'_>, manifest: &Manifest) -> Result<ProviderStatus, ResolveError> {
    let ask = Ask::default();
    Ok(ProviderStatus {
        provider: ProviderId::new(&manifest.id),
        name: manifest.name.to_string(),
        explanation: scene.explanation(&scene.decide(manifest, &ask)?, &ask),
    })
}

/// The original's five words, truthfully.
fn old_word(entry: &Entry, reason: Code, readiness: Readiness) -> &'static str {
    match reason {
        Code::NeedsConsent
        | Code::MissingCredential
        | Code::UnresolvedRef
        | Code::InvalidExpires
        | Code::Corrupt => "missing",
        Code::Expired
        | Code::NeedsLogin
        | Code::Interrupted
        | Code::Revoked
        | Code::Rejected
        | Code::AccountBlocked => "expired",
        Code::Expiring => "expiring",
        _ if matches!(entry, Entry::ApiKey(_)) => "static",
        _ if matches!(entry, Entry::Token(token) if token.expires.is_none()) => "static",
        _ if readiness == Readiness::Blocked => "expired",
        _ => "ok",
    }
}

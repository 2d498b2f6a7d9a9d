//! Candidates that are none of the profiles that the agent may use: named by somebody, kept elsewhere, or a key from the
//! environment.

use coderclaw_providers::{CredentialKind, Manifest};
use std::os::unix::fs::MetadataExt;

use coderclaw_store::{Reference, read_auth_store};
use coderclaw_types::{AgentId, Code, ProviderId, Secret};

use crate::decide::{Contender, Question};
use crate::lease::KEYLESS;
use crate::scene::{Scene, Seen};
use crate::standing::{Readiness, Standing};

impl Scene<'_> {
    /// Profiles of the linked agent whose name is that of one of the agent's own.
    pub(crate) fn shadowed_ones(&self, question: &Question) -> Vec<Contender> {
        let of_provider = |seen: &&Seen| seen.provider.as_ref() == Some(&question.provider);
        let shadowed = self.shadowed().iter().filter(of_provider).filter_map(|seen| {
            let kind = Some(seen.entry.kind().to_owned());
            let one = Contender::skipped(Some(seen.id.clone()), kind, Code::IdTaken);
            let detail = "the agent has a profile of this name itself".to_owned();
            Some(one.of(self.other(seen.whose)?, detail))
        });
        shadowed.collect()
    }

    /// Ids that the order or a pin names and that are another provider's, or nobody's.
    pub(crate) fn named_but_not_ours(&self, question: &Question, of_provider: &[&Seen]) -> Vec<Contender> {
        let mut named: Vec<Contender> = Vec::new();
        let order = question.own_order.as_deref().unwrap_or_default();
        for id in order.iter().chain(&question.user_pin) {
            let known = of_provider.iter().any(|seen| seen.id == *id)
                || named.iter().any(|one| one.candidate.profile_id.as_ref() == Some(id));
            if known {
                continue;
            }
            let other = self.seen().iter().find(|seen| seen.id == *id);
            let reason = if other.is_some() { Code::ProviderMismatch } else { Code::MissingCredential };
            let kind = other.map(|other| other.entry.kind().to_owned());
            let mut contender = Contender::skipped(Some(id.clone()), kind, reason);
            contender.candidate.agent_id = other.and_then(|other| self.other(other.whose));
            named.push(contender);
        }
        named
    }

    /// A key from the environment or the config, which counts only where the agent has no profile of the provider.
    pub(crate) fn fallback(&self, manifest: &Manifest, provider: &ProviderId) -> Option<Contender> {
        let env = manifest.env.iter().find_map(|name| {
            let secret = Secret::from(self.auth.env().get(name)?);
            Some((format!("env:{name}"), manifest.env_kind(name), secret))
        });
        let found = env.or_else(|| {
            let key = self.auth.config().api_key(provider)?;
            Some(("config".to_owned(), CredentialKind::ApiKey, key))
        });
        let Some((source, kind, secret)) = found else {
            return self.without_a_key(provider);
        };
        let mut contender = Contender::skipped(None, Some(kind.as_str().to_owned()), Code::Ok);
        let is_config = source == "config";
        contender.candidate.source = Some(source);
        contender.kind = Some(kind);
        if is_config && Reference::is_one(secret.expose()) {
            contender.standing = self.kept_elsewhere(provider, secret.expose());
            contender.candidate.reason = contender.standing.reason;
            contender.candidate.detail.clone_from(&contender.standing.detail);
            return Some(contender);
        }
        contender.standing = Standing::new(Readiness::Now, Code::Ok);
        contender.standing.secret = Some(secret);
        Some(contender)
    }

    /// The config says where a key is kept. A program is run for it only where nobody else can write the config.
    fn kept_elsewhere(&self, provider: &ProviderId, text: &str) -> Standing {
        let path = self.auth.state().config_path();
        let mut reference = Reference::parse(text).map_err(str::to_owned);
        let is_open = std::fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o022 != 0);
        if is_open && reference.as_ref().is_ok_and(Reference::runs) {
            reference = Err(format!("others may write {}, so no program is run for it", path.display()));
        }
        self.auth.look_at_reference(provider, &reference, self.now())
    }

    /// A provider of the config that needs no credential, or whose key needs a variable that is not set.
    fn without_a_key(&self, provider: &ProviderId) -> Option<Contender> {
        let config = self.auth.config().provider(provider)?;
        if let Some(variable) = config.unset_variable() {
            let mut contender = Contender::skipped(None, Some("api_key".into()), Code::UnresolvedRef);
            contender.candidate.source = Some("config".into());
            contender.candidate.detail =
                Some(format!("the config's key needs the variable {variable}, which is not set"));
            return Some(contender);
        }
        if !config.is_keyless() {
            return None;
        }
        let mut contender = Contender::skipped(None, Some(KEYLESS.into()), Code::Ok);
        contender.candidate.source = Some(KEYLESS.into());
        contender.candidate.detail = Some("no credential needed".into());
        contender.kind = Some(CredentialKind::ApiKey);
        contender.standing = Standing::new(Readiness::Now, Code::Ok);
        contender.standing.secret = Some(Secret::from(""));
        Some(contender)
    }

    /// The profiles of the default agent, or of `main`, where this agent has none and is not linked: an agent of the
    /// original used to get copies of them. They are named, and not used.
    pub(crate) fn elsewhere(&self, provider: &ProviderId) -> Vec<Contender> {
        let asking = &self.own.agent.agent;
        let default = self.auth.config().default_agent();
        if *asking == default {
            return Vec::new();
        }
        let mut places = vec![default];
        if !places.contains(&AgentId::main()) && *asking != AgentId::main() {
            places.push(AgentId::main());
        }
        for place in places {
            let Ok(Some(other)) = self.auth.known_agent(&place) else { continue };
            // One that is linked itself cannot be linked to.
            let is_target = self.auth.settings(&other).is_ok_and(|settings| settings.link.is_none());
            let Ok(store) = read_auth_store(&other.store()) else { continue };
            let found = store.doc.entries().filter(|(_, entry)| {
                entry.provider().is_some_and(|theirs| self.auth.canonical(theirs) == *provider)
            });
            let found: Vec<Contender> = found
                .map(|(id, entry)| {
                    let kind = Some(entry.kind().to_owned());
                    let detail =
                        format!("it is agent {place}'s, and agent {asking} is not linked to that one");
                    Contender::skipped(Some(id), kind, Code::NotLinked).of(place.clone(), detail)
                })
                .collect();
            if is_target && !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }
}

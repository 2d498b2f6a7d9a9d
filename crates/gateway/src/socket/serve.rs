//! What a client of the token socket gets: what its key is for, and nothing else.

use coderclaw_auth::{Ask, Halt, Lease, LeaseError, Next, Outcome};
use coderclaw_providers::{ApiKind, Manifest, read_failure};
use coderclaw_store::{AgentPaths, GatewayKey, generation_of};
use coderclaw_types::{AgentId, Code, Millis, ProfileId, ProviderId, Secret, TokenHash};

use super::lent::Loan;
use super::wire::{
    Advice, BorrowedLease, Complaint, LendRequest, ListedProfile, ListedProvider, Listing, Pair,
    ReportRequest, VERSIONS, Welcome,
};
use crate::gateway::Shared;
use crate::logins::Open;
use crate::options::{Note, Trouble};

/// No message of ours comes near this.
const LONGEST: usize = 500;

/// A client that has said who it is. What its key may do is looked up anew for each wish.
#[derive(Debug, Clone)]
pub(super) struct Client {
    key: Secret,
}

/// Why something was not done.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) code: Code,
    pub(super) message: String,
    hint: Option<String>,
    until: Option<Millis>,
    /// The conversation is over.
    pub(super) ends: bool,
}

impl Refused {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        // It may name what was asked for, as long as that was.
        let message = message.into().chars().take(LONGEST).collect();
        Self { code, message, hint: None, until: None, ends: false }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    fn hint(mut self, hint: String) -> Self {
        self.hint = Some(hint).filter(|hint| !hint.is_empty());
        self
    }

    pub(super) fn complaint(&self) -> Complaint {
        Complaint {
            code: self.code.as_str().into(),
            message: self.message.clone(),
            hint: self.hint.clone(),
            until: self.until,
        }
    }
}

/// Everything that a wish is measured by, as the files have it now.
struct Case {
    open: Open,
    key: GatewayKey,
    agent: AgentPaths,
}

/// Who it is, and which version is spoken.
pub(super) fn welcome(
    shared: &Shared,
    versions: &[u32],
    key: Option<Secret>,
) -> Result<(Client, Welcome), Refused> {
    let version = VERSIONS.into_iter().filter(|version| versions.contains(version)).max();
    let version =
        version.ok_or_else(|| Refused::usage(format!("versions that are spoken here: {VERSIONS:?}")))?;
    let key = key.filter(|key| !key.is_blank()).ok_or_else(|| {
        let message = "the token socket wants one of the gateway's keys, as `key` of hello";
        Refused::new(Code::GatewayKeyRefused, message).hint("coderclaw gateway keys add NAME".into())
    })?;
    let client = Client { key };
    let case = client.case(shared)?;
    let welcome = Welcome {
        version,
        server: format!("coderclaw {}", env!("CARGO_PKG_VERSION")),
        pid: std::process::id(),
        agent_id: case.agent.agent.to_string(),
        key_id: case.key.id.clone(),
        key_name: case.key.name.clone(),
        providers: case.key.providers.iter().map(ToString::to_string).collect(),
        profile_id: case.key.profile.as_ref().map(ToString::to_string),
    };
    Ok((client, welcome))
}

impl Client {
    fn case(&self, shared: &Shared) -> Result<Case, Refused> {
        let (open, trouble) = shared.logins.now();
        if let Some(trouble) = trouble {
            shared.tell(Note::event(format!("the config before the last change stays in use: {trouble}")));
        }
        let found =
            shared.keys.find(open.auth().state(), std::slice::from_ref(&self.key), shared.clock.now());
        let key = found.map_err(|e| Refused {
            ends: true,
            ..Refused::new(e.code(), e.to_string()).hint(e.next_command().into())
        })?;
        let agent = open.auth().agent(key.agent.as_ref().map(AgentId::as_str));
        let agent = agent.map_err(|e| Refused::new(e.code(), e.to_string()))?;
        Ok(Case { open, key, agent })
    }

    /// How the logins stand that the key is for. Looks only.
    pub(super) fn list(&self, shared: &Shared) -> Result<Listing, Refused> {
        let Case { open, key, agent } = self.case(shared)?;
        let status = open.auth().status(&agent).map_err(|e| Refused::new(e.code(), e.to_string()))?;
        let now = shared.clock.now();
        let is_meant = |id: &ProfileId, provider: Option<&ProviderId>| {
            provider.map_or(key.providers.is_empty(), |provider| key.allows(provider))
                && key.profile.as_ref().is_none_or(|only| only == id)
        };
        let profiles = status.profiles.iter().filter(|one| is_meant(&one.id, one.provider.as_ref()));
        let profiles = profiles.map(|one| ListedProfile {
            profile_id: one.id.to_string(),
            provider: one.provider.as_ref().map(ToString::to_string),
            kind: one.kind.clone(),
            email: one.email.clone(),
            state: one.state.as_str().into(),
            status: one.status.into(),
            until: one.until,
            expires_at: one.expires_at,
            expires_in_ms: one.expires_at.map(|at| at.0.saturating_sub(now.0)),
            refreshable: one.refreshable,
            fingerprint: one.fingerprint.as_ref().map(ToString::to_string),
        });
        let providers = status.providers.iter().filter(|one| key.allows(&one.provider)).map(|one| {
            let winner = one.explanation.winner.as_ref();
            let winner = winner.filter(|winner| key.profile.is_none() || key.profile == winner.profile_id);
            ListedProvider {
                provider: one.provider.to_string(),
                name: one.name.clone(),
                profile_id: winner.and_then(|winner| winner.profile_id.as_ref().map(ToString::to_string)),
                source: winner.map(|winner| winner.source.clone()),
            }
        });
        Ok(Listing {
            agent_id: agent.agent.to_string(),
            profiles: profiles.collect(),
            providers: providers.collect(),
        })
    }

    /// A token, refreshed first where it is due. One line in the audit trail.
    pub(super) fn lend(&self, shared: &Shared, wish: &LendRequest) -> Result<BorrowedLease, Refused> {
        let case = self.case(shared)?;
        let (manifest, ask) = case.meant(&wish.provider, wish.profile.as_deref())?;
        let min_validity = std::time::Duration::from_millis(wish.min_validity_ms);
        let ask = Ask { min_validity, ..ask };
        let lease = case.lease(shared, manifest, &ask)?;
        case.lent(shared, manifest, &ask, &lease)
    }

    /// Notes what became of a loan, and says what may be done.
    pub(super) fn report(&self, shared: &Shared, report: &ReportRequest) -> Result<Advice, Refused> {
        if !(100..600).contains(&report.status) {
            return Err(Refused::usage("`status` is the HTTP status of the provider's answer"));
        }
        let case = self.case(shared)?;
        let (manifest, ask) = case.meant(&report.provider, report.profile_id.as_deref())?;
        let Loan { lease, ask } = match shared.lent.find(
            &case.key.id,
            &manifest.id,
            report.profile_id.as_deref(),
            report.generation,
        ) {
            Some(loan) => loan,
            // Lent before this gateway started, or long ago: it is still the one, or there is a newer one.
            None => {
                let lease = case.lease(shared, manifest, &ask)?;
                if case.generation(shared, &lease)? != report.generation {
                    return Ok(advice("retry", Some(case.lent(shared, manifest, &ask, &lease)?)));
                }
                Loan { lease, ask }
            }
        };
        let note = |next: Result<Next, coderclaw_auth::ReportError>| {
            next.map_err(|e| Refused::new(e.code(), format!("it could not be noted: {e}")))
        };
        if report.status < 400 {
            if shared.noted.is_due(&lease) {
                note(case.open.auth().report(&case.agent, manifest, &lease, Outcome::Worked, &ask))?;
            }
            return Ok(advice("nothing", None));
        }
        let headers: Vec<(String, String)> =
            report.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
        let kind = manifest.api.kind.unwrap_or(ApiKind::OpenAiChat);
        let failure = read_failure(kind, report.status, &headers, report.body.as_bytes(), shared.clock.now());
        shared.noted.forget(&lease);
        let next =
            note(case.open.auth().report(&case.agent, manifest, &lease, Outcome::Failed(&failure), &ask))?;
        let now = shared.clock.now();
        Ok(match next {
            Next::Nothing => advice("nothing", None),
            Next::Retry { lease, moved } => {
                shared.numbers.again(&manifest.id);
                if let Some(moved) = &moved {
                    shared.tell(Note::moved(&case.key, moved));
                }
                advice("retry", Some(case.lent(shared, manifest, &ask, &lease)?))
            }
            Next::SameLogin { code, until, .. } => Advice {
                code: Some(code.as_str().into()),
                message: Some(failure.to_string()),
                until,
                wait_ms: until.map(|until| millis(until, now)),
                ..advice("same", None)
            },
            Next::Pause(halt) => of_halt("pause", &halt, now),
            Next::Stop(halt) => of_halt("stop", &halt, now),
        })
    }
}

impl Case {
    /// The provider and the profile that are asked for, where the key is for them.
    fn meant(&self, provider: &str, profile: Option<&str>) -> Result<(&Manifest, Ask), Refused> {
        let key = &self.key;
        let manifest = self.open.auth().provider(provider);
        let manifest = manifest.map_err(|e| Refused::new(e.code(), e.to_string()))?;
        let not_for = |what: &str| {
            let message = format!("the gateway key \"{}\" ({}) is not for {what}", key.name, key.id);
            Refused::new(Code::GatewayKeyRefused, message)
        };
        if !key.allows(&ProviderId::new(&manifest.id)) {
            return Err(not_for(&manifest.id));
        }
        let wanted = profile.map(ProfileId::stored);
        let profile = match (&key.profile, wanted) {
            (Some(only), Some(wanted)) if *only != wanted => return Err(not_for(wanted.as_str())),
            (Some(only), _) => Some(only.clone()),
            (None, wanted) => wanted,
        };
        Ok((manifest, Ask { profile, ..Ask::default() }))
    }

    fn lease(&self, shared: &Shared, manifest: &Manifest, ask: &Ask) -> Result<Lease, Refused> {
        let lease = self.open.lender.lease(&self.agent, manifest, ask);
        shared.tell_all(self.open.auth().take_notes());
        let lease = lease.map_err(|e| self.of_lease(shared, manifest, &e))?;
        if let Some(moved) = &lease.moved {
            shared.tell(Note::moved(&self.key, moved));
        }
        Ok(lease)
    }

    fn generation(&self, shared: &Shared, lease: &Lease) -> Result<u64, Refused> {
        if lease.is_keyless() {
            return Ok(0);
        }
        let of = lease.whose();
        let token = TokenHash::of(&lease.token);
        let number =
            generation_of(self.open.auth().state(), &lease.owner.agent, of, token, shared.clock.now());
        number
            .map_err(|e| Refused::new(e.code(), format!("the token's number could not be written down: {e}")))
    }

    /// As it goes to the client, after it was written down.
    fn lent(
        &self,
        shared: &Shared,
        manifest: &Manifest,
        ask: &Ask,
        lease: &Lease,
    ) -> Result<BorrowedLease, Refused> {
        let generation = self.generation(shared, lease)?;
        shared.lent.add(&self.key.id, generation, lease, ask);
        shared.numbers.lent(&manifest.id);
        let is_keyless = lease.is_keyless();
        if !is_keyless {
            self.open.auth().audit_lend(lease, &format!("token socket, key {}", self.key.id));
        }
        let now = shared.clock.now();
        let pairs = |all: &[(String, Secret)]| {
            all.iter().map(|(name, value)| Pair { name: name.clone(), value: value.clone() }).collect()
        };
        let fingerprint = (!is_keyless).then(|| self.open.auth().fingerprint(&lease.token)).flatten();
        Ok(BorrowedLease {
            provider: lease.provider.to_string(),
            profile_id: lease.profile.as_ref().map(ToString::to_string),
            source: lease.source.clone(),
            token: (!is_keyless).then(|| lease.token.clone()),
            token_type: lease.token_type().into(),
            header: pairs(&lease.headers),
            env: pairs(&lease.env),
            unset: manifest.credential_env().into_iter().map(str::to_owned).collect(),
            account_id: lease.account_id.clone(),
            valid_until: lease.valid_until,
            valid_for_ms: lease.valid_until.map(|until| millis(until, now)),
            generation,
            fingerprint: fingerprint.map(|one| one.to_string()),
        })
    }

    fn of_lease(&self, shared: &Shared, manifest: &Manifest, error: &LeaseError) -> Refused {
        let command = (shared.next_command)(&Trouble {
            code: error.code(),
            manifest: Some(manifest),
            profile: error.profile(),
            agent: error.owner().or(self.key.agent.as_ref()),
            other: error.owner(),
        });
        let refused = Refused::new(error.code(), error.to_string()).hint(command);
        Refused { until: error.until(), ..refused }
    }
}

fn advice(next: &str, lease: Option<BorrowedLease>) -> Advice {
    let lease = lease.map(Box::new);
    Advice { next: next.into(), lease, code: None, message: None, until: None, wait_ms: None }
}

fn of_halt(next: &str, halt: &Halt, now: Millis) -> Advice {
    Advice {
        code: Some(halt.code.as_str().into()),
        message: Some(halt.why.clone()),
        until: halt.until,
        wait_ms: halt.until.map(|until| millis(until, now)),
        ..advice(next, None)
    }
}

fn millis(until: Millis, now: Millis) -> u64 {
    u64::try_from(until.since(now).as_millis()).unwrap_or(u64::MAX)
}

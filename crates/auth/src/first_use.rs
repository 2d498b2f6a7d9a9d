//! What older versions left, taken over on first use: `oauth.json` of the state dir, and an `auth.json` from before there
//! were stores.
//!
//! Looks see what would be taken over as if it were there; the first command that uses or changes a credential takes it
//! over. The steps are such that a kill between any two is completed by the next run: the receipt says "begun", the store
//! is committed and read back, the receipt says "done", and only then an `auth.json` gets another name.

use std::path::{Path, PathBuf};

use coderclaw_store::{
    AgentPaths, AuthProfiles, Entry, ImportGuard, Legacy, Origin, Receipts, RuntimeCache, StoreSnapshot,
    fingerprint_key, parse_auth_json, parse_oauth_json, read_auth_store, read_fingerprint_key, read_receipts,
    read_text,
};
use coderclaw_types::{Code, Fingerprint, FingerprintKey, ProfileId, ProviderId, Secret};

use crate::cache::secrets;
use crate::context::Auth;
use crate::edit::{EditError, commit, fault, lock};
use crate::grant::Refreshable;

/// A login of an older file that the next command which uses a credential takes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingImport {
    /// The file.
    pub source: PathBuf,
    /// The id it will have.
    pub profile: ProfileId,
}

/// A part of an older file that cannot be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportProblem {
    /// The file.
    pub source: PathBuf,
    /// `corrupt` or `unreadable`.
    pub code: Code,
    /// What is wrong.
    pub detail: String,
}

/// What there is to take over.
#[derive(Default)]
pub(crate) struct Plan {
    /// The entries, with their source.
    pub(crate) taken: Vec<PendingImport>,
    /// Where they are taken from.
    docs: Vec<AuthProfiles>,
    pub(crate) problems: Vec<ImportProblem>,
    /// Entries of `oauth.json` that are dealt with by this, by their key.
    oauth: Vec<(String, Fate)>,
    /// The text of an `auth.json` to take over.
    auth_json: Option<Secret>,
    /// The text of one whose import was cut off before it was moved.
    unfinished: Option<Secret>,
}

/// What becomes of an entry of `oauth.json`.
enum Fate {
    Imported(ProfileId),
    LeftOut(String),
}

impl Plan {
    fn is_idle(&self) -> bool {
        self.taken.is_empty() && self.oauth.is_empty() && self.unfinished.is_none()
    }

    /// Puts what would be taken over into `doc`.
    pub(crate) fn add_to(&self, doc: &mut AuthProfiles) {
        for one in &self.taken {
            for source in &self.docs {
                doc.take_from(source, &one.profile);
            }
        }
    }

    fn problem(&mut self, source: &Path, code: Code, detail: String) {
        self.problems.push(ImportProblem { source: source.to_path_buf(), code, detail });
    }

    fn problems_of(&mut self, source: &Path, legacy: &Legacy) {
        for (key, why) in &legacy.problems {
            let key: String = key.chars().filter(|c| !c.is_control()).take(64).collect();
            let detail = format!("{}: the entry \"{key}\" cannot be taken over: {why}", source.display());
            self.problem(source, Code::Corrupt, detail);
        }
    }
}

impl Auth {
    /// What an older file has for the agent, whose store is `store`. Reads only, and stops at one `stat` where there is
    /// no such file.
    pub(crate) fn pending_imports(&self, agent: &AgentPaths, store: &StoreSnapshot) -> Plan {
        let mut plan = Plan::default();
        let is_new = store.origin == Origin::Missing && !agent.backup().exists() && !agent.state().exists();
        if is_new {
            self.plan_auth_json(agent, &mut plan);
        }
        if agent.agent == self.config().default_agent() {
            self.plan_oauth_json(store, &mut plan);
        }
        plan
    }

    fn plan_auth_json(&self, agent: &AgentPaths, plan: &mut Plan) {
        let path = agent.cache();
        let text = match read_text(&path) {
            Ok(Some(text)) => text,
            Ok(None) => return,
            Err(e) => return plan.problem(&path, e.code(), e.to_string()),
        };
        if RuntimeCache::parse(&text).is_ok_and(|cache| cache.is_ours()) {
            return;
        }
        match parse_auth_json(&text) {
            Err(e) => plan.problem(&path, Code::Corrupt, format!("{} is damaged: {e}", path.display())),
            Ok(legacy) => {
                plan.problems_of(&path, &legacy);
                if legacy.keys.is_empty() {
                    return;
                }
                let ids = legacy.keys.iter().map(|(_, id)| id.clone());
                plan.taken.extend(ids.map(|profile| PendingImport { source: path.clone(), profile }));
                plan.docs.push(legacy.doc);
                plan.auth_json = Some(Secret::from(text));
            }
        }
    }

    fn plan_oauth_json(&self, store: &StoreSnapshot, plan: &mut Plan) {
        let path = self.state().oauth_json();
        let text = match read_text(&path) {
            Ok(Some(text)) => text,
            Ok(None) => return,
            Err(e) => return plan.problem(&path, e.code(), e.to_string()),
        };
        let receipts = match read_receipts(self.state()) {
            Ok(receipts) => receipts,
            // What is not known to have been imported could come back after a logout.
            Err(e) => return plan.problem(&path, e.code(), format!("nothing of it is imported: {e}")),
        };
        let legacy = match parse_oauth_json(&text) {
            Ok(legacy) => legacy,
            Err(e) => {
                return plan.problem(&path, Code::Corrupt, format!("{} is damaged: {e}", path.display()));
            }
        };
        plan.problems_of(&path, &legacy);
        let mut doc = store.doc.clone();
        plan.add_to(&mut doc);
        for (key, id) in &legacy.keys {
            if receipts.knows_oauth(key) {
                continue;
            }
            let provider = self.canonical(&ProviderId::new(key));
            let is_its =
                |entry: &Entry| entry.provider().map(|one| self.canonical(one)).as_ref() == Some(&provider);
            // An import that was cut off before its receipt.
            if doc.is_same(&legacy.doc, id) {
                plan.oauth.push((key.clone(), Fate::Imported(id.clone())));
                continue;
            }
            if doc.get(id).is_some() || doc.entries().any(|(_, entry)| is_its(&entry)) {
                let why = "the agent had a profile of this provider".to_owned();
                plan.oauth.push((key.clone(), Fate::LeftOut(why)));
                continue;
            }
            let Some(entry) = legacy.doc.get(id) else { continue };
            match self.must_stay_out(&doc, id, &entry) {
                Ok(Some(why)) => plan.oauth.push((key.clone(), Fate::LeftOut(why.to_string()))),
                Ok(None) => {
                    doc.take_from(&legacy.doc, id);
                    plan.taken.push(PendingImport { source: path.clone(), profile: id.clone() });
                    plan.oauth.push((key.clone(), Fate::Imported(id.clone())));
                }
                Err(e) => plan.problem(&path, e.code(), e.to_string()),
            }
        }
        plan.docs.push(legacy.doc);
    }

    /// An `auth.json` that is in the store and was not moved aside, since the run that imported it was cut off.
    fn find_unfinished(&self, agent: &AgentPaths, store: &StoreSnapshot) -> Option<Secret> {
        let text = read_text(&agent.cache()).ok().flatten()?;
        if store.origin == Origin::Missing || RuntimeCache::parse(&text).is_ok_and(|cache| cache.is_ours()) {
            return None;
        }
        let receipts = read_receipts(self.state()).ok()?;
        let (source, _) = receipts.auth_json(&agent.agent)?;
        let key = read_fingerprint_key(self.state()).ok().flatten()?;
        let text = Secret::from(text);
        if Fingerprint::of(&key, &text).as_str() != source {
            return None;
        }
        let legacy = parse_auth_json(text.expose()).ok()?;
        legacy.keys.iter().all(|(_, id)| store.doc.get(id).is_some()).then_some(text)
    }

    /// Takes over what older versions left, before a command uses or changes a credential. What goes wrong is told as a
    /// note, and the command goes on.
    pub(crate) fn import_first(&self, agent: &AgentPaths) {
        if let Err(e) = self.take_over(agent) {
            // Where the lock was not to be had in time, whoever held it may have done it by now.
            let is_left = read_auth_store(&agent.store())
                .is_ok_and(|store| !self.left_to_import(agent, &store).is_idle());
            if !is_left && matches!(e, EditError::Lock(_)) {
                return;
            }
            self.note(format!("logins of an older version were not imported: {e}"));
        }
    }

    /// What there is to do.
    fn left_to_import(&self, agent: &AgentPaths, store: &StoreSnapshot) -> Plan {
        let mut plan = self.pending_imports(agent, store);
        plan.unfinished = self.find_unfinished(agent, store);
        plan
    }

    fn take_over(&self, agent: &AgentPaths) -> Result<(), EditError> {
        // What is wrong with the store is told by the command itself.
        let Ok(store) = read_auth_store(&agent.store()) else { return Ok(()) };
        let plan = self.left_to_import(agent, &store);
        for problem in &plan.problems {
            self.note(problem.detail.clone());
        }
        if plan.is_idle() {
            return Ok(());
        }
        let key = fingerprint_key(self.state())?;
        let imports = ImportGuard::acquire(self.state())?;
        let guard = lock(self, agent)?;
        let store = guard.read()?;
        // Somebody else may have done it while we waited.
        let plan = self.left_to_import(agent, &store);
        if plan.is_idle() {
            return Ok(());
        }
        let now = self.clock().now();
        let mut receipts = read_receipts(self.state())?;
        let source =
            plan.auth_json.as_ref().or(plan.unfinished.as_ref()).map(|text| Fingerprint::of(&key, text));
        if let Some(source) = source.as_ref().filter(|_| plan.auth_json.is_some()) {
            receipts.note_auth_json(&agent.agent, source, None, now);
            imports.commit(&receipts)?;
        }
        fault("import.begun")?;
        let mut doc = store.doc.clone();
        if !plan.taken.is_empty() {
            plan.add_to(&mut doc);
            let touched: Vec<&ProfileId> = plan.taken.iter().map(|one| &one.profile).collect();
            commit(&guard, &doc, &touched)?;
            self.verify(agent, &plan, store.doc.ids().count())?;
        }
        fault("import.stored")?;
        self.record(agent, &plan, &doc, &key, source.as_ref(), &mut receipts);
        imports.commit(&receipts)?;
        fault("import.recorded")?;
        let mut aside = None;
        if source.is_some() {
            aside = Some(guard.set_imported_aside(&agent.cache())?);
        }
        fault("import.aside")?;
        drop((guard, imports));
        self.tell(agent, &plan, aside.as_deref());
        self.renew_cache(agent);
        Ok(())
    }

    /// What was to be taken over stands in the store as it stands in its source, and nothing went missing.
    fn verify(&self, agent: &AgentPaths, plan: &Plan, before: usize) -> Result<(), EditError> {
        let kept = read_auth_store(&agent.store())?.doc;
        let is_there = |id: &ProfileId| plan.docs.iter().any(|doc| kept.is_same(doc, id));
        if kept.ids().count() == before + plan.taken.len()
            && plan.taken.iter().all(|one| is_there(&one.profile))
        {
            return Ok(());
        }
        Err(EditError::NotKept { store: agent.store().display().to_string() })
    }

    fn record(
        &self,
        agent: &AgentPaths,
        plan: &Plan,
        doc: &AuthProfiles,
        key: &FingerprintKey,
        source: Option<&Fingerprint>,
        receipts: &mut Receipts,
    ) {
        let now = self.clock().now();
        for (name, fate) in &plan.oauth {
            match fate {
                Fate::Imported(id) => {
                    let hash = fingerprint_of(doc, id, key);
                    receipts.note_oauth(name, &agent.agent, Ok((id, hash.as_ref())), now);
                }
                Fate::LeftOut(why) => receipts.note_oauth(name, &agent.agent, Err(why), now),
            }
        }
        if let Some(source) = source {
            let text = plan.auth_json.as_ref().or(plan.unfinished.as_ref());
            let keys = text.and_then(|text| parse_auth_json(text.expose()).ok()).map(|legacy| legacy.keys);
            let ids = keys.unwrap_or_default().into_iter().map(|(_, id)| id);
            let done: Vec<_> = ids.map(|id| (id.clone(), fingerprint_of(doc, &id, key))).collect();
            receipts.note_auth_json(&agent.agent, source, Some(&done), now);
        }
    }

    fn tell(&self, agent: &AgentPaths, plan: &Plan, aside: Option<&Path>) {
        for one in &plan.taken {
            self.audit_import(agent, &one.profile, &one.source);
            let mut text = format!("imported {} from {}", one.profile, one.source.display());
            match aside.filter(|_| one.source == agent.cache()) {
                Some(aside) => text.push_str(&format!(", which is {} now", aside.display())),
                None => text.push_str(", which stays as it is"),
            }
            if let Some(other) = self.same_grant_elsewhere(agent, &one.profile) {
                text.push_str(&format!("; it is the same login as {other}, and refreshed with it"));
            }
            self.note(text);
        }
    }

    /// Another place of the state dir where the login of `id` stands.
    fn same_grant_elsewhere(&self, agent: &AgentPaths, id: &ProfileId) -> Option<String> {
        let Some(Entry::OAuth(entry)) = read_auth_store(&agent.store()).ok()?.doc.get(id) else {
            return None;
        };
        let one = Refreshable::of(self, id, &entry)?;
        for other in self.state().agents(self.config()).unwrap_or_default() {
            let Ok(store) = read_auth_store(&other.store()) else { continue };
            let others = Refreshable::all_in(self, &store, &one.grant);
            let is_itself = |known: &Refreshable| other.store() == agent.store() && known.profile == *id;
            if let Some(other_one) = others.iter().find(|known| !is_itself(known)) {
                return Some(format!("{} of agent {}", other_one.profile, other.agent));
            }
        }
        None
    }
}

/// A keyed hash of what the entry is worth: its refresh token, else its token or key.
pub(crate) fn fingerprint_of(
    doc: &AuthProfiles,
    id: &ProfileId,
    key: &FingerprintKey,
) -> Option<Fingerprint> {
    let secret = secrets(&doc.get(id)?).pop()?;
    Some(Fingerprint::of(key, &secret))
}

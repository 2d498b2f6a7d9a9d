//! Taking over logins from another program's store, by command: verified, with a receipt, and never over something that
//! is newer or somebody else's.

mod find;
mod judge;
mod program;

use std::path::{Path, PathBuf};

use coderclaw_store::{
    AgentPaths, AuthProfiles, DatabaseError, Entry, ImportGuard, ImportReceipt, Legacy, Origin,
    StoreSnapshot, fingerprint_key, parse_oauth_json, read_auth_store, read_receipts, read_text,
};
use coderclaw_types::{AgentId, Code, ProfileId, ProviderId};

pub use self::find::{FoundStore, find_stores};
pub use self::judge::ImportVerdict;
pub use self::program::Program;
use crate::context::Auth;
use crate::edit::{EditError, commit, fault, lock};
use crate::first_use::fingerprint_of;
use crate::grant::Refreshable;

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// There is nothing at this path.
    #[error("there is no {}", .0.display())]
    NoFile(PathBuf),
    /// The folder holds no store.
    #[error("{} holds no logins of any agent: no auth-profiles.json, and none in a database", .0.display())]
    NoStore(PathBuf),
    /// The logins are in a database, which later versions of that program use, and it tells nothing.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The database has other things.
    #[error("{} holds no logins", .0.display())]
    NoLoginsIn(PathBuf),
    /// It is the very store that it would go into.
    #[error("{} is this agent's own store", .0.display())]
    OwnStore(PathBuf),
    /// The file is not what it should be.
    #[error("{} is damaged: {detail}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The program has no such file.
    #[error("there is no {}: {why}", path.display())]
    NoFileOf {
        /// Where it would be.
        path: PathBuf,
        /// Whose it is.
        program: Program,
        /// What that may mean.
        why: String,
    },
    /// The file of the program is there, and nothing in it is of use.
    #[error("{}: {why}", path.display())]
    NoLogin {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        program: Program,
        /// What is missing.
        why: String,
    },
    /// The vendor gives such logins to its own program.
    #[error(
        "the login in {} is {name}'s own: it renews itself, and its vendor means it for that program alone; a subscription \
         comes in by a token that is made for other programs",
        path.display(), name = program.name()
    )]
    OwnProgramOnly {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        program: Program,
    },
    /// The agent's store cannot be read or changed.
    #[error(transparent)]
    Edit(#[from] EditError),
}

impl ImportError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::NoFile(_) | Self::NoStore(_) | Self::OwnStore(_) => Code::Usage,
            Self::NoFileOf { .. } | Self::NoLogin { .. } | Self::NoLoginsIn(_) => Code::MissingCredential,
            Self::OwnProgramOnly { .. } => Code::NotAuthorizedHere,
            Self::Database(e) => e.code(),
            Self::Damaged { .. } => Code::Corrupt,
            Self::Edit(e) => e.code(),
        }
    }
}

/// One entry of the source, and what became of it.
#[derive(Debug, Clone)]
pub struct ImportedEntry {
    /// Its id there, and here.
    pub profile: ProfileId,
    /// `oauth`, `token`, `api_key`, or what it calls itself.
    pub kind: String,
    /// Of which provider.
    pub provider: Option<ProviderId>,
    /// What became of it.
    pub verdict: ImportVerdict,
    /// More, for people.
    pub detail: Option<String>,
    /// It has a refresh token, which two programs cannot both use.
    pub renews_itself: bool,
}

/// What was, or would be, taken over into one agent.
#[derive(Debug, Clone)]
pub struct ImportReport {
    /// From which file.
    pub from: PathBuf,
    /// Into which agent.
    pub agent: AgentId,
    /// Every entry of the source, in its order.
    pub entries: Vec<ImportedEntry>,
    /// Nothing was written.
    pub dry_run: bool,
}

impl ImportReport {
    /// The entries that were, or would be, taken over.
    pub fn taken(&self) -> impl Iterator<Item = &ImportedEntry> {
        self.entries.iter().filter(|entry| entry.verdict.is_taken())
    }
}

impl Auth {
    /// Takes over the entries of the store at `from`, a file or a database. With `dry_run` nothing is written. The source never is.
    ///
    /// # Errors
    /// Where the source is no store, or the agent's store cannot be changed; it is then as it was.
    pub fn import_store(
        &self,
        agent: &AgentPaths,
        from: &Path,
        dry_run: bool,
    ) -> Result<ImportReport, ImportError> {
        if find::is_database(from) {
            let text = find::text_in(from)?.ok_or_else(|| ImportError::NoLoginsIn(from.to_path_buf()))?;
            let source = AuthProfiles::parse(&text).map_err(|e| ImportError::Damaged {
                path: from.to_path_buf(),
                detail: format!("what it has of logins is none: {e}"),
            })?;
            return self.import(agent, from, &source, Vec::new(), true, dry_run);
        }
        let own = std::fs::canonicalize(agent.store()).ok();
        if own.is_some() && own == std::fs::canonicalize(from).ok() {
            return Err(ImportError::OwnStore(from.to_path_buf()));
        }
        let damaged = |detail: String| ImportError::Damaged { path: from.to_path_buf(), detail };
        // Its program may be writing it, and that one truncates first.
        let source = match read_auth_store(from) {
            Ok(StoreSnapshot { origin: Origin::Missing, .. }) => {
                return Err(ImportError::NoFile(from.to_path_buf()));
            }
            Ok(StoreSnapshot { origin: Origin::Backup { detail }, .. }) => return Err(damaged(detail)),
            Ok(StoreSnapshot { doc, .. }) => doc,
            Err(coderclaw_store::ReadError::Corrupt { detail, .. }) => return Err(damaged(detail)),
            Err(e) => return Err(EditError::from(e).into()),
        };
        self.import(agent, from, &source, Vec::new(), true, dry_run)
    }

    /// Takes over the entries of an `oauth.json`: the one at `from`, else the state dir's, also those that the first use
    /// left out.
    ///
    /// # Errors
    /// As [`Auth::import_store`].
    pub fn import_oauth_json(
        &self,
        agent: &AgentPaths,
        from: Option<&Path>,
        dry_run: bool,
    ) -> Result<ImportReport, ImportError> {
        let from = from.map_or_else(|| self.state().oauth_json(), Path::to_path_buf);
        let text = read_text(&from).map_err(EditError::from)?;
        let text = text.ok_or_else(|| ImportError::NoFile(from.clone()))?;
        let source = parse_oauth_json(&text)
            .map_err(|e| ImportError::Damaged { path: from.clone(), detail: e.to_string() })?;
        let Legacy { doc, problems, .. } = source;
        self.import(agent, &from, &doc, problems, true, dry_run)
    }

    fn import(
        &self,
        agent: &AgentPaths,
        from: &Path,
        source: &AuthProfiles,
        problems: Vec<(String, String)>,
        share: bool,
        dry_run: bool,
    ) -> Result<ImportReport, ImportError> {
        let report = |entries: Vec<ImportedEntry>| {
            let named = problems.iter().map(|(key, why)| ImportedEntry {
                profile: ProfileId::stored(key),
                kind: "damaged".into(),
                provider: None,
                verdict: ImportVerdict::Damaged,
                detail: Some(why.clone()),
                renews_itself: false,
            });
            let entries = entries.into_iter().chain(named).collect();
            ImportReport { from: from.to_path_buf(), agent: agent.agent.clone(), entries, dry_run }
        };
        if dry_run {
            let store = read_auth_store(&agent.store()).map_err(EditError::from)?;
            return Ok(report(self.judge_all(&store, source, share)?));
        }
        self.import_first(agent);
        let store = read_auth_store(&agent.store()).map_err(EditError::from)?;
        let plan = self.judge_all(&store, source, share)?;
        if !plan.iter().any(|entry| entry.verdict.is_taken()) {
            return Ok(report(plan));
        }
        let key = fingerprint_key(self.state()).map_err(EditError::from)?;
        let imports = ImportGuard::acquire(self.state()).map_err(EditError::from)?;
        let guard = lock(self, agent)?;
        let store = guard.read().map_err(EditError::from)?;
        let plan = self.judge_all(&store, source, share)?;
        let taken: Vec<&ProfileId> =
            plan.iter().filter(|entry| entry.verdict.is_taken()).map(|entry| &entry.profile).collect();
        let mut receipts = read_receipts(self.state()).map_err(EditError::from)?;
        let mut doc = store.doc.clone();
        for id in &taken {
            doc.put_from(source, id);
            self.join_grant(&mut doc, id);
        }
        commit(&guard, &doc, &taken)?;
        let kept = guard.read().map_err(EditError::from)?.doc;
        let added = taken.iter().filter(|id| store.doc.get(id).is_none()).count();
        let is_whole = kept.ids().count() == store.doc.ids().count() + added
            && taken.iter().all(|id| kept.is_same(&doc, id));
        if !is_whole {
            return Err(EditError::NotKept { store: agent.store().display().to_string() }.into());
        }
        fault("import.stored")?;
        let profiles: Vec<_> =
            taken.iter().map(|id| ((*id).clone(), fingerprint_of(&kept, id, &key))).collect();
        let at = self.clock().now();
        receipts.note_command(&ImportReceipt { at, from, agent: &agent.agent, profiles: &profiles });
        imports.commit(&receipts).map_err(EditError::from)?;
        fault("import.recorded")?;
        drop((guard, imports));
        let ids: Vec<ProfileId> = profiles.into_iter().map(|(id, _)| id).collect();
        // What an entry was set aside for says nothing about the one that replaced it.
        self.clear_usage(agent, &ids)?;
        self.renew_cache(agent);
        for id in &ids {
            self.audit_import(agent, id, from);
        }
        Ok(report(plan))
    }

    /// The import may make a copy of a login that another agent of ours has and has refreshed before: then both are one
    /// grant, and the copy alone would not show it.
    fn join_grant(&self, doc: &mut AuthProfiles, id: &ProfileId) {
        let Some(Entry::OAuth(entry)) = doc.get(id) else { return };
        let Some(one) = Refreshable::of(self, id, &entry).filter(|one| one.entry.grant.is_none()) else {
            return;
        };
        for agent in self.state().agents(self.config()).unwrap_or_default() {
            let Ok(store) = read_auth_store(&agent.store()) else { continue };
            let mut grants = store.doc.entries().filter_map(|(known, entry)| match entry {
                Entry::OAuth(entry) => Refreshable::of(self, &known, &entry),
                _ => None,
            });
            if let Some(known) = grants.find(|known| known.token == one.token && known.grant != one.grant) {
                return doc.set_grant(id, &known.grant);
            }
        }
    }

    fn judge_all(
        &self,
        store: &StoreSnapshot,
        source: &AuthProfiles,
        share: bool,
    ) -> Result<Vec<ImportedEntry>, EditError> {
        // Each judgement sees what was taken before it, so that one login under two ids comes in once.
        let mut ours = store.clone();
        let mut all = Vec::new();
        for (id, entry) in source.entries() {
            let (mut verdict, detail) = self.judge(&ours, source, &id, &entry)?;
            let renews_itself = matches!(&entry, Entry::OAuth(login) if login.refresh.is_some());
            if verdict.is_taken() && renews_itself && !share {
                verdict = ImportVerdict::NotShared;
            }
            if verdict.is_taken() {
                ours.doc.put_from(source, &id);
            }
            all.push(ImportedEntry {
                profile: id,
                kind: entry.kind().to_owned(),
                provider: entry.provider().map(|one| self.canonical(one)),
                verdict,
                detail,
                renews_itself,
            });
        }
        Ok(all)
    }
}

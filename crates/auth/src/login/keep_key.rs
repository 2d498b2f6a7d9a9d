//! A login that brought a key: it is stored as one that was pasted.

use coderclaw_oauth::{Identity, TokenSet};
use coderclaw_providers::{CredentialKind, Manifest};
use coderclaw_store::{AgentPaths, AuthProfiles, Entry, read_auth_store};
use coderclaw_types::ProfileId;

use super::error::LoginError;
use super::way::Way;
use super::{LoggedIn, LoginRequest};
use crate::context::Auth;
use crate::paste::{Cleaned, PasteKind};
use crate::profile_edit::Pasted;

/// The metadata under which a key says whose it is.
const USER: &str = "userId";

impl Auth {
    /// A key cannot be handed back, so that an id which is somebody else's is refused before one is made.
    pub(super) fn check_key_id(
        &self,
        agent: &AgentPaths,
        way: &Way<'_>,
        request: &LoginRequest,
    ) -> Result<(), LoginError> {
        if way.method.method.makes() != CredentialKind::ApiKey {
            return Ok(());
        }
        let Some(id) = request.profile_id.as_ref().filter(|_| !request.replace) else { return Ok(()) };
        match read_auth_store(&agent.store())?.doc.get(id) {
            None => Ok(()),
            Some(_) => Err(LoginError::IdTaken { id: id.clone() }),
        }
    }

    /// Stores the key: under the id of the same user's, else under a free one.
    pub(super) fn keep_key(
        &self,
        agent: &AgentPaths,
        manifest: &Manifest,
        set: &TokenSet,
        identity: Identity,
        request: &LoginRequest,
    ) -> Result<LoggedIn, LoginError> {
        let user = identity.subject.as_deref();
        let doc = read_auth_store(&agent.store())?.doc;
        let (id, is_same) = match &request.profile_id {
            Some(id) => (id.clone(), request.replace),
            None => place_of(&doc, &manifest.id, user),
        };
        let pasted = Pasted {
            cleaned: Cleaned { secret: set.access.clone(), forced: false, lasts_a_year: false },
            kind: PasteKind::ApiKey,
            profile_id: Some(id),
            expires_in: None,
            replace: is_same,
            metadata: user.map(|user| (USER.to_owned(), user.to_owned())).into_iter().collect(),
        };
        let stored = self.store_pasted(agent, manifest, &pasted)?;
        Ok(LoggedIn {
            missing_scope: None,
            profile: stored.profile,
            provider: stored.provider,
            kind: stored.kind,
            identity,
            replaced: stored.replaced,
            hidden_by_order: stored.hidden_by_order,
            also_in: Vec::new(),
            still_set_aside: None,
        })
    }
}

/// Where a key of `user` goes, and whether what is there is theirs.
fn place_of(doc: &AuthProfiles, provider: &str, user: Option<&str>) -> (ProfileId, bool) {
    let is_theirs = |id: &ProfileId| {
        let metadata = doc.metadata(id, USER);
        user.is_some() && metadata.as_deref() == user && matches!(doc.get(id), Some(Entry::ApiKey(_)))
    };
    if let Some(id) = doc.ids().find(|id| id.as_str().starts_with(&format!("{provider}:")) && is_theirs(id)) {
        return (id, true);
    }
    let name = user.unwrap_or("default");
    let mut names = (1..).map(|n: u32| if n == 1 { name.to_owned() } else { format!("{name}-{n}") });
    let free = names.find_map(|name| {
        let id = ProfileId::stored(&format!("{provider}:{name}"));
        doc.get(&id).is_none().then_some(id)
    });
    (free.unwrap_or_else(|| ProfileId::stored(&format!("{provider}:{name}"))), false)
}

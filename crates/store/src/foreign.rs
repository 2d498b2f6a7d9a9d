//! Stores outside the state dir. The first state dir that refreshes one leaves its name beside it; any other lends
//! from it and does not refresh, since two state dirs have two sets of locks.

use std::fs;
use std::path::{Path, PathBuf};

use crate::commit::{WriteError, replace};
use crate::locks::StoreGuard;
use crate::paths::StateDir;
use crate::read::{ReadError, read_text, with_suffix};

/// Whose a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreOwner {
    /// It lies in this state dir, or this state dir has claimed it.
    Ours,
    /// It lies elsewhere and nobody has claimed it.
    Unclaimed,
    /// Another state dir has claimed it.
    Foreign(PathBuf),
}

fn mark(store: &Path) -> PathBuf {
    with_suffix(store, ".owner")
}

/// Whose the store at `store` is. Reads only.
///
/// # Errors
/// Where its mark exists and cannot be read.
pub fn store_owner(state: &StateDir, store: &Path) -> Result<StoreOwner, ReadError> {
    let (Ok(real), Ok(root)) = (fs::canonicalize(store), fs::canonicalize(state.root())) else {
        return Ok(StoreOwner::Ours);
    };
    if real.starts_with(&root) {
        return Ok(StoreOwner::Ours);
    }
    match read_text(&mark(&real))? {
        None => Ok(StoreOwner::Unclaimed),
        Some(owner) if Path::new(owner.trim_end_matches('\n')) == root => Ok(StoreOwner::Ours),
        Some(owner) => Ok(StoreOwner::Foreign(PathBuf::from(owner.trim_end_matches('\n')))),
    }
}

impl StoreGuard {
    /// Claims an unclaimed store for `state`. The caller has asked [`store_owner`] under this guard.
    ///
    /// # Errors
    /// Where the mark cannot be written.
    pub fn claim(&self, state: &StateDir) -> Result<(), WriteError> {
        let path = mark(self.target());
        let root = fs::canonicalize(state.root()).map_err(WriteError::io(state.root()))?;
        // Whole from its first moment: half a name would be another state dir's.
        replace(&path, &[root.as_os_str().as_encoded_bytes(), b"\n"].concat())
    }
}

#[cfg(test)]
mod tests {
    use coderclaw_types::Env;

    use super::*;

    #[test]
    fn a_store_elsewhere_belongs_to_who_claims_it_first() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = |name: &str| {
            let env =
                Env::new([("CODERCLAW_STATE_DIR".into(), tmp.path().join(name).into())], None, "/".into());
            let state = StateDir::from_env(&env);
            state.ensure_dir(state.root()).unwrap();
            state
        };
        let (one, two) = (dir("one"), dir("two"));
        let store = tmp.path().join("auth-profiles.json");
        fs::write(&store, "{}").unwrap();
        assert_eq!(store_owner(&one, &store).unwrap(), StoreOwner::Unclaimed);
        StoreGuard::acquire(&one, &store).unwrap().claim(&one).unwrap();
        assert_eq!(store_owner(&one, &store).unwrap(), StoreOwner::Ours);
        let root = fs::canonicalize(one.root()).unwrap();
        assert_eq!(store_owner(&two, &store).unwrap(), StoreOwner::Foreign(root));
        let inside = one.root().join("auth-profiles.json");
        fs::write(&inside, "{}").unwrap();
        assert_eq!(store_owner(&one, &inside).unwrap(), StoreOwner::Ours);
    }
}

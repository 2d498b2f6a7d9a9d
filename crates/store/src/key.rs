//! The key of this state dir's fingerprints. It is made at the first write and shows nothing by itself.

use std::io::Write;

use coderclaw_types::FingerprintKey;

use crate::commit::{WriteError, create_private, sync_folder};
use crate::paths::StateDir;
use crate::read::ReadError;

/// The key, if it has been made yet. A look never makes one.
///
/// # Errors
/// Where the file exists and cannot be read. A file of the wrong length counts as none.
pub fn read_fingerprint_key(state: &StateDir) -> Result<Option<FingerprintKey>, ReadError> {
    let path = state.fingerprint_key_path();
    match std::fs::read(&path) {
        Ok(bytes) => Ok(bytes.try_into().ok().map(FingerprintKey::from_bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(ReadError::unreadable(&path, e)),
    }
}

/// The key, made now where it is missing. Of two processes that make one, one wins and both use it.
///
/// # Errors
/// Where it cannot be read or written.
pub fn fingerprint_key(state: &StateDir) -> Result<FingerprintKey, WriteError> {
    if let Some(key) = read_fingerprint_key(state)? {
        return Ok(key);
    }
    state.ensure_dir(state.root())?;
    let path = state.fingerprint_key_path();
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| WriteError::io(&path)(std::io::Error::other(e)))?;
    let mut salt = [0; 8];
    getrandom::fill(&mut salt).map_err(|e| WriteError::io(&path)(std::io::Error::other(e)))?;
    let draft = path.with_extension(format!("key.{:016x}", u64::from_le_bytes(salt)));
    let mut file = create_private(&draft)?;
    let written = file
        .write_all(&bytes)
        .and_then(|()| file.sync_all())
        // A link fails where the name is taken, so the first one stays.
        .and_then(|()| match std::fs::hard_link(&draft, &path) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(e),
            _ => Ok(()),
        });
    drop(std::fs::remove_file(&draft));
    written.map_err(WriteError::io(&path))?;
    sync_folder(&path)?;
    Ok(read_fingerprint_key(state)?.unwrap_or_else(|| FingerprintKey::from_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use coderclaw_types::{Fingerprint, Secret};

    use super::*;

    #[test]
    fn a_look_makes_no_key_and_the_first_write_makes_one_for_all() {
        let (_tmp, state) = StateDir::temporary();
        assert!(read_fingerprint_key(&state).unwrap().is_none());
        assert!(!state.root().exists());
        let of = |key: &FingerprintKey| Fingerprint::of(key, &Secret::from("x"));
        let all: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| of(&fingerprint_key(&state).unwrap()))).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        let kept = of(&read_fingerprint_key(&state).unwrap().unwrap());
        assert!(all.iter().all(|f| *f == kept), "one key for everybody");
    }
}

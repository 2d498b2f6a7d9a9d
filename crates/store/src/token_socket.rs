//! Where the token socket is, and who may replace it.
//!
//! A socket's file says nothing about whether anybody listens: one that a killed gateway left looks like any other. So
//! who listens holds a kernel lock, and whoever has that lock may take away what lies there.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::commit::WriteError;
use crate::locks::{LockError, SocketGuard};
use crate::paths::StateDir;

impl SocketGuard {
    /// Takes the lock of the socket at `path`, makes its folder where it is missing, and takes away what a dead gateway
    /// left there.
    ///
    /// # Errors
    /// [`LockError::Held`] at once where another gateway has it; [`LockError::Write`] where others may enter the folder,
    /// or where something lies there that is no socket: it is left alone.
    pub fn acquire(state: &StateDir, path: &Path) -> Result<Self, LockError> {
        let guard = Self::lock(state, path)?;
        private(guard.target())?;
        guard.clear()?;
        Ok(guard)
    }

    /// Takes the socket away.
    ///
    /// # Errors
    /// Where what lies there is no socket, or the folder does not allow it.
    pub fn clear(&self) -> Result<(), WriteError> {
        let path = self.target();
        match fs::symlink_metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(WriteError::io(path)(e)),
            Ok(meta) if meta.file_type().is_socket() => fs::remove_file(path).map_err(WriteError::io(path)),
            Ok(_) => Err(WriteError::io(path)(io::Error::other("something lies there that is no socket"))),
        }
    }
}

/// Whoever can enter the folder could put a socket of their own in the place of ours.
fn private(path: &Path) -> Result<(), WriteError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let meta = fs::metadata(folder).map_err(WriteError::io(folder))?;
    if meta.mode() & 0o077 != 0 || meta.uid() != rustix::process::geteuid().as_raw() {
        let detail = format!(
            "the folder of a token socket is its owner's alone (mode 700), and this one has mode {:03o}",
            meta.mode() & 0o777
        );
        return Err(WriteError::io(folder)(io::Error::other(detail)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use coderclaw_types::Code;

    use super::*;

    fn world() -> (tempfile::TempDir, StateDir) {
        StateDir::temporary()
    }

    /// One holder at a time; what a dead one left goes, and what is no socket stays.
    #[test]
    fn a_stale_socket_goes_and_a_live_one_stays() {
        let (_tmp, state) = world();
        let path = state.token_socket();
        let guard = SocketGuard::acquire(&state, &path).unwrap();
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        drop(UnixListener::bind(guard.target()).unwrap());
        let second = SocketGuard::acquire(&state, &path).unwrap_err();
        assert_eq!(second.code(), Code::Locked);
        assert!(path.exists(), "the one that is held was not touched");
        drop(guard);
        let guard = SocketGuard::acquire(&state, &path).unwrap();
        assert!(!path.exists(), "nobody listens on what was left");
        fs::write(&path, "mine").unwrap();
        assert!(guard.clear().is_err());
        drop(guard);
        assert!(SocketGuard::acquire(&state, &path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    fn a_folder_that_others_may_enter_is_refused() {
        let (tmp, state) = world();
        let open = tmp.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        let refused = SocketGuard::acquire(&state, &open.join("x.sock")).unwrap_err();
        assert!(refused.to_string().contains("mode 755"), "{refused}");
    }
}

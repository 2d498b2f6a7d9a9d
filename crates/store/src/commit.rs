//! Replacing a file so that whatever is killed when, the old version or the new one is there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use coderclaw_types::Code;

use crate::faults;
use crate::locks::{StateGuard, StoreGuard};
use crate::profiles::AuthProfiles;
use crate::read::{Origin, ReadError, StoreSnapshot, backup_path, read_auth_store, with_suffix};
use crate::state::AuthState;

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The state dir belongs to another user; files that we would leave there would lock that user out.
    #[error("{} belongs to user {owner}, and this is user {me}", path.display())]
    NotOwner {
        /// What belongs to somebody else.
        path: PathBuf,
        /// The owner's user id.
        owner: u32,
        /// Our user id.
        me: u32,
    },
    /// The file was written by a newer version.
    #[error("{} has version {version}, which this program reads but does not write", path.display())]
    UnsupportedVersion {
        /// Which file.
        path: PathBuf,
        /// Its version.
        version: i64,
    },
    /// The file itself is a mount point, as single-file bind mounts in containers are: it cannot be replaced.
    #[error("{} is mounted as a single file and cannot be replaced; mount its folder instead", path.display())]
    SingleFileMount {
        /// Which file.
        path: PathBuf,
    },
    /// What stands in the file cannot be read, so nothing may replace it.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The system said no: disk full, read-only, no permission.
    #[error("{} cannot be written: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl WriteError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::NotOwner { .. } => Code::NotOwner,
            Self::UnsupportedVersion { .. } => Code::UnsupportedVersion,
            Self::SingleFileMount { .. } | Self::Io { .. } => Code::NotWritable,
            Self::Read(e) => e.code(),
        }
    }

    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }
}

impl StoreGuard {
    /// Reads the store that this guard protects.
    ///
    /// # Errors
    /// As [`read_auth_store`].
    pub fn read(&self) -> Result<StoreSnapshot, ReadError> {
        read_auth_store(self.target())
    }

    /// Whether a commit could be made: the folder takes a new file and the store is no mount point. Leaves nothing
    /// behind.
    ///
    /// # Errors
    /// What a commit would say.
    pub fn check_writable(&self) -> Result<(), WriteError> {
        let target = self.target();
        if is_mount_point(target) {
            return Err(WriteError::SingleFileMount { path: target.to_path_buf() });
        }
        let next = next_path(target);
        faults::hit("store.check").map_err(WriteError::io(&next))?;
        drop(create_private(&next)?);
        fs::remove_file(&next).map_err(WriteError::io(&next))
    }

    /// Removes the backup, before a commit that takes a credential away: a kill between the store and its backup would
    /// leave a copy that nothing leads to any more.
    ///
    /// # Errors
    /// Where the system does not let go of it.
    pub fn drop_backup(&self) -> Result<(), WriteError> {
        let backup = backup_path(self.target());
        match fs::remove_file(&backup) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(WriteError::io(&backup)(e)),
            _ => Ok(()),
        }
    }

    /// Replaces the store with `doc`, durably, then its backup with the same bytes.
    ///
    /// A store that cannot be read is never replaced; a damaged one is set aside first, by copy.
    ///
    /// # Errors
    /// Where `doc` is of a newer version, the store cannot be read, or the disk does not take it. The store is then
    /// what it was.
    pub fn commit(&self, doc: &AuthProfiles) -> Result<(), WriteError> {
        let target = self.target();
        if doc.version() > AuthProfiles::VERSION {
            return Err(WriteError::UnsupportedVersion {
                path: target.to_path_buf(),
                version: doc.version(),
            });
        }
        if is_mount_point(target) {
            return Err(WriteError::SingleFileMount { path: target.to_path_buf() });
        }
        match self.read() {
            Ok(StoreSnapshot { origin: Origin::Backup { .. }, .. }) | Err(ReadError::Corrupt { .. }) => {
                set_aside(target)?;
            }
            Ok(_) => {}
            Err(e) => return Err(e.into()),
        }
        let bytes = doc.to_text();
        replace(target, bytes.as_bytes())?;
        let backup = backup_path(target);
        if replace(&backup, bytes.as_bytes()).is_err() {
            // An old generation under this name would be worse than none.
            drop(fs::remove_file(&backup));
        }
        Ok(())
    }
}

impl StateGuard {
    /// Replaces `auth-state.json` with `doc`.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn commit(&self, doc: &AuthState) -> Result<(), WriteError> {
        replace(self.target(), doc.to_text().as_bytes())
    }
}

/// Writes `bytes` under the file's `.next` name, 0600 from birth, syncs, renames, syncs the folder.
///
/// The caller holds the lock that guards `target`, so the one `.next` name is its own.
pub(crate) fn replace(target: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    replace_as(target, bytes, None)
}

/// The same for a file of another program, which keeps the mode that it had.
pub(crate) fn replace_as(
    target: &Path,
    bytes: &[u8],
    mode: Option<fs::Permissions>,
) -> Result<(), WriteError> {
    let next = next_path(target);
    let written = create_private(&next).and_then(|mut file| {
        faults::hit("store.write")
            .and_then(|()| faults::write_all(&mut file, bytes, "store.torn"))
            .map_err(WriteError::io(&next))?;
        if let Some(mode) = mode {
            file.set_permissions(mode).map_err(WriteError::io(&next))?;
        }
        file.sync_all().map_err(WriteError::io(&next))?;
        faults::hit("store.before_rename").map_err(not_replaced(target))?;
        #[expect(clippy::disallowed_methods, reason = "this is the one place that renames")]
        fs::rename(&next, target).map_err(not_replaced(target))
    });
    if written.is_err() {
        drop(fs::remove_file(&next));
        return written;
    }
    faults::hit("store.after_rename").map_err(WriteError::io(target))?;
    sync_folder(target)
}

/// A mount that the list of mounts does not show still says "busy" to who would put another file in its place.
fn not_replaced(target: &Path) -> impl FnOnce(io::Error) -> WriteError {
    let path = target.to_path_buf();
    move |source| match source.kind() {
        io::ErrorKind::ResourceBusy => WriteError::SingleFileMount { path },
        _ => WriteError::Io { path, source },
    }
}

/// Puts `bytes` into a file of the user's choosing, outside of the state dir: 0600 from birth, the old version or the new
/// one.
///
/// # Errors
/// Where the disk does not take it.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    replace(path, bytes)
}

/// Takes a file away that is no part of the state dir. False where there was none.
///
/// # Errors
/// Where it cannot be taken away.
pub fn take_away(path: &Path) -> Result<bool, WriteError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(WriteError::io(path)(e)),
    }
}

/// A new file, readable and writable by its owner only from its first moment. What a crash left under the name goes.
pub(crate) fn create_private(path: &Path) -> Result<File, WriteError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(WriteError::io(path)(e)),
        _ => {}
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(WriteError::io(path))
}

/// Makes the folder's entry for `path` durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), WriteError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    File::open(folder).and_then(|dir| dir.sync_all()).map_err(WriteError::io(folder))
}

/// Creates the folder, 0700 from birth, where it is missing.
pub(crate) fn private_folder(path: &Path) -> Result<(), WriteError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(WriteError::io(path))
}

fn next_path(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.next"))
}

/// Keeps a copy of a damaged store beside it. The name comes from the content, so that one damage leaves one copy.
fn set_aside(target: &Path) -> Result<(), WriteError> {
    let bytes = fs::read(target).map_err(WriteError::io(target))?;
    let name = coderclaw_types::sha256_parts("set aside", &[&bytes]);
    let copy = with_suffix(
        target,
        &format!(".damaged-{:02x}{:02x}{:02x}{:02x}", name[0], name[1], name[2], name[3]),
    );
    let mut file = create_private(&copy)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(WriteError::io(&copy))?;
    sync_folder(&copy)
}

/// Linux lists mount points with octal escapes for blanks (proc(5), /proc/self/mountinfo, field 5).
pub(crate) fn is_mount_point(path: &Path) -> bool {
    let Some(path) = path.to_str() else { return false };
    let Ok(mounts) = fs::read_to_string("/proc/self/mountinfo") else {
        return false;
    };
    let escaped =
        path.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011").replace('\n', "\\012");
    mounts.lines().any(|line| line.split(' ').nth(4) == Some(escaped.as_str()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use coderclaw_types::Env;

    use super::*;
    use crate::{Config, StateDir};

    fn world() -> (tempfile::TempDir, StateDir, PathBuf) {
        let tmp = tempfile::tempdir().unwrap();
        let root = tmp.path().join("state");
        let env = Env::new([("CODERCLAW_STATE_DIR".into(), root.into())], None, "/".into());
        let state = StateDir::from_env(&env);
        let store = state.agent(&Config::default(), &coderclaw_types::AgentId::main()).store();
        (tmp, state, store)
    }

    fn doc(profiles: &str) -> AuthProfiles {
        AuthProfiles::parse(&format!(r#"{{"version":1,"profiles":{profiles}}}"#)).unwrap()
    }

    /// F1, F7: the new version and its backup are there, 0600, and nothing else is left.
    #[test]
    fn f7_a_commit_leaves_the_store_and_its_backup_private() {
        let (_tmp, state, store) = world();
        let guard = StoreGuard::acquire(&state, &store).unwrap();
        guard.check_writable().unwrap();
        guard.commit(&doc("{}")).unwrap();
        drop(guard);
        let names: Vec<_> =
            fs::read_dir(store.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        for path in [store.clone(), backup_path(&store)] {
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read(&store).unwrap(), fs::read(backup_path(&store)).unwrap());
    }

    /// F2, F6: a store that cannot be read, or is of a newer version, is never replaced.
    #[test]
    fn f2_what_cannot_be_read_is_not_replaced() {
        let (_tmp, state, store) = world();
        let guard = StoreGuard::acquire(&state, &store).unwrap();
        fs::create_dir(&store).unwrap();
        assert_eq!(guard.commit(&doc("{}")).unwrap_err().code(), Code::Unreadable);
        fs::remove_dir(&store).unwrap();
        let newer = r#"{"version":2,"profiles":{},"new":1}"#;
        fs::write(&store, newer).unwrap();
        let snapshot = guard.read().unwrap();
        assert_eq!(guard.commit(&snapshot.doc).unwrap_err().code(), Code::UnsupportedVersion);
        assert_eq!(fs::read_to_string(&store).unwrap(), newer);
    }

    /// F1: a damaged store is kept aside by the writer that replaces it, once.
    #[test]
    fn f1_a_damaged_store_is_set_aside_by_copy() {
        let (_tmp, state, store) = world();
        let guard = StoreGuard::acquire(&state, &store).unwrap();
        for _ in 0..2 {
            fs::write(&store, "{torn").unwrap();
            guard.commit(&doc("{}")).unwrap();
        }
        let aside: Vec<_> = fs::read_dir(store.parent().unwrap())
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter(|p| p.to_string_lossy().contains(".damaged-"))
            .collect();
        assert_eq!(aside.len(), 1);
        assert_eq!(fs::read_to_string(&aside[0]).unwrap(), "{torn");
        assert_eq!(fs::metadata(&aside[0]).unwrap().mode() & 0o777, 0o600);
    }

    /// F11: a linked store stays a link; its target is replaced.
    #[test]
    fn f11_a_symlinked_store_stays_a_link() {
        let (tmp, state, store) = world();
        let real = tmp.path().join("shared/auth-profiles.json");
        fs::create_dir_all(real.parent().unwrap()).unwrap();
        fs::write(&real, r#"{"version":1,"profiles":{}}"#).unwrap();
        state.ensure_dir(store.parent().unwrap()).unwrap();
        symlink(&real, &store).unwrap();
        let guard = StoreGuard::acquire(&state, &store).unwrap();
        guard.commit(&doc(r#"{"a:x":{"type":"api_key","provider":"a","key":"k"}}"#)).unwrap();
        assert!(fs::symlink_metadata(&store).unwrap().is_symlink());
        assert!(fs::read_to_string(&real).unwrap().contains("a:x"));
    }
}

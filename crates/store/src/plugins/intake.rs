//! How the files of a plugin come in, from a folder or an archive that nobody has looked at.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;

use super::PluginError;
use crate::commit::WriteError;

/// More belongs to no plugin.
const MOST_FILES: usize = 2_000;
const MOST_BYTES: u64 = 64 * 1024 * 1024;
/// What may still come in.
pub(super) struct Room {
    files: usize,
    bytes: u64,
}

/// Why something does not come in.
pub(super) enum Trouble {
    /// It is the plugin's fault.
    Content(String),
    /// It is the disk's.
    Disk(WriteError),
}

impl Room {
    /// As much as one plugin may have.
    pub(super) fn whole() -> Self {
        Self { files: MOST_FILES, bytes: MOST_BYTES }
    }
}

impl Trouble {
    pub(super) fn at(self, unusable: impl Fn(String) -> PluginError) -> PluginError {
        match self {
            Self::Content(why) => unusable(why),
            Self::Disk(e) => e.into(),
        }
    }
}

impl From<WriteError> for Trouble {
    fn from(error: WriteError) -> Self {
        Self::Disk(error)
    }
}

/// A folder that only its owner sees.
pub(super) fn new_folder(path: &Path) -> Result<(), WriteError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(WriteError::io(path))
}

/// A file of the plugin: its owner's alone, and a program where it was one.
fn take(from: &mut impl Read, to: &Path, is_program: bool, room: &mut Room) -> Result<(), Trouble> {
    room.files = room
        .files
        .checked_sub(1)
        .ok_or_else(|| Trouble::Content(format!("it has more than {MOST_FILES} files")))?;
    let mode = if is_program { 0o700 } else { 0o600 };
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(to);
    let mut file = match file {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Trouble::Content("it has two files of one name".into()));
        }
        file => file.map_err(WriteError::io(to))?,
    };
    let mut from = from.take(room.bytes + 1);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        // What cannot be read is the plugin's fault, what cannot be written is not.
        let read = from.read(&mut buffer).map_err(|e| Trouble::Content(format!("it cannot be read: {e}")))?;
        if read == 0 {
            break;
        }
        room.bytes = room
            .bytes
            .checked_sub(read as u64)
            .ok_or_else(|| Trouble::Content(format!("it has more than {} MB", MOST_BYTES / 1024 / 1024)))?;
        file.write_all(buffer.get(..read).unwrap_or_default()).map_err(WriteError::io(to))?;
    }
    Ok(file.sync_all().map_err(WriteError::io(to))?)
}

/// Copies a folder. Links and devices end it.
pub(super) fn copy(from: &Path, to: &Path, room: &mut Room) -> Result<(), Trouble> {
    let unread = |e: io::Error| Trouble::Content(format!("{} cannot be read: {e}", from.display()));
    for entry in fs::read_dir(from).map_err(unread)? {
        let entry = entry.map_err(unread)?;
        let name = entry.file_name();
        // A repository's history is no part of a plugin.
        if name == ".git" || name == "__pycache__" {
            continue;
        }
        let (source, target) = (entry.path(), to.join(&name));
        let meta = fs::symlink_metadata(&source).map_err(unread)?;
        if meta.is_dir() {
            room.files = room
                .files
                .checked_sub(1)
                .ok_or_else(|| Trouble::Content("it has too many folders".into()))?;
            new_folder(&target)?;
            copy(&source, &target, room)?;
        } else if meta.is_file() {
            let mut file = File::open(&source).map_err(unread)?;
            take(&mut file, &target, meta.permissions().mode() & 0o100 != 0, room)?;
        } else {
            return Err(Trouble::Content(format!(
                "{} is a link or a device; a plugin holds files",
                source.display()
            )));
        }
    }
    Ok(())
}

/// Unpacks a `.tar.gz`. Every path in it stays in it; links and devices end it.
pub(super) fn unpack(from: &Path, to: &Path, marker: &str, room: &mut Room) -> Result<(), Trouble> {
    let broken = |e: io::Error| Trouble::Content(format!("it is no .tar.gz: {e}"));
    let open = || File::open(from).map(|file| tar::Archive::new(GzDecoder::new(file)));
    // Where everything lies in one folder, that folder is the plugin.
    let mut root: Option<PathBuf> = None;
    let mut files = MOST_FILES;
    for entry in open().map_err(broken)?.entries().map_err(broken)? {
        let path = within(&entry.and_then(|entry| Ok(entry.path()?.into_owned())).map_err(broken)?)?;
        files = files
            .checked_sub(1)
            .ok_or_else(|| Trouble::Content(format!("it has more than {MOST_FILES} files")))?;
        let (depth, is_marker) =
            (path.components().count(), path.file_name().is_some_and(|name| name == marker));
        if is_marker && depth <= 2 && root.as_ref().is_none_or(|root| root.components().count() >= depth) {
            root = path.parent().map(Path::to_path_buf);
        }
    }
    let root = root.ok_or_else(|| Trouble::Content(format!("there is no {marker} in it")))?;
    let mut archive = open().map_err(broken)?;
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = within(&entry.path().map_err(broken)?)?;
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() || kind.is_pax_local_extensions() {
            continue;
        }
        let Ok(inner) = path.strip_prefix(&root) else { continue };
        let target = to.join(inner);
        if kind.is_dir() {
            new_folder(&target)?;
        } else if kind.is_file() {
            new_folder(target.parent().unwrap_or(to))?;
            let is_program = entry.header().mode().is_ok_and(|mode| mode & 0o100 != 0);
            take(&mut entry, &target, is_program, room)?;
        } else {
            return Err(Trouble::Content(format!(
                "{} is a link or a device; a plugin holds files",
                path.display()
            )));
        }
    }
    Ok(())
}

/// The path, where it leads nowhere else.
fn within(path: &Path) -> Result<PathBuf, Trouble> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => out.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(Trouble::Content(format!("{} leads out of it", path.display())));
            }
        }
    }
    Ok(out)
}

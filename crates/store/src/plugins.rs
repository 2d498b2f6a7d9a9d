//! The folders of installed plugins: how one comes in, whole or not at all, and how it goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use coderclaw_types::Millis;
use flate2::read::GzDecoder;

use crate::commit::{WriteError, sync_folder};
use crate::paths::StateDir;

/// More belongs to no plugin.
const MOST_FILES: usize = 2_000;
const MOST_BYTES: u64 = 64 * 1024 * 1024;
/// What one plugin's log may hold, before the older half goes.
const LOG: u64 = 256 * 1024;

/// Why a plugin could not be taken in.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// What was to be installed is none.
    #[error("{}: {why}", path.display())]
    Unusable {
        /// The folder or the archive.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The state dir does not take it.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// A plugin that was copied beside the installed ones and is none of them yet. Dropping it takes it away.
#[derive(Debug)]
pub struct StagedPlugin {
    dir: PathBuf,
    kept: bool,
}

impl Drop for StagedPlugin {
    fn drop(&mut self) {
        if !self.kept {
            fs::remove_dir_all(&self.dir).ok();
        }
    }
}

impl StateDir {
    /// The ids of the plugins that are installed, in force or not.
    pub fn installed_plugins(&self) -> Vec<String> {
        let entries = fs::read_dir(self.plugins()).into_iter().flatten().flatten();
        let names = entries
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }

    /// Copies a plugin's folder, or unpacks its `.tar.gz`, to look at it. `marker` is the file that makes a folder a plugin;
    /// an archive may hold it one folder deep.
    ///
    /// # Errors
    /// Where it holds links, devices, paths that lead out of it, or too much; or the disk does not take it.
    pub fn stage_plugin(&self, from: &Path, marker: &str) -> Result<StagedPlugin, PluginError> {
        let parent = self.plugins();
        self.ensure_dir(&parent)?;
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|e| WriteError::io(&parent)(io::Error::other(e)))?;
        let dir = parent.join(format!(".new-{:016x}", u64::from_le_bytes(random)));
        let staged = StagedPlugin { dir, kept: false };
        let mut room = Room { files: MOST_FILES, bytes: MOST_BYTES };
        new_folder(&staged.dir)?;
        let unusable = |why: String| PluginError::Unusable { path: from.to_path_buf(), why };
        if from.is_dir() {
            copy(from, &staged.dir, &mut room).map_err(|e| e.at(unusable))?;
        } else {
            unpack(from, &staged.dir, marker, &mut room).map_err(|e| e.at(unusable))?;
        }
        if !staged.dir.join(marker).is_file() {
            return Err(unusable(format!("there is no {marker} in it")));
        }
        Ok(staged)
    }

    /// Takes the plugin's files away. False where there were none.
    ///
    /// # Errors
    /// Where they stay.
    pub fn remove_plugin(&self, id: &str) -> Result<bool, WriteError> {
        self.check_owner()?;
        let dir = self.plugins().join(id);
        match fs::remove_dir_all(&dir) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(WriteError::io(&dir)(e)),
        }
    }
}

impl StagedPlugin {
    /// Where it is now.
    pub fn folder(&self) -> &Path {
        &self.dir
    }

    /// Gives it its place, instead of what was there. The old files go only once the new ones are in their place.
    ///
    /// # Errors
    /// Where the disk does not take it; what was there stays.
    pub fn keep(mut self, state: &StateDir, id: &str) -> Result<PathBuf, WriteError> {
        let target = state.plugins().join(id);
        let old = self.dir.with_extension("old");
        let had = match fs::rename(&target, &old) {
            Ok(()) => true,
            Err(e) if e.kind() == io::ErrorKind::NotFound => false,
            Err(e) => return Err(WriteError::io(&target)(e)),
        };
        if let Err(e) = fs::rename(&self.dir, &target) {
            if had {
                fs::rename(&old, &target).ok();
            }
            return Err(WriteError::io(&target)(e));
        }
        self.kept = true;
        fs::remove_dir_all(&old).ok();
        sync_folder(&target)?;
        Ok(target)
    }
}

/// Appends what a plugin has said to its log. The text has passed [`coderclaw_types::redact`].
///
/// # Errors
/// Where the disk does not take it.
pub fn append_plugin_log(state: &StateDir, id: &str, at: Millis, text: &str) -> Result<(), WriteError> {
    let path = state.plugin_log(id);
    state.ensure_dir(path.parent().unwrap_or(state.root()))?;
    if fs::metadata(&path).is_ok_and(|meta| meta.len() >= LOG) {
        fs::rename(&path, path.with_extension("log.1")).map_err(WriteError::io(&path))?;
    }
    let mut lines = String::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        lines.push_str(&format!("{} {line}\n", at.0));
    }
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path)
        .map_err(WriteError::io(&path))?;
    file.write_all(lines.as_bytes()).map_err(WriteError::io(&path))
}

/// What may still come in.
struct Room {
    files: usize,
    bytes: u64,
}

enum Trouble {
    Content(String),
    Disk(WriteError),
}

impl Trouble {
    fn at(self, unusable: impl Fn(String) -> PluginError) -> PluginError {
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

fn new_folder(path: &Path) -> Result<(), WriteError> {
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

fn copy(from: &Path, to: &Path, room: &mut Room) -> Result<(), Trouble> {
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
fn unpack(from: &Path, to: &Path, marker: &str, room: &mut Room) -> Result<(), Trouble> {
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

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const MARKER: &str = "coderclaw.plugin.toml";

    fn world() -> (tempfile::TempDir, StateDir) {
        StateDir::temporary()
    }

    fn archive(path: &Path, entries: &[(&str, tar::EntryType, &[u8])]) {
        let mut builder = tar::Builder::new(GzEncoder::new(File::create(path).unwrap(), Compression::fast()));
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            // Written by hand: the library itself refuses to make such names.
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o755);
            header.set_size(content.len() as u64);
            if kind.is_symlink() {
                header.set_link_name("/etc/passwd").unwrap();
            }
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap();
    }

    fn left(state: &StateDir) -> usize {
        fs::read_dir(state.plugins()).map_or(0, Iterator::count)
    }

    #[test]
    fn an_archive_comes_in_whole_or_not_at_all() {
        use tar::EntryType::{Directory, Regular, Symlink};
        let (tmp, state) = world();
        let path = tmp.path().join("p.tar.gz");
        archive(
            &path,
            &[
                ("acme/", Directory, b""),
                ("acme/coderclaw.plugin.toml", Regular, b"id"),
                ("acme/bin/run", Regular, b"x"),
            ],
        );
        let staged = state.stage_plugin(&path, MARKER).unwrap();
        assert_eq!(fs::read(staged.folder().join("bin/run")).unwrap(), b"x");
        let kept = staged.keep(&state, "acme").unwrap();
        assert_eq!(fs::metadata(kept.join("bin/run")).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(state.installed_plugins(), ["acme"]);
        for (entries, why) in [
            (
                &[("coderclaw.plugin.toml", Regular, &b"id"[..]), ("../../evil", Regular, b"x")][..],
                "leads out of it",
            ),
            (&[("coderclaw.plugin.toml", Regular, b"id"), ("/tmp/evil", Regular, b"x")], "leads out of it"),
            (&[("coderclaw.plugin.toml", Regular, b"id"), ("l", Symlink, b"")], "link or a device"),
            (
                &[("coderclaw.plugin.toml", Regular, b"id"), ("a", Regular, b"1"), ("a", Regular, b"2")],
                "two files of one name",
            ),
            (&[("a/b/coderclaw.plugin.toml", Regular, b"id")], "there is no coderclaw.plugin.toml"),
            (&[("readme", Regular, b"id")], "there is no coderclaw.plugin.toml"),
        ] {
            archive(&path, entries);
            let error = state.stage_plugin(&path, MARKER).unwrap_err().to_string();
            assert!(error.contains(why), "{why}: {error}");
            assert_eq!(left(&state), 1, "{why}: something was left");
        }
        fs::write(&path, "no archive").unwrap();
        assert!(state.stage_plugin(&path, MARKER).unwrap_err().to_string().contains("no .tar.gz"));
        assert!(!tmp.path().join("evil").exists() && !Path::new("/tmp/evil").exists());
        assert!(state.remove_plugin("acme").unwrap() && !state.remove_plugin("acme").unwrap());
    }

    #[test]
    fn a_bomb_and_a_folder_with_links_are_refused() {
        let (tmp, state) = world();
        let path = tmp.path().join("p.tar.gz");
        let zeros = vec![0; 40 * 1024 * 1024];
        archive(
            &path,
            &[
                (MARKER, tar::EntryType::Regular, b"id"),
                ("a", tar::EntryType::Regular, &zeros),
                ("b", tar::EntryType::Regular, &zeros),
            ],
        );
        assert!(state.stage_plugin(&path, MARKER).unwrap_err().to_string().contains("more than 64 MB"));
        let folder = tmp.path().join("folder");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(MARKER), "id").unwrap();
        std::os::unix::fs::symlink("/etc", folder.join("etc")).unwrap();
        assert!(state.stage_plugin(&folder, MARKER).unwrap_err().to_string().contains("link or a device"));
        assert_eq!(left(&state), 0);
    }

    #[test]
    fn a_log_does_not_grow_without_end() {
        let (_tmp, state) = world();
        for _ in 0..9 {
            append_plugin_log(&state, "acme", Millis(1), &"x\u{1b}y\n".repeat(10_000)).unwrap();
        }
        let path = state.plugin_log("acme");
        assert!(fs::metadata(&path).unwrap().len() < 2 * LOG);
        assert!(!fs::read_to_string(&path).unwrap().contains('\u{1b}'));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

//! The folders of installed plugins: how one comes in, whole or not at all, and how it goes.

mod intake;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use self::intake::{Room, copy, new_folder, unpack};
use crate::commit::{WriteError, sync_folder};
use crate::paths::StateDir;

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
        let mut room = Room::whole();
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::PermissionsExt;

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
}

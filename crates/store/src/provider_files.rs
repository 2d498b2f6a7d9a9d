//! `providers/`: a person's own manifests, and which plugins are in force.
//!
//! A plugin is in force where `providers/ID.plugin` lies beside the manifests: the one listing that every command makes
//! anyway tells whether there is any. The file holds the seal of the `coderclaw.plugin.toml` that the person has seen.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::commit::{WriteError, create_private, replace, sync_folder};
use crate::faults;
use crate::paths::StateDir;
use crate::read::{ReadError, read_text};

/// What `providers/` holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProviderFolder {
    /// The texts of the manifests, by name.
    pub files: Vec<(PathBuf, String)>,
    /// The plugins in force, by id, each with the seal that was noted when the person allowed it.
    pub plugins: Vec<(String, String)>,
}

impl StateDir {
    /// What lies in `providers/`.
    ///
    /// # Errors
    /// Where a file cannot be read, or where others than its owner may write it: a provider file decides where
    /// tokens are sent.
    pub fn provider_folder(&self) -> Result<ProviderFolder, ReadError> {
        let dir = self.providers();
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(ProviderFolder::default());
            }
            Err(e) => return Err(ReadError::unreadable(&dir, e)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(|e| ReadError::unreadable(&dir, e))?.path();
            if path.extension().is_some_and(|ext| ext == "toml" || ext == "plugin") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut folder = ProviderFolder::default();
        for path in paths {
            let gone = || ReadError::unreadable(&path, io::ErrorKind::NotFound.into());
            let text = read_provider_file(&path)?.ok_or_else(gone)?;
            if path.extension().is_some_and(|ext| ext == "toml") {
                folder.files.push((path, text));
            } else if let Some(id) = path.file_stem().and_then(|stem| stem.to_str()) {
                folder.plugins.push((id.to_owned(), text.trim().to_owned()));
            }
        }
        Ok(folder)
    }

    /// Where a plugin's mark is.
    pub(crate) fn plugin_mark(&self, id: &str) -> PathBuf {
        self.providers().join(format!("{id}.plugin"))
    }

    /// Puts a plugin in force, as it is now: `seal` stands for its manifest.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn enable_plugin(&self, id: &str, seal: &str) -> Result<(), WriteError> {
        self.ensure_dir(&self.providers())?;
        replace(&self.plugin_mark(id), format!("{seal}\n").as_bytes())
    }

    /// Puts a plugin out of force; its files stay. False where it was not in force.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn disable_plugin(&self, id: &str) -> Result<bool, WriteError> {
        self.check_owner()?;
        let path = self.plugin_mark(id);
        match fs::remove_file(&path) {
            Ok(()) => sync_folder(&path).map(|()| true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(WriteError::io(&path)(e)),
        }
    }

    /// Writes a new manifest into `providers/`, under a name that is free.
    ///
    /// # Errors
    /// Where the name is taken, or the disk does not take it.
    pub fn new_provider_file(&self, id: &str, text: &str) -> Result<PathBuf, WriteError> {
        self.ensure_dir(&self.providers())?;
        let path = self.providers().join(format!("{id}.toml"));
        // A manifest of which the disk took only a part would stop every command, so it gets its name when it is whole.
        let draft = self.providers().join(format!(".{id}.toml.{}.next", std::process::id()));
        let mut file = create_private(&draft)?;
        let made = faults::write_all(&mut file, text.as_bytes(), "provider.torn")
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::hard_link(&draft, &path))
            .map_err(WriteError::io(&path));
        drop(fs::remove_file(&draft));
        made?;
        sync_folder(&path)?;
        Ok(path)
    }
}

/// The text of one manifest; `None` where there is none.
///
/// # Errors
/// Where it cannot be read, or others than its owner may write it.
pub fn read_provider_file(path: &Path) -> Result<Option<String>, ReadError> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err(ReadError::unreadable(path, e)),
    };
    if meta.mode() & 0o022 != 0 {
        let detail = format!("others may write it (mode {:03o}); chmod go-w it", meta.mode() & 0o777);
        return Err(ReadError::Corrupt { path: path.to_path_buf(), detail });
    }
    read_text(path)
}

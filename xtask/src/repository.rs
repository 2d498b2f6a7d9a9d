//! The checked-out tree.

use std::path::{Path, PathBuf};

use crate::program::Program;

/// The root of the workspace.
#[derive(Debug)]
pub(crate) struct Repository {
    root: PathBuf,
}

impl Repository {
    /// The workspace that `cargo xtask` was called in.
    pub(crate) fn find() -> Result<Self, String> {
        // Asked at run time: worktrees may share a target folder, and with it this binary.
        let here = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let here = here.ok_or("this is run as `cargo xtask`, which tells where the workspace is")?;
        let root = here.parent().ok_or("the workspace has no root folder")?;
        Ok(Self { root: root.to_path_buf() })
    }

    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    pub(crate) fn read(&self, relative: &str) -> Result<String, String> {
        std::fs::read_to_string(self.path(relative)).map_err(|e| format!("{relative}: {e}"))
    }

    /// What git tracks, or would track, below the root: sorted, with `/`.
    pub(crate) fn files(&self) -> Result<Vec<String>, String> {
        let list = Program::new("git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .inside(&self.root)
            .installed_by("apt-get install git")
            .text()?;
        let mut files: Vec<String> = list.split('\0').filter(|f| !f.is_empty()).map(str::to_owned).collect();
        files.sort();
        files.dedup();
        // A file that was removed and not yet staged is still in git's list.
        files.retain(|file| self.path(file).is_file());
        Ok(files)
    }

    /// The folder that cargo builds into.
    pub(crate) fn target(&self) -> Result<PathBuf, String> {
        let text = Program::cargo(&["metadata", "--no-deps", "--offline", "--format-version", "1"])
            .inside(&self.root)
            .text()?;
        let key = "\"target_directory\":\"";
        let at = text.find(key).ok_or("cargo metadata names no target folder")? + key.len();
        let end = text[at..].find('"').ok_or("cargo metadata is cut off")?;
        Ok(PathBuf::from(&text[at..at + end]))
    }
}

//! A small disk of our own, which can be filled and made read-only, where we may mount one.

use std::path::{Path, PathBuf};
use std::process::Command;

const INSIDE: &str = "CODERCLAW_TORTURE_INSIDE";

pub(crate) struct Disk {
    /// Where it is mounted; without one, fail points stand in.
    mount: Option<PathBuf>,
    _folder: tempfile::TempDir,
}

/// Runs this program again with mounts that go when it ends, if the system lets us: its result then.
pub(crate) fn inside_own_namespace(args: &[String]) -> Option<Result<(), String>> {
    if std::env::var_os(INSIDE).is_some() || !rustix::process::geteuid().is_root() {
        return None;
    }
    let works = Command::new("unshare").args(["--mount", "true"]).output().is_ok_and(|o| o.status.success());
    if !works {
        return None;
    }
    let program = std::env::current_exe().ok()?;
    let mut inside = Command::new("unshare");
    inside.args(["--mount", "--propagation", "private"]).arg(program).args(args).env(INSIDE, "1");
    let status = inside.status().ok()?;
    // What was wrong has been said.
    Some(if status.success() { Ok(()) } else { Err(String::new()) })
}

impl Disk {
    /// The disk, and the folder on it.
    pub(crate) fn make() -> Result<(Self, PathBuf), String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let path = folder.path().to_path_buf();
        let is_ours = std::env::var_os(INSIDE).is_some();
        let mount =
            (is_ours && mount(&path, &["-t", "tmpfs", "-o", "size=512m", "none"])).then(|| path.clone());
        Ok((Self { mount, _folder: folder }, path))
    }

    pub(crate) fn in_words(&self) -> &'static str {
        match self.mount {
            Some(_) => "the state dir is on a disk of its own, which is filled and made read-only",
            None => "not root, so a full and a read-only disk are fail points",
        }
    }

    pub(crate) fn is_real(&self) -> bool {
        self.mount.is_some()
    }

    /// Leaves no room at all.
    pub(crate) fn fill(&self) {
        use std::io::Write;
        let Some(mount) = &self.mount else { return };
        let Ok(mut file) = std::fs::File::create(mount.join("ballast")) else { return };
        for size in [1 << 20, 1 << 12, 1] {
            let block = vec![0; size];
            while file.write_all(&block).is_ok() {}
        }
    }

    pub(crate) fn make_read_only(&self) {
        if let Some(path) = &self.mount {
            mount(path, &["-o", "remount,ro"]);
        }
    }

    /// As it was.
    pub(crate) fn restore(&self) {
        if let Some(path) = &self.mount {
            mount(path, &["-o", "remount,rw"]);
            drop(std::fs::remove_file(path.join("ballast")));
        }
    }
}

fn mount(path: &Path, how: &[&str]) -> bool {
    Command::new("mount").args(how).arg(path).output().is_ok_and(|output| output.status.success())
}

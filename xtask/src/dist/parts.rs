//! What goes into a package, whatever its kind.

use std::ffi::OsStr;
use std::path::Path;

use super::{empty, notices};
use crate::packages::Packages;
use crate::program::Program;
use crate::repository::Repository;

/// Where each shell looks for completions, and what `completions` calls it.
const COMPLETIONS: [(&str, &str); 4] = [
    ("bash", "share/bash-completion/completions/coderclaw"),
    ("zsh", "share/zsh/site-functions/_coderclaw"),
    ("fish", "share/fish/vendor_completions.d/coderclaw.fish"),
    ("powershell", "share/doc/coderclaw/completions/coderclaw.ps1"),
];
const DOCUMENTS: [&str; 5] = ["README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE-MIT", "LICENSE-APACHE"];
const UNIT: &str = "lib/systemd/user/coderclaw-gateway.service";

/// The program, and the files beside it by their paths below a prefix such as `/usr`.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(super) version: String,
    /// `x86_64-linux`.
    pub(super) architecture: String,
    /// Seconds since 1970: the time of everything in the package.
    pub(super) epoch: String,
    pub(super) program: Vec<u8>,
    pub(super) files: Vec<(String, Vec<u8>)>,
}

/// Builds all of it.
pub(super) fn gather(repository: &Repository, room: &Path) -> Result<Parts, String> {
    empty(room)?;
    let root = repository.root();
    let installed = room.join("installed");
    Program::cargo(&["install", "--locked", "--force", "--no-track", "--path", "crates/cli", "--root"])
        .args(&[&installed.to_string_lossy()])
        .inside(root)
        .run()?;
    only_the_program(&installed)?;
    let program = installed.join("bin/coderclaw");
    let ask = |arguments: &[&str]| {
        // Nothing of whoever builds it gets in.
        let vars = [("HOME", OsStr::new("/nonexistent")), ("PATH", OsStr::new("/usr/bin:/bin"))];
        Program::new(&program, arguments).only_env(&vars).text()
    };
    let mut files = Vec::new();
    for (shell, path) in COMPLETIONS {
        files.push((path.to_owned(), ask(&["completions", shell])?.into_bytes()));
    }
    files.push((UNIT.to_owned(), unit(&ask(&["gateway", "install", "--print"])?)?.into_bytes()));
    for name in DOCUMENTS {
        files.push((format!("share/doc/coderclaw/{name}"), repository.read(name)?.into_bytes()));
    }
    let packages = Packages::read(root)?;
    let own = packages.named("coderclaw")?;
    let notices = notices::text(&packages.linked_into(own))?;
    files.push(("share/doc/coderclaw/THIRD-PARTY.txt".to_owned(), notices.into_bytes()));
    files.extend(man_pages(repository, &room.join("man"))?);
    files.sort();
    let epoch = Program::new("git", &["log", "-1", "--format=%ct"]).inside(root).text()?;
    let program = std::fs::read(&program).map_err(|e| format!("{}: {e}", program.display()))?;
    Ok(Parts {
        version: own.version.clone(),
        architecture: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        epoch: epoch.trim().to_owned(),
        program,
        files,
    })
}

/// `cargo install` has brought one program and nothing else.
fn only_the_program(installed: &Path) -> Result<(), String> {
    let names = |folder: &Path| -> Result<Vec<String>, String> {
        let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        Ok(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
    };
    let (above, programs) = (names(installed)?, names(&installed.join("bin"))?);
    if above == ["bin"] && programs == ["coderclaw"] {
        return Ok(());
    }
    Err(format!("cargo install has brought {} in {}", programs.join(", "), above.join(", ")))
}

/// The unit that `gateway install` writes, for everybody: systemd looks for the program where packages put it.
fn unit(printed: &str) -> Result<String, String> {
    let mut lines: Vec<String> = printed.lines().map(str::to_owned).collect();
    let known = lines.first().is_some_and(|line| line.starts_with('#'));
    let command =
        lines.iter_mut().find(|line| line.starts_with("ExecStart=") && line.ends_with(" gateway run"));
    match command {
        Some(command) if known => *command = "ExecStart=coderclaw gateway run".to_owned(),
        _ => return Err(format!("`gateway install --print` has changed:\n{printed}")),
    }
    lines[0] = "# For each user who wants it: systemctl --user enable --now coderclaw-gateway".to_owned();
    Ok(lines.join("\n") + "\n")
}

/// A test of the command line makes them.
fn man_pages(repository: &Repository, room: &Path) -> Result<Vec<(String, Vec<u8>)>, String> {
    empty(room)?;
    let test = [
        "test",
        "--locked",
        "--workspace",
        "--features",
        "coderclaw/faults",
        "--bin",
        "coderclaw",
        "man_pages",
    ];
    Program::cargo(&test).env("MAN", room).inside(repository.root()).run()?;
    let said = |e: std::io::Error| format!("{}: {e}", room.display());
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(room).map_err(said)? {
        let entry = entry.map_err(said)?;
        let path = format!("share/man/man1/{}", entry.file_name().to_string_lossy());
        pages.push((path, std::fs::read(entry.path()).map_err(said)?));
    }
    if pages.is_empty() { Err("the test made no man page".to_owned()) } else { Ok(pages) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_nobodys_own() {
        let printed = "# Written by it\n[Unit]\n\n[Service]\nExecStart=/home/me/x gateway run\nUMask=0077\n";
        let unit = unit(printed).unwrap();
        assert!(unit.contains("\nExecStart=coderclaw gateway run\nUMask=0077\n"), "{unit}");
        assert!(!unit.contains("/home") && !unit.contains("Written by"), "{unit}");
        assert!(super::unit("[Service]\nExecStart=/x gateway run\n").is_err());
        assert!(super::unit("# x\nExecStart=/x gateway run --port 1\n").is_err());
    }
}

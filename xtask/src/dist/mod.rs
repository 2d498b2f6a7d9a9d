//! `cargo xtask dist`: what is handed out, as a tarball and as a Debian package.
//!
//! The same sources make the same bytes: times are those of the commit, files are in order, and nothing of this machine
//! is in them but its compiler's work.

mod deb;
mod notices;
mod parts;
mod tarball;

use std::path::{Path, PathBuf};

use crate::program::Program;
use crate::repository::Repository;

/// Builds the program as `cargo install` does, packs it, and tries what was packed.
pub(crate) fn dist(repository: &Repository) -> Result<(), String> {
    let out = repository.target()?.join("dist");
    let parts = parts::gather(repository, &out.join("made"))?;
    let mut packed = vec![tarball::pack(&parts, &out)?];
    if Program::new("dpkg-deb", &["--version"]).text().is_ok() {
        packed.push(deb::pack(&parts, &out)?);
    } else {
        println!("No Debian package: dpkg-deb is not installed (apt-get install dpkg).");
    }
    for one in &packed {
        try_out(one, &out.join("tried"), &parts.version)?;
    }
    let names: Vec<&str> = packed.iter().filter_map(|one| one.file_name()?.to_str()).collect();
    let sums = Program::new("sha256sum", &names).inside(&out).text()?;
    write(&out.join("SHA256SUMS"), sums.as_bytes(), 0o644)?;
    println!("\nIn {}:\n{sums}", out.display());
    Ok(())
}

/// Unpacks it and asks the program there for its version.
fn try_out(package: &Path, into: &Path, version: &str) -> Result<(), String> {
    let root = unpack(package, into)?;
    let said = Program::new(root.join("bin/coderclaw"), &["--version"]).text()?;
    if said.trim() == format!("coderclaw {version}") {
        return Ok(());
    }
    Err(format!("the program in {} says `{}`", package.display(), said.trim()))
}

/// Unpacks a package into an empty folder, and returns where its `bin` is.
fn unpack(package: &Path, into: &Path) -> Result<PathBuf, String> {
    empty(into)?;
    let (package, folder) = (package.to_string_lossy(), into.to_string_lossy());
    if package.ends_with(".deb") {
        Program::new("dpkg-deb", &["-x", &package, &folder]).run()?;
        return Ok(into.join("usr"));
    }
    Program::new("tar", &["-xzf", &package, "-C", &folder]).run()?;
    let name = package.rsplit('/').next().unwrap_or_default().trim_end_matches(".tar.gz");
    Ok(into.join(name))
}

/// An empty folder.
fn empty(folder: &Path) -> Result<(), String> {
    let said = |e: std::io::Error| format!("{}: {e}", folder.display());
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(said)?;
    }
    std::fs::create_dir_all(folder).map_err(said)
}

/// A file with this mode, whatever the umask says, and the folders above it.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), String> {
    let said = |e: std::io::Error| format!("{}: {e}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(said)?;
    }
    std::fs::write(path, bytes).map_err(said)?;
    set_mode(path, mode)
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, mode).map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) -> Result<(), String> {
    Ok(())
}

/// Every folder below `root`, itself too, is open to all, whatever the umask says.
fn open_folders(root: &Path) -> Result<(), String> {
    set_mode(root, 0o755)?;
    let said = |e: std::io::Error| format!("{}: {e}", root.display());
    for entry in std::fs::read_dir(root).map_err(said)? {
        let path = entry.map_err(said)?.path();
        if path.is_dir() {
            open_folders(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parts::Parts;
    use super::*;

    /// Parts as a build would make them, but for the program.
    fn made_up() -> Parts {
        Parts {
            version: "1.2.3".into(),
            architecture: "x86_64-linux".into(),
            epoch: "1700000000".into(),
            program: b"#!/bin/sh\n# GLIBC_2.34 GLIBC_2.4 GLIBC_2.100x\necho coderclaw 1.2.3\n".to_vec(),
            files: vec![
                ("share/man/man1/coderclaw.1".into(), b".TH coderclaw 1\n".to_vec()),
                ("share/fish/vendor_completions.d/coderclaw.fish".into(), b"complete\n".to_vec()),
                ("share/zsh/site-functions/_coderclaw".into(), b"#compdef\n".to_vec()),
                ("lib/systemd/user/coderclaw-gateway.service".into(), b"[Service]\n".to_vec()),
                ("share/doc/coderclaw/LICENSE-MIT".into(), b"MIT\n".to_vec()),
                ("share/doc/coderclaw/LICENSE-APACHE".into(), b"Apache\n".to_vec()),
                ("share/doc/coderclaw/THIRD-PARTY.txt".into(), b"others\n".to_vec()),
                ("share/doc/coderclaw/CHANGELOG.md".into(), b"changes\n".to_vec()),
            ],
        }
    }

    fn room(name: &str) -> PathBuf {
        let room = std::env::temp_dir().join(format!("coderclaw-dist-{}-{name}", std::process::id()));
        empty(&room).unwrap();
        room
    }

    /// What `tar` and `dpkg-deb` list: mode, owner and name.
    fn listed(program: &str, arguments: &[&str]) -> Vec<String> {
        let text = Program::new(program, arguments).text().unwrap();
        let line = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            format!("{} {} {}", words[0], words[1], words[5])
        };
        text.lines().map(line).collect()
    }

    fn packed_twice(
        name: &str,
        pack: impl Fn(&Parts, &Path) -> Result<PathBuf, String>,
    ) -> (PathBuf, PathBuf) {
        let room = room(name);
        let (one, two) =
            (pack(&made_up(), &room.join("one")).unwrap(), pack(&made_up(), &room.join("two")).unwrap());
        assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap(), "the same parts, other bytes");
        try_out(&one, &room.join("tried"), "1.2.3").unwrap();
        assert!(try_out(&one, &room.join("tried"), "1.2.4").is_err());
        (one, room)
    }

    #[test]
    fn a_tarball_is_reproducible_and_whole() {
        let (tarball, room) = packed_twice("tar", tarball::pack);
        assert!(tarball.ends_with("coderclaw-1.2.3-x86_64-linux.tar.gz"), "{tarball:?}");
        let all = listed("tar", &["-tvzf", &tarball.to_string_lossy()]);
        let has = |line: &str| all.iter().any(|one| one == line);
        assert!(has("-rwxr-xr-x 0/0 coderclaw-1.2.3-x86_64-linux/bin/coderclaw"), "{all:?}");
        assert!(has("-rw-r--r-- 0/0 coderclaw-1.2.3-x86_64-linux/share/man/man1/coderclaw.1"), "{all:?}");
        assert!(has("drwxr-xr-x 0/0 coderclaw-1.2.3-x86_64-linux/share/"), "{all:?}");
        for (path, bytes) in made_up().files {
            assert_eq!(
                std::fs::read(room.join("tried/coderclaw-1.2.3-x86_64-linux").join(path)).unwrap(),
                bytes
            );
        }
        std::fs::remove_dir_all(room).unwrap();
    }

    #[test]
    fn a_debian_package_is_reproducible_and_whole() {
        if Program::new("dpkg-deb", &["--version"]).text().is_err() {
            println!("Not tried: dpkg-deb is not installed (apt-get install dpkg).");
            return;
        }
        let (package, room) = packed_twice("deb", deb::pack);
        let text = package.to_string_lossy();
        let all = listed("dpkg-deb", &["-c", &text]);
        let has = |line: &str| all.iter().any(|one| one == line);
        assert!(has("-rwxr-xr-x root/root ./usr/bin/coderclaw"), "{all:?}");
        assert!(has("-rw-r--r-- root/root ./usr/share/man/man1/coderclaw.1.gz"), "{all:?}");
        assert!(has("-rw-r--r-- root/root ./usr/share/zsh/vendor-completions/_coderclaw"), "{all:?}");
        assert!(has("-rw-r--r-- root/root ./usr/lib/systemd/user/coderclaw-gateway.service"), "{all:?}");
        assert!(has("drwxr-xr-x root/root ./usr/share/doc/coderclaw/"), "{all:?}");
        let field =
            |name: &str| Program::new("dpkg-deb", &["-f", &text, name]).text().unwrap().trim().to_owned();
        assert_eq!((field("Package"), field("Version")), ("coderclaw".into(), "1.2.3".into()));
        assert_eq!(field("Depends"), "libc6 (>= 2.34), libgcc-s1");
        assert!(!field("Maintainer").is_empty() && !field("Architecture").is_empty());
        let rights = std::fs::read_to_string(room.join("tried/usr/share/doc/coderclaw/copyright")).unwrap();
        assert!(rights.contains("License: MIT or Apache-2.0") && rights.contains("MIT\n"), "{rights}");
        std::fs::remove_dir_all(room).unwrap();
    }
}

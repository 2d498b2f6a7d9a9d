//! The Debian package, made by `dpkg-deb` alone.

use std::path::{Path, PathBuf};

use super::parts::Parts;
use super::{empty, open_folders, write};
use crate::program::Program;

const INSTALL: &str = "apt-get install dpkg";
const SOURCE: &str = "https://github.com/coderclaw/coderclaw";
const CHANGES: &str = "share/doc/coderclaw/CHANGELOG.md";

pub(super) fn pack(parts: &Parts, out: &Path) -> Result<PathBuf, String> {
    let architecture = Program::new("dpkg", &["--print-architecture"]).installed_by(INSTALL).text()?;
    let architecture = architecture.trim();
    let room = out.join("deb");
    empty(&room)?;
    let mut paths = vec!["usr/bin/coderclaw".to_owned()];
    write(&room.join(&paths[0]), &parts.program, 0o755)?;
    for (path, bytes) in &parts.files {
        // Debian packs its manuals and changelogs, wants the licences in one file, and has its own place for zsh.
        let packed = match path.as_str() {
            CHANGES => Some("share/doc/coderclaw/changelog.gz".to_owned()),
            path if path.starts_with("share/man/") => Some(format!("{path}.gz")),
            _ => None,
        };
        let path = &path.replace("share/zsh/site-functions/", "share/zsh/vendor-completions/");
        if path.starts_with("share/doc/coderclaw/LICENSE") {
            continue;
        }
        let path = format!("usr/{}", packed.as_ref().unwrap_or(path));
        write(&room.join(&path), bytes, 0o644)?;
        if packed.is_some() {
            zip(&room.join(&path))?;
        }
        paths.push(path);
    }
    let rights = "usr/share/doc/coderclaw/copyright".to_owned();
    write(&room.join(&rights), copyright(parts).as_bytes(), 0o644)?;
    paths.push(rights);
    paths.sort();
    let names: Vec<&str> = paths.iter().map(String::as_str).collect();
    let sums = Program::new("md5sum", &names).inside(&room).text()?;
    write(&room.join("DEBIAN/md5sums"), sums.as_bytes(), 0o644)?;
    let size: u64 =
        paths.iter().filter_map(|path| std::fs::metadata(room.join(path)).ok()).map(|meta| meta.len()).sum();
    write(&room.join("DEBIAN/control"), control(parts, architecture, size).as_bytes(), 0o644)?;
    open_folders(&room)?;
    let packed = out.join(format!("coderclaw_{}_{architecture}.deb", parts.version));
    Program::new(
        "dpkg-deb",
        &["--root-owner-group", "--build", &room.to_string_lossy(), &packed.to_string_lossy()],
    )
    // No file is younger than this in there.
    .env("SOURCE_DATE_EPOCH", &parts.epoch)
    .installed_by(INSTALL)
    .run()?;
    Ok(packed)
}

/// Packs a file that bears the name it will have.
fn zip(path: &Path) -> Result<(), String> {
    let plain = path.with_extension("");
    std::fs::rename(path, &plain).map_err(|e| format!("{}: {e}", path.display()))?;
    Program::new("gzip", &["-9nf", &plain.to_string_lossy()]).run()
}

fn control(parts: &Parts, architecture: &str, size: u64) -> String {
    let libc = newest_libc(&parts.program).map(|minor| format!("libc6 (>= 2.{minor}), libgcc-s1\n"));
    let depends = libc.map(|depends| format!("Depends: {depends}")).unwrap_or_default();
    format!(
        "Package: coderclaw\nVersion: {}\nArchitecture: {architecture}\nMaintainer: The CoderClaw contributors \
         <noreply@coderclaw.invalid>\nInstalled-Size: {}\n{depends}Section: utils\nPriority: optional\nHomepage: {SOURCE}\n\
         Description: keeps the logins of AI agents in one place\n It refreshes each login exactly once, however many programs \
         ask, uses the right\n one for each chat, and lends access tokens to other programs.\n",
        parts.version,
        size.div_ceil(1024)
    )
}

/// The newest `GLIBC_2.N` that the program asks its loader for.
fn newest_libc(program: &[u8]) -> Option<u32> {
    let mark = b"GLIBC_2.";
    let at = program
        .windows(mark.len())
        .enumerate()
        .filter(|(_, bytes)| bytes == mark)
        .map(|(at, _)| at + mark.len());
    let minor = |at: usize| -> Option<u32> {
        let rest = &program[at..];
        let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
        // In the loader's table a name ends with a zero, or with the next number.
        let is_name = matches!(rest[end], 0 | b'.' | b' ' | b'\n');
        std::str::from_utf8(&rest[..end]).ok()?.parse().ok().filter(|_| is_name)
    };
    at.filter_map(minor).max()
}

fn copyright(parts: &Parts) -> String {
    let text = |name: &str| {
        let path = format!("share/doc/coderclaw/{name}");
        let found = parts.files.iter().find(|(one, _)| *one == path).map(|(_, bytes)| bytes.as_slice());
        String::from_utf8_lossy(found.unwrap_or_default()).into_owned()
    };
    format!(
        "Source: {SOURCE}\nLicense: MIT or Apache-2.0, at your choice\nWorks of others in it: THIRD-PARTY.txt, beside this \
         file\n\n{}\n\n{}",
        text("LICENSE-MIT").trim_end(),
        text("LICENSE-APACHE")
    )
}

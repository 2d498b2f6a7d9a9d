//! The tarball: to be unpacked anywhere, or over a prefix such as `/usr/local`.

use std::path::{Path, PathBuf};

use super::parts::Parts;
use super::{empty, open_folders, write};
use crate::program::Program;

pub(super) fn pack(parts: &Parts, out: &Path) -> Result<PathBuf, String> {
    let name = format!("coderclaw-{}-{}", parts.version, parts.architecture);
    let room = out.join("tarball");
    empty(&room)?;
    let root = room.join(&name);
    write(&root.join("bin/coderclaw"), &parts.program, 0o755)?;
    for (path, bytes) in &parts.files {
        write(&root.join(path), bytes, 0o644)?;
    }
    open_folders(&root)?;
    let packed = out.join(format!("{name}.tar.gz"));
    Program::new(
        "tar",
        &["--create", "--sort=name", "--format=gnu", "--owner=0", "--group=0", "--numeric-owner"],
    )
    .args(&[&format!("--mtime=@{}", parts.epoch), "--use-compress-program=gzip -9n"])
    .args(&["--file", &packed.to_string_lossy(), &name])
    .inside(&room)
    .installed_by("apt-get install tar gzip")
    .run()?;
    Ok(packed)
}

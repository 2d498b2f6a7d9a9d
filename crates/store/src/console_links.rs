//! `gateway/links/`: what lets a browser into the console, once.
//!
//! Whoever may write into the state dir may look at it: so the right to enter is a file there. It bears the hash of the link
//! as its name and its end as its text; the link itself stands nowhere.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coderclaw_types::{Millis, Secret, TokenHash};

use crate::commit::{WriteError, create_private};
use crate::paths::StateDir;

/// What became of a link that somebody came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkUse {
    /// It let them in, and lets nobody in any more.
    Entered,
    /// It came too late.
    Ended,
    /// There is none, or it was used already.
    Unknown,
}

/// Makes a link that works once within `life`: 32 random bytes. Those that have ended by `now` go.
///
/// # Errors
/// Where the disk does not take it.
pub fn make_console_link(
    state: &StateDir,
    now: Millis,
    life: Duration,
) -> Result<(Secret, Millis), WriteError> {
    let dir = state.console_links();
    state.ensure_dir(&dir)?;
    sweep(state, now);
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| WriteError::io(&dir)(io::Error::other(e)))?;
    let link = Secret::from(URL_SAFE_NO_PAD.encode(bytes));
    let path = path(state, &link);
    let ends = now.plus(life);
    let mut file = create_private(&path)?;
    file.write_all(ends.0.to_string().as_bytes()).map_err(WriteError::io(&path))?;
    Ok((link, ends))
}

/// Uses a link up. Of several that come with the same, one enters.
///
/// # Errors
/// Where its file cannot be removed; nobody enters then.
pub fn use_console_link(state: &StateDir, link: &Secret, now: Millis) -> Result<LinkUse, WriteError> {
    let path = path(state, link);
    let ends = ends(&path);
    match fs::remove_file(&path) {
        Ok(()) if ends.is_some_and(|ends| now < ends) => Ok(LinkUse::Entered),
        Ok(()) => Ok(LinkUse::Ended),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(LinkUse::Unknown),
        Err(e) => Err(WriteError::io(&path)(e)),
    }
}

/// The name is a hash, so nothing that a link says leads out of the folder.
fn path(state: &StateDir, link: &Secret) -> PathBuf {
    state.console_links().join(TokenHash::of(link).to_string())
}

/// A file that is torn has ended.
fn ends(path: &std::path::Path) -> Option<Millis> {
    fs::read_to_string(path).ok()?.parse().ok().map(Millis)
}

fn sweep(state: &StateDir, now: Millis) {
    for entry in fs::read_dir(state.console_links()).into_iter().flatten().flatten() {
        if ends(&entry.path()).is_none_or(|ends| ends <= now) {
            drop(fs::remove_file(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    const LIFE: Duration = Duration::from_millis(10);

    fn world() -> (tempfile::TempDir, StateDir) {
        StateDir::temporary()
    }

    fn files(state: &StateDir) -> Vec<fs::DirEntry> {
        fs::read_dir(state.console_links()).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn a_link_lets_one_in_once() {
        let (_tmp, state) = world();
        let (link, ends) = make_console_link(&state, Millis(5), LIFE).unwrap();
        assert!(ends == Millis(15) && link.expose().len() == 43);
        let file = &files(&state)[0];
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        let kept = format!("{:?}{}", file.path(), fs::read_to_string(file.path()).unwrap());
        assert!(!kept.contains(link.expose()), "{kept}");
        let entered = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| use_console_link(&state, &link, Millis(14)).unwrap()))
                .collect();
            tries.into_iter().map(|one| one.join().unwrap()).filter(|one| *one == LinkUse::Entered).count()
        });
        assert_eq!(entered, 1);
        assert_eq!(use_console_link(&state, &link, Millis(14)).unwrap(), LinkUse::Unknown);
    }

    #[test]
    fn a_link_ends_and_a_made_up_one_was_never_there() {
        let (_tmp, state) = world();
        let (link, _) = make_console_link(&state, Millis(5), LIFE).unwrap();
        for wrong in ["", "x", "../keys.toml", "/etc/passwd"] {
            let used = use_console_link(&state, &Secret::from(wrong), Millis(5)).unwrap();
            assert_eq!(used, LinkUse::Unknown, "{wrong}");
        }
        assert_eq!(use_console_link(&state, &link, Millis(15)).unwrap(), LinkUse::Ended);
        assert_eq!(use_console_link(&state, &link, Millis(6)).unwrap(), LinkUse::Unknown);
        make_console_link(&state, Millis(0), LIFE).unwrap();
        make_console_link(&state, Millis(10), LIFE).unwrap();
        assert_eq!(files(&state).len(), 1, "the ended one was swept");
        let (torn, _) = make_console_link(&state, Millis(10), LIFE).unwrap();
        fs::write(path(&state, &torn), "").unwrap();
        assert_eq!(use_console_link(&state, &torn, Millis(11)).unwrap(), LinkUse::Ended);
    }
}

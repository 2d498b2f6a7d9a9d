//! The audit trail, `logs/auth.jsonl`: one JSON object a line, written in one piece and only ever appended.
//!
//! It is for people who ask later. Nothing is decided by it, so nobody waits for it, and losing it loses no login.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use coderclaw_types::{AgentId, Fingerprint, Millis, ProfileId, ProviderId};
use serde::Serialize;

use crate::commit::WriteError;
use crate::faults;
use crate::locks::RotationGuard;
use crate::paths::StateDir;

/// So many older parts are kept.
pub(crate) const KEPT: usize = 3;

/// One event. Texts have passed [`coderclaw_types::redact`].
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditLine {
    /// When.
    pub at: Millis,
    /// What happened.
    pub event: &'static str,
    /// In which agent's store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// Of which provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderId>,
    /// To which profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile_id: Option<ProfileId>,
    /// What the profile was called before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was: Option<ProfileId>,
    /// Identifies the token that it speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// How it ended.
    pub outcome: &'static str,
    /// The code of the table that says more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// Who did it.
    pub pid: u32,
    /// In the course of which command; its name, and never what stood behind it.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub command: String,
    /// More, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Appends one line. Where the file has grown beyond `max_bytes`, it becomes an older part first.
///
/// # Errors
/// Where the disk does not take it, or the state dir is another user's.
pub fn append_audit(state: &StateDir, line: &AuditLine, max_bytes: u64) -> Result<(), WriteError> {
    let path = state.audit_log();
    state.ensure_dir(path.parent().unwrap_or(state.root()))?;
    if fs::metadata(&path).is_ok_and(|meta| meta.len() >= max_bytes) {
        rotate(state, &path, max_bytes)?;
    }
    let mut text = serde_json::to_string(line).unwrap_or_default();
    text.push('\n');
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        // Asked for a FIFO, nobody shall wait for its reader.
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(&path)
        .map_err(WriteError::io(&path))?;
    // What a full disk has cut off shall not take this line with it.
    if ends_within_a_line(&mut file) {
        text.insert(0, '\n');
    }
    faults::hit("audit.write").and_then(|()| file.write_all(text.as_bytes())).map_err(WriteError::io(&path))
}

fn ends_within_a_line(file: &mut File) -> bool {
    let mut last = [b'\n'];
    file.seek(SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last)).is_ok() && last != [b'\n']
}

/// Gives every part the next older name. A line that somebody is just writing goes into the part that it was opened as.
fn rotate(state: &StateDir, path: &Path, max_bytes: u64) -> Result<(), WriteError> {
    let Some(_guard) = RotationGuard::try_acquire(state)? else { return Ok(()) };
    // Somebody may have done it between our look and the lock, and nobody has written since.
    if !fs::metadata(path).is_ok_and(|meta| meta.len() >= max_bytes) {
        return Ok(());
    }
    for older in (1..=KEPT).rev() {
        let from = part(path, older - 1);
        match fs::rename(&from, part(path, older)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(WriteError::io(&from)(e)),
            _ => {}
        }
    }
    Ok(())
}

pub(crate) fn part(path: &Path, older: usize) -> PathBuf {
    match older {
        0 => path.to_path_buf(),
        older => path.with_extension(format!("jsonl.{older}")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::audit_read::read_audit;

    fn world() -> (tempfile::TempDir, StateDir) {
        StateDir::temporary()
    }

    fn line(at: i64) -> AuditLine {
        AuditLine {
            at: Millis(at),
            event: "refresh",
            agent_id: Some(AgentId::main()),
            provider: None,
            profile_id: Some(ProfileId::stored("p:x")),
            was: None,
            fingerprint: None,
            outcome: "refreshed",
            code: Some("ok"),
            pid: 1,
            command: "models auth token".into(),
            detail: None,
        }
    }

    fn times(state: &StateDir) -> Vec<i64> {
        read_audit(state).unwrap().lines.iter().map(|line| line["at"].as_i64().unwrap()).collect()
    }

    /// F7: folder and file are private from birth, and a line has the keys that were promised.
    #[test]
    fn f7_the_trail_is_private_and_plain() {
        let (_tmp, state) = world();
        assert!(read_audit(&state).unwrap().lines.is_empty());
        assert!(!state.root().exists(), "a look makes nothing");
        append_audit(&state, &line(1), 1_000).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&state.audit_log()), 0o600);
        assert_eq!(mode(state.audit_log().parent().unwrap()), 0o700);
        let text = fs::read_to_string(state.audit_log()).unwrap();
        let wanted = r#"{"at":1,"event":"refresh","agentId":"main","profileId":"p:x","outcome":"refreshed","code":"ok","pid":1,"command":"models auth token"}"#;
        assert_eq!(text, format!("{wanted}\n"));
    }

    #[test]
    fn it_is_rotated_by_size_and_three_older_parts_are_kept() {
        let (_tmp, state) = world();
        for at in 0..50 {
            append_audit(&state, &line(at), 300).unwrap();
        }
        let left = times(&state);
        assert!(left.len() > 6 && left.len() < 20, "{left:?}");
        assert!(left.windows(2).all(|two| two[0] + 1 == two[1]) && left.last() == Some(&49), "{left:?}");
        let names = fs::read_dir(state.audit_log().parent().unwrap()).unwrap().count();
        assert_eq!(names, 1 + KEPT);
    }

    /// Lines of many writers stand whole, one beside the other, also while the file is rotated.
    #[test]
    fn writers_at_once_lose_nothing() {
        let (_tmp, state) = world();
        std::thread::scope(|scope| {
            for from in 0..8 {
                let state = &state;
                scope.spawn(move || {
                    (0..50).for_each(|at| append_audit(state, &line(from * 50 + at), 20_000).unwrap());
                });
            }
        });
        let mut all = times(&state);
        all.sort_unstable();
        assert_eq!(all, (0..400).collect::<Vec<_>>());
        assert_eq!(read_audit(&state).unwrap().damaged, 0);
    }

    #[test]
    fn damage_costs_only_itself() {
        let (_tmp, state) = world();
        append_audit(&state, &line(1), 10_000).unwrap();
        let good = fs::read(state.audit_log()).unwrap();
        let mut bytes = good.clone();
        bytes.extend_from_slice(b"\xff\xfe\nnot json\n[1]\n\n{\"at\":2,\"ev");
        fs::write(state.audit_log(), bytes).unwrap();
        append_audit(&state, &line(3), 10_000).unwrap();
        assert_eq!(times(&state), [1, 3]);
        assert_eq!(read_audit(&state).unwrap().damaged, 4);
    }
}

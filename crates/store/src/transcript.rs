//! Transcripts: `sessions/<id>.jsonl`, one JSON object a line, in the form of the original's agent runtime (version 3).
//!
//! The first line is a header. Each line after it has an `id` and the `parentId` of the line it follows, so that a
//! conversation is the path from the last line up to the first. Lines are only ever appended, under the lock of the
//! sessions, so that two terminals in one session lose nothing of each other's.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::commit::WriteError;
use crate::locks::SessionsGuard;
use crate::read::{ReadError, read_text};

/// A transcript as it was at one moment.
#[derive(Debug, Clone, Default)]
pub struct Transcript {
    lines: Vec<Map<String, Value>>,
    damaged: usize,
}

/// The transcript at `path`; empty where there is none. A line that is damaged is passed over, and counted.
///
/// # Errors
/// Where it exists and cannot be read.
pub fn read_transcript(path: &Path) -> Result<Transcript, ReadError> {
    let mut transcript = Transcript::default();
    for line in read_text(path)?.unwrap_or_default().lines().filter(|line| !line.trim().is_empty()) {
        match serde_json::from_str(line) {
            Ok(Value::Object(line)) => transcript.lines.push(line),
            _ => transcript.damaged += 1,
        }
    }
    Ok(transcript)
}

impl Transcript {
    /// How many lines could not be understood.
    pub fn damaged(&self) -> usize {
        self.damaged
    }

    /// The lines of the conversation that the last line belongs to, oldest first, without the header.
    pub fn conversation(&self) -> Vec<&Map<String, Value>> {
        let id = |line: &Map<String, Value>| line.get("id").and_then(Value::as_str).map(str::to_owned);
        let mut path = Vec::new();
        let mut wanted: Option<String> = None;
        for line in self.lines.iter().rev().filter(|line| line.get("type") != Some(&json!("session"))) {
            let is_next = match &wanted {
                None => path.is_empty(),
                Some(wanted) => id(line).as_ref() == Some(wanted),
            };
            if is_next {
                wanted = line.get("parentId").and_then(Value::as_str).map(str::to_owned);
                path.push(line);
            }
        }
        path.reverse();
        path
    }
}

/// Where the transcript of `session` is, beside the index that `sessions` guards. Nothing in the id leads elsewhere.
pub fn transcript_path(index: &Path, session: &str) -> PathBuf {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = session.chars().map(safe).collect();
    index.with_file_name(format!("{}.jsonl", name.trim_start_matches('.')))
}

impl SessionsGuard {
    /// Appends `entries` to the transcript of `session`, each linked to the one before it. A new transcript begins
    /// with `header`. Synced before it returns.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn append(
        &self,
        session: &str,
        header: &Map<String, Value>,
        entries: Vec<Map<String, Value>>,
    ) -> Result<(), WriteError> {
        let path = transcript_path(self.target(), session);
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(WriteError::io(&path))?;
        let mut read = || -> std::io::Result<(u64, Vec<u8>)> {
            let length = file.seek(SeekFrom::End(0))?;
            Ok((length, last_lines(&mut file, length)?))
        };
        let (length, tail) = read().map_err(WriteError::io(&path))?;
        let mut text = String::new();
        if length == 0 {
            text.push_str(&format!("{}\n", Value::Object(header.clone())));
        } else if tail.last() != Some(&b'\n') {
            // Somebody was killed while writing; what comes now shall not be lost with it.
            text.push('\n');
        }
        let mut parent = last_id(&tail);
        for mut entry in entries {
            entry.insert("parentId".into(), parent.map_or(Value::Null, Value::String));
            parent = entry.get("id").and_then(Value::as_str).map(str::to_owned);
            text.push_str(&format!("{}\n", Value::Object(entry)));
        }
        file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).map_err(WriteError::io(&path))
    }
}

/// The end of the file, from the beginning of a line on, with at least one whole line with an id where there is one.
fn last_lines(file: &mut std::fs::File, length: u64) -> std::io::Result<Vec<u8>> {
    let mut size = 64 * 1024;
    loop {
        let from = length.saturating_sub(size);
        file.seek(SeekFrom::Start(from))?;
        let mut tail = Vec::new();
        (&mut *file).take(length - from).read_to_end(&mut tail)?;
        if from == 0 || last_id(&tail).is_some() {
            return Ok(tail);
        }
        size *= 8;
    }
}

/// The id of the last line that has one. The first of `tail` may be half a line, which is not JSON.
fn last_id(tail: &[u8]) -> Option<String> {
    tail.rsplit(|byte| *byte == b'\n').find_map(|line| {
        let line: Value = serde_json::from_slice(line).ok()?;
        // The header's id is the session's, and nobody's parent.
        let is_header = line.get("type") == Some(&json!("session"));
        line.get("id").filter(|_| !is_header)?.as_str().map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use coderclaw_types::Env;

    use super::*;
    use crate::StateDir;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn world() -> (tempfile::TempDir, SessionsGuard) {
        let tmp = tempfile::tempdir().unwrap();
        let root = tmp.path().join("state");
        let state = StateDir::from_env(&Env::new(
            [("CODERCLAW_STATE_DIR".into(), root.clone().into())],
            None,
            "/".into(),
        ));
        let guard = SessionsGuard::acquire(&state, &root.join("agents/main/sessions/sessions.json")).unwrap();
        (tmp, guard)
    }

    fn append(guard: &SessionsGuard, ids: &[&str]) {
        let header = object(json!({"type": "session", "version": 3, "id": "s"}));
        let entries = ids.iter().map(|id| object(json!({"type": "message", "id": id}))).collect();
        guard.append("s", &header, entries).unwrap();
    }

    fn ids(guard: &SessionsGuard) -> Vec<String> {
        let transcript = read_transcript(&transcript_path(guard.target(), "s")).unwrap();
        transcript.conversation().iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn lines_are_linked_to_the_ones_before_them() {
        let (_tmp, guard) = world();
        append(&guard, &["a", "b"]);
        append(&guard, &["c"]);
        let path = transcript_path(guard.target(), "s");
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 4);
        assert!(text.lines().nth(1).unwrap().contains(r#""parentId":null"#), "{text}");
        assert!(text.lines().nth(3).unwrap().contains(r#""parentId":"b""#), "{text}");
        assert_eq!(ids(&guard), ["a", "b", "c"]);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_line_that_was_cut_off_costs_only_itself() {
        let (_tmp, guard) = world();
        append(&guard, &["a", "b"]);
        let path = transcript_path(guard.target(), "s");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}{{\"type\":\"mess")).unwrap();
        append(&guard, &["c"]);
        assert_eq!(ids(&guard), ["a", "b", "c"]);
        assert_eq!(read_transcript(&path).unwrap().damaged(), 1);
    }

    #[test]
    fn a_very_long_line_is_found_too() {
        let (_tmp, guard) = world();
        append(&guard, &["a"]);
        let header = object(json!({}));
        let long = object(json!({"type": "message", "id": "long", "text": "x".repeat(300_000)}));
        guard.append("s", &header, vec![long]).unwrap();
        append(&guard, &["c"]);
        assert_eq!(ids(&guard), ["a", "long", "c"]);
    }

    #[test]
    fn only_the_branch_of_the_last_line_counts() {
        let lines = [
            json!({"type": "session", "id": "s"}),
            json!({"type": "message", "id": "a", "parentId": null}),
            json!({"type": "message", "id": "b", "parentId": "a"}),
            json!({"type": "message", "id": "other", "parentId": "a"}),
            json!({"type": "message", "id": "c", "parentId": "b"}),
        ];
        let transcript = Transcript { lines: lines.into_iter().map(object).collect(), damaged: 0 };
        let ids: Vec<_> = transcript.conversation().iter().map(|line| line["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["a", "b", "c"]);
    }

    #[test]
    fn a_session_id_leads_nowhere_else() {
        let index = Path::new("/s/sessions.json");
        for (id, name) in [("0a-1", "0a-1.jsonl"), ("../x", "-x.jsonl"), ("a/b", "a-b.jsonl")] {
            assert_eq!(transcript_path(index, id), Path::new("/s").join(name), "{id}");
        }
    }
}

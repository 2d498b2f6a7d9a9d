//! Reading the audit trail: as a whole, or on from a place, as somebody does who watches it.

use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::audit::{KEPT, part};
use crate::paths::StateDir;
use crate::read::ReadError;

/// What the trail holds.
#[derive(Debug, Clone, Default)]
pub struct AuditRead {
    /// Every line that is an object, oldest first.
    pub lines: Vec<Map<String, Value>>,
    /// How many lines are none.
    pub damaged: usize,
    /// Behind the last whole line: where to read on.
    pub end: AuditPlace,
}

/// A place in the trail, which it keeps when the file that it is in becomes an older part. Written as `INODE-OFFSET`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuditPlace {
    inode: u64,
    offset: u64,
}

impl fmt::Display for AuditPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.inode, self.offset)
    }
}

impl FromStr for AuditPlace {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (inode, offset) = text.split_once('-').unwrap_or((text, ""));
        Ok(Self { inode: inode.parse()?, offset: offset.parse()? })
    }
}

/// The whole trail, oldest first. Lines that are damaged are passed over, and counted. Reads only.
///
/// # Errors
/// Where a part exists and cannot be read.
pub fn read_audit(state: &StateDir) -> Result<AuditRead, ReadError> {
    let mut all = AuditRead::default();
    for older in (0..=KEPT).rev() {
        all.add(&part(&state.audit_log(), older), None, Last::Counts)?;
    }
    Ok(all)
}

/// What has come since `place`: a line that is still being written comes with a later call. Where the part that the place
/// is in is gone, that is all of the newest part. Reads only.
///
/// # Errors
/// Where a part exists and cannot be read.
pub fn read_audit_since(state: &StateDir, place: AuditPlace) -> Result<AuditRead, ReadError> {
    let log = state.audit_log();
    let mut since = AuditRead { end: place, ..AuditRead::default() };
    let is_here = |path: &Path| fs::metadata(path).is_ok_and(|meta| meta.ino() == place.inode);
    let begun = (0..=KEPT).find(|older| is_here(&part(&log, *older)));
    for older in (0..=begun.unwrap_or(0)).rev() {
        since.add(&part(&log, older), (Some(older) == begun).then_some(place), Last::MayBeHalf)?;
    }
    Ok(since)
}

/// What a last line without its end is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// A line, and damaged.
    Counts,
    /// One that somebody is just writing.
    MayBeHalf,
}

impl AuditRead {
    /// Adds a part, from its beginning or from a place in it.
    fn add(&mut self, path: &Path, from: Option<AuditPlace>, last: Last) -> Result<(), ReadError> {
        let (inode, bytes, from) = match read(path, from) {
            Ok(read) => read,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(ReadError::unreadable(path, e)),
        };
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        self.end = AuditPlace { inode, offset: from + whole as u64 };
        let upto = if last == Last::Counts { bytes.len() } else { whole };
        for line in bytes[..upto].split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            match serde_json::from_slice(line) {
                Ok(Value::Object(line)) => self.lines.push(line),
                _ => self.damaged += 1,
            }
        }
        Ok(())
    }
}

/// The bytes from a place on, and where they begin. A file that has become shorter is another one.
fn read(path: &Path, from: Option<AuditPlace>) -> std::io::Result<(u64, Vec<u8>, u64)> {
    // Before it is opened: a FIFO would be waited for.
    if !fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no plain file"));
    }
    let mut file = File::open(path)?;
    let meta = file.metadata()?;
    let from = from.map_or(0, |place| place.offset).min(meta.len());
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok((meta.ino(), bytes, from))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use coderclaw_types::Env;

    use super::*;

    struct World {
        _tmp: tempfile::TempDir,
        state: StateDir,
    }

    impl World {
        fn new() -> Self {
            let tmp = tempfile::tempdir().unwrap();
            let vars = [("CODERCLAW_STATE_DIR".into(), tmp.path().join("s").into())];
            let state = StateDir::from_env(&Env::new(vars, None, "/".into()));
            fs::create_dir_all(state.audit_log().parent().unwrap()).unwrap();
            Self { _tmp: tmp, state }
        }

        fn add(&self, text: &str) {
            let mut file =
                fs::OpenOptions::new().append(true).create(true).open(self.state.audit_log()).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        /// As a rotation does it.
        fn rotate(&self) {
            let log = self.state.audit_log();
            for older in (1..=KEPT).rev() {
                drop(fs::rename(part(&log, older - 1), part(&log, older)));
            }
        }

        fn since(&self, place: &mut AuditPlace) -> Vec<i64> {
            let read = read_audit_since(&self.state, *place).unwrap();
            *place = read.end.to_string().parse().unwrap();
            read.lines.iter().map(|line| line["at"].as_i64().unwrap()).collect()
        }
    }

    /// Whoever watches sees each line once: whole, over a rotation, and over several in one go.
    #[test]
    fn each_line_once() {
        let world = World::new();
        let mut place = read_audit(&world.state).unwrap().end;
        assert_eq!(world.since(&mut place), [0; 0]);
        world.add("{\"at\":1}\n{\"at\":2}\n");
        assert_eq!(world.since(&mut place), [1, 2]);
        world.add("{\"at\":3}\n{\"at\"");
        assert_eq!(world.since(&mut place), [3]);
        assert_eq!(world.since(&mut place), [0; 0], "half a line is none");
        world.add(":4}\n");
        world.rotate();
        world.add("{\"at\":5}\n");
        assert_eq!(world.since(&mut place), [4, 5]);
        world.add("{\"at\":6}\n");
        world.rotate();
        world.add("{\"at\":7}\n");
        world.rotate();
        assert_eq!(world.since(&mut place), [6, 7]);
        world.add("{\"at\":8}\n");
        assert_eq!(world.since(&mut place), [8]);
        assert_eq!(read_audit(&world.state).unwrap().end, place);
    }

    #[test]
    fn a_place_that_is_gone_is_no_error() {
        let world = World::new();
        world.add("{\"at\":1}\n");
        let mut place = "77-12".parse().unwrap();
        assert_eq!(world.since(&mut place), [1]);
        fs::write(world.state.audit_log(), "").unwrap();
        assert_eq!(world.since(&mut place), [0; 0], "it was cut");
        world.add("{\"at\":2}\n");
        assert_eq!(world.since(&mut place), [2]);
        for wrong in ["", "1", "-", "x-1", "1-", "1-2-3"] {
            assert!(wrong.parse::<AuditPlace>().is_err(), "{wrong}");
        }
    }
}

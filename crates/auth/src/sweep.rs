//! Where copies of secrets lie about: in logs, transcripts, backups, and the history of git.
//!
//! Only exact copies are found, by a table of how each known secret begins. What is found is named by file and profile;
//! no byte of a secret leaves this module.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use coderclaw_store::{Entry, read_auth_store};
use coderclaw_types::{ProfileId, Secret};

use crate::context::Auth;
use crate::edit::EditError;
use crate::secret_places::real;

/// So many bytes of a secret are looked up before the rest is compared.
const HEAD: usize = 8;
/// Shorter ones are words that stand anywhere.
const SHORTEST: usize = 16;
/// What is said of a place that was not reached in time.
const OVER: &str = "the time for looking was over";
/// Read in one piece; a larger file in parts that overlap.
const PART: usize = 4 * 1024 * 1024;

/// A copy of a secret where none belongs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StrayCopy {
    /// In which file; in the history of git, the repository's folder.
    pub path: PathBuf,
    /// The object of git that holds it.
    pub object: Option<String>,
    /// On which line of the file, from 1.
    pub line: Option<usize>,
    /// `refresh token`, `access token`, `token` or `key`.
    pub kind: &'static str,
    /// Of which profile.
    pub profile: ProfileId,
    /// Whose, for people: `agent main`, or a deleted one.
    pub owner: String,
}

/// What a sweep found.
#[derive(Debug, Clone, Default)]
pub struct Sweep {
    /// The copies, by file.
    pub copies: Vec<StrayCopy>,
    /// How many files and objects were looked through.
    pub looked_at: usize,
    /// How many secrets were looked for.
    pub secrets: usize,
    /// What could not be looked at, and why.
    pub problems: Vec<String>,
}

/// A secret that is looked for.
struct Known {
    secret: Secret,
    kind: &'static str,
    profile: ProfileId,
    owner: String,
}

/// The secrets by how they begin.
struct Needles {
    all: Vec<Known>,
    by_head: HashMap<[u8; HEAD], Vec<usize>>,
    longest: usize,
    /// Bytes that are read in one piece.
    part: usize,
    /// When looking ends.
    until: Instant,
}

impl Auth {
    /// Looks for copies of every secret that a store of this state dir holds, in the files below `roots` and in the
    /// history of the git repositories that hold or are held by them. Reads only, follows no links, and leaves out the
    /// places where secrets belong. An empty `roots` means the state dir. What is not reached within `limit` is told as
    /// not looked at.
    ///
    /// # Errors
    /// Where agents or trash cannot be listed: then it is not known what to look for.
    pub fn find_copies(&self, roots: &[PathBuf], limit: Duration) -> Result<Sweep, EditError> {
        let mut sweep = Sweep::default();
        let needles = Needles::of(self.known_secrets(&mut sweep)?, Instant::now() + limit);
        sweep.secrets = needles.all.len();
        let places: Vec<PathBuf> = self.token_places()?.into_iter().map(|place| real(&place.path)).collect();
        let own = [self.state().root().to_path_buf()];
        let roots = if roots.is_empty() { &own } else { roots };
        let mut repositories = Vec::new();
        for root in roots {
            let root = real(root);
            repositories
                .extend(root.ancestors().find(|dir| dir.join(".git").exists()).map(Path::to_path_buf));
            look_below(&root, &places, &needles, &mut repositories, &mut sweep);
        }
        repositories.sort();
        repositories.dedup();
        for repository in &repositories {
            if let Err(why) = look_at_history(self, repository, &needles, &mut sweep) {
                sweep.problems.push(format!("the history of {}: {why}", repository.display()));
            }
        }
        sweep.copies.sort();
        sweep.copies.dedup();
        Ok(sweep)
    }

    fn known_secrets(&self, sweep: &mut Sweep) -> Result<Vec<Known>, EditError> {
        let agents = self.state().agents(self.config())?.into_iter();
        let mut stores: Vec<_> = agents.map(|one| (one.store(), format!("agent {}", one.agent))).collect();
        stores
            .extend(self.state().trashed_stores()?.into_iter().map(|path| (path, "a deleted agent".into())));
        let mut all = Vec::new();
        for (path, owner) in stores {
            let store = match read_auth_store(&path) {
                Ok(store) => store,
                Err(e) => {
                    sweep.problems.push(format!("its secrets are not known: {e}"));
                    continue;
                }
            };
            for (profile, entry) in store.doc.entries() {
                let secrets = match entry {
                    Entry::ApiKey(one) => vec![("key", one.key)],
                    Entry::Token(one) => vec![("token", one.token)],
                    Entry::OAuth(one) => vec![("refresh token", one.refresh), ("access token", one.access)],
                    Entry::Unknown { .. } | Entry::Damaged { .. } => Vec::new(),
                };
                for (kind, secret) in secrets {
                    let Some(secret) = secret.filter(|secret| secret.expose().len() >= SHORTEST) else {
                        continue;
                    };
                    all.push(Known { secret, kind, profile: profile.clone(), owner: owner.clone() });
                }
            }
        }
        Ok(all)
    }
}

impl Needles {
    fn of(all: Vec<Known>, until: Instant) -> Self {
        let mut by_head: HashMap<[u8; HEAD], Vec<usize>> = HashMap::new();
        for (index, known) in all.iter().enumerate() {
            if let Some(head) = known.secret.expose().as_bytes().first_chunk() {
                by_head.entry(*head).or_default().push(index);
            }
        }
        let longest = all.iter().map(|known| known.secret.expose().len()).max().unwrap_or(0);
        Self { all, by_head, longest, part: PART, until }
    }

    /// Which secrets stand in `bytes`, and where the first copy of each begins.
    fn find(&self, bytes: &[u8]) -> Vec<(usize, usize)> {
        let mut found: Vec<(usize, usize)> = Vec::new();
        for (at, window) in bytes.windows(HEAD).enumerate() {
            let Some(head) = window.first_chunk::<HEAD>() else { continue };
            for index in self.by_head.get(head).into_iter().flatten() {
                let is_new = found.iter().all(|(known, _)| known != index);
                if is_new && bytes[at..].starts_with(self.all[*index].secret.expose().as_bytes()) {
                    found.push((*index, at));
                }
            }
        }
        found
    }

    fn copy(&self, index: usize, path: &Path, object: Option<&str>, line: Option<usize>) -> StrayCopy {
        let Known { kind, profile, owner, .. } = &self.all[index];
        let (profile, owner) = (profile.clone(), owner.clone());
        StrayCopy { path: path.to_path_buf(), object: object.map(str::to_owned), line, kind, profile, owner }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Looks through what `reader` gives, in parts that overlap by the longest secret.
    fn look_through(&self, mut reader: impl Read, mut tell: impl FnMut(usize, usize)) -> std::io::Result<()> {
        let mut buffer = Vec::new();
        let mut lines = 0;
        loop {
            if self.is_over() {
                return Err(std::io::ErrorKind::TimedOut.into());
            }
            let kept = buffer.len();
            let read = reader.by_ref().take(self.part as u64).read_to_end(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            for (index, at) in self.find(&buffer) {
                // What ends within the part before was told then.
                if at + self.all[index].secret.expose().len() > kept {
                    tell(index, 1 + lines + newlines(&buffer[..at]));
                }
            }
            let from = buffer.len().saturating_sub(self.longest);
            lines += newlines(&buffer[..from]);
            buffer.drain(..from);
        }
    }
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

fn look_below(
    root: &Path,
    places: &[PathBuf],
    needles: &Needles,
    repositories: &mut Vec<PathBuf>,
    sweep: &mut Sweep,
) {
    let mut paths = vec![root.to_path_buf()];
    while let Some(path) = paths.pop() {
        if needles.is_over() {
            sweep.problems.push(format!("{} and what would have come after it: {OVER}", path.display()));
            return;
        }
        if places.contains(&path) {
            continue;
        }
        let looked = fs::symlink_metadata(&path).and_then(|meta| {
            if meta.is_dir() {
                if path.join(".git").exists() {
                    repositories.push(path.clone());
                }
                // What git has packed is asked for below.
                if path.file_name().is_none_or(|name| name != ".git") {
                    for entry in fs::read_dir(&path)? {
                        paths.push(entry?.path());
                    }
                }
            } else if meta.is_file() {
                sweep.looked_at += 1;
                let copies = &mut sweep.copies;
                needles.look_through(fs::File::open(&path)?, |index, line| {
                    copies.push(needles.copy(index, &path, None, Some(line)));
                })?;
            }
            Ok(())
        });
        if let Err(e) = looked {
            let why = if e.kind() == std::io::ErrorKind::TimedOut { OVER.to_owned() } else { e.to_string() };
            sweep.problems.push(format!("{}: {why}", path.display()));
        }
    }
}

/// Every object that the repository has, whether or not a branch leads to it.
fn look_at_history(
    auth: &Auth,
    repository: &Path,
    needles: &Needles,
    sweep: &mut Sweep,
) -> Result<(), String> {
    let mut command = Command::new("git");
    command.env_clear();
    for name in ["HOME", "PATH"] {
        if let Some(value) = auth.env().get_os(name) {
            command.env(name, value);
        }
    }
    let child = command
        .arg("-C")
        .arg(repository)
        .args(["cat-file", "--batch-all-objects", "--batch", "--buffer"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.map_err(|e| format!("git cannot be run: {e}"))?;
    let read = read_objects(&mut child, repository, needles, sweep);
    if read.is_err() {
        child.kill().ok();
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    read.map_err(|e| if e.kind() == std::io::ErrorKind::TimedOut { OVER.to_owned() } else { e.to_string() })?;
    if status.success() { Ok(()) } else { Err(format!("git cat-file: {status}")) }
}

/// What `git cat-file --batch` prints: a line with name, kind and size, so many bytes, and a newline.
fn read_objects(
    child: &mut Child,
    repository: &Path,
    needles: &Needles,
    sweep: &mut Sweep,
) -> std::io::Result<()> {
    let Some(stdout) = child.stdout.take() else { return Ok(()) };
    let mut reader = BufReader::new(stdout);
    let odd = || std::io::Error::other("git printed something unexpected");
    let mut head = String::new();
    loop {
        head.clear();
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
        let mut words = head.split_whitespace();
        let (Some(object), Some(_), Some(Ok(size))) =
            (words.next(), words.next(), words.next().map(str::parse::<u64>))
        else {
            return Err(odd());
        };
        sweep.looked_at += 1;
        let copies = &mut sweep.copies;
        let mut content = reader.by_ref().take(size);
        needles.look_through(&mut content, |index, _| {
            copies.push(needles.copy(index, repository, Some(object), None));
        })?;
        reader.read_exact(&mut [0])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needles(secrets: &[&str]) -> Needles {
        let known = |secret: &&str| Known {
            secret: Secret::from(*secret),
            kind: "token",
            profile: ProfileId::stored("p:x"),
            owner: "agent main".into(),
        };
        Needles::of(secrets.iter().map(known).collect(), Instant::now() + Duration::from_secs(600))
    }

    /// A copy is found wherever it lies, also across the border of two parts, and told once.
    #[test]
    fn copies_are_found_wherever_they_lie() {
        let needles = Needles { part: 64, ..needles(&["canary-canary-one", "canary-canary-two"]) };
        for at in 0..300 {
            let mut bytes = vec![b'\n'; at];
            bytes.extend_from_slice(b"canary-canary-two!");
            bytes.extend(vec![b'x'; 150]);
            let mut found = Vec::new();
            needles.look_through(bytes.as_slice(), |index, line| found.push((index, line))).unwrap();
            assert_eq!(found, [(1, at + 1)], "{at}");
        }
        let mut found = Vec::new();
        needles.look_through(&b"canary-canary-on canary-canary"[..], |index, _| found.push(index)).unwrap();
        assert!(found.is_empty(), "half a secret is none");
    }

    /// What was not looked at is not called clean.
    #[test]
    fn a_sweep_ends_in_time_and_says_what_it_left() {
        let late = Needles { until: Instant::now(), ..needles(&["canary-canary-one"]) };
        let said = late.look_through(&b"canary-canary-one"[..], |_, _| ()).unwrap_err();
        assert_eq!(said.kind(), std::io::ErrorKind::TimedOut);
        let tmp = tempfile::tempdir().unwrap();
        let mut file = tempfile::NamedTempFile::new_in(tmp.path()).unwrap();
        std::io::Write::write_all(&mut file, b"canary-canary-one").unwrap();
        let mut sweep = Sweep::default();
        look_below(tmp.path(), &[], &late, &mut Vec::new(), &mut sweep);
        assert!(sweep.copies.is_empty() && sweep.problems[0].contains(OVER), "{sweep:?}");
    }
}

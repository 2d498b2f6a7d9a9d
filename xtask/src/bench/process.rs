//! The figures of one process: instructions by callgrind, time by a clock, memory by time(1), calls by strace.
//!
//! A tool that is missing leaves its column empty, with a note how to get it.

use std::ffi::OsString;
use std::path::Path;
use std::time::Instant;

use super::beside::Other;
use super::state::StateDir;
use crate::program::Program;

/// How often each command is timed.
pub(crate) const RUNS: usize = 50;
/// How often a program is timed that takes a thousand times as long.
pub(crate) const OTHER_RUNS: usize = 10;
const PATH: &str = "/usr/bin:/bin";

/// One command line and its environment.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) name: String,
    words: Vec<OsString>,
    home: OsString,
    state: OsString,
    path: OsString,
    runs: usize,
}

/// What one process reached for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) threads: usize,
    pub(crate) sockets: usize,
    pub(crate) ca_files: usize,
}

/// What was found out about one command.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) instructions: Option<f64>,
    pub(crate) median_ms: f64,
    pub(crate) peak_mb: Option<f64>,
    pub(crate) reached: Option<Reached>,
    pub(crate) notes: Vec<String>,
}

impl Command {
    pub(crate) fn new(program: &Path, args: &[&str], state: &StateDir) -> Self {
        let short = program.file_name().filter(|_| !args.is_empty()).unwrap_or(program.as_os_str());
        let mut words = vec![program.as_os_str().to_owned()];
        words.extend(args.iter().map(OsString::from));
        let name = std::iter::once(short.to_string_lossy().into_owned());
        Self {
            name: name.chain(args.iter().map(|arg| (*arg).to_owned())).collect::<Vec<_>>().join(" "),
            words,
            home: state.home().into(),
            state: state.path().into(),
            path: PATH.into(),
            runs: RUNS,
        }
    }

    /// A program by others, on the same state dir.
    pub(crate) fn of_others(other: &Other, state: &StateDir) -> Self {
        let mut command = Self::new(&other.program, other.args, state);
        command.runs = OTHER_RUNS;
        if let Some(runtime) = &other.runtime {
            command.path = runtime.as_os_str().to_owned();
            command.path.push(":");
            command.path.push(PATH);
        }
        command
    }

    /// The command, run by `tool`, or by nothing.
    fn under(&self, tool: &[&str], install: &'static str) -> Program {
        let words: Vec<OsString> =
            tool.iter().map(OsString::from).chain(self.words.iter().cloned()).collect();
        let rest: Vec<&str> = words[1..].iter().filter_map(|word| word.to_str()).collect();
        Program::new(&words[0], &rest).installed_by(install).only_env(&[
            ("HOME", &self.home),
            ("CODERCLAW_STATE_DIR", &self.state),
            ("OPENCLAW_STATE_DIR", &self.state),
            ("CODEX_HOME", &self.state),
            ("PATH", &self.path),
        ])
    }
}

/// Measures all commands.
pub(crate) fn measure(commands: &[Command]) -> Result<Vec<Figures>, String> {
    let mut times = vec![Vec::with_capacity(RUNS); commands.len()];
    // By turns, so that what else this machine does hits all of them alike. The first round warms the caches.
    for round in 0..=RUNS {
        for (command, times) in commands.iter().zip(&mut times) {
            if round > command.runs {
                continue;
            }
            let began = Instant::now();
            command.under(&[], "").output()?;
            if round > 0 {
                times.push(began.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    let figures = commands.iter().zip(times).map(|(command, times)| figures(command, times));
    figures.collect()
}

fn figures(command: &Command, times: Vec<f64>) -> Result<Figures, String> {
    let mut figures = Figures { median_ms: median(times), ..Figures::default() };
    let ended = command.under(&[], "").output()?.status;
    if !ended.success() {
        figures
            .notes
            .push(format!("`{}` ended with {ended}: its figures are those of a failure", command.name));
    }
    let mut noted = |result: Result<String, String>| result.map_err(|why| figures.notes.push(why)).ok();

    // Some start themselves anew, or an interpreter: all of it counts.
    let tool = ["valgrind", "--tool=callgrind", "--trace-children=yes", "--callgrind-out-file=/dev/null"];
    let said = noted(stderr(command.under(&tool, "apt-get install valgrind")));
    let collected = said.as_deref().and_then(sum_collected);
    let tool = ["/usr/bin/time", "-f", "peak %M"];
    let said = noted(stderr(command.under(&tool, "apt-get install time")));
    let peak = said.as_deref().and_then(|said| after(said, "peak "));
    let tool = ["strace", "-f", "-qq", "-e", "trace=clone,clone3,fork,vfork,socket,open,openat"];
    let said = noted(stderr(command.under(&tool, "apt-get install strace")));
    figures.instructions = collected;
    figures.peak_mb = peak.and_then(|kb| kb.parse::<f64>().ok()).map(|kb| kb * 1024.0 / 1e6);
    figures.reached = said.as_deref().map(reached);
    Ok(figures)
}

fn stderr(program: Program) -> Result<String, String> {
    Ok(String::from_utf8_lossy(&program.output()?.stderr).into_owned())
}

/// The instructions of all processes.
fn sum_collected(said: &str) -> Option<f64> {
    let each = said
        .split("Collected :")
        .skip(1)
        .filter_map(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    each.reduce(|sum, one| sum + one)
}

/// The word that follows the last `mark`.
fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    let (_, rest) = text.rsplit_once(mark)?;
    rest.split_whitespace().next()
}

fn reached(trace: &str) -> Reached {
    let mut reached = Reached::default();
    for line in trace.lines() {
        // `[pid 12] socket(...` where there are several processes.
        let call = line.split_once("] ").map_or(line, |(_, call)| call);
        let opens = call.starts_with("open");
        reached.threads += usize::from(call.starts_with("clone") || call.contains("fork("));
        reached.sockets += usize::from(call.starts_with("socket("));
        reached.ca_files += usize::from(opens && (call.contains("/ssl/") || call.contains("/certs/")));
    }
    reached
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_understood() {
        let said = "==7== Events    : Ir\n==7== Collected : 159403\n==7==\n==8== Collected : 7\n";
        assert_eq!(sum_collected(said).map(|sum| sum.to_string()), Some("159410".to_owned()));
        assert_eq!(sum_collected("nothing"), None);
        assert_eq!(after("words of the program: peak 1\npeak 2432\n", "peak "), Some("2432"));
        let trace = "openat(AT_FDCWD, \"/etc/ld.so.cache\", O_RDONLY) = 3\n\
                     clone3({flags=CLONE_VM|CLONE_THREAD}, 88) = 12\n\
                     [pid    12] socket(AF_INET, SOCK_STREAM, 0) = 4\n\
                     [pid    12] openat(AT_FDCWD, \"/etc/ssl/certs/ca-certificates.crt\", O_RDONLY) = 5\n";
        assert_eq!(reached(trace), Reached { threads: 1, sockets: 1, ca_files: 1 });
    }

    #[test]
    fn the_middle_of_the_times() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]).to_string(), "2");
        assert_eq!(median(Vec::new()).to_string(), "0");
    }
}

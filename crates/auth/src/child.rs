//! Programs of others, run within bounds: their own process group, a time limit, so much output and no more.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use coderclaw_types::{MASK, Secret, for_people, redact};

/// What a program may print that is asked for one token.
const MOST: usize = 64 * 1024;
/// What is kept of what it complains about: the end.
const TAIL: usize = 4 * 1024;
const PAUSE: Duration = Duration::from_millis(2);
/// What it says last may come after its end, from a child of its own.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A program under way, with everything that it starts and that stays in its group. Dropping it ends them all.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
    complaints: Arc<Mutex<Vec<u8>>>,
    heard: Receiver<()>,
}

impl Group {
    /// Starts it: no terminal, no standard input unless `talks`.
    pub(crate) fn start(
        command: &mut Command,
        talks: bool,
    ) -> Result<(Self, Option<ChildStdin>, ChildStdout), String> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(if talks { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|e| format!("{name} cannot be started: {e}"))?;
        let pipes = (child.stdout.take(), child.stderr.take());
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let (done, heard) = sync_channel(1);
        let stdin = child.stdin.take();
        let mut group = Self { child, complaints: Arc::clone(&complaints), heard };
        let (Some(stdout), Some(stderr)) = pipes else {
            group.kill();
            return Err(format!("{name} cannot be heard"));
        };
        let listen = move || {
            keep_tail(stderr, &complaints);
            done.send(()).ok();
        };
        if let Err(e) = std::thread::Builder::new().name("stderr".into()).spawn(listen) {
            group.kill();
            return Err(e.to_string());
        }
        Ok((group, stdin, stdout))
    }

    /// Ends it and whatever it has started.
    pub(crate) fn kill(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            // Also after its own end: what it left behind is in the group still.
            rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
        }
        self.child.wait().ok();
    }

    /// How it ended, if it does so until then.
    pub(crate) fn ended(&mut self, until: Instant) -> Option<ExitStatus> {
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Err(_) => return None,
                Ok(None) if Instant::now() >= until => return None,
                Ok(None) => std::thread::sleep(PAUSE),
            }
        }
    }

    /// What it has said on its standard error, without anything that looks like a secret or is one of `secrets`.
    pub(crate) fn complaints(&self, secrets: &[&Secret]) -> String {
        self.heard.recv_timeout(LAST_WORDS).ok();
        let bytes = self.complaints.lock().map(|kept| kept.clone()).unwrap_or_default();
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        for secret in secrets.iter().filter(|secret| secret.expose().len() >= 4) {
            text = text.replace(secret.expose(), MASK);
        }
        redact(&text).into_owned()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

fn keep_tail(mut stderr: ChildStderr, kept: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stderr.read(&mut buffer) {
        let Ok(mut kept) = kept.lock() else { return };
        kept.extend_from_slice(buffer.get(..read).unwrap_or_default());
        let over = kept.len().saturating_sub(TAIL);
        kept.drain(..over);
    }
}

/// The last line of what a program complained about, for a message.
pub(crate) fn last_line(complaints: &str) -> String {
    let line = complaints.lines().rev().find(|line| !line.trim().is_empty());
    line.and_then(for_people).map(|line| format!(": {line}")).unwrap_or_default()
}

/// What a program prints, all of it.
pub(crate) fn output_of(mut command: Command, limit: Duration) -> Result<Secret, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let until = Instant::now() + limit;
    let (mut group, _, stdout) = Group::start(&mut command, false)?;
    let (send, printed) = sync_channel(1);
    let read = move || {
        let mut bytes = Vec::new();
        let done = stdout.take(MOST as u64 + 1).read_to_end(&mut bytes);
        drop(send.send(done.map(|_| bytes)));
    };
    std::thread::Builder::new().name("stdout".into()).spawn(read).map_err(|e| e.to_string())?;
    let bytes = match printed.recv_timeout(limit) {
        Ok(Ok(bytes)) if bytes.len() > MOST => {
            group.kill();
            return Err(format!("{name} printed more than {} KB and was killed", MOST / 1024));
        }
        Ok(Ok(bytes)) => bytes,
        Ok(Err(e)) => return Err(format!("{name} cannot be heard: {e}")),
        Err(_) => Vec::new(),
    };
    let said = Secret::from(String::from_utf8_lossy(&bytes).trim().to_owned());
    let ended = group.ended(until);
    if ended.is_none() {
        group.kill();
    }
    let complaint = || last_line(&group.complaints(&[&said]));
    match ended {
        Some(status) if status.success() => Ok(said),
        Some(status) => Err(format!("{name}: {status}{}", complaint())),
        None => Err(format!("{name} did not end within {} s and was killed{}", limit.as_secs(), complaint())),
    }
}

/// The lines that a program prints, as they come: each of a bounded length, and so many bytes in all.
#[derive(Debug)]
pub(crate) struct Lines(Receiver<Result<Secret, &'static str>>);

impl Lines {
    pub(crate) fn of(stdout: ChildStdout, longest: usize, in_all: usize) -> Result<Self, String> {
        let (send, lines) = sync_channel(8);
        let read = move || {
            let mut stdout = BufReader::new(stdout);
            let mut left = in_all;
            loop {
                let mut line = Vec::new();
                let read = stdout.by_ref().take(longest as u64 + 1).read_until(b'\n', &mut line);
                let got = match read {
                    Ok(0) | Err(_) => return,
                    Ok(read) if read > longest || read > left => Err("it printed more than it may"),
                    Ok(read) => {
                        left -= read;
                        Ok(Secret::from(String::from_utf8_lossy(&line).trim().to_owned()))
                    }
                };
                let is_end = got.is_err();
                if send.send(got).is_err() || is_end {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("plugin".into()).spawn(read).map_err(|e| e.to_string())?;
        Ok(Self(lines))
    }

    /// The next line; an error says why there is none.
    pub(crate) fn next(&self, limit: Duration) -> Result<Secret, &'static str> {
        match self.0.recv_timeout(limit) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => Err("it did not answer in time"),
            Err(RecvTimeoutError::Disconnected) => Err("it ended without an answer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: u64) -> Result<String, String> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        output_of(command, Duration::from_millis(limit)).map(|said| said.expose().to_owned())
    }

    #[test]
    fn what_is_printed_is_bounded_in_time_and_size() {
        assert_eq!(sh("echo ' at-1 '", 5_000).unwrap(), "at-1");
        let flood = sh("yes", 20_000).unwrap_err();
        assert!(flood.contains("more than 64 KB"), "{flood}");
        // Also what it leaves behind is ended, and holds nobody up.
        let hang = sh("sleep 60 & echo at; exec sleep 60", 100).unwrap_err();
        assert!(hang.contains("was killed"), "{hang}");
        assert!(sh("exit 3", 5_000).unwrap_err().contains("exit status: 3"));
        let missing = output_of(Command::new("/no/such/program"), Duration::from_secs(1)).unwrap_err();
        assert!(missing.contains("cannot be started"), "{missing}");
    }

    /// G1: what a program complains about is quoted without the token that it printed, and without what looks like one.
    #[test]
    fn g1_complaints_are_redacted() {
        let said = sh(
            "echo canary-odd-token; echo 'no: canary-odd-token sk-ant-oat01-canarycanary' >&2; exit 1",
            5_000,
        );
        let said = said.unwrap_err();
        assert!(said.ends_with("no: *** ***") && !said.contains("canary"), "{said}");
    }
}

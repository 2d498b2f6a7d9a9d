//! The command that takes a refreshed login on its standard input. It is never an argument, and in no environment.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use coderclaw_types::Secret;

/// A secret store that takes longer is taken for gone.
const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// Runs `command` in a shell. What it prints goes to standard error.
pub(super) fn send(command: &str, material: &Secret) -> Result<(), String> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::from(std::io::stderr()))
        .spawn()
        .map_err(|e| format!("--persist-cmd cannot be run: {e}"))?;
    let stdin = child.stdin.take();
    let bytes = Secret::from(material.expose());
    // In a thread, since it may never read. One that needs no input is no failure: its exit status says how it went.
    let writer = std::thread::spawn(move || {
        if let Some(mut stdin) = stdin {
            stdin.write_all(bytes.expose().as_bytes()).ok();
        }
    });
    let began = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if began.elapsed() < LIMIT => std::thread::sleep(PAUSE),
            Ok(None) => {
                child.kill().ok();
                child.wait().ok();
                return Err(format!("--persist-cmd did not end within {} s", LIMIT.as_secs()));
            }
            Err(e) => return Err(format!("--persist-cmd cannot be waited for: {e}")),
        }
    };
    if !status.success() {
        return Err(format!("--persist-cmd failed ({status})"));
    }
    writer.join().ok();
    Ok(())
}

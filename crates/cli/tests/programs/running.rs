//! A program at work, and what it leaves.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// A program that has been started. Both of its outputs are read all the while.
pub(crate) struct Running {
    child: Child,
    began: Instant,
    out: JoinHandle<String>,
    err: JoinHandle<String>,
}

/// What a finished program left. No code: it was killed.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) took: Duration,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let began = Instant::now();
        command.process_group(0);
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let (out, err) = (text_of(child.stdout.take()), text_of(child.stderr.take()));
        Self { child, began, out, err }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Kills it and its process group, as a job's end does. What has left the group lives on.
    pub(crate) fn kill(&mut self) {
        kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
    }

    /// Waits for its end. Past the limit it is killed.
    pub(crate) fn end(mut self, limit: Duration) -> Done {
        while self.is_running() {
            if self.began.elapsed() > limit {
                self.kill();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let took = self.began.elapsed();
        let code = self.child.wait().unwrap().code();
        Done { code, out: self.out.join().unwrap(), err: self.err.join().unwrap(), took }
    }
}

impl Done {
    /// What it printed, after it went well.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// All that a person saw, after it failed, and failed at once.
    pub(crate) fn failed_at_once(self) -> String {
        assert!(!matches!(self.code, None | Some(0)), "{self:?}");
        assert!(self.took < Duration::from_secs(20), "it tried for {:?}: {self:?}", self.took);
        self.out + &self.err
    }
}

fn text_of(from: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        drop(from.map(|mut from| from.read_to_end(&mut bytes)));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

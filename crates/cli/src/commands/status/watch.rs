//! `models status --watch`: the status for as long as somebody looks at it. A look like any other: it writes nothing,
//! locks nothing, asks nobody.
//!
//! On a terminal it has the screen to itself and is drawn anew each second and at each change of a file. Elsewhere,
//! and where a terminal cannot draw, what has changed is printed below what was before.

mod screen;

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use coderclaw_auth::{AgentStatus, Auth, Runner, Usage};
use coderclaw_store::{AgentPaths, Signature};
use coderclaw_types::Millis;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use self::screen::{Screen, Wait};
use super::words::View;
use crate::commands::{Context, own_program};
use crate::error::CommandError;
use crate::paint::{Paint, draws};
use crate::report::Report;
use crate::text;

/// How often the files are looked at; `stat` only.
const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
/// How often everything is read, whether or not a file that is watched has changed: clocks run, and what
/// a login's journal says changes with it.
const LOOK: Duration = Duration::from_secs(1);

pub(super) fn run(context: &Context, agent: &AgentPaths) -> Result<Report, CommandError> {
    // What cannot be shown even once is no matter of waiting.
    context.auth.status(agent)?;
    let state = context.auth.state();
    let files = vec![
        agent.store(),
        agent.state(),
        agent.settings(),
        state.usage_cache(),
        state.config_path().to_path_buf(),
    ];
    let watcher = Watcher { context, files };
    // What ends it is that nobody looks any more.
    if draws(&context.auth) { watcher.on_screen() } else { watcher.in_blocks() }.ok();
    Ok(Report::default())
}

struct Watcher<'a> {
    context: &'a Context,
    files: Vec<PathBuf>,
}

/// What a look found.
struct Seen {
    auth: Auth,
    agent: AgentPaths,
    status: AgentStatus,
    usage: Vec<Usage>,
}

impl Watcher<'_> {
    /// Everything anew: config and provider files may have changed as well.
    fn look(&self) -> Result<Seen, CommandError> {
        let before = &self.context.auth;
        let auth = Auth::open(before.env().clone(), before.clock().clone(), Runner::Process(own_program()))?;
        let agent = auth.agent(self.context.agent_hint())?;
        let status = auth.status(&agent)?;
        let usage = auth.known_usage(&agent).unwrap_or_default();
        Ok(Seen { auth, agent, status, usage })
    }

    fn words(&self, seen: &Result<Seen, CommandError>, now: Millis, width: usize, draws: bool) -> String {
        match seen {
            Ok(Seen { auth, agent, status, usage }) => {
                let paint = Paint::of_stdout(auth, &self.context.global);
                let hint = self.context.agent_hint();
                View { auth, hint, agent, status, usage, now, width, draws, paint }.words()
            }
            Err(error) => error.words(width),
        }
    }

    fn now(&self) -> Millis {
        self.context.auth.clock().now()
    }

    fn signatures(&self) -> Vec<Option<Signature>> {
        self.files.iter().map(|path| Signature::of(path)).collect()
    }

    fn on_screen(&self) -> std::io::Result<()> {
        let mut screen = Screen::take()?;
        loop {
            let (files, began) = (self.signatures(), Instant::now());
            let (seen, now) = (self.look(), self.now());
            screen.show(&self.words(&seen, now, screen.width(), true), &text::time_of_day(now))?;
            while began.elapsed() < LOOK && files == self.signatures() {
                match screen.wait(&GLANCE)? {
                    Wait::Over => return Ok(()),
                    // The words have to be broken anew.
                    Wait::Resized => break,
                    Wait::Nothing => {}
                }
            }
        }
    }

    fn in_blocks(&self) -> std::io::Result<()> {
        // The last block as it was at its time: a clock that runs on is no change.
        let mut last: Option<(Millis, String)> = None;
        loop {
            let (files, began) = (self.signatures(), Instant::now());
            let (seen, now) = (self.look(), self.now());
            let words = |at| self.words(&seen, at, text::width(), false);
            if last.as_ref().is_none_or(|(at, before)| words(*at) != *before) {
                let block = words(now);
                let parting = if last.is_some() { "\n" } else { "" };
                let mut out = std::io::stdout().lock();
                write!(out, "{parting}{}\n{block}", text::local(now))?;
                out.flush()?;
                last = Some((now, block));
            }
            while began.elapsed() < LOOK && files == self.signatures() {
                let stdout = std::io::stdout();
                let mut reader = [PollFd::new(&stdout, PollFlags::empty())];
                match poll(&mut reader, Some(&GLANCE)) {
                    Ok(0) | Err(rustix::io::Errno::INTR) => {}
                    Ok(_) => return Ok(()),
                    Err(e) => return Err(e.into()),
                }
            }
        }
    }
}

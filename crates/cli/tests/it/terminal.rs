//! A pseudo-terminal, as a person's.

use std::io::Read;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Reached only by a test that fails, which then says what was shown.
const PATIENCE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// The terminal of a test.
pub(crate) struct Terminal {
    pub(crate) master: std::fs::File,
    name: std::path::PathBuf,
}

impl Terminal {
    pub(crate) fn open() -> Self {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap().into();
        Self { master: master.into(), name }
    }

    pub(crate) fn other_end(&self) -> std::fs::File {
        std::fs::OpenOptions::new().read(true).write(true).open(&self.name).unwrap()
    }

    pub(crate) fn echoes(&self) -> bool {
        let modes = rustix::termios::tcgetattr(&self.master).unwrap().local_modes;
        modes.contains(rustix::termios::LocalModes::ECHO)
    }

    /// Changes the size of the window; whoever runs in it is told.
    pub(crate) fn resize(&self, columns: u16) {
        self.resize_to(columns, 24);
    }

    pub(crate) fn resize_to(&self, columns: u16, rows: u16) {
        let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.master, size).unwrap();
    }

    /// Lines are put together by the terminal, and characters are shown, as before a program changed that.
    pub(crate) fn is_sane(&self) -> bool {
        use rustix::termios::{InputModes, LocalModes, OutputModes};
        let modes = rustix::termios::tcgetattr(&self.master).unwrap();
        let local = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        modes.local_modes.contains(local)
            && modes.output_modes.contains(OutputModes::OPOST)
            && modes.input_modes.contains(InputModes::ICRNL)
    }

    pub(crate) fn wait_for_silence(&self) {
        let began = Instant::now();
        while self.echoes() {
            assert!(began.elapsed() < Duration::from_secs(30), "the echo was never turned off");
            std::thread::yield_now();
        }
    }

    /// A command whose whole world is this terminal: its input, its output, and its controlling terminal.
    pub(crate) fn controls(&self, command: &Command) -> Command {
        let mut inside = Command::new("/usr/bin/setsid");
        inside.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args()).env_clear();
        for (name, value) in command.get_envs() {
            inside.env(name, value.unwrap_or_default());
        }
        inside.stdin(self.other_end()).stdout(self.other_end()).stderr(self.other_end());
        inside
    }

    /// Reads what the terminal shows until `wanted` is there.
    pub(crate) fn until(&mut self, shown: &mut String, wanted: &str) {
        while !shown.contains(wanted) {
            let more = self.more(|| format!("{wanted} was not shown: {shown}"));
            shown.push_str(&String::from_utf8_lossy(&more));
        }
    }

    /// The same for what a person sees on the screen in the end.
    pub(crate) fn until_seen(&mut self, screen: &mut vt100::Parser, wanted: &str) {
        while !screen.screen().contents().contains(wanted) {
            let more = self.more(|| format!("{wanted} was not seen: {}", screen.screen().contents()));
            screen.process(&more);
        }
    }

    fn more(&mut self, missing: impl Fn() -> String) -> Vec<u8> {
        let mut buffer = [0; 1024];
        let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
        let ready = rustix::io::retry_on_intr(|| poll(&mut fds, Some(&PATIENCE))).unwrap();
        assert!(ready > 0, "nothing more was shown, and {}", missing());
        let read = self.master.read(&mut buffer).unwrap_or(0);
        assert!(read > 0, "it ended, and {}", missing());
        buffer[..read].to_vec()
    }
}

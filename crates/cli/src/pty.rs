//! A program in a terminal of its own inside the person's: they see it and type into it, and what it has shown is
//! known afterwards.

use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use coderclaw_types::Secret;
use pty_process::blocking::{Pty, open};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use signal_hook::consts::SIGINT;

use crate::terminal::{CTRL_C, Raw, Signals, window};

/// What has scrolled out of a window is still known up to so many lines.
const HISTORY: u16 = 2_000;
/// A program that is told to end gets this long before it is killed.
const FAREWELL: Duration = Duration::from_millis(500);

/// What a program has shown, and how it ended.
pub(crate) struct Shown {
    /// The text of its screen, as one would copy it, with the lines that the window has broken put together.
    pub(crate) text: Secret,
    pub(crate) end: End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    /// `exit code 1`, `signal 9`.
    Failed(String),
    /// The person pressed Ctrl-C, or the terminal has gone.
    Cancelled,
}

/// Whether there is a terminal to type at and one to show things on.
pub(crate) fn is_possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Runs the program until it ends. Its output goes to standard error, whatever standard output is for. A signal that
/// ends this process ends the program first, and leaves the terminal as it was.
pub(crate) fn show(command: Command) -> std::io::Result<Shown> {
    let signals = Signals::watch()?;
    let raw = Raw::start()?;
    let (pty, pts) = open().map_err(std::io::Error::other)?;
    let size = window(std::io::stderr());
    pty.resize(pty_process::Size::new(size.0.get(), size.1.get())).ok();
    let flags = fcntl_getfl(&pty)?;
    fcntl_setfl(&pty, flags | OFlags::NONBLOCK)?;
    let child = pty_process::blocking::Command::from(command).spawn(pts);
    let child = Running(child.map_err(|e| match e {
        pty_process::Error::Io(e) => e,
        other => std::io::Error::other(other),
    })?);
    let screen = vt100::Parser::new(size.0, size.1, usize::from(HISTORY));
    let mut relay = Relay { pty: Some(pty), child, screen, typed: Vec::new(), interrupted: false };
    let status = relay.run(&signals);
    relay.tidy();
    let Relay { pty, child, screen, interrupted, .. } = relay;
    drop(pty);
    drop(child);
    drop(raw);
    signals.over();
    let end = match status? {
        None => End::Cancelled,
        Some(status) if status.success() => End::Done,
        Some(status) if interrupted || is_interrupt(status) => End::Cancelled,
        Some(status) => End::Failed(in_words(status)),
    };
    Ok(Shown { text: text_of(screen), end })
}

fn is_interrupt(status: ExitStatus) -> bool {
    status.signal() == Some(SIGINT) || status.code() == Some(128 + SIGINT)
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".into(),
    }
}

/// The whole history of the screen, as text.
fn text_of(mut screen: vt100::Parser) -> Secret {
    let (rows, columns) = screen.screen().size();
    // What has scrolled away comes back into a window that is high enough.
    screen.set_size(rows.saturating_add(HISTORY), columns);
    let screen = screen.screen();
    let mut text = String::new();
    for (row, line) in (0..).zip(screen.rows(0, columns.get())) {
        text.push_str(&line);
        if !screen.row_wrapped(row) {
            text.push('\n');
        }
    }
    Secret::from(text)
}

/// A program that does not outlive its terminal.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let began = Instant::now();
        // Its terminal has gone, which ends most programs.
        while matches!(self.0.try_wait(), Ok(None)) {
            if began.elapsed() > FAREWELL {
                self.0.kill().ok();
                self.0.wait().ok();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

struct Relay {
    /// `None` once the program has closed its side.
    pty: Option<Pty>,
    child: Running,
    screen: vt100::Parser,
    /// What the program has not taken yet.
    typed: Vec<u8>,
    interrupted: bool,
}

impl Relay {
    /// `None` where the terminal has gone, or a signal ends this process.
    fn run(&mut self, signals: &Signals) -> std::io::Result<Option<ExitStatus>> {
        let stdin = std::io::stdin();
        loop {
            let mut wanted = PollFlags::IN;
            wanted.set(PollFlags::OUT, !self.typed.is_empty());
            let mut fds = vec![PollFd::new(&signals.bell, PollFlags::IN)];
            let takes = self.typed.is_empty();
            if takes {
                fds.push(PollFd::new(&stdin, PollFlags::IN));
            }
            fds.extend(self.pty.as_ref().map(|pty| PollFd::new(pty, wanted)));
            match poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
            let is_typed = takes && !fds[1].revents().is_empty();
            drop(fds);
            signals.quiet();
            if signals.is_ending() {
                return Ok(None);
            }
            if is_typed && !self.take_typed()? {
                return Ok(None);
            }
            self.fit_window();
            self.pass_on()?;
            if let Some(status) = self.child.0.try_wait()? {
                self.last_words()?;
                return Ok(Some(status));
            }
        }
    }

    /// False where nobody can type any more.
    fn take_typed(&mut self) -> std::io::Result<bool> {
        let mut buffer = [0; 1024];
        // Not through the buffer of std, which would keep what is typed for a prompt that comes later.
        let read = match rustix::io::read(std::io::stdin(), &mut buffer) {
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return Ok(true),
            Ok(0) | Err(rustix::io::Errno::IO) => return Ok(false),
            other => other?,
        };
        let typed = &buffer[..read];
        self.interrupted |= typed.contains(&CTRL_C);
        match &self.pty {
            Some(_) => self.typed.extend_from_slice(typed),
            // It listens no more, and has not ended.
            None if typed.contains(&CTRL_C) => self.child.0.kill()?,
            None => {}
        }
        Ok(true)
    }

    fn fit_window(&mut self) {
        let size = window(std::io::stderr());
        if let Some(pty) = &self.pty
            && self.screen.screen().size() != size
        {
            self.screen.set_size(size.0, size.1);
            pty.resize(pty_process::Size::new(size.0.get(), size.1.get())).ok();
        }
    }

    /// What is typed to the program, and what it shows to the person, as far as neither has to wait.
    fn pass_on(&mut self) -> std::io::Result<()> {
        let mut buffer = [0; 8192];
        while let Some(pty) = &mut self.pty {
            if !self.typed.is_empty() {
                match pty.write(&self.typed) {
                    Ok(written) => drop(self.typed.drain(..written)),
                    Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                    Err(_) => self.typed.clear(),
                }
            }
            match pty.read(&mut buffer) {
                Ok(read) if read > 0 => {
                    self.screen.process(&buffer[..read]);
                    std::io::stderr().lock().write_all(&buffer[..read])?;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                // Linux says EIO where the other side is closed.
                Ok(_) | Err(_) => {
                    self.pty = None;
                    self.typed.clear();
                }
            }
        }
        Ok(())
    }

    /// The kernel hands on what was shown a moment later; and a browser that the program has opened may hold the
    /// terminal for as long as it likes.
    fn last_words(&mut self) -> std::io::Result<()> {
        const SILENCE: rustix::event::Timespec = rustix::event::Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        loop {
            self.pass_on()?;
            let Some(pty) = &self.pty else { return Ok(()) };
            let mut fds = [PollFd::new(pty, PollFlags::IN)];
            match poll(&mut fds, Some(&SILENCE)) {
                Ok(0) => return Ok(()),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Takes back what the program has switched on in the person's terminal and, having been ended, not off again.
    fn tidy(&self) {
        let screen = self.screen.screen();
        let (rows, columns) = screen.size();
        let mut back = vt100::Parser::new(rows, columns, 0).screen().input_mode_diff(screen);
        if screen.alternate_screen() {
            back.push_str("\u{1b}[?1049l");
        }
        if screen.hide_cursor() {
            back.push_str("\u{1b}[?25h");
        }
        back.push_str("\u{1b}[0m");
        if screen.cursor_position().1 != 0 {
            back.push_str("\r\n");
        }
        std::io::stderr().lock().write_all(back.as_bytes()).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    fn shown(columns: u16, bytes: &[u8]) -> String {
        let of = |n| NonZeroU16::new(n).unwrap();
        let mut screen = vt100::Parser::new(of(4), of(columns), usize::from(HISTORY));
        screen.process(bytes);
        text_of(screen).expose().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// E17: what a person would copy from the window, whatever the window's edge, escapes and redrawing made of it.
    #[test]
    fn e17_what_was_shown_is_text() {
        assert_eq!(shown(8, b"\x1b[1mabcdefghijkl\x1b[0m\r\nnext"), "abcdefghijkl next");
        // Broken by the program itself: whether that is one word is for whoever knows what is looked for.
        assert_eq!(shown(8, b"abcdefgh\r\nijkl\r\nnext"), "abcdefgh ijkl next");
        // Drawn twice, the second time over the first.
        assert_eq!(shown(20, b"abc 1\r\nabc 2\x1b[1A\x1b[Gxyz\x1b[K"), "xyz abc 2");
        // Scrolled out of a window of four lines.
        assert_eq!(shown(20, b"first\r\n2\r\n3\r\n4\r\n5\r\n6\r\nlast"), "first 2 3 4 5 6 last");
        assert_eq!(shown(20, b"a\x1b[3Cb\x1b[2B\x1b[1Gc"), "a b c");
    }
}

//! The person's terminal while a command has it to itself: key by key, its size, and the signals that end it.

use std::io::Read;
use std::num::NonZeroU16;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};
use signal_hook::{flag, low_level};

/// What Ctrl-C types where the terminal makes no signal of it.
pub(crate) const CTRL_C: u8 = 3;

/// Rows and columns of the person's window.
pub(crate) fn window(shown_on: impl AsFd) -> (NonZeroU16, NonZeroU16) {
    const ROWS: NonZeroU16 = NonZeroU16::MIN.saturating_add(23);
    const COLUMNS: NonZeroU16 = NonZeroU16::MIN.saturating_add(79);
    let size = tcgetwinsize(shown_on).ok();
    let of = |number: Option<u16>, usual| number.and_then(NonZeroU16::new).unwrap_or(usual);
    (of(size.map(|size| size.ws_row), ROWS), of(size.map(|size| size.ws_col), COLUMNS))
}

/// The person's terminal, character by character, until this goes.
pub(crate) struct Raw(Termios);

impl Raw {
    pub(crate) fn start() -> std::io::Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        let mut modes = before.clone();
        modes.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &modes)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0).ok();
    }
}

/// The signals that matter here. Those that end a process do so at once where this is over.
pub(crate) struct Signals {
    /// Can be read once one of them has come, a child has ended, or the window has another size.
    pub(crate) bell: UnixStream,
    ending: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
}

impl Signals {
    pub(crate) fn watch() -> std::io::Result<Self> {
        let (bell, rings) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        let (ending, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            flag::register_conditional_default(signal, Arc::clone(&is_over))?;
            let number = usize::try_from(signal).unwrap_or_default();
            flag::register_usize(signal, Arc::clone(&ending), number)?;
        }
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGCHLD, SIGWINCH] {
            low_level::pipe::register(signal, rings.try_clone()?)?;
        }
        Ok(Self { bell, ending, is_over })
    }

    /// Whoever was rung for is there.
    pub(crate) fn quiet(&self) {
        let mut buffer = [0; 64];
        while matches!((&self.bell).read(&mut buffer), Ok(read) if read > 0) {}
    }

    /// One has come that ends this process.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst) != 0
    }

    /// Dies of the signal that came meanwhile, if one did. The terminal is as it was by now.
    pub(crate) fn over(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Ok(signal @ 1..) = i32::try_from(self.ending.load(Ordering::SeqCst)) {
            low_level::emulate_default_handler(signal).ok();
        }
    }
}

//! A screen of one's own: what was there comes back when it ends, however it ends.

use std::io::{IsTerminal, Write};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::terminal::{CTRL_C, Raw, Signals, window};
use crate::text;

/// Another screen, without a cursor. What is drawn there is not what one scrolls back to afterwards.
const TAKE: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[2J";
const GIVE_BACK: &str = "\u{1b}[0m\u{1b}[?25h\u{1b}[?1049l";

/// What came while nothing was to be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Nothing that is not dealt with.
    Nothing,
    /// The window has another size.
    Resized,
    /// Somebody wants it to end, or nobody can type any more.
    Over,
}

pub(super) struct Screen {
    signals: Signals,
    /// Gone before the rest; `None` where nothing can be typed.
    keys: Option<Raw>,
    /// Columns and rows.
    size: (usize, usize),
    /// What is there, row by row.
    drawn: Vec<String>,
    lines: Vec<String>,
    clock: String,
    /// The first line that is seen.
    top: usize,
}

impl Screen {
    pub(super) fn take() -> std::io::Result<Self> {
        let signals = Signals::watch()?;
        let keys = if std::io::stdin().is_terminal() { Some(Raw::start()?) } else { None };
        let (drawn, lines, clock) = (Vec::new(), Vec::new(), String::new());
        let screen = Self { signals, keys, size: size(), drawn, lines, clock, top: 0 };
        send(TAKE)?;
        Ok(screen)
    }

    pub(super) fn width(&self) -> usize {
        self.size.0
    }

    /// Shows these words, and the time.
    pub(super) fn show(&mut self, words: &str, clock: &str) -> std::io::Result<()> {
        self.lines = words.lines().flat_map(|line| rows_of(line, self.size.0)).collect();
        clock.clone_into(&mut self.clock);
        self.draw()
    }

    fn draw(&mut self) -> std::io::Result<()> {
        let (columns, rows) = self.size;
        let body = rows.saturating_sub(1);
        self.top = self.top.min(self.lines.len().saturating_sub(body));
        let mut frame: Vec<String> = self.lines.iter().skip(self.top).take(body).cloned().collect();
        frame.resize(body, String::new());
        let below = self.lines.len().saturating_sub(self.top + body);
        frame.push(foot(&self.clock, self.top, below, columns));
        let mut out = String::new();
        for (at, row) in frame.iter().enumerate().filter(|(at, row)| self.drawn.get(*at) != Some(row)) {
            out.push_str(&format!("\u{1b}[{};1H\u{1b}[2K{row}", at + 1));
        }
        self.drawn = frame;
        send(&out)
    }

    /// Until something comes, for so long at most.
    pub(super) fn wait(&mut self, time: &Timespec) -> std::io::Result<Wait> {
        let stdin = std::io::stdin();
        let mut fds = vec![PollFd::new(&self.signals.bell, PollFlags::IN)];
        if self.keys.is_some() {
            fds.push(PollFd::new(&stdin, PollFlags::IN));
        }
        match poll(&mut fds, Some(time)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let is_typed = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
        drop(fds);
        self.signals.quiet();
        if self.signals.is_ending() || (is_typed && !self.take_keys()?) {
            return Ok(Wait::Over);
        }
        if size() == self.size {
            return Ok(Wait::Nothing);
        }
        self.size = size();
        self.drawn.clear();
        send("\u{1b}[2J")?;
        Ok(Wait::Resized)
    }

    /// False where one of the keys ends it.
    fn take_keys(&mut self) -> std::io::Result<bool> {
        let mut buffer = [0; 256];
        let read = match rustix::io::read(std::io::stdin(), &mut buffer) {
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return Ok(true),
            Ok(0) | Err(rustix::io::Errno::IO) => return Ok(false),
            other => other?,
        };
        let page = self.size.1.saturating_sub(2);
        let before = self.top;
        for key in keys(&buffer[..read]) {
            self.top = match key {
                Key::End => return Ok(false),
                Key::Up => self.top.saturating_sub(1),
                Key::Down => self.top + 1,
                Key::PageUp => self.top.saturating_sub(page),
                Key::PageDown => self.top + page,
                Key::First => 0,
                Key::Last => self.lines.len(),
            };
        }
        if self.top != before {
            self.draw()?;
        }
        Ok(true)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        send(GIVE_BACK).ok();
        drop(self.keys.take());
        self.signals.over();
    }
}

/// Columns and rows of the window.
fn size() -> (usize, usize) {
    let (rows, columns) = window(std::io::stdout());
    (usize::from(columns.get()), usize::from(rows.get()))
}

fn send(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    End,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
}

/// The keys that mean something here, as `less` has them.
fn keys(mut typed: &[u8]) -> Vec<Key> {
    const KEYS: [(&[u8], Key); 18] = [
        (b"q", Key::End),
        (b"Q", Key::End),
        (&[CTRL_C], Key::End),
        (b"k", Key::Up),
        (b"\x1b[A", Key::Up),
        (b"\x1bOA", Key::Up),
        (b"j", Key::Down),
        (b"\r", Key::Down),
        (b"\x1b[B", Key::Down),
        (b"\x1bOB", Key::Down),
        (b"b", Key::PageUp),
        (b"\x1b[5~", Key::PageUp),
        (b" ", Key::PageDown),
        (b"\x1b[6~", Key::PageDown),
        (b"g", Key::First),
        (b"\x1b[H", Key::First),
        (b"G", Key::Last),
        (b"\x1b[F", Key::Last),
    ];
    let mut found = Vec::new();
    while !typed.is_empty() {
        let key = KEYS.iter().find(|(bytes, _)| typed.starts_with(bytes));
        found.extend(key.map(|(_, key)| *key));
        typed = &typed[key.map_or(1, |(bytes, _)| bytes.len())..];
    }
    found
}

/// The last row: what time it is, what else there is, how it ends.
fn foot(clock: &str, above: usize, below: usize, columns: usize) -> String {
    let more = match (above, below) {
        (0, 0) => String::new(),
        _ => format!(" · {above} lines above, {below} below: ↑ ↓"),
    };
    let whole = format!("{clock} · q ends{more}");
    let mut foot = String::new();
    for c in whole.chars() {
        if text::columns(&foot) + text::columns(c.encode_utf8(&mut [0; 4])) > columns {
            break;
        }
        foot.push(c);
    }
    foot
}

/// A line as the rows that it takes, each with the colour that it begins in.
fn rows_of(line: &str, columns: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    let (mut used, mut colour) = (0, String::new());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        // Only colours have escapes here; a file's own were taken out.
        let length = match c {
            '\u{1b}' => rest.find('m').map_or(rest.len(), |end| end + 1),
            _ => c.len_utf8(),
        };
        let (one, after) = rest.split_at(length);
        rest = after;
        let width = if c == '\u{1b}' { 0 } else { text::columns(one) };
        if c == '\u{1b}' {
            colour = if one == "\u{1b}[0m" { String::new() } else { one.to_owned() };
        } else if used + width > columns.max(1) && used > 0 {
            if let Some(row) = rows.last_mut().filter(|_| !colour.is_empty()) {
                row.push_str("\u{1b}[0m");
            }
            rows.push(colour.clone());
            used = 0;
        }
        used += width;
        if let Some(row) = rows.last_mut() {
            row.push_str(one);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_one_by_one() {
        assert_eq!(keys(b"j\x1b[A\x1b[5~x\x1b[Zq"), [Key::Down, Key::Up, Key::PageUp, Key::End]);
        assert_eq!(keys(&[CTRL_C]), [Key::End]);
        assert!(keys(b"\x1b[15~\x1b\xff").is_empty());
    }

    #[test]
    fn lines_become_rows_that_fit() {
        assert_eq!(rows_of("", 10), [""]);
        assert_eq!(rows_of("abcdef", 6), ["abcdef"]);
        assert_eq!(rows_of("abcdefg", 3), ["abc", "def", "g"]);
        assert_eq!(rows_of("a名前", 3), ["a名", "前"]);
        let red = "\u{1b}[31mabcd\u{1b}[0me";
        assert_eq!(rows_of(red, 3), ["\u{1b}[31mabc\u{1b}[0m", "\u{1b}[31md\u{1b}[0me"]);
        // A window of no width at all.
        assert_eq!(rows_of("ab", 0), ["a", "b"]);
    }

    #[test]
    fn the_foot_fits_every_window() {
        for columns in 0..80 {
            assert!(text::columns(&foot("12:00:00", 3, 40, columns)) <= columns);
        }
        assert_eq!(foot("12:00:00", 0, 0, 80), "12:00:00 · q ends");
    }
}

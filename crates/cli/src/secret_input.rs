//! Reading a secret: from standard input, from a file, or from a terminal that does not show it.

use std::io::{IsTerminal, Read, Write};
use std::path::Path;

use coderclaw_types::{Code, Secret};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use crate::args::SourceArgs;
use crate::error::CommandError;
use crate::report::say;

/// More than any paste with words around it. What is longer is refused, not cut.
const LIMIT: u64 = 256 * 1024;

/// Whether there is a person to ask.
pub(crate) fn has_terminal() -> bool {
    std::io::stdin().is_terminal()
}

/// Fails at once where a secret is wanted and there is nowhere to get it from.
pub(crate) fn check(source: &SourceArgs, command: &str) -> Result<(), CommandError> {
    if source.stdin || source.file.is_some() || has_terminal() {
        return Ok(());
    }
    let message = "there is no terminal to type it at; give it with --stdin or --file FILE";
    Err(CommandError::new(Code::InputRequired, message).hint(format!("{command} --stdin")))
}

/// The text that holds the secret.
pub(crate) fn read(source: &SourceArgs, prompt: &str) -> Result<Secret, CommandError> {
    let failed = |what: &str, e: std::io::Error| {
        CommandError::new(Code::InputRequired, format!("{what} cannot be read: {e}"))
    };
    if let Some(path) = &source.file {
        return from_file(path).map_err(|e| failed(&path.display().to_string(), e));
    }
    if source.stdin {
        return all_of(std::io::stdin().lock()).map_err(|e| failed("standard input", e));
    }
    say(prompt);
    match from_terminal() {
        Ok(Some(text)) => Ok(text),
        Ok(None) => Err(CommandError::new(Code::InputRequired, "cancelled; nothing was changed")),
        Err(e) => Err(failed("the terminal", e)),
    }
}

fn from_file(path: &Path) -> std::io::Result<Secret> {
    all_of(std::fs::File::open(path)?)
}

fn all_of(source: impl Read) -> std::io::Result<Secret> {
    let mut bytes = Vec::new();
    source.take(LIMIT + 1).read_to_end(&mut bytes)?;
    whole(bytes)
}

/// A line that is asked for in the open, such as the number of a menu's line. `None` at the end of the input.
pub(crate) fn ask(question: &str) -> Result<Option<String>, CommandError> {
    write!(std::io::stderr().lock(), "{question} ").ok();
    let mut line = String::new();
    let read = std::io::stdin()
        .read_line(&mut line)
        .map_err(|e| CommandError::new(Code::InputRequired, format!("the terminal cannot be read: {e}")))?;
    Ok((read > 0).then(|| line.trim().to_owned()))
}

/// What was chosen from a menu.
pub(crate) enum Chosen {
    /// One of its lines; on the screen they are counted from 1, here from 0.
    Line(usize),
    /// Something else that was typed.
    Word(String),
}

/// Asks for one of the `lines` of a menu.
pub(crate) fn choose(question: &str, lines: usize) -> Result<Chosen, CommandError> {
    let answer = ask(question)?.unwrap_or_default();
    if answer.is_empty() {
        return Err(nothing_chosen());
    }
    let line = answer.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    Ok(line.filter(|line| *line < lines).map_or(Chosen::Word(answer), Chosen::Line))
}

pub(crate) fn nothing_chosen() -> CommandError {
    CommandError::new(Code::InputRequired, "nothing was chosen; nothing was changed")
}

/// Turns the terminal back to what it was, however reading ends.
struct Silent(Termios);

impl Silent {
    fn start() -> std::io::Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        let mut modes = before.clone();
        // Character by character and without signals: a paste of several lines is one input, there is no limit to
        // the length of a line, and Ctrl-C comes as a character, so that the echo is always turned on again.
        modes.local_modes &= !(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        wait(&mut modes, false);
        tcsetattr(std::io::stdin(), OptionalActions::Now, &modes)?;
        Ok(Self(before))
    }

    /// Whether a read gives up after a fifth of a second.
    fn patience(&self, is_short: bool) -> std::io::Result<()> {
        let mut modes = tcgetattr(std::io::stdin())?;
        wait(&mut modes, is_short);
        Ok(tcsetattr(std::io::stdin(), OptionalActions::Now, &modes)?)
    }
}

fn wait(modes: &mut Termios, is_short: bool) {
    modes.special_codes[SpecialCodeIndex::VMIN] = u8::from(!is_short);
    modes.special_codes[SpecialCodeIndex::VTIME] = if is_short { 2 } else { 0 };
}

impl Drop for Silent {
    fn drop(&mut self) {
        tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0).ok();
        say("");
    }
}

/// What is typed or pasted, up to an Enter after which nothing follows. `None` for Ctrl-C, or Ctrl-D on nothing.
fn from_terminal() -> std::io::Result<Option<Secret>> {
    const CTRL_C: u8 = 3;
    const CTRL_D: u8 = 4;
    const CTRL_U: u8 = 21;
    let silent = Silent::start()?;
    let mut text: Vec<u8> = Vec::new();
    let mut buffer = [0; 1024];
    let mut ended = false;
    loop {
        // A paste of several lines comes in one go; a person who has pressed Enter sends nothing more.
        silent.patience(ended)?;
        let read = rustix::io::retry_on_intr(|| rustix::io::read(std::io::stdin(), &mut buffer))?;
        if read == 0 {
            break;
        }
        for byte in &buffer[..read] {
            match *byte {
                CTRL_C => return Ok(None),
                CTRL_D if text.is_empty() => return Ok(None),
                CTRL_D => return whole(text).map(Some),
                CTRL_U => text.clear(),
                8 | 127 => drop(text.pop()),
                byte => text.push(byte),
            }
        }
        ended = matches!(text.last(), Some(b'\r' | b'\n')) && !text.iter().all(u8::is_ascii_whitespace);
        if text.len() as u64 > LIMIT {
            break;
        }
    }
    drop(silent);
    whole(text).map(Some)
}

/// The text, unless there is more of it than was read.
fn whole(bytes: Vec<u8>) -> std::io::Result<Secret> {
    if bytes.len() as u64 > LIMIT {
        let why = format!("it is longer than {} KiB, and no key or token is", LIMIT / 1024);
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, why));
    }
    Ok(Secret::from(String::from_utf8_lossy(&bytes).into_owned()))
}

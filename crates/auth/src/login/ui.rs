//! What a login says to its user, and hears from them.

use std::future::pending;
use std::io::Read;
use std::time::Duration;

use coderclaw_store::WriteError;
use coderclaw_types::Secret;
use tokio::sync::mpsc;

/// No line of an address is longer; of more, only that it was too much is of interest.
const LINE_LIMIT: usize = 32 * 1024;

/// A paste arrives line by line; when none has come for this long, it is complete.
const QUIET: Duration = Duration::from_millis(150);

/// What a login shows once it waits.
#[derive(Debug)]
pub struct LoginWait<'a> {
    /// The provider's name for people.
    pub provider: &'a str,
    /// The page to open.
    pub url: &'a str,
    /// The port to which the browser may come back.
    pub listening: Option<u16>,
    /// Why it may not.
    pub why_not: Option<&'a str>,
    /// Where the browser ends, without its parameters.
    pub redirect_uri: &'a str,
    /// What stands there may be pasted here.
    pub can_paste: bool,
    /// Nobody has tried this login against the vendor.
    pub untested: bool,
    /// Whose login alone this can be, where the client that asks is one person's.
    pub renews: Option<&'a str>,
}

/// A code that can be typed in on any other device.
#[derive(Debug)]
pub struct CodeWait<'a> {
    /// The provider's name for people.
    pub provider: &'a str,
    /// What to type in.
    pub user_code: &'a str,
    /// Where.
    pub page: &'a str,
    /// The same page with the code in its address.
    pub complete: Option<&'a str>,
    /// How long the code is good for.
    pub lifetime: Duration,
    /// It is the only way that is open.
    pub alone: bool,
    /// And no other was ever there, so that the page may as well be opened here.
    pub only_way: bool,
    /// Nobody has tried this login against the vendor.
    pub untested: bool,
}

/// What a login tells its user while it runs.
pub trait LoginUi {
    /// Shows the page to open. A browser is never waited for.
    ///
    /// # Errors
    /// Where the address could not be written into the file that was asked for. The login then ends.
    fn waiting(&mut self, wait: &LoginWait<'_>) -> Result<(), WriteError>;

    /// Shows a code to type in elsewhere: instead of [`LoginUi::waiting`], or some time after it.
    ///
    /// # Errors
    /// As there.
    fn code(&mut self, _wait: &CodeWait<'_>) -> Result<(), WriteError> {
        Ok(())
    }

    /// What is pasted meanwhile; asked for once, before [`LoginUi::waiting`]. `None`: there is nobody who could.
    fn pastes(&mut self) -> Option<Pastes> {
        None
    }

    /// Something that did not end the wait.
    fn said(&mut self, _text: &str) {}
}

/// Pastes, as they come.
#[derive(Debug)]
pub struct Pastes {
    lines: mpsc::Receiver<Secret>,
}

impl Pastes {
    /// Reads lines from `source` on a thread of its own. Nobody waits for that thread: where it still reads when the program
    /// is done, it ends with it.
    pub fn read(source: impl Read + Send + 'static) -> Self {
        let (send, lines) = mpsc::channel(16);
        let thread = std::thread::Builder::new().name("pastes".into());
        // Without a thread nothing is pasted, and the channel is closed.
        drop(thread.spawn(move || read_lines(source, &send)));
        Self { lines }
    }

    /// The next paste, its lines together. `None` when there will be no more.
    async fn next(&mut self) -> Option<Secret> {
        let mut text = self.lines.recv().await?.expose().to_owned();
        while let Ok(Some(line)) = tokio::time::timeout(QUIET, self.lines.recv()).await {
            if text.len() <= LINE_LIMIT {
                text.push('\n');
                text.push_str(line.expose());
            }
        }
        Some(Secret::from(text))
    }

    /// Whether whoever pasted is still there.
    pub(super) fn may_bring_more(&self) -> bool {
        !self.lines.is_closed() || !self.lines.is_empty()
    }

    /// As [`Pastes::next`]; where there are none at all, for ever.
    pub(super) async fn next_of(pastes: Option<&mut Self>) -> Option<Secret> {
        match pastes {
            Some(pastes) => pastes.next().await,
            None => pending().await,
        }
    }
}

fn read_lines(mut source: impl Read, send: &mpsc::Sender<Secret>) {
    let mut line = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = match source.read(&mut buffer) {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => break,
            Ok(read) => read,
        };
        for &byte in buffer.get(..read).unwrap_or_default() {
            if byte != b'\n' {
                if line.len() <= LINE_LIMIT {
                    line.push(byte);
                }
            } else if send.blocking_send(as_secret(&std::mem::take(&mut line))).is_err() {
                return;
            }
        }
    }
    if !line.is_empty() {
        drop(send.blocking_send(as_secret(&line)));
    }
}

fn as_secret(line: &[u8]) -> Secret {
    Secret::from(String::from_utf8_lossy(line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(source: impl Read + Send + 'static) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut pastes = Pastes::read(source);
            let mut all = Vec::new();
            while let Some(text) = pastes.next().await {
                all.push(text.expose().to_owned());
            }
            all
        })
    }

    /// E8: an address that a terminal broke into lines is one paste.
    #[test]
    fn e8_lines_that_come_together_are_one_paste() {
        assert_eq!(all(&b"http://127.0.0.1/\ncb?code=c\n"[..]), ["http://127.0.0.1/\ncb?code=c"]);
        assert_eq!(all(&b"one"[..]), ["one"]);
        assert!(all(&b""[..]).is_empty());
    }

    #[test]
    fn a_flood_is_cut_and_ends() {
        let flood = all(std::io::repeat(b'x').take(5 << 20));
        assert_eq!(flood.len(), 1);
        assert!(flood[0].len() > 16 * 1024 && flood[0].len() < 64 * 1024);
        let lines = all(std::io::Cursor::new("y\n".repeat(1 << 18)));
        assert!(lines.iter().all(|text| text.len() < 64 * 1024));
    }
}

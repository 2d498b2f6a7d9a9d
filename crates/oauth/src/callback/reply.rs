//! The browser, still waiting.

use std::fmt;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::page::page;
use crate::words::for_people;

/// The connection of the browser that brought the code. It shows nothing yet: say [`Reply::success`] when the credential
/// is on disk. Dropped without a word, it says that the login failed.
///
/// The pages are small enough for the socket's buffer, so that nobody waits for the browser.
pub struct Reply {
    browser: Option<TcpStream>,
}

impl Reply {
    pub(super) fn new(stream: tokio::net::TcpStream) -> Option<Self> {
        let stream = stream.into_std().ok()?;
        stream.set_nonblocking(false).ok()?;
        stream.set_write_timeout(Some(Duration::from_secs(2))).ok()?;
        Some(Self { browser: Some(stream) })
    }

    /// The login is complete and stored. `text` says whose it is.
    pub fn success(mut self, text: &str) {
        self.show("200 OK", "You are logged in", text);
    }

    /// The login failed with this code.
    pub fn failure(mut self, code: &str, text: &str) {
        self.show("400 Bad Request", "The login failed", &format!("{text} ({code})"));
    }

    /// A browser that is gone is no failure of the login.
    fn show(&mut self, status: &str, title: &str, text: &str) {
        let Some(mut browser) = self.browser.take() else {
            return;
        };
        let text = for_people(text).unwrap_or_default();
        let end = if text.ends_with('.') { "" } else { "." };
        let response = page(status, title, &format!("{text}{end} You can close this page."));
        if browser.write_all(response.as_bytes()).is_ok() {
            browser.shutdown(Shutdown::Write).ok();
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let text = "It did not come to an end. The terminal says more.";
        self.show("400 Bad Request", "The login failed", text);
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

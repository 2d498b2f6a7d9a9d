//! The other end of the token socket, for programs that wait: no runtime, no thread, nothing on the disk.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use coderclaw_types::{Code, Secret};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::wire::{
    Advice, BorrowedLease, Complaint, LendRequest, Listing, ReportRequest, Request, VERSIONS, Welcome,
};

/// A refresh takes its time over there; this is longer than any of its limits.
const PATIENCE: Duration = Duration::from_secs(120);
/// A list of thousands of profiles is shorter.
const LONGEST: u64 = 8 * 1024 * 1024;

/// A conversation with a gateway, somewhere.
#[derive(Debug)]
pub struct TokenSocket {
    stream: BufReader<UnixStream>,
    path: PathBuf,
}

/// Why nothing was borrowed.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Nobody listens.
    #[error("no gateway answers on the token socket {}: {source}", path.display())]
    Down {
        /// Which socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The conversation broke off, or made no sense.
    #[error("the token socket {}: {detail}", path.display())]
    Lost {
        /// Which socket.
        path: PathBuf,
        /// How.
        detail: String,
    },
    /// The gateway said no.
    #[error("{}", complaint.message)]
    Refused {
        /// Why.
        complaint: Complaint,
    },
}

impl SocketError {
    /// The code of this failure. One that this version does not know is told as [`Code::Internal`].
    pub fn code(&self) -> Code {
        match self {
            Self::Down { .. } | Self::Lost { .. } => Code::SocketDown,
            Self::Refused { complaint } => Code::from_text(&complaint.code).unwrap_or(Code::Internal),
        }
    }
}

impl TokenSocket {
    /// Connects, and says who is there.
    ///
    /// # Errors
    /// Where nobody answers, or the key does not count.
    pub fn connect(path: &Path, key: Option<Secret>) -> Result<(Self, Welcome), SocketError> {
        let down = |source| SocketError::Down { path: path.to_path_buf(), source };
        let stream = UnixStream::connect(path).map_err(down)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(down)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(down)?;
        let mut socket = Self { stream: BufReader::new(stream), path: path.to_path_buf() };
        let welcome = socket.ask(&Request::Hello { versions: VERSIONS.to_vec(), key }, None)?;
        Ok((socket, welcome))
    }

    /// How the logins stand that the key is for.
    ///
    /// # Errors
    /// Where the gateway says no, or nothing.
    pub fn list(&mut self) -> Result<Listing, SocketError> {
        self.ask(&Request::List, None)
    }

    /// A token, refreshed over there where it is due.
    ///
    /// # Errors
    /// Where the gateway says no, or nothing.
    pub fn lend(&mut self, wish: LendRequest) -> Result<BorrowedLease, SocketError> {
        self.ask(&Request::Lend(wish), Some("lease"))
    }

    /// Says what became of a request, and hears what may be done.
    ///
    /// # Errors
    /// Where the gateway says no, or nothing.
    pub fn report(&mut self, report: ReportRequest) -> Result<Advice, SocketError> {
        self.ask(&Request::Report(report), None)
    }

    fn lost(&self, detail: impl Into<String>) -> SocketError {
        SocketError::Lost { path: self.path.clone(), detail: detail.into() }
    }

    fn ask<T: DeserializeOwned>(&mut self, request: &Request, part: Option<&str>) -> Result<T, SocketError> {
        let mut line = serde_json::to_string(request).map_err(|e| self.lost(e.to_string()))?;
        line.push('\n');
        // Where it was closed at once, what was said before tells more than that writing failed.
        let sent = self.stream.get_mut().write_all(line.as_bytes());
        let mut line = Vec::new();
        let read = self.stream.by_ref().take(LONGEST).read_until(b'\n', &mut line);
        match (read, sent) {
            (Ok(_), _) if line.last() == Some(&b'\n') => {}
            (Err(e), _) | (Ok(_), Err(e)) => return Err(self.lost(e.to_string())),
            (Ok(_), Ok(())) => return Err(self.lost("the gateway closed it without an answer")),
        }
        let nonsense = "what came back is no answer of a gateway";
        let mut said: Value = serde_json::from_slice(&line).map_err(|_| self.lost(nonsense))?;
        if said["ok"] != true {
            let complaint = serde_json::from_value(said["error"].take()).map_err(|_| self.lost(nonsense))?;
            return Err(SocketError::Refused { complaint });
        }
        let said = if let Some(part) = part { said[part].take() } else { said };
        serde_json::from_value(said).map_err(|_| self.lost(nonsense))
    }
}

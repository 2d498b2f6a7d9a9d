//! An answer that arrives bit by bit.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::client::{BODY_LIMIT, lost};
use crate::error::{LostWhy, SendError};
use crate::message::Answer;

/// An answer whose head has arrived. Dropping it closes the connection, which is how a request is given up.
pub struct Incoming {
    pub(crate) place: String,
    /// The status code.
    pub status: u16,
    /// Names in lower case; bytes that are not UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
    pub(crate) body: reqwest::Response,
    pub(crate) idle: Duration,
}

impl Incoming {
    /// The first header of this name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own == name)?;
        Some(&found.1)
    }

    /// The next bytes, as they come; `None` at the end. There is no limit on their number or on the time that all of
    /// them take, only on the time without any.
    ///
    /// # Errors
    /// Where the connection breaks, or nothing arrives within the idle time.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, SendError> {
        match tokio::time::timeout(self.idle, self.body.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(error)) => Err(lost(&self.place, Some(self.status), error.is_timeout(), &error)),
            Err(_) => Err(SendError::Lost {
                status: Some(self.status),
                why: LostWhy::Timeout,
                detail: format!("{}: nothing came for {} s", self.place, self.idle.as_secs()),
            }),
        }
    }

    /// The whole answer, where it turns out to be a small one, such as an error.
    ///
    /// # Errors
    /// As [`Incoming::chunk`], and where it is longer than [`BODY_LIMIT`].
    pub async fn whole(mut self) -> Result<Answer, SendError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > BODY_LIMIT {
                return Err(SendError::Lost {
                    status: Some(self.status),
                    why: LostWhy::TooLarge,
                    detail: format!("{}: the answer is longer than {BODY_LIMIT} bytes", self.place),
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status: self.status, headers: self.headers, body })
    }
}

/// The body may be anything, and a header may hold a cookie.
impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("status", &self.status).finish_non_exhaustive()
    }
}

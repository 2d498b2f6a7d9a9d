//! One request and its answer.

use std::fmt;

use coderclaw_types::Secret;
use url::Url;

/// What is asked for. Deliberately few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Sends a body.
    Post,
}

/// A header's value.
#[derive(Debug, Clone)]
pub enum HeaderText {
    /// May be shown.
    Plain(String),
    /// A token or a key: marked as sensitive all the way down.
    Secret(Secret),
}

/// The body of a request. It is text, and it is a secret as a whole.
#[derive(Debug, Clone)]
pub struct Body {
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// What is sent.
    pub bytes: Secret,
}

/// One small request.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to; `http` or `https`.
    pub url: Url,
    /// Headers besides `Host`, `User-Agent`, `Content-Type` and `Content-Length`.
    pub headers: Vec<(String, HeaderText)>,
    /// The body, if any.
    pub body: Option<Body>,
}

impl Request {
    /// A GET.
    pub fn get(url: Url) -> Self {
        Self { method: Method::Get, url, headers: Vec::new(), body: None }
    }

    /// A POST of `body`.
    pub fn post(url: Url, body: Body) -> Self {
        Self { method: Method::Post, url, headers: Vec::new(), body: Some(body) }
    }

    /// The request with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: HeaderText) -> Self {
        self.headers.push((name.to_owned(), value));
        self
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("host", &self.url.host_str())
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

/// A complete answer, whatever its status.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case; bytes that are not UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
    /// At most [`crate::BODY_LIMIT`] bytes.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of this name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own == name)?;
        Some(&found.1)
    }
}

/// The body is full of tokens, and a header may hold a cookie.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

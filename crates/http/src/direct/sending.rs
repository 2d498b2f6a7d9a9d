//! A request on its way out: its head, and its body as it comes.

use std::fmt::Write as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Method};
use http_body::Body;

use crate::direct::broken::Broken;
use crate::direct::connection::Stream;
use crate::relay::RelayBody;

/// Up to here parts of a body are joined to what goes before them, so that a short request is one packet.
const JOINED: usize = 16 * 1024;

pub(crate) struct Sending {
    method: Method,
    /// What is written next, and how far it is.
    out: Vec<u8>,
    at: usize,
    /// What is written after that as it is: too long to be copied.
    part: Bytes,
    body: Option<(RelayBody, Until)>,
    is_flushed: bool,
}

/// How the other side is told where the body ends.
enum Until {
    /// After so many bytes more.
    Length(u64),
    /// After the last chunk.
    Chunked,
}

impl Sending {
    /// `target` is path and query, `host` what goes into the header of that name.
    pub(crate) fn new(
        method: Method,
        target: &http::Uri,
        host: &str,
        headers: &HeaderMap,
        body: Option<RelayBody>,
    ) -> Self {
        let mut head = String::with_capacity(64);
        // Writing to memory cannot fail.
        let _always = write!(head, "{method} {target} HTTP/1.1\r\n{HOST}: {host}\r\n");
        let mut out = head.into_bytes();
        for (name, value) in headers {
            // Where it goes and where its body ends is said here, and once.
            if [HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name) {
                continue;
            }
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
        let body = body.filter(|body| !body.is_end_stream()).map(|body| {
            let until = body.size_hint().exact().map_or(Until::Chunked, Until::Length);
            (body, until)
        });
        let framing = match &body {
            Some((_, Until::Length(length))) => format!("{CONTENT_LENGTH}: {length}\r\n"),
            Some((_, Until::Chunked)) => format!("{TRANSFER_ENCODING}: chunked\r\n"),
            // RFC 9110, section 8.6: where a body could be, its absence is said.
            None if matches!(method, Method::POST | Method::PUT | Method::PATCH) => {
                format!("{CONTENT_LENGTH}: 0\r\n")
            }
            None => String::new(),
        };
        out.extend_from_slice(framing.as_bytes());
        out.extend_from_slice(b"\r\n");
        Self { method, out, at: 0, part: Bytes::new(), body, is_flushed: true }
    }

    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// Whether all of it is on its way.
    pub(crate) fn is_over(&self) -> bool {
        self.body.is_none() && self.at == self.out.len() && self.part.is_empty() && self.is_flushed
    }

    /// Writes what can be written; ready once that is everything.
    pub(crate) fn poll(
        &mut self,
        stream: &mut dyn Stream,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            self.gather(context)?;
            let (next, is_part) = match &self.out[self.at..] {
                [] => (&self.part[..], true),
                out => (out, false),
            };
            if next.is_empty() {
                if !self.is_flushed {
                    ready!(Pin::new(&mut *stream).poll_flush(context))?;
                    self.is_flushed = true;
                }
                if self.body.is_some() {
                    return Poll::Pending;
                }
                // An answer may take long, and needs none of it.
                self.out = Vec::new();
                return Poll::Ready(Ok(()));
            }
            let written = ready!(Pin::new(&mut *stream).poll_write(context, next))?;
            if written == 0 {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
            }
            self.is_flushed = false;
            if is_part {
                self.part = self.part.slice(written..);
            } else {
                self.at += written;
            }
        }
    }

    /// Takes of the body what is there, as long as there is room.
    fn gather(&mut self, context: &mut Context<'_>) -> Result<(), Broken> {
        if self.at == self.out.len() {
            self.out.clear();
            self.at = 0;
        }
        while self.part.is_empty() && self.out.len() < JOINED {
            let Some((body, _)) = &mut self.body else { break };
            match body.as_mut().poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers speak of the connection that they came over.
                    if let Ok(part) = frame.into_data() {
                        self.add(part)?;
                    }
                }
                Poll::Ready(Some(Err(e))) => return Err(Broken::Body(e)),
                Poll::Ready(None) => self.end()?,
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    fn add(&mut self, part: Bytes) -> Result<(), Broken> {
        match &mut self.body {
            // An empty chunk would end the body.
            Some(_) if part.is_empty() => {}
            Some((_, Until::Length(left))) => {
                *left = left.checked_sub(part.len() as u64).ok_or_else(|| said_otherwise("longer"))?;
                if *left == 0 {
                    self.body = None;
                }
                if self.out.len() + part.len() <= JOINED {
                    self.out.extend_from_slice(&part);
                } else {
                    self.part = part;
                }
            }
            Some((_, Until::Chunked)) => {
                self.out.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                self.out.extend_from_slice(&part);
                self.out.extend_from_slice(b"\r\n");
            }
            None => {}
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Broken> {
        match self.body.take() {
            Some((_, Until::Length(1..))) => return Err(said_otherwise("shorter")),
            Some((_, Until::Chunked)) => self.out.extend_from_slice(b"0\r\n\r\n"),
            Some((_, Until::Length(0))) | None => {}
        }
        Ok(())
    }
}

fn said_otherwise(how: &str) -> Broken {
    Broken::Body(io::Error::other(format!("it is {how} than it said")))
}

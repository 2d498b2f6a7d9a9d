//! Failures in the middle of a stream: the answer began well, and an event says that it ends badly. The stream goes on to
//! the client as it comes; what the event says of the login is told to `Auth`.
//!
//! Only the beginnings of lines are looked at. Events are not taken apart, and nothing is held.

use std::fmt;

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

/// What a line is told by.
const HEAD: usize = 96;
/// Of a longer failure the beginning has to do; no service writes one.
const LONGEST: usize = 64 * 1024;

/// What is done with a failure that was found. Called at most once.
type Found = Box<dyn FnOnce(Vec<u8>) + Send + Sync>;

/// Watches one stream.
pub(crate) struct Watch {
    line: Vec<u8>,
    /// Whether the event is a failure, as far as is known.
    is_failure: bool,
    data: Vec<u8>,
    found: Option<Found>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

/// Whether an answer with this head is a stream of events that can be read as it passes.
pub(crate) fn is_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_plain = headers.get(CONTENT_ENCODING).is_none_or(|how| how.as_bytes() == b"identity");
    is_plain && kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream")
}

impl Watch {
    pub(crate) fn new(found: impl FnOnce(Vec<u8>) + Send + Sync + 'static) -> Self {
        Self {
            line: Vec::with_capacity(HEAD),
            is_failure: false,
            data: Vec::new(),
            found: Some(Box::new(found)),
        }
    }

    /// The next bytes of the stream.
    pub(crate) fn see(&mut self, mut bytes: &[u8]) {
        while self.found.is_some() && !bytes.is_empty() {
            let end = memchr::memchr(b'\n', bytes);
            let (part, rest) = match end {
                Some(end) => (&bytes[..end], &bytes[end + 1..]),
                None => (bytes, &[][..]),
            };
            self.add(part);
            bytes = rest;
            if end.is_some() {
                self.end_of_line();
            }
        }
    }

    fn add(&mut self, part: &[u8]) {
        let head = HEAD.saturating_sub(self.line.len()).min(part.len());
        self.line.extend_from_slice(&part[..head]);
        if self.line.len() < HEAD {
            return;
        }
        self.is_failure |= tells_failure(&self.line);
        if self.is_failure {
            let more = LONGEST.saturating_sub(self.line.len()).min(part.len() - head);
            self.line.extend_from_slice(&part[head..head + more]);
        }
    }

    fn end_of_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line_end = line.strip_suffix(b"\r").unwrap_or(&line);
        if line_end.is_empty() {
            if self.is_failure
                && !self.data.is_empty()
                && let Some(found) = self.found.take()
            {
                found(std::mem::take(&mut self.data));
            }
            self.is_failure = false;
            self.data.clear();
        } else {
            self.is_failure |= tells_failure(line_end);
            if let Some(data) = line_end.strip_prefix(b"data:").filter(|_| self.is_failure) {
                let room = LONGEST.saturating_sub(self.data.len()).min(data.len());
                self.data.extend_from_slice(&data[..room]);
            }
        }
        self.line = line;
        self.line.clear();
    }
}

/// Whether a line with this beginning is part of a failure: the name of the event, or the first key of its object.
fn tells_failure(line: &[u8]) -> bool {
    let is_name = |name: &[u8]| matches!(name, b"error" | b"response.failed");
    if let Some(name) = line.strip_prefix(b"event:") {
        return is_name(name.trim_ascii());
    }
    let Some(object) =
        line.strip_prefix(b"data:").and_then(|data| data.trim_ascii_start().strip_prefix(b"{"))
    else {
        return false;
    };
    let Some((key, rest)) = text(object) else { return false };
    let Some(value) = rest.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start) else {
        return false;
    };
    match key {
        b"error" => !value.starts_with(b"null"),
        b"type" => text(value).is_some_and(|(name, _)| is_name(name)),
        _ => false,
    }
}

/// A JSON string without escapes at the beginning, and what follows.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let bytes = bytes.trim_ascii_start().strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', bytes)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;

    use super::*;

    fn found(chunks: &[&[u8]]) -> Vec<String> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&seen);
        let mut watch = Watch::new(move |data| to.lock().unwrap().push(String::from_utf8(data).unwrap()));
        chunks.iter().for_each(|chunk| watch.see(chunk));
        seen.lock().unwrap().clone()
    }

    /// Each dialect's way of saying it, and what only looks like it.
    #[test]
    fn failures_are_told_from_text() {
        let table = [
            ("event: error\ndata: {\"type\":\"error\",\"error\":{}}\n\n", true),
            ("event:error\r\ndata:{\"error\":1}\r\n\r\n", true),
            ("event: response.failed\ndata: {\"response\":{}}\n\n", true),
            ("data: {\"type\":\"response.failed\",\"response\":{}}\n\n", true),
            ("data: { \"type\" : \"error\" }\n\n", true),
            ("data: {\"error\":{\"message\":\"x\"}}\n\n", true),
            ("data: {\"error\":null,\"x\":1}\n\n", false),
            (
                "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"text\":\"event: error\"}\n\n",
                false,
            ),
            ("data: {\"type\":\"response.completed\",\"response\":{\"error\":null}}\n\n", false),
            ("data: {\"text\":\"x\",\"error\":{}}\n\n", false),
            ("event: errors\ndata: {}\n\n", false),
            (": event: error\n\n", false),
            ("event: error\n\n", false),
            ("event: error\ndata: {\"half\":", false),
            ("data: [DONE]\n\ndata: \"error\"\n\n", false),
        ];
        for (text, expected) in table {
            assert_eq!(found(&[text.as_bytes()]).len(), usize::from(expected), "{text}");
        }
    }

    /// A long one is kept up to a limit, one of many lines as a whole, and only the first counts.
    #[test]
    fn what_is_kept_is_bounded() {
        let long = format!("data: {{\"error\":{{\"message\":\"{}\"}}}}\n\n", "x".repeat(200_000));
        let kept = found(&[long.as_bytes()]);
        assert_eq!(kept[0].len(), LONGEST - "data:".len());
        let two = "event: error\ndata: {\ndata: \"a\":1}\n\nevent: error\ndata: {}\n\n";
        assert_eq!(found(&[two.as_bytes()]), [" { \"a\":1}"]);
    }

    proptest! {
        /// However the stream is cut, the same is found; noise ends nothing.
        #[test]
        fn cuts_change_nothing(cut in proptest::collection::vec(1usize..9, 1..40), noise in ".{0,150}") {
            let noise = noise.replace(['\n', '\r'], " ");
            let text = format!(": {noise}\ndata: {{\"x\":\"{noise}\"}}\n\nevent: error\ndata: {{\"type\":\"error\",\"n\":\"{noise}\"}}\n\ndata: [DONE]\n\n");
            let mut chunks = Vec::new();
            let (mut rest, mut at) = (text.as_bytes(), cut.iter().cycle());
            while !rest.is_empty() {
                let (part, more) = rest.split_at((*at.next().unwrap()).min(rest.len()));
                chunks.push(part);
                rest = more;
            }
            let whole = found(&[text.as_bytes()]);
            prop_assert_eq!(&whole, &[format!(" {{\"type\":\"error\",\"n\":\"{noise}\"}}")]);
            prop_assert_eq!(found(&chunks), whole);
        }
    }
}

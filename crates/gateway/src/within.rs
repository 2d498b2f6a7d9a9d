//! Failures in the middle of a stream: the answer began well, and an event says that it ends badly. The stream goes on to
//! the client as it comes; what the event says of the login is told to `Auth`.
//!
//! Only the beginnings of lines are looked at. Events are not taken apart, and nothing is held. What is packed is unpacked
//! beside the stream, as far as that costs little.

use std::fmt;
use std::sync::{Arc, mpsc};

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::unpack::Unpacker;

/// What a line is told by.
const HEAD: usize = 96;
/// Of a longer failure the beginning has to do; no service writes one.
const LONGEST: usize = 64 * 1024;
/// A packed stream may swell to so many bytes for each that comes. Events that are flushed one by one swell to some twenty,
/// and to some hundred where many are packed in one go. What swells further is a bomb: to judge it would keep a thread busy
/// that others wait for.
const SWELL: usize = 128;
/// And to so many beyond that, until they are used up: events may also say the same again and again. That is read in
/// milliseconds.
const AHEAD: usize = 1024 * 1024;

/// What reads a stream.
pub(crate) struct Reader {
    unpacker: Unpacker,
    /// Its seat among those that unpack.
    _seat: Option<OwnedSemaphorePermit>,
}

/// What is done with a failure that was found. Called at most once.
type Found = Box<dyn FnOnce(Vec<u8>) + Send + Sync>;

/// Watches one stream.
pub(crate) struct Watch {
    reader: Reader,
    /// How much more it may swell to.
    room: usize,
    lines: Lines,
}

/// What the stream says, line by line.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
    /// Whether the event is a failure, as far as is known.
    is_failure: bool,
    data: Vec<u8>,
    /// Gone when it was called.
    found: Option<Found>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

/// What reads an answer with this head, if it is a stream of events that can be read as it passes, and if there is a seat
/// for one that is packed.
pub(crate) fn reader(headers: &HeaderMap, seats: &Arc<Semaphore>) -> Option<Reader> {
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let is_stream = kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream");
    let unpacker = Unpacker::of(headers).filter(|_| is_stream)?;
    let seat = match unpacker {
        Unpacker::Plain => None,
        Unpacker::Packed(_) => Some(Arc::clone(seats).try_acquire_owned().ok()?),
    };
    Some(Reader { unpacker, _seat: seat })
}

impl Watch {
    pub(crate) fn new(reader: Reader, found: impl FnOnce(Vec<u8>) + Send + Sync + 'static) -> Self {
        let lines =
            Lines { line: Vec::with_capacity(HEAD), found: Some(Box::new(found)), ..Lines::default() };
        Self { reader, room: AHEAD, lines }
    }

    /// The next bytes of the stream. Whether it is worth to see more: until a failure is found, or it cannot be read.
    pub(crate) fn see(&mut self, bytes: &[u8]) -> bool {
        let Self { reader: Reader { unpacker, .. }, room, lines } = self;
        *room = (*room).min(AHEAD) + SWELL * bytes.len();
        unpacker.push(bytes, |plain| {
            lines.read(plain);
            *room = room.saturating_sub(plain.len());
            *room > 0 && lines.found.is_some()
        })
    }
}

/// What a stream with this head, in these parts, says of a failure in its middle: pure, so that it can be tried with whatever
/// a provider may send.
pub fn failure_within<'a>(head: &HeaderMap, parts: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let (tell, told) = mpsc::channel();
    let mut watch = Watch::new(reader(head, &Arc::new(Semaphore::new(1)))?, move |data| {
        let _told = tell.send(data);
    });
    let _goes_on = parts.into_iter().all(|part| watch.see(part));
    told.try_recv().ok()
}

impl Lines {
    /// The next bytes, as they were before they were packed.
    fn read(&mut self, mut bytes: &[u8]) {
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
    use std::io::Write;

    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::unpack::tests::{STREAMS, head};

    fn found_in(encoding: &str, parts: &[&[u8]]) -> Option<String> {
        let mut head = head(encoding);
        head.insert(CONTENT_TYPE, HeaderValue::from_static("Text/Event-Stream; charset=utf-8"));
        let data = failure_within(&head, parts.iter().copied())?;
        Some(String::from_utf8(data).unwrap())
    }

    fn found(parts: &[&[u8]]) -> Option<String> {
        found_in("identity", parts)
    }

    fn cut<'a>(mut bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
        let (mut parts, mut sizes) = (Vec::new(), sizes.iter().cycle());
        while !bytes.is_empty() {
            let (part, rest) = bytes.split_at((*sizes.next().unwrap()).min(bytes.len()));
            parts.push(part);
            bytes = rest;
        }
        parts
    }

    /// What flate2 makes of it, with a flush behind each part.
    fn gzip(parts: &[&[u8]]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        for part in parts {
            encoder.write_all(part).unwrap();
            encoder.flush().unwrap();
        }
        encoder.finish().unwrap()
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
            assert_eq!(found(&[text.as_bytes()]).is_some(), expected, "{text}");
        }
    }

    /// A long one is kept up to a limit, one of many lines as a whole, and only the first counts.
    #[test]
    fn what_is_kept_is_bounded() {
        let long = format!("data: {{\"error\":{{\"message\":\"{}\"}}}}\n\n", "x".repeat(200_000));
        assert_eq!(found(&[long.as_bytes()]).unwrap().len(), LONGEST - "data:".len());
        let two = "event: error\ndata: {\ndata: \"a\":1}\n\nevent: error\ndata: {}\n\n";
        assert_eq!(found(&[two.as_bytes()]).unwrap(), " { \"a\":1}");
    }

    /// Only a stream of events is read, in whatever it is packed.
    #[test]
    fn what_is_read_is_told_from_the_head() {
        let table = [
            ("text/event-stream", "", true),
            (" Text/Event-Stream;charset=utf-8", "identity", true),
            ("text/event-stream", "GZIP", true),
            ("text/event-stream", "gzip, br", false),
            ("text/event-stream", "compress", false),
            ("application/json", "gzip", false),
        ];
        let seats = Arc::new(Semaphore::new(1));
        for (kind, encoding, is_read) in table {
            let mut head = head(encoding);
            head.insert(CONTENT_TYPE, HeaderValue::from_str(kind).unwrap());
            assert_eq!(reader(&head, &seats).is_some(), is_read, "{kind} {encoding}");
        }
        assert!(reader(&HeaderMap::new(), &seats).is_none());
    }

    /// A failure is known as soon as its event has come, however it is packed; and by the same words.
    #[test]
    fn a_packed_failure_is_known_at_once() {
        for (encoding, packed, failure_ends) in STREAMS {
            let told = found_in(encoding, &[&packed[..*failure_ends]]).unwrap_or_default();
            assert!(
                told.starts_with(" {\"type\":\"error\"") && told.ends_with("600}}"),
                "{encoding}: {told}"
            );
            assert_eq!(found_in(encoding, &[packed]).unwrap(), told, "{encoding}");
            assert!(found_in(encoding, &[&packed[..*failure_ends - 40]]).is_none(), "{encoding}");
        }
        let [(_, plain, _), (_, gzip, _), ..] = STREAMS else { panic!("two of them") };
        assert!(found_in("gzip", &[plain]).is_none(), "the label is wrong");
        assert!(found_in("identity", &[gzip]).is_none(), "and here");
    }

    /// A bomb ends the watch, not the stream; what only repeats itself does not.
    #[test]
    fn a_bomb_is_not_judged() {
        let failure = b"\n\nevent: error\ndata: {}\n\n";
        let (small, large) = (vec![b'x'; AHEAD / 2], vec![b'x'; 40 * AHEAD]);
        assert!(found_in("gzip", &[&gzip(&[&small, failure])]).is_some());
        assert!(found_in("gzip", &[&gzip(&[&large, failure])]).is_none());
        let events: Vec<String> = (0..20_000)
            .map(|n| {
                let start = "data: {\"id\":\"chatcmpl-canary\",\"object\":\"chat.completion.chunk\",\"model\":\"m\",\"choices\":[";
                format!("{start}{{\"index\":0,\"delta\":{{\"content\":\" {n}\"}},\"finish_reason\":null}}]}}\n\n")
            })
            .collect();
        let all = events.concat();
        let flushed = events.iter().map(String::as_bytes).chain([&failure[..]]).collect();
        for (parts, swell) in [(flushed, 6), (vec![all.as_bytes(), failure], 40)] {
            let packed = gzip(&parts);
            assert!(
                all.len() > 2 * AHEAD && packed.len() * swell < all.len(),
                "{}",
                all.len() / packed.len()
            );
            assert!(found_in("gzip", &cut(&packed, &[1400])).is_some());
        }
    }

    proptest! {
        /// However the stream is packed and cut, the same is found; noise in its events ends nothing.
        #[test]
        fn cuts_change_nothing(sizes in proptest::collection::vec(1usize..9, 1..40), noise in ".{0,150}") {
            let noise = noise.replace(['\n', '\r'], " ");
            let text = format!(": {noise}\ndata: {{\"x\":\"{noise}\"}}\n\nevent: error\ndata: {{\"type\":\"error\",\"n\":\"{noise}\"}}\n\ndata: [DONE]\n\n");
            let expected = Some(format!(" {{\"type\":\"error\",\"n\":\"{noise}\"}}"));
            prop_assert_eq!(&found(&[text.as_bytes()]), &expected);
            prop_assert_eq!(&found(&cut(text.as_bytes(), &sizes)), &expected);
            let packed = gzip(&cut(text.as_bytes(), &[60]));
            prop_assert_eq!(&found_in("gzip", &cut(&packed, &sizes)), &expected);
        }

        /// What other programs have packed too.
        #[test]
        fn cuts_of_packed_streams_change_nothing(one in 0..STREAMS.len(), sizes in proptest::collection::vec(1usize..99, 1..40)) {
            let (encoding, packed, _) = STREAMS[one];
            prop_assert_eq!(found_in(encoding, &cut(packed, &sizes)), found_in(encoding, &[packed]));
        }
    }
}

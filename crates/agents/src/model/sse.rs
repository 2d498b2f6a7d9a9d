//! Server-sent events, as they come off the wire (WHATWG HTML, section 9.2).
//!
//! Incremental and bounded: bytes may be cut anywhere, and no server can make us hold more than the limits.

/// The longest line and the longest event. The last event of a Responses stream repeats the whole answer.
pub const LIMIT: usize = 8 * 1024 * 1024;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// Its `event` field; empty where it has none.
    pub name: String,
    /// Its `data` lines, joined by line feeds.
    pub data: String,
}

/// A line or an event is longer than [`LIMIT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {LIMIT} bytes")]
pub struct TooLong;

/// Takes bytes and gives events.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    name: String,
    data: String,
    /// The event has a `data` field, if only an empty one.
    has_data: bool,
    /// A carriage return has ended the line; a line feed after it belongs to it.
    after_cr: bool,
    /// The first line has been read, so that no byte order mark can come any more.
    begun: bool,
}

impl Parser {
    /// The events that end within `bytes`, appended to `events`.
    ///
    /// # Errors
    /// [`TooLong`]; the parser is of no use afterwards.
    pub fn push(&mut self, bytes: &[u8], events: &mut Vec<SseEvent>) -> Result<(), TooLong> {
        // A part with nothing in it stands between no carriage return and its line feed.
        if bytes.is_empty() {
            return Ok(());
        }
        let mut rest = bytes;
        if std::mem::take(&mut self.after_cr) {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            self.grow(&rest[..end])?;
            self.end_line(events)?;
            let was_cr = rest[end] == b'\r';
            rest = &rest[end + 1..];
            if was_cr && rest.is_empty() {
                self.after_cr = true;
            } else if was_cr {
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
        }
        self.grow(rest)
    }

    fn grow(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.line.len() + bytes.len() > LIMIT {
            return Err(TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self, events: &mut Vec<SseEvent>) -> Result<(), TooLong> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let first = !std::mem::replace(&mut self.begun, true);
        let line = if first { line.strip_prefix('\u{feff}').unwrap_or(&line) } else { &line };
        if line.is_empty() {
            self.end_event(events);
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if self.data.len() + value.len() >= LIMIT {
                    return Err(TooLong);
                }
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // A comment has an empty field name; ids and reconnection times are of no use here.
            _ => {}
        }
        Ok(())
    }

    fn end_event(&mut self, events: &mut Vec<SseEvent>) {
        let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        if std::mem::take(&mut self.has_data) {
            events.push(SseEvent { name, data });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(parts: &[&[u8]]) -> Vec<SseEvent> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for part in parts {
            parser.push(part, &mut events).unwrap();
        }
        events
    }

    fn told(text: &str) -> Vec<(String, String)> {
        all(&[text.as_bytes()]).into_iter().map(|e| (e.name, e.data)).collect()
    }

    #[test]
    fn lines_and_fields() {
        let one = |name: &str, data: &str| vec![(name.to_owned(), data.to_owned())];
        for (text, expected) in [
            ("data: a\n\n", one("", "a")),
            ("data:a\r\n\r\n", one("", "a")),
            ("data:  a\r\r", one("", " a")),
            ("event: x\ndata: a\ndata: b\n\n", one("x", "a\nb")),
            ("\u{feff}data: a\n\n", one("", "a")),
            (": a comment\n\ndata: a\n\n", one("", "a")),
            ("id: 7\nretry: 5\nother\ndata\n\n", one("", "")),
            ("data: caf\u{e9}\n\n", one("", "caf\u{e9}")),
            ("data: a: b\n\n", one("", "a: b")),
            // An event without data is none, and its name is not left to the next.
            ("event: x\n\ndata: a\n\n", one("", "a")),
            // What the end of the stream cuts off is none either.
            ("data: a\n", vec![]),
            ("data: a", vec![]),
            ("\n\n\r\n", vec![]),
        ] {
            assert_eq!(told(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_does_not_end_is_refused() {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        let mebibyte = vec![b'x'; 1024 * 1024];
        let whole = (0..=LIMIT / mebibyte.len()).try_for_each(|_| parser.push(&mebibyte, &mut events));
        assert_eq!(whole, Err(TooLong));
        let mut parser = Parser::default();
        let line = [b"data: ".as_slice(), &mebibyte, b"\n"].concat();
        let whole = (0..=LIMIT / mebibyte.len()).try_for_each(|_| parser.push(&line, &mut events));
        assert_eq!((whole, events.len()), (Err(TooLong), 0));
    }

    /// A network may bring a part with nothing in it, also between a carriage return and its line feed.
    #[test]
    fn an_empty_part_is_none() {
        let whole = all(&[b"event: x\r\ndata: a\r\n\r\n"]);
        assert_eq!(all(&[b"event: x\r", b"", b"\ndata: a\r", b"", b"", b"\n\r", b"", b"\n"]), whole);
        assert_eq!((whole[0].name.as_str(), whole.len()), ("x", 1));
    }

    proptest! {
        /// Wherever the bytes are cut, the events are the same.
        #[test]
        fn cuts_make_no_difference(
            text in "(data: |event: |: |data|[a\u{e9}:]|\r\n|\n|\r|\n\n){0,40}",
            cuts in proptest::collection::vec(0usize..200, 0..8),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut parts = Vec::new();
            let mut from = 0;
            for at in cuts {
                parts.push(&bytes[from..at]);
                from = at;
            }
            parts.push(&bytes[from..]);
            prop_assert_eq!(all(&parts), all(&[bytes]));
        }

        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            all(&[&bytes]);
        }
    }
}

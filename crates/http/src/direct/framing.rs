//! Where the body of an answer ends: RFC 9112, sections 6.3 and 7.1.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode, Version};
use httparse::Status;

use crate::direct::broken::NotHttp;

/// The longest line with the size of a chunk, and the longest trailers. Nobody is known to send either longer than a hundred
/// bytes.
const LINE_LIMIT: usize = 16 * 1024;
/// The most trailers.
const TRAILERS: usize = 64;

/// How much of a body is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks, of which one says that it is the last.
    Chunked(Chunk),
    /// Everything until the other side closes.
    UntilClose,
    /// Nothing.
    Over,
}

/// What comes next in a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chunk {
    Size,
    Data(u64),
    DataEnd,
    Trailers,
}

impl Framing {
    /// What the head of an answer says of its body, and whether it says it so clearly that another answer may follow.
    pub(crate) fn of(
        asked: &Method,
        version: Version,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<(Self, bool), NotHttp> {
        let is_bare = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if is_bare || asked == Method::HEAD {
            return Ok((Self::Over, true));
        }
        if headers.contains_key(TRANSFER_ENCODING) {
            if version != Version::HTTP_11 {
                return Err(NotHttp::Framing);
            }
            let framing =
                if is_chunked_last(headers) { Self::Chunked(Chunk::Size) } else { Self::UntilClose };
            return Ok((framing, !headers.contains_key(CONTENT_LENGTH)));
        }
        match length(headers)? {
            Some(0) => Ok((Self::Over, true)),
            Some(length) => Ok((Self::Length(length), true)),
            None => Ok((Self::UntilClose, false)),
        }
    }

    pub(crate) fn is_over(self) -> bool {
        self == Self::Over
    }

    /// Takes the body out of `bytes`, as far as it is told from what comes around it. Returns it and how many bytes have been
    /// used; the rest is needed again, together with what follows.
    pub(crate) fn decode(&mut self, bytes: &[u8]) -> Result<(Bytes, usize), NotHttp> {
        match self {
            Self::Length(left) => {
                let taken = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= taken as u64;
                if *left == 0 {
                    *self = Self::Over;
                }
                Ok((Bytes::copy_from_slice(&bytes[..taken]), taken))
            }
            Self::UntilClose => Ok((Bytes::copy_from_slice(bytes), bytes.len())),
            Self::Over => Ok((Bytes::new(), 0)),
            Self::Chunked(_) => self.decode_chunks(bytes),
        }
    }

    fn decode_chunks(&mut self, bytes: &[u8]) -> Result<(Bytes, usize), NotHttp> {
        let mut data = BytesMut::with_capacity(bytes.len());
        let mut used = 0;
        while let Self::Chunked(chunk) = *self {
            let rest = &bytes[used..];
            let (taken, next) = match chunk.step(rest) {
                Ok(Some(step)) => step,
                Ok(None) => break,
                // What came before is passed on first; the failure is met again.
                Err(_) if !data.is_empty() => break,
                Err(e) => return Err(e),
            };
            if let Chunk::Data(_) = chunk {
                data.extend_from_slice(&rest[..taken]);
            }
            used += taken;
            *self = next.map_or(Self::Over, Self::Chunked);
        }
        Ok((data.freeze(), used))
    }
}

impl Chunk {
    /// How many bytes the next piece has, and what follows it, if anything. `None` where it has not come.
    fn step(self, bytes: &[u8]) -> Result<Option<(usize, Option<Self>)>, NotHttp> {
        Ok(match self {
            Self::Size => size(bytes)?
                .map(|(line, size)| (line, Some(if size == 0 { Self::Trailers } else { Self::Data(size) }))),
            Self::Data(_) if bytes.is_empty() => None,
            Self::Data(left) => {
                let taken = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                let left = left - taken as u64;
                Some((taken, Some(if left == 0 { Self::DataEnd } else { Self::Data(left) })))
            }
            Self::DataEnd => match bytes {
                [b'\r', b'\n', ..] => Some((2, Some(Self::Size))),
                [] | [b'\r'] => None,
                _ => return Err(NotHttp::Chunk),
            },
            Self::Trailers => trailers(bytes)?.map(|length| (length, None)),
        })
    }
}

/// The size of a chunk and how long its line is, once that has come whole.
fn size(bytes: &[u8]) -> Result<Option<(usize, u64)>, NotHttp> {
    // The parser takes a line without any digit for a zero, which would end the body.
    if bytes.first().is_some_and(|first| !first.is_ascii_hexdigit()) {
        return Err(NotHttp::Chunk);
    }
    match httparse::parse_chunk_size(bytes) {
        // Nor does it mind half a line end in an extension.
        Ok(Status::Complete((line, _))) if bytes[..line - 1].contains(&b'\n') => Err(NotHttp::Chunk),
        Ok(Status::Complete(found)) => Ok(Some(found)),
        Ok(Status::Partial) if bytes.len() <= LINE_LIMIT => Ok(None),
        Ok(Status::Partial) | Err(_) => Err(NotHttp::Chunk),
    }
}

/// How long the trailers are, once they have come whole. They speak of this connection, so nothing of them is kept.
fn trailers(bytes: &[u8]) -> Result<Option<usize>, NotHttp> {
    let mut fields = [httparse::EMPTY_HEADER; TRAILERS];
    match httparse::parse_headers(bytes, &mut fields) {
        Ok(Status::Complete((length, _))) => Ok(Some(length)),
        Ok(Status::Partial) if bytes.len() <= LINE_LIMIT => Ok(None),
        Ok(Status::Partial) | Err(_) => Err(NotHttp::Chunk),
    }
}

fn is_chunked_last(headers: &HeaderMap) -> bool {
    let last = headers.get_all(TRANSFER_ENCODING).iter().next_back();
    let last = last.and_then(|codings| codings.as_bytes().rsplit(|byte| *byte == b',').next());
    last.is_some_and(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

/// The length that is said, however often it is said; an error where that is no length, or are several.
fn length(headers: &HeaderMap) -> Result<Option<u64>, NotHttp> {
    let mut found = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for one in value.as_bytes().split(|byte| *byte == b',') {
            let digits = one.trim_ascii();
            // `parse` would take a sign too.
            let is_number = digits.iter().all(u8::is_ascii_digit);
            let length =
                std::str::from_utf8(digits).ok().filter(|_| is_number).and_then(|text| text.parse().ok());
            let length = length.ok_or(NotHttp::Framing)?;
            if found.replace(length).is_some_and(|before| before != length) {
                return Err(NotHttp::Framing);
            }
        }
    }
    Ok(found)
}

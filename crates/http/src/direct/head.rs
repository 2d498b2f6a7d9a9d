//! The head of an answer.

use http::header::CONNECTION;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use httparse::Status;

use crate::direct::broken::NotHttp;
use crate::direct::framing::Framing;

/// The longest head. Servers in the field stay under 16 KiB.
const LIMIT: usize = 64 * 1024;
/// The most headers.
const HEADERS: usize = 100;

/// What a head says.
pub(crate) struct Head {
    /// Status and headers, and where the body ends.
    pub(crate) answer: Response<Framing>,
    /// Whether another request may follow over the same connection.
    pub(crate) is_kept: bool,
}

/// Reads the head of the answer to a request of the method `asked`, once it has come whole. Interim ones (1xx) are passed
/// over. Says also how many bytes have been used; the rest is needed again.
pub(crate) fn read(bytes: &[u8], asked: &Method) -> Result<(Option<Head>, usize), NotHttp> {
    let mut used = 0;
    loop {
        let mut fields = [httparse::EMPTY_HEADER; HEADERS];
        let mut head = httparse::Response::new(&mut fields);
        let Status::Complete(length) = head.parse(&bytes[used..])? else {
            let is_endless = bytes.len() - used > LIMIT;
            return if is_endless { Err(NotHttp::LongHead) } else { Ok((None, used)) };
        };
        used += length;
        let status = head.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(NotHttp::Field)?;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(NotHttp::Switched);
        }
        if !status.is_informational() {
            let version = if head.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
            return Ok((Some(of(asked, version, status, head.headers)?), used));
        }
    }
}

fn of(
    asked: &Method,
    version: Version,
    status: StatusCode,
    fields: &[httparse::Header<'_>],
) -> Result<Head, NotHttp> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| NotHttp::Field)?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| NotHttp::Field)?;
        headers.append(name, value);
    }
    let (framing, is_clear) = Framing::of(asked, version, status, &headers)?;
    let is_kept = is_clear
        && !says(&headers, b"close")
        && (version == Version::HTTP_11 || says(&headers, b"keep-alive"));
    let mut answer = Response::new(framing);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    Ok(Head { answer, is_kept })
}

/// Whether `Connection` has this word.
fn says(headers: &HeaderMap, word: &[u8]) -> bool {
    let values = headers.get_all(CONNECTION).iter();
    let mut words = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    words.any(|own| own.trim_ascii().eq_ignore_ascii_case(word))
}

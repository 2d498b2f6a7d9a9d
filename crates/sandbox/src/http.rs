//! One request in, one answer out, as bytes.

use std::collections::BTreeMap;
use std::io::{self, Read};

use coderclaw_types::Millis;
use serde_json::Value;

use crate::dates::http_date;
use crate::faults::{Body, Reply, RetryAfter};

const HEAD_LIMIT: usize = 64 * 1024;
/// Programs send long prompts.
const BODY_LIMIT: usize = 16 * 1024 * 1024;

/// The parameters of a query or a body. Each name at most once (RFC 6749 section 3.1).
pub(crate) type Params = BTreeMap<String, String>;

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    query: String,
    content_type: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl Request {
    /// Reads one request; `None` where the client leaves before sending any.
    pub(crate) fn read(mut from: impl Read) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut head = httparse::Request::new(&mut headers);
            match head.parse(&bytes) {
                Ok(httparse::Status::Complete(length)) => {
                    let mut request = Self::from_head(&head);
                    let wanted = content_length(&head)?;
                    request.body = bytes.split_off(length);
                    while request.body.len() < wanted {
                        let n = from.read(&mut chunk)?;
                        if n == 0 {
                            return Err(io::ErrorKind::UnexpectedEof.into());
                        }
                        request.body.extend_from_slice(&chunk[..n]);
                    }
                    request.body.truncate(wanted);
                    return Ok(Some(request));
                }
                Ok(httparse::Status::Partial) if bytes.len() < HEAD_LIMIT => {}
                Ok(httparse::Status::Partial) => return Err(bad("head too long")),
                Err(_) => return Err(bad("not HTTP")),
            }
            match from.read(&mut chunk)? {
                0 if bytes.is_empty() => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => bytes.extend_from_slice(&chunk[..n]),
            }
        }
    }

    fn from_head(head: &httparse::Request<'_, '_>) -> Self {
        let target = head.path.unwrap_or("/");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            method: head.method.unwrap_or("").to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            content_type: header(head, "content-type").unwrap_or_default(),
            headers: head
                .headers
                .iter()
                .map(|h| (h.name.to_ascii_lowercase(), String::from_utf8_lossy(h.value).into_owned()))
                .collect(),
            body: Vec::new(),
        }
    }

    /// The parameters of the query.
    pub(crate) fn query(&self) -> Result<Params, &'static str> {
        form(self.query.as_bytes())
    }

    /// The parameters of the body: a form, or a JSON object of strings where the content type says JSON.
    pub(crate) fn params(&self) -> Result<Params, &'static str> {
        if !self.content_type.to_ascii_lowercase().contains("json") {
            return form(&self.body);
        }
        let object: serde_json::Map<String, Value> =
            serde_json::from_slice(&self.body).map_err(|_| "the body is not a JSON object")?;
        let text = |(key, value)| match value {
            Value::String(value) => Ok((key, value)),
            _ => Err("a parameter is not a string"),
        };
        object.into_iter().map(text).collect()
    }

    /// The first header of this name, which is given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The token of `Authorization: Bearer TOKEN`.
    pub(crate) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }
}

fn header(head: &httparse::Request<'_, '_>, name: &str) -> Option<String> {
    let found = head.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name))?;
    Some(String::from_utf8_lossy(found.value).into_owned())
}

fn content_length(head: &httparse::Request<'_, '_>) -> io::Result<usize> {
    if header(head, "transfer-encoding").is_some() {
        return Err(bad("a length is wanted"));
    }
    let length = header(head, "content-length").map_or(Ok(0), |text| text.trim().parse());
    match length {
        Ok(length) if length <= BODY_LIMIT => Ok(length),
        _ => Err(bad("body too long")),
    }
}

fn form(bytes: &[u8]) -> Result<Params, &'static str> {
    let mut params = Params::new();
    for (key, value) in url::form_urlencoded::parse(bytes) {
        if params.insert(key.into_owned(), value.into_owned()).is_some() {
            return Err("a parameter is repeated");
        }
    }
    Ok(params)
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Response {
    fn new(status: u16, content_type: &str, body: String) -> Self {
        let headers = vec![("Content-Type", content_type.to_owned())];
        Self { status, headers, body: body.into_bytes() }
    }

    pub(crate) fn json(status: u16, body: String) -> Self {
        let mut response = Self::new(status, "application/json", body);
        response.headers.push(("Cache-Control", "no-store".to_owned()));
        response
    }

    /// The head of a stream, which names the account.
    pub(crate) fn event_stream(account: &str) -> Self {
        let mut response = Self::empty(200);
        response.headers.push(("Content-Type", "text/event-stream".to_owned()));
        response.headers.push(("Cache-Control", "no-cache".to_owned()));
        response.headers.push(("X-Sandbox-Account", account.to_owned()));
        response
    }

    /// The same with one more header.
    pub(crate) fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// A page; `body` is HTML.
    pub(crate) fn page(status: u16, body: &str) -> Self {
        let page = format!("<!doctype html><meta charset=utf-8><title>Sandbox</title>\n{body}\n");
        Self::new(status, "text/html; charset=utf-8", page)
    }

    pub(crate) fn found(location: &str) -> Self {
        let mut response = Self::empty(302);
        response.headers.push(("Location", location.to_owned()));
        response
    }

    /// A canned answer, given at `now`.
    pub(crate) fn canned(reply: &Reply, now: Millis) -> Self {
        let mut response = match &reply.body {
            Body::Empty => Self::empty(reply.status),
            Body::Html => Self::page(reply.status, "<h1>This is not the server that you asked for.</h1>"),
            Body::Json(text) => Self::json(reply.status, text.clone()),
        };
        if let Some(when) = reply.retry_after {
            let value = match when {
                RetryAfter::Seconds(secs) => secs.to_string(),
                RetryAfter::HttpDate(secs) => http_date(now.plus(std::time::Duration::from_secs(secs))),
            };
            response.headers.push(("Retry-After", value));
        }
        if let Some(location) = &reply.location {
            response.headers.push(("Location", location.clone()));
        }
        response
    }

    /// The bytes before the body, and the body.
    pub(crate) fn bytes(self, now: Millis) -> (Vec<u8>, Vec<u8>) {
        let head = self.head(now, &format!("Content-Length: {}", self.body.len()));
        (head, self.body)
    }

    /// The bytes before a body in chunks.
    pub(crate) fn stream_head(&self, now: Millis) -> Vec<u8> {
        self.head(now, "Transfer-Encoding: chunked")
    }

    fn head(&self, now: Millis, length: &str) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Date: {}\r\n{length}\r\nConnection: close\r\n\r\n", http_date(now)));
        head.into_bytes()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}

/// Text made safe for HTML, also within a quoted attribute.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

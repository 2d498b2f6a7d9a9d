//! A client that shows what came over the wire, also where it is broken.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coderclaw_sandbox::{Options, Sandbox};
use coderclaw_types::{Clock, Millis, Secret};
use serde_json::Value;
use url::form_urlencoded::Serializer;

pub(crate) const NOW: i64 = 1_700_000_000;
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A clock that a test can move.
#[derive(Clone)]
pub(crate) struct Hands(Arc<AtomicI64>);

impl Hands {
    pub(crate) fn forward(&self, secs: i64) {
        self.0.fetch_add(secs * 1000, Ordering::SeqCst);
    }
}

pub(crate) fn start_with(change: impl FnOnce(&mut Options)) -> (Sandbox, Hands) {
    let hands = Hands(Arc::new(AtomicI64::new(NOW * 1000)));
    let reading = hands.clone();
    let mut options = Options::new(Clock::from_fn(move || Millis(reading.0.load(Ordering::SeqCst))));
    change(&mut options);
    (Sandbox::start(options).unwrap(), hands)
}

pub(crate) fn start() -> Sandbox {
    start_with(|_| ()).0
}

/// What came back before the connection ended, and how it ended.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) bytes: Vec<u8>,
    pub(crate) error: Option<io::ErrorKind>,
}

impl Raw {
    fn split(&self) -> (&str, &[u8]) {
        let at = self.bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("a head") + 4;
        (std::str::from_utf8(&self.bytes[..at]).unwrap(), &self.bytes[at..])
    }

    pub(crate) fn status(&self) -> u16 {
        self.split().0[9..12].parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.split().0.lines();
        lines
            .filter_map(|line| line.split_once(": "))
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(self.split().1).unwrap()
    }

    pub(crate) fn declared(&self) -> usize {
        self.header("content-length").unwrap().parse().unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.text()).unwrap()
    }

    /// `error.code`, or `error` itself.
    pub(crate) fn error_code(&self) -> String {
        let json = self.json();
        let code = json["error"]["code"].as_str().or(json["error"].as_str());
        code.expect("an error").to_owned()
    }

    pub(crate) fn secret(&self, key: &str) -> Secret {
        Secret::from(self.json()[key].as_str().expect(key))
    }
}

pub(crate) fn connect(sandbox: &Sandbox) -> TcpStream {
    let stream = TcpStream::connect(sandbox.origin().strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

pub(crate) fn read_all(mut stream: TcpStream) -> Raw {
    let mut bytes = Vec::new();
    let error = stream.read_to_end(&mut bytes).err().map(|e| e.kind());
    Raw { bytes, error }
}

pub(crate) fn post_bytes(path: &str, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: sandbox\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

pub(crate) fn send(sandbox: &Sandbox, bytes: &[u8]) -> Raw {
    let mut stream = connect(sandbox);
    match stream.write_all(bytes) {
        Ok(()) => read_all(stream),
        Err(e) => Raw { bytes: Vec::new(), error: Some(e.kind()) },
    }
}

pub(crate) fn post(sandbox: &Sandbox, path: &str, pairs: &[(&str, &str)]) -> Raw {
    let body = Serializer::new(String::new()).extend_pairs(pairs).finish();
    send(sandbox, &post_bytes(path, "application/x-www-form-urlencoded", &body))
}

pub(crate) fn refresh_bytes(refresh: &Secret) -> Vec<u8> {
    let pairs =
        [("grant_type", "refresh_token"), ("refresh_token", refresh.expose()), ("client_id", "client-1")];
    let body = Serializer::new(String::new()).extend_pairs(pairs).finish();
    post_bytes("/oauth/token", "application/x-www-form-urlencoded", &body)
}

pub(crate) fn refresh(sandbox: &Sandbox, refresh: &Secret) -> Raw {
    send(sandbox, &refresh_bytes(refresh))
}

pub(crate) fn get(sandbox: &Sandbox, target: &str, headers: &str) -> Raw {
    send(sandbox, format!("GET {target} HTTP/1.1\r\nHost: sandbox\r\n{headers}\r\n").as_bytes())
}

pub(crate) fn whoami(sandbox: &Sandbox, access: &Secret) -> Raw {
    get(sandbox, "/api/whoami", &format!("Authorization: Bearer {}\r\n", access.expose()))
}

pub(crate) fn claims(token: &Secret) -> Value {
    let payload = token.expose().split('.').nth(1).expect("a JWT");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

//! What takes long, or panics, with limits that a test can wait for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed step is a failed test")]
#![allow(clippy::disallowed_methods, reason = "a test makes its own files")]
#![allow(missing_docs, reason = "tests")]

mod ground;

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use coderclaw_gateway::{Limits, Note};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::ground::Ground;

const PATIENCE: Duration = Duration::from_secs(30);
/// Short enough to be waited for, long enough for a slow machine to send a few bytes.
const SHORT: Duration = Duration::from_millis(300);

struct World {
    address: SocketAddr,
    key: String,
    provider: TcpListener,
    _ground: Ground,
}

fn world(limits: Limits, tell: fn(Note)) -> World {
    let provider = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = provider.local_addr().unwrap().port();
    let manifest = format!(
        "id = 'acme'\nname = 'Acme'\n[api]\nkind = 'openai-chat'\nbase_url = 'http://127.0.0.1:{port}/v1'\n[[auth]]\nmethod = 'api-key'\n"
    );
    let store =
        r#"{"version":1,"profiles":{"acme:x":{"type":"api_key","provider":"acme","key":"acme-canary"}}}"#;
    let files =
        [("providers/acme.toml", manifest), ("agents/main/agent/auth-profiles.json", store.to_owned())];
    let ground = Ground::new(&files, &[]);
    let gateway = ground.gateway(false, Arc::new(tell), limits);
    let address = gateway.address();
    ground.runtime.spawn(gateway.run(std::future::pending()));
    World { address, key: ground.key.expose().to_owned(), provider, _ground: ground }
}

impl World {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn head(&self, length: usize) -> String {
        format!(
            "POST /acme/v1/x HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n",
            self.address, self.key
        )
    }

    /// What the gateway answers to these bytes, until it closes.
    fn answer(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        rest(stream)
    }

    /// Takes the next request at the provider: its head, and the first `length` bytes of its body.
    fn accept(&self, length: usize) -> (TcpStream, String) {
        let (mut stream, _) = self.provider.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut bytes = Vec::new();
        let mut one = [0];
        let wanted = |bytes: &[u8]| {
            let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
            end.is_some_and(|end| bytes.len() >= end + 4 + length)
        };
        while !wanted(&bytes) && stream.read(&mut one).unwrap() == 1 {
            bytes.push(one[0]);
        }
        (stream, String::from_utf8(bytes).unwrap())
    }
}

fn rest(mut stream: TcpStream) -> String {
    let mut all = Vec::new();
    drop(stream.read_to_end(&mut all));
    String::from_utf8_lossy(&all).into_owned()
}

/// A head that drips in does not hold a connection for long, whatever arrives of it meanwhile.
#[test]
fn a_slow_head_is_cut_off() {
    let world = world(Limits { head: SHORT, ..Limits::default() }, drop);
    let mut slow = world.connect();
    slow.write_all(b"POST /acme/v1/x HTTP/1.1\r\nHost: x\r\n").unwrap();
    let mut drip = slow.try_clone().unwrap();
    // Writing goes on until the other side is gone.
    let dripped = std::thread::spawn(move || while drip.write_all(b"X: 1\r\n").is_ok() {});
    let said = rest(slow);
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");
    dripped.join().unwrap();
}

/// A body that stops in the middle ends its request, here and at the provider.
#[test]
fn a_body_that_stops_is_given_up() {
    let world = world(Limits { body: SHORT, ..Limits::default() }, drop);
    let mut client = world.connect();
    client.write_all(world.head(100).as_bytes()).unwrap();
    client.write_all(b"only this").unwrap();
    let (provider, request) = world.accept(9);
    assert!(request.contains("Bearer acme-canary") && request.ends_with("only this"), "{request}");
    let said = rest(client);
    assert!(said.starts_with("HTTP/1.1 408") && said.contains("gateway_refused"), "{said}");
    assert_eq!(rest(provider), "", "the provider's connection is closed");
}

/// A provider that says nothing is given up, and told as such.
#[test]
fn a_silent_provider_is_given_up() {
    let world = world(Limits { idle: SHORT, ..Limits::default() }, drop);
    let mut client = world.connect();
    client.write_all((world.head(2) + "{}").as_bytes()).unwrap();
    let (provider, _) = world.accept(2);
    let said = rest(client);
    assert!(said.starts_with("HTTP/1.1 502") && said.contains("no answer for"), "{said}");
    drop(provider);
}

/// A panic ends its own connection; the next one is served.
#[test]
fn a_panic_ends_one_connection_only() {
    fn panics(note: Note) {
        assert!(!note.text.contains("refused"), "on purpose");
    }
    let world = world(Limits::default(), panics);
    let bad = format!("GET /nowhere HTTP/1.1\r\nHost: {}\r\n\r\n", world.address);
    for _ in 0..8 {
        assert_eq!(world.answer(bad.as_bytes()), "");
    }
    let good = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", world.address);
    assert!(world.answer(good.as_bytes()).starts_with("HTTP/1.1 200"));
}

/// A body too long to be kept goes through once and is not sent again; the provider's own answer comes back.
#[test]
fn a_long_body_is_sent_once() {
    let world = world(Limits { keep: 1_000, ..Limits::default() }, drop);
    let body = "x".repeat(200_000);
    let mut client = world.connect();
    client.write_all((world.head(body.len()) + &body).as_bytes()).unwrap();
    let (mut provider, request) = world.accept(body.len());
    assert!(request.ends_with(&body));
    provider.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nbad").unwrap();
    let said = rest(client);
    assert!(said.starts_with("HTTP/1.1 400") && said.ends_with("bad"), "{said}");
}

/// An answer before the question has ended comes back at once, and what follows of the question harms nobody.
#[test]
fn an_early_answer_is_passed_on() {
    let world = world(Limits::default(), drop);
    let mut client = world.connect();
    client.write_all((world.head(1_000) + "begin").as_bytes()).unwrap();
    let (mut provider, _) = world.accept(5);
    provider
        .write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        .unwrap();
    // The connection stays open for what the question still owes; the answer does not wait for that.
    let mut said = Vec::new();
    let mut bytes = BufReader::new(client).bytes();
    while !said.ends_with(b"\r\n\r\nbig") {
        said.push(bytes.next().unwrap().unwrap());
    }
    assert!(said.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&said));
}

/// What a compressed stream has said of a failure; others may be told as well.
static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());
static TELLS: Condvar = Condvar::new();

fn tell_middle(note: Note) {
    if note.text.contains("in the middle of an answer") {
        TOLD.lock().unwrap().push(note.text);
        TELLS.notify_all();
    }
}

/// So many compressed streams are read at a time; one more passes unread, and a seat that was left is taken again.
#[test]
fn compressed_streams_have_seats() {
    let world = world(Limits { unpacked: 1, ..Limits::default() }, tell_middle);
    let open = || {
        let mut client = world.connect();
        client.write_all((world.head(2) + "{}").as_bytes()).unwrap();
        let (mut provider, _) = world.accept(2);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\r\n";
        provider.write_all(head.as_bytes()).unwrap();
        // The head is through, so the stream has its seat, or none.
        let mut first = [0; 12];
        client.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        (client, provider)
    };
    let fail = |(client, mut provider): (TcpStream, TcpStream), message: &str| {
        let event = format!("data: {{\"error\":{{\"message\":\"{message}\"}}}}\n\n");
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(event.as_bytes()).unwrap();
        provider.write_all(&packed.finish().unwrap()).unwrap();
        drop(provider);
        rest(client);
    };
    let (one, two) = (open(), open());
    fail(two, "second");
    fail(one, "first");
    fail(open(), "third");
    let told = TELLS.wait_timeout_while(TOLD.lock().unwrap(), PATIENCE, |told| told.len() < 2).unwrap().0;
    assert!(
        told.iter().any(|text| text.contains("first")) && told.iter().any(|text| text.contains("third")),
        "{told:?}"
    );
    assert!(!told.iter().any(|text| text.contains("second")), "{told:?}");
}

//! What a relay does with its connections, at servers that follow a script.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use coderclaw_http::{
    LostWhy, Network, NotSentWhy, Relay, RelayBody, RelayLimits, RelayRequest, Relayed, SendError, Url,
};
use coderclaw_types::Env;
use http::{HeaderMap, Method};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};

const PATIENCE: Duration = Duration::from_secs(20);
const HI: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// A server that does what `script` says, and tells when it gets somewhere.
fn server(
    script: impl FnOnce(TcpListener, Sender<()>) + Send + 'static,
) -> (SocketAddr, Receiver<()>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (reached, told) = channel();
    (address, told, std::thread::spawn(move || script(listener, reached)))
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads as far as `end`.
fn read_to(stream: &mut TcpStream, end: &str) -> String {
    let (mut bytes, mut one) = (Vec::new(), [0]);
    while !bytes.ends_with(end.as_bytes()) {
        assert_eq!(stream.read(&mut one).unwrap(), 1, "{}", String::from_utf8_lossy(&bytes));
        bytes.push(one[0]);
    }
    String::from_utf8(bytes).unwrap()
}

fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
}

fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 64]) {
        Ok(n) => n == 0,
        Err(e) => e.kind() == ErrorKind::ConnectionReset,
    }
}

fn relay(idle: Duration) -> Relay {
    let network = Network::from_env(&Env::new(Vec::new(), None, "/".into()));
    Relay::new(&network, RelayLimits { connect: PATIENCE, idle }).unwrap()
}

fn get(url: &str) -> RelayRequest {
    let url = Url::parse(url).unwrap();
    RelayRequest { method: Method::GET, url, headers: HeaderMap::new(), body: None }
}

fn get_from(address: SocketAddr, path: &str) -> RelayRequest {
    get(&format!("http://{address}{path}"))
}

fn post_to(address: SocketAddr, body: RelayBody) -> RelayRequest {
    RelayRequest { method: Method::POST, body: Some(body), ..get_from(address, "/") }
}

fn whole(text: &'static str) -> RelayBody {
    Box::pin(Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}))
}

async fn text(answer: Relayed) -> String {
    String::from_utf8(answer.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// Waits for the script while the runtime looks after its sockets.
async fn told(told: Receiver<()>) -> Receiver<()> {
    tokio::task::spawn_blocking(move || {
        told.recv_timeout(PATIENCE).unwrap();
        told
    })
    .await
    .unwrap()
}

/// Answers of every framing, over one connection; to each request nothing is added but where it goes.
#[tokio::test]
async fn a_connection_is_used_again() {
    let (address, _told, script) = server(|listener, _| {
        let mut stream = accept(&listener);
        let first = read_to(&mut stream, "\r\n\r\n");
        let address = listener.local_addr().unwrap();
        assert_eq!(first, format!("GET /a?b=c%20d HTTP/1.1\r\nhost: {address}\r\n\r\n"));
        say(&mut stream, HI);
        read_to(&mut stream, "question");
        say(&mut stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
        say(&mut stream, "2\r\nbc\r\n0\r\nTrailer: yes\r\n\r\n");
        read_to(&mut stream, "\r\n\r\n");
        say(&mut stream, "HTTP/1.1 204 No Content\r\n\r\n");
        let head = read_to(&mut stream, "\r\n\r\n");
        assert!(head.starts_with("HEAD /e "), "{head}");
        say(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
        read_to(&mut stream, "\r\n\r\n");
        say(&mut stream, HI);
    });
    let relay = relay(PATIENCE);
    assert_eq!(text(relay.open(get_from(address, "/a?b=c%20d#e")).await.unwrap()).await, "hi");
    assert_eq!(text(relay.open(post_to(address, whole("question"))).await.unwrap()).await, "abc");
    assert_eq!(relay.open(get_from(address, "/d")).await.unwrap().status, 204);
    let head = RelayRequest { method: Method::HEAD, ..get_from(address, "/e") };
    assert_eq!(relay.open(head).await.unwrap().headers["content-length"], "99");
    assert_eq!(text(relay.open(get_from(address, "/f")).await.unwrap()).await, "hi");
    script.join().unwrap();
}

/// Closed by the server while nobody used it: the next request goes out over another, and once.
#[tokio::test]
async fn a_closed_connection_is_not_used_again() {
    let (address, closed, script) = server(|listener, closed| {
        let mut stream = accept(&listener);
        read_to(&mut stream, "\r\n\r\n");
        say(&mut stream, HI);
        drop(stream);
        closed.send(()).unwrap();
        let mut stream = accept(&listener);
        read_to(&mut stream, "question");
        say(&mut stream, HI);
    });
    let relay = relay(PATIENCE);
    assert_eq!(text(relay.open(get_from(address, "/")).await.unwrap()).await, "hi");
    told(closed).await;
    assert_eq!(text(relay.open(post_to(address, whole("question"))).await.unwrap()).await, "hi");
    script.join().unwrap();
}

/// A request that was read and not answered is lost, and never goes out a second time by itself.
#[tokio::test]
async fn a_request_that_left_is_not_repeated() {
    let (address, _told, script) = server(|listener, _| {
        let mut stream = accept(&listener);
        read_to(&mut stream, "\r\n\r\n");
        say(&mut stream, HI);
        read_to(&mut stream, "question");
        drop(stream);
        let mut stream = accept(&listener);
        assert!(read_to(&mut stream, "\r\n\r\n").starts_with("GET /after "), "the question came again");
        say(&mut stream, HI);
    });
    let relay = relay(PATIENCE);
    assert_eq!(text(relay.open(get_from(address, "/")).await.unwrap()).await, "hi");
    let lost = relay.open(post_to(address, whole("question"))).await.unwrap_err();
    assert!(matches!(lost, SendError::Lost { status: None, .. }), "{lost:?}");
    assert_eq!(text(relay.open(get_from(address, "/after")).await.unwrap()).await, "hi");
    script.join().unwrap();
}

/// Three bytes of ten, and then nothing.
struct Stuck(bool);

impl Body for Stuck {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"abc")))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(10)
    }
}

/// Parts as somebody gives them, with or without a length that is told before.
struct Parts(tokio::sync::mpsc::UnboundedReceiver<&'static str>, Option<u64>);

impl Body for Parts {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let part = self.0.poll_recv(context);
        part.map(|part| part.map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes())))))
    }

    fn size_hint(&self) -> SizeHint {
        self.1.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn parts(
    length: Option<u64>,
    first: &[&'static str],
) -> (tokio::sync::mpsc::UnboundedSender<&'static str>, RelayBody) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    for part in first {
        sender.send(*part).unwrap();
    }
    (sender, Box::pin(Parts(receiver, length)))
}

/// The other side is told where a body ends: by its length where that is known, by chunks where it is not, and that there
/// is none where one could be. A long one arrives whole.
#[tokio::test]
async fn bodies_say_where_they_end() {
    let long: &'static str = "0123456789abcdef".repeat(64 * 1024).leak();
    let (address, _told, script) = server(move |listener, _| {
        let mut stream = accept(&listener);
        let empty = read_to(&mut stream, "\r\n\r\n");
        assert!(empty.ends_with("\r\ncontent-length: 0\r\n\r\n"), "{empty}");
        say(&mut stream, HI);
        let known = read_to(&mut stream, "abcdef");
        assert!(known.ends_with("\r\ncontent-length: 6\r\n\r\nabcdef"), "{known}");
        say(&mut stream, HI);
        let chunks = read_to(&mut stream, "\r\n0\r\n\r\n");
        assert!(
            chunks
                .ends_with("\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nb\r\nhello world\r\n0\r\n\r\n"),
            "{chunks}"
        );
        say(&mut stream, HI);
        for framing in
            [format!("content-length: {}", 6 + long.len()), "transfer-encoding: chunked".to_owned()]
        {
            let head = read_to(&mut stream, "\r\n\r\n");
            assert!(head.contains(&framing), "{head}");
            let (before, between, after) = match framing.starts_with('t') {
                true => ("3\r\nabc\r\n100000\r\n", "\r\n3\r\n", "def\r\n0\r\n\r\n"),
                false => ("abc", "", "def"),
            };
            let mut body = vec![0; before.len() + long.len() + between.len() + after.len()];
            stream.read_exact(&mut body).unwrap();
            assert!(body == [before, long, between, after].concat().as_bytes(), "{framing}");
            say(&mut stream, HI);
        }
    });
    let relay = relay(PATIENCE);
    let empty = RelayRequest { body: None, ..post_to(address, whole("")) };
    assert_eq!(text(relay.open(empty).await.unwrap()).await, "hi");
    assert_eq!(
        text(relay.open(post_to(address, parts(Some(6), &["abc", "", "def"]).1)).await.unwrap()).await,
        "hi"
    );
    let unknown = parts(None, &["abc", "", "hello world"]).1;
    assert_eq!(text(relay.open(post_to(address, unknown)).await.unwrap()).await, "hi");
    for length in [Some(6 + long.len() as u64), None] {
        let body = parts(length, &["abc", long, "def"]).1;
        assert_eq!(text(relay.open(post_to(address, body)).await.unwrap()).await, "hi");
    }
    script.join().unwrap();
}

/// A body that is longer or shorter than it said is no request: nobody gets to see it as one, and nothing follows it.
#[tokio::test]
async fn a_body_that_is_not_what_it_said_is_lost() {
    for (length, said) in [(Some(4), ["abc", "de"]), (Some(6), ["abc", "de"])] {
        let (address, _told, script) = server(|listener, _| {
            let mut stream = accept(&listener);
            let mut all = String::new();
            stream.read_to_string(&mut all).unwrap();
            assert!(!all.contains("abcd"), "{all}");
        });
        let (sender, body) = parts(length, &said[..1]);
        let relay = relay(PATIENCE);
        let (lost, ()) = tokio::join!(relay.open(post_to(address, body)), async {
            if length == Some(4) {
                sender.send(said[1]).unwrap();
            }
            drop(sender);
        });
        let lost = lost.unwrap_err();
        assert!(
            matches!(&lost, SendError::Lost { status: None, why: LostWhy::Cut, detail } if detail.contains("than it said")),
            "{lost:?}"
        );
        script.join().unwrap();
    }
}

/// An answer may begin before the request has ended. The rest of the request still goes out, and then the connection is as
/// good as any.
#[tokio::test]
async fn an_answer_may_come_first() {
    let (address, _told, script) = server(|listener, _| {
        let mut stream = accept(&listener);
        read_to(&mut stream, "abc");
        say(&mut stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
        read_to(&mut stream, "def");
        say(&mut stream, "3\r\ntwo\r\n0\r\n\r\n");
        read_to(&mut stream, "\r\n\r\n");
        say(&mut stream, HI);
    });
    let relay = relay(PATIENCE);
    let (sender, body) = parts(Some(6), &["abc"]);
    let mut answer = relay.open(post_to(address, body)).await.unwrap();
    assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
    sender.send("def").unwrap();
    assert_eq!(text(answer).await, "two");
    assert_eq!(text(relay.open(get_from(address, "/")).await.unwrap()).await, "hi");
    script.join().unwrap();
}

/// Who closes in the middle of a request has said why, and that is what counts.
#[tokio::test]
async fn a_refusal_in_the_middle_is_heard() {
    let long: &'static str = "x".repeat(16 * 1024 * 1024).leak();
    let (address, _told, script) = server(|listener, _| {
        let mut stream = accept(&listener);
        read_to(&mut stream, "\r\n\r\n");
        say(&mut stream, "HTTP/1.1 413 Too Large\r\nConnection: close\r\n\r\nno");
    });
    let refused = relay(PATIENCE).open(post_to(address, whole(long))).await.unwrap();
    assert_eq!(refused.status, 413);
    script.join().unwrap();
}

/// Refused before its body was whole: the answer comes through, and nobody else's request follows half a one.
#[tokio::test]
async fn half_a_request_spoils_its_connection() {
    let (address, _told, script) = server(|listener, _| {
        let mut stream = accept(&listener);
        read_to(&mut stream, "abc");
        say(&mut stream, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
        let mut other = accept(&listener);
        read_to(&mut other, "\r\n\r\n");
        say(&mut other, HI);
        assert!(is_closed(&mut stream));
    });
    let relay = relay(PATIENCE);
    let refused = relay.open(post_to(address, Box::pin(Stuck(false)))).await.unwrap();
    assert_eq!(refused.status, 401);
    assert_eq!(text(refused).await, "no");
    assert_eq!(text(relay.open(get_from(address, "/")).await.unwrap()).await, "hi");
    script.join().unwrap();
}

/// Whoever lets go of an answer in the middle, or of a question before its answer, closes the connection.
#[tokio::test]
async fn letting_go_closes_the_connection() {
    let (address, asked, script) = server(|listener, asked| {
        let mut stream = accept(&listener);
        read_to(&mut stream, "\r\n\r\n");
        say(&mut stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
        assert!(is_closed(&mut stream));
        let mut stream = accept(&listener);
        read_to(&mut stream, "\r\n\r\n");
        asked.send(()).unwrap();
        assert!(is_closed(&mut stream));
    });
    let relay = relay(PATIENCE);
    let mut answer = relay.open(get_from(address, "/")).await.unwrap();
    assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
    drop(answer);
    tokio::select! {
        biased;
        answer = relay.open(get_from(address, "/")) => panic!("{answer:?}"),
        _ = told(asked) => {}
    }
    script.join().unwrap();
}

/// Silence ends it, before the head and after it; what comes slowly does not.
#[tokio::test]
async fn silence_ends_it() {
    let (address, _told, script) = server(|listener, _| {
        let mut slow = accept(&listener);
        read_to(&mut slow, "\r\n\r\n");
        let mut stream = accept(&listener);
        read_to(&mut stream, "\r\n\r\n");
        say(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal");
        assert!(is_closed(&mut stream));
        assert!(is_closed(&mut slow));
    });
    let limit = Duration::from_millis(100);
    let network = Network::from_env(&Env::new(Vec::new(), None, "/".into()));
    let relay = Relay::new(&network, RelayLimits { connect: limit, idle: limit }).unwrap();
    let silent = relay.open(get_from(address, "/")).await.unwrap_err();
    assert!(matches!(silent, SendError::Lost { status: None, why: LostWhy::Timeout, .. }), "{silent:?}");
    let mut answer = relay.open(get_from(address, "/")).await.unwrap();
    assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "hal");
    let silent = answer.frame().await.unwrap().unwrap_err();
    assert!(matches!(silent, SendError::Lost { status: Some(200), why: LostWhy::Timeout, .. }), "{silent:?}");
    drop(answer);
    script.join().unwrap();
}

/// Half an answer is an error, not an end.
#[tokio::test]
async fn half_an_answer_is_lost() {
    let (address, _told, script) = server(|listener, _| {
        let mut stream = accept(&listener);
        read_to(&mut stream, "\r\n\r\n");
        say(&mut stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab");
    });
    let relay = relay(PATIENCE);
    let mut answer = relay.open(get_from(address, "/")).await.unwrap();
    let mut all = Vec::new();
    let lost = loop {
        match answer.frame().await.unwrap() {
            Ok(frame) => all.extend_from_slice(&frame.into_data().unwrap()),
            Err(e) => break e,
        }
    };
    assert_eq!(all, b"ab");
    assert!(matches!(lost, SendError::Lost { status: Some(200), why: LostWhy::Cut, .. }), "{lost:?}");
    script.join().unwrap();
}

/// A connection that nobody uses is closed in the end, also where no request comes any more.
#[tokio::test]
async fn an_idle_connection_is_closed() {
    let (address, closed, script) = server(|listener, closed| {
        let mut stream = accept(&listener);
        read_to(&mut stream, "\r\n\r\n");
        say(&mut stream, HI);
        assert!(is_closed(&mut stream));
        closed.send(()).unwrap();
    });
    let relay = relay(PATIENCE);
    assert_eq!(text(relay.open(get_from(address, "/")).await.unwrap()).await, "hi");
    // Somebody has begun to wait for the time.
    tokio::task::yield_now().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    told(closed).await;
    drop(relay);
    script.join().unwrap();
}

/// What stood in the way, where it is certain that nothing left.
#[tokio::test]
async fn nothing_left() {
    let relay = relay(PATIENCE);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = listener.local_addr().unwrap();
    drop(listener);
    let (plain, _told, script) = server(|listener, _| {
        let mut stream = accept(&listener);
        assert_ne!(stream.read(&mut [0; 1024]).unwrap(), 0);
        say(&mut stream, HI);
    });
    for (url, wanted, says) in [
        (format!("http://{free}/"), NotSentWhy::Connect, "refused"),
        ("http://nobody.invalid/".to_owned(), NotSentWhy::Dns, "nobody.invalid:80: "),
        (format!("https://{plain}/"), NotSentWhy::Tls, "TLS failed: "),
        ("ftp://127.0.0.1/".to_owned(), NotSentWhy::Url, "cannot speak"),
    ] {
        match relay.open(get(&url)).await {
            Err(SendError::NotSent { why, detail }) => {
                assert_eq!(why, wanted, "{url}: {detail}");
                assert!(detail.contains(says), "{url}: {detail}");
            }
            other => panic!("{url}: {other:?}"),
        }
    }
    script.join().unwrap();
}

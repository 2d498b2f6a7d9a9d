//! Requests on their way out.

use std::io::{Read, Write};
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use coderclaw_http::{LostWhy, RelayLimits, RelayRequest, SendError};
use http_body::{Body, Frame};
use http_body_util::BodyExt;

use crate::script::*;

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
        let chunks = read_to(&mut stream, "0\r\n\r\n");
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

/// Waits for the script in the middle of a request, without letting the runtime listen.
struct Deaf(u8, Mutex<Receiver<()>>);

impl Body for Deaf {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0 += 1;
        match self.0 {
            1 => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 32 * 1024]))))),
            2 => {
                self.1.lock().unwrap().recv_timeout(PATIENCE).unwrap();
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"more")))))
            }
            _ => Poll::Pending,
        }
    }
}

/// The same where the next write fails before the runtime has heard that there is something to read.
#[tokio::test]
async fn a_refusal_is_heard_though_writing_failed_first() {
    let (sender, refused) = channel();
    let (address, _told, script) = server(move |listener, _| {
        let mut stream = accept(&listener);
        read_to(&mut stream, "\r\n\r\n");
        say(&mut stream, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
        // With something unread, this is a reset.
        drop(stream);
        sender.send(()).unwrap();
    });
    let body = Box::pin(Deaf(0, Mutex::new(refused)));
    assert_eq!(relay(PATIENCE).open(post_to(address, body)).await.unwrap().status, 413);
    script.join().unwrap();
}

/// A server that takes no more of a request and says nothing does not hold it for ever, before its answer and after.
#[tokio::test]
async fn a_server_that_does_not_read_is_given_up() {
    let long: &'static str = "x".repeat(32 * 1024 * 1024).leak();
    for head in ["", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] {
        let (address, _told, script) = server(move |listener, _| {
            let mut stream = accept(&listener);
            read_to(&mut stream, "\r\n\r\n");
            say(&mut stream, head);
            // Until the other side is gone; what it had sent is read then.
            listener.accept().unwrap();
            assert!(std::io::copy(&mut stream, &mut std::io::sink()).is_ok_and(|n| n < long.len() as u64));
        });
        let limit = Duration::from_millis(200);
        let relay = relay_with(Vec::new(), RelayLimits { connect: limit, idle: limit });
        let opened = relay.open(post_to(address, whole(long))).await;
        let lost = match opened {
            Ok(mut answer) => answer.frame().await.unwrap().unwrap_err(),
            Err(lost) => lost,
        };
        let wanted = (!head.is_empty()).then_some(200);
        assert!(
            matches!(lost, SendError::Lost { status, why: LostWhy::Timeout, .. } if status == wanted),
            "{lost:?}"
        );
        std::net::TcpStream::connect(address).unwrap();
        script.join().unwrap();
    }
}

/// What is slow is not silent: a request may take longer than any silence, as long as it moves.
#[tokio::test]
async fn a_long_request_takes_its_time() {
    let (address, mut read, script) = server(|listener, read| {
        let mut stream = accept(&listener);
        for end in ["a\r\n", "b\r\n", "c\r\n"] {
            read_to(&mut stream, end);
            read.send(()).unwrap();
        }
        read_to(&mut stream, "0\r\n\r\n");
        read.send(()).unwrap();
        assert!(is_closed(&mut stream));
    });
    let limit = Duration::from_secs(30);
    let relay = relay_with(Vec::new(), RelayLimits { connect: limit, idle: limit });
    let (sender, body) = parts(None, &["a"]);
    let asked = relay.open(post_to(address, body));
    let (lost, ()) = tokio::join!(asked, async {
        let mut parts = vec!["c", "b"];
        let mut sender = Some(sender);
        for seconds in [50, 50, 50, 70] {
            read = told(read).await;
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(seconds)).await;
            tokio::time::resume();
            match parts.pop() {
                Some(part) => sender.as_ref().unwrap().send(part).unwrap(),
                None => drop(sender.take()),
            }
        }
    });
    let lost = lost.unwrap_err();
    assert!(
        matches!(&lost, SendError::Lost { status: None, why: LostWhy::Timeout, detail }
            if detail.ends_with("no answer for 30 s")),
        "{lost:?}"
    );
    script.join().unwrap();
}

/// Reads a request with a length and says what it reads as it comes.
pub(crate) fn echo(stream: &mut (impl Read + Write), mut left: usize) {
    read_to(stream, "\r\n\r\n");
    say(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut part = vec![0; 100_000];
    while left > 0 {
        let n = stream.read(&mut part).unwrap();
        assert_ne!(n, 0);
        left -= n;
        write!(stream, "{n:x}\r\n").unwrap();
        stream.write_all(&part[..n]).unwrap();
        write!(stream, "\r\n").unwrap();
    }
    say(stream, "0\r\n\r\n");
}

/// More than any buffer holds, so that each side has to wait for the other, in both directions at once.
pub(crate) fn much() -> &'static str {
    let odd: String = (0..1_000_003u32)
        .map(|n| char::from(b'a' + (n.wrapping_mul(2_654_435_761) >> 27) as u8 % 26))
        .collect();
    odd.repeat(16).leak()
}

/// Question and answer at the same time: neither waits for the other's end, nothing is lost, and the connection is as good
/// as before.
#[tokio::test]
async fn both_ways_at_once() {
    let much = much();
    let (address, _told, script) = server(move |listener, _| {
        let mut stream = accept(&listener);
        for _ in 0..2 {
            echo(&mut stream, much.len());
        }
    });
    let relay = relay(PATIENCE);
    for _ in 0..2 {
        assert!(text(relay.open(post_to(address, whole(much))).await.unwrap()).await == much);
    }
    script.join().unwrap();
}

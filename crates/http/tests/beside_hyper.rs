//! Answers as a relay reads them, and as hyper's client does: nobody here wrote that one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use std::time::Duration;

use coderclaw_http::{AnswerRead, read_answer};
use http::{Method, Request};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const WHILE: Duration = Duration::from_secs(1);

/// What hyper makes of the same bytes: of an answer after which the connection is closed, and whether it would use one again
/// that is not.
fn by_hyper(asked: &Method, bytes: &[u8]) -> Option<AnswerRead> {
    let closed = read_by_hyper(asked, bytes, true)?;
    let open = read_by_hyper(asked, bytes, false);
    Some(AnswerRead { is_kept: open.is_some_and(|open| open.is_kept), ..closed })
}

fn read_by_hyper(asked: &Method, bytes: &[u8], is_closed: bool) -> Option<AnswerRead> {
    // Where nothing moves any more, the clock does.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let serve = async {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                theirs.read_buf(&mut request).await.unwrap();
            }
            theirs.write_all(bytes).await.unwrap();
            if is_closed {
                theirs.shutdown().await.unwrap();
            }
            theirs
        };
        let (mut sender, driver) =
            hyper::client::conn::http1::handshake::<_, Empty<&[u8]>>(TokioIo::new(ours)).await.unwrap();
        let request = Request::builder().method(asked).uri("/").body(Empty::new()).unwrap();
        let read = async {
            let (head, mut body) = sender.send_request(request).await.ok()?.into_parts();
            let mut read = AnswerRead {
                status: head.status,
                headers: head.headers,
                body: Vec::new(),
                is_whole: true,
                is_kept: true,
            };
            while let Some(frame) = body.frame().await {
                match frame.map(http_body::Frame::into_data) {
                    Ok(Ok(data)) => read.body.extend_from_slice(&data),
                    Ok(Err(_trailers)) => {}
                    Err(_) => {
                        read.is_whole = false;
                        break;
                    }
                }
            }
            Some(read)
        };
        let driver = tokio::spawn(driver);
        let (read, _theirs) = tokio::join!(tokio::time::timeout(WHILE, read), serve);
        let is_kept = tokio::time::timeout(WHILE, driver).await.is_err();
        let read = read.ok()??;
        Some(AnswerRead { is_kept: read.is_whole && is_kept, ..read })
    })
}

/// What heads are made of: good ones, odd ones and bad ones.
const FIRST: &[&str] = &[
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 429 Too Many Requests\n",
    "HTTP/1.1 204 No Content\r\n",
    "HTTP/1.1 304\r\n",
    "HTTP/1.1 999 \r\n",
    "HTTP/1.0 200 OK\r\n",
    "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
    "HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 102 \r\n\r\nHTTP/1.1 200 OK\r\n",
    "HTTP/1.1 099 No\r\n",
    "HTTP/1.1 2000 No\r\n",
    "HTTP/2 200\r\n",
    "\r\nHTTP/1.1 200 OK\r\n",
    "SSH-2.0-x\r\n",
];
const FIELDS: &[&str] = &[
    "Content-Length: 5\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 12\n",
    "Content-Length: 5, 5\r\n",
    "Content-Length: 05\r\n",
    "Content-Length: +5\r\n",
    "Content-Length: \r\n",
    "Content-Length: 5,\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 99999999999999999999\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\n",
    "transfer-encoding: gzip , CHUNKED \r\n",
    "Transfer-Encoding: chunked, gzip\r\n",
    "Transfer-Encoding: identity\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "connection: x, Keep-Alive ,y\r\n",
    "Connection: keep-alive, CLOSE\r\n",
    "Connection: closed, keep-alives\r\n",
    "X: \u{e9}\r\n",
    "X:\r\n",
    "X : y\r\n",
    " folded\r\n",
    "no colon\r\n",
    "\u{e9}: x\r\n",
    "X: a\rb\r\n",
    "X: \0\r\n",
];
const BODY: &[&str] = &[
    "5\r\nhello\r\n",
    "5\r\nhello\r\n",
    "C\r\nhello\r\nagain\r\n",
    "5;ext=\"1\"\r\nhello\r\n",
    "5 \t;x\r\nhello\r\n",
    "005\r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\n\r\n",
    "0\r\nTrailer: yes\r\n\r\n",
    "0\r\nno trailer\r\n\r\n",
    "0;x\r\n\r\n",
    "5\nhello\r\n",
    "5\r\nhelloo\r\n",
    "5\r\nhello\n",
    "5;a\nb\r\nhello\r\n",
    "\r\nhello",
    ";x\r\n\r\n",
    " 5\r\nhello\r\n",
    "5 5\r\nhello\r\n",
    "-5\r\nhello\r\n",
    "0x5\r\nhello\r\n",
    "fffffffffffffffff\r\n",
    "ffffffffffffffff\r\nhello",
    "hello",
    "HTTP/1.1 200 OK\r\n\r\n",
];

fn some(of: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(select(of), 0..=most).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The same status, headers and body, and the same opinion on whether that is all and on what may follow, however the
    /// bytes are cut.
    #[test]
    fn both_read_the_same(
        is_head in proptest::bool::weighted(0.1),
        first in select(FIRST),
        fields in some(FIELDS, 3),
        body in some(BODY, 5),
        end in proptest::option::weighted(0.3, any::<Index>()),
        cuts in proptest::collection::vec(any::<Index>(), 0..6),
    ) {
        let asked = if is_head { Method::HEAD } else { Method::POST };
        let text = format!("{first}{fields}\r\n{body}");
        let bytes = &text.as_bytes()[..end.map_or(text.len(), |end| end.index(text.len() + 1))];
        let read = read_answer(&asked, &[bytes]);
        let mut other = by_hyper(&asked, bytes);
        if let Some(other) = &mut other {
            // Where a length stands beside chunks, somebody may have been fooled: RFC 9112, section 6.1.
            other.is_kept &= !["content-length", "transfer-encoding"].iter().all(|name| other.headers.contains_key(*name))
                || asked == Method::HEAD || matches!(other.status.as_u16(), 204 | 304);
        }
        prop_assert_eq!(&read, &other);

        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let mut parts = Vec::new();
        let mut from = 0;
        for cut in cuts.into_iter().chain([bytes.len()]) {
            parts.push(&bytes[from..cut]);
            from = cut;
        }
        prop_assert_eq!(read_answer(&asked, &parts), read);
    }
}

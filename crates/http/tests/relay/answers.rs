//! Answers, whole and broken.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use coderclaw_http::{LostWhy, NotSentWhy, RelayLimits, SendError};
use http_body_util::BodyExt;

use crate::script::*;

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
    let relay = relay_with(Vec::new(), RelayLimits { connect: limit, idle: limit });
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

    // Who accepts and says nothing of TLS: a connection it is not.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let limits = RelayLimits { connect: Duration::from_millis(100), idle: PATIENCE };
    let late =
        relay_with(Vec::new(), limits).open(get(&format!("https://{}/", silent.local_addr().unwrap()))).await;
    assert!(matches!(late, Err(SendError::NotSent { why: NotSentWhy::Timeout, .. })), "{late:?}");
}

/// Says `first`, then `again` until nobody listens any more.
fn say_to_the_end(listener: &TcpListener, first: &str, again: &str) {
    let mut stream = accept(listener);
    read_to(&mut stream, "\r\n\r\n");
    say(&mut stream, first);
    if !again.is_empty() {
        while stream.write_all(again.as_bytes()).is_ok() {}
    }
}

/// What came instead of an answer is told so that a person understands it.
#[tokio::test]
async fn what_is_no_answer_is_told() {
    let headers =
        |n: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(n)).leak() as &'static str;
    for (said, again, tells) in [
        ("", "", "closed before the answer was whole"),
        ("HTTP/1.1 200 OK\r\nContent-Le", "", "closed before the answer was whole"),
        ("SSH-2.0-x\r\n", "", "cannot be read as HTTP/1.1: invalid HTTP version"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "", "another protocol, which nobody asked for"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n",
            "",
            "HTTP/1.1: two minds about where the body ends",
        ),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "", "two minds about where the body ends"),
        (headers(101), "", "cannot be read as HTTP/1.1: too many headers"),
        (
            "HTTP/1.1 200 OK\r\n",
            "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n",
            "HTTP/1.1: ",
        ),
        (
            "HTTP/1.1 200 OK\r\nX: ",
            "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy",
            "HTTP/1.1: a head of more than 64 KiB",
        ),
    ] {
        let (address, _told, script) = server(move |listener, _| say_to_the_end(&listener, said, again));
        let lost = relay(PATIENCE).open(get_from(address, "/")).await.unwrap_err();
        match &lost {
            SendError::Lost { status: None, why: LostWhy::Cut, detail } => {
                assert!(
                    detail.starts_with(&address.to_string()) && detail.contains(tells),
                    "{said:?}: {detail}"
                );
            }
            _ => panic!("{said:?}: {lost:?}"),
        }
        script.join().unwrap();
    }
    let (address, _told, script) = server(move |listener, _| say_to_the_end(&listener, headers(100), ""));
    assert_eq!(
        relay(PATIENCE).open(get_from(address, "/")).await.unwrap().headers.get_all("x").iter().count(),
        100
    );
    script.join().unwrap();
}

/// The same of an answer that has begun.
#[tokio::test]
async fn what_is_no_rest_is_told() {
    for (said, why, tells) in [
        (
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX",
            LostWhy::Cut,
            "HTTP/1.1: a chunk without size or end",
        ),
        ("Content-Length: 9\r\n\r\nhello", LostWhy::Cut, "closed before the answer was whole"),
    ] {
        let (address, _told, script) =
            server(move |listener, _| say_to_the_end(&listener, &format!("HTTP/1.1 200 OK\r\n{said}"), ""));
        let mut answer = relay(PATIENCE).open(get_from(address, "/")).await.unwrap();
        assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
        let lost = answer.frame().await.unwrap().unwrap_err();
        assert!(
            matches!(&lost, SendError::Lost { status: Some(200), why: w, detail } if *w == why && detail.contains(tells)),
            "{lost:?}"
        );
        assert!(answer.frame().await.is_none());
        script.join().unwrap();
    }
}

/// Whoever leaves with something unread resets the connection, and that is what is told.
#[tokio::test]
async fn a_reset_is_told() {
    let (address, _told, script) = server(|listener, _| {
        read_to(&mut accept(&listener), "\r\n\r\n");
        let mut stream = accept(&listener);
        read_to(&mut stream, "\r\n\r\n");
        say(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
    });
    let relay = relay(PATIENCE);
    let before = relay.open(post_to(address, whole("question"))).await.unwrap_err();
    let answer = relay.open(post_to(address, whole("question"))).await.unwrap();
    let within = answer.collect().await.unwrap_err();
    for (lost, wanted) in [(before, None), (within, Some(200))] {
        assert!(
            matches!(&lost, SendError::Lost { status, why: LostWhy::Reset, detail }
                if *status == wanted && detail.contains("reset by peer")),
            "{lost:?}"
        );
    }
    script.join().unwrap();
}

/// Interim answers without end are no answer, however many come.
#[tokio::test]
async fn interim_answers_do_not_hold_it() {
    let (address, _told, script) =
        server(|listener, _| say_to_the_end(&listener, "", "HTTP/1.1 102 Processing\r\n\r\n"));
    let limit = Duration::from_millis(100);
    let relay = relay_with(Vec::new(), RelayLimits { connect: limit, idle: limit });
    let lost = relay.open(get_from(address, "/")).await.unwrap_err();
    assert!(matches!(lost, SendError::Lost { status: None, why: LostWhy::Timeout, .. }), "{lost:?}");
    script.join().unwrap();
}

/// RFC 9112, section 6.3: a length beside chunks does not count, and is not passed on to somebody who would believe it.
#[tokio::test]
async fn a_length_beside_chunks_is_not_passed_on() {
    let (address, _told, script) = server(|listener, _| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n";
        say_to_the_end(&listener, &format!("{head}5\r\nhello\r\n0\r\n\r\n"), "");
        let mut other = accept(&listener);
        read_to(&mut other, "\r\n\r\n");
        say(&mut other, HI);
    });
    let relay = relay(PATIENCE);
    let answer = relay.open(get_from(address, "/")).await.unwrap();
    assert!(!answer.headers.contains_key("content-length"), "{:?}", answer.headers);
    assert_eq!(text(answer).await, "hello");
    assert_eq!(text(relay.open(get_from(address, "/")).await.unwrap()).await, "hi");
    script.join().unwrap();
}

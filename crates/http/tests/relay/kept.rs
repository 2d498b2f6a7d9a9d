//! Which connections are used again.

use std::sync::mpsc::channel;
use std::time::Duration;

use coderclaw_http::{RelayRequest, SendError};
use http::Method;
use http_body_util::BodyExt;

use crate::script::*;

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

/// What a server says, or that it leaves, after an answer that is over belongs to nobody's question: also where the runtime
/// has not yet heard that something came.
#[tokio::test]
async fn what_comes_unasked_is_no_answer() {
    const EVIL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for (at_once, later) in [(EVIL, ""), ("", EVIL), ("", "close")] {
        let (go, gone) = channel();
        let (address, said, script) = server(move |listener, said| {
            let mut stream = accept(&listener);
            read_to(&mut stream, "\r\n\r\n");
            say(&mut stream, &format!("{HI}{at_once}"));
            gone.recv_timeout(PATIENCE).unwrap();
            if later == "close" {
                drop(stream);
            } else {
                say(&mut stream, later);
            }
            said.send(()).unwrap();
            let mut other = accept(&listener);
            read_to(&mut other, "question");
            say(&mut other, HI);
        });
        let relay = relay(PATIENCE);
        assert_eq!(text(relay.open(get_from(address, "/")).await.unwrap()).await, "hi");
        go.send(()).unwrap();
        // Waits without letting the runtime listen.
        said.recv_timeout(PATIENCE).unwrap();
        assert_eq!(text(relay.open(post_to(address, whole("question"))).await.unwrap()).await, "hi");
        script.join().unwrap();
    }
}

/// An answer may be dropped where there is no runtime.
#[test]
fn a_runtime_is_not_needed_to_let_go() {
    let (address, _told, script) = server(|listener, _| {
        for _ in 0..2 {
            let mut stream = accept(&listener);
            read_to(&mut stream, "\r\n\r\n");
            say(&mut stream, HI);
            assert!(is_closed(&mut stream));
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let relay = relay(PATIENCE);
    for _ in 0..2 {
        let mut answer = runtime.block_on(relay.open(get_from(address, "/"))).unwrap();
        assert_eq!(runtime.block_on(answer.frame()).unwrap().unwrap().into_data().unwrap(), "hi");
        drop(answer);
    }
    script.join().unwrap();
}

/// A server that says it will close need not have done so yet, and one that speaks HTTP/1.0 means it without saying so.
#[tokio::test]
async fn who_says_close_is_believed() {
    for (head, is_kept) in [
        ("HTTP/1.1 200 OK\r\nConnection: x, Close", false),
        ("HTTP/1.0 200 OK", false),
        ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive", true),
    ] {
        let (address, _told, script) = server(move |listener, _| {
            let mut stream = accept(&listener);
            read_to(&mut stream, "\r\n\r\n");
            say(&mut stream, &format!("{head}\r\nContent-Length: 2\r\n\r\nhi"));
            let mut next = if is_kept { stream } else { accept(&listener) };
            read_to(&mut next, "\r\n\r\n");
            say(&mut next, HI);
        });
        let relay = relay(PATIENCE);
        for _ in 0..2 {
            assert_eq!(text(relay.open(get_from(address, "/")).await.unwrap()).await, "hi");
        }
        script.join().unwrap();
    }
}

/// A request whose body breaks off when its answer is under way: the answer comes through, and no request follows half a one.
#[tokio::test]
async fn a_request_that_breaks_off_spoils_its_connection() {
    let (address, _told, script) = server(|listener, _| {
        let mut stream = accept(&listener);
        read_to(&mut stream, "abc");
        say(&mut stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
        let mut other = accept(&listener);
        read_to(&mut other, "\r\n\r\n");
        say(&mut other, HI);
        say(&mut stream, "3\r\ntwo\r\n0\r\n\r\n");
        assert!(is_closed(&mut stream));
        let mut third = accept(&listener);
        read_to(&mut third, "\r\n\r\n");
        say(&mut third, HI);
    });
    let relay = relay(PATIENCE);
    let (sender, body) = parts(Some(6), &["abc"]);
    let mut answer = relay.open(post_to(address, body)).await.unwrap();
    assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
    drop(sender);
    let other = relay.open(get_from(address, "/")).await.unwrap();
    assert_eq!(text(answer).await, "two");
    drop(other);
    assert_eq!(text(relay.open(get_from(address, "/")).await.unwrap()).await, "hi");
    script.join().unwrap();
}

/// One that nobody has closed yet, but that is older than servers keep one, is not used.
#[tokio::test]
async fn an_old_connection_is_not_used() {
    let (address, _told, script) = server(|listener, _| {
        let mut stream = accept(&listener);
        for _ in 0..2 {
            read_to(&mut stream, "\r\n\r\n");
            say(&mut stream, HI);
        }
        let mut other = accept(&listener);
        read_to(&mut other, "\r\n\r\n");
        say(&mut other, HI);
    });
    let relay = relay(PATIENCE);
    // The second time, who closes old ones comes by a while before it is old.
    for seconds in [0, 10, 35] {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
        assert_eq!(text(relay.open(get_from(address, "/")).await.unwrap()).await, "hi");
    }
    script.join().unwrap();
}

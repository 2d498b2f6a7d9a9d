//! The callback's listener over real loopback sockets.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::future::Future;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use coderclaw_oauth::State;
use coderclaw_oauth::callback::{Callback, Listener, WaitError};
use coderclaw_types::Secret;

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const PATH: &str = "/auth/callback";
const LONG: Duration = Duration::from_secs(60);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(future)
}

fn state() -> State {
    State::from_secret(Secret::from("st"))
}

fn get(ip: IpAddr, port: u16, target: &str) -> String {
    raw(ip, port, &format!("GET {target} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"))
}

fn raw(ip: IpAddr, port: u16, request: &str) -> String {
    over(TcpStream::connect((ip, port)).unwrap(), request)
}

fn over(mut stream: TcpStream, request: &str) -> String {
    // A server that has seen enough may close before all is written.
    stream.write_all(request.as_bytes()).ok();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok();
    answer
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

/// Runs `visit` in a thread while a listener waits. Its sockets belong to the runtime that they were made in.
fn on_any_port<T: Send + 'static>(
    visit: impl FnOnce(u16) -> T + Send + 'static,
) -> (Result<Callback, WaitError>, JoinHandle<T>) {
    let (sender, receiver) = mpsc::channel();
    let visitor = spawn(move || visit(receiver.recv().unwrap()));
    let outcome = block_on(async {
        let mut listener = Listener::bind(&[]).await.unwrap();
        sender.send(listener.port()).unwrap();
        listener.wait(PATH, &state(), LONG).await
    });
    (outcome, visitor)
}

/// E4: both families lead here, where there are two.
#[test]
fn e4_both_families() {
    for ip in [V4, V6] {
        if TcpListener::bind((ip, 0)).is_err() {
            assert_eq!(ip, V6, "there is no IPv4 loopback");
            continue;
        }
        let (outcome, visitor) =
            on_any_port(move |port| get(ip, port, "/auth/callback?code=c1&state=st&iss=i"));
        let callback = outcome.unwrap();
        assert_eq!(callback.code, Secret::from("c1"));
        assert_eq!(callback.iss.as_deref(), Some("i"));
        assert!(!visitor.is_finished(), "the page waits for the credential");
        callback.reply.success("As me@example.test.");
        let page = visitor.join().unwrap();
        assert_eq!(status(&page), "200");
        for part in [
            "Cache-Control: no-store\r\n",
            "Referrer-Policy: no-referrer\r\n",
            "Content-Security-Policy: default-src 'none'",
            "Connection: close\r\n",
            "You are logged in",
            "As me@example.test.",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("c1"), "{page}");
    }
}

/// E7: wrong visitors are told so, and the right one is still heard.
#[test]
fn e7_wrong_visitors_then_the_right_one() {
    let (outcome, visitor) = on_any_port(|port| {
        let table = [
            ("/auth/callback?code=x&state=old", "400", "earlier attempt"),
            ("/auth/callback?code=x", "400", "no state"),
            ("/auth/callback?error=access_denied&state=old", "400", "earlier attempt"),
            ("/auth/callback?code=x&code=y&state=st", "400", "twice"),
            ("/auth/callback/?code=x&state=st", "404", "Nothing"),
            ("/success", "404", "Nothing"),
            ("/favicon.ico", "404", "Nothing"),
            ("/cancel", "404", "Nothing"),
            ("http://127.0.0.1/auth/callback?code=x&state=st", "400", "browser"),
        ];
        for (target, wanted, says) in table {
            let page = get(V4, port, target);
            assert_eq!(status(&page), wanted, "{target}");
            assert!(page.contains(says), "{target}: {page}");
        }
        let right = "/auth/callback?code=x&state=st";
        let requests = [
            (format!("POST {right} HTTP/1.1\r\nContent-Length: 0\r\n\r\n"), "405"),
            (format!("HEAD {right} HTTP/1.1\r\n\r\n"), "405"),
            (format!("GET {right} HTTP/1.1\r\nHost: evil.test:{port}\r\n\r\n"), "400"),
            (format!("GET {right} HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n"), "400"),
            ("\u{16}\u{3}\u{1}\r\n\r\n".to_owned(), "400"),
        ];
        for (request, wanted) in requests {
            assert_eq!(status(&raw(V4, port, &request)), wanted, "{request}");
        }
        // Too long, and never complete.
        raw(V4, port, &format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(20_000)));
        get(V4, port, "/auth/callback?code=right&state=st")
    });
    let callback = outcome.unwrap();
    assert_eq!(callback.code, Secret::from("right"));
    callback.reply.failure("id_taken", "That name is <taken>.");
    let page = visitor.join().unwrap();
    assert_eq!(status(&page), "400");
    assert!(page.contains("That name is &lt;taken&gt;. (id_taken)"), "{page}");
}

/// Browsers open connections ahead and leave them silent: these hold up nobody.
#[test]
fn silent_visitors_hold_up_nobody() {
    let (outcome, visitor) = on_any_port(|port| {
        let mut silent: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect((V4, port)).unwrap()).collect();
        for (at, stream) in silent.iter_mut().enumerate() {
            stream.write_all(&b"GET /auth/callback?code=x"[..at]).unwrap();
        }
        let page = get(V4, port, "/auth/callback?code=right&state=st");
        drop(silent);
        page
    });
    let callback = outcome.unwrap();
    assert_eq!(callback.code, Secret::from("right"));
    drop(callback);
    let page = visitor.join().unwrap();
    assert!(status(&page) == "400" && page.contains("The login failed"), "{page}");
}

/// Two browsers at once: one wins, the other is not answered as if it had.
#[test]
fn two_at_once() {
    let (outcome, visitor) = on_any_port(|port| {
        // Both are there before either asks: the listener closes once it has a code.
        let visitors = ["a", "b"].map(|code| (code, TcpStream::connect((V4, port)).unwrap()));
        let visits = visitors.map(|(code, stream)| {
            let target = format!("/auth/callback?code={code}&state=st");
            let request = format!("GET {target} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
            spawn(move || (code, over(stream, &request)))
        });
        visits.map(|visit| visit.join().unwrap())
    });
    let callback = outcome.unwrap();
    let won = callback.code.expose().to_owned();
    callback.reply.success("");
    for (code, page) in visitor.join().unwrap() {
        assert_eq!(page.contains("You are logged in"), code == won, "{code}: {page}");
    }
}

/// A request may come in pieces.
#[test]
fn byte_by_byte() {
    let (outcome, visitor) = on_any_port(|port| {
        let mut stream = TcpStream::connect((V4, port)).unwrap();
        stream.set_nodelay(true).unwrap();
        for byte in b"GET /auth/callback?state=st&code=c HTTP/1.1\r\n\r\n" {
            stream.write_all(&[*byte]).unwrap();
        }
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        page
    });
    outcome.unwrap().reply.success("");
    assert_eq!(status(&visitor.join().unwrap()), "200");
}

/// E6: a refusal ends the wait with the provider's own words.
#[test]
fn e6_denied() {
    let (outcome, visitor) = on_any_port(|port| {
        let query = "error=access_denied&error_description=%3Cb%3ENo%3C/b%3E%1b%5B2J+seat&state=st";
        get(V4, port, &format!("/auth/callback?{query}"))
    });
    let error = outcome.unwrap_err();
    assert_eq!(error.to_string(), "the provider refused: access_denied: <b>No</b>[2J seat");
    let page = visitor.join().unwrap();
    assert!(page.contains("access_denied: &lt;b&gt;No&lt;/b&gt;[2J seat"), "{page}");
    let (outcome, visitor) = on_any_port(|port| get(V4, port, "/auth/callback?state=st"));
    assert_eq!(outcome.unwrap_err(), WaitError::Nothing);
    assert_eq!(status(&visitor.join().unwrap()), "400");
}

/// A Codex CLI that wants the port gets it; a web page that says the same does not.
#[test]
fn gives_way_when_asked_by_a_program() {
    block_on(async {
        let mut listener = Listener::bind(&[]).await.unwrap().yielding();
        let port = listener.port();
        let visitor = spawn(move || {
            let host = format!("Host: 127.0.0.1:{port}\r\n");
            let page =
                raw(V4, port, &format!("GET /cancel HTTP/1.1\r\n{host}Sec-Fetch-Site: cross-site\r\n\r\n"));
            assert_eq!(status(&page), "404");
            raw(V4, port, &format!("GET /cancel HTTP/1.1\r\n{host}Connection: close\r\n\r\n"))
        });
        let outcome = listener.wait(PATH, &state(), LONG).await;
        assert_eq!(outcome.unwrap_err(), WaitError::Cancelled);
        let answer = visitor.join().unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nLogin cancelled"),
            "{answer}"
        );
        drop(listener);
        assert!(TcpStream::connect((V4, port)).is_err(), "the port is free");
    });
}

#[test]
fn takes_the_first_free_port() {
    block_on(async {
        let first = Listener::bind(&[]).await.unwrap();
        let spare = Listener::bind(&[]).await.unwrap().port();
        let second = Listener::bind(&[first.port(), spare]).await.unwrap();
        assert_eq!(second.port(), spare);
        assert_eq!(
            second.redirect_uri("localhost", "/auth/callback"),
            format!("http://localhost:{spare}/auth/callback")
        );
        let error = Listener::bind(&[first.port(), spare]).await.unwrap_err().to_string();
        assert!(error.contains(&format!("tried {}, {spare}", first.port())), "{error}");
    });
}

/// E4: a port whose other family belongs to somebody else is not used, since `localhost` may lead there.
#[test]
fn e4_half_a_port_is_none() {
    block_on(async {
        let Ok(other) = TcpListener::bind((V6, 0)) else {
            return;
        };
        let port = other.local_addr().unwrap().port();
        assert!(Listener::bind(&[port]).await.is_err());
    });
}

#[test]
fn gives_up_in_time_and_can_wait_again() {
    block_on(async {
        let mut listener = Listener::bind(&[]).await.unwrap();
        let port = listener.port();
        let short = Duration::from_millis(20);
        let outcome = listener.wait(PATH, &state(), short).await;
        assert_eq!(outcome.unwrap_err(), WaitError::TimedOut);
        let visitor = spawn(move || get(V4, port, "/auth/callback?code=c&state=st"));
        listener.wait(PATH, &state(), LONG).await.unwrap().reply.success("");
        assert_eq!(status(&visitor.join().unwrap()), "200");
    });
}

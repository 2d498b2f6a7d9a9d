//! Every way of failing, on real sockets, and how often the request arrived.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(unreachable_pub, reason = "tests")]

mod server;

use std::time::Duration;

use coderclaw_http::{
    Answer, BODY_LIMIT, Body, Client, HeaderText, Limits, LostWhy, Network, NotSentWhy, Request, SendError,
    Url,
};
use coderclaw_types::{Env, Secret};
use server::{Act, Server};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nX-Test: Yes\r\nContent-Length: 2\r\n\r\nhi";

fn client(vars: &[(&str, &str)], connect: u64, total: u64) -> Client {
    let vars = vars.iter().map(|(k, v)| ((*k).into(), (*v).into()));
    let network = Network::from_env(&Env::new(vars, None, "/".into()));
    let limits = Limits { connect: Duration::from_millis(connect), total: Duration::from_millis(total) };
    Client::new(&network, limits).unwrap()
}

fn post(url: &str) -> Request {
    let mut url = Url::parse(url).unwrap();
    url.set_query(Some("q=canary"));
    let body = Body {
        content_type: "application/x-www-form-urlencoded",
        bytes: Secret::from("refresh_token=canary"),
    };
    Request::post(url, body).header("x-key", HeaderText::Secret(Secret::from("canary")))
}

fn send(client: &Client, request: Request) -> Result<Answer, SendError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(!format!("{request:?}{client:?}").contains("canary"));
    let answer = runtime.block_on(client.send(request));
    assert!(!format!("{answer:?}").contains("canary"));
    answer
}

fn send_to(url: &str) -> Result<Answer, SendError> {
    send(&client(&[], 5_000, 20_000), post(url))
}

#[track_caller]
fn assert_not_sent(answer: Result<Answer, SendError>, wanted: NotSentWhy, says: &str) {
    match answer {
        Err(SendError::NotSent { why, detail }) => {
            assert_eq!(why, wanted, "{detail}");
            assert!(detail.contains(says), "{detail}");
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_lost(answer: Result<Answer, SendError>, wanted: LostWhy, wanted_status: Option<u16>) {
    match answer {
        Err(SendError::Lost { status, why, detail }) => {
            assert_eq!((why, status), (wanted, wanted_status), "{detail}");
            assert!(!detail.is_empty());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_whole_answer() {
    let server = Server::start(Act::Say(OK.into()));
    let answer = send_to(&server.url("/token")).unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"hi"[..]));
    assert_eq!(answer.header("x-test"), Some("Yes"));
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let request = requests[0].to_lowercase();
    for part in [
        "post /token?q=canary http/1.1\r\n",
        concat!("user-agent: coderclaw/", env!("CARGO_PKG_VERSION"), "\r\n"),
        "content-type: application/x-www-form-urlencoded\r\n",
        "x-key: canary\r\n",
        "\r\n\r\nrefresh_token=canary",
    ] {
        assert!(request.contains(part), "{part}: {request}");
    }
}

#[test]
fn nobody_listens() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let answer = send_to(&format!("http://127.0.0.1:{port}/"));
    assert_not_sent(answer, NotSentWhy::Connect, "refused");
}

#[test]
fn no_such_name() {
    assert_not_sent(send_to("http://id.provider.invalid/"), NotSentWhy::Dns, "id.provider.invalid:80");
}

#[test]
fn what_cannot_be_sent() {
    assert_not_sent(send_to("ftp://127.0.0.1/"), NotSentWhy::Url, "ftp");
    let server = Server::start(Act::Say(OK.into()));
    let request = post(&server.url("/")).header("x-bad", HeaderText::Secret(Secret::from("a\ncanary")));
    let answer = send(&client(&[], 5_000, 20_000), request);
    assert_not_sent(answer, NotSentWhy::Url, "x-bad");
    assert_eq!(server.connections(), 0);
}

#[test]
fn closed_before_and_after_reading() {
    for act in [Act::CloseUnread, Act::CloseRead] {
        let server = Server::start(act);
        match send_to(&server.url("/")) {
            Err(SendError::Lost { status: None, why: LostWhy::Cut | LostWhy::Reset, .. }) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(server.connections(), 1);
    }
}

#[test]
fn half_a_body() {
    for half in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"access_token\":\"canary",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n{\"access_token\":\"canary",
    ] {
        let server = Server::start(Act::Say(half.into()));
        assert_lost(send_to(&server.url("/")), LostWhy::Cut, Some(200));
        assert_eq!((server.connections(), server.requests().len()), (1, 1));
    }
}

#[test]
fn half_a_head_and_garbage() {
    for bytes in ["HTTP/1.1 200 OK\r\nContent-", "canary\r\n\r\n", "HTTP/9.9 200 canary\r\n\r\n"] {
        let server = Server::start(Act::Say(bytes.into()));
        assert_lost(send_to(&server.url("/")), LostWhy::Cut, None);
        assert_eq!((server.connections(), server.requests().len()), (1, 1));
    }
}

#[test]
fn too_slow() {
    let client = client(&[], 250, 300);
    let table: [(&[u8], Option<u16>); 3] = [
        (b"", None),
        (b"HTTP/1.1 200 OK\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{", Some(200)),
    ];
    for (bytes, status) in table {
        let server = Server::start(Act::SayAndHang(bytes.into()));
        assert_lost(send(&client, post(&server.url("/"))), LostWhy::Timeout, status);
        assert_eq!((server.connections(), server.requests().len()), (1, 1));
    }
}

#[test]
fn too_large() {
    let exact = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY_LIMIT}\r\n\r\n{}", "x".repeat(BODY_LIMIT));
    let server = Server::start(Act::Say(exact.into()));
    assert_eq!(send_to(&server.url("/")).unwrap().body.len(), BODY_LIMIT);
    let large = format!("HTTP/1.1 200 OK\r\n\r\n{}", "canary ".repeat(300_000));
    let server = Server::start(Act::Say(large.into()));
    assert_lost(send_to(&server.url("/")), LostWhy::TooLarge, Some(200));
    assert_eq!(server.requests().len(), 1);
}

/// A redirect would carry the body, and with it the token, to somebody else (RFC 9700 section 4.12).
#[test]
fn redirects_are_answers() {
    let elsewhere = Server::start(Act::Say(OK.into()));
    for status in [301, 302, 303, 307, 308] {
        let location = elsewhere.url("/stolen");
        let head = format!("HTTP/1.1 {status} Go\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let server = Server::start(Act::Say(head.into()));
        let answer = send_to(&server.url("/")).unwrap();
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("location"), Some(location.as_str()));
        assert_eq!(server.requests().len(), 1);
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn error_statuses_are_answers_and_come_once() {
    for status in [400, 401, 408, 421, 425, 429, 500, 502, 503, 504, 529] {
        let head = format!("HTTP/1.1 {status} X\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n");
        let server = Server::start(Act::Say(head.into()));
        assert_eq!(send_to(&server.url("/")).unwrap().status, status);
        assert_eq!((server.connections(), server.requests().len()), (1, 1), "{status}");
    }
}

#[test]
fn no_connection_is_used_twice() {
    let server = Server::start(Act::SayAndHang(OK.into()));
    let client = client(&[], 5_000, 20_000);
    for sent in 1..=3 {
        send(&client, post(&server.url("/"))).unwrap();
        assert_eq!(server.connections(), sent);
    }
}

/// E16: what fails says whose CAs were trusted.
#[test]
fn e16_https_asked_of_a_plain_server() {
    let plain = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec();
    for act in [Act::Greeted(plain), Act::Greeted(Vec::new()), Act::Greeted(vec![21, 3, 3, 0, 2, 2, 40])] {
        let server = Server::start(act);
        let url = server.url("/").replace("http:", "https:");
        assert_not_sent(send_to(&url), NotSentWhy::Tls, "CAs");
        assert_eq!((server.connections(), server.requests().len()), (1, 0));
    }
    let server = Server::start(Act::CloseUnread);
    let url = server.url("/").replace("http:", "https:");
    assert!(matches!(send_to(&url), Err(SendError::NotSent { .. })));
}

#[test]
fn a_handshake_that_hangs_was_not_sent() {
    let server = Server::start(Act::Hang);
    let url = server.url("/").replace("http:", "https:");
    let answer = send(&client(&[], 200, 20_000), post(&url));
    assert_not_sent(answer, NotSentWhy::Timeout, "127.0.0.1");
    assert_eq!(server.connections(), 1);
}

/// E15: a plain request goes to the proxy, which sees whom it is for; a refused one is an answer.
#[test]
fn e15_http_proxy() {
    let proxy = Server::start(Act::Say(OK.into()));
    let address = format!("http://user:pass@127.0.0.1:{}", proxy.port);
    let client = client(&[("HTTP_PROXY", &address)], 5_000, 20_000);
    assert_eq!(send(&client, post("http://id.provider.invalid/token")).unwrap().status, 200);
    let request = proxy.requests().concat().to_lowercase();
    assert!(request.starts_with("post http://id.provider.invalid/token?q=canary http/1.1\r\n"), "{request}");
    // base64 of "user:pass", lower-cased like all the rest.
    assert!(request.contains("proxy-authorization: basic dxnlcjpwyxnz\r\n"), "{request}");
    // This machine itself is not asked for there.
    let server = Server::start(Act::Say(OK.into()));
    send(&client, post(&server.url("/"))).unwrap();
    assert_eq!((proxy.connections(), server.connections()), (1, 1));
}

/// E15: a tunnel that is refused, cut or never comes has not sent anything.
#[test]
fn e15_tunnel_refused() {
    let refused = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_vec();
    let auth = b"HTTP/1.1 407 Auth\r\nContent-Length: 0\r\n\r\n".to_vec();
    for act in [Act::Say(refused), Act::Say(auth), Act::CloseRead] {
        let proxy = Server::start(act);
        let address = format!("http://u:canary@127.0.0.1:{}", proxy.port);
        let client = client(&[("HTTPS_PROXY", &address)], 5_000, 20_000);
        let answer = send(&client, post("https://id.provider.invalid/token"));
        assert_not_sent(answer, NotSentWhy::Proxy, "HTTPS_PROXY");
        let request = proxy.requests().concat();
        assert!(request.starts_with("CONNECT id.provider.invalid:443 HTTP/1.1\r\n"), "{request}");
        assert!(!request.contains("refresh_token"), "{request}");
    }
    let proxy = Server::start(Act::Hang);
    let address = format!("127.0.0.1:{}", proxy.port);
    let client = client(&[("ALL_PROXY", &address)], 200, 20_000);
    let answer = send(&client, post("https://id.provider.invalid/token"));
    assert_not_sent(answer, NotSentWhy::Timeout, "ALL_PROXY");
}

/// E15: no TLS behind the tunnel is a failed handshake.
#[test]
fn e15_tunnel_without_tls() {
    let plain = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec();
    let proxy = Server::start(Act::Tunnel(plain));
    let address = format!("http://127.0.0.1:{}", proxy.port);
    let client = client(&[("HTTPS_PROXY", &address)], 5_000, 20_000);
    let answer = send(&client, post("https://id.provider.invalid/token"));
    assert_not_sent(answer, NotSentWhy::Tls, "HTTPS_PROXY");
    assert_eq!(proxy.connections(), 1);
}

/// E15: with socks5h the proxy looks up the name.
#[test]
fn e15_socks() {
    let proxy = Server::start(Act::Socks(OK.into()));
    let address = format!("socks5h://127.0.0.1:{}", proxy.port);
    let client = client(&[("ALL_PROXY", &address)], 5_000, 20_000);
    assert_eq!(send(&client, post("http://id.provider.invalid/token")).unwrap().status, 200);
    let requests = proxy.requests();
    assert_eq!(requests[0], "SOCKS id.provider.invalid");
    assert!(requests[1].starts_with("POST /token?q=canary HTTP/1.1\r\n"), "{requests:?}");
}

/// E15: a setting that makes no sense, or a proxy that is not there, is named.
#[test]
fn e15_bad_proxies() {
    let bad = client(&[("https_proxy", "ftp://u:canary@p")], 5_000, 20_000);
    let answer = send(&bad, post("https://id.provider.invalid/"));
    assert_not_sent(answer, NotSentWhy::Proxy, "https_proxy: the proxy scheme \"ftp\"");
    let gone = client(&[("https_proxy", "http://u:canary@proxy.invalid:8080")], 5_000, 20_000);
    let answer = send(&gone, post("https://id.provider.invalid/"));
    assert_not_sent(answer, NotSentWhy::Proxy, "http://proxy.invalid:8080 (https_proxy)");
}

const HALF: &[u8] = b"HTTP/1.1 200 OK\r\nX-Test: Yes\r\nContent-Length: 9\r\n\r\nhi";

/// A stream is ended by silence only, not by the time limit of small answers; and dropping it closes the connection.
#[test]
fn streams_end_by_silence() {
    let server = Server::start(Act::SayAndHang(HALF.into()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = client(&[], 5_000, 100);
        let idle = Duration::from_millis(400);
        let mut incoming = client.open(post(&server.url("/")), idle).await.unwrap();
        assert_eq!((incoming.status, incoming.header("x-test")), (200, Some("Yes")));
        assert_eq!(incoming.chunk().await.unwrap().unwrap(), "hi");
        let began = std::time::Instant::now();
        match incoming.chunk().await {
            Err(SendError::Lost { status: Some(200), why: LostWhy::Timeout, detail }) => {
                assert!(detail.contains("nothing came"), "{detail}");
            }
            other => panic!("{other:?}"),
        }
        assert!(began.elapsed() >= idle, "the total limit does not count");
        assert!(!format!("{incoming:?}").contains("canary"));
    });
}

#[test]
fn a_head_that_does_not_come() {
    let server = Server::start(Act::Hang);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let opened =
        runtime.block_on(client(&[], 5_000, 5_000).open(post(&server.url("/")), Duration::from_millis(200)));
    match opened {
        Err(SendError::Lost { status: None, why: LostWhy::Timeout, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stream_is_cut_read_whole_or_not_begun() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let idle = Duration::from_secs(20);
    let client = client(&[], 5_000, 20_000);
    let cut = Server::start(Act::Say(HALF.into()));
    let whole = Server::start(Act::Say(OK.into()));
    let huge = [b"HTTP/1.1 500 No\r\n\r\n".as_slice(), &vec![b'x'; BODY_LIMIT + 1]].concat();
    let huge = Server::start(Act::Say(huge));
    runtime.block_on(async {
        let incoming = client.open(post(&cut.url("/")), idle).await.unwrap();
        assert!(matches!(incoming.whole().await, Err(SendError::Lost { status: Some(200), .. })));
        let incoming = client.open(post(&whole.url("/")), idle).await.unwrap();
        assert_eq!(incoming.whole().await.unwrap().body, b"hi");
        let incoming = client.open(post(&huge.url("/")), idle).await.unwrap();
        match incoming.whole().await {
            Err(SendError::Lost { status: Some(500), why: LostWhy::TooLarge, .. }) => {}
            other => panic!("{other:?}"),
        }
        let nobody = client.open(post("ftp://127.0.0.1/"), idle).await;
        assert!(matches!(nobody, Err(SendError::NotSent { why: NotSentWhy::Url, .. })));
    });
}

//! The same over TLS, with servers that are not always polite.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use coderclaw_http::{LostWhy, Relay, RelayLimits, RelayRequest, SendError, Url};
use http_body_util::BodyExt;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::requests::{echo, much};
use crate::script::*;

type Secure = StreamOwned<ServerConnection, TcpStream>;

/// A server's side of TLS, and a relay that trusts it.
fn trusted(folder: &Path) -> (Arc<ServerConfig>, Relay) {
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let file = folder.join("own.pem");
    std::fs::write(&file, own.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let env = vec![("NODE_EXTRA_CA_CERTS".into(), file.into())];
    (Arc::new(config), relay_with(env, RelayLimits { connect: PATIENCE, idle: PATIENCE }))
}

fn accept_secure(listener: &TcpListener, config: &Arc<ServerConfig>) -> Secure {
    StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), accept(listener))
}

/// Leaves without a word.
fn cut(stream: &Secure) {
    stream.sock.shutdown(Shutdown::Both).unwrap();
}

/// Says that it is leaving.
fn close(stream: &mut Secure) {
    stream.conn.send_close_notify();
    stream.flush().unwrap();
}

/// The same request over TLS.
fn secure(request: RelayRequest) -> RelayRequest {
    let port = request.url.port().unwrap();
    let url = Url::parse(&format!("https://localhost:{port}{}", request.url.path())).unwrap();
    RelayRequest { url, ..request }
}

/// One connection for several requests: new keys in between are no answer, and the request after them can be read.
#[tokio::test]
async fn new_keys_between_two_answers() {
    let folder = tempfile::tempdir().unwrap();
    let (config, relay) = trusted(folder.path());
    let (address, renewed, script) = server(move |listener, renewed| {
        let mut stream = accept_secure(&listener, &config);
        read_to(&mut stream, "\r\n\r\n");
        say(&mut stream, HI);
        stream.conn.refresh_traffic_keys().unwrap();
        stream.flush().unwrap();
        renewed.send(()).unwrap();
        read_to(&mut stream, "question");
        say(&mut stream, HI);
    });
    assert_eq!(text(relay.open(secure(get_from(address, "/"))).await.unwrap()).await, "hi");
    told(renewed).await;
    let second = secure(post_to(address, whole("question")));
    assert_eq!(text(relay.open(second).await.unwrap()).await, "hi");
    script.join().unwrap();
}

/// Everything that is given to TLS leaves, and everything that comes is read, however much waits on either side.
#[tokio::test]
async fn both_ways_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (config, relay) = trusted(folder.path());
    let much = much();
    let (address, _told, script) = server(move |listener, _| {
        let mut stream = accept_secure(&listener, &config);
        for _ in 0..2 {
            echo(&mut stream, much.len());
        }
    });
    for _ in 0..2 {
        let answer = relay.open(secure(post_to(address, whole(much)))).await.unwrap();
        assert!(text(answer).await == much);
    }
    script.join().unwrap();
}

/// A short request is with the server before its body is whole: nothing of it waits for the rest.
#[tokio::test]
async fn what_is_there_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let (config, relay) = trusted(folder.path());
    let (address, _told, script) = server(move |listener, _| {
        let mut stream = accept_secure(&listener, &config);
        read_to(&mut stream, "abc");
        say(&mut stream, HI);
        assert!(is_closed(&mut stream));
    });
    let answer = relay.open(secure(post_to(address, Box::pin(Stuck(false))))).await.unwrap();
    assert_eq!(text(answer).await, "hi");
    script.join().unwrap();
}

/// Where an answer ends with its connection, only a farewell is an end: anybody in between can cut.
#[tokio::test]
async fn a_cut_is_no_end() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\n";
    for (framing, says_so, is_whole) in [
        ("\r\nhello", true, true),
        ("\r\nhello", false, false),
        ("Content-Length: 5\r\n\r\nhello", false, true),
        ("Content-Length: 6\r\n\r\nhello", true, false),
        ("Content-Length: 6\r\n\r\nhello", false, false),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", true, false),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", false, true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (config, relay) = trusted(folder.path());
        let (address, over, script) = server(move |listener, over| {
            for text in [&*format!("{HEAD}{framing}"), "", HI] {
                let mut stream = accept_secure(&listener, &config);
                read_to(&mut stream, "\r\n\r\n");
                say(&mut stream, text);
                if says_so {
                    close(&mut stream);
                }
                cut(&stream);
                over.send(()).unwrap();
            }
        });
        let mut answer = relay.open(secure(get_from(address, "/"))).await.unwrap();
        let mut all = Vec::new();
        let end = loop {
            match answer.frame().await {
                Some(Ok(frame)) => all.extend_from_slice(&frame.into_data().unwrap()),
                Some(Err(e)) => break Some(e),
                None => break None,
            }
        };
        assert_eq!(all, b"hello");
        over.recv_timeout(PATIENCE).unwrap();
        assert_eq!(end.is_none(), is_whole, "{framing:?} {says_so}: {end:?}");
        let before = relay.open(secure(get_from(address, "/"))).await.unwrap_err();
        over.recv_timeout(PATIENCE).unwrap();
        for lost in end.into_iter().chain([before]) {
            assert!(
                matches!(&lost, SendError::Lost { why: LostWhy::Cut, detail, .. }
                    if detail.ends_with(": the connection was closed before the answer was whole")),
                "{framing:?} {says_so}: {lost:?}"
            );
        }
        assert_eq!(text(relay.open(secure(get_from(address, "/"))).await.unwrap()).await, "hi");
        script.join().unwrap();
    }
}

/// RFC 8446, section 6.1: whoever leaves says so, in the middle of an answer, after it, and where a request was too much.
#[tokio::test]
async fn we_say_that_we_leave() {
    let folder = tempfile::tempdir().unwrap();
    let (config, relay) = trusted(folder.path());
    let (address, _told, script) = server(move |listener, _| {
        for answer in ["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", HI, &format!("{HI}more")] {
            let mut stream = accept_secure(&listener, &config);
            read_to(&mut stream, "\r\n\r\n");
            say(&mut stream, answer);
            assert_eq!(stream.read(&mut [0; 64]).unwrap(), 0, "{answer}");
        }
    });
    for is_half in [false, true, false] {
        let request = match is_half {
            true => post_to(address, Box::pin(Stuck(true))),
            false => get_from(address, "/"),
        };
        let mut answer = relay.open(secure(request)).await.unwrap();
        assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "hi");
    }
    script.join().unwrap();
}

/// A farewell that came with the answer is heard, also where the connection itself stays open.
#[tokio::test]
async fn a_farewell_ends_a_connection() {
    let folder = tempfile::tempdir().unwrap();
    let (config, relay) = trusted(folder.path());
    let (address, _told, script) = server(move |listener, _| {
        let mut stream = accept_secure(&listener, &config);
        read_to(&mut stream, "\r\n\r\n");
        // In one packet.
        stream.conn.writer().write_all(HI.as_bytes()).unwrap();
        close(&mut stream);
        let mut other = accept_secure(&listener, &config);
        read_to(&mut other, "\r\n\r\n");
        say(&mut other, HI);
    });
    for _ in 0..2 {
        assert_eq!(text(relay.open(secure(get_from(address, "/"))).await.unwrap()).await, "hi");
    }
    script.join().unwrap();
}

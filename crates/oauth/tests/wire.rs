//! Requests to a token endpoint over a real socket, and what no public type prints.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::spawn;
use std::time::Duration;

use coderclaw_http::{Client, Limits, Network, Url};
use coderclaw_oauth::{
    AuthorizationRequest, Encoding, Pkce, RefreshAnswer, State, TokenEndpoint, TokenHint, exchange,
    refresh_request, revoke_request, send,
};
use coderclaw_types::Secret;

fn client() -> Client {
    let limits = Limits { connect: Duration::from_secs(5), total: Duration::from_secs(20) };
    Client::new(&Network::default(), limits).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(future)
}

/// Answers one request with `answer` and hands back what it was.
fn endpoint(answer: &'static str) -> (TokenEndpoint, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut seen, mut buffer) = (String::new(), [0; 4096]);
        // The last parameter that is sent.
        while !seen.contains("client_id=app") {
            let n = stream.read(&mut buffer).unwrap();
            assert!(n > 0, "{seen}");
            seen.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
        }
        stream.write_all(answer.as_bytes()).unwrap();
        seen
    });
    let endpoint = TokenEndpoint {
        url: Url::parse(&format!("http://127.0.0.1:{port}/oauth/token")).unwrap(),
        client_id: "app".into(),
        encoding: Encoding::Form,
        extra: Vec::new(),
    };
    (endpoint, server)
}

#[test]
fn a_code_becomes_tokens() {
    let (endpoint, server) = endpoint(
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 43\r\n\r\n\
         {\"access_token\":\"canary\",\"expires_in\":\"60\"} ",
    );
    let (code, verifier) = (Secret::from("c"), Secret::from("v"));
    let answer = block_on(exchange(&client(), &endpoint, &code, &verifier, "http://127.0.0.1:1/cb"));
    assert!(!format!("{answer:?}").contains("canary"));
    let RefreshAnswer::Granted(tokens) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!((tokens.access, tokens.expires_in), (Secret::from("canary"), Some(60)));
    assert!(tokens.server_date.is_some());
    let request = server.join().unwrap();
    assert!(request.starts_with("POST /oauth/token HTTP/1.1\r\n"), "{request}");
    assert!(request.to_lowercase().contains("accept: application/json\r\n"), "{request}");
    let body = "grant_type=authorization_code&code=c&redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2Fcb\
                &code_verifier=v&client_id=app";
    assert!(request.ends_with(body), "{request}");
}

/// What left, and what did not.
#[test]
fn refreshes_that_fail() {
    let refresh = Secret::from("canary");
    let table = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"access_token\":\"can", "ambiguous"),
        ("", "ambiguous"),
        ("HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", "ambiguous"),
        ("HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "not spent"),
        ("HTTP/1.1 400 Bad\r\nContent-Length: 25\r\n\r\n{\"error\":\"invalid_grant\"}", "refused"),
    ];
    for (bytes, wanted) in table {
        let (endpoint, server) = endpoint(bytes);
        let answer = block_on(send(&client(), refresh_request(&endpoint, &refresh)));
        let class = match &answer {
            RefreshAnswer::Granted(_) => "granted",
            RefreshAnswer::Refused { .. } => "refused",
            RefreshAnswer::NotSpent { .. } => "not spent",
            RefreshAnswer::Ambiguous { .. } => "ambiguous",
            RefreshAnswer::Offline { .. } => "offline",
        };
        assert_eq!(class, wanted, "{bytes}: {answer:?}");
        assert!(!format!("{answer:?}").contains("canary"));
        server.join().unwrap();
        // Nobody is there any more.
        let answer = block_on(send(&client(), refresh_request(&endpoint, &refresh)));
        assert!(matches!(answer, RefreshAnswer::Offline { .. }), "{answer:?}");
    }
}

/// G1, G2: nothing that may end in a log prints a secret.
#[test]
fn g1_no_debug_shows_a_secret() {
    let canary = Secret::from("canary-canary-canary-canary-canary-canary-canary");
    let pkce = Pkce::from_verifier(canary.clone()).unwrap();
    let endpoint = TokenEndpoint {
        url: Url::parse("https://id.test/token").unwrap(),
        client_id: "app".into(),
        encoding: Encoding::Json,
        extra: Vec::new(),
    };
    let state = State::from_secret(canary.clone());
    let authorization = AuthorizationRequest {
        authorize_url: endpoint.url.clone(),
        client_id: "app".into(),
        redirect_uri: "http://127.0.0.1:1/cb".into(),
        scopes: Vec::new(),
        extra: Vec::new(),
        challenge: pkce.challenge(),
        state: state.clone(),
    };
    let redirected = coderclaw_oauth::callback::read_query(
        "code=canary&state=canary-canary-canary-canary-canary-canary-canary",
        &state,
    );
    let refresh = refresh_request(&endpoint, &canary);
    let revoke = revoke_request(&endpoint, &canary, TokenHint::Refresh);
    let texts = format!("{pkce:?}{state:?}{authorization:?}{redirected:?}{refresh:?}{revoke:?}{endpoint:?}");
    assert!(!texts.contains("canary"), "{texts}");
}

//! The token socket with clients that are rude, slow or too many, and with limits that a test can wait for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed step is a failed test")]
#![allow(clippy::disallowed_methods, reason = "a test makes its own files")]
#![allow(missing_docs, reason = "tests")]

mod ground;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coderclaw_gateway::{LendRequest, Limits, ReportRequest, SocketError, Tell, TokenSocket};
use coderclaw_types::{Code, Secret};
use serde_json::{Value, json};

use crate::ground::Ground;

const PATIENCE: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);

struct World {
    socket: PathBuf,
    key: Secret,
    said: Arc<Mutex<String>>,
    _ground: Ground,
}

/// Two profiles of `acme`, one of `other`, and a key for `acme`.
fn world(limits: Limits) -> World {
    let manifest = |id: &str| {
        format!(
            "id = '{id}'\nname = 'X'\n[api]\nkind = 'openai-chat'\nbase_url = 'http://127.0.0.1:1/v1'\n[lend]\nenv = {{ X_TOKEN = '{{token}}' }}\n[[auth]]\nmethod = 'api-key'\n"
        )
    };
    let entry = |provider: &str, key: &str| json!({"type": "api_key", "provider": provider, "key": key});
    let store = json!({"version": 1, "profiles": {
        "acme:x": entry("acme", "acme-canary-x"), "acme:y": entry("acme", "acme-canary-y"),
        "other:z": entry("other", "other-canary-z"),
    }});
    let files = [
        ("providers/acme.toml", manifest("acme")),
        ("providers/other.toml", manifest("other")),
        ("agents/main/agent/auth-profiles.json", store.to_string()),
    ];
    let ground = Ground::new(&files, &["acme"]);
    let said = Arc::new(Mutex::new(String::new()));
    let to = Arc::clone(&said);
    let tell: Tell = Arc::new(move |note| to.lock().unwrap().push_str(&(note.text + "\n")));
    let gateway = ground.gateway(true, tell, limits);
    let socket = gateway.socket().unwrap();
    ground.runtime.spawn(gateway.run(std::future::pending()));
    World { socket, key: ground.key.clone(), said, _ground: ground }
}

impl World {
    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn hello(&self) -> String {
        format!("{}\n", json!({"op": "hello", "versions": [1], "key": self.key.expose()}))
    }

    fn client(&self) -> TokenSocket {
        TokenSocket::connect(&self.socket, Some(self.key.clone())).unwrap().0
    }

    /// Everything that comes back to these bytes until the gateway closes.
    fn answers(&self, bytes: &[u8]) -> Vec<Value> {
        let mut stream = self.connect();
        // Who is closed upon cannot say everything.
        drop(stream.write_all(bytes));
        drop(stream.shutdown(std::net::Shutdown::Write));
        all(stream)
    }
}

fn all(mut stream: UnixStream) -> Vec<Value> {
    let mut bytes = Vec::new();
    drop(stream.read_to_end(&mut bytes));
    let text = String::from_utf8(bytes).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn lend(profile: Option<&str>) -> LendRequest {
    LendRequest { provider: "acme".into(), profile: profile.map(str::to_owned), min_validity_ms: 0 }
}

/// Noise is answered once and closed upon; what is merely unknown is answered, and the next line is served.
#[test]
fn garbage_costs_its_own_connection_only() {
    let world = world(Limits::default());
    for noise in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"\x00\xff\xfe\n{\"op\":\"list\"}\n",
        b"[]\n{\"op\":\"list\"}\n",
        b"\"x\"\n",
        b"\n",
        b"{\"op\":\n",
        b"{\"op\":\"list\"}\n{\"op\":\"list\"}\n",
        b"{\"op\":\"steal\"}\n{\"op\":\"list\"}\n",
        b"{\"op\":\"hello\",\"versions\":[1]}\n{\"op\":\"list\"}\n",
        b"{\"op\":\"hello\",\"versions\":[1],\"key\":\"ccg_wrong\"}\n{\"op\":\"list\"}\n",
        b"{\"op\":\"hello\",\"versions\":[7],\"key\":\"x\"}\n{\"op\":\"list\"}\n",
    ] {
        let answers = world.answers(noise);
        assert_eq!(answers.len(), 1, "{}: {answers:?}", String::from_utf8_lossy(noise));
        assert_eq!(answers[0]["ok"], false);
        assert!(Code::from_text(answers[0]["error"]["code"].as_str().unwrap()).is_some(), "{answers:?}");
    }
    assert_eq!(world.answers(b""), Vec::<Value>::new());
    assert_eq!(world.answers(b"{\"op\":\"hel"), Vec::<Value>::new());
    let known = world.hello()
        + "{\"op\":\"steal\",\"id\":[1]}\n{\"op\":\"lend\",\"id\":\"b\"}\n{\"op\":\"list\",\"id\":3}\n";
    let answers = world.answers((known + &world.hello()).as_bytes());
    let seen: Vec<_> = answers.iter().map(|one| (one["ok"].clone(), one["id"].clone())).collect();
    let expected = [
        (true, Value::Null),
        (false, json!([1])),
        (false, json!("b")),
        (true, json!(3)),
        (false, Value::Null),
    ];
    assert_eq!(seen, expected.map(|(ok, id)| (json!(ok), id)));
    // A token where a name should be is not written down.
    let token = "canary".repeat(10);
    let asked = format!("{}{}\n", world.hello(), json!({"op": "lend", "provider": token}));
    assert_eq!(world.answers(asked.as_bytes())[1]["error"]["code"], "unknown_provider");
    let said = world.said.lock().unwrap();
    assert!(said.contains("unknown_provider") && !said.contains("canary"), "{said}");
}

/// H4: what the key is not for is refused by name, and does not even show in the list.
#[test]
fn h4_a_key_opens_what_it_is_for() {
    let world = world(Limits::default());
    let (mut client, welcome) = TokenSocket::connect(&world.socket, Some(world.key.clone())).unwrap();
    assert_eq!(
        (welcome.version, welcome.agent_id.as_str(), &welcome.providers),
        (1, "main", &vec!["acme".into()])
    );
    let listing = client.list().unwrap();
    let ids: Vec<_> = listing.profiles.iter().map(|one| one.profile_id.as_str()).collect();
    assert_eq!((ids, listing.providers.len()), (vec!["acme:x", "acme:y"], 1));
    let lease = client.lend(lend(Some("acme:y"))).unwrap();
    assert_eq!(lease.token.unwrap().expose(), "acme-canary-y");
    assert_eq!(lease.env[0].name, "X_TOKEN");
    assert!(lease.unset.contains(&"X_TOKEN".to_owned()), "{:?}", lease.unset);
    let refused =
        client.lend(LendRequest { provider: "other".into(), ..LendRequest::default() }).unwrap_err();
    assert_eq!(refused.code(), Code::GatewayKeyRefused);
    assert!(refused.to_string().contains("not for other"), "{refused}");
    assert_eq!(client.lend(lend(Some("acme:nobody"))).unwrap_err().code(), Code::UnknownProfile);
    // Somebody else's loan cannot be reported on.
    let report = ReportRequest {
        provider: "other".into(),
        profile_id: Some("other:z".into()),
        generation: 1,
        status: 401,
        headers: Default::default(),
        body: String::new(),
    };
    assert_eq!(client.report(report.clone()).unwrap_err().code(), Code::GatewayKeyRefused);
    let nonsense = ReportRequest { provider: "acme".into(), status: 7, ..report };
    assert_eq!(client.report(nonsense).unwrap_err().code(), Code::Usage);
    let text = std::fs::read_to_string(world.socket.with_file_name("generations.json")).unwrap();
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn a_line_without_end_is_cut_off() {
    let world = world(Limits { line_bytes: 1_000, ..Limits::default() });
    let answers = world.answers((world.hello() + &"x".repeat(100_000)).as_bytes());
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert!(answers[1]["error"]["message"].as_str().unwrap().contains("1000 bytes"), "{answers:?}");
    let exact = format!("{{\"op\":\"list\",\"id\":\"{}\"}}", "i".repeat(1_000 - 22));
    assert_eq!(exact.len(), 999);
    let answers = world.answers((world.hello() + &exact + "\n").as_bytes());
    assert!(answers.len() == 2 && answers[1]["ok"] == true, "{answers:?}");
}

/// Who drips a line in, or is silent for too long, is let go; who is served meanwhile notices nothing.
#[test]
fn slow_and_silent_clients_are_let_go() {
    let world = world(Limits { head: SHORT, socket_idle: SHORT, line_bytes: 1 << 30, ..Limits::default() });
    let mut slow = world.connect();
    slow.write_all(world.hello().as_bytes()).unwrap();
    let mut drip = slow.try_clone().unwrap();
    let dripped = std::thread::spawn(move || while drip.write_all(b" ").is_ok() {});
    assert_eq!(all(slow).len(), 1);
    dripped.join().unwrap();
    let mut silent = world.connect();
    silent.write_all(world.hello().as_bytes()).unwrap();
    assert_eq!(all(silent).len(), 1);
    // Asks and asks, and never reads: the answers pile up, and then nobody waits for it any more.
    let mut deaf = world.connect();
    deaf.write_all(world.hello().as_bytes()).unwrap();
    let asked = std::thread::spawn(move || while deaf.write_all(b"{\"op\":\"list\"}\n").is_ok() {});
    asked.join().unwrap();
    assert_eq!(world.client().list().unwrap().profiles.len(), 2);
}

/// One too many hears why; a seat that is left is free again.
#[test]
fn too_many_clients_are_turned_away() {
    let world = world(Limits { socket_clients: 2, ..Limits::default() });
    let (first, _second) = (world.client(), world.client());
    let answers = all(world.connect());
    assert_eq!(answers[0]["error"]["code"], "gateway_refused", "{answers:?}");
    drop(first);
    let began = std::time::Instant::now();
    loop {
        match TokenSocket::connect(&world.socket, Some(world.key.clone())) {
            Ok(_) => break,
            Err(e) => assert!(began.elapsed() < PATIENCE, "{e}"),
        }
        std::thread::yield_now();
    }
}

/// The client's end: nobody there, and somebody there who is no gateway.
#[test]
fn a_client_tells_what_it_met() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.sock");
    let key = || Some(Secret::from("ccg_canary"));
    let error = TokenSocket::connect(&path, key()).unwrap_err();
    assert!(matches!(error, SocketError::Down { .. }) && error.code() == Code::SocketDown, "{error}");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let served = std::thread::spawn(move || {
        for answer in ["", "hello\n", "{\"ok\":true}\n", "{\"ok\":false}\n", "{\"ok\":true,\"version\":1"] {
            let (stream, _) = listener.accept().unwrap();
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    for _ in 0..5 {
        let error = TokenSocket::connect(&path, key()).unwrap_err();
        assert!(
            matches!(error, SocketError::Lost { .. }) && !error.to_string().contains("canary"),
            "{error}"
        );
    }
    served.join().unwrap();
}

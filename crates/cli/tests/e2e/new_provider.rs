//! A provider that nobody has told us of, from nothing: as docs/new-provider.md tells it, with the very file that stands
//! there, against a certified server and a model API of four lines.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::server::Server;
use crate::world::World;

/// A model API: it answers in OpenAI's chat dialect and keeps what it was asked.
struct Model {
    base_url: String,
    seen: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Debug, Clone)]
struct Asked {
    line: String,
    bearer: String,
    body: Value,
}

impl Model {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &log);
            }
        });
        Self { base_url, seen }
    }

    fn last(&self) -> Asked {
        self.seen.lock().unwrap().last().cloned().expect("the model was asked")
    }
}

fn answer(mut stream: TcpStream, log: &Mutex<Vec<Asked>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap() == 0 {
            return;
        }
    }
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    let bearer = header("authorization").and_then(|value| Some(value.strip_prefix("Bearer ")?.to_owned()));
    log.lock().unwrap().push(Asked {
        line: head.lines().next().unwrap_or_default().to_owned(),
        bearer: bearer.unwrap_or_default(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    });
    let events = concat!(
        r#"data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"Good "},"finish_reason":null}]}"#,
        "\n\n",
        r#"data: {"choices":[{"index":0,"delta":{"content":"morning, Ann."},"finish_reason":"stop"}]}"#,
        "\n\ndata: [DONE]\n\n",
    );
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("{head}{events}").as_bytes()).unwrap();
}

/// The file as the page shows it, with the addresses of this test.
fn file_of_the_page(world: &World, model: &Model) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/new-provider.md");
    let page = std::fs::read_to_string(page).unwrap();
    let block = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let changed = block
        .replace("https://id.acme.example", &world.server.issuer_text)
        .replace("https://api.acme.example/v1", &model.base_url)
        .replace("\"coderclaw\"", "\"coderclaw-e2e\"");
    assert_eq!(changed.matches("acme.example").count(), 0, "{changed}");
    changed
}

/// E14: `plugins new`, an edit, `plugins check`, a login, a turn; it expires, and the next turn refreshes it first.
#[test]
fn e14_a_provider_from_nothing() {
    let mut world = World::without_a_provider(Server::start("oidc-provider", None));
    let model = Model::start();
    let unknown = world.run(&["models", "auth", "login", "--provider", "acme", "--no-browser"]);
    assert_eq!(unknown.code(), "unknown_provider", "{unknown:?}");

    let said = world.run(&["plugins", "new", "acme"]).ok();
    let path = world.path().join("state/providers/acme.toml");
    let path_text = path.to_str().unwrap();
    assert!(said.contains(&format!("coderclaw plugins check {path_text}")), "{said}");
    world.run(&["plugins", "check", path_text]).ok();
    // The edit. The file stays the one that was made: its owner's alone.
    std::fs::write(&path, file_of_the_page(&world, &model)).unwrap();
    let checked = world.run(&["plugins", "check", path_text]).ok();
    for line in ["is good: acme (Acme AI)", "login    ok", "refresh  ok"] {
        assert!(checked.contains(line), "{line}\n{checked}");
    }
    assert_eq!(world.server.counts().described, 0, "nothing is sent to the provider");

    let said = world.login_ok();
    assert!(said.contains("Stored acme:ann@e2e.test"), "{said}");
    let turn = ["agent", "--message", "Good morning", "--model", "acme/large-1", "--json"];
    let told = world.run(&turn).json();
    assert_eq!(
        (&told["reply"], &told["profileId"]),
        (&"Good morning, Ann.".into(), &"acme:ann@e2e.test".into())
    );
    let first = model.last();
    assert_eq!(first.line, "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(first.body["model"], "large-1");
    assert_eq!(world.server.userinfo(&first.bearer).unwrap()["sub"], "ann@e2e.test");

    world.later(7_200);
    world.run(&turn).ok();
    let second = model.last();
    assert!(second.bearer != first.bearer && world.server.userinfo(&second.bearer).is_some());
    let counts = world.server.counts();
    assert_eq!((counts.exchanged, counts.refreshed, counts.refused), (1, 1, 0));
}

//! Asking models, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a failed step is a failed test"
)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use coderclaw_agents::model::{Done, Event, Message, ModelClient, Prompt, Role, Stop, Usage};
use coderclaw_auth::Lease;
use coderclaw_http::Network;
use coderclaw_providers::{CredentialKind, Failure, FailureKind, Manifest, Registry};
use coderclaw_sandbox::{Body, KeyKind, ModelFault, Options, Reply, Sandbox};
use coderclaw_store::AgentPaths;
use coderclaw_types::{AgentId, Clock, Env, Millis, ProviderId, Secret};

const NOW: Millis = Millis(1_800_000_000_000);
const SOON: Duration = Duration::from_secs(20);

/// A provider, how its credential looks, and whose it is.
const PROVIDERS: &[(&str, CredentialKind, &str)] = &[
    ("anthropic", CredentialKind::ApiKey, "key-account"),
    ("anthropic", CredentialKind::Token, "setup-account"),
    ("openai", CredentialKind::ApiKey, "plain-account"),
    ("openai-codex", CredentialKind::OAuth, "acct-ann"),
    ("groq", CredentialKind::ApiKey, "plain-account"),
];

struct World {
    sandbox: Sandbox,
    registry: Registry,
    login: Secret,
}

impl World {
    fn new() -> Self {
        let sandbox = Sandbox::start(Options::new(Clock::fixed(NOW))).unwrap();
        sandbox.add_key(KeyKind::AnthropicKey, &Secret::from("key-canary"), "key-account");
        sandbox.add_key(KeyKind::SetupToken, &Secret::from("setup-canary"), "setup-account");
        sandbox.add_key(KeyKind::Bearer, &Secret::from("plain-canary"), "plain-account");
        let files = ["anthropic", "openai", "openai-codex", "groq"]
            .map(|id| (format!("{id}.toml").into(), sandbox.model_manifest(id)));
        let registry = Registry::with_files(files).unwrap();
        let login = sandbox.grant("ann").access;
        Self { sandbox, registry, login }
    }

    fn manifest(&self, provider: &str) -> &Manifest {
        self.registry.get(&ProviderId::new(provider)).unwrap()
    }

    fn lease(&self, provider: &str, kind: CredentialKind) -> Lease {
        let (token, account) = match (provider, kind) {
            ("anthropic", CredentialKind::ApiKey) => (Secret::from("key-canary"), None),
            ("anthropic", _) => (Secret::from("setup-canary"), None),
            ("openai-codex", _) => (self.login.clone(), Some("acct-ann")),
            _ => (Secret::from("plain-canary"), None),
        };
        let manifest = self.manifest(provider);
        lease(manifest, kind, token, account)
    }
}

fn lease(manifest: &Manifest, kind: CredentialKind, token: Secret, account: Option<&str>) -> Lease {
    Lease {
        provider: ProviderId::new(&manifest.id),
        profile: None,
        owner: AgentPaths { agent: AgentId::main(), dir: "/nowhere".into(), sessions_dir: "/nowhere".into() },
        source: "profile".into(),
        kind,
        headers: manifest.request_headers(kind, &token, account),
        env: Vec::new(),
        account_id: account.map(str::to_owned),
        valid_until: None,
        lent_at: NOW,
        after_rejection: false,
        moved: None,
        token,
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn client() -> ModelClient {
    let network = Network::from_env(&Env::new([], None, "/".into()));
    ModelClient::new(&network, Clock::fixed(NOW)).unwrap().idle(SOON)
}

/// What came before the end, and how it ended.
async fn all(
    client: &ModelClient,
    manifest: &Manifest,
    lease: &Lease,
    prompt: &Prompt,
) -> (String, Result<Done, Failure>) {
    let mut text = String::new();
    let mut reply = match client.ask(manifest, lease, prompt).await {
        Ok(reply) => reply,
        Err(failure) => return (text, Err(failure)),
    };
    loop {
        match reply.next().await.unwrap() {
            Ok(Event::Text(more)) => text.push_str(&more),
            Ok(Event::Done(done)) => {
                assert!(reply.next().await.is_none());
                return (text, Ok(done));
            }
            Err(failure) => {
                assert!(reply.next().await.is_none());
                return (text, Err(failure));
            }
        }
    }
}

fn ask(world: &World, provider: &str, kind: CredentialKind) -> (String, Result<Done, Failure>) {
    let lease = world.lease(provider, kind);
    run(all(&client(), world.manifest(provider), &lease, &Prompt::new("m-1", "Hi there")))
}

#[test]
fn every_dialect_answers_for_its_own_account() {
    let world = World::new();
    for (provider, kind, account) in PROVIDERS {
        let (text, done) = ask(&world, provider, *kind);
        assert_eq!(text, format!("{account} m-1: Hi there"), "{provider}");
        assert_eq!(done.unwrap(), Done { stop: Stop::End, usage: Usage { input: 3, output: 5 } });
        let call = world.sandbox.log().last().unwrap().model.clone().unwrap();
        assert_eq!(call.account.as_deref(), Some(*account));
        let agent = &call.headers["user-agent"];
        assert!(agent.starts_with("coderclaw/"), "no other program is imitated: {agent}");
    }
}

#[test]
fn a_conversation_goes_out_whole() {
    let world = World::new();
    let say = |role, text: &str| Message { role, text: text.into() };
    let prompt = Prompt {
        system: Some("Be brief.".into()),
        messages: vec![say(Role::User, "One"), say(Role::Assistant, "Two"), say(Role::User, "Three \u{e9}")],
        max_tokens: Some(7),
        ..Prompt::new("m-2", "")
    };
    for (provider, kind, account) in PROVIDERS {
        let lease = world.lease(provider, *kind);
        let (text, done) = run(all(&client(), world.manifest(provider), &lease, &prompt));
        assert_eq!(text, format!("{account} m-2: Three \u{e9}"));
        assert!(done.is_ok(), "{provider}: the rules of each route are kept");
    }
}

#[test]
fn failures_are_told_apart() {
    let world = World::new();
    let hour = Some(Millis(NOW.0 + 3_600_000));
    let minute = Some(Millis(NOW.0 + 60_000));
    let table = [
        (ModelFault::UsageLimit(3600), FailureKind::UsageLimit, hour),
        (ModelFault::ModelUsageLimit(60), FailureKind::ModelLimit, minute),
        (ModelFault::RateLimit(Some(60)), FailureKind::RateLimit, minute),
        (ModelFault::RateLimit(None), FailureKind::RateLimit, None),
        (ModelFault::ModelRateLimit(Some(60)), FailureKind::ModelLimit, minute),
        (ModelFault::Expired, FailureKind::Rejected, None),
        (ModelFault::Revoked, FailureKind::Revoked, None),
        (ModelFault::Unauthorized, FailureKind::Unauthorized, None),
        (ModelFault::Billing, FailureKind::Billing, None),
        (ModelFault::Forbidden, FailureKind::NotPermitted, None),
        (ModelFault::Verify, FailureKind::AccountBlocked, None),
        (ModelFault::Overloaded, FailureKind::Unavailable, None),
        (ModelFault::Page(403), FailureKind::Unknown, None),
        (ModelFault::Page(200), FailureKind::Unknown, None),
        (ModelFault::Page(502), FailureKind::Unavailable, None),
        (ModelFault::Reply(Reply::new(200, Body::Json("{}".into()))), FailureKind::Unknown, None),
        (ModelFault::ExpiresMidStream, FailureKind::Rejected, None),
        (ModelFault::OverloadedMidStream, FailureKind::Unavailable, None),
        (ModelFault::LimitMidStream(3600), FailureKind::UsageLimit, hour),
        (ModelFault::EndsEarly, FailureKind::Network, None),
        (ModelFault::Cut, FailureKind::Network, None),
    ];
    for (provider, kind, account) in PROVIDERS {
        for (fault, expected, reset) in &table {
            world.sandbox.script_model(Some(account), fault.clone(), 1);
            let (text, end) = ask(&world, provider, *kind);
            let failure = end.unwrap_err();
            assert_eq!((failure.kind, failure.reset), (*expected, *reset), "{provider} {fault:?} {failure}");
            assert!(!failure.to_string().contains("canary"));
            let is_in_stream = matches!(
                fault,
                ModelFault::ExpiresMidStream
                    | ModelFault::OverloadedMidStream
                    | ModelFault::LimitMidStream(_)
                    | ModelFault::EndsEarly
                    | ModelFault::Cut
            );
            // What had come before the failure was handed on, and is no success.
            assert_eq!(!text.is_empty(), is_in_stream, "{provider} {fault:?}");
        }
    }
}

/// Events that nobody knows and bytes that are none are passed over.
#[test]
fn garbage_between_the_events() {
    let world = World::new();
    for (provider, kind, account) in PROVIDERS {
        world.sandbox.script_model(None, ModelFault::Garbage, 1);
        let (text, end) = ask(&world, provider, *kind);
        assert!(end.is_ok() && text.starts_with(account), "{provider}");
    }
}

#[test]
fn text_is_handed_on_as_it_comes() {
    let world = World::new();
    for (provider, kind, account) in PROVIDERS {
        let gate = world.sandbox.stream_gate();
        let lease = world.lease(provider, *kind);
        run(async {
            let prompt = Prompt::new("m-1", "Hi there");
            let mut reply = client().ask(world.manifest(provider), &lease, &prompt).await.unwrap();
            // The first words stand in the fourth chunk at the latest; the end is held.
            gate.step(4);
            match reply.next().await.unwrap().unwrap() {
                Event::Text(text) => assert_eq!(text, format!("{account} ")),
                other => panic!("{other:?}"),
            }
            gate.open();
            while let Some(event) = reply.next().await {
                event.unwrap();
            }
        });
    }
}

#[test]
fn dropping_the_reply_gives_the_request_up() {
    let world = World::new();
    world.sandbox.script_model(None, ModelFault::Stall, 1);
    let lease = world.lease("openai", CredentialKind::ApiKey);
    run(async {
        let prompt = Prompt::new("m-1", "Hi");
        let mut reply = client().ask(world.manifest("openai"), &lease, &prompt).await.unwrap();
        assert!(matches!(reply.next().await, Some(Ok(Event::Text(_)))));
    });
    let left =
        |log: &[coderclaw_sandbox::Seen]| log.last().unwrap().model.as_ref().is_some_and(|call| call.left);
    assert!(world.sandbox.wait_for(SOON, left), "the server sees it");
}

/// A silent stream is given up after the idle time, and only then.
#[test]
fn a_silent_stream_is_given_up() {
    let world = World::new();
    world.sandbox.script_model(None, ModelFault::Stall, 1);
    let lease = world.lease("anthropic", CredentialKind::ApiKey);
    let client = client().idle(Duration::from_millis(300));
    let (text, end) = run(all(&client, world.manifest("anthropic"), &lease, &Prompt::new("m-1", "Hi")));
    let failure = end.unwrap_err();
    assert_eq!((failure.kind, text.is_empty()), (FailureKind::Network, false));
    assert!(failure.to_string().contains("nothing came"), "{failure}");
}

/// A server that says what it is told to, in writes of one byte.
fn says(answer: &'static [u8]) -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        for byte in answer {
            // The client may have what it needs and go.
            if stream.write_all(&[*byte]).and_then(|()| stream.flush()).is_err() {
                return;
            }
        }
        // Until the client closes, which it does at the end of the answer.
        drop(stream.read_to_end(&mut Vec::new()));
    });
    (port, thread)
}

/// The connection stays open after the last event, there is no content type, an item comes whole, and lines end as on an old
/// machine: the answer is complete all the same.
#[test]
fn the_last_event_is_the_end() {
    let (port, server) = says(
        b"HTTP/1.1 200 OK\r\n\r\n\
          data: {\"type\":\"response.created\"}\r\r\
          : hello\r\n\
          data: {\"type\":\"response.output_item.done\",\"item\":{\"type\":\"message\",\r\n\
          data: \"content\":[{\"type\":\"output_text\",\"text\":\"caf\xc3\xa9\"}]}}\r\n\r\n\
          data: {\"type\":\"response.incomplete\",\"response\":{\"incomplete_details\":{\"reason\":\"max_output_tokens\"}}}\n\n",
    );
    let file = format!("extends = \"openai\"\n[api]\nbase_url = \"http://127.0.0.1:{port}\"\n");
    let registry = Registry::with_files([("openai.toml".into(), file)]).unwrap();
    let manifest = registry.get(&ProviderId::new("openai")).unwrap();
    let lease = lease(manifest, CredentialKind::ApiKey, Secret::from("k"), None);
    let (text, end) = run(all(&client(), manifest, &lease, &Prompt::new("m", "Hi")));
    assert_eq!((text.as_str(), end.unwrap().stop), ("caf\u{e9}", Stop::Length));
    server.join().unwrap();
}

/// Some servers of the Chat Completions kind leave `[DONE]` out; without a reason for its end no answer is complete.
#[test]
fn chat_ends_with_a_reason() {
    let part = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":";
    for (reason, complete) in [("\"stop\"", true), ("null", false)] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{part}{reason}}}]}}\n\n",
            part.len() + reason.len() + 5
        );
        let (port, server) = says(Box::leak(answer.into_bytes().into_boxed_slice()));
        let file = format!("extends = \"groq\"\n[api]\nbase_url = \"http://127.0.0.1:{port}\"\n");
        let registry = Registry::with_files([("groq.toml".into(), file)]).unwrap();
        let manifest = registry.get(&ProviderId::new("groq")).unwrap();
        let lease = lease(manifest, CredentialKind::ApiKey, Secret::from("k"), None);
        let (text, end) = run(all(&client(), manifest, &lease, &Prompt::new("m", "Hi")));
        assert_eq!((text.as_str(), end.is_ok()), ("a", complete));
        server.join().unwrap();
    }
}

#[test]
fn no_server_is_a_lost_network() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let file = format!("extends = \"openai\"\n[api]\nbase_url = \"http://127.0.0.1:{port}\"\n");
    let registry = Registry::with_files([("openai.toml".into(), file)]).unwrap();
    let manifest = registry.get(&ProviderId::new("openai")).unwrap();
    let lease = lease(manifest, CredentialKind::ApiKey, Secret::from("canary"), None);
    let failure = run(client().ask(manifest, &lease, &Prompt::new("m", "Hi"))).unwrap_err();
    assert_eq!((failure.kind, failure.status), (FailureKind::Network, None));
    assert!(failure.to_string().contains("refused") && !format!("{failure:?}").contains("canary"));
}

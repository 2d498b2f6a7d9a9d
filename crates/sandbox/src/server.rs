//! Sockets: one thread per connection, one request per connection, and an end that comes at once.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use serde_json::json;

use crate::admin::admin;
use crate::answer::{Answer, Delivery};
use crate::authorize::authorize;
use crate::device;
use crate::http::{Request, Response};
use crate::log::{Kind, Seen};
use crate::made;
use crate::model::{End, Stream, may_go, model};
use crate::registered;
use crate::state::{GatePhase, Shared, State};
use crate::token::{jwks, revoke, token, userinfo, whoami};

/// More than the 128 that std asks for: connections beyond that would be retried by the kernel a second later, and
/// hundreds of clients at once are what this server is for.
const BACKLOG: i32 = 1024;

/// A client that sends nothing for this long is forgotten.
const IDLE: Duration = Duration::from_secs(60);

/// A listener on a free port of 127.0.0.1.
pub(crate) fn bind() -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    rustix::net::listen(&listener, BACKLOG)?;
    Ok(listener)
}

/// Serves until [`stop`].
pub(crate) fn run(shared: &Arc<Shared>, listener: &TcpListener) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    loop {
        let accepted = listener.accept();
        if shared.lock().stopping {
            break;
        }
        match accepted {
            Ok((stream, _)) => {
                threads.retain(|thread| !thread.is_finished());
                threads.extend(spawn(shared, stream));
            }
            // Out of file descriptors, or a client that left: wait for better times.
            Err(_) if shared.pause(Duration::from_millis(10)) => {}
            Err(_) => break,
        }
    }
    for thread in threads {
        // A connection that panicked has said so on stderr; there is nobody else to tell.
        drop(thread.join());
    }
}

/// Ends everything: whoever waits is woken, whoever reads or writes finds the connection closed.
pub(crate) fn stop(shared: &Shared, address: SocketAddr, acceptor: Option<JoinHandle<()>>) {
    shared.change(|state| {
        state.stopping = true;
        for stream in state.connections.values() {
            stream.shutdown(Shutdown::Both).ok();
        }
    });
    // std cannot interrupt an accept, but a visitor can.
    drop(TcpStream::connect_timeout(&address, Duration::from_secs(1)));
    if let Some(acceptor) = acceptor {
        drop(acceptor.join());
    }
}

/// A connection while it is known to [`stop`].
struct Connection {
    shared: Arc<Shared>,
    id: u64,
    stream: Arc<TcpStream>,
}

impl Connection {
    fn open(shared: &Arc<Shared>, stream: TcpStream) -> Option<Self> {
        let stream = Arc::new(stream);
        let mut state = shared.lock();
        if state.stopping {
            return None;
        }
        state.last_connection += 1;
        let id = state.last_connection;
        state.connections.insert(id, Arc::clone(&stream));
        drop(state);
        Some(Self { shared: Arc::clone(shared), id, stream })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // No `change`: nobody waits for this, and 256 of them would wake everybody 256 times.
        self.shared.lock().connections.remove(&self.id);
    }
}

fn spawn(shared: &Arc<Shared>, stream: TcpStream) -> Option<JoinHandle<()>> {
    let connection = Connection::open(shared, stream)?;
    let work = move || {
        // An error here is a client that left or sent nonsense: its connection closes, the server goes on.
        serve(&connection.shared, &connection.stream).ok();
    };
    Builder::new().name("sandbox".into()).stack_size(256 * 1024).spawn(work).ok()
}

fn serve(shared: &Shared, mut stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    if unread(shared, stream)? {
        return Ok(());
    }
    let request = match Request::read(stream) {
        Ok(Some(request)) => request,
        Ok(None) => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => {
            let (head, _) = Response::empty(400).bytes(shared.now(&shared.lock()));
            return stream.write_all(&head);
        }
        Err(e) => return Err(e),
    };
    let answer = shared.change(|state| route(shared, state, &request));
    deliver(shared, stream, answer)
}

/// Whether this connection is one to leave with its request unread. Closing it then resets it.
fn unread(shared: &Shared, stream: &TcpStream) -> io::Result<bool> {
    const TOKEN: &[u8] = b"POST /oauth/token ";
    let mut start = [0; TOKEN.len()];
    let n = stream.peek(&mut start)?;
    if n == 0 || start[..n] != TOKEN[..n] {
        return Ok(false);
    }
    Ok(shared.change(|state| {
        let hit = state.faults.take_unread();
        if hit {
            let mut seen = Seen::new(shared.now(state), Kind::Other);
            seen.fault = Some("drop_before_read");
            state.log.push(seen);
        }
        hit
    }))
}

fn route(shared: &Shared, state: &mut State, request: &Request) -> Answer {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/oauth/authorize") => authorize(shared, state, request).into(),
        ("GET", "/api/accounts/authorize") => registered::authorize(shared, state, request).into(),
        ("POST", "/api/accounts/oauth/token") => registered::token(shared, state, request),
        ("POST", "/api/accounts/oauth/revoke") => revoke(shared, state, request),
        ("POST", "/oauth/token") => token(shared, state, request),
        ("POST", "/oauth/revoke") => revoke(shared, state, request),
        ("GET", "/api/whoami") => whoami(shared, state, request),
        ("POST", "/oauth/device") => device::begin(shared, state, request),
        ("POST", "/api/accounts/deviceauth/usercode") => device::begin_openai(shared, state, request),
        ("POST", "/api/accounts/deviceauth/token") => device::poll_openai(shared, state, request),
        ("GET", "/device" | "/codex/device") => device::page(state, request).into(),
        ("GET", "/auth") => made::key_page(shared, state, request).into(),
        ("POST", "/api/v1/auth/keys") => made::key(shared, state, request),
        ("GET", "/copilot_internal/v2/token") => made::access(shared, state, request),
        ("GET", "/oauth/jwks") => jwks(shared, state),
        ("GET", "/user") => made::user(shared, state, request),
        (_, path) if is_model_path(path) => model(shared, state, request).unwrap_or_else(|| {
            let mut seen = Seen::new(shared.now(state), Kind::Other);
            seen.status = Some(404);
            state.log.push(seen);
            Response::empty(404).into()
        }),
        ("GET" | "POST", "/oauth/userinfo") => userinfo(shared, state, request),
        (_, path) if shared.admin && path.starts_with("/admin/") => admin(state, request).into(),
        (method, path) => {
            let response = match (method, path) {
                ("GET", "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server") => {
                    Response::json(200, metadata(&shared.origin))
                }
                (
                    _,
                    "/oauth/jwks" | "/oauth/userinfo" | "/oauth/authorize" | "/oauth/token" | "/oauth/revoke"
                    | "/api/whoami",
                ) => Response::empty(405),
                _ => Response::empty(404),
            };
            let mut seen = Seen::new(shared.now(state), Kind::Other);
            seen.status = Some(response.status);
            state.log.push(seen);
            response.into()
        }
    }
}

fn is_model_path(path: &str) -> bool {
    const ROOTS: [&str; 7] = [
        "/v1/",
        "/v1internal:",
        "/backend-api/",
        "/company/v1/",
        "/api/oauth/usage",
        "/api/monitor/",
        "/copilot_internal/user",
    ];
    ROOTS.iter().any(|root| path.starts_with(root))
}

/// RFC 8414 section 2, OpenID Connect Discovery section 3.
fn metadata(origin: &str) -> String {
    json!({
        "issuer": origin,
        "authorization_endpoint": format!("{origin}/oauth/authorize"),
        "token_endpoint": format!("{origin}/oauth/token"),
        "revocation_endpoint": format!("{origin}/oauth/revoke"),
        "jwks_uri": format!("{origin}/oauth/jwks"),
        "userinfo_endpoint": format!("{origin}/oauth/userinfo"),
        "id_token_signing_alg_values_supported": ["ES256"],
        "subject_types_supported": ["public"],
        "response_types_supported": ["code"],
        "device_authorization_endpoint": format!("{origin}/oauth/device"),
        "grant_types_supported": [
            "authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code",
        ],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "authorization_response_iss_parameter_supported": true,
    })
    .to_string()
}

fn deliver(shared: &Shared, mut stream: &TcpStream, answer: Answer) -> io::Result<()> {
    if let Some(gate) = answer.gate {
        let running = shared.wait_running(|state| state.gates.get(&gate) != Some(&GatePhase::Held));
        shared.lock().gates.remove(&gate);
        if !running {
            return Ok(());
        }
    }
    let now = shared.now(&shared.lock());
    if let Delivery::Stream(plan) = answer.delivery {
        stream.write_all(&answer.response.stream_head(now))?;
        return deliver_chunks(shared, stream, &plan);
    }
    let (mut bytes, body) = answer.response.bytes(now);
    match answer.delivery {
        Delivery::Drop | Delivery::Stream(_) => Ok(()),
        Delivery::Hang => until_gone(stream),
        Delivery::Delayed(span) if !shared.pause(span) => Ok(()),
        Delivery::Whole | Delivery::Delayed(_) => {
            bytes.extend(body);
            stream.write_all(&bytes)
        }
        Delivery::Half => {
            bytes.extend(&body[..body.len() / 2]);
            stream.write_all(&bytes)
        }
        Delivery::Slow(pause) => {
            stream.write_all(&bytes)?;
            for byte in body {
                if !shared.pause(pause) {
                    break;
                }
                stream.write_all(&[byte])?;
            }
            Ok(())
        }
    }
}

fn deliver_chunks(shared: &Shared, stream: &TcpStream, plan: &Stream) -> io::Result<()> {
    let whole = write_chunks(shared, stream, plan);
    // A client that leaves is noticed at the next write, or while it is waited for.
    if whole.is_err() || plan.end == End::Stall {
        shared.change(|state| {
            if let Some(call) = state.log.get_mut(plan.entry).and_then(|seen| seen.model.as_mut()) {
                call.left = true;
            }
        });
    }
    whole
}

fn write_chunks(shared: &Shared, mut stream: &TcpStream, plan: &Stream) -> io::Result<()> {
    for chunk in &plan.chunks {
        if let Some(gate) = plan.gate
            && !shared.wait_running(|state| may_go(state, gate))
        {
            return Ok(());
        }
        let mut bytes = format!("{:x}\r\n", chunk.len()).into_bytes();
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
        stream.write_all(&bytes)?;
        if let Some(gate) = plan.gate {
            shared.change(|state| {
                if let Some(gate) = state.stream_gates.get_mut(&gate) {
                    gate.sent += 1;
                }
            });
        }
    }
    match plan.end {
        End::Whole => stream.write_all(b"0\r\n\r\n"),
        End::Cut => Ok(()),
        End::Stall => until_gone(stream),
    }
}

/// Reads until the client closes, or [`stop`] does.
fn until_gone(mut stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(None)?;
    while stream.read(&mut [0; 64])? > 0 {}
    Ok(())
}

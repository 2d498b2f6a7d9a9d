//! The servers, and what is asked of them.

use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use coderclaw_http::{Network, Relay, RelayBody, RelayLimits, RelayRequest, Relayed, Url};
use coderclaw_types::Env;
use http::{HeaderMap, Method};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const HI: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// A server that does what `script` says, and tells when it gets somewhere.
pub(crate) fn server(
    script: impl FnOnce(TcpListener, Sender<()>) + Send + 'static,
) -> (SocketAddr, Receiver<()>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (reached, told) = channel();
    (address, told, std::thread::spawn(move || script(listener, reached)))
}

pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads as far as `end`.
pub(crate) fn read_to(stream: &mut impl Read, end: &str) -> String {
    let (mut bytes, mut one) = (Vec::new(), [0]);
    while !bytes.ends_with(end.as_bytes()) {
        assert_eq!(stream.read(&mut one).unwrap(), 1, "{}", String::from_utf8_lossy(&bytes));
        bytes.push(one[0]);
    }
    String::from_utf8(bytes).unwrap()
}

pub(crate) fn say(stream: &mut impl Write, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
    stream.flush().unwrap();
}

pub(crate) fn is_closed(stream: &mut impl Read) -> bool {
    match stream.read(&mut [0; 64]) {
        Ok(n) => n == 0,
        Err(e) => matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof),
    }
}

pub(crate) fn relay(idle: Duration) -> Relay {
    relay_with(Vec::new(), RelayLimits { connect: PATIENCE, idle })
}

pub(crate) fn relay_with(env: Vec<(OsString, OsString)>, limits: RelayLimits) -> Relay {
    Relay::new(&Network::from_env(&Env::new(env, None, "/".into())), limits).unwrap()
}

pub(crate) fn get(url: &str) -> RelayRequest {
    let url = Url::parse(url).unwrap();
    RelayRequest { method: Method::GET, url, headers: HeaderMap::new(), body: None }
}

pub(crate) fn get_from(address: SocketAddr, path: &str) -> RelayRequest {
    get(&format!("http://{address}{path}"))
}

pub(crate) fn post_to(address: SocketAddr, body: RelayBody) -> RelayRequest {
    RelayRequest { method: Method::POST, body: Some(body), ..get_from(address, "/") }
}

pub(crate) fn whole(text: &'static str) -> RelayBody {
    Box::pin(Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}))
}

pub(crate) async fn text(answer: Relayed) -> String {
    String::from_utf8(answer.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// Waits for the script while the runtime looks after its sockets.
pub(crate) async fn told(told: Receiver<()>) -> Receiver<()> {
    tokio::task::spawn_blocking(move || {
        told.recv_timeout(PATIENCE).unwrap();
        told
    })
    .await
    .unwrap()
}

/// Three bytes of ten, and then nothing.
pub(crate) struct Stuck(pub(crate) bool);

impl Body for Stuck {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"abc")))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(10)
    }
}

/// Parts as somebody gives them, with or without a length that is told before.
struct Parts(tokio::sync::mpsc::UnboundedReceiver<&'static str>, Option<u64>);

impl Body for Parts {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let part = self.0.poll_recv(context);
        part.map(|part| part.map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes())))))
    }

    fn size_hint(&self) -> SizeHint {
        self.1.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

pub(crate) fn parts(
    length: Option<u64>,
    first: &[&'static str],
) -> (tokio::sync::mpsc::UnboundedSender<&'static str>, RelayBody) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    for part in first {
        sender.send(*part).unwrap();
    }
    (sender, Box::pin(Parts(receiver, length)))
}

//! A company's network: names that only the proxy knows, and certificates of a CA of its own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::spawn;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What passed by, in order.
type Log = Arc<Mutex<Vec<String>>>;

/// Where TLS ends, in front of a server without TLS: `https://idp.test:PORT`, or whatever else it has certificates for.
pub(crate) struct FrontDoor {
    pub(crate) port: u16,
    pub(crate) ca_file: PathBuf,
    seen: Log,
    listener: TcpListener,
    config: Arc<ServerConfig>,
}

impl FrontDoor {
    pub(crate) const NAME: &str = "idp.test";

    /// Takes a port and makes the certificates; nothing is served yet, since the server behind must know the port first.
    pub(crate) fn new(folder: &Path, names: &[&str]) -> Self {
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
        let ca_file = folder.join("company-ca.pem");
        std::fs::write(&ca_file, ca.pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let mut own = own.unwrap();
        // OpenSSL takes a certificate with its CA's name for a self-signed one.
        own.distinguished_name.push(DnType::CommonName, names[0]);
        let own = own.signed_by(&key, &ca).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { port, ca_file, seen: Log::default(), listener, config: Arc::new(config) }
    }

    /// Passes every request on to `behind`.
    pub(crate) fn open(&self, behind: u16) {
        let (listener, config, seen) =
            (self.listener.try_clone().unwrap(), Arc::clone(&self.config), Arc::clone(&self.seen));
        spawn(move || {
            for client in listener.incoming() {
                let (config, seen) = (Arc::clone(&config), Arc::clone(&seen));
                spawn(move || {
                    let connection = ServerConnection::new(config).unwrap();
                    let mut client = StreamOwned::new(connection, client.unwrap());
                    // A client that does not trust the certificate leaves without a request.
                    let Some((head, body)) = read_request(&mut client) else { return };
                    seen.lock().unwrap().push(head.lines().next().unwrap_or_default().to_owned());
                    let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
                    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, behind)).unwrap();
                    server.write_all(head.as_bytes()).unwrap();
                    server.write_all(&body).unwrap();
                    let mut answer = Vec::new();
                    // One that breaks off has said what it has said, and a client may have left before.
                    server.read_to_end(&mut answer).ok();
                    client.write_all(&answer).ok();
                    client.conn.send_close_notify();
                    client.flush().ok();
                });
            }
        });
    }

    /// The request lines so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// A proxy that notes what it is asked for, and is the only one to know where some names are.
pub(crate) struct Proxy {
    pub(crate) url: String,
    seen: Log,
}

impl Proxy {
    /// The names with their ports as clients ask for them, and the port on this machine where all of them are.
    pub(crate) fn start(names: &[String], port: u16) -> Self {
        let names: Arc<[String]> = names.into();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Log::default();
        let log = Arc::clone(&seen);
        spawn(move || {
            for client in listener.incoming() {
                let (log, names) = (Arc::clone(&log), Arc::clone(&names));
                spawn(move || pass(client.unwrap(), &log, &names, port));
            }
        });
        Self { url, seen }
    }

    /// Every request line so far: a tunnel's `CONNECT host:port`, or a plain request as a whole.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn pass(mut client: TcpStream, log: &Log, names: &[String], port: u16) {
    let Some((head, _)) = read_request(&mut client) else { return };
    let line = head.lines().next().unwrap_or_default().to_owned();
    log.lock().unwrap().push(line.clone());
    let target = line.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    if !target.is_some_and(|target| names.iter().any(|name| name == target)) {
        client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").ok();
        return;
    }
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
    spawn(move || copy(back.0, back.1));
    copy(client, server);
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    std::io::copy(&mut from, &mut to).ok();
    to.shutdown(Shutdown::Write).ok();
}

/// Head and body of one request; `None` where none comes.
fn read_request(stream: &mut impl Read) -> Option<(String, Vec<u8>)> {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    let end = loop {
        if let Some(at) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        let n = stream.read(&mut buffer).ok().filter(|n| *n > 0)?;
        seen.extend_from_slice(&buffer[..n]);
    };
    let mut body = seen.split_off(end);
    let head = String::from_utf8(seen).unwrap();
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    while body.len() < length.unwrap_or(0) {
        let n = stream.read(&mut buffer).ok().filter(|n| *n > 0)?;
        body.extend_from_slice(&buffer[..n]);
    }
    Some((head, body))
}

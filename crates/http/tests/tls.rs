//! Whom TLS trusts. The CAs are looked up in the process's environment by the platform verifier, so that each case runs in
//! a process of its own: this very program, started again.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test writes its fixtures and reads what its parent passed on"
)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use coderclaw_http::{Client, Limits, Network, Request, Url};
use coderclaw_types::Env;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A server for `localhost` whose certificate comes from a company's own CA. Returns its port and the CA's file.
fn company(folder: &Path) -> (u16, PathBuf) {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let ca_file = folder.join("ca.pem");
    std::fs::write(&ca_file, ca.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let own = own.signed_by(&key, &ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            let mut buffer = [0; 4096];
            // A client that does not trust us says so and leaves.
            if stream.read(&mut buffer).is_ok_and(|n| n > 0) {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").ok();
                stream.conn.send_close_notify();
                stream.flush().ok();
            }
        }
    });
    (port, ca_file)
}

/// Not a test by itself: what each case runs in a process of its own.
#[test]
#[ignore = "run by the other tests"]
fn child() {
    let network = Network::from_env(&Env::new(std::env::vars_os(), None, "/".into()));
    let limits = Limits { connect: Duration::from_secs(5), total: Duration::from_secs(20) };
    let client = Client::new(&network, limits).unwrap();
    let url = Url::parse(&std::env::var("TEST_URL").unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    println!("{:?}", runtime.unwrap().block_on(client.send(Request::get(url))));
}

fn get(url: &str, ca_file: Option<&Path>) -> String {
    get_with(url, "SSL_CERT_FILE", ca_file)
}

fn get_with(url: &str, variable: &str, ca_file: Option<&Path>) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "child", "--nocapture"]);
    for name in ["SSL_CERT_DIR", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"] {
        command.env_remove(name);
    }
    command.env("TEST_URL", url);
    if let Some(file) = ca_file {
        command.env(variable, file);
    }
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

/// E16: a company's CA in `SSL_CERT_FILE` is trusted, for the names that its certificates have; without it, the
/// handshake fails before anything is sent, and the message says whose CAs were asked.
#[test]
fn e16_company_cas() {
    let folder = tempfile::tempdir().unwrap();
    let (port, ca_file) = company(folder.path());
    let good = format!("https://localhost:{port}/");
    let said = get(&good, Some(&ca_file));
    assert!(said.contains("Ok(Answer { status: 200"), "{said}");

    let said = get(&format!("https://127.0.0.1:{port}/"), Some(&ca_file));
    assert!(said.contains("NotSent { why: Tls"), "{said}");

    let said = get(&good, None);
    assert!(said.contains("NotSent { why: Tls") && said.contains("UnknownIssuer"), "{said}");
}

/// E16: the CA that other tools are given in `NODE_EXTRA_CA_CERTS` counts here too; a file without one breaks nothing.
#[test]
fn e16_extra_cas() {
    let folder = tempfile::tempdir().unwrap();
    let (port, ca_file) = company(folder.path());
    let url = format!("https://localhost:{port}/");
    let said = get_with(&url, "NODE_EXTRA_CA_CERTS", Some(&ca_file));
    assert!(said.contains("Ok(Answer { status: 200"), "{said}");
    for (name, text) in [("gone.pem", None), ("other.pem", Some("no certificate"))] {
        let file = folder.path().join(name);
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let said = get_with(&url, "NODE_EXTRA_CA_CERTS", Some(&file));
        assert!(said.contains("UnknownIssuer") && said.contains(name), "{said}");
    }
}

/// E16: a file that is gone leaves the bundled CAs, and the message names it.
#[test]
fn e16_a_stale_ssl_cert_file_breaks_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (port, _) = company(folder.path());
    let gone = folder.path().join("gone.pem");
    let said = get(&format!("https://localhost:{port}/"), Some(&gone));
    assert!(said.contains("NotSent { why: Tls") && said.contains("bundled"), "{said}");
    assert!(said.contains("SSL_CERT_FILE=") && said.contains("gone.pem"), "{said}");
}

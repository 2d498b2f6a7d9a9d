//! A gateway that others on the network may reach: TLS, by the names of its certificate, which is renewed while it runs.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

use crate::chat::{calls, world};
use crate::gateway_world::{Gate, key, question, wait_until};
use crate::world::World;

/// Nothing before this day ends.
const ENDS: (i32, u8, u8, i64) = (2051, 3, 1, 2_561_241_600_000);

/// Certificate and key for these names, as files of that name.
fn certificate(world: &World, names: &[&str]) -> (String, String) {
    certificate_that_ends(world, names[0], names, (ENDS.0, ENDS.1, ENDS.2))
}

fn certificate_that_ends(
    world: &World,
    file: &str,
    names: &[&str],
    (year, month, day): (i32, u8, u8),
) -> (String, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.not_after = rcgen::date_time_ymd(year, month, day);
    let pair = rcgen::KeyPair::generate().unwrap();
    let made = params.self_signed(&pair).unwrap();
    let (cert, key) = (world.path().join(format!("{file}.pem")), world.path().join(format!("{file}.key")));
    std::fs::write(&cert, made.pem()).unwrap();
    world.private(&key, &pair.serialize_pem());
    (cert.display().to_string(), key.display().to_string())
}

/// What the gateway sends to one who trusts this certificate only. `None` where it shows another.
fn ask(gate: &Gate, trusted: &str, name: &str, request: &str) -> Option<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(client, gate.connect());
    stream.write_all(request.as_bytes()).ok()?;
    let mut all = Vec::new();
    drop(stream.read_to_end(&mut all));
    Some(String::from_utf8_lossy(&all).into_owned())
}

fn get(host: &str, path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n")
}

/// Anything but loopback takes a certificate, its key and a key of the gateway; each that is missing is named, and nothing
/// listens without them.
#[test]
fn others_on_the_network_need_a_flag_a_key_and_tls() {
    let world = World::new();
    let (cert, secret) = certificate(&world, &["box.example"]);
    for host in ["0.0.0.0", "::", "192.0.2.1", "::ffff:127.0.0.1"] {
        let run = ["gateway", "run", "--port", "0", "--bind", host];
        let ran = world.run(&run);
        assert_eq!(ran.code(), "usage", "{host}");
        for word in ["not loopback", "--tls-cert FILE", "--tls-key FILE"] {
            assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr);
        }
        let half = world.run(&[&run[..], &["--tls-cert", &cert]].concat());
        assert!(half.code() == "usage" && half.stderr.contains("--tls-key"), "{}", half.stderr);
        let half = world.run(&[&run[..], &["--tls-key", &secret]].concat());
        assert!(half.code() == "usage" && half.stderr.contains("--tls-cert"), "{}", half.stderr);
        let keyless = world.run(&[&run[..], &["--tls-cert", &cert, "--tls-key", &secret]].concat());
        assert_eq!(keyless.code(), "gateway_key_refused", "{host}");
        assert!(keyless.stderr.contains("coderclaw gateway keys add NAME"), "{}", keyless.stderr);
    }
    let run = |cert: &str, key: &str| {
        world.run(&["gateway", "run", "--port", "0", "--tls-cert", cert, "--tls-key", key])
    };
    let (other, _) = certificate(&world, &["other.example"]);
    for (cert, key, said) in [
        ("missing.pem", secret.as_str(), "missing.pem"),
        (&secret, &secret, "no certificate"),
        (&cert, &cert, "everybody can read"),
        (&other, &secret, "cannot be used"),
    ] {
        let ran = run(cert, key);
        assert!(ran.code() == "usage" && ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(run(&cert, &secret).stderr.contains("mode 644"));
}

/// With all three it serves, over TLS only, and goes by the names of its certificate.
#[test]
fn over_tls_it_serves_by_the_names_of_its_certificate() {
    let world = world();
    let key = key(&world, &["box"]);
    let (cert, secret) = certificate(&world, &["box.example"]);
    let flags = ["--bind", "::ffff:127.0.0.1", "--tls-cert", &cert, "--tls-key", &secret];
    let gate = Gate::start_with(&world, &flags);
    let post = |host: &str| {
        let body = question("hello");
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nHost: {host}\r\nx-api-key: {key}\r\nanthropic-version: 2023-06-01\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        ask(&gate, &cert, "box.example", &(head + &body)).unwrap()
    };
    let port = gate.port;
    let good = post(&format!("box.example:{port}"));
    assert!(good.starts_with("HTTP/1.1 200") && good.contains("message_stop"), "{good}");
    for host in ["box.example".to_owned(), format!("localhost:{port}"), format!("evil.example:{port}")] {
        assert!(post(&host).starts_with("HTTP/1.1 403"), "{host}");
    }
    // In the clear: not a word.
    let plain = gate.raw(gate.head("GET /healthz", &[]).as_bytes());
    assert!(!plain.contains("HTTP/1.1"), "{plain:?}");
    assert_eq!(calls(&world).len(), 1);
}

/// How it is doing can be asked on its machine whatever its certificate is for, by no other's name; and until when the
/// certificate is good is told by the command and by the console.
#[test]
fn its_certificate_is_told_of() {
    let world = world();
    key(&world, &["box"]);
    let (cert, secret) = certificate(&world, &["box.example"]);
    let gate = Gate::start_with(&world, &["--tls-cert", &cert, "--tls-key", &secret]);
    let port = gate.port.to_string();
    let status = world.run(&["gateway", "status", "--port", &port, "--json"]).json();
    assert_eq!(
        (&status["tls"], &status["certificateUntil"], &status["address"]),
        (&json!(true), &json!(ENDS.3), &json!(format!("https://127.0.0.1:{port}")))
    );
    let words = world.run(&["gateway", "status", "--port", &port]).ok();
    assert!(words.contains("TLS; the certificate ends in ") && words.contains("2051-03-01"), "{words}");
    let second = world.run(&["gateway", "run", "--port", &port]);
    assert!(second.stderr.contains("a CoderClaw gateway is running"), "{}", second.stderr);
    for (host, path, status) in [
        (format!("127.0.0.1:{port}"), "/healthz", "200"),
        (format!("box.example:{port}"), "/healthz", "200"),
        (format!("evil.example:{port}"), "/healthz", "403"),
        (format!("127.0.0.1:{port}"), "/metrics", "403"),
        (format!("127.0.0.1:{port}"), "/", "403"),
    ] {
        let said = ask(&gate, &cert, "box.example", &get(&host, path, "")).unwrap();
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{host}{path}: {said}");
    }
    // A browser could do nothing with an address that the certificate is not for.
    let nameless = world.run(&["gateway", "open", "--port", &port]);
    assert!(nameless.code() == "input_required" && nameless.stderr.contains("--at"), "{}", nameless.stderr);
    let at = format!("https://box.example:{port}");
    let link = world.run(&["gateway", "open", "--at", &at, "--json"]).json();
    let path = link["url"].as_str().unwrap().strip_prefix(&at).unwrap().to_owned();
    let host = format!("box.example:{port}");
    let form = "Sec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n";
    let enter = get(&host, &path, form).replacen("GET", "POST", 1);
    let entered = ask(&gate, &cert, "box.example", &enter).unwrap();
    let cookie = entered.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect(&entered);
    assert!(cookie.contains("; Secure"), "{cookie}");
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    let page = ask(&gate, &cert, "box.example", &get(&host, "/", &cookie)).unwrap();
    assert!(page.contains("its certificate ends 2051-03-01"), "{page}");
}

/// A renewed certificate is shown to those who connect from then on, without a restart; one that cannot be used is not, and
/// the one before goes on. Who is connected stays connected.
#[test]
fn a_renewed_certificate_is_picked_up() {
    let world = world();
    key(&world, &["box"]);
    let (cert, secret) = certificate(&world, &["box.example"]);
    let gate = Gate::start_with(&world, &["--tls-cert", &cert, "--tls-key", &secret]);
    let host = format!("box.example:{}", gate.port);
    let status = |trusted: &str| ask(&gate, trusted, "box.example", &get(&host, "/healthz", ""));
    let before = world.path().join("before.pem");
    std::fs::copy(&cert, &before).unwrap();
    let before = before.display().to_string();
    assert!(status(&before).is_some());

    // As a tool renews it: another file in its place, then the key in its.
    let (new_cert, new_key) = certificate_that_ends(&world, "next", &["box.example"], (2045, 6, 7));
    std::fs::rename(&new_cert, &cert).unwrap();
    wait_until("the pair that does not match is told of", || {
        assert!(status(&before).is_some(), "the one before goes on");
        gate.said().contains("the certificate before goes on: certificate and key cannot be used")
    });
    std::fs::rename(&new_key, &secret).unwrap();
    wait_until("the new one is shown", || status(&cert).is_some());
    gate.wait_said("another certificate is shown, until 2045-06-07");
    assert!(status(&before).is_none());
    let told = status(&cert).unwrap();
    let told: Value = serde_json::from_str(told.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(told["certificateUntil"], json!(2_380_406_400_000_i64));

    let good = world.path().join("good.pem");
    std::fs::copy(&cert, &good).unwrap();
    let good = good.display().to_string();
    std::fs::write(&cert, "torn").unwrap();
    wait_until("the torn file is told of", || {
        assert!(status(&good).is_some(), "the one before goes on");
        gate.said().contains("it holds no certificate in PEM")
    });
    std::fs::remove_file(&cert).unwrap();
    assert!(status(&good).is_some());
}

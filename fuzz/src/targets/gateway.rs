//! A stranger's request to the gateway: what gets past the guard stays below the provider's base URL and takes no
//! credential of the client's along.

use coderclaw_gateway::vet;

const BASE: &str = "https://api.x.example/v1";
const PORT: u16 = 18_789;

/// The head of a request, as it stands on the wire.
pub(super) fn run(bytes: &[u8]) {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    if !matches!(request.parse(bytes), Ok(httparse::Status::Complete(_))) {
        return;
    }
    let (Some(method), Some(path)) = (request.method, request.path) else { return };
    let mut builder = http::Request::builder().method(method).uri(path);
    for header in request.headers.iter() {
        builder = builder.header(header.name, header.value);
    }
    let Ok(built) = builder.body(()) else { return };
    let (head, ()) = built.into_parts();
    let Some(vetted) = vet(&head, PORT, BASE) else { return };

    let hosts: Vec<_> = head.headers.get_all("host").iter().collect();
    assert_eq!(hosts.len(), 1, "one name");
    let host = hosts[0].to_str().unwrap().to_ascii_lowercase();
    assert!(["127.0.0.1:18789", "localhost:18789", "[::1]:18789"].contains(&host.as_str()), "{host}");
    assert!(!head.headers.contains_key("origin"), "no page");
    assert!(head.uri.scheme().is_none() && head.uri.authority().is_none());

    let address = vetted.address.as_str();
    assert!(address.starts_with("https://api.x.example/v1/"), "{address}");
    assert!(vetted.address.username().is_empty() && vetted.address.password().is_none());
    let lower = vetted.address.path().to_ascii_lowercase();
    assert!(
        !["/../", "/./", "%2e", "%2f", "%5c", "%00", "\\"].iter().any(|part| lower.contains(part)),
        "{address}"
    );
    assert_eq!(
        vetted.address.query(),
        head.uri.query().and_then(|query| vetted.address.query().or(Some(query)))
    );

    for name in [
        "authorization",
        "x-api-key",
        "chatgpt-account-id",
        "host",
        "connection",
        "proxy-authorization",
        "transfer-encoding",
        "upgrade",
        "te",
        "keep-alive",
    ] {
        assert!(!vetted.headers.contains_key(name), "{name} goes along");
    }
    assert!(vetted.keys.len() <= 4 && vetted.keys.iter().all(|key| !key.is_blank()));
    assert!(!format!("{:?}", vetted.keys).contains("ccg_"));
}

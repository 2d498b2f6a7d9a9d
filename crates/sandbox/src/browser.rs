//! A browser without a screen, for the demo and for tests: it follows redirects and shows the last page.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use url::Url;

/// The last page may take as long as a login takes to store what it got.
const PATIENCE: Duration = Duration::from_secs(60);

const REDIRECTS: usize = 5;

/// Where a visit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowserPage {
    /// The HTTP status.
    pub status: u16,
    /// The page's text.
    pub body: String,
}

/// Opens an address on this machine and follows up to five redirects, as from the authorize page to a program's
/// loopback listener.
///
/// # Errors
/// Where an address is not plain HTTP to a loopback host, nobody answers within a minute, or the answer is not HTTP.
pub fn browse(url: &str) -> io::Result<BrowserPage> {
    let mut url = Url::parse(url).map_err(|e| invalid(&e.to_string()))?;
    for _ in 0..=REDIRECTS {
        let bytes = get(&url)?;
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut headers);
        let parsed = head.parse(&bytes).map_err(|e| invalid(&e.to_string()))?;
        let (httparse::Status::Complete(length), Some(status)) = (parsed, head.code) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let header = |name: &str| {
            let found = head.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name));
            found.map(|h| String::from_utf8_lossy(h.value).trim().to_owned())
        };
        if (300..400).contains(&status)
            && let Some(location) = header("location")
        {
            url = url.join(&location).map_err(|e| invalid(&e.to_string()))?;
            continue;
        }
        let mut body = &bytes[length..];
        if header("transfer-encoding").is_some() {
            return Err(invalid("a body in chunks is more than this browser reads"));
        }
        if let Some(wanted) = header("content-length").and_then(|text| text.parse::<usize>().ok()) {
            body = body.get(..wanted).ok_or(io::ErrorKind::UnexpectedEof)?;
        }
        return Ok(BrowserPage { status, body: String::from_utf8_lossy(body).into_owned() });
    }
    Err(invalid("too many redirects"))
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The whole answer to a GET.
fn get(url: &Url) -> io::Result<Vec<u8>> {
    let host = url.host_str().filter(|h| matches!(*h, "127.0.0.1" | "localhost" | "[::1]"));
    let (Some(host), "http") = (host, url.scheme()) else {
        return Err(invalid("this browser visits http on this machine only"));
    };
    let port = url.port().unwrap_or(80);
    let mut stream = TcpStream::connect(format!("{host}:{port}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = url.path();
    let request = format!(
        "GET {path}{query} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: text/html\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Ok(bytes)
}

//! As much of a browser as a login needs: redirects and cookies.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use url::Url;

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Page {
    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// One request to a port of this machine, under whatever name the server wants to be called.
pub(crate) fn fetch(port: u16, method: &str, url: &Url, headers: &[(&str, &str)], body: &str) -> Page {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut request = format!("{method} {}{query} HTTP/1.1\r\nHost: {}\r\n", url.path(), url.authority());
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()));
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer from {url}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": "));
    Page {
        status: status.unwrap(),
        headers: headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(),
        body: body.to_owned(),
    }
}

/// A person who follows `url` until a page stands still, which is what they then see. The provider, whatever it is called,
/// is reached at `provider_port`; everything else must be on this machine and gets no cookie.
pub(crate) fn follow(url: &str, provider: &Url, provider_port: u16) -> Page {
    let mut cookies: BTreeMap<String, String> = BTreeMap::new();
    let mut url = Url::parse(url).unwrap();
    for _ in 0..20 {
        let at_provider = url.authority() == provider.authority();
        let port = if at_provider { provider_port } else { url.port().unwrap() };
        assert!(at_provider || url.host_str() == Some("127.0.0.1"), "the browser is sent to {url}");
        let jar =
            cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let headers: &[(&str, &str)] = if at_provider { &[("Cookie", &jar)] } else { &[] };
        let page = fetch(port, "GET", &url, headers, "");
        for cookie in page.all("set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            match value {
                "" => cookies.remove(name),
                value => cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        let Some(next) = page.all("location").next() else {
            return page;
        };
        url = url.join(next).unwrap();
    }
    panic!("redirected without end, last to {url}");
}

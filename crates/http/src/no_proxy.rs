//! Who is spoken to directly.

use std::net::IpAddr;

use url::{Host, Url};

/// The list in `NO_PROXY`, as curl and Go read it: parted by commas or white space; `*` for everything; a host name
/// stands for itself and all names below it, with or without a leading dot; an address or an address range
/// (`10.0.0.0/8`) for itself; `host:port` for that port only.
#[derive(Debug, Clone, Default)]
pub(crate) struct NoProxy(Vec<Rule>);

#[derive(Debug, Clone)]
struct Rule {
    host: RuleHost,
    port: Option<u16>,
}

#[derive(Debug, Clone)]
enum RuleHost {
    Any,
    Name(String),
    Range(IpAddr, u8),
}

impl NoProxy {
    pub(crate) fn parse(list: &str) -> Self {
        let parts = list.split(|c: char| c == ',' || c.is_whitespace());
        Self(parts.filter_map(Rule::parse).collect())
    }

    pub(crate) fn covers(&self, url: &Url) -> bool {
        let Some(host) = url.host() else { return false };
        let port = url.port_or_known_default();
        self.0
            .iter()
            .any(|rule| rule.port.is_none_or(|wanted| Some(wanted) == port) && rule.host.covers(&host))
    }
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        if let Some(host) = RuleHost::parse(text) {
            return Some(Self { host, port: None });
        }
        let (host, port) = text.rsplit_once(':')?;
        Some(Self { host: RuleHost::parse(host)?, port: Some(port.parse().ok()?) })
    }
}

impl RuleHost {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Some(Self::Range(ip, 128));
        }
        if let Some((ip, bits)) = bare.split_once('/') {
            return Some(Self::Range(ip.parse().ok()?, bits.parse().ok()?));
        }
        let name = text.trim_start_matches("*.").trim_matches('.').to_ascii_lowercase();
        (!name.is_empty() && !name.contains([':', '[', ']'])).then_some(Self::Name(name))
    }

    fn covers(&self, host: &Host<&str>) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Name(name), Host::Domain(domain)) => {
                let domain = domain.trim_end_matches('.');
                domain
                    .strip_suffix(name.as_str())
                    .is_some_and(|front| front.is_empty() || front.ends_with('.'))
            }
            (Self::Range(net, bits), Host::Ipv4(ip)) => in_range(*net, *bits, IpAddr::V4(*ip)),
            (Self::Range(net, bits), Host::Ipv6(ip)) => in_range(*net, *bits, IpAddr::V6(*ip)),
            _ => false,
        }
    }
}

fn in_range(net: IpAddr, bits: u8, ip: IpAddr) -> bool {
    let (net, ip, width) = match (net, ip) {
        (IpAddr::V4(net), IpAddr::V4(ip)) => (u128::from(net.to_bits()), u128::from(ip.to_bits()), 32),
        (IpAddr::V6(net), IpAddr::V6(ip)) => (net.to_bits(), ip.to_bits(), 128),
        _ => return false,
    };
    let ignored = width - u32::from(bits).min(width);
    // A shift by the whole width is no shift in Rust, but an overflow.
    net.checked_shr(ignored).unwrap_or(0) == ip.checked_shr(ignored).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E15: what a company's `NO_PROXY` names is reached directly, and nothing else is.
    #[test]
    fn e15_no_proxy_lists() {
        let table = [
            ("example.com", "https://example.com/", true),
            ("example.com", "https://api.EXAMPLE.com/", true),
            ("example.com", "https://notexample.com/", false),
            (".example.com", "https://api.example.com/", true),
            ("*.example.com", "https://api.example.com/", true),
            ("a.test, example.com", "https://example.com./", true),
            ("a.test example.com", "https://example.com/", true),
            ("*", "https://anything.test/", true),
            ("", "https://anything.test/", false),
            (",, ,", "https://anything.test/", false),
            ("example.com:8443", "https://example.com:8443/", true),
            ("example.com:8443", "https://example.com/", false),
            ("example.com:443", "https://example.com/", true),
            ("10.0.0.0/8", "http://10.9.8.7/", true),
            ("10.0.0.0/8", "http://11.9.8.7/", false),
            ("0.0.0.0/0", "http://11.9.8.7/", true),
            ("::/0", "http://[2001:db8::1]/", true),
            ("10.1.2.3", "http://10.1.2.3:99/", true),
            ("10.1.2.3:99", "http://10.1.2.3:99/", true),
            ("10.1.2.3:98", "http://10.1.2.3:99/", false),
            ("2001:db8::/32", "http://[2001:db8::1]/", true),
            ("[2001:db8::1]:80", "http://[2001:db8::1]/", true),
            ("2001:db8::1", "http://[2001:db8::1]/", true),
            ("10.0.0.0/99", "http://10.0.0.0/", true),
            ("10.0.0.0/x", "http://10.0.0.0/", false),
        ];
        for (list, url, covered) in table {
            let url = Url::parse(url).unwrap();
            assert_eq!(NoProxy::parse(list).covers(&url), covered, "{list:?} {url}");
        }
    }
}

//! Which URLs may be trusted with a secret.

/// `scheme://host[:port]` of a URL that secrets may be sent to, in lower case and without the scheme's usual port, so
/// that two spellings of one origin are equal.
///
/// Such a URL is `https`, or plain `http` to a loopback address in digits: a name such as `localhost` can be made to
/// point elsewhere (RFC 8252 section 8.3). It holds no user name, no fragment and nothing but visible ASCII.
///
/// # Errors
/// A sentence about what is wrong with the URL, which does not repeat it.
pub fn endpoint_origin(url: &str) -> Result<String, &'static str> {
    let url = Parts::of(url)?;
    if !url.https && !is_loopback_address(&url.host) {
        return Err("plain http is for 127.0.0.1 and [::1] only, use https");
    }
    Ok(url.origin())
}

/// A redirect URL: `https`, or plain `http` to this machine, then without a port.
///
/// `localhost` will do here, since some providers have registered that very string; nothing is sent to it by us.
pub(crate) fn check_redirect(url: &str) -> Result<(), &'static str> {
    let url = Parts::of(url)?;
    if url.https {
        return Ok(());
    }
    if !is_loopback_address(&url.host) && url.host != "localhost" {
        return Err("a plain http redirect goes to 127.0.0.1, [::1] or localhost only");
    }
    if url.port.is_some() {
        return Err("a loopback redirect has no port here, redirect_ports lists them");
    }
    Ok(())
}

struct Parts {
    https: bool,
    host: String,
    port: Option<u16>,
}

impl Parts {
    fn of(url: &str) -> Result<Self, &'static str> {
        // Programs disagree on what white space, control characters, backslashes and the like do to a host.
        let odd =
            |c: char| !c.is_ascii_graphic() || matches!(c, '\\' | '"' | '<' | '>' | '^' | '`' | '{' | '}');
        if url.chars().any(odd) {
            return Err("a URL holds visible ASCII only, anything else is percent-encoded");
        }
        let (scheme, rest) = url.split_once("://").ok_or("a URL begins with https://")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err("a URL begins with https://"),
        };
        if rest.contains('#') {
            return Err("a URL has no fragment here");
        }
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err("a URL holds no user name or password here");
        }
        let (host, port) = split_port(authority)?;
        Ok(Self {
            https,
            host: host.to_ascii_lowercase(),
            port: port.filter(|&port| port != if https { 443 } else { 80 }),
        })
    }

    fn origin(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        match self.port {
            Some(port) => format!("{scheme}://{}:{port}", self.host),
            None => format!("{scheme}://{}", self.host),
        }
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let host_end = if authority.starts_with('[') {
        authority.find(']').ok_or("the URL's host is not valid")? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at(host_end);
    if !is_host(host) {
        return Err("the URL's host is not valid");
    }
    if port.is_empty() {
        return Ok((host, None));
    }
    let digits = port.strip_prefix(':').unwrap_or_default();
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    match digits.parse() {
        Ok(port) if plain && port != 0 => Ok((host, Some(port))),
        _ => Err("the URL's port is not valid"),
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    host.split('.').all(label)
}

fn is_loopback_address(host: &str) -> bool {
    host == "127.0.0.1" || host == "[::1]"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_one_spelling() {
        for (url, origin) in [
            ("https://Auth.Example/oauth/token", "https://auth.example"),
            ("https://auth.example:443/t?x=1", "https://auth.example"),
            ("https://auth.example:8443", "https://auth.example:8443"),
            ("http://127.0.0.1:1455/t", "http://127.0.0.1:1455"),
            ("http://127.0.0.1:80/t", "http://127.0.0.1"),
            ("http://[::1]:9/t", "http://[::1]:9"),
        ] {
            assert_eq!(endpoint_origin(url).as_deref(), Ok(origin), "{url}");
        }
    }

    #[test]
    fn what_only_looks_safe_is_refused() {
        for url in [
            "",
            "auth.example/token",
            "ftp://auth.example",
            "http://auth.example/token",
            "http://localhost:1455/token",
            "http://127.0.0.1.evil.example/",
            "http://127.0.0.1@evil.example/",
            "https://me:pw@auth.example/",
            "http://127.0.0.1\\@evil.example/",
            "http://evil.example#@127.0.0.1/",
            "http://evil.example?127.0.0.1",
            "http://0.0.0.0/",
            "http://2130706433/",
            "https://auth.example:0/",
            "https://auth.example:99999/",
            "https://auth.example:+443/",
            "https://auth.example:/",
            "https:///token",
            "https://auth..example/",
            "https://[::1/",
            "https://[::1]x/",
            "https://[auth]/",
            "https://auth.example/a b",
            "https://auth.example/\n",
            "https://аuth.example/",
        ] {
            assert!(endpoint_origin(url).is_err(), "{url:?}");
        }
    }

    #[test]
    fn redirects_come_back_to_this_machine() {
        for good in [
            "http://127.0.0.1/auth/callback",
            "http://localhost/oauth2callback",
            "http://[::1]/cb",
            "https://vendor.example:444/code",
        ] {
            assert_eq!(check_redirect(good), Ok(()), "{good}");
        }
        for bad in ["http://vendor.example/cb", "http://127.0.0.1:1455/cb", "urn:ietf:wg:oauth:2.0:oob"] {
            assert!(check_redirect(bad).is_err(), "{bad}");
        }
    }
}

//! The proxies and CAs in force, as a value.

use std::fmt;

use coderclaw_types::{Env, Secret, sha256_parts};
use url::{Host, Url};

use crate::no_proxy::NoProxy;

const SCHEMES: &[&str] = &["http", "https", "socks5", "socks5h"];
const VARIABLES: &[&str] = &[
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "REQUEST_METHOD",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
];

/// How the outside is reached: which proxy for which address, and which CAs are trusted.
///
/// A proxy setting that makes no sense only hurts those requests that would use it.
#[derive(Clone, Default)]
pub struct Network {
    https: Option<Setting>,
    http: Option<Setting>,
    all: Option<Setting>,
    no_proxy_text: String,
    no_proxy: NoProxy,
    ca_file: Option<String>,
    ca_dir: Option<String>,
    extra_ca: Option<String>,
}

/// The value may hold the proxy's password.
#[derive(Clone)]
struct Setting {
    variable: &'static str,
    value: Secret,
}

/// The proxy that a request goes through.
#[derive(Clone)]
pub struct ProxyChoice {
    variable: &'static str,
    url: Secret,
    place: String,
}

impl ProxyChoice {
    /// The variable that named it.
    pub fn variable(&self) -> &'static str {
        self.variable
    }

    /// Scheme, host and port, without user name and password.
    pub fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn url(&self) -> &Secret {
        &self.url
    }
}

impl fmt::Debug for ProxyChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyChoice({} from {})", self.place, self.variable)
    }
}

/// A proxy setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {problem}")]
pub struct BadProxy {
    variable: &'static str,
    problem: String,
}

impl Network {
    /// From the captured environment. Of two spellings of a variable the lower-case one wins, as in curl.
    ///
    /// Where `REQUEST_METHOD` is set, this is a CGI program, and `HTTP_PROXY` is a header that the client sent
    /// (CVE-2016-5385): then only `http_proxy` counts.
    pub fn from_env(env: &Env) -> Self {
        let setting = |names: &[&'static str]| {
            names.iter().find_map(|&variable| {
                env.get(variable).map(|value| Setting { variable, value: Secret::from(value) })
            })
        };
        let http_names: &[&'static str] = match env.get("REQUEST_METHOD") {
            Some(_) => &["http_proxy"],
            None => &["http_proxy", "HTTP_PROXY"],
        };
        let no_proxy_text = env.get("no_proxy").or_else(|| env.get("NO_PROXY")).unwrap_or_default();
        Self {
            https: setting(&["https_proxy", "HTTPS_PROXY"]),
            http: setting(http_names),
            all: setting(&["all_proxy", "ALL_PROXY"]),
            no_proxy_text: no_proxy_text.to_owned(),
            no_proxy: NoProxy::parse(no_proxy_text),
            ca_file: env.get("SSL_CERT_FILE").map(str::to_owned),
            ca_dir: env.get("SSL_CERT_DIR").map(str::to_owned),
            // Company laptops have it set for the tools that run on Node; it adds to the system's CAs.
            extra_ca: env.get("NODE_EXTRA_CA_CERTS").map(str::to_owned),
        }
    }

    /// The names of all variables that have a say, so that a child process can be given exactly these.
    pub fn variables() -> &'static [&'static str] {
        VARIABLES
    }

    /// A short name for these settings: sixteen hex digits, the same in every process that has the same ones.
    pub fn digest(&self) -> String {
        let proxy = |setting: &Option<Setting>| {
            setting.as_ref().map(|s| s.value.expose().as_bytes().to_vec()).unwrap_or_default()
        };
        let text = |value: &Option<String>| value.clone().unwrap_or_default().into_bytes();
        let parts = [
            proxy(&self.https),
            proxy(&self.http),
            proxy(&self.all),
            self.no_proxy_text.clone().into_bytes(),
            text(&self.ca_file),
            text(&self.ca_dir),
            text(&self.extra_ca),
        ];
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let hash = sha256_parts("coderclaw network v1", &parts);
        hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The proxy for `url`; `None` for a direct connection, which this machine itself always gets.
    ///
    /// # Errors
    /// Where the variable that would decide names no usable proxy.
    pub fn proxy_for(&self, url: &Url) -> Result<Option<ProxyChoice>, BadProxy> {
        if is_loopback(url) || self.no_proxy.covers(url) {
            return Ok(None);
        }
        let own = match url.scheme() {
            "https" => &self.https,
            "http" => &self.http,
            _ => &None,
        };
        own.as_ref().or(self.all.as_ref()).map(Setting::read).transpose()
    }

    /// Where the trusted CAs come from, for people: a failed handshake is often about that.
    pub fn ca_source(&self) -> String {
        let named: Vec<String> = [("SSL_CERT_FILE", &self.ca_file), ("SSL_CERT_DIR", &self.ca_dir)]
            .into_iter()
            .filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}={value}")))
            .collect();
        let base = if named.is_empty() {
            "the system's CAs".to_owned()
        } else {
            format!("the CAs of {}", named.join(" and "))
        };
        match &self.extra_ca {
            None => base,
            Some(path) => format!("{base} and NODE_EXTRA_CA_CERTS={path}"),
        }
    }

    /// The variables that name files or folders of CAs, each with what it names.
    pub fn ca_variables(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("SSL_CERT_FILE", &self.ca_file),
            ("SSL_CERT_DIR", &self.ca_dir),
            ("NODE_EXTRA_CA_CERTS", &self.extra_ca),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect()
    }

    /// The file of `NODE_EXTRA_CA_CERTS`.
    pub(crate) fn extra_ca(&self) -> Option<&str> {
        self.extra_ca.as_deref()
    }
}

impl Setting {
    fn read(&self) -> Result<ProxyChoice, BadProxy> {
        let bad = |problem: String| BadProxy { variable: self.variable, problem };
        let text = self.value.expose();
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        // The parser's own message would do, but the value may hold a password: nothing of it is repeated.
        let url = Url::parse(&text).map_err(|e| bad(format!("the value is not a proxy address ({e})")))?;
        let scheme = url.scheme();
        if !SCHEMES.contains(&scheme) {
            let known = SCHEMES.join(", ");
            return Err(bad(format!("the proxy scheme \"{scheme}\" is not known; use one of {known}")));
        }
        let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
            return Err(bad("the proxy address names no host".into()));
        };
        let default = if scheme.starts_with("socks") { 1080 } else { 80 };
        let port = url.port_or_known_default().unwrap_or(default);
        Ok(ProxyChoice {
            variable: self.variable,
            place: format!("{scheme}://{host}:{port}"),
            url: Secret::from(text),
        })
    }
}

/// Never say that this machine is somewhere else: a callback or a test server must not be asked for at a proxy.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()),
        None => false,
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = [&self.https, &self.http, &self.all];
        let from: Vec<&str> = settings.iter().filter_map(|s| s.as_ref().map(|s| s.variable)).collect();
        f.debug_struct("Network")
            .field("proxies_from", &from)
            .field("no_proxy", &self.no_proxy_text)
            .field("cas", &self.ca_source())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(vars: &[(&str, &str)]) -> Network {
        Network::from_env(&env(vars))
    }

    fn env(vars: &[(&str, &str)]) -> Env {
        let vars = vars.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        Env::new(vars, None, "/".into())
    }

    fn place(network: &Network, url: &str) -> String {
        match network.proxy_for(&Url::parse(url).unwrap()) {
            Ok(Some(choice)) => choice.place().into(),
            Ok(None) => "direct".into(),
            Err(e) => e.to_string(),
        }
    }

    /// E15: each variable counts for what it is about.
    #[test]
    fn e15_variables() {
        type Case = (&'static [(&'static str, &'static str)], &'static str, &'static str);
        let table: [Case; 12] = [
            (&[], "https://a.test/", "direct"),
            (&[("HTTPS_PROXY", "http://p:8080")], "https://a.test/", "http://p:8080"),
            (&[("HTTPS_PROXY", "http://p:8080")], "http://a.test/", "direct"),
            (&[("HTTPS_PROXY", "p:8080")], "https://a.test/", "http://p:8080"),
            (&[("https_proxy", "https://p")], "https://a.test/", "https://p:443"),
            (&[("https_proxy", "http://l"), ("HTTPS_PROXY", "http://u")], "https://a.test/", "http://l:80"),
            (&[("HTTP_PROXY", "http://u:p@h:1")], "http://a.test/", "http://h:1"),
            (&[("HTTP_PROXY", "http://h:1"), ("REQUEST_METHOD", "GET")], "http://a.test/", "direct"),
            (&[("http_proxy", "http://h:1"), ("REQUEST_METHOD", "GET")], "http://a.test/", "http://h:1"),
            (&[("ALL_PROXY", "socks5h://s")], "https://a.test/", "socks5h://s:1080"),
            (&[("ALL_PROXY", "socks5://s"), ("HTTP_PROXY", "http://h:1")], "http://a.test/", "http://h:1"),
            (&[("HTTPS_PROXY", "http://p"), ("NO_PROXY", "a.test")], "https://x.a.test/", "direct"),
        ];
        for (vars, url, wanted) in table {
            assert_eq!(place(&network(vars), url), wanted, "{vars:?} {url}");
        }
    }

    /// E15: this machine is never asked for at a proxy, whatever the variables say.
    #[test]
    fn e15_loopback_is_direct() {
        let network = network(&[("ALL_PROXY", "http://p:1"), ("HTTP_PROXY", "http://p:2")]);
        for url in [
            "http://localhost:1455/",
            "http://LOCALHOST./",
            "http://x.localhost/",
            "http://127.0.0.1/",
            "http://127.9.9.9:1/",
            "https://[::1]:5/",
            "http://[::ffff:127.0.0.1]/",
        ] {
            assert_eq!(place(&network, url), "direct", "{url}");
        }
        assert_eq!(place(&network, "http://128.0.0.1/"), "http://p:2");
        assert_eq!(place(&network, "http://localhost.evil.test/"), "http://p:2");
    }

    /// E15: a bad scheme is named together with its variable, and only where it matters.
    #[test]
    fn e15_bad_settings_say_which_variable() {
        let bad = network(&[("ALL_PROXY", "gopher://u:canary@p"), ("HTTPS_PROXY", "http://ok:1")]);
        assert_eq!(place(&bad, "https://a.test/"), "http://ok:1");
        let text = place(&bad, "http://a.test/");
        assert!(text.contains("ALL_PROXY") && text.contains("gopher"), "{text}");
        for value in ["http://", "://", "http://u:canary@[", "http://h:99999", "socks5://"] {
            let text = place(&network(&[("http_proxy", value)]), "http://a.test/");
            assert!(text.starts_with("http_proxy:") && !text.contains("canary"), "{value}: {text}");
        }
    }

    #[test]
    fn digest_is_about_settings_and_nothing_else() {
        let one = network(&[("HTTPS_PROXY", "http://p"), ("HOME", "/a")]);
        let same = network(&[("https_proxy", "http://p"), ("HOME", "/b")]);
        assert_eq!(one.digest(), same.digest());
        assert_eq!(one.digest().len(), 16);
        for vars in [
            &[("HTTPS_PROXY", "http://q")][..],
            &[("HTTP_PROXY", "http://p")],
            &[("HTTPS_PROXY", "http://p"), ("NO_PROXY", "x")],
            &[("HTTPS_PROXY", "http://p"), ("SSL_CERT_FILE", "/x")],
            &[],
        ] {
            assert_ne!(one.digest(), network(vars).digest(), "{vars:?}");
        }
        // A child that is given exactly these variables has the same settings.
        let full: Vec<(&str, &str)> = VARIABLES.iter().map(|name| (*name, "http://p")).collect();
        assert_eq!(network(&full).digest(), network(&full).digest());
    }

    #[test]
    fn passwords_are_not_printed() {
        let network = network(&[("HTTPS_PROXY", "http://user:canary@p:1")]);
        let choice = network.proxy_for(&Url::parse("https://a.test").unwrap()).unwrap();
        assert!(!format!("{network:?}{choice:?}").contains("canary"));
    }
}

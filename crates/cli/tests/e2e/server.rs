//! The servers, which are programs for node and Python: e2e/oidc/server.mjs, e2e/authlib/server.py.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use url::Url;

use crate::browser::{Page, fetch};

/// A running server. It ends with its standard input, so that none outlives a test, however that ends.
pub(crate) struct Server {
    pub(crate) issuer: Url,
    /// As the server spells it: an issuer is compared letter by letter.
    pub(crate) issuer_text: String,
    /// Where the server describes itself.
    described: Url,
    pub(crate) port: u16,
    admin: u16,
    child: Child,
}

/// What the server says it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Codes that became tokens.
    pub(crate) exchanged: u64,
    /// Refresh tokens that became tokens.
    pub(crate) refreshed: u64,
    /// Token requests that were refused.
    pub(crate) refused: u64,
    /// Grants that were ended.
    pub(crate) grants_revoked: u64,
    /// Requests for the server's description.
    pub(crate) described: u64,
    /// Requests for the keys that it signs id_tokens with; not of `mock`.
    pub(crate) keys: u64,
}

impl Server {
    /// `kind` is `oidc-provider`, `mock` or `authlib`; `issuer` is for a server that is known under another name.
    pub(crate) fn start(kind: &str, issuer: Option<&str>) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e");
        let (folder, needed, mut command) = match kind {
            "authlib" => {
                let folder = folder.join("authlib");
                let mut command = Command::new(folder.join(".venv/bin/python"));
                command.args(["-I", "-B", "server.py"]);
                (folder, ".venv", command)
            }
            _ => {
                let mut command = Command::new("node");
                command.args(["server.mjs", kind]).args(issuer);
                (folder.join("oidc"), "node_modules", command)
            }
        };
        assert!(folder.join(needed).is_dir(), "run `cargo xtask e2e`, which fetches what {kind} needs");
        let mut child = command
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server can be started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ports: Value = serde_json::from_str(&line).expect("the server says where it is");
        let port = |name: &str| u16::try_from(ports[name].as_u64().unwrap()).unwrap();
        let issuer_text = ports["issuer"].as_str().unwrap().to_owned();
        let issuer = Url::parse(&issuer_text).unwrap();
        let described = match ports["described"].as_str() {
            Some(url) => Url::parse(url).unwrap(),
            None => issuer.join("/.well-known/openid-configuration").unwrap(),
        };
        Self { issuer, issuer_text, described, port: port("port"), admin: port("admin"), child }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.ask("counts")
    }

    /// Access tokens live so long from now on.
    pub(crate) fn lifetime(&self, seconds: u32) {
        self.ask(&format!("lifetime/{seconds}"));
    }

    /// Somebody types in this code and says yes.
    pub(crate) fn approve(&self, user_code: &str) {
        self.ask(&format!("approve/{user_code}"));
    }

    /// Somebody types in this code and says no.
    pub(crate) fn deny(&self, user_code: &str) {
        self.ask(&format!("deny/{user_code}"));
    }

    /// The tokens of the mock server say this from now on.
    pub(crate) fn spoil(&self, claim: &str, value: &str) {
        self.ask(&format!("spoil/{claim}/{value}"));
    }

    /// Ends an access token; the grant and its refresh token live on.
    pub(crate) fn forget(&self, access: &str) {
        self.ask(&format!("forget/{access}"));
    }

    fn ask(&self, path: &str) -> Counts {
        let url = Url::parse(&format!("http://127.0.0.1:{}/{path}", self.admin)).unwrap();
        let counts: Value = serde_json::from_str(&fetch(self.admin, "GET", &url, &[], "").body).unwrap();
        let count = |name: &str| counts[name].as_u64().unwrap();
        Counts {
            exchanged: count("exchanged"),
            refreshed: count("refreshed"),
            refused: count("refused"),
            grants_revoked: count("grantsRevoked"),
            described: count("described"),
            keys: count("keys"),
        }
    }

    /// What the server's own description gives as the URL of `endpoint`.
    fn endpoint(&self, endpoint: &str) -> Url {
        let page = fetch(self.port, "GET", &self.described, &[], "");
        let page: Value = serde_json::from_str(&page.body).unwrap();
        page[endpoint].as_str().unwrap().parse().unwrap()
    }

    /// Whom the server takes the bearer of this token for; `None` where it takes it for nobody.
    pub(crate) fn userinfo(&self, access: &str) -> Option<Value> {
        let bearer = format!("Bearer {access}");
        let url = self.endpoint("userinfo_endpoint");
        let page = fetch(self.port, "GET", &url, &[("Authorization", &bearer)], "");
        match page.status {
            200 => Some(serde_json::from_str(&page.body).unwrap()),
            401 => None,
            _ => panic!("{page:?}"),
        }
    }

    /// The test itself as a client.
    pub(crate) fn post(&self, endpoint: &str, pairs: &[(&str, &str)]) -> Page {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .append_pair("client_id", "coderclaw-e2e")
            .finish();
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        fetch(self.port, "POST", &self.endpoint(endpoint), &form, &body)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}

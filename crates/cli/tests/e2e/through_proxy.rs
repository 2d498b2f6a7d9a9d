//! A provider inside a company's network: reached through its proxy, known by its CA.

use crate::company::{FrontDoor, Proxy};
use crate::server::Server;
use crate::world::{Ran, TOKEN, World};

struct Company {
    world: World,
    door: FrontDoor,
    proxy: Proxy,
    _folder: tempfile::TempDir,
}

impl Company {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let door = FrontDoor::new(folder.path(), &[FrontDoor::NAME]);
        let issuer = format!("https://{}:{}", FrontDoor::NAME, door.port);
        let server = Server::start("oidc-provider", Some(&issuer));
        door.open(server.port);
        let proxy = Proxy::start(&[format!("{}:{}", FrontDoor::NAME, door.port)], door.port);
        let mut world = World::new(server);
        world.set("HTTPS_PROXY", &proxy.url);
        world.set("HTTP_PROXY", &proxy.url);
        world.set("SSL_CERT_FILE", door.ca_file.to_str().unwrap());
        Self { world, door, proxy, _folder: folder }
    }

    /// Every request so far came through the proxy, which was asked for nothing but the provider.
    fn all_went_through_the_proxy(&self) {
        let tunnel = format!("CONNECT {}:{} HTTP/1.1", FrontDoor::NAME, self.door.port);
        let seen = self.proxy.seen();
        assert!(seen.iter().all(|line| *line == tunnel), "{seen:?}");
        assert_eq!(seen.len(), self.door.seen().len(), "one tunnel for each request");
    }
}

/// E15, E16: the name is known to the proxy alone and the certificate to the company's CA alone. The discovery, the exchange
/// and the keys of the login, and the refresh by a worker process all get there; the browser's way back is not the proxy's business.
#[test]
fn e15_e16_login_and_refresh_behind_a_proxy() {
    let mut company = Company::new();
    company.world.login_ok();
    let describe = "GET /.well-known/oauth-authorization-server HTTP/1.1";
    let token = "POST /token HTTP/1.1";
    // The keys of its id_token are asked for at the login, the same way, and at no refresh.
    let keys = "GET /jwks HTTP/1.1";
    assert_eq!(company.door.seen(), [describe, token, keys]);
    company.all_went_through_the_proxy();

    for round in 1..=2 {
        company.world.later(7_200);
        let tokens: Vec<String> = company.world.storm(4).into_iter().map(Ran::ok).collect();
        assert!(tokens.iter().all(|one| *one == tokens[0]), "round {round}");
        assert_eq!(company.world.server.counts().refreshed, round);
    }
    assert_eq!(company.door.seen(), [describe, token, keys, token, token]);
    company.all_went_through_the_proxy();
}

/// E16: without the CA nothing is sent, and the words name TLS and the CAs in force, at the login as at the refresh.
#[test]
fn e16_without_the_companys_ca() {
    let mut company = Company::new();
    company.world.login_ok();
    let before = company.door.seen();
    company.world.unset("SSL_CERT_FILE");
    let (login, page) = company.world.login();
    assert!(page.is_none(), "nobody is sent to a browser in vain");
    assert_eq!(login.code(), "login_failed", "{login:?}");
    company.world.later(7_200);
    let refresh = company.world.run(TOKEN);
    assert_eq!(refresh.code(), "offline", "{refresh:?}");
    for said in [&login.stderr, &refresh.stderr] {
        assert!(said.contains("TLS failed") && said.contains("UnknownIssuer"), "{said}");
        assert!(said.contains("the system's CAs") && said.contains("HTTPS_PROXY"), "{said}");
    }
    assert_eq!(company.door.seen(), before, "no request got past the handshake");

    // With the CA again, nobody has to wait for the spacing after the failure.
    company.world.set("SSL_CERT_FILE", company.door.ca_file.to_str().unwrap());
    company.world.token();
    assert_eq!(company.world.server.counts().refreshed, 1);
}

/// E15: a proxy that is not there is named, and nobody tries to go around it.
#[test]
fn e15_a_proxy_that_is_gone() {
    let mut company = Company::new();
    company.world.login_ok();
    let before = company.door.seen();
    company.world.set("HTTPS_PROXY", "http://127.0.0.1:9");
    company.world.later(7_200);
    let ran = company.world.run(TOKEN);
    assert_eq!(ran.code(), "offline", "{ran:?}");
    assert!(ran.stderr.contains("HTTPS_PROXY") && ran.stderr.contains("127.0.0.1:9"), "{ran:?}");
    assert_eq!(company.door.seen(), before);
}

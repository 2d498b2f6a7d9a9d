//! From the authorize page to the first pair of tokens.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpListener;

use coderclaw_sandbox::{Kind, On, User, browse};
use url::Url;

use crate::client::{NOW, claims, get, post, post_bytes, refresh, send, start, start_with, whoami};

/// The pair of RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT: &str = "http://127.0.0.1:1455/auth/callback";

fn target(change: &[(&str, &str)]) -> String {
    let mut params = vec![
        ("response_type", "code"),
        ("client_id", "client-1"),
        ("redirect_uri", REDIRECT),
        ("scope", "openid profile email offline_access"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("state", "st&1"),
        ("nonce", "n-1"),
    ];
    for (key, value) in change {
        params.retain(|(k, _)| k != key);
        params.push((key, value));
    }
    params.retain(|(_, value)| !value.is_empty());
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    format!("/oauth/authorize?{query}")
}

/// The parameters of the redirect that answers this authorization request.
fn redirected(sandbox: &coderclaw_sandbox::Sandbox, change: &[(&str, &str)]) -> HashMap<String, String> {
    let answer = get(sandbox, &target(change), "");
    assert_eq!(answer.status(), 302, "{change:?}");
    let url = Url::parse(answer.header("location").unwrap()).unwrap();
    url.query_pairs().into_owned().collect()
}

fn exchange(code: &str, change: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut params = vec![
        ("grant_type", "authorization_code"),
        ("client_id", "client-1"),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
        ("code", code),
    ];
    for (key, value) in change {
        params.retain(|(k, _)| k != key);
        params.push((key, value));
    }
    params.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn send_exchange(
    sandbox: &coderclaw_sandbox::Sandbox,
    code: &str,
    change: &[(&str, &str)],
) -> crate::client::Raw {
    let pairs = exchange(code, change);
    let pairs: Vec<_> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    post(sandbox, "/oauth/token", &pairs)
}

#[test]
fn a_login_from_the_browser_to_the_tokens() {
    let sandbox = start();
    sandbox.add_user(User { account: "acct-111".into(), ..User::named("user-9") });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let callback = format!("http://{}/auth/callback", listener.local_addr().unwrap());
    let visited = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 4096];
        let n = stream.read(&mut bytes).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone").unwrap();
        String::from_utf8(bytes[..n].to_vec()).unwrap()
    });
    let page = browse(&format!("{}{}", sandbox.origin(), target(&[("redirect_uri", &callback)]))).unwrap();
    assert_eq!((page.status, page.body.as_str()), (200, "done"));
    let request = visited.join().unwrap();
    assert!(request.starts_with("GET /auth/callback?code=sandbox-code-"));
    let visited = format!("http://x{}", request.split(' ').nth(1).unwrap());
    let params: HashMap<String, String> = Url::parse(&visited).unwrap().query_pairs().into_owned().collect();
    assert_eq!(params["state"], "st&1");
    assert_eq!(params["iss"], sandbox.origin());
    let answer = send_exchange(&sandbox, &params["code"], &[("redirect_uri", &callback)]);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let json = answer.json();
    assert_eq!((json["token_type"].as_str(), json["expires_in"].as_i64()), (Some("Bearer"), Some(3600)));
    assert_eq!(json["scope"], "openid profile email offline_access");
    assert!(json["refresh_token"].as_str().unwrap().starts_with("sandbox-rt-"));

    let access = claims(&answer.secret("access_token"));
    assert_eq!(access["sub"], "user-9");
    assert_eq!((access["iat"].as_i64(), access["exp"].as_i64()), (Some(NOW), Some(NOW + 3600)));
    assert_eq!(access["https://api.openai.com/auth"]["chatgpt_account_id"], "acct-111");
    assert_eq!(access["https://api.openai.com/profile"]["email"], "user-9@example.test");
    let id = claims(&answer.secret("id_token"));
    assert_eq!((id["iss"].as_str(), id["nonce"].as_str()), (Some(sandbox.origin()), Some("n-1")));
    assert_eq!(id["aud"][0], "client-1");
    assert_ne!(id["jti"], access["jti"]);
    assert_eq!(whoami(&sandbox, &answer.secret("access_token")).json()["account"], "acct-111");

    let log = sandbox.log();
    let kinds: Vec<_> = log.iter().map(|seen| seen.kind).collect();
    assert_eq!(kinds, [Kind::Authorize, Kind::Exchange, Kind::Api]);
    assert!(log.iter().all(|seen| seen.user.as_deref() == Some("user-9")));
    assert_eq!((sandbox.counts().exchanges, sandbox.counts().refreshes), (1, 0));
}

#[test]
fn pkce_is_demanded_and_checked() {
    let sandbox = start();
    for change in [
        [("code_challenge", ""), ("state", "s")],
        [("code_challenge_method", "plain"), ("state", "s")],
        [("code_challenge_method", ""), ("state", "s")],
        [("code_challenge", "short"), ("state", "s")],
    ] {
        let params = redirected(&sandbox, &change);
        assert_eq!(params["error"], "invalid_request", "{change:?}");
        assert_eq!((params["state"].as_str(), params["iss"].as_str()), ("s", sandbox.origin()));
        assert!(!params.contains_key("code"));
    }
    let code = redirected(&sandbox, &[])["code"].clone();
    let other = "x".repeat(43);
    for change in [
        ("code_verifier", other.as_str()),
        ("code_verifier", CHALLENGE),
        ("code_verifier", ""),
        ("client_id", "client-2"),
        ("redirect_uri", "http://localhost:1455/auth/callback"),
        ("code", "sandbox-code-guess"),
    ] {
        let answer = send_exchange(&sandbox, &code, &[change]);
        assert_eq!((answer.status(), answer.error_code().as_str()), (400, "invalid_grant"), "{change:?}");
    }
    assert_eq!(send_exchange(&sandbox, &code, &[]).status(), 200, "a wrong verifier does not burn the code");
}

#[test]
fn a_code_works_once_and_its_reuse_ends_the_family() {
    let (sandbox, hands) = start_with(|_| ());
    let code = redirected(&sandbox, &[])["code"].clone();
    let first = send_exchange(&sandbox, &code, &[]);
    let second = refresh(&sandbox, &first.secret("refresh_token"));
    assert!(sandbox.is_live(&second.secret("refresh_token")));
    assert_eq!(send_exchange(&sandbox, &code, &[]).error_code(), "invalid_grant");
    assert!(!sandbox.is_live(&second.secret("refresh_token")));

    let code = redirected(&sandbox, &[])["code"].clone();
    hands.forward(600);
    assert_eq!(send_exchange(&sandbox, &code, &[]).error_code(), "invalid_grant", "codes live ten minutes");
}

#[test]
fn nothing_is_sent_to_an_address_that_is_not_loopback() {
    let sandbox = start();
    for redirect in [
        "https://127.0.0.1/cb",
        "http://evil.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://127.0.0.1@evil.example/cb",
        "http://127.0.0.1/cb#x",
        "urn:ietf:wg:oauth:2.0:oob",
        "",
    ] {
        let answer = get(&sandbox, &target(&[("redirect_uri", redirect)]), "");
        assert_eq!((answer.status(), answer.header("location")), (400, None), "{redirect}");
    }
    for redirect in ["http://localhost:9/cb", "http://[::1]:9/cb?x=1"] {
        assert!(redirected(&sandbox, &[("redirect_uri", redirect)]).contains_key("code"), "{redirect}");
    }
    assert_eq!(get(&sandbox, &target(&[("client_id", "")]), "").status(), 400);
    assert_eq!(redirected(&sandbox, &[("response_type", "token")])["error"], "unsupported_response_type");
    assert!(browse("http://example.test/").is_err() && browse("file:///etc/passwd").is_err());
}

#[test]
fn who_signs_in_is_named_chosen_or_set() {
    let (sandbox, _) = start_with(|o| o.users = vec![User::named("work"), User::named("<home>")]);
    let subject = |change: &[(&str, &str)]| {
        let code = redirected(&sandbox, change)["code"].clone();
        claims(&send_exchange(&sandbox, &code, &[]).secret("access_token"))["sub"].clone()
    };
    let page = browse(&format!("{}{}", sandbox.origin(), target(&[]))).unwrap();
    assert!(page.status == 200 && page.body.contains("user=work%40example.test"), "{}", page.body);
    assert!(page.body.contains("&lt;home&gt;") && !page.body.contains("<home>"));
    assert_eq!(subject(&[("login_hint", "work@example.test")]), "work");
    assert_eq!(subject(&[("user", "<home>@example.test"), ("login_hint", "work@example.test")]), "<home>");
    sandbox.next_user("work@example.test");
    assert_eq!(subject(&[]), "work");
    assert_eq!(redirected(&sandbox, &[("user", "nobody@example.test")])["error"], "access_denied");
    sandbox.deny_next("access_denied", "The person said no.");
    let denied = redirected(&sandbox, &[]);
    assert_eq!(
        (denied["error"].as_str(), denied["error_description"].as_str()),
        ("access_denied", "The person said no.")
    );
    assert_eq!(subject(&[]), "work");
}

#[test]
fn the_token_endpoint_reads_forms_and_json_and_refuses_nonsense() {
    let sandbox = start();
    let code = redirected(&sandbox, &[])["code"].clone();
    let object: serde_json::Map<_, _> =
        exchange(&code, &[]).into_iter().map(|(k, v)| (k, v.into())).collect();
    let body = serde_json::Value::Object(object).to_string();
    assert_eq!(
        send(&sandbox, &post_bytes("/oauth/token", "application/json; charset=utf-8", &body)).status(),
        200
    );

    let form = "application/x-www-form-urlencoded";
    for (content_type, body, status, error) in [
        (form, "", 400, "invalid_request"),
        (form, "grant_type=password", 400, "unsupported_grant_type"),
        (form, "grant_type=refresh_token&grant_type=refresh_token", 400, "invalid_request"),
        (form, "grant_type=refresh_token&refresh_token=x", 401, "invalid_client"),
        (form, "grant_type=refresh_token&refresh_token=&client_id=c", 400, "invalid_request"),
        (form, "grant_type=refresh_token&client_id=c", 400, "invalid_request"),
        ("application/json", "[]", 400, "invalid_request"),
        ("application/json", "{\"grant_type\":1}", 400, "invalid_request"),
    ] {
        let answer = send(&sandbox, &post_bytes("/oauth/token", content_type, body));
        assert_eq!((answer.status(), answer.error_code().as_str()), (status, error), "{body}");
    }
    assert_eq!(get(&sandbox, "/oauth/token", "").status(), 405);
    assert_eq!(get(&sandbox, "/nowhere", "").status(), 404);
    assert_eq!(send(&sandbox, b"\x16\x03\x01 not http\r\n\r\n").status(), 400);
    assert_eq!(
        send(&sandbox, b"POST /oauth/token HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n").status(),
        400
    );
    let metadata = get(&sandbox, "/.well-known/oauth-authorization-server", "").json();
    assert_eq!(metadata["token_endpoint"], sandbox.token_url());
}

#[test]
fn a_fault_can_hit_an_exchange() {
    let sandbox = start();
    let code = redirected(&sandbox, &[])["code"].clone();
    sandbox.script_on(On::Exchange, coderclaw_sandbox::Fault::status(503), 1);
    sandbox.script_on(On::Token, coderclaw_sandbox::Fault::NoRefreshToken, 1);
    assert_eq!(send_exchange(&sandbox, &code, &[]).status(), 503);
    assert_eq!(
        send_exchange(&sandbox, &code, &[("code_verifier", "")]).status(),
        400,
        "a refusal uses up nothing"
    );
    let answer = send_exchange(&sandbox, &code, &[]);
    assert!(answer.json().get("access_token").is_some() && answer.json().get("refresh_token").is_none());
}

#[test]
fn the_manifest_is_toml_that_points_here() {
    let sandbox = start();
    let manifest: toml::Table = sandbox.manifest("openai-codex").parse().unwrap();
    assert_eq!(manifest["extends"].as_str(), Some("openai-codex"));
    let method = &manifest["auth"][0];
    assert_eq!(method["token_url"].as_str(), Some(sandbox.token_url().as_str()));
    assert_eq!(method["redirect_ports"].as_array().map(Vec::len), Some(0));
    for key in ["authorize_url", "revoke_url", "issuer"] {
        assert!(method[key].as_str().unwrap().starts_with(sandbox.origin()), "{key}");
    }
}

//! The requests that a provider's manifest leads to, made by the very functions that make the real ones, and not sent.

use coderclaw_http::{HeaderText, Request, Url};
use coderclaw_oauth::{
    AuthorizationRequest, State, TokenEndpoint, TokenHint, exchange_request, refresh_request, revoke_request,
};
use coderclaw_providers::{AuthMethod, Manifest, MethodKind, Revoke, Text};
use coderclaw_types::Secret;

use crate::grant::{Endpoint, encoding, wants_id_token};
use crate::login::first_parameters;

/// What stands for everything secret.
const SECRET: &str = "***";
/// What stands for the client that a login registers.
const CLIENT: &str = "CLIENT";
/// Where discovery names the place; never shown, never asked.
const LATER: &str = "https://discovered.invalid/";

/// One request, as it would be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch {
    /// The method of the manifest that it belongs to.
    pub way: MethodKind,
    /// `page`, `code`, `refresh`, `revoke`, `call`.
    pub step: &'static str,
    /// `GET` or `POST`.
    pub verb: &'static str,
    /// Where to, without parameters; or in words, where the issuer will name it.
    pub place: String,
    /// Parameters, of the address or of the body.
    pub fields: Vec<(String, String)>,
    /// Header lines.
    pub headers: Vec<(String, String)>,
    /// The type of the body.
    pub body: Option<&'static str>,
}

/// The requests of all ways to log in that are made of requests. Secrets are `***`.
pub fn sketches(manifest: &Manifest) -> Vec<Sketch> {
    let mut all = Vec::new();
    for method in manifest.auth.iter() {
        if matches!(method.method, MethodKind::OAuth | MethodKind::Siwc) {
            in_browser(method, &mut all);
        }
        all.extend(call(manifest, method));
    }
    all
}

/// A login that somebody who is new here would make, and what follows from it.
fn in_browser(method: &AuthMethod, all: &mut Vec<Sketch>) {
    let issuer = method.issuer.as_deref().unwrap_or_default();
    let mut whole = method.clone();
    whole.token_url.get_or_insert(Text::Borrowed(LATER));
    let page = method.authorize_url.as_deref().unwrap_or(LATER).parse();
    let (Ok(page), Some(endpoint)) = (page, Endpoint::of(&whole)) else { return };
    let mut token = endpoint.token;
    for (_, value) in token.extra.iter_mut().filter(|(name, _)| name == "client_secret") {
        SECRET.clone_into(value);
    }
    let registers = method.method == MethodKind::Siwc;
    let secret = || Secret::from(SECRET);
    let redirect = method.redirect.as_deref().unwrap_or("http://127.0.0.1/callback");
    let port = method.redirect_ports.first().map_or_else(|| "PORT".to_owned(), ToString::to_string);
    let redirect = match redirect.strip_prefix("http://").and_then(|rest| rest.split_once('/')) {
        Some((host, path)) => format!("http://{host}:{port}/{path}"),
        None => redirect.to_owned(),
    };
    let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let nonce = wants_id_token(method).then(|| text("nonce", SECRET));
    let resource = method.resource.as_deref().map(|url| text("resource", url));
    let registration = if registers { first_parameters("HOST") } else { Vec::new() };
    let own = method.authorize_params.iter().map(|(name, value)| text(name, value));
    let url = AuthorizationRequest {
        authorize_url: page,
        client_id: token.client_id.clone(),
        redirect_uri: redirect.clone(),
        scopes: method.scopes.iter().map(ToString::to_string).collect(),
        extra: nonce.into_iter().chain(resource).chain(registration).chain(own).collect(),
        challenge: SECRET.to_owned(),
        state: State::from_secret(secret()),
    }
    .url();
    // The answer names the client that everything after it is for.
    if registers {
        CLIENT.clone_into(&mut token.client_id);
    }
    let mut add = |step, request: Request| all.push(sketch(method.method, step, &request, issuer));
    add("page", Request::get(url));
    add("code", exchange_request(&token, &secret(), &secret(), &redirect));
    add("refresh", refresh_request(&token, &secret()));
    let revoked = method.revoke_url.as_deref().filter(|_| method.revoke != Revoke::Never);
    if let Some(url) = revoked.and_then(|url| url.parse().ok()) {
        let encoding = method.revoke_request.map_or(token.encoding, encoding);
        let endpoint = TokenEndpoint { url, encoding, extra: Vec::new(), ..token };
        add("revoke", revoke_request(&endpoint, &secret(), TokenHint::Refresh));
    }
}

/// The cheapest call of the API with what this method brings.
fn call(manifest: &Manifest, method: &AuthMethod) -> Option<Sketch> {
    let kind = method.method.makes();
    let api = manifest.api(kind);
    let url: Url = format!("{}{}", api.base_url?, api.probe?).parse().ok()?;
    let mut request = Request::get(url);
    for (name, value) in manifest.request_headers(kind, &Secret::from(SECRET), Some("ACCOUNT")) {
        request = request.header(&name, HeaderText::Secret(value));
    }
    Some(sketch(method.method, "call", &request, ""))
}

fn sketch(way: MethodKind, step: &'static str, request: &Request, issuer: &str) -> Sketch {
    let pairs = |url: &Url| url.query_pairs().into_owned().collect();
    let mut fields: Vec<(String, String)> = pairs(&request.url);
    let mut body = None;
    if let Some(sent) = &request.body {
        body = Some(sent.content_type);
        let text = sent.bytes.expose();
        if let Ok(serde_json::Value::Object(map)) = serde_json::from_str(text) {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            fields.extend(map.iter().map(|(name, value)| (name.clone(), text(value))));
        } else if let Ok(url) = Url::parse(&format!("http://x/?{text}")) {
            fields.extend::<Vec<_>>(pairs(&url));
        }
    }
    let mut place = request.url.clone();
    place.set_query(None);
    let place = match place.as_str() {
        LATER => format!("what {issuer} names"),
        known => known.to_owned(),
    };
    let headers = request.headers.iter().map(|(name, value)| {
        let value = match value {
            HeaderText::Plain(text) => text.clone(),
            // It was made of nothing secret.
            HeaderText::Secret(text) => text.expose().to_owned(),
        };
        (name.clone(), value)
    });
    let verb = match request.method {
        coderclaw_http::Method::Get => "GET",
        coderclaw_http::Method::Post => "POST",
    };
    Sketch { way, step, verb, place, fields, headers: headers.collect(), body }
}

#[cfg(test)]
mod tests {
    use coderclaw_providers::Registry;
    use coderclaw_types::ProviderId;

    use super::*;

    /// All that one way in of a built-in provider sends, from the page to a call.
    fn whole(provider: &str, way: MethodKind) -> Vec<Sketch> {
        let registry = Registry::built_in();
        let manifest = registry.get(&ProviderId::new(provider)).unwrap();
        let all: Vec<Sketch> = sketches(manifest).into_iter().filter(|one| one.way == way).collect();
        let steps: Vec<&str> = all.iter().map(|one| one.step).collect();
        assert_eq!(steps, ["page", "code", "refresh", "revoke", "call"]);
        all
    }

    fn field<'a>(sketch: &'a Sketch, name: &str) -> Option<&'a str> {
        sketch.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn the_requests_of_a_manifest_are_those_that_are_sent() {
        let all = whole("openai-codex", MethodKind::OAuth);
        let field = |at: usize, name| field(&all[at], name);
        assert_eq!(field(0, "redirect_uri"), Some("http://127.0.0.1:1455/auth/callback"));
        assert_eq!(field(0, "code_challenge_method"), Some("S256"));
        assert_eq!(field(1, "code_verifier"), Some("***"));
        assert_eq!(field(2, "grant_type"), Some("refresh_token"));
        assert_eq!(all[3].body, Some("application/json"));
        assert_eq!(all[4].headers[0], ("authorization".into(), "Bearer ***".into()));
        assert!(all[0].place.ends_with("/oauth/authorize"));
    }

    /// A method that registers a client for each person says so in its first request, and speaks for that client afterwards.
    #[test]
    fn a_registration_is_sketched_too() {
        let all = whole("openai", MethodKind::Siwc);
        let field = |at: usize, name| field(&all[at], name);
        for (name, value) in [
            ("client_id", "dynamic_agent_client"),
            ("agent_name_hint", "CoderClaw"),
            ("ext_agent_host_id", "HOST"),
            ("nonce", "***"),
            ("resource", "https://api.openai.com/v1"),
        ] {
            assert_eq!(field(0, name), Some(value), "{name}");
        }
        for at in 1..=2 {
            assert_eq!(field(at, "client_id"), Some("CLIENT"));
            assert_eq!(field(at, "resource"), Some("https://api.openai.com/v1"));
        }
        assert_eq!((field(3, "client_id"), field(3, "resource")), (Some("CLIENT"), None));
    }

    /// What a client calls its secret is sent, and shown to nobody.
    #[test]
    fn a_client_secret_is_not_shown() {
        let text = "id = 'a'\n[[auth]]\nmethod = 'oauth'\nclient_id = 'c'\nclient_secret = 'canary-canary'\n\
                    issuer = 'https://id.a.example'\nscopes = ['openid']";
        let registry = Registry::with_files([("a.toml".into(), text.to_owned())]).unwrap();
        let all = sketches(registry.get(&ProviderId::new("a")).unwrap());
        assert!(!format!("{all:?}").contains("canary"), "{all:?}");
        for at in 1..=2 {
            assert!(all[at].fields.contains(&("client_secret".into(), "***".into())), "{all:?}");
        }
        assert!(all[0].fields.contains(&("nonce".into(), "***".into())), "{all:?}");
    }

    #[test]
    fn what_an_issuer_will_name_is_said_in_words() {
        let text = "id = 'a'\n[[auth]]\nmethod = 'oauth'\nclient_id = 'c'\nissuer = 'https://id.a.example'";
        let registry = Registry::with_files([("a.toml".into(), text.to_owned())]).unwrap();
        let all = sketches(registry.get(&ProviderId::new("a")).unwrap());
        assert_eq!(all[1].place, "what https://id.a.example names");
    }
}

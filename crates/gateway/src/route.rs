//! Where a request goes: the provider that its path names, or that a bare path means.

use coderclaw_auth::{Ask, Auth};
use coderclaw_http::Url;
use coderclaw_providers::{ApiKind, Manifest};
use coderclaw_store::{AgentPaths, GatewayKey};
use coderclaw_types::{Code, ProviderId};
use http::{HeaderMap, Uri};

use crate::refusal::{Refusal, Shape};

/// A path, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// `/PROVIDER/...`: the provider and the rest, with its slash.
    Named(&'a str, &'a str),
    /// A path that programs know by heart: what it speaks, and the path below a base URL.
    Bare(Dialect, &'a str),
    /// None that is served.
    Unknown,
}

/// What a bare path speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Messages,
    Responses,
    Chat,
    /// The list of models, which every API has under the same name.
    Models,
}

/// Takes a path apart. Manifests' base URLs end with the version, so a `/v1` in front of the rest is dropped.
pub(crate) fn route(path: &str) -> Route<'_> {
    let below = path.strip_prefix("/v1").filter(|rest| rest.starts_with('/'));
    if below.is_some() || matches!(path, "/models" | "/responses") {
        let rest = below.unwrap_or(path);
        let under =
            |root: &str| rest == root || rest.strip_prefix(root).is_some_and(|more| more.starts_with('/'));
        return match rest {
            "/chat/completions" => Route::Bare(Dialect::Chat, rest),
            _ if under("/messages") => Route::Bare(Dialect::Messages, rest),
            _ if under("/responses") => Route::Bare(Dialect::Responses, rest),
            _ if under("/models") => Route::Bare(Dialect::Models, rest),
            _ => Route::Unknown,
        };
    }
    let Some((provider, rest)) = path[1..].split_once('/') else { return Route::Unknown };
    if rest.is_empty() {
        return Route::Unknown;
    }
    let rest = &path[1 + provider.len()..];
    let below = rest.strip_prefix("/v1").filter(|below| below.starts_with('/'));
    Route::Named(provider, below.unwrap_or(rest))
}

/// The provider that the request is for, and the path below its base URL. Reads the agent's files for a bare path.
pub(crate) fn destination<'a>(
    auth: &'a Auth,
    agent: &AgentPaths,
    key: &GatewayKey,
    headers: &HeaderMap,
    path: &'a str,
    shape: Shape,
) -> Result<(&'a Manifest, &'a str), Refusal> {
    let (manifest, rest) = match route(path) {
        Route::Unknown => return Err(nowhere("CoderClaw: nothing is served at this path")),
        Route::Named(name, rest) => {
            let name = if name == "codex" { "openai-codex" } else { name };
            let manifest = auth.provider(name).map_err(|e| {
                Refusal::new(
                    404,
                    e.code(),
                    format!("CoderClaw: {}", coderclaw_types::for_people(&e.to_string()).unwrap_or_default()),
                )
            })?;
            (manifest, rest)
        }
        Route::Bare(dialect, rest) => (meant(auth, agent, key, headers, dialect, shape)?, rest),
    };
    if !key.allows(&ProviderId::new(&manifest.id)) {
        return Err(not_for(key, &manifest.id, Shape::of(manifest.api.kind)));
    }
    Ok((manifest, rest))
}

/// Of the providers that speak the dialect and that the key allows: the first of which the agent has a login, else the first.
/// Whether that login works now plays no part, so that a subscription that is used up is not followed by a metered key.
fn meant<'a>(
    auth: &'a Auth,
    agent: &AgentPaths,
    key: &GatewayKey,
    headers: &HeaderMap,
    dialect: Dialect,
    shape: Shape,
) -> Result<&'a Manifest, Refusal> {
    let is_anthropic = headers.contains_key("anthropic-version");
    let usual: &[&str] = match dialect {
        Dialect::Messages => &["anthropic"],
        Dialect::Models if is_anthropic => &["anthropic"],
        Dialect::Chat => &["openai"],
        Dialect::Responses | Dialect::Models => &["openai-codex", "openai"],
    };
    let speaks = |manifest: &Manifest| match (dialect, manifest.api.kind) {
        (Dialect::Messages, kind) => kind == Some(ApiKind::AnthropicMessages),
        (Dialect::Responses, kind) => kind == Some(ApiKind::OpenAiResponses),
        (Dialect::Chat, kind) => kind == Some(ApiKind::OpenAiChat) || manifest.id == "openai",
        (Dialect::Models, kind) => is_anthropic == (kind == Some(ApiKind::AnthropicMessages)),
    };
    let registry = auth.registry();
    let candidates: Vec<&Manifest> = if key.providers.is_empty() {
        usual.iter().filter_map(|id| registry.get(&ProviderId::new(id))).collect()
    } else {
        key.providers.iter().filter_map(|id| registry.get(id)).filter(|one| speaks(one)).collect()
    };
    let has_login = |manifest: &&&Manifest| {
        auth.explain(agent, manifest, &Ask::default()).is_ok_and(|explained| {
            let mut all = explained.candidates.iter();
            explained.winner.is_some()
                || all.any(|one| {
                    one.profile_id.is_some()
                        && !matches!(one.reason, Code::MissingCredential | Code::NotLinked)
                })
        })
    };
    let chosen = if candidates.len() == 1 { None } else { candidates.iter().find(has_login) };
    let chosen = chosen.or(candidates.first()).copied();
    chosen.ok_or_else(|| not_for(key, usual.first().copied().unwrap_or_default(), shape))
}

fn nowhere(message: &str) -> Refusal {
    Refusal::new(404, Code::GatewayRefused, message)
}

fn not_for(key: &GatewayKey, provider: &str, shape: Shape) -> Refusal {
    let allowed: Vec<&str> = key.providers.iter().map(ProviderId::as_str).collect();
    let message = format!(
        "CoderClaw: the gateway key \"{}\" ({}) is for {}, not for {provider}. Type: coderclaw gateway keys add NAME --provider {provider}",
        key.name,
        key.id,
        allowed.join(", ")
    );
    let status = if shape == Shape::Anthropic { 403 } else { 401 };
    Refusal::new(status, Code::GatewayKeyRefused, message)
}

/// The address of the request at the provider. What comes out lies below the base URL, whatever went in.
pub(crate) fn address(base_url: Option<&str>, rest: &str, uri: &Uri) -> Result<Url, Refusal> {
    let base = base_url.ok_or_else(|| nowhere("CoderClaw: this provider has no model API here"))?;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let wrong = || nowhere("CoderClaw: this path leads nowhere at the provider");
    let root: Url = base.parse().map_err(|_| wrong())?;
    let url: Url = format!("{base}{rest}{query}").parse().map_err(|_| wrong())?;
    let is_below =
        url.path().strip_prefix(root.path().trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'));
    if url.origin() != root.origin() || !is_below || !url.username().is_empty() {
        return Err(wrong());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_and_what_they_mean() {
        use Dialect::{Chat, Messages, Models, Responses};
        let table = [
            ("/v1/messages", Route::Bare(Messages, "/messages")),
            ("/v1/messages/count_tokens", Route::Bare(Messages, "/messages/count_tokens")),
            ("/v1/responses", Route::Bare(Responses, "/responses")),
            ("/v1/responses/compact", Route::Bare(Responses, "/responses/compact")),
            ("/responses", Route::Bare(Responses, "/responses")),
            ("/v1/chat/completions", Route::Bare(Chat, "/chat/completions")),
            ("/v1/models", Route::Bare(Models, "/models")),
            ("/models", Route::Bare(Models, "/models")),
            ("/v1/models/claude-x", Route::Bare(Models, "/models/claude-x")),
            ("/v1/messagesx", Route::Unknown),
            ("/v1/files", Route::Unknown),
            ("/v1", Route::Unknown),
            ("/", Route::Unknown),
            ("/anthropic", Route::Unknown),
            ("/anthropic/", Route::Unknown),
            ("/anthropic/v1/messages", Route::Named("anthropic", "/messages")),
            ("/anthropic/messages", Route::Named("anthropic", "/messages")),
            ("/codex/responses", Route::Named("codex", "/responses")),
            ("/groq/v1/v1/x", Route::Named("groq", "/v1/x")),
            ("/groq/v1x", Route::Named("groq", "/v1x")),
        ];
        for (path, expected) in table {
            assert_eq!(route(path), expected, "{path}");
        }
    }

    proptest! {
        /// Whatever path got past the guard, or did not: the request stays at the provider, below its base URL.
        #[test]
        fn an_address_never_leaves_the_base_url(path in "/[a-z@:./%2eEfF\\\\;?#]{0,24}") {
            let uri = "/x?y=1".parse().unwrap();
            if let Ok(url) = address(Some("https://api.x.example/v1"), &path, &uri) {
                prop_assert!(url.as_str().starts_with("https://api.x.example/v1/"), "{url}");
            }
        }
    }

    #[test]
    fn the_query_goes_along() {
        let uri = "/v1/messages?beta=true&a=%2F".parse().unwrap();
        let url = address(Some("https://api.x.example/v1"), "/messages", &uri).unwrap();
        assert_eq!(url.as_str(), "https://api.x.example/v1/messages?beta=true&a=%2F");
        assert!(address(None, "/messages", &uri).is_err());
    }
}

//! How the gateway is doing: what it says of itself, and asking another process for it.

use std::time::Duration;

use coderclaw_http::{Client, HeaderText, Limits, Network, Request, Url};
use coderclaw_types::Millis;
use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::gateway::Shared;
use crate::gateway_error::GatewayError;
use crate::tls::ask_unverified;

/// What makes a health page one of ours.
const NAME: &str = "coderclaw-gateway";
/// A gateway on this machine answers in a moment.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a gateway says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayStatus {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u64,
    /// Since when.
    pub started_at: Millis,
    /// Answers on their way.
    pub open_streams: u64,
    /// It speaks TLS.
    pub is_tls: bool,
    /// When the certificate that it shows ends, where that can be read.
    pub certificate_until: Option<Millis>,
}

/// Says nothing that a stranger on this machine could not see anyway.
pub(crate) fn health(shared: &Shared) -> Response<Answer> {
    let tls = shared.shown();
    let body = json!({
        "status": "ok",
        "name": NAME,
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "startedAt": shared.started_at,
        "openStreams": shared.numbers.open_streams(),
        "tls": tls.is_some(),
        "certificateUntil": tls.and_then(|tls| tls.ends()),
    });
    page(body.to_string(), "application/json")
}

pub(crate) fn metrics(shared: &Shared) -> Response<Answer> {
    page(shared.numbers.text(), "text/plain; version=0.0.4; charset=utf-8")
}

fn page(text: String, content_type: &'static str) -> Response<Answer> {
    let mut response = Response::new(Answer::whole(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Asks the gateway on this port of this machine. `None` where no gateway of ours answers there.
///
/// # Errors
/// Where no connection could even be tried.
pub async fn ask_status(port: u16) -> Result<Option<GatewayStatus>, GatewayError> {
    // Straight there, whatever proxy the environment names.
    let client = Client::new(&Network::default(), Limits { connect: PATIENCE, total: PATIENCE })?;
    let Ok(url) = Url::parse(&format!("http://127.0.0.1:{port}/healthz")) else { return Ok(None) };
    let request = Request::get(url).header("accept", HeaderText::Plain("application/json".into()));
    let body = match client.send(request).await {
        Ok(answer) if answer.status == 200 => answer.body.to_vec(),
        Ok(_) => return Ok(None),
        // One that speaks TLS has nothing to say to this.
        Err(_) => match tokio::time::timeout(PATIENCE, ask_unverified(port, "/healthz")).await {
            Ok(Some(body)) => body,
            Ok(None) | Err(_) => return Ok(None),
        },
    };
    let Ok(said) = serde_json::from_slice::<Value>(&body) else { return Ok(None) };
    if said["name"] != NAME {
        return Ok(None);
    }
    let number = |key: &str| said[key].as_u64().unwrap_or_default();
    Ok(Some(GatewayStatus {
        version: said["version"].as_str().unwrap_or_default().to_owned(),
        pid: number("pid"),
        started_at: Millis(i64::try_from(number("startedAt")).unwrap_or_default()),
        open_streams: number("openStreams"),
        is_tls: said["tls"] == true,
        certificate_until: said["certificateUntil"].as_i64().map(Millis),
    }))
}

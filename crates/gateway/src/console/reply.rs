//! How the console answers: what every page of it says about itself to the browser.

use coderclaw_types::Secret;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, SET_COOKIE};
use http::{Response, StatusCode};
use maud::Markup;

use crate::answer::Answer;

/// Nothing is loaded, run, framed or sent but from here and to here.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const ALWAYS: [(HeaderName, &str); 7] = [
    (CACHE_CONTROL, "no-store"),
    (http::header::CONTENT_SECURITY_POLICY, POLICY),
    (http::header::REFERRER_POLICY, "no-referrer"),
    (http::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (http::header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

pub(super) fn page(status: StatusCode, page: Markup) -> Response<Answer> {
    text(status, "text/html; charset=utf-8", page.into_string())
}

pub(super) fn style() -> Response<Answer> {
    text(StatusCode::OK, "text/css; charset=utf-8", include_str!("console.css"))
}

pub(super) fn script() -> Response<Answer> {
    text(StatusCode::OK, "text/javascript; charset=utf-8", include_str!("console.js"))
}

pub(super) fn icon() -> Response<Answer> {
    text(StatusCode::OK, "image/svg+xml", include_str!("icon.svg"))
}

/// On to another of our pages, with a GET. `to` has no character that a header could not carry; the way home otherwise.
pub(super) fn redirect(to: &str) -> Response<Answer> {
    let mut response = text(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", "");
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, to);
    response
}

/// A stream of events.
pub(super) fn events(answer: Answer) -> Response<Answer> {
    with(StatusCode::OK, "text/event-stream", answer)
}

/// Sets the cookie; with nothing in it, it goes. No script gets it, and no request that another page begins brings it.
pub(super) fn set_cookie(response: &mut Response<Answer>, name: &str, value: Option<&Secret>, is_tls: bool) {
    let ends = if value.is_some() { "" } else { "; Max-Age=0" };
    let secure = if is_tls { "; Secure" } else { "" };
    let value = value.map_or("", Secret::expose);
    if let Ok(mut line) =
        HeaderValue::from_str(&format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{ends}"))
    {
        line.set_sensitive(true);
        response.headers_mut().insert(SET_COOKIE, line);
    }
}

fn text(status: StatusCode, kind: &'static str, text: impl Into<bytes::Bytes>) -> Response<Answer> {
    with(status, kind, Answer::whole(text))
}

fn with(status: StatusCode, kind: &'static str, answer: Answer) -> Response<Answer> {
    let mut response = Response::new(answer);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

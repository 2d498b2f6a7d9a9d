//! What the server of a device login says.

use std::time::Duration;

use coderclaw_http::{Answer, SendError};
use coderclaw_types::Secret;
use serde_json::{Map, Value};

use super::{DeviceCode, DeviceEndpoint, Dialect, NoCode, PollAnswer};
use crate::answer::{description, error_code, looks_like_a_page};
use crate::discovery::trusted;
use crate::strict_json;
use crate::token_set::{TokenSet, number};
use crate::words::for_people;

/// RFC 8628 section 3.2.
const USUAL_INTERVAL: Duration = Duration::from_secs(5);
const INTERVALS: std::ops::RangeInclusive<f64> = 1.0..=60.0;

/// How long a code is good for where the answer does not say; OpenAI's never does.
const USUAL_LIFETIME: Duration = Duration::from_secs(15 * 60);
const LIFETIMES: std::ops::RangeInclusive<f64> = 10.0..=3_600.0;

/// Nobody types in more.
const LONGEST_CODE: usize = 64;

/// Reads the answer to a request for a code.
///
/// # Errors
/// Where there is no code in it that could be shown and used.
pub(crate) fn read_code(
    endpoint: &DeviceEndpoint,
    outcome: Result<Answer, SendError>,
) -> Result<DeviceCode, NoCode> {
    let answer = outcome.map_err(|e| NoCode::Failed(e.to_string()))?;
    let object = match strict_json::parse(&answer.body) {
        Some(Value::Object(object)) => Some(object),
        _ => None,
    };
    let body = object.clone().map(Value::Object);
    let code = body.as_ref().and_then(error_code);
    // GitHub says no with a 200.
    let said_no = code.is_some() && object.as_ref().is_some_and(|object| object.contains_key("error"));
    if !(200..=299).contains(&answer.status) || said_no {
        let words = in_words(&answer, body.as_ref());
        let off = match code.as_deref() {
            Some("unauthorized_client" | "device_flow_disabled" | "unsupported_grant_type") => true,
            _ => answer.status == 404 && !looks_like_a_page(&answer),
        };
        return Err(if off { NoCode::Off(words) } else { NoCode::Failed(words) });
    }
    let unusable = |what: &str| NoCode::Failed(format!("the answer {what}"));
    let object = object.ok_or_else(|| unusable("is not a JSON object"))?;
    let text = |names: &[&str]| names.iter().find_map(|name| text(&object, name));
    let user_code = text(&["user_code", "usercode"]).ok_or_else(|| unusable("has no code to type in"))?;
    if user_code.len() > LONGEST_CODE
        || !user_code.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
    {
        return Err(unusable("has a code that nobody can type in"));
    }
    let (handle, page, complete) = match &endpoint.dialect {
        Dialect::OpenAi { page, .. } => (text(&["device_auth_id"]), Some(page.clone()), None),
        Dialect::Standard { .. } => {
            let page = text(&["verification_uri", "verification_url"]);
            let page = page.and_then(|text| trusted(&text));
            let complete = text(&["verification_uri_complete", "verification_url_complete"]);
            (text(&["device_code"]), page, complete.and_then(|text| trusted(&text)))
        }
    };
    Ok(DeviceCode {
        user_code,
        page: page.ok_or_else(|| unusable("names no page that could be trusted"))?,
        complete,
        interval: seconds(&object, "interval").map_or(USUAL_INTERVAL, |secs| clamped(secs, INTERVALS)),
        lifetime: seconds(&object, "expires_in").map_or(USUAL_LIFETIME, |secs| clamped(secs, LIFETIMES)),
        handle: handle.map(Secret::from).ok_or_else(|| unusable("does not say how to ask for the tokens"))?,
    })
}

/// Reads the answer to a question whether the code has been typed in.
pub(crate) fn read_poll(endpoint: &DeviceEndpoint, outcome: Result<Answer, SendError>) -> PollAnswer {
    let answer = match outcome {
        Ok(answer) => answer,
        Err(error) => return PollAnswer::Trouble(error.to_string()),
    };
    let body = strict_json::parse(&answer.body);
    let words = || in_words(&answer, body.as_ref());
    let is_error = !(200..=299).contains(&answer.status)
        || body.as_ref().is_some_and(|body| body.get("error").is_some_and(|error| !error.is_null()));
    // By the code, not by the status: some servers say all of it with a 200.
    match body.as_ref().filter(|_| is_error).and_then(error_code).as_deref() {
        Some("authorization_pending") => return PollAnswer::Pending,
        Some("slow_down") => return slow_down(body.as_ref()),
        Some("access_denied" | "authorization_declined") => return PollAnswer::Denied(words()),
        Some("expired_token") => return PollAnswer::Expired,
        _ => {}
    }
    let page = looks_like_a_page(&answer);
    match (answer.status, &endpoint.dialect) {
        (429, _) => slow_down(body.as_ref()),
        (408 | 500..=599, _) => PollAnswer::Trouble(words()),
        // A portal, or a wall in front of the server; it says nothing about the login.
        _ if page => PollAnswer::Trouble(words()),
        (403 | 404, Dialect::OpenAi { .. }) => PollAnswer::Pending,
        (200..=299, Dialect::OpenAi { .. }) => {
            let object = body.as_ref().and_then(Value::as_object);
            let secret = |name| object.and_then(|object| text(object, name)).map(Secret::from);
            match (secret("authorization_code"), secret("code_verifier")) {
                (Some(code), Some(verifier)) => PollAnswer::Code { code, verifier },
                _ => PollAnswer::Failed("the answer says success and holds no code to exchange".into()),
            }
        }
        (200..=299, Dialect::Standard { .. }) if !is_error => TokenSet::read(&answer).map_or_else(
            || PollAnswer::Failed("the answer says success and holds no usable token".into()),
            |set| PollAnswer::Granted(Box::new(set)),
        ),
        _ => PollAnswer::Failed(words()),
    }
}

fn slow_down(body: Option<&Value>) -> PollAnswer {
    let object = body.and_then(Value::as_object);
    let interval = object.and_then(|object| seconds(object, "interval"));
    PollAnswer::SlowDown { interval: interval.map(|secs| clamped(secs, INTERVALS)) }
}

/// The server's own words, fit to be shown.
fn in_words(answer: &Answer, body: Option<&Value>) -> String {
    if looks_like_a_page(answer) {
        return format!(
            "the answer was {} with a web page: something in between may block this network or region",
            answer.status
        );
    }
    let code = body.and_then(error_code);
    match (body.and_then(description), code) {
        (Some(words), Some(code)) => format!("{code}: {words}"),
        (Some(words), None) => words,
        (None, Some(code)) => code,
        (None, None) => format!("the answer was {}", answer.status),
    }
}

fn text(object: &Map<String, Value>, name: &str) -> Option<String> {
    let text = object.get(name)?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned()).filter(|text| for_people(text).is_some())
}

/// A number or a text that is one.
fn seconds(object: &Map<String, Value>, name: &str) -> Option<f64> {
    object.get(name).and_then(number).filter(|secs| *secs > 0.0)
}

fn clamped(secs: f64, range: std::ops::RangeInclusive<f64>) -> Duration {
    Duration::from_secs_f64(secs.clamp(*range.start(), *range.end()))
}

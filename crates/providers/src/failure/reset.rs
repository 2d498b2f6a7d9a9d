//! When a limit ends, by our own clock, exactly as the provider says it.

use std::time::Duration;

use coderclaw_types::Millis;
use serde_json::Value;

use super::body::Said;
use super::kind::FailureKind;

/// No usage window is longer than a month; a time further away is a misunderstanding.
const LONGEST: Duration = Duration::from_secs(31 * 24 * 3600);
/// `Date` counts whole seconds, and an answer takes a moment: a smaller difference between the clocks is none.
const SMALLEST_SKEW: i64 = 2_000;

/// What an answer says about time.
pub(super) struct Times<'a> {
    pub(super) headers: &'a [(String, String)],
    pub(super) said: &'a Said,
    pub(super) received_at: Millis,
}

/// A usage window that is used up, and the end of the one that ends last, by the server's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Window {
    /// The account's.
    Account(Option<Millis>),
    /// Of one model family only.
    Model(Option<Millis>),
}

impl Times<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        header(self.headers, name)
    }

    /// An instant of the server's clock by ours: what its `Date` differs from our receipt is subtracted. `None` for
    /// what has passed, and for what cannot be.
    pub(super) fn local(&self, server: Millis) -> Option<Millis> {
        let date = self.header("date").and_then(Millis::from_http_date);
        let ahead = date.map_or(0, |date| date.0.saturating_sub(self.received_at.0));
        // The receipt falls into the second that `Date` has cut off.
        let skew = if (-SMALLEST_SKEW..=SMALLEST_SKEW).contains(&ahead) { 0 } else { ahead };
        self.sane(Millis(server.0.saturating_sub(skew)))
    }

    fn sane(&self, at: Millis) -> Option<Millis> {
        (at > self.received_at && at <= self.received_at.plus(LONGEST)).then_some(at)
    }

    fn after(&self, span: Duration) -> Option<Millis> {
        self.sane(self.received_at.plus(span))
    }

    /// The instant that the answer names, the most precise source first.
    pub(super) fn named(&self, kind: FailureKind) -> Option<Millis> {
        if kind == FailureKind::UsageLimit
            && let Some(at) = self.in_body().or_else(|| self.codex_windows())
        {
            return Some(at);
        }
        let named = self.retry_after().or_else(|| self.in_body()).or_else(|| self.rate_headers());
        named.or_else(|| self.in_words())
    }

    /// `resets_at` (Unix seconds) and `resets_in_seconds`. Without a `Date` the second needs no clock of theirs.
    fn in_body(&self) -> Option<Millis> {
        let number = |key: &str| self.said.details.get(key).and_then(as_number);
        let at = number("resets_at").map(unix).or_else(|| {
            let text = self.said.details.get("resets_at").and_then(Value::as_str)?;
            Millis::from_rfc3339(text)
        });
        let at = at.and_then(|at| self.local(at));
        let span = number("resets_in_seconds").and_then(seconds).and_then(|span| self.after(span));
        if self.header("date").is_some() { at.or(span) } else { span.or(at) }
    }

    /// `x-codex-primary-reset-at` and its like, of the windows that are used up; the last end counts.
    fn codex_windows(&self) -> Option<Millis> {
        let end = |slot: &str| {
            let get = |what: &str| self.header(&format!("x-codex-{slot}-{what}"))?.trim().parse::<f64>().ok();
            if get("used-percent")? < 100.0 {
                return None;
            }
            let at = get("reset-at").map(unix).and_then(|at| self.local(at));
            at.or_else(|| self.after(seconds(get("reset-after-seconds")?)?))
        };
        ["primary", "secondary"].into_iter().filter_map(end).max()
    }

    /// RFC 9110 section 10.2.3: seconds or a date; and OpenAI's finer `retry-after-ms`.
    fn retry_after(&self) -> Option<Millis> {
        let ms = self.header("retry-after-ms").and_then(|text| text.trim().parse::<u64>().ok());
        if let Some(ms) = ms {
            return self.after(Duration::from_millis(ms));
        }
        let text = self.header("retry-after")?.trim();
        match text.parse::<f64>() {
            Ok(secs) => self.after(seconds(secs)?),
            Err(_) => self.local(Millis::from_http_date(text)?),
        }
    }

    /// `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-reset`, of those with nothing left.
    fn rate_headers(&self) -> Option<Millis> {
        let end = |what: &str| {
            let remaining = self.header(&format!("anthropic-ratelimit-{what}-remaining"))?;
            let is_empty = remaining.trim().parse::<u64>() == Ok(0);
            let at = self.header(&format!("anthropic-ratelimit-{what}-reset")).and_then(instant);
            at.filter(|_| is_empty).and_then(|at| self.local(at))
        };
        ["requests", "tokens", "input-tokens", "output-tokens"].into_iter().filter_map(end).max()
    }

    /// "try again in 1.5s", "in 28ms", "in 6m0s".
    fn in_words(&self) -> Option<Millis> {
        let text = self.said.text();
        let from = text.find("try again in ")? + "try again in ".len();
        let span: String =
            text[from..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
        self.after(spoken(span.trim_end_matches('.'))?)
    }
}

fn header<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

/// The windows of a Claude subscription (`anthropic-ratelimit-unified-*`) that are used up. `5h` and `7d` are the
/// account's; any other, such as `7d_oi`, is that of one model family. `None` where none is.
pub(super) fn unified_windows(headers: &[(String, String)]) -> Option<Window> {
    const PREFIX: &str = "anthropic-ratelimit-unified-";
    let reset = |of: &str| header(headers, &format!("{PREFIX}{of}reset")).and_then(instant);
    let (mut account, mut model) = (None, None);
    for (name, value) in headers {
        let window = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix("-status"));
        let Some(window) = window.filter(|window| *window != "overage" && value.trim() == "rejected") else {
            continue;
        };
        let end = reset(&format!("{window}-"));
        let of = if matches!(window, "5h" | "7d") { &mut account } else { &mut model };
        *of = Some(of.flatten().max(end));
    }
    if let Some(end) = account {
        return Some(Window::Account(end.or_else(|| reset(""))));
    }
    if let Some(end) = model {
        return Some(Window::Model(end.or_else(|| reset(""))));
    }
    if header(headers, "anthropic-ratelimit-unified-status").map(str::trim) != Some("rejected") {
        return None;
    }
    let claim = header(headers, "anthropic-ratelimit-unified-representative-claim").unwrap_or_default();
    match claim.trim() {
        "" | "five_hour" | "seven_day" => Some(Window::Account(reset(""))),
        _ => Some(Window::Model(reset(""))),
    }
}

/// Unix seconds, or RFC 3339.
fn instant(text: &str) -> Option<Millis> {
    let text = text.trim();
    text.parse::<f64>().ok().map(unix).or_else(|| Millis::from_rfc3339(text))
}

/// Seconds since the epoch; a number that would be in the year 5000 counts milliseconds.
fn unix(secs: f64) -> Millis {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "saturates, and is checked against our clock afterwards"
    )]
    let ms = if secs > 1e11 { secs as i64 } else { (secs * 1000.0) as i64 };
    Millis(ms)
}

fn seconds(secs: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(secs).ok()
}

fn as_number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// `1.5s`, `28ms`, `6m0s`, `1h2m`.
fn spoken(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let factor = match &rest[..unit] {
            "ms" => 0.001,
            "s" | "sec" | "second" | "seconds" => 1.0,
            "m" | "min" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3600.0,
            "d" | "day" | "days" => 86_400.0,
            _ => return None,
        };
        total += number * factor;
        rest = &rest[unit..];
    }
    seconds(total)
}

//! What a token endpoint and a model API answer: only a known code ends a login, and what is shown is fit to be shown.

use std::time::Duration;

use coderclaw_oauth::{RefreshAnswer, read_answer};
use coderclaw_providers::{ApiKind, read_failure};
use coderclaw_types::Millis;

/// `STATUS\nname: value\n...\n\nBODY`
pub(super) fn run(bytes: &[u8]) {
    let end = bytes.windows(2).position(|two| two == b"\n\n");
    let (head, body) = end.map_or((bytes, &b""[..]), |end| (&bytes[..end], &bytes[end + 2..]));
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let status =
        lines.next().and_then(|line| line.trim().parse::<u16>().ok()).filter(|s| (100..600).contains(s));
    let Some(status) = status else { return };
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    for api in [ApiKind::AnthropicMessages, ApiKind::OpenAiResponses, ApiKind::OpenAiChat] {
        let failure = read_failure(api, status, &headers, body, Millis(1_000));
        assert!(!failure.to_string().chars().any(char::is_control), "{failure}");
    }
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    let answer = coderclaw_http::Answer { status, headers, body: body.to_vec() };
    match read_answer(Ok(answer)) {
        RefreshAnswer::Granted(set) => {
            assert!((200..300).contains(&status));
            assert!(
                set.access.expose().bytes().all(|byte| byte.is_ascii_graphic()) && !set.access.is_blank()
            );
            assert!(set.expires_in.is_none_or(|secs| secs > 0), "{:?}", set.expires_in);
            assert!(!format!("{set:?}").contains(set.access.expose()) || set.access.expose().len() < 8);
        }
        RefreshAnswer::Refused { code, description } => {
            // A mistake here costs somebody a login: the code stands in the answer, word for word or escaped.
            assert!(text.contains(&code) || text.contains('\\'), "{code} came from nowhere");
            assert!(!(500..600).contains(&status) && !(200..300).contains(&status), "{status} ends no login");
            assert!(description.is_none_or(|words| !words.chars().any(char::is_control)));
        }
        RefreshAnswer::NotSpent { retry_after, .. } => {
            assert!(retry_after.is_none_or(|wait| wait <= Duration::from_secs(3_600)));
        }
        _ => {}
    }
}

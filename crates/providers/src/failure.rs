//! What a failed model call says about the request, the model, the service, the credential and the account.
//!
//! Pure: status, headers and body in, a [`Failure`] out. Only words that are known end anything for longer than a
//! while; what is not understood is taken for a passing trouble (a page of some proxy, a code of next year).

mod body;
mod kind;
mod reset;
mod words;

use coderclaw_types::{Code, Millis};

use crate::words::ApiKind;
use body::Said;
pub use kind::{FailureKind, Scope};

/// A model call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it means.
    pub kind: FailureKind,
    /// The HTTP status; `None` where it came in the middle of a stream, or no answer came at all.
    pub status: Option<u16>,
    /// When the provider will take requests again, by our own clock. Only where it said so.
    pub reset: Option<Millis>,
    /// The provider's own code, in lower case and fit to be shown.
    pub code: Option<String>,
    /// The provider's words, or ours where it had none: one short line, fit to be shown.
    pub message: Option<String>,
}

impl Failure {
    /// A failure that no server told us of, such as a lost connection. `message` is ours.
    pub fn own(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, status: None, reset: None, code: None, message: Some(message.into()) }
    }

    /// The code of this failure.
    pub fn code(&self) -> Code {
        self.kind.code()
    }
}

/// One line: the provider's words, else what the kind means.
impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.message, self.status) {
            (Some(message), _) => f.write_str(message),
            (None, Some(status)) => write!(f, "the provider answered {status}"),
            (None, None) => f.write_str(self.code().meaning().trim_end_matches('.')),
        }
    }
}

impl std::error::Error for Failure {}

/// Reads an answer that is no success. `headers` have their names in lower case; `received_at` is our own clock.
pub fn read_failure(
    api: ApiKind,
    status: u16,
    headers: &[(String, String)],
    body: &[u8],
    received_at: Millis,
) -> Failure {
    let said = Said::read(headers, body);
    let times = reset::Times { headers, said: &said, received_at };
    let (kind, limited_until) = kind::of_answer(api, status, headers, &said, &times);
    let reset = match kind.scope() {
        Scope::Request => None,
        _ => limited_until.or_else(|| times.named(kind)),
    };
    Failure { kind, status: Some(status), reset, code: said.shown_code(), message: said.shown_message() }
}

/// Reads an error event in the middle of a stream: the JSON after `data:`.
pub fn read_event_failure(data: &[u8], received_at: Millis) -> Failure {
    let said = Said::read(&[], data);
    let times = reset::Times { headers: &[], said: &said, received_at };
    let kind = kind::of_event(&said);
    Failure {
        kind,
        status: None,
        reset: times.named(kind),
        code: said.shown_code(),
        message: said.shown_message(),
    }
}

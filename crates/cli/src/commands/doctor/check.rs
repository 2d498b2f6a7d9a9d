//! One finding, and how all of them are told.

use coderclaw_types::Code;
use serde::{Serialize, Serializer};
use serde_json::json;

use crate::commands::Context;
use crate::report::Report;
use crate::text::{clean, width, wrap};

/// Repairs what is safe.
pub(super) const REPAIR: &str = "coderclaw doctor --fix";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    Warn,
    Fail,
    Fixed,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Fixed => "fixed",
        }
    }

    fn mark(self) -> char {
        match self {
            Self::Ok => '✓',
            Self::Warn => '!',
            Self::Fail => '✗',
            Self::Fixed => '+',
        }
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Check {
    /// What was looked at. Several findings of one kind have the same id.
    pub(super) id: &'static str,
    pub(super) status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<Code>,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
    /// What `--fix` does about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
}

impl Check {
    fn new(id: &'static str, status: Status, code: Option<Code>, message: String) -> Self {
        Self { id, status, code, message, next: None, fix: None }
    }

    pub(super) fn ok(id: &'static str, message: impl Into<String>) -> Self {
        Self::new(id, Status::Ok, None, message.into())
    }

    pub(super) fn warn(id: &'static str, message: impl Into<String>) -> Self {
        Self::new(id, Status::Warn, None, message.into())
    }

    /// Something that keeps a login from being used or kept.
    pub(super) fn fail(id: &'static str, code: Code, message: impl Into<String>) -> Self {
        Self::new(id, Status::Fail, Some(code), message.into()).next(super::next_of(code))
    }

    pub(super) fn code(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    pub(super) fn next(mut self, next: Option<String>) -> Self {
        self.next = next;
        self
    }
}

pub(super) fn report(context: &Context, fixes: bool, checks: &[Check]) -> Report {
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    let (warn, fail, fixed) = (count(Status::Warn), count(Status::Fail), count(Status::Fixed));
    let is_open = |check: &&Check| check.fix.is_some() && check.status != Status::Fixed;
    let fixable = checks.iter().filter(is_open).count();
    let root = context.auth.state().root();
    if context.global.json {
        return Report::json(&json!({
            "stateDir": root,
            "checks": checks,
            "summary": {
                "ok": count(Status::Ok), "warn": warn, "fail": fail, "fixed": fixed, "fixable": fixable,
            },
        }));
    }
    let width = width();
    let mut text = format!("State dir: {}\n\n", root.display());
    for check in checks {
        if context.global.quiet && check.status == Status::Ok {
            continue;
        }
        let code = check.code.map(|code| format!(" [{code}]")).unwrap_or_default();
        let said = clean(&format!("{}: {}{code}", check.id, check.message));
        for (i, line) in wrap(&said, width.saturating_sub(2)).iter().enumerate() {
            let mark = if i == 0 { check.status.mark() } else { ' ' };
            text.push_str(&format!("{mark} {line}\n"));
        }
        // What `--fix` does is said once, at the end.
        let is_told =
            check.status == Status::Fixed || check.fix.is_some() && check.next.as_deref() == Some(REPAIR);
        if let Some(next) = check.next.as_ref().filter(|_| !is_told) {
            // Never broken: it is there to be copied.
            text.push_str(&format!("    next: {}\n", clean(next)));
        }
    }
    let mut end = match (warn, fail) {
        (0, 0) => "Nothing needs attention.".to_owned(),
        (warn, 0) => format!("{warn} to look at, nothing broken."),
        (warn, fail) => format!("{fail} broken, {warn} to look at."),
    };
    if fixed > 0 {
        end.push_str(&format!(" {fixed} repaired."));
    }
    if fixable > 0 && !fixes {
        end.push_str(&format!(" {fixable} can be repaired with: {REPAIR}"));
    }
    text.push_str(&format!("\n{}\n", wrap(&end, width).join("\n")));
    Report::text(text)
}

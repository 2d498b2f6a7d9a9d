//! What a connection shows: the difference before it is written, and what to know afterwards.

use std::io::IsTerminal;
use std::path::Path;

use coderclaw_providers::CredentialKind;
use coderclaw_store::{ConnectionPlan, SettingChange};
use coderclaw_types::{ProfileId, redact};
use serde_json::{Map, Value, json};

use super::borrow::Loan;
use crate::args::{Tool, Way};
use crate::commands::Context;
use crate::report::{Report, say};
use crate::text::{clean, width, wrap};

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Printed,
    Declined,
    Nothing,
}

/// What is told about.
pub(super) struct Shown<'a> {
    pub(super) tool: Tool,
    /// `None` when it is disconnected.
    pub(super) loan: Option<&'a Loan<'a>>,
    pub(super) path: &'a Path,
    pub(super) notes: &'a [String],
}

/// What is kept of a plan that is carried out.
pub(super) struct Told {
    changes: Vec<SettingChange>,
    left: Vec<SettingChange>,
    backup: Option<String>,
}

impl Shown<'_> {
    pub(super) fn told(&self, plan: &ConnectionPlan) -> Told {
        let backup = plan.backup().map(|path| path.display().to_string());
        Told { changes: plan.changes.clone(), left: plan.left.clone(), backup }
    }

    /// Before a person is asked.
    pub(super) fn before(&self, plan: &ConnectionPlan) -> String {
        let mut text = self.difference(&plan.changes);
        text.push_str(&self.lines(&plan.left));
        text.trim_end().to_owned()
    }

    /// Where nothing was written.
    pub(super) fn report(&self, context: &Context, plan: &ConnectionPlan, outcome: Outcome) -> Report {
        if context.global.json {
            return Report::json(&self.json(
                &plan.changes,
                &plan.left,
                outcome == Outcome::Printed,
                false,
                None,
            ));
        }
        self.say_notes(context);
        let name = self.tool.name();
        Report::text(match outcome {
            Outcome::Printed if plan.changes.is_empty() && plan.is_done() => {
                format!("Nothing to write: {name} is connected.\n")
            }
            Outcome::Printed => self.difference(&plan.changes) + &self.lines(&plan.left),
            Outcome::Declined => "Nothing was written.\n".to_owned(),
            Outcome::Nothing => {
                fitted(&format!("{name} is connected already. {}", self.what_it_gets())) + "\n"
            }
        })
    }

    /// After it was written. Whoever was asked has seen the difference.
    pub(super) fn done(&self, context: &Context, told: Told, key: Option<&str>, was_asked: bool) -> Report {
        if context.global.json {
            return Report::json(&self.json(&told.changes, &told.left, false, true, key));
        }
        self.say_notes(context);
        let name = self.tool.name();
        let mut text = if was_asked { String::new() } else { self.difference(&told.changes) };
        if self.loan.is_none() {
            text.push_str(&format!("{name} is disconnected.\n"));
            text.push_str(&self.lines(&told.left));
            if key.is_some() {
                text.push_str("Its gateway key counts no more.\n");
            }
            return Report::text(text);
        }
        text.push_str(&fitted(&format!("{name} is connected. {}", self.what_it_gets())));
        text.push('\n');
        if let Some(backup) = told.backup {
            text.push_str(&format!("Old file: {backup}\n"));
        }
        text.push_str(&format!("Undo: coderclaw disconnect {}\n", self.tool.id()));
        Report::text(text)
    }

    fn say_notes(&self, context: &Context) {
        if !context.global.quiet {
            self.notes.iter().for_each(|note| say(&fitted(&format!("Note: {}", clean(note)))));
        }
    }

    /// Whose login it is, in a sentence.
    fn what_it_gets(&self) -> String {
        let Some(loan) = self.loan else { return String::new() };
        let provider = &loan.manifest.id;
        let lent = loan.now.as_ref().and_then(|now| now.profile.as_ref());
        let tied = loan.way == Way::Helper && loan.headers().1;
        let billed = match loan.now.as_ref().map(|now| now.kind) {
            Some(CredentialKind::ApiKey) => ", which is billed per use",
            _ => "",
        };
        match (&loan.profile, lent) {
            (Some(profile), _) => format!("It uses {} and no other{billed}.", clean(profile.as_str())),
            (None, Some(profile)) if tied => format!(
                "It uses {} and no other, since the account stands in the settings; --through gateway follows the order.",
                clean(profile.as_str())
            ),
            (None, Some(profile)) => format!(
                "It uses what `models auth explain --provider {provider}` says, now {}{billed}.",
                clean(profile.as_str())
            ),
            (None, None) => format!("It uses what `models auth explain --provider {provider}` says."),
        }
    }

    fn difference(&self, changes: &[SettingChange]) -> String {
        if changes.is_empty() {
            return String::new();
        }
        let mut text = format!("{}\n", self.path.display());
        for change in changes {
            for (mark, value) in [('-', &change.before), ('+', &change.after)] {
                if let Some(value) = value {
                    text.push_str(&self.written(mark, &change.key, value));
                }
            }
        }
        text.push('\n');
        text
    }

    /// A setting as it stands in the file, or nearly so.
    fn written(&self, mark: char, key: &[String], value: &Value) -> String {
        let mut lines = Vec::new();
        match (self.tool, value) {
            (Tool::Codex, Value::Object(table)) => table_lines(&key.join("."), table, &mut lines),
            (Tool::Codex, value) => lines.push(format!("{} = {}", key.join("."), in_toml(value))),
            (Tool::ClaudeCode, value) => lines.push(format!("{}: {value}", place(key))),
        }
        // What stood there may hold a secret of somebody's.
        lines.iter().map(|line| format!("{mark} {}\n", clean(&redact(line)))).collect()
    }

    fn lines(&self, left: &[SettingChange]) -> String {
        let one = |change: &SettingChange| {
            format!("{} was changed since, and stays as it is.\n", place(&change.key))
        };
        left.iter().map(one).collect()
    }

    fn json(
        &self,
        changes: &[SettingChange],
        left: &[SettingChange],
        is_printed: bool,
        is_changed: bool,
        key: Option<&str>,
    ) -> Value {
        let masked = |value: &Option<Value>| {
            let text = value.as_ref().map(Value::to_string);
            text.and_then(|text| serde_json::from_str::<Value>(&redact(&text)).ok())
        };
        let places = |changes: &[SettingChange]| -> Vec<Value> {
            let one = |one: &SettingChange| json!({"key": one.key, "before": masked(&one.before), "after": masked(&one.after)});
            changes.iter().map(one).collect()
        };
        let loan = self.loan;
        let lent = loan.and_then(|loan| loan.profile.as_ref().or(loan.now.as_ref()?.profile.as_ref()));
        json!({
            "tool": self.tool.id(),
            "path": self.path,
            "connected": loan.is_some() && !is_printed,
            "changed": is_changed,
            "through": loan.map(|loan| match loan.way { Way::Helper => "helper", Way::Gateway => "gateway" }),
            "provider": loan.map(|loan| &loan.manifest.id),
            "agentId": loan.map(|loan| &loan.agent),
            "profileId": lent.map(ProfileId::as_str),
            "changes": places(changes),
            "left": places(left),
            "gatewayKey": key,
            "notes": self.notes,
        })
    }
}

/// Unbroken words for a person, one line for a pipe.
fn fitted(text: &str) -> String {
    if std::io::stdout().is_terminal() { wrap(text, width()).join("\n") } else { text.to_owned() }
}

/// A place as people write it.
pub(super) fn place(key: &[String]) -> String {
    key.join(".")
}

fn table_lines(name: &str, table: &Map<String, Value>, lines: &mut Vec<String>) {
    lines.push(format!("[{name}]"));
    let plain = table.iter().filter(|(_, value)| !value.is_object());
    lines.extend(plain.map(|(key, value)| format!("{key} = {}", in_toml(value))));
    for (key, value) in table {
        if let Value::Object(inner) = value {
            table_lines(&format!("{name}.{key}"), inner, lines);
        }
    }
}

/// Texts, numbers and lists of them look the same there as in JSON, but for the blanks.
fn in_toml(value: &Value) -> String {
    match value {
        Value::Array(list) => format!("[{}]", list.iter().map(in_toml).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

//! What would keep a program from using what it was connected to. Looks only.
//!
//! Measured with Claude Code 2.1.330: its own variables take the place of one of the two headers in which it sends a
//! helper's credential, and the settings of a project go before those of the person. With Codex CLI 0.169.0: no variable
//! and no login of its own goes before the command of a provider.

use coderclaw_gateway::ask_status;
use coderclaw_store::{ToolSetting, json5_value, read_text};

use super::borrow::Loan;
use crate::args::{Tool, Way};
use crate::commands::Context;

/// Variables of Claude Code that take one of the helper's two headers. The gateway looks at both, a provider may not.
const BESIDE: [(&str, &str); 2] = [
    ("ANTHROPIC_API_KEY", "Claude Code sends it beside CoderClaw's, and it may be the one that counts"),
    ("ANTHROPIC_AUTH_TOKEN", "Claude Code sends it beside CoderClaw's, and it may be the one that counts"),
];
/// Those with which it goes elsewhere.
const INSTEAD: [(&str, &str); 3] = [
    ("CLAUDE_CODE_USE_BEDROCK", "Claude Code then goes to Amazon, with no login from here"),
    ("CLAUDE_CODE_USE_VERTEX", "Claude Code then goes to Google, with no login from here"),
    ("CLAUDE_CODE_USE_FOUNDRY", "Claude Code then goes to Microsoft, with no login from here"),
];

pub(super) fn of(context: &Context, tool: Tool, loan: &Loan<'_>, wanted: &[ToolSetting]) -> Vec<String> {
    let mut all = Vec::new();
    if loan.now.is_none() {
        all.push(format!(
            "there is no login of {} yet; `coderclaw models auth explain --provider {}` says why",
            loan.manifest.id, loan.manifest.id
        ));
    }
    if tool == Tool::ClaudeCode {
        let beside: &[_] = if loan.way == Way::Helper { &BESIDE } else { &[] };
        variables(context, beside.iter().chain(&INSTEAD), &mut all);
        project(context, wanted, &mut all);
    }
    if loan.way == Way::Gateway && !is_running(loan.port) {
        all.push(format!("no gateway runs on port {}; `coderclaw gateway run` starts one", loan.port));
    }
    all
}

fn variables<'a>(
    context: &Context,
    names: impl Iterator<Item = &'a (&'static str, &'static str)>,
    all: &mut Vec<String>,
) {
    let env = context.auth.env();
    let path = Tool::ClaudeCode.settings(env).path;
    let own = read_text(&path).ok().flatten().and_then(|text| json5_value(&text)).unwrap_or_default();
    for &(name, why) in names {
        if env.get(name).is_some() {
            all.push(format!("{name} is set: {why}. Unset it where you start Claude Code"));
        } else if own["env"][name].as_str().is_some_and(|value| !value.trim().is_empty()) {
            all.push(format!("{} sets {name}: {why}. Take it out there", path.display()));
        }
    }
}

/// Settings of the folder in which this is typed.
fn project(context: &Context, wanted: &[ToolSetting], all: &mut Vec<String>) {
    let env = context.auth.env();
    for name in ["settings.json", "settings.local.json"] {
        let path = env.cwd().join(".claude").join(name);
        if path == Tool::ClaudeCode.settings(env).path {
            continue;
        }
        let Some(own) = read_text(&path).ok().flatten().and_then(|text| json5_value(&text)) else { continue };
        for one in wanted {
            let found = one.key.iter().try_fold(&own, |value, key| value.get(key));
            if found.is_some_and(|value| *value != one.value) {
                let place = super::words::place(&one.key);
                all.push(format!("{} sets {place}, which counts in this folder", path.display()));
            }
        }
    }
}

/// Asks on loopback; whatever else answers there is no gateway of ours.
fn is_running(port: u16) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.is_ok_and(|runtime| runtime.block_on(ask_status(port)).is_ok_and(|status| status.is_some()))
}

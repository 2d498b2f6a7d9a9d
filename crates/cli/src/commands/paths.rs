//! `models auth paths`: every file that may hold a secret, for backups, deny-lists and people.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::json;

use crate::commands::Context;
use crate::error::CommandError;
use crate::report::Report;

#[derive(Serialize)]
struct Listed {
    path: PathBuf,
    what: &'static str,
    exists: bool,
}

pub(super) fn run(context: &Context) -> Result<Report, CommandError> {
    let state = context.auth.state();
    let agent = context.agent()?;
    let places = context.auth.secret_places()?;
    let files: Vec<Listed> = places
        .into_iter()
        .map(|place| Listed { exists: place.path.exists(), path: place.path, what: place.what })
        .collect();
    let quiet = [
        (state.audit_log(), "the audit trail: events and fingerprints; older parts beside it"),
        (state.persisted(), "which logins a secret store outside has, by hashes"),
        (state.registrations(), "as which clients people have registered CoderClaw, and their addresses"),
        (state.usage_cache(), "how much of their plans the profiles had used"),
        (state.attention(), "what people were told about logins that need them, by hashes"),
    ];
    let quiet = quiet.map(|(path, what)| Listed { exists: path.exists(), path, what });
    if context.global.json {
        return Ok(Report::json(&json!({
            "stateDir": state.root(),
            "configPath": state.config_path(),
            "agentId": agent.agent,
            "agentDir": agent.dir,
            "authStorePath": agent.store(),
            "locks": state.locks(),
            "secrets": files,
            "others": quiet,
        })));
    }
    let mut text =
        format!("State dir: {}\nAuth file: {}\n\n", state.root().display(), agent.store().display());
    text.push_str("May hold a secret (* is there now):\n");
    for file in &files {
        let mark = if file.exists { '*' } else { ' ' };
        text.push_str(&format!("{mark} {}\n      {}\n", file.path.display(), file.what));
    }
    text.push_str("\nHold none:\n");
    for file in &quiet {
        let mark = if file.exists { '*' } else { ' ' };
        text.push_str(&format!("{mark} {}\n      {}\n", file.path.display(), file.what));
    }
    Ok(Report::text(text))
}

//! `agents delete`.

use coderclaw_agents::{Deleted, check_deletable, delete_agent};
use coderclaw_auth::Revocation;
use coderclaw_types::Code;
use serde_json::json;

use super::{named, updated};
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::Report;
use crate::secret_input::{ask, has_terminal};
use crate::text::clean;

pub(super) fn run(context: &Context, id: &str, force: bool, purge: bool) -> Result<Report, CommandError> {
    let agent = named(context, id)?;
    check_deletable(&context.auth, &agent.agent)?;
    if !force {
        confirm(&agent.agent.to_string(), purge)?;
    }
    let done = delete_agent(&context.auth, &agent, purge)?;
    if context.global.json {
        let logged_out: Vec<_> = done.logged_out.iter().map(|one| &one.profile).collect();
        return Ok(Report::json(&json!({
            "agentId": agent.agent,
            "workspace": done.workspace,
            "agentDir": agent.dir,
            "sessionsDir": agent.sessions_dir,
            "removedBindings": done.removed_bindings,
            "removedAllow": done.removed_allow,
            "trash": done.trashed.dir,
            "left": done.trashed.left,
            "heldProfiles": done.held,
            "loggedOut": logged_out,
        })));
    }
    Ok(Report::text(words(context, &done)))
}

fn confirm(id: &str, purge: bool) -> Result<(), CommandError> {
    if !has_terminal() {
        let message = "there is no terminal to ask at whether it should be deleted; say so with --force";
        let purge = if purge { " --purge" } else { "" };
        return Err(CommandError::new(Code::InputRequired, message)
            .hint(format!("coderclaw agents delete {id} --force{purge}")));
    }
    let what = if purge { "log its profiles out and move the rest of its files" } else { "move its files" };
    let answer = ask(&format!("Delete agent {id}: {what} to the trash? [y/N]"))?.unwrap_or_default();
    if matches!(answer.to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(CommandError::new(Code::InputRequired, "cancelled; nothing was changed")
        .hint(format!("coderclaw agents delete {id} --force")))
}

fn words(context: &Context, done: &Deleted) -> String {
    let mut text = done.config.as_ref().map(|path| updated(context, path)).unwrap_or_default();
    text.push_str(&format!("Deleted agent: {}\n", done.paths.agent));
    for one in &done.logged_out {
        let revoked = [&one.refresh, &one.access].into_iter().any(|what| *what == Revocation::Done);
        let how = if revoked { "and revoked at the provider" } else { "here; nothing was revoked" };
        text.push_str(&format!("Logged out {} {how}\n", clean(one.profile.as_str())));
        for copy in &one.copies {
            // Named as it was before its folder went to the trash.
            text.push_str(&format!("  a copy of a token was in {}\n", copy.display()));
        }
    }
    match &done.trashed.dir {
        Some(dir) => text.push_str(&format!("Its files are in {}\n", dir.display())),
        None => text.push_str("It had no files.\n"),
    }
    if done.held > 0 {
        text.push_str(&format!(
            "Logins in there: {}. They are not used or refreshed, and not revoked either.\n",
            done.held
        ));
    }
    for path in &done.trashed.left {
        text.push_str(&format!("Left where it is, since it may be yours: {}\n", path.display()));
    }
    text
}

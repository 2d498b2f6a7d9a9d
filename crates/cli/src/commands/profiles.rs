//! `models auth use`, `rename`, `prune` and `restore`.

use std::path::Path;

use coderclaw_auth::ProfileStatus;
use coderclaw_types::{Code, ProfileId, ProviderId};
use serde_json::json;

use crate::args::UseArgs;
use crate::commands::{Context, at_its_owner};
use crate::error::CommandError;
use crate::report::{Report, say};
use crate::secret_input::{self, Chosen};
use crate::text::{clean, shell_word};

pub(super) fn use_profile(context: &Context, args: UseArgs) -> Result<Report, CommandError> {
    let agent = context.agent()?;
    let id = match (args.profile, args.provider) {
        (Some(id), _) => ProfileId::stored(id.trim()),
        (None, provider) => choose(context, provider.as_deref().unwrap_or_default())?,
    };
    let command = || format!("models auth use {}", shell_word(id.as_str()));
    let used = context.auth.use_profile(&agent, &id).map_err(at_its_owner(command))?;
    if context.global.json {
        return Ok(Report::json(&json!({
            "agentId": agent.agent,
            "provider": used.provider,
            "profileId": id,
            "authStorePath": agent.store(),
            "order": used.order,
            "leftOut": used.left_out,
            "changed": !used.unchanged,
        })));
    }
    let listed = used.order.iter().map(|id| clean(id.as_str())).collect::<Vec<_>>().join(", ");
    let mut text = match used.unchanged {
        true => format!("{} is the first choice for {} already.\n", clean(id.as_str()), used.provider),
        false => format!("{} is now the first choice for {}.\n", clean(id.as_str()), used.provider),
    };
    text.push_str(&format!("Order override: {listed}\n"));
    for id in &used.left_out {
        text.push_str(&format!("Left out, since it is billed per use: {}\n", clean(id.as_str())));
    }
    text.push_str(&format!("Auth file: {}\n", agent.store().display()));
    Ok(Report::text(text))
}

fn choose(context: &Context, provider: &str) -> Result<ProfileId, CommandError> {
    if !secret_input::has_terminal() {
        let message = "there is no terminal to choose at; name the profile: models auth use PROFILE";
        return Err(CommandError::new(Code::InputRequired, message)
            .hint(format!("coderclaw models auth list --provider {}", shell_word(provider))));
    }
    let manifest = context.provider(provider)?;
    let wanted = ProviderId::new(&manifest.id);
    let status = context.auth.status(&context.agent()?)?;
    let is_choice =
        |profile: &ProfileStatus| profile.owner.is_none() && profile.provider.as_ref() == Some(&wanted);
    let ids: Vec<_> = status.profiles.into_iter().filter(is_choice).collect();
    for (i, profile) in ids.iter().enumerate() {
        say(&format!("  {}  {}  {}", i + 1, clean(profile.id.as_str()), profile.state));
    }
    match secret_input::choose("Number:", ids.len())? {
        Chosen::Line(line) => Ok(ids[line].id.clone()),
        Chosen::Word(_) => Err(secret_input::nothing_chosen()),
    }
}

pub(super) fn rename(context: &Context, old: &str, new: &str) -> Result<Report, CommandError> {
    let agent = context.agent()?;
    let old = ProfileId::stored(old.trim());
    let new = ProfileId::new(new).map_err(|e| CommandError::new(Code::Usage, e.to_string()))?;
    let command = || format!("models auth rename {} {}", shell_word(old.as_str()), shell_word(new.as_str()));
    let renamed = context.auth.rename_profile(&agent, &old, &new).map_err(at_its_owner(command))?;
    if context.global.json {
        return Ok(Report::json(&json!({
            "agentId": agent.agent,
            "authStorePath": agent.store(),
            "from": old,
            "profileId": new,
            "pinnedSessions": renamed.pinned_sessions,
            "namedByConfig": renamed.named_by_config,
        })));
    }
    let mut text = format!(
        "Renamed {} to {}.\nAuth file: {}\n",
        clean(old.as_str()),
        clean(new.as_str()),
        agent.store().display()
    );
    text.push_str(&leftovers(&old, renamed.pinned_sessions, renamed.named_by_config));
    Ok(Report::text(text))
}

/// What still speaks of an id, and is not this command's to change.
pub(super) fn leftovers(id: &ProfileId, pinned: usize, in_config: bool) -> String {
    let mut text = String::new();
    if pinned > 0 {
        text.push_str(&format!("Sessions still pinned to {}: {pinned}\n", clean(id.as_str())));
    }
    if in_config {
        text.push_str(&format!("The config still names {}.\n", clean(id.as_str())));
    }
    text
}

pub(super) fn prune(context: &Context, dry_run: bool) -> Result<Report, CommandError> {
    let agent = context.agent()?;
    let found = context.auth.prune(&agent, dry_run)?;
    if context.global.json {
        let found: Vec<_> = found
            .iter()
            .map(|one| json!({"profileId": one.profile, "reason": one.reason, "detail": one.detail}))
            .collect();
        return Ok(Report::json(&json!({
            "agentId": agent.agent,
            "authStorePath": agent.store(),
            "dryRun": dry_run,
            "profiles": found,
        })));
    }
    if found.is_empty() {
        return Ok(Report::text("There is nothing to remove.\n"));
    }
    let mut text = if dry_run { "Would remove:\n" } else { "Removed:\n" }.to_owned();
    for one in &found {
        text.push_str(&format!(
            "  {}: {} [{}]\n",
            clean(one.profile.as_str()),
            clean(&one.detail),
            one.reason
        ));
    }
    Ok(Report::text(text))
}

pub(super) fn restore(context: &Context, from: Option<&Path>, dry_run: bool) -> Result<Report, CommandError> {
    let agent = context.agent()?;
    let from = from.map(|path| context.auth.env().cwd().join(path));
    let done = context.auth.restore(&agent, from.as_deref(), dry_run)?;
    if context.global.json {
        let left: Vec<_> =
            done.left.iter().map(|(id, why)| json!({"profileId": id, "detail": why})).collect();
        return Ok(Report::json(&json!({
            "agentId": agent.agent,
            "authStorePath": agent.store(),
            "from": done.from,
            "dryRun": dry_run,
            "added": done.added,
            "left": left,
            "repaired": done.repaired,
        })));
    }
    let mut text = format!("From {}\n", done.from.display());
    let verb = |what: &str| if dry_run { format!("Would {what}") } else { format!("Did {what}") };
    if done.repaired {
        text.push_str(&format!("{} the damaged store anew; a copy of it stays beside it\n", verb("write")));
    }
    for id in &done.added {
        text.push_str(&format!("{} {}\n", verb("add"), clean(id.as_str())));
    }
    for (id, why) in &done.left {
        text.push_str(&format!("Left out {}: {}\n", clean(id.as_str()), clean(why)));
    }
    if done.added.is_empty() && !done.repaired {
        text.push_str("The store has everything that can be restored; nothing was changed.\n");
    }
    Ok(Report::text(text))
}

pub(super) fn no_such_program(program: &str, error: &std::io::Error) -> CommandError {
    CommandError::new(Code::Usage, format!("{} cannot be run: {error}", clean(program)))
}

//! `plugins install`, `enable`, `disable` and `uninstall`: what may run is decided by a person who has seen what it is.

use std::path::Path;

use coderclaw_auth::{PLUGIN_FILE, seal};
use coderclaw_providers::Manifest;
use coderclaw_store::{read_auth_store, read_provider_file};
use coderclaw_types::Code;
use serde_json::json;

use super::list::{Record, look, named};
use super::shown::{command, places, words};
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::{Report, say};
use crate::secret_input::{ask, has_terminal};
use crate::text::{clean, shell_word};

pub(super) fn run(context: &Context, path: &Path, yes: bool) -> Result<Report, CommandError> {
    let state = context.auth.state();
    let from = context.auth.env().resolve(&path.to_string_lossy());
    let shown = shell_word(&path.display().to_string());
    let invalid = |why: String| {
        CommandError::new(Code::ManifestInvalid, format!("{}: {why}; nothing was installed", from.display()))
            .hint(format!("coderclaw plugins check {shown}"))
    };
    if !from.exists() {
        return Err(invalid("it is not there".to_owned()));
    }
    if from.is_dir() && !from.join(PLUGIN_FILE).is_file() && from.join("coderclaw.plugin.json").is_file() {
        let why = "it is JavaScript of the original, which is not run here";
        return Err(invalid(why.to_owned()).hint("coderclaw plugins new NAME".into()));
    }
    let staged = state.stage_plugin(&from, PLUGIN_FILE)?;
    let file = staged.folder().join(PLUGIN_FILE);
    let text = read_provider_file(&file)?.unwrap_or_default();
    // The errors speak of the file that the person has, not of our copy.
    let named_as = |e: coderclaw_providers::ManifestError| {
        invalid(e.to_string().replace(&format!("{}", file.display()), PLUGIN_FILE))
    };
    let registry = context.auth.registry();
    let id =
        coderclaw_providers::Registry::built_in().add_plugin(&file, &text).map_err(named_as)?.id.to_string();
    let is_plugin = registry.iter().any(|one| one.id == *id && one.plugin.is_some());
    let beside = if is_plugin { registry.clone().without(&id) } else { registry.clone() };
    let manifest = beside.clone().add_plugin(&file, &text).cloned().map_err(named_as)?;
    let had = state.plugins().join(&id).is_dir();
    let question = if had { "Put it in the place of the one that is installed?" } else { "Install it?" };
    consent(context, &manifest, question, yes, &format!("coderclaw plugins install {shown} --yes"))?;
    let folder = staged.keep(state, &id)?;
    state.enable_plugin(&id, &seal(&text))?;
    done(context, &manifest, if had { "replaced" } else { "installed" }, &folder)
}

pub(super) fn enable(context: &Context, id: &str, yes: bool) -> Result<Report, CommandError> {
    let one = installed(context, id)?;
    let state = context.auth.state();
    let folder = state.plugins().join(id);
    let file = folder.join(PLUGIN_FILE);
    let beside = context.auth.registry().clone().without(id);
    let manifest = look(&beside, &file).map_err(|why| CommandError::new(Code::ManifestInvalid, why))?;
    if manifest.id != id {
        let why = format!("{} has another id than its folder", file.display());
        return Err(CommandError::new(Code::ManifestInvalid, why));
    }
    let text = read_provider_file(&file)?.unwrap_or_default();
    // In force and unchanged: it was allowed as it is.
    if !one.enabled {
        consent(
            context,
            &manifest,
            "Put it in force?",
            yes,
            &format!("coderclaw plugins enable {id} --yes"),
        )?;
        state.enable_plugin(id, &seal(&text))?;
    }
    done(context, &manifest, "enabled", &folder)
}

pub(super) fn disable(context: &Context, id: &str) -> Result<Report, CommandError> {
    installed(context, id)?;
    let was = context.auth.state().disable_plugin(id)?;
    if context.global.json {
        return Ok(Report::json(&json!({"id": id, "action": "disabled", "changed": was})));
    }
    let text = if was { "is out of force; its files and its logins stay" } else { "was not in force" };
    Ok(Report::text(format!("The plugin {id} {text}.\n")))
}

/// How far a removal goes.
pub(super) struct Removal {
    pub(super) keep_files: bool,
    pub(super) force: bool,
    pub(super) dry_run: bool,
}

pub(super) fn uninstall(context: &Context, id: &str, how: &Removal) -> Result<Report, CommandError> {
    installed(context, id)?;
    let state = context.auth.state();
    let folder = state.plugins().join(id);
    let left = logins(context, id);
    let goes = if how.keep_files {
        "nothing but its being in force".to_owned()
    } else {
        folder.display().to_string()
    };
    if how.dry_run {
        return Ok(match context.global.json {
            true => {
                Report::json(&json!({"id": id, "action": "none", "wouldRemove": goes, "loginsLeft": left}))
            }
            false => Report::text(format!("It would remove {goes}.\n")),
        });
    }
    if !how.force {
        agree(&format!("Remove {goes}?"), &format!("coderclaw plugins uninstall {id} --force"))?;
    }
    state.disable_plugin(id)?;
    if !how.keep_files {
        state.remove_plugin(id)?;
    }
    if context.global.json {
        return Ok(Report::json(
            &json!({"id": id, "action": "uninstalled", "removed": goes, "loginsLeft": left}),
        ));
    }
    let mut text = format!("The plugin {id} is gone.\n");
    for (agent, profile) in left {
        text.push_str(&format!(
            "Its login {} stays in the store of agent {agent}: coderclaw models auth logout {} --agent {agent}\n",
            clean(&profile),
            shell_word(&profile)
        ));
    }
    Ok(Report::text(text))
}

/// The profiles of this provider, by agent.
fn logins(context: &Context, id: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for agent in context.auth.state().agents(context.auth.config()).unwrap_or_default() {
        let Ok(store) = read_auth_store(&agent.store()) else { continue };
        let theirs =
            store.doc.entries().filter(|(_, entry)| entry.provider().is_some_and(|one| one.as_str() == id));
        all.extend(theirs.map(|(profile, _)| (agent.agent.to_string(), profile.to_string())));
    }
    all
}

/// A plugin whose files are here.
fn installed(context: &Context, id: &str) -> Result<Record, CommandError> {
    let one = named(context, id)?;
    let is_here = context.auth.state().installed_plugins().iter().any(|known| known == id);
    let is_allowed = context
        .auth
        .state()
        .provider_folder()
        .is_ok_and(|folder| folder.plugins.iter().any(|(known, _)| known == id));
    if is_here || is_allowed {
        return Ok(one);
    }
    let message = format!("\"{id}\" is no installed plugin");
    Err(CommandError::new(Code::UnknownPlugin, message))
}

/// Shows what it may do, and asks.
fn consent(
    context: &Context,
    manifest: &Manifest,
    question: &str,
    yes: bool,
    again: &str,
) -> Result<(), CommandError> {
    if yes {
        return Ok(());
    }
    if has_terminal() && !context.global.json {
        say(&words(manifest));
    }
    agree(question, again)
}

fn agree(question: &str, again: &str) -> Result<(), CommandError> {
    if !has_terminal() {
        let message = "there is no terminal to ask at; nothing was changed";
        return Err(CommandError::new(Code::InputRequired, message).hint(again.to_owned()));
    }
    let answer = ask(&format!("{question} [y/N]"))?.unwrap_or_default();
    if matches!(answer.to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(CommandError::new(Code::InputRequired, "cancelled; nothing was changed").hint(again.to_owned()))
}

fn done(context: &Context, manifest: &Manifest, what: &str, folder: &Path) -> Result<Report, CommandError> {
    let id = &manifest.id;
    if context.global.json {
        return Ok(Report::json(&json!({
            "id": id,
            "action": what,
            "path": folder,
            "command": manifest.plugin.as_ref().map(|one| &one.command),
            "places": places(manifest),
        })));
    }
    let program = command(manifest).map(|_| ", with its program").unwrap_or_default();
    Ok(Report::text(format!(
        "The plugin {id} is {what}{program}: {}\nTo log in: coderclaw models auth {} --provider {id}\n",
        folder.display(),
        crate::error::login_command(manifest)
    )))
}

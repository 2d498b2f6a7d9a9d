//! `models set|set-image|aliases|fallbacks|image-fallbacks`: which model is used, and what it is called.

use coderclaw_agents::{ModelError, ModelNames, ModelRef};
use coderclaw_store::{Config, ConfigDoc, KeyPath};
use coderclaw_types::{AgentId, Code};
use serde_json::{Map, Value, json};

use crate::args::{AliasesCommand, FallbacksCommand};
use crate::commands::Context;
use crate::commands::config::{edit, updated};
use crate::error::CommandError;
use crate::report::{Report, say};
use crate::text::clean;

/// One of the two places of the config where a model is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// For text.
    Text,
    /// For pictures.
    Image,
}

impl Slot {
    fn key(self) -> KeyPath {
        let name = match self {
            Self::Text => "model",
            Self::Image => "imageModel",
        };
        KeyPath::keys(["agents", "defaults", name])
    }

    fn label(self, text: &'static str, image: &'static str) -> &'static str {
        match self {
            Self::Text => text,
            Self::Image => image,
        }
    }

    fn fallbacks(self, config: &Config) -> Vec<&str> {
        match self {
            Self::Text => config.default_model().1,
            Self::Image => config.image_model().1,
        }
    }
}

fn models_key() -> KeyPath {
    KeyPath::keys(["agents", "defaults", "models"])
}

/// The key under which the model stands in the list, as it is written there.
fn listed(names: &ModelNames<'_>, config: &Config, model: &ModelRef) -> Option<String> {
    let same =
        |key: &str| ModelRef::parse(key).and_then(|one| names.read(&one.to_string())).as_ref() == Some(model);
    config.models().into_iter().find(|entry| same(entry.key)).map(|entry| entry.key.to_owned())
}

/// Puts the model on the list of models, as the original does. Where there was none, there is one now, and that is said.
fn put_on_list(
    doc: &mut ConfigDoc,
    names: &ModelNames<'_>,
    config: &Config,
    model: &ModelRef,
) -> Result<bool, CommandError> {
    if listed(names, config, model).is_some() {
        return Ok(false);
    }
    doc.set(&models_key().key(model.to_string()), Value::Object(Map::new()))?;
    Ok(config.models().is_empty())
}

fn tell_of_list(context: &Context, is_new: bool) {
    if is_new && !context.global.quiet {
        say("note: agents.defaults.models is a list now; models not on it are refused");
    }
}

/// What is the same for all agents is not changed in the name of one.
fn for_all_agents(context: &Context, what: &str) -> Result<(), CommandError> {
    match context.agent_hint() {
        None => Ok(()),
        Some(_) => {
            let message = format!("{what} are the same for all agents; leave out --agent");
            Err(CommandError::new(Code::Usage, message).hint("coderclaw models --help".into()))
        }
    }
}

/// `models set` and `models set-image`.
pub(super) fn set(context: &Context, slot: Slot, typed: &str) -> Result<Report, CommandError> {
    let auth = &context.auth;
    if slot == Slot::Image {
        for_all_agents(context, "models for pictures")?;
    }
    let agent = context.agent_hint().map(|_| context.agent()).transpose()?.map(|agent| agent.agent);
    let edit = edit(&context.global, auth.state(), auth.env(), |doc| {
        let config = doc.view().map_err(CommandError::from)?;
        let names = ModelNames::new(&config, auth.registry());
        let model = names.find(typed)?;
        let place = match &agent {
            Some(agent) => agents_model(&config, agent)?,
            None => slot.key().key("primary"),
        };
        doc.set(&place, Value::String(model.to_string()))?;
        let is_new = put_on_list(doc, &names, &config, &model)?;
        Ok((model, is_new))
    })?;
    let (model, is_new) = &edit.value;
    tell_of_list(context, *is_new);
    if context.global.json {
        let out = json!({"path": edit.path, "updated": edit.is_changed, "model": model.to_string()});
        return Ok(Report::json(&out));
    }
    let label = match &agent {
        Some(agent) => format!("Model of {agent}"),
        None => slot.label("Default model", "Image model").to_owned(),
    };
    Ok(Report::text(format!("{}{label}: {model}\n", updated(&edit, auth.env()))))
}

/// Where the agent's own model stands: a text, or the object that there is.
pub(super) fn agents_model(config: &Config, agent: &AgentId) -> Result<KeyPath, CommandError> {
    let Some(entry) = config.agent_entry(agent) else {
        let message = format!("agent {agent} has no entry in agents.list of the config");
        return Err(CommandError::new(Code::UnknownAgent, message));
    };
    let key = KeyPath::keys(["agents", "list"]).index(entry.index).key("model");
    Ok(if entry.model.fallbacks.is_some() { key.key("primary") } else { key })
}

/// `models aliases list|add|remove`.
pub(super) fn aliases(context: &Context, command: AliasesCommand) -> Result<Report, CommandError> {
    match command {
        AliasesCommand::List { plain } => Ok(list_aliases(context, plain)),
        AliasesCommand::Add { alias, model } => add_alias(context, alias.trim(), &model),
        AliasesCommand::Remove { alias } => remove_alias(context, alias.trim()),
    }
}

fn list_aliases(context: &Context, plain: bool) -> Report {
    let names = ModelNames::new(context.auth.config(), context.auth.registry());
    let aliases = names.aliases();
    if context.global.json {
        let map: Map<String, Value> =
            aliases.iter().map(|alias| (alias.name.clone(), alias.model.to_string().into())).collect();
        return Report::json(&json!({"aliases": map}));
    }
    let lines = aliases.iter().map(|alias| match plain {
        true => format!("{} {}\n", clean(&alias.name), alias.model),
        false => format!("- {} -> {}\n", clean(&alias.name), alias.model),
    });
    let lines: String = lines.collect();
    Report::text(match plain {
        true => lines,
        false if aliases.is_empty() => "Aliases (0):\n- none\n".into(),
        false => format!("Aliases ({}):\n{lines}", aliases.len()),
    })
}

fn add_alias(context: &Context, alias: &str, typed: &str) -> Result<Report, CommandError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
    if alias.is_empty() || !alias.chars().all(is_plain) {
        let message =
            format!("\"{}\" is no alias: letters, digits and _ . : - make one", alias.escape_debug());
        return Err(
            CommandError::new(Code::Usage, message).hint("coderclaw models aliases add --help".into())
        );
    }
    let auth = &context.auth;
    let edit = edit(&context.global, auth.state(), auth.env(), |doc| {
        let config = doc.view().map_err(CommandError::from)?;
        let names = ModelNames::new(&config, auth.registry());
        let model = names.find(typed)?;
        if let Some(taken) = names.alias(alias).filter(|taken| !taken.is_built_in && taken.model != model) {
            let message = format!("alias {} stands for {} already", taken.name, taken.model);
            return Err(CommandError::new(Code::AliasTaken, message));
        }
        let key = listed(&names, &config, &model).unwrap_or_else(|| model.to_string());
        doc.set(&models_key().key(key).key("alias"), Value::String(alias.to_owned()))?;
        Ok((model, config.models().is_empty()))
    })?;
    let (model, is_new) = &edit.value;
    tell_of_list(context, *is_new);
    if context.global.json {
        let out = json!({"path": edit.path, "updated": edit.is_changed, "alias": alias, "model": model.to_string()});
        return Ok(Report::json(&out));
    }
    Ok(Report::text(format!("{}Alias {alias} -> {model}\n", updated(&edit, auth.env()))))
}

fn remove_alias(context: &Context, alias: &str) -> Result<Report, CommandError> {
    let auth = &context.auth;
    let edit = edit(&context.global, auth.state(), auth.env(), |doc| {
        let config = doc.view().map_err(CommandError::from)?;
        let names = ModelNames::new(&config, auth.registry());
        let not_found = |why: &str| {
            CommandError::new(Code::UnknownAlias, format!("Alias not found: {}{why}", alias.escape_debug()))
        };
        let found = names.alias(alias).ok_or_else(|| not_found(""))?;
        let key = listed(&names, &config, &found.model).ok_or_else(|| not_found(" (it is built in)"))?;
        let place = models_key().key(key).key("alias");
        if found.is_built_in {
            // An empty one says that the built-in alias is not wanted.
            doc.set(&place, Value::String(String::new()))?;
        } else {
            doc.remove(&place)?;
        }
        let left =
            config.models().into_iter().filter(|entry| entry.alias.is_some_and(|name| !name.is_empty()));
        Ok(left.filter(|entry| entry.alias.is_some_and(|name| !name.eq_ignore_ascii_case(alias))).count())
    })?;
    if context.global.json {
        let out = json!({"path": edit.path, "updated": edit.is_changed, "alias": alias});
        return Ok(Report::json(&out));
    }
    let mut out = updated(&edit, auth.env());
    if edit.value == 0 {
        out.push_str("No aliases configured.\n");
    }
    Ok(Report::text(out))
}

/// `models fallbacks` and `models image-fallbacks`.
pub(super) fn fallbacks(
    context: &Context,
    slot: Slot,
    command: FallbacksCommand,
) -> Result<Report, CommandError> {
    let auth = &context.auth;
    let place = slot.key().key("fallbacks");
    let label = slot.label("Fallbacks", "Image fallbacks");
    let change = match command {
        FallbacksCommand::List { plain } => return list_fallbacks(context, slot, label, plain),
        FallbacksCommand::Clear => Change::Clear,
        FallbacksCommand::Add(args) => Change::Add(args.model),
        FallbacksCommand::Remove(args) => Change::Remove(args.model),
    };
    for_all_agents(context, "these fallbacks")?;
    let edit = edit(&context.global, auth.state(), auth.env(), |doc| {
        let config = doc.view().map_err(CommandError::from)?;
        let names = ModelNames::new(&config, auth.registry());
        let before: Vec<String> = slot.fallbacks(&config).into_iter().map(str::to_owned).collect();
        let position =
            |model: &ModelRef| before.iter().position(|text| names.read(text).as_ref() == Some(model));
        let mut is_new = false;
        match &change {
            Change::Clear if before.is_empty() => {}
            Change::Clear => doc.set(&place, Value::Array(Vec::new()))?,
            Change::Add(typed) => {
                let model = names.find(typed)?;
                if position(&model).is_none() {
                    doc.push(&place, Value::String(model.to_string()))?;
                }
                is_new = put_on_list(doc, &names, &config, &model)?;
            }
            Change::Remove(typed) => {
                let index = names.read(typed).as_ref().and_then(position).ok_or_else(|| {
                    let message = format!(
                        "{} not found: {}",
                        slot.label("Fallback", "Image fallback"),
                        typed.escape_debug()
                    );
                    let list = slot.label("fallbacks", "image-fallbacks");
                    CommandError::new(Code::UnknownModel, message)
                        .hint(format!("coderclaw models {list} list"))
                })?;
                doc.remove(&place.clone().index(index))?;
            }
        }
        let after = doc.get(&place).and_then(|list| list.as_array().cloned()).unwrap_or_default();
        let after: Vec<String> = after.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect();
        Ok((after, is_new))
    })?;
    let (after, is_new) = &edit.value;
    tell_of_list(context, *is_new);
    if context.global.json {
        return Ok(Report::json(&json!({"path": edit.path, "updated": edit.is_changed, "fallbacks": after})));
    }
    let said = match change {
        Change::Clear => format!("{} list cleared.", slot.label("Fallback", "Image fallback")),
        _ if after.is_empty() => format!("{label}: none"),
        _ => format!("{label}: {}", clean(&after.join(", "))),
    };
    Ok(Report::text(format!("{}{said}\n", updated(&edit, auth.env()))))
}

enum Change {
    Add(String),
    Remove(String),
    Clear,
}

fn list_fallbacks(context: &Context, slot: Slot, label: &str, plain: bool) -> Result<Report, CommandError> {
    let config = context.auth.config();
    let agent = context.agent_hint().map(|_| context.agent()).transpose()?;
    let own =
        agent.and_then(|agent| config.agent_entry(&agent.agent)).and_then(|entry| entry.model.fallbacks);
    let all = own.filter(|_| slot == Slot::Text).unwrap_or_else(|| slot.fallbacks(config));
    if context.global.json {
        return Ok(Report::json(&json!({"fallbacks": all})));
    }
    let line =
        |model: &&str| if plain { format!("{}\n", clean(model)) } else { format!("- {}\n", clean(model)) };
    let lines: String = all.iter().map(line).collect();
    Ok(Report::text(match plain {
        true => lines,
        false if all.is_empty() => format!("{label} (0):\n- none\n"),
        false => format!("{label} ({}):\n{lines}", all.len()),
    }))
}

impl From<ModelError> for CommandError {
    fn from(error: ModelError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

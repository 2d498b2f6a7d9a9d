//! `plugins list` and `info`.

use std::path::PathBuf;

use coderclaw_auth::PLUGIN_FILE;
use coderclaw_providers::{Manifest, Registry, Source};
use coderclaw_store::read_provider_file;
use coderclaw_types::Code;
use serde_json::{Value, json};

use super::foreign;
use super::shown::{command, places, words};
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::Report;
use crate::text::{clean, width, wrap};

/// One that is listed.
pub(super) struct Record {
    pub(super) id: String,
    name: Option<String>,
    version: Option<String>,
    description: Option<String>,
    /// `plugin`, `manifest`, or `javascript` for those of the original.
    kind: &'static str,
    source: PathBuf,
    origin: &'static str,
    pub(super) enabled: bool,
    /// Why it is of no use.
    error: Option<String>,
    providers: Vec<String>,
    /// What it says, where that can be understood.
    pub(super) manifest: Option<Manifest>,
}

/// All that is there: plugins, manifests of one's own, and what the original has.
pub(super) fn records(context: &Context) -> Vec<Record> {
    let state = context.auth.state();
    let folder = state.provider_folder().unwrap_or_default();
    let mut all: Vec<Record> =
        state.installed_plugins().into_iter().map(|id| installed(context, id)).collect();
    // What is allowed and not there.
    for (id, _) in &folder.plugins {
        if all.iter().all(|one| one.id != *id) {
            all.push(installed(context, id.clone()));
        }
    }
    for (path, _) in folder.files {
        let from_here = |one: &&Manifest| matches!(&one.source, Source::UserFile(from) if *from == path);
        let manifest = context.auth.registry().iter().find(from_here).cloned();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        all.push(Record {
            id: manifest.as_ref().map_or(stem, |one| one.id.to_string()),
            name: manifest.as_ref().map(|one| one.name.to_string()),
            version: None,
            description: None,
            kind: "manifest",
            source: path,
            origin: "config",
            enabled: true,
            error: manifest.is_none().then(|| "it is not in force; coderclaw plugins check".to_owned()),
            providers: manifest.iter().map(|one| one.id.to_string()).collect(),
            manifest,
        });
    }
    all.extend(foreign::find(context).into_iter().map(|one| Record {
        id: one.id,
        name: one.name,
        version: one.version,
        description: one.description,
        kind: "javascript",
        source: one.folder,
        origin: one.origin,
        enabled: false,
        error: Some(one.why),
        providers: one.providers,
        manifest: None,
    }));
    all
}

fn installed(context: &Context, id: String) -> Record {
    let state = context.auth.state();
    let file = state.plugins().join(&id).join(PLUGIN_FILE);
    let known = context.auth.registry().iter().find(|one| one.id == *id && one.plugin.is_some());
    let broken = context.auth.broken_plugins().iter().find(|one| one.id == id).map(|one| one.why.clone());
    let mut error = broken;
    let manifest = known.cloned().or_else(|| match look(context.auth.registry(), &file) {
        Ok(manifest) => Some(manifest),
        Err(why) => {
            error.get_or_insert(why);
            None
        }
    });
    let plugin = manifest.as_ref().and_then(|one| one.plugin.as_deref());
    Record {
        name: manifest.as_ref().map(|one| one.name.to_string()),
        version: plugin.and_then(|one| one.version.clone()),
        description: plugin.and_then(|one| one.description.clone()),
        kind: "plugin",
        source: file,
        origin: "global",
        enabled: known.is_some(),
        error,
        providers: vec![id.clone()],
        manifest,
        id,
    }
}

/// What the file of a plugin says, beside the others.
pub(super) fn look(registry: &Registry, file: &std::path::Path) -> Result<Manifest, String> {
    let text = read_provider_file(file).map_err(|e| e.to_string())?;
    let text = text.ok_or_else(|| format!("{} is not there", file.display()))?;
    registry.clone().add_plugin(file, &text).cloned().map_err(|e| e.to_string())
}

impl Record {
    fn status(&self) -> &'static str {
        match (self.enabled, &self.error) {
            (true, None) => "loaded",
            (_, Some(_)) if self.kind != "javascript" => "error",
            _ => "disabled",
        }
    }

    /// The original's keys, and what it cannot have here as empty as it is.
    pub(super) fn in_json(&self) -> Value {
        let plugin = self.manifest.as_ref().and_then(|one| one.plugin.as_deref());
        json!({
            "id": self.id,
            "name": self.name,
            "version": self.version,
            "description": self.description,
            "kind": self.kind,
            "source": self.source,
            "origin": self.origin,
            "enabled": self.enabled,
            "status": self.status(),
            "error": self.error,
            "providerIds": self.providers,
            "toolNames": [],
            "hookNames": [],
            "channelIds": [],
            "gatewayMethods": [],
            "cliCommands": [],
            "services": [],
            "commands": [],
            "httpHandlers": 0,
            "hookCount": 0,
            "configSchema": false,
            "command": plugin.map(|one| &one.command),
            "does": plugin.map(|one| one.does.iter().map(|call| call.as_str()).collect::<Vec<_>>()),
            "places": self.manifest.as_ref().map(places),
        })
    }
}

pub(super) fn run(context: &Context, only_enabled: bool) -> Result<Report, CommandError> {
    let mut all = records(context);
    all.retain(|one| one.enabled || !only_enabled);
    if context.global.json {
        let agent = context.auth.config().default_agent();
        let troubles = all.iter().filter_map(|one| {
            let level = if one.kind == "javascript" { "warn" } else { "error" };
            Some(json!({"level": level, "pluginId": one.id, "source": one.source, "message": one.error.as_ref()?}))
        });
        return Ok(Report::json(&json!({
            "workspaceDir": coderclaw_agents::workspace(&context.auth, &agent),
            "plugins": all.iter().map(Record::in_json).collect::<Vec<_>>(),
            "diagnostics": troubles.collect::<Vec<_>>(),
        })));
    }
    if all.is_empty() {
        return Ok(Report::text(
            "No plugin is installed.\nTo describe a provider: coderclaw plugins new NAME\n",
        ));
    }
    let mut text = String::new();
    for one in &all {
        let version = one.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
        let what = match &one.manifest {
            Some(manifest) if command(manifest).is_some() => "program",
            Some(_) => "data",
            None => one.kind,
        };
        text.push_str(&format!("{:<9} {}{} ({what})\n", one.status(), clean(&one.id), clean(&version)));
        text.push_str(&format!("          {}\n", one.source.display()));
        if let Some(error) = &one.error {
            for line in wrap(&clean(error), width().saturating_sub(12)) {
                text.push_str(&format!("          {line}\n"));
            }
        }
    }
    Ok(Report::text(text))
}

pub(super) fn info(context: &Context, id: &str) -> Result<Report, CommandError> {
    let one = named(context, id)?;
    if context.global.json {
        return Ok(Report::json(&one.in_json()));
    }
    let mut text = one.manifest.as_ref().map_or_else(|| format!("{}\n", clean(&one.id)), words);
    text.push_str(&format!("\nStatus: {}\nFrom: {}\n", one.status(), one.source.display()));
    if let Some(error) = &one.error {
        text.push_str(&wrap(&format!("Trouble: {}", clean(error)), width()).join("\n"));
        text.push('\n');
    }
    let log = context.auth.state().plugin_log(&one.id);
    if one.kind == "plugin" && log.exists() {
        text.push_str(&format!("What it complained about: {}\n", log.display()));
    }
    Ok(Report::text(text))
}

/// The one with this id.
pub(super) fn named(context: &Context, id: &str) -> Result<Record, CommandError> {
    let mut all = records(context);
    let at = all.iter().position(|one| one.id == id);
    let at = at.ok_or_else(|| {
        let known: Vec<&str> = all.iter().map(|one| one.id.as_str()).collect();
        let there = if known.is_empty() { String::new() } else { format!("; there is {}", known.join(", ")) };
        CommandError::new(Code::UnknownPlugin, format!("no plugin is called \"{id}\"{there}"))
    })?;
    Ok(all.swap_remove(at))
}

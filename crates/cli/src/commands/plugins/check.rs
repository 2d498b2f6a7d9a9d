//! `plugins check`: is it understood, what comes out of it, and what would be sent.

use std::path::{Path, PathBuf};

use coderclaw_auth::{PLUGIN_FILE, Sketch, sketches};
use coderclaw_providers::{Manifest, Registry, Source};
use coderclaw_store::read_provider_file;
use coderclaw_types::Code;
use serde_json::{Value, json};

use crate::commands::Context;
use crate::error::CommandError;
use crate::report::Report;
use crate::text::{clean, width, wrap};

/// A good one, and what would be done with it.
struct Checked {
    file: PathBuf,
    manifest: Manifest,
    requests: Vec<Sketch>,
    /// What came of it on the test server; `None` where it was not tried.
    trial: Option<Trial>,
}

/// Steps that were made on the built-in test server, and how each ended.
pub(super) struct Trial {
    pub(super) steps: Vec<(&'static str, Result<(), String>)>,
}

pub(super) fn run(context: &Context, file: Option<&Path>, with_trial: bool) -> Result<Report, CommandError> {
    let files = match file {
        Some(file) => vec![place(&context.auth.env().resolve(&file.to_string_lossy()))],
        None => in_force(context)?,
    };
    let mut all = Vec::new();
    for file in files {
        all.push(one(context, file, with_trial)?);
    }
    Ok(report(context, &all))
}

/// Whoever names a folder means the plugin in it.
fn place(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(PLUGIN_FILE) } else { path.to_path_buf() }
}

/// Everything that is in force, or should be.
fn in_force(context: &Context) -> Result<Vec<PathBuf>, CommandError> {
    let state = context.auth.state();
    let folder = state.provider_folder()?;
    let plugins = folder.plugins.iter().map(|(id, _)| state.plugins().join(id).join(PLUGIN_FILE));
    Ok(folder.files.iter().map(|(path, _)| path.clone()).chain(plugins).collect())
}

fn one(context: &Context, file: PathBuf, with_trial: bool) -> Result<Checked, CommandError> {
    let again =
        || format!("coderclaw plugins check {}", crate::text::shell_word(&file.display().to_string()));
    let invalid = |e: String| CommandError::new(Code::ManifestInvalid, e).hint(again());
    let text = read_provider_file(&file).map_err(|e| invalid(e.to_string()))?;
    let text = text.ok_or_else(|| invalid(format!("{} is not there", file.display())))?;
    let state = context.auth.state();
    let real = std::fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
    let is_this =
        |other: &Path| other == file || std::fs::canonicalize(other).is_ok_and(|other| other == real);
    let is_plugin = file.file_name().is_some_and(|name| name == PLUGIN_FILE);
    // Beside it stands what is in force already, so that what it takes from others shows.
    let others = state.provider_folder().map(|folder| folder.files).unwrap_or_default();
    let others: Vec<_> = others.into_iter().filter(|(other, _)| !is_this(other)).collect();
    let registry = if is_plugin {
        let mut registry = Registry::with_files(others).unwrap_or_default();
        registry.add_plugin(&file, &text).map_err(|e| invalid(e.to_string()))?;
        registry
    } else {
        let alone = Registry::with_files([(file.clone(), text.clone())]);
        // An error about this file is told rather than one that another file has.
        let together = Registry::with_files(others.into_iter().chain([(file.clone(), text)]));
        match (together, alone) {
            (Ok(registry), _) => registry,
            (Err(e), _) if e.path == file => return Err(invalid(e.to_string())),
            (Err(_), Ok(registry)) => registry,
            (Err(_), Err(e)) => return Err(invalid(e.to_string())),
        }
    };
    let from_here = |one: &&Manifest| match &one.source {
        Source::UserFile(path) => *path == file,
        Source::Plugin(folder) => is_plugin && file.starts_with(folder),
        Source::Builtin => false,
    };
    let manifest = registry.iter().find(from_here).cloned();
    let manifest = manifest.ok_or_else(|| invalid(format!("{} says nothing", file.display())))?;
    let trial = if with_trial { tried(context, &registry, &manifest) } else { None };
    Ok(Checked { requests: sketches(&manifest), file, manifest, trial })
}

#[cfg(feature = "demo")]
fn tried(context: &Context, registry: &Registry, manifest: &Manifest) -> Option<Trial> {
    super::trial::run(context.auth.env(), registry, manifest)
}

#[cfg(not(feature = "demo"))]
fn tried(_context: &Context, _registry: &Registry, _manifest: &Manifest) -> Option<Trial> {
    None
}

fn report(context: &Context, all: &[Checked]) -> Report {
    let failed =
        all.iter().flat_map(|one| &one.trial).flat_map(|trial| &trial.steps).any(|(_, how)| how.is_err());
    let exit = u8::from(failed);
    if context.global.json {
        let checked: Vec<Value> = all.iter().map(in_json).collect();
        return Report::json(&json!({"checked": checked})).exit(exit);
    }
    if all.is_empty() {
        return Report::text("Nothing is in force beside what is built in.\n");
    }
    let text: Vec<String> = all.iter().map(|one| in_words(one, context.global.quiet)).collect();
    Report::text(text.join("\n")).exit(exit)
}

fn in_json(one: &Checked) -> Value {
    let methods: Vec<Value> = one
        .manifest
        .auth
        .iter()
        .map(|auth| json!({"method": auth.method.as_str(), "billing": auth.billing.as_str()}))
        .collect();
    let requests: Vec<Value> = one
        .requests
        .iter()
        .map(|sketch| {
            let fields: serde_json::Map<String, Value> =
                sketch.fields.iter().map(|(n, v)| (n.clone(), json!(v))).collect();
            let headers: serde_json::Map<String, Value> =
                sketch.headers.iter().map(|(n, v)| (n.clone(), json!(v))).collect();
            json!({
                "authMethod": sketch.way.as_str(),
                "step": sketch.step,
                "method": sketch.verb,
                "url": sketch.place,
                "fields": fields,
                "headers": headers,
                "contentType": sketch.body,
            })
        })
        .collect();
    let trial = one.trial.as_ref().map(|trial| {
        let steps: Vec<Value> = trial
            .steps
            .iter()
            .map(|(step, how)| json!({"step": step, "ok": how.is_ok(), "error": how.as_ref().err()}))
            .collect();
        json!(steps)
    });
    json!({
        "file": one.file,
        "ok": true,
        "id": one.manifest.id,
        "name": one.manifest.name,
        "methods": methods,
        "requests": requests,
        "trial": trial,
    })
}

fn in_words(one: &Checked, is_quiet: bool) -> String {
    let manifest = &one.manifest;
    let mut text = format!("{} is good: {} ({})\n", one.file.display(), manifest.id, clean(&manifest.name));
    if is_quiet {
        return text;
    }
    for auth in manifest.auth.iter() {
        text.push_str(&format!("  {:<12} {}\n", auth.method.as_str(), auth.billing));
    }
    let mut way = None;
    for sketch in &one.requests {
        if way != Some(sketch.way) {
            text.push_str(&format!("\nWhat would be sent for {}:\n", sketch.way));
            way = Some(sketch.way);
        }
        let body = sketch
            .body
            .map(|kind| if kind.contains("json") { " (JSON)" } else { " (form)" })
            .unwrap_or_default();
        text.push_str(&format!("  {:<8} {:<4} {}{body}\n", sketch.step, sketch.verb, clean(&sketch.place)));
        let fields = sketch.fields.iter().map(|(name, value)| format!("{name}={}", value.replace(' ', "+")));
        // The same header in each of them says nothing about this provider.
        let headers = sketch.headers.iter().filter(|(name, _)| name != "accept");
        let headers = headers.map(|(name, value)| format!("{name}:\u{a0}{}", value.replace(' ', "\u{a0}")));
        let more: Vec<String> = fields.chain(headers).map(|one| clean(&one)).collect();
        for line in wrap(&more.join(" "), width().saturating_sub(16)).iter().filter(|line| !line.is_empty()) {
            text.push_str(&format!("                {}\n", line.replace('\u{a0}', " ")));
        }
    }
    if let Some(trial) = &one.trial {
        text.push_str("\nTried on the built-in test server:\n");
        for (step, how) in &trial.steps {
            let how = how.as_ref().map_or_else(|why| format!("failed: {}", clean(why)), |()| "ok".to_owned());
            text.push_str(&format!("  {step:<8} {how}\n"));
        }
    }
    text
}

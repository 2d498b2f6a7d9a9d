//! Plugins: folders that bring a provider, and perhaps a program that speaks for it.

mod calls;
mod talk;
mod wire;

use coderclaw_providers::Registry;
use coderclaw_store::{StateDir, read_provider_file};
use coderclaw_types::sha256_parts;

pub use self::calls::PluginWindow;
pub(crate) use self::talk::{Broken, Talk};
pub(crate) use self::wire::{FailureKind, Heard, tokens};

/// The file that makes a folder a plugin.
pub const PLUGIN_FILE: &str = "coderclaw.plugin.toml";

/// A plugin that is allowed and cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenPlugin {
    /// Its id.
    pub id: String,
    /// Why, in one line.
    pub why: String,
}

/// What stands for the text of a plugin's file that a person has allowed.
pub fn seal(text: &str) -> String {
    sha256_parts("coderclaw plugin v1", &[text.as_bytes()]).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes the providers of the plugins in force into `registry`. One that cannot be used stands in nobody's way.
pub(crate) fn load(
    state: &StateDir,
    plugins: &[(String, String)],
    registry: &mut Registry,
) -> Vec<BrokenPlugin> {
    let mut broken = Vec::new();
    for (id, allowed) in plugins {
        if let Err(why) = load_one(state, id, allowed, registry) {
            broken.push(BrokenPlugin { id: id.clone(), why });
        }
    }
    broken
}

fn load_one(state: &StateDir, id: &str, allowed: &str, registry: &mut Registry) -> Result<(), String> {
    let file = state.plugins().join(id).join(PLUGIN_FILE);
    let text = read_provider_file(&file).map_err(|e| e.to_string())?;
    let text = text.ok_or_else(|| format!("{} is not there", file.display()))?;
    if seal(&text) != *allowed {
        return Err(format!(
            "its {PLUGIN_FILE} has changed since it was allowed; coderclaw plugins enable {id}"
        ));
    }
    let names_itself = |registry: &Registry| {
        registry.iter().any(|one| {
            one.id == id && one.plugin.as_ref().is_some_and(|plugin| file.starts_with(&plugin.folder))
        })
    };
    let mut with = registry.clone();
    with.add_plugin(&file, &text).map_err(|e| e.to_string())?;
    if !names_itself(&with) {
        return Err(format!("{} has another id than its folder", file.display()));
    }
    *registry = with;
    Ok(())
}

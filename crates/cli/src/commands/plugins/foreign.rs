//! The original's plugins: JavaScript that is not run here. They are recognised, listed and explained.

use std::path::{Path, PathBuf};

use coderclaw_store::{KeyPath, read_text};
use serde_json::Value;

use crate::commands::Context;
use crate::text::clean;

/// The file that makes a folder one of them.
const MARKER: &str = "coderclaw.plugin.json";

/// One of them.
pub(super) struct Foreign {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
    pub(super) description: Option<String>,
    pub(super) folder: PathBuf,
    /// `global` or `config`.
    pub(super) origin: &'static str,
    pub(super) providers: Vec<String>,
    /// Why it is of no use here, and what to do instead.
    pub(super) why: String,
}

/// Those in the folder where the original installs them, and where its config points.
pub(super) fn find(context: &Context) -> Vec<Foreign> {
    let state = context.auth.state();
    let beside = state.config_path().parent().unwrap_or(state.root()).join("extensions");
    let mut folders: Vec<(PathBuf, &'static str)> =
        folders_in(&beside).into_iter().map(|path| (path, "global")).collect();
    let configured = context.auth.config().get(&KeyPath::keys(["plugins", "load", "paths"]));
    for path in configured.and_then(|value| value.as_array().cloned()).unwrap_or_default() {
        let Some(path) = path.as_str().map(|path| context.auth.env().resolve(path)) else { continue };
        folders.push((path.clone(), "config"));
        folders.extend(folders_in(&path).into_iter().map(|path| (path, "config")));
    }
    let mut all: Vec<Foreign> = Vec::new();
    for (folder, origin) in folders {
        if let Some(one) = read(context, &folder, origin)
            && all.iter().all(|other| other.id != one.id)
        {
            all.push(one);
        }
    }
    all
}

fn folders_in(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn read(context: &Context, folder: &Path, origin: &'static str) -> Option<Foreign> {
    let text = read_text(&folder.join(MARKER)).ok().flatten()?;
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    let word = |key: &str| value.get(key).and_then(Value::as_str).map(clean);
    let named = value.get("providers").and_then(Value::as_array).into_iter().flatten();
    let providers: Vec<String> = named.filter_map(Value::as_str).map(clean).collect();
    let known = providers.iter().find(|id| context.auth.provider(id).is_ok());
    let why = match (known, providers.first()) {
        (Some(known), _) => format!(
            "it is JavaScript of the original, which is not run here; {known} is known here without it"
        ),
        (None, Some(first)) => {
            format!(
                "it is JavaScript of the original, which is not run here; to describe {first} here: coderclaw plugins new {first}"
            )
        }
        (None, None) => {
            "it is JavaScript of the original, which is not run here, and it brings no provider".to_owned()
        }
    };
    let folder_name = || folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Some(Foreign {
        id: word("id").unwrap_or_else(folder_name),
        name: word("name"),
        version: word("version"),
        description: word("description"),
        folder: folder.to_path_buf(),
        origin,
        providers,
        why,
    })
}

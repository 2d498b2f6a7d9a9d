//! `settings.toml`: what a person decided about this state dir and the original's config has no place for.
//!
//! Read only by those who write an event. Sections that are not known here are somebody else's; within a section that is,
//! a key that is not known is an error, since a hook that is misspelt would never be called.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use toml_edit::{DocumentMut, Item, TableLike};

use crate::paths::StateDir;
use crate::read::{ReadError, read_text};

/// The size at which the audit trail is rotated, where nobody says otherwise.
const MAX_BYTES: u64 = 5 * 1024 * 1024;

/// What `settings.toml` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Who is told when a login needs a person.
    pub hooks: HookSettings,
    /// The audit trail.
    pub audit: AuditSettings,
}

/// `[hooks]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookSettings {
    /// A program and its arguments. No shell looks at them.
    pub on_attention: Vec<String>,
    /// An address that the event is posted to.
    pub webhook: Option<String>,
}

/// `[audit]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditSettings {
    /// Whether there is one.
    pub enabled: bool,
    /// The size in bytes at which a new file is begun.
    pub max_bytes: u64,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self { enabled: true, max_bytes: MAX_BYTES }
    }
}

/// What `settings.toml` says; the defaults where there is none.
///
/// # Errors
/// Where it cannot be read or understood, or where others than its owner may write it: it names a program that is run.
pub fn read_settings(state: &StateDir) -> Result<Settings, ReadError> {
    let path = state.settings_file();
    let wrong = |detail: String| ReadError::Corrupt { path: path.clone(), detail };
    let Some(text) = read_text(&path)? else { return Ok(Settings::default()) };
    let mode = fs::metadata(&path).map_err(|e| ReadError::unreadable(&path, e))?.mode();
    if mode & 0o022 != 0 {
        return Err(wrong(format!("others may write it (mode {:03o}); chmod go-w it", mode & 0o777)));
    }
    parse(&path, &text)
}

fn parse(path: &Path, text: &str) -> Result<Settings, ReadError> {
    let wrong = |detail: String| ReadError::Corrupt { path: path.to_path_buf(), detail };
    let doc: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| {
        let line = e.span().map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        wrong(format!("{place}{}", e.message().lines().next().unwrap_or("not TOML")))
    })?;
    let section = |name: &str| -> Result<Option<&dyn TableLike>, ReadError> {
        match doc.get(name) {
            None => Ok(None),
            Some(item) => {
                Ok(Some(item.as_table_like().ok_or_else(|| wrong(format!("`{name}` should be a table")))?))
            }
        }
    };
    let should = |key: &str, what: &str| wrong(format!("`{key}` should be {what}"));
    let mut settings = Settings::default();
    for (key, item) in section("hooks")?.into_iter().flat_map(TableLike::iter) {
        match key {
            "on_attention" => {
                let list = item.as_array().into_iter().flatten().map(|one| one.as_str().map(str::to_owned));
                let list: Option<Vec<String>> = list.collect();
                let list = list.filter(|list| list.first().is_some_and(|program| !program.trim().is_empty()));
                settings.hooks.on_attention =
                    list.ok_or_else(|| should("on_attention", "a list: a program and its arguments"))?;
            }
            "webhook" => {
                let url = item.as_str().ok_or_else(|| should("webhook", "an address in quotes"))?;
                settings.hooks.webhook = Some(url.trim().to_owned());
            }
            _ => return Err(wrong(format!("[hooks] has no `{key}`; it has on_attention and webhook"))),
        }
    }
    for (key, item) in section("audit")?.into_iter().flat_map(TableLike::iter) {
        match key {
            "enabled" => {
                settings.audit.enabled =
                    item.as_bool().ok_or_else(|| should("enabled", "true or false, without quotes"))?;
            }
            "max_bytes" => {
                settings.audit.max_bytes = bytes(item).ok_or_else(|| should("max_bytes", "at least 4096"))?;
            }
            _ => return Err(wrong(format!("[audit] has no `{key}`; it has enabled and max_bytes"))),
        }
    }
    Ok(settings)
}

fn bytes(item: &Item) -> Option<u64> {
    item.as_integer().and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes >= 4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        parse(Path::new("settings.toml"), text).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_said_and_what_is_not() {
        assert_eq!(read("").unwrap(), Settings::default());
        assert!(Settings::default().audit.enabled);
        let text = "[hooks]\non_attention = [\"notify\", \"-x\"]\nwebhook = \"https://x.test/h\"\n[audit]\nenabled = false\nmax_bytes = 4096\n[network]\nmore = 1\n";
        let settings = read(text).unwrap();
        assert_eq!(settings.hooks.on_attention, ["notify", "-x"]);
        assert_eq!(settings.hooks.webhook.as_deref(), Some("https://x.test/h"));
        assert_eq!(settings.audit, AuditSettings { enabled: false, max_bytes: 4096 });
    }

    #[test]
    fn mistakes_are_named() {
        for (text, said) in [
            ("[hooks]\non_atention = [\"x\"]", "no `on_atention`"),
            ("[hooks]\non_attention = \"notify\"", "a list"),
            ("[hooks]\non_attention = []", "a list"),
            ("[hooks]\non_attention = [1]", "a list"),
            ("[audit]\nmax_bytes = 10", "at least 4096"),
            ("[audit]\nenabled = \"no\"", "without quotes"),
            ("audit = 1", "a table"),
            ("\n[audit", "line 2"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}

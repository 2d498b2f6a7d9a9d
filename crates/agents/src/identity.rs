//! Who an agent says that it is: in the config, or in `IDENTITY.md` of its workspace.

use std::path::Path;

use coderclaw_store::read_text;
use serde_json::{Map, Value, json};

/// The parts of an identity. All are free text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub name: Option<String>,
    /// What it is like.
    pub theme: Option<String>,
    /// The sign before its messages.
    pub emoji: Option<String>,
    /// Its picture: a path or an address.
    pub avatar: Option<String>,
}

impl Identity {
    /// Nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What of `self` is not said, as `other` says it.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            name: self.name.or(other.name),
            theme: self.theme.or(other.theme),
            emoji: self.emoji.or(other.emoji),
            avatar: self.avatar.or(other.avatar),
        }
    }

    /// What an entry of the config says.
    pub(crate) fn from_map(parts: &Map<String, Value>) -> Self {
        let text = |key: &str| {
            let text = parts.get(key)?.as_str()?.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        Self { name: text("name"), theme: text("theme"), emoji: text("emoji"), avatar: text("avatar") }
    }

    /// As an entry of the config has it.
    pub fn to_value(&self) -> Value {
        let mut object = Map::new();
        for (key, text) in
            [("name", &self.name), ("theme", &self.theme), ("emoji", &self.emoji), ("avatar", &self.avatar)]
        {
            if let Some(text) = text {
                object.insert(key.into(), json!(text));
            }
        }
        Value::Object(object)
    }
}

/// What an `IDENTITY.md` says: lines such as `- **Name:** Ann`. `None` where there is no such file, or nothing in it.
pub fn read_identity(path: &Path) -> Option<Identity> {
    let text = read_text(path).ok().flatten()?;
    let identity = parse(&text);
    (!identity.is_empty()).then_some(identity)
}

fn parse(text: &str) -> Identity {
    let mut identity = Identity::default();
    let mut rest = Identity::default();
    for line in text.lines() {
        let line = line.trim().trim_start_matches(['-', '*', ' ']);
        let Some((key, value)) = line.split_once(':') else { continue };
        let key = key.replace(['*', '_'], "").trim().to_lowercase();
        let value = value.trim().trim_matches(['*', '_', ' ']).trim();
        // A template's "(pick something you like)" is no name.
        if value.is_empty() || (value.starts_with('(') && value.ends_with(')')) {
            continue;
        }
        let place = match key.as_str() {
            "name" => &mut identity.name,
            "theme" => &mut identity.theme,
            "emoji" => &mut identity.emoji,
            "avatar" => &mut identity.avatar,
            // What older templates call it.
            "creature" | "vibe" => &mut rest.theme,
            _ => continue,
        };
        place.get_or_insert_with(|| value.to_owned());
    }
    identity.or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_identity_file_says() {
        let text = "# IDENTITY.md\n\n- **Name:** Ann\n- **Creature:** fox\n- Emoji: 🦊\n* avatar: _(a path)_\nNote: x\n";
        let identity = parse(text);
        assert_eq!(identity.name.as_deref(), Some("Ann"));
        assert_eq!(identity.theme.as_deref(), Some("fox"));
        assert_eq!(identity.emoji.as_deref(), Some("🦊"));
        assert_eq!(identity.avatar, None);
        assert!(parse("- **Name:** (pick something)\n").is_empty());
        assert_eq!(Identity::from_map(identity.to_value().as_object().unwrap()), identity);
    }
}

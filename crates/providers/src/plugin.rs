//! The provider of a plugin, which may be itself and nobody else.

use std::path::Path;

use coderclaw_types::ProviderId;

use crate::apply::apply;
use crate::elsewhere;
use crate::error::ManifestError;
use crate::files::aliases_taken;
use crate::manifest::{Manifest, Source};
use crate::parse::{Fault, parse};
use crate::registry::Registry;

/// What the `coderclaw.plugin.toml` at `file` brings, beside what `registry` has.
pub(crate) fn read(registry: &Registry, file: &Path, text: &str) -> Result<Manifest, ManifestError> {
    let folder = file.parent().unwrap_or(file).to_path_buf();
    let made = || -> Result<Manifest, Fault> {
        let patch = parse(text)?;
        if let Some(extends) = &patch.extends {
            let message = "a plugin cannot extend another provider: it brings one of its own";
            return Err(Fault::at(extends.span(), message));
        }
        let id_span = patch.id.as_ref().map(toml::Spanned::span);
        let at_id = |message: String| Fault { offset: id_span.clone().map(|span| span.start), message };
        let aliases = patch.aliases.as_ref().map(toml::Spanned::span);
        let made = apply(patch, None, &Source::Plugin(folder))?;
        let id = ProviderId::new(&made.id);
        if id.as_str() != made.id {
            return Err(at_id(format!("\"{}\" is another spelling of \"{id}\"", made.id)));
        }
        if let Some(taken) = registry.get(&id) {
            let whose = match &taken.source {
                Source::Builtin => "built in".to_owned(),
                Source::UserFile(path) => format!("described by {}", path.display()),
                Source::Plugin(folder) => format!("brought by the plugin in {}", folder.display()),
            };
            return Err(at_id(format!("\"{id}\" is {whose}; a plugin cannot take its id")));
        }
        if let Some(message) = aliases_taken(registry, &made) {
            return Err(Fault { offset: aliases.map(|span| span.start), message });
        }
        let mut env = made.env.iter();
        let theirs = |name: &str| registry.iter().find(|other| other.credential_env().contains(&name));
        if let Some((name, other)) = env.find_map(|name| Some((name, theirs(name)?))) {
            let message =
                format!("the variable {name} holds a credential of {}: it is not this plugin's", other.id);
            return Err(Fault { offset: text.find(&**name), message });
        }
        elsewhere::check(&made, text)?;
        Ok(made)
    };
    made().map_err(|fault| ManifestError::new(file, text, &fault))
}

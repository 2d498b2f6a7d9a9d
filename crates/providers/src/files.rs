//! How a person's files become providers: whom each is about, and in which order they build on each other.

use std::path::{Path, PathBuf};

use coderclaw_types::ProviderId;

use crate::apply::apply;
use crate::elsewhere;
use crate::error::ManifestError;
use crate::manifest::{Manifest, Source};
use crate::near::nearest;
use crate::parse::{Fault, Patch, parse};
use crate::registry::{Registry, known_by};

/// A file that was read, and whom it is about.
struct File {
    path: PathBuf,
    text: String,
    patch: Patch,
    /// The provider that comes out of it, once `extends` has been looked up.
    target: String,
    /// The provider that it starts from.
    base: Option<String>,
}

impl File {
    fn read(path: PathBuf, text: String) -> Result<Self, ManifestError> {
        let patch = parse(&text).map_err(|fault| ManifestError::new(&path, &text, &fault))?;
        let target = patch.id.as_ref().map(|id| id.get_ref().0.clone());
        let base = patch.extends.as_ref().map(|id| ProviderId::new(&id.get_ref().0).as_str().to_owned());
        let target = target.or_else(|| base.clone()).unwrap_or_default();
        Ok(Self { path, text, patch, target, base })
    }

    /// An error at the file's `extends`, its `id`, or its start, whichever is there first.
    fn at_extends(&self, message: String) -> ManifestError {
        let extends = self.patch.extends.as_ref().map(toml::Spanned::span);
        let span = extends.or_else(|| self.patch.id.as_ref().map(toml::Spanned::span));
        ManifestError::new(&self.path, &self.text, &Fault { offset: span.map(|span| span.start), message })
    }

    fn at_id(&self, message: String) -> ManifestError {
        let id = self.patch.id.as_ref().map(toml::Spanned::span);
        match id {
            Some(span) => ManifestError::new(&self.path, &self.text, &Fault::at(span, message)),
            None => self.at_extends(message),
        }
    }
}

/// The built-in providers with these files, given by path and text, on top.
pub(crate) fn resolve(mut texts: Vec<(PathBuf, String)>) -> Result<Registry, ManifestError> {
    texts.sort();
    let read = texts.into_iter().map(|(path, text)| File::read(path, text));
    let mut files = read.collect::<Result<Vec<_>, _>>()?;
    check_ids(&files)?;
    let new_ids: Vec<String> =
        files.iter().filter(|file| file.patch.id.is_some()).map(|file| file.target.clone()).collect();
    for file in &mut files {
        let Some(base) = &file.base else { continue };
        if new_ids.contains(base) {
            continue;
        }
        let Some(found) = Registry::built_in().canonical(base) else {
            return Err(nobody(file, base, &new_ids));
        };
        let found = found.as_str().to_owned();
        if file.patch.id.is_none() {
            file.target.clone_from(&found);
        }
        file.base = Some(found);
    }
    check_targets(&files)?;

    let mut registry = Registry::default();
    let mut aliases = Vec::new();
    while !files.is_empty() {
        let ready = |file: &File| {
            // In place, the base is the built-in one, which this very file hides.
            let base = file.base.as_deref().filter(|_| file.patch.id.is_some());
            base.is_none_or(|base| files.iter().all(|other| other.target != base))
        };
        let Some(at) = files.iter().position(ready) else {
            return Err(circle(&files));
        };
        let file = files.remove(at);
        aliases.extend(
            file.patch.aliases.as_ref().map(|all| (file.path.clone(), file.text.clone(), all.span())),
        );
        let base = file.base.as_deref().and_then(|base| registry.by_id(base));
        let made = apply(file.patch, base, &Source::UserFile(file.path.clone()))
            .map_err(|fault| ManifestError::new(&file.path, &file.text, &fault))?;
        elsewhere::check(&made, &file.text)
            .map_err(|fault| ManifestError::new(&file.path, &file.text, &fault))?;
        registry.insert(made);
    }
    for (path, text, span) in aliases {
        if let Some(message) = taken_alias(&registry, &path) {
            return Err(ManifestError::new(&path, &text, &Fault::at(span, message)));
        }
    }
    Ok(registry)
}

/// A new provider has an id of its own, in its one spelling.
fn check_ids(files: &[File]) -> Result<(), ManifestError> {
    for file in files.iter().filter(|file| file.patch.id.is_some()) {
        let id = &file.target;
        let canonical = ProviderId::new(id);
        if canonical.as_str() != id {
            return Err(file.at_id(format!("\"{id}\" is another spelling of \"{canonical}\"")));
        }
        if let Some(taken) = Registry::built_in().get(&canonical) {
            let taken = &taken.id;
            return Err(file.at_id(format!(
                "\"{id}\" is built in: to change it, write extends = \"{taken}\" and no id"
            )));
        }
    }
    Ok(())
}

/// No two files are about one provider.
fn check_targets(files: &[File]) -> Result<(), ManifestError> {
    for (i, file) in files.iter().enumerate() {
        if let Some(first) = files[..i].iter().find(|other| other.target == file.target) {
            let (id, first) = (&file.target, first.path.display());
            return Err(file.at_id(format!("a second file about \"{id}\": the first is {first}")));
        }
    }
    Ok(())
}

fn nobody(file: &File, base: &str, new_ids: &[String]) -> ManifestError {
    let registry = Registry::built_in();
    let own = new_ids.iter().filter(|&id| *id != file.target || file.patch.id.is_none());
    let own = own.map(|id| (id.as_str(), vec![id.clone()]));
    let near = nearest(base, registry.iter().map(|one| (&*one.id, known_by(one))).chain(own));
    let hint = near.first().map(|id| format!(", did you mean \"{id}\"?")).unwrap_or_default();
    file.at_extends(format!("there is no provider \"{base}\" to extend{hint}"))
}

/// Names the circle, beginning with the first file by path that is in one.
fn circle(files: &[File]) -> ManifestError {
    let next = |file: &File| files.iter().position(|other| Some(&other.target) == file.base.as_ref());
    let trail = |start: usize| {
        let mut seen = vec![start];
        let mut at = next(&files[start]);
        while let Some(here) = at.filter(|here| !seen.contains(here)) {
            seen.push(here);
            at = next(&files[here]);
        }
        (at == Some(start)).then_some(seen)
    };
    let seen = (0..files.len()).find_map(trail).unwrap_or_else(|| vec![0]);
    let names: Vec<_> = seen.iter().chain(&seen[..1]).map(|&i| format!("\"{}\"", files[i].target)).collect();
    files[seen[0]].at_extends(format!("extends goes round in a circle: {}", names.join(", ")))
}

/// What is wrong with the aliases of the provider from that file, if anything.
fn taken_alias(registry: &Registry, path: &Path) -> Option<String> {
    let from_here = |one: &&Manifest| matches!(&one.source, Source::UserFile(from) if from == path);
    aliases_taken(registry, registry.iter().find(from_here)?)
}

/// What is wrong with the aliases of `own`, which need not be in the registry.
pub(crate) fn aliases_taken(registry: &Registry, own: &Manifest) -> Option<String> {
    own.aliases.iter().find_map(|alias| {
        let canonical = ProviderId::new(alias);
        if canonical.as_str() != alias {
            return Some(format!("\"{alias}\" is another spelling of \"{canonical}\""));
        }
        let other = registry.iter().find(|one| {
            one.id == *alias || (one.id != own.id && one.aliases.iter().any(|other| other == alias))
        })?;
        Some(format!("the alias \"{alias}\" already means \"{}\"", other.id))
    })
}

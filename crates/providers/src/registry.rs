//! All providers: the built-in ones, and what a person's own files add to them or change in them.

use std::path::{Path, PathBuf};

use coderclaw_types::ProviderId;

use crate::built_in::{BUILT_IN, built_in};
use crate::error::ManifestError;
use crate::files::resolve;
use crate::manifest::{Api, AuthMethod, List, Manifest, Pairs, Source, Text};
use crate::near::nearest;
use crate::plugin;
use crate::words::{ApiKind, MethodKind};

/// All providers that one can log in to.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    /// From files, sorted by id. They hide built-in ones with the same id.
    own: Vec<Manifest>,
}

impl Registry {
    /// Takes in a provider that is not there yet.
    pub(crate) fn insert(&mut self, one: Manifest) {
        let place = self.own.partition_point(|other| other.id < one.id);
        self.own.insert(place, one);
    }

    /// The built-in providers. This costs nothing.
    pub fn built_in() -> Self {
        Self::default()
    }

    /// The built-in providers and those of a person's own files, each given by its path and its text.
    ///
    /// A file with an `id` is a new provider, based on the one that it `extends`, if any. A file that only `extends`
    /// changes that built-in provider in place. The order of the files does not matter.
    ///
    /// # Errors
    /// [`ManifestError`] for the first file, by path, that cannot be used: a key or a value that is not known, two
    /// files about one provider, a provider that is not there, a circle of `extends`, an id or alias that is taken.
    pub fn with_files(files: impl IntoIterator<Item = (PathBuf, String)>) -> Result<Self, ManifestError> {
        resolve(files.into_iter().collect())
    }

    /// Takes in the provider of a plugin, given by its `coderclaw.plugin.toml` and that file's text.
    ///
    /// # Errors
    /// [`ManifestError`] where it is not understood, or wants what is another provider's: its id, its aliases, its
    /// variables. The registry is then as it was.
    pub fn add_plugin(&mut self, file: &Path, text: &str) -> Result<&Manifest, ManifestError> {
        let made = plugin::read(self, file, text)?;
        let id = made.id.clone();
        self.insert(made);
        let at = self.own.partition_point(|other| other.id < id);
        Ok(&self.own[at])
    }

    /// The same registry without the provider that a file or a plugin brings under this id.
    #[must_use]
    pub fn without(mut self, id: &str) -> Self {
        self.own.retain(|other| other.id != id);
        self
    }

    /// The same registry with this provider in the place of the one that has its id, to try it out.
    #[must_use]
    pub fn with(mut self, one: Manifest) -> Self {
        self.own.retain(|other| other.id != one.id);
        self.insert(one);
        self
    }

    /// Takes in a provider of which the config at `source` says only where it is, unless it is known already: an API key
    /// goes there as a bearer token.
    pub fn declare(&mut self, id: &ProviderId, base_url: &str, dialect: Option<&str>, source: PathBuf) {
        if self.get(id).is_some() {
            return;
        }
        let source = Source::UserFile(source);
        // The original's words for dialects.
        let kind = match dialect {
            Some("openai-responses") => ApiKind::OpenAiResponses,
            Some("anthropic-messages") => ApiKind::AnthropicMessages,
            _ => ApiKind::OpenAiChat,
        };
        let header = (kind == ApiKind::AnthropicMessages).then_some(Text::Borrowed("x-api-key"));
        let base_url = base_url.trim_end_matches('/').to_owned();
        self.insert(Manifest {
            id: id.as_str().to_owned().into(),
            name: id.as_str().to_owned().into(),
            aliases: List::default(),
            env: List::default(),
            default_model: None,
            api: Api { kind: Some(kind), base_url: Some(base_url.into()), header, ..Api::default() },
            lend: Pairs::default(),
            auth: vec![AuthMethod::new(MethodKind::ApiKey, source.clone())].into(),
            source,
            plugin: None,
        });
    }

    /// The provider with this id, or else with this alias.
    pub fn get(&self, id: &ProviderId) -> Option<&Manifest> {
        let id = id.as_str();
        let by_id = self.by_id(id);
        by_id.or_else(|| self.iter().find(|one| one.aliases.iter().any(|alias| alias == id)))
    }

    /// The canonical id of the provider that `text` names by id or alias, in any case.
    pub fn canonical(&self, text: &str) -> Option<ProviderId> {
        self.get(&ProviderId::new(text)).map(|one| ProviderId::new(&one.id))
    }

    /// All providers, sorted by id.
    pub fn iter(&self) -> impl Iterator<Item = &Manifest> {
        let mut own = self.own.iter().peekable();
        let mut rest = BUILT_IN.iter().peekable();
        std::iter::from_fn(move || match (own.peek(), rest.peek()) {
            (Some(mine), Some(other)) if mine.id > other.id => rest.next(),
            (Some(mine), Some(other)) => {
                if mine.id == other.id {
                    rest.next();
                }
                own.next()
            }
            (Some(_), None) => own.next(),
            (None, _) => rest.next(),
        })
    }

    /// The ids that `text` may have been meant to be, best first, at most three.
    pub fn near(&self, text: &str) -> Vec<String> {
        nearest(text, self.iter().map(|one| (&*one.id, known_by(one))))
    }

    /// The provider with this very id.
    pub(crate) fn by_id(&self, id: &str) -> Option<&Manifest> {
        match self.own.binary_search_by(|one| (*one.id).cmp(id)) {
            Ok(at) => self.own.get(at),
            Err(_) => built_in(id),
        }
    }
}

/// All that a provider may be called, in lower case.
pub(crate) fn known_by(one: &Manifest) -> Vec<String> {
    let names = [one.id.to_string(), one.name.to_lowercase()];
    names.into_iter().chain(one.aliases.iter().map(ToString::to_string)).collect()
}

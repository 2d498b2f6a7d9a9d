//! What people may call a model, and which models may be used.

use coderclaw_providers::Registry;
use coderclaw_store::Config;
use coderclaw_types::{AgentId, Code, ProviderId};
use strsim::damerau_levenshtein;

use crate::model_ref::ModelRef;

/// The original's own aliases.
const BUILT_IN: [(&str, &str); 6] = [
    ("opus", "anthropic/claude-opus-4-6"),
    ("sonnet", "anthropic/claude-sonnet-4-6"),
    ("gpt", "openai/gpt-5.2"),
    ("gpt-mini", "openai/gpt-5-mini"),
    ("gemini", "google/gemini-3-pro-preview"),
    ("gemini-flash", "google/gemini-3-flash-preview"),
];
/// How many near names a message may have.
const MOST_NEAR: usize = 3;

/// Why a name means no model that may be used. No guess is made in its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Neither an alias nor `provider/model`.
    #[error("no model or alias is called \"{}\"{}", typed.escape_debug(), did_you_mean(near))]
    Unknown {
        /// What was typed.
        typed: String,
        /// What may have been meant.
        near: Vec<String>,
    },
    /// Several providers have a model of this name.
    #[error("\"{}\" could be {}", typed.escape_debug(), several.join(" or "))]
    Ambiguous {
        /// What was typed.
        typed: String,
        /// What it may mean.
        several: Vec<String>,
    },
    /// No such provider.
    #[error("{model}: no provider is called \"{}\"{}", model.provider, did_you_mean(near))]
    UnknownProvider {
        /// What was typed.
        model: ModelRef,
        /// The nearest ids.
        near: Vec<String>,
    },
    /// The config has a list of models, and this is not on it.
    #[error("{model} is not among the models of the config (agents.defaults.models){}", did_you_mean(near))]
    NotAllowed {
        /// What was typed.
        model: ModelRef,
        /// The nearest that are.
        near: Vec<String>,
    },
}

fn did_you_mean(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(" or ")) }
}

impl ModelError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Unknown { .. } | Self::Ambiguous { .. } => Code::UnknownModel,
            Self::UnknownProvider { .. } => Code::UnknownProvider,
            Self::NotAllowed { .. } => Code::ModelNotAllowed,
        }
    }
}

/// A short name for a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The name, as it is written.
    pub name: String,
    /// What it stands for.
    pub model: ModelRef,
    /// It is not from the config.
    pub is_built_in: bool,
}

/// The names of one config.
#[derive(Debug, Clone)]
pub struct ModelNames<'a> {
    registry: &'a Registry,
    config: &'a Config,
    aliases: Vec<Alias>,
    allowed: Vec<ModelRef>,
}

impl<'a> ModelNames<'a> {
    /// The names that `config` gives, and the built-in ones that it leaves.
    pub fn new(config: &'a Config, registry: &'a Registry) -> Self {
        let canonical = |model: ModelRef| folded(registry, model);
        let mut names = Self { registry, config, aliases: Vec::new(), allowed: Vec::new() };
        let mut without_alias = Vec::new();
        for entry in config.models() {
            let Some(model) = ModelRef::parse(entry.key).map(canonical) else { continue };
            match entry.alias {
                None => {}
                Some("") => without_alias.push(model.clone()),
                Some(name) if names.alias(name).is_none() => {
                    let alias = Alias { name: name.to_owned(), model: model.clone(), is_built_in: false };
                    names.aliases.push(alias);
                }
                Some(_) => {}
            }
            names.allowed.push(model);
        }
        let has_own =
            |names: &Self, model: &ModelRef| names.aliases.iter().any(|alias| alias.model == *model);
        for (name, model) in BUILT_IN {
            let Some(model) = ModelRef::parse(model) else { continue };
            let fits = names.allowed.is_empty()
                || (names.allowed.contains(&model)
                    && !has_own(&names, &model)
                    && !without_alias.contains(&model));
            if fits && names.alias(name).is_none() {
                names.aliases.push(Alias { name: name.to_owned(), model, is_built_in: true });
            }
        }
        names
    }

    /// All aliases, those of the config first.
    pub fn aliases(&self) -> &[Alias] {
        &self.aliases
    }

    /// The alias of this name, in any case.
    pub fn alias(&self, name: &str) -> Option<&Alias> {
        self.aliases.iter().find(|alias| alias.name.to_lowercase() == name.trim().to_lowercase())
    }

    /// The alias of this model.
    pub fn alias_of(&self, model: &ModelRef) -> Option<&Alias> {
        self.aliases.iter().find(|alias| alias.model == *model)
    }

    /// The models that may be used; none: any.
    pub fn allowed(&self) -> &[ModelRef] {
        &self.allowed
    }

    /// Whether the model may be used.
    pub fn is_allowed(&self, model: &ModelRef) -> bool {
        self.allowed.is_empty() || self.allowed.contains(model)
    }

    /// The model that `typed` names: an alias, `provider/model`, or a bare name that only one known model has.
    ///
    /// # Errors
    /// Where it names none, or one of a provider that is not there. Whether it may be used is not asked.
    pub fn find(&self, typed: &str) -> Result<ModelRef, ModelError> {
        let typed = typed.trim();
        if let Some(alias) = self.alias(typed) {
            return Ok(alias.model.clone());
        }
        if let Some(model) = ModelRef::parse(typed) {
            let model = folded(self.registry, model);
            let known = self.registry.get(&model.provider).is_some()
                || self.config.provider(&model.provider).is_some();
            if !known {
                let near = self.registry.near(model.provider.as_str());
                return Err(ModelError::UnknownProvider { model, near });
            }
            return Ok(model);
        }
        let is_meant =
            |model: &ModelRef| !typed.is_empty() && *model == ModelRef::new(model.provider.clone(), typed);
        let mut named = self.configured();
        named.retain(is_meant);
        if named.is_empty() {
            named = self.known();
            named.retain(is_meant);
        }
        match named.as_slice() {
            [one] => Ok(one.clone()),
            [] => {
                Err(ModelError::Unknown { typed: typed.chars().take(120).collect(), near: self.near(typed) })
            }
            several => {
                let several = several.iter().map(ToString::to_string).collect();
                Err(ModelError::Ambiguous { typed: typed.to_owned(), several })
            }
        }
    }

    /// The model that `typed` names, if it may be used.
    ///
    /// # Errors
    /// As [`ModelNames::find`], and where the config has a list of models without this one.
    pub fn choose(&self, typed: &str) -> Result<ModelRef, ModelError> {
        let model = self.find(typed)?;
        if self.is_allowed(&model) {
            return Ok(model);
        }
        let near = nearest(&model.to_string(), self.allowed.iter().map(ToString::to_string));
        Err(ModelError::NotAllowed { model, near })
    }

    /// The agent's model, else that of all agents: `None` where nobody has chosen one.
    pub fn chosen(&self, agent: &AgentId) -> Option<ModelRef> {
        let entry = self.config.agent_entry(agent);
        let own = entry.as_ref().and_then(|entry| entry.model.primary);
        self.read(own.or(self.config.default_model().0)?)
    }

    /// What follows the agent's model when that fails: the agent's own list, where it has one, else that of all agents.
    pub fn fallbacks(&self, agent: &AgentId) -> Vec<ModelRef> {
        let entry = self.config.agent_entry(agent);
        let own = entry.and_then(|entry| entry.model.fallbacks);
        let all = own.unwrap_or_else(|| self.config.default_model().1);
        all.into_iter().filter_map(|text| self.read(text)).collect()
    }

    /// A model as the config names it: also by an alias, and bare.
    pub fn read(&self, text: &str) -> Option<ModelRef> {
        if let Some(alias) = self.alias(text) {
            return Some(alias.model.clone());
        }
        ModelRef::configured(text).map(|(model, _)| folded(self.registry, model))
    }

    /// The models that the config names: its list, those of its providers, its choices and what follows them.
    pub fn configured(&self) -> Vec<ModelRef> {
        let mut all = self.allowed.clone();
        for provider in self.config.providers() {
            let ids = provider.models.iter().filter_map(|model| model.get("id")?.as_str());
            all.extend(ids.map(|id| folded(self.registry, ModelRef::new(provider.id.clone(), id))));
        }
        let chosen = [self.config.default_model(), self.config.image_model()];
        let own = self
            .config
            .agent_entries()
            .map(|entry| (entry.model.primary, entry.model.fallbacks.unwrap_or_default()));
        for (primary, fallbacks) in chosen.into_iter().chain(own) {
            all.extend(primary.into_iter().chain(fallbacks).filter_map(|text| self.read(text)));
        }
        unique(all)
    }

    /// Every model that is named anywhere: by the config, by an alias, or by a provider as its first choice.
    pub fn known(&self) -> Vec<ModelRef> {
        let mut all = self.configured();
        all.extend(self.aliases.iter().map(|alias| alias.model.clone()));
        for manifest in self.registry.iter() {
            let model = manifest.default_model.as_deref();
            all.extend(model.map(|model| ModelRef::new(ProviderId::new(&manifest.id), model)));
        }
        unique(all)
    }

    fn near(&self, typed: &str) -> Vec<String> {
        let models = self.known();
        let mut near = nearest(typed, self.aliases.iter().map(|alias| alias.name.clone()));
        for name in nearest(typed, models.iter().map(|model| model.model.clone())) {
            let full = models.iter().filter(|model| model.model == name).map(ToString::to_string);
            near.extend(full);
        }
        near.truncate(MOST_NEAR);
        near
    }
}

/// Each model once, where it stands first.
fn unique(models: Vec<ModelRef>) -> Vec<ModelRef> {
    let mut all: Vec<ModelRef> = Vec::new();
    for model in models {
        if !all.contains(&model) {
            all.push(model);
        }
    }
    all
}

/// The provider under the id that it has here.
fn folded(registry: &Registry, model: ModelRef) -> ModelRef {
    match registry.canonical(model.provider.as_str()) {
        Some(provider) if provider != model.provider => ModelRef::new(provider, &model.model),
        _ => model,
    }
}

/// The names that `typed` may stand for, best first: a third of its letters may be wrong, or it is a part of the name.
fn nearest(typed: &str, names: impl Iterator<Item = String>) -> Vec<String> {
    let typed: String = typed.trim().to_lowercase().chars().take(64).collect();
    let length = typed.chars().count();
    let limit = (length / 3).max(1);
    let score = |name: &str| {
        let name = name.to_lowercase();
        let wrong = damerau_levenshtein(&typed, &name);
        let is_part = length >= 3 && name.contains(&typed);
        if wrong <= limit && wrong < length { Some(wrong) } else { is_part.then_some(limit + 1) }
    };
    let mut found: Vec<(usize, String)> = names.filter_map(|name| Some((score(&name)?, name))).collect();
    found.sort();
    found.dedup();
    found.into_iter().take(MOST_NEAR).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use coderclaw_store::StateDir;
    use coderclaw_types::Env;

    use super::*;

    fn with<T>(config: &str, look: impl FnOnce(&ModelNames<'_>) -> T) -> T {
        let dir = tempfile::tempdir().unwrap();
        #[expect(clippy::disallowed_methods, reason = "a test makes its own files")]
        std::fs::write(dir.path().join("coderclaw.json"), config).unwrap();
        let env = Env::new([("CODERCLAW_STATE_DIR".into(), dir.path().into())], None, "/".into());
        let config = Config::load(&StateDir::from_env(&env), &env).unwrap();
        let registry = Registry::built_in();
        look(&ModelNames::new(&config, &registry))
    }

    fn found(names: &ModelNames<'_>, typed: &str) -> String {
        names.choose(typed).map_or_else(|e| e.to_string(), |model| model.to_string())
    }

    #[test]
    fn built_in_aliases_hold_where_there_is_no_list() {
        with("{}", |names| {
            for (typed, model) in [
                ("Opus", "anthropic/claude-opus-4-6"),
                ("GPT-mini", "openai/gpt-5-mini"),
                ("openai/anything", "openai/anything"),
                ("gemini-3-flash", "google/gemini-3-flash-preview"),
            ] {
                assert_eq!(found(names, typed), model);
            }
            let error = names.find("claude-opus-4-6").unwrap_err();
            assert!(error.to_string().contains("could be anthropic/claude-opus-4-6 or "), "{error}");
        });
    }

    #[test]
    fn a_list_limits_what_may_be_used() {
        let config = "{agents: {defaults: {models: {
            'anthropic/opus-4.6': {}, 'openai/gpt-5.2': {alias: 'Fast'}, 'google/gemini-3-pro-preview': {alias: ''},
            'Z.AI/glm-4.7': {alias: 'glm'},
        }}}}";
        with(config, |names| {
            assert_eq!(found(names, "opus"), "anthropic/claude-opus-4-6");
            assert_eq!(found(names, "FAST"), "openai/gpt-5.2");
            assert_eq!(found(names, "glm"), "zai/glm-4.7");
            assert_eq!(found(names, "z-ai/glm-4.7"), "zai/glm-4.7");
            let error = names.choose("anthropic/claude-opus-4-7").unwrap_err();
            assert_eq!(error.code(), Code::ModelNotAllowed);
            assert!(error.to_string().ends_with("did you mean anthropic/claude-opus-4-6?"), "{error}");
            for gone in ["gemini", "sonnet", "gpt"] {
                assert!(names.alias(gone).is_none(), "{gone}");
            }
            assert_eq!(names.aliases().iter().filter(|alias| alias.is_built_in).count(), 1);
        });
    }

    /// A near miss is named and never taken for what was meant.
    #[test]
    fn a_guess_is_offered_and_not_made() {
        with("{}", |names| {
            let error = names.find("opsu").unwrap_err();
            assert_eq!(
                (error.code(), error.to_string().as_str()),
                (Code::UnknownModel, "no model or alias is called \"opsu\"; did you mean opus?")
            );
            let error = names.find("antropic/claude-opus-4-6").unwrap_err();
            assert!(error.to_string().ends_with("did you mean anthropic?"), "{error}");
            assert!(names.find("").is_err() && names.find("nothing like it").is_err());
        });
        let config = "{models: {providers: {a: {baseUrl: 'http://x', models: [{id: 'same'}]},
            b: {baseUrl: 'http://y', models: [{id: 'same'}, {id: 'only'}]}}}}";
        with(config, |names| {
            assert_eq!(found(names, "only"), "b/only");
            assert_eq!(found(names, "same"), "\"same\" could be a/same or b/same");
            assert_eq!(found(names, "a/else"), "a/else");
        });
    }

    #[test]
    fn an_agents_own_model_goes_first() {
        let config = "{agents: {defaults: {model: {primary: 'opus-4.6', fallbacks: ['gpt']}},
            list: [{id: 'a'}, {id: 'b', model: 'openai/gpt-5.2'},
                   {id: 'c', model: {primary: 'x/y', fallbacks: []}}, {id: 'd', model: {fallbacks: ['x/z']}}]}}";
        with(config, |names| {
            let chosen = |agent: &str| names.chosen(&AgentId::new(agent)).unwrap().to_string();
            let after = |agent: &str| {
                names.fallbacks(&AgentId::new(agent)).iter().map(ToString::to_string).collect::<Vec<_>>()
            };
            assert_eq!(
                (chosen("a").as_str(), after("a")),
                ("anthropic/claude-opus-4-6", vec!["openai/gpt-5.2".into()])
            );
            assert_eq!((chosen("b").as_str(), after("b").len()), ("openai/gpt-5.2", 1));
            assert_eq!((chosen("c").as_str(), after("c").len()), ("x/y", 0));
            assert_eq!((chosen("d").as_str(), after("d")), ("anthropic/claude-opus-4-6", vec!["x/z".into()]));
        });
    }
}

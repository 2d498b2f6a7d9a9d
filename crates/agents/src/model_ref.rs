//! A model's full name: `provider/model`.

use std::fmt;

use coderclaw_types::ProviderId;

/// A model of a provider. The model's own id may hold slashes (`openrouter/meta/llama`) and an `@`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelRef {
    /// Whose it is.
    pub provider: ProviderId,
    /// What the provider calls it.
    pub model: String,
}

/// Names that people and old configs use, and what the provider calls the model.
const RENAMED: [(&str, &str, &str); 6] = [
    ("anthropic", "opus-4.6", "claude-opus-4-6"),
    ("anthropic", "opus-4.5", "claude-opus-4-5"),
    ("anthropic", "sonnet-4.6", "claude-sonnet-4-6"),
    ("anthropic", "sonnet-4.5", "claude-sonnet-4-5"),
    ("google", "gemini-3-pro", "gemini-3-pro-preview"),
    ("google", "gemini-3-flash", "gemini-3-flash-preview"),
];

impl ModelRef {
    /// Takes `provider/model` apart at its first slash; `None` where there is none, or nothing on one side of it. Old
    /// names become those that the provider knows.
    pub fn parse(text: &str) -> Option<Self> {
        let (provider, model) = text.trim().split_once('/')?;
        let (provider, model) = (provider.trim(), model.trim());
        if provider.is_empty() || model.is_empty() || text.chars().any(char::is_control) {
            return None;
        }
        Some(Self::new(ProviderId::new(provider), model))
    }

    /// The model of that provider, under the name that the provider knows.
    pub fn new(provider: ProviderId, model: &str) -> Self {
        let same =
            |(of, old, _): &&(&str, &str, &str)| provider.as_str() == *of && model.eq_ignore_ascii_case(old);
        if let Some((_, _, new)) = RENAMED.iter().find(same) {
            return Self { provider, model: (*new).to_owned() };
        }
        // These are served to ChatGPT accounts only.
        if provider.as_str() == "openai" && model.to_ascii_lowercase().starts_with("gpt-5.3-codex") {
            return Self { provider: ProviderId::new("openai-codex"), model: model.to_owned() };
        }
        Self { provider, model: model.to_owned() }
    }

    /// A model as a config names it. The original took a bare name for one of Anthropic's; whether that was done here is
    /// told, so that it can be said.
    pub fn configured(text: &str) -> Option<(Self, bool)> {
        match Self::parse(text) {
            Some(model) => Some((model, false)),
            None if text.trim().is_empty() || text.contains('/') => None,
            None => Some((Self::new(ProviderId::new("anthropic"), text.trim()), true)),
        }
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_taken_apart_at_the_first_slash() {
        for (text, wanted) in [
            ("openai/gpt-5.2", "openai/gpt-5.2"),
            (" OpenAI / gpt-5.2 ", "openai/gpt-5.2"),
            ("openrouter/meta/llama:free", "openrouter/meta/llama:free"),
            ("cloudflare-ai-gateway/@hf/x", "cloudflare-ai-gateway/@hf/x"),
            ("z.ai/glm-4", "zai/glm-4"),
            ("anthropic/Opus-4.6", "anthropic/claude-opus-4-6"),
            ("anthropic/sonnet-4.5", "anthropic/claude-sonnet-4-5"),
            ("google/gemini-3-pro", "google/gemini-3-pro-preview"),
            ("google/gemini-3-flash", "google/gemini-3-flash-preview"),
            ("openai/gpt-5.3-codex-high", "openai-codex/gpt-5.3-codex-high"),
            ("openrouter/opus-4.6", "openrouter/opus-4.6"),
        ] {
            assert_eq!(ModelRef::parse(text).unwrap().to_string(), wanted, "{text}");
        }
        for text in ["", "opus", "/x", "x/", " / ", "a/\n"] {
            assert_eq!(ModelRef::parse(text), None, "{text:?}");
        }
        let (bare, was_bare) = ModelRef::configured("opus-4.6").unwrap();
        assert_eq!((bare.to_string().as_str(), was_bare), ("anthropic/claude-opus-4-6", true));
        assert_eq!(ModelRef::configured("/"), None);
    }

    proptest! {
        #[test]
        fn a_name_once_read_stays_as_it_is(text in "[a-zA-Z.-]{1,12}/[a-zA-Z0-9./@:-]{1,20}") {
            if let Some(model) = ModelRef::parse(&text) {
                prop_assert_eq!(ModelRef::parse(&model.to_string()), Some(model));
            }
        }
    }
}

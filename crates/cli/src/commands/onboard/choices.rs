//! The choices of a login: what the original calls them, and what each means here. Models come from the manifests.

/// How a choice gets its credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// A login in a browser, here or elsewhere.
    Browser,
    /// The same, as a client that is registered for each person.
    Registered,
    /// What `claude setup-token` prints.
    SetupToken,
    /// A key.
    ApiKey,
}

/// One way to log in to one provider.
#[derive(Debug)]
pub(super) struct Choice {
    /// What `--auth-choice` calls it.
    pub(super) name: &'static str,
    /// The line of the first menu that it is under.
    pub(super) group: &'static str,
    /// Its line in the second.
    pub(super) label: &'static str,
    /// The provider's id. Keys go to the profile `PROVIDER:default`.
    pub(super) provider: &'static str,
    pub(super) how: How,
    /// The flag that carries its key, without dashes.
    pub(super) flag: Option<&'static str>,
    /// A model other than the provider's own first one.
    pub(super) model: Option<&'static str>,
}

const fn key(name: &'static str, group: &'static str, provider: &'static str, flag: &'static str) -> Choice {
    Choice { name, group, label: "API key", provider, how: How::ApiKey, flag: Some(flag), model: None }
}

const fn login(
    name: &'static str,
    group: &'static str,
    label: &'static str,
    provider: &'static str,
    how: How,
) -> Choice {
    Choice { name, group, label, provider, how, flag: None, model: None }
}

/// All that this program can do, in the order of the original's menu.
pub(super) const CHOICES: &[Choice] = &[
    login("openai-codex", "OpenAI", "ChatGPT subscription, with a browser", "openai-codex", How::Browser),
    login(
        "openai-siwc",
        "OpenAI",
        "Sign in with ChatGPT, registered for you (untested)",
        "openai",
        How::Registered,
    ),
    key("openai-api-key", "OpenAI", "openai", "openai-api-key"),
    login(
        "setup-token",
        "Anthropic",
        "Claude subscription, by claude setup-token",
        "anthropic",
        How::SetupToken,
    ),
    key("apiKey", "Anthropic", "anthropic", "anthropic-api-key"),
    key("minimax-api", "MiniMax", "minimax", "minimax-api-key"),
    Choice {
        label: "API key, the quicker model",
        flag: None,
        model: Some("MiniMax-M2.5-Lightning"),
        ..key("minimax-api-lightning", "MiniMax", "minimax", "")
    },
    key("moonshot-api-key", "Moonshot AI (Kimi)", "moonshot", "moonshot-api-key"),
    Choice {
        label: "Kimi Coding key",
        ..key("kimi-code-api-key", "Moonshot AI (Kimi)", "kimi-coding", "kimi-code-api-key")
    },
    key("gemini-api-key", "Google", "google", "gemini-api-key"),
    login(
        "google-gemini-cli",
        "Google",
        "Google login, by an OAuth client of your own (untested)",
        "google-gemini-cli",
        How::Browser,
    ),
    key("xai-api-key", "xAI (Grok)", "xai", "xai-api-key"),
    login("xai-oauth", "xAI (Grok)", "Grok plan, with a browser (untested)", "xai", How::Browser),
    key("openrouter-api-key", "OpenRouter", "openrouter", "openrouter-api-key"),
    login(
        "openrouter-oauth",
        "OpenRouter",
        "API key, made by a login with a browser (untested)",
        "openrouter",
        How::Browser,
    ),
    login("qwen-portal", "Qwen", "Qwen login, by a code (untested)", "qwen-portal", How::Browser),
    key("zai-api-key", "Z.AI", "zai", "zai-api-key"),
    key("qianfan-api-key", "Qianfan", "qianfan", "qianfan-api-key"),
    login(
        "github-copilot",
        "GitHub Copilot",
        "GitHub login, by a code (untested)",
        "github-copilot",
        How::Browser,
    ),
    key("ai-gateway-api-key", "Vercel AI Gateway", "vercel-ai-gateway", "ai-gateway-api-key"),
    key("opencode-zen", "OpenCode Zen", "opencode", "opencode-zen-api-key"),
    key("xiaomi-api-key", "Xiaomi", "xiaomi", "xiaomi-api-key"),
    key("synthetic-api-key", "Synthetic", "synthetic", "synthetic-api-key"),
    key("together-api-key", "Together AI", "together", "together-api-key"),
    key("huggingface-api-key", "Hugging Face", "huggingface", "huggingface-api-key"),
    key("venice-api-key", "Venice AI", "venice", "venice-api-key"),
    key("litellm-api-key", "LiteLLM", "litellm", "litellm-api-key"),
    key(
        "cloudflare-ai-gateway-api-key",
        "Cloudflare AI Gateway",
        "cloudflare-ai-gateway",
        "cloudflare-ai-gateway-api-key",
    ),
];

/// Other words for a choice.
const ALIASES: [(&str, &str); 4] = [
    ("token", "setup-token"),
    ("oauth", "setup-token"),
    ("minimax", "minimax-api"),
    ("minimax-cloud", "minimax-api"),
];

/// Old words, which scripts are told to replace.
const OLD: [(&str, &str); 2] = [("claude-cli", "setup-token"), ("codex-cli", "openai-codex")];

const ELSEWHERE: &str =
    "cannot be set up here: its login belongs to another program. A token made elsewhere can be stored";
const LOCAL: &str = "needs no login; name the server's address and a model";
const PLACE: &str = "is at another address than this program knows; a file in providers/ can say another one";
const NO_PROVIDER: &str = "is no provider of this program";
const CUSTOM: &str = "coderclaw onboard --non-interactive --accept-risk --auth-choice custom-api-key --custom-base-url URL --custom-model-id MODEL";

/// The original's other choices: why they are not here, and what to type instead.
pub(super) const NOT_HERE: &[(&str, &str, &str)] = &[
    ("local", LOCAL, CUSTOM),
    ("coderclawllm-local", LOCAL, CUSTOM),
    ("vllm", LOCAL, CUSTOM),
    ("coderclawllm", "is not in this list", "coderclaw models auth paste-api-key --provider coderclawllm"),
    ("chutes", ELSEWHERE, "coderclaw models auth paste-token --provider chutes"),
    ("minimax-portal", ELSEWHERE, "coderclaw models auth paste-token --provider minimax-portal"),
    ("google-antigravity", NO_PROVIDER, "coderclaw onboard --help"),
    ("copilot-proxy", NO_PROVIDER, "coderclaw onboard --help"),
    ("moonshot-api-key-cn", PLACE, "coderclaw models auth paste-api-key --provider moonshot"),
    ("minimax-api-key-cn", PLACE, "coderclaw models auth paste-api-key --provider minimax"),
    ("zai-coding-global", PLACE, "coderclaw models auth paste-api-key --provider zai"),
    ("zai-coding-cn", PLACE, "coderclaw models auth paste-api-key --provider zai"),
    ("zai-global", PLACE, "coderclaw models auth paste-api-key --provider zai"),
    ("zai-cn", PLACE, "coderclaw models auth paste-api-key --provider zai"),
];

/// What a word for a choice means.
#[derive(Debug)]
pub(super) enum Found {
    Choice(&'static Choice),
    Custom,
    Skip,
    /// One of the original's that is not here, or is called otherwise now.
    No {
        why: String,
        next: String,
    },
    Unknown,
}

pub(super) fn find(word: &str) -> Found {
    if let Some((_, now)) = OLD.iter().find(|(old, _)| *old == word) {
        return Found::No {
            why: format!("--auth-choice {word} is an old word for {now}"),
            next: format!("coderclaw onboard --auth-choice {now}"),
        };
    }
    if let Some((_, why, next)) = NOT_HERE.iter().find(|(name, ..)| *name == word) {
        return Found::No { why: format!("--auth-choice {word}: it {why}"), next: (*next).to_owned() };
    }
    let name = ALIASES.iter().find(|(alias, _)| *alias == word).map_or(word, |(_, name)| name);
    match (name, CHOICES.iter().find(|choice| choice.name == name)) {
        (_, Some(choice)) => Found::Choice(choice),
        ("custom-api-key", None) => Found::Custom,
        ("skip", None) => Found::Skip,
        _ => Found::Unknown,
    }
}

/// The choice whose key comes by this flag.
pub(super) fn by_flag(flag: &str) -> Option<&'static Choice> {
    CHOICES.iter().find(|choice| choice.flag == Some(flag))
}

/// The lines of the first menu.
pub(super) fn groups() -> Vec<&'static str> {
    let mut groups: Vec<&str> = CHOICES.iter().map(|choice| choice.group).collect();
    groups.dedup();
    groups
}

#[cfg(test)]
mod tests {
    use coderclaw_providers::{MethodKind, Registry};
    use coderclaw_types::ProviderId;

    use super::*;
    use crate::args::KeyArgs;

    /// Every row is a choice that its provider has, and is found by its word and its flag.
    #[test]
    fn the_table_says_what_manifests_can() {
        let registry = Registry::built_in();
        for choice in CHOICES {
            let manifest = registry.get(&ProviderId::new(choice.provider)).expect(choice.provider);
            let methods: &[MethodKind] = match choice.how {
                How::Browser => &[MethodKind::OAuth, MethodKind::OAuthKey, MethodKind::DeviceCode],
                How::Registered => &[MethodKind::Siwc],
                How::SetupToken => &[MethodKind::SetupToken],
                How::ApiKey => &[MethodKind::ApiKey],
            };
            let method = methods.iter().find_map(|method| manifest.auth(*method));
            let method = method.expect(choice.name);
            assert_eq!(method.untested, choice.label.contains("untested"), "{}", choice.name);
            assert!(choice.model.is_some() || manifest.default_model.is_some(), "{}", choice.name);
            assert!(
                matches!(find(choice.name), Found::Choice(found) if found.name == choice.name),
                "{}",
                choice.name
            );
            if let Some(flag) = choice.flag {
                assert_eq!(by_flag(flag).map(|found| found.name), Some(choice.name), "{flag}");
            }
        }
        for flag in KeyArgs::FLAGS {
            assert!(by_flag(flag).is_some(), "--{flag} has no choice");
        }
        let groups = groups();
        assert_eq!(&groups[..2], ["OpenAI", "Anthropic"]);
        let mut sorted = groups.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), groups.len(), "a group stands twice");
    }

    /// The original's words are all known, be it as something that is not here.
    #[test]
    fn no_word_of_the_original_s_is_unknown() {
        for (word, wanted) in [("token", "setup-token"), ("oauth", "setup-token"), ("minimax", "minimax-api")]
        {
            assert!(matches!(find(word), Found::Choice(found) if found.name == wanted), "{word}");
        }
        for word in [
            "claude-cli",
            "codex-cli",
            "local",
            "vllm",
            "chutes",
            "minimax-portal",
            "zai-cn",
            "copilot-proxy",
        ] {
            assert!(matches!(find(word), Found::No { .. }), "{word}");
        }
        assert!(matches!(find("skip"), Found::Skip) && matches!(find("custom-api-key"), Found::Custom));
        assert!(matches!(find("nonsense"), Found::Unknown));
    }
}

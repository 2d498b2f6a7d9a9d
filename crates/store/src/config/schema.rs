//! What may stand where in the config, as the original has it. Sections that are not ours are not looked into.

/// What a value may be.
#[derive(Debug)]
pub(super) enum Rule {
    Any,
    Text,
    Flag,
    Number,
    /// A number above zero. Anything else means the default, so that it harms nobody.
    Positive,
    /// 1 to 320 bytes without control characters.
    ProfileId,
    OneOf(&'static [&'static str]),
    List(&'static Rule),
    /// An object with any keys.
    Map(&'static Rule),
    /// An object with these keys and no others.
    Closed(&'static [Field]),
    /// An object of which these keys are known here.
    Open(&'static [Field]),
    Either(&'static Rule, &'static Rule),
}

/// A key and what stands there.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) rule: Rule,
    pub(super) is_needed: bool,
}

const fn may(name: &'static str, rule: Rule) -> Field {
    Field { name, rule, is_needed: false }
}

const fn must(name: &'static str, rule: Rule) -> Field {
    Field { name, rule, is_needed: true }
}

impl Rule {
    /// What should stand there, in words.
    pub(super) fn wanted(&self) -> String {
        match self {
            Self::Any => "anything".into(),
            Self::Text => "text".into(),
            Self::Flag => "true or false".into(),
            Self::Number => "a number".into(),
            Self::Positive => "a number above 0".into(),
            Self::ProfileId => "a profile id".into(),
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::List(Self::ProfileId) => "a list of profile ids".into(),
            Self::List(_) => "a list".into(),
            Self::Map(_) | Self::Closed(_) | Self::Open(_) => "an object".into(),
            Self::Either(one, other) => format!("{} or {}", one.wanted(), other.wanted()),
        }
    }
}

/// The sections whose mistakes could send the wrong account's token: nothing that uses them works with one.
pub(super) const VITAL: [&str; 2] = ["auth", "agents"];

const TEXTS: Rule = Rule::List(&Rule::Text);
const MODEL: Rule = Rule::Closed(&[may("primary", Rule::Text), may("fallbacks", TEXTS)]);
const MODEL_OR_TEXT: Rule = Rule::Either(&Rule::Text, &MODEL);

const AUTH: Rule = Rule::Closed(&[
    may(
        "profiles",
        Rule::Map(&Rule::Closed(&[
            must("provider", Rule::Text),
            must("mode", Rule::OneOf(&["api_key", "oauth", "token"])),
            may("email", Rule::Text),
        ])),
    ),
    may("order", Rule::Map(&Rule::List(&Rule::ProfileId))),
    may(
        "cooldowns",
        Rule::Closed(&[
            may("billingBackoffHours", Rule::Positive),
            may("billingBackoffHoursByProvider", Rule::Map(&Rule::Positive)),
            may("billingMaxHours", Rule::Positive),
            may("failureWindowHours", Rule::Positive),
        ]),
    ),
]);

const IDENTITY: Rule = Rule::Closed(&[
    may("name", Rule::Text),
    may("theme", Rule::Text),
    may("emoji", Rule::Text),
    may("avatar", Rule::Text),
]);

const AGENT: Rule = Rule::Closed(&[
    must("id", Rule::Text),
    may("default", Rule::Flag),
    may("name", Rule::Text),
    may("workspace", Rule::Text),
    may("agentDir", Rule::Text),
    may("model", MODEL_OR_TEXT),
    may("identity", IDENTITY),
    may("skills", TEXTS),
    may("memorySearch", Rule::Any),
    may("humanDelay", Rule::Any),
    may("heartbeat", Rule::Any),
    may("groupChat", Rule::Any),
    may("subagents", Rule::Any),
    may("sandbox", Rule::Any),
    may("tools", Rule::Any),
]);

const AGENTS: Rule = Rule::Closed(&[
    may(
        "defaults",
        Rule::Open(&[
            may("model", MODEL),
            may("imageModel", MODEL),
            may(
                "models",
                Rule::Map(&Rule::Closed(&[
                    may("alias", Rule::Text),
                    may("params", Rule::Map(&Rule::Any)),
                    may("streaming", Rule::Flag),
                ])),
            ),
            may("workspace", Rule::Text),
            may("skipBootstrap", Rule::Flag),
        ]),
    ),
    may("list", Rule::List(&AGENT)),
]);

const BINDINGS: Rule = Rule::List(&Rule::Closed(&[
    must("agentId", Rule::Text),
    must(
        "match",
        Rule::Closed(&[
            must("channel", Rule::Text),
            may("accountId", Rule::Text),
            may(
                "peer",
                Rule::Closed(&[
                    must("kind", Rule::OneOf(&["direct", "group", "channel", "dm"])),
                    must("id", Rule::Text),
                ]),
            ),
            may("guildId", Rule::Text),
            may("teamId", Rule::Text),
            may("roles", TEXTS),
        ]),
    ),
]));

const MODELS: Rule = Rule::Closed(&[
    may("mode", Rule::OneOf(&["merge", "replace"])),
    may(
        "providers",
        Rule::Map(&Rule::Closed(&[
            must("baseUrl", Rule::Text),
            may("apiKey", Rule::Text),
            may("auth", Rule::OneOf(&["api-key", "aws-sdk", "oauth", "token"])),
            may("api", Rule::Text),
            may("headers", Rule::Map(&Rule::Text)),
            may("authHeader", Rule::Flag),
            must("models", Rule::List(&Rule::Open(&[must("id", Rule::Text), may("name", Rule::Text)]))),
        ])),
    ),
    may("bedrockDiscovery", Rule::Any),
]);

const ENV: Rule = Rule::Open(&[
    may("vars", Rule::Map(&Rule::Text)),
    may("shellEnv", Rule::Closed(&[may("enabled", Rule::Flag), may("timeoutMs", Rule::Number)])),
]);

const SESSION: Rule = Rule::Closed(&[
    may("scope", Rule::OneOf(&["per-sender", "global"])),
    may("dmScope", Rule::OneOf(&["main", "per-peer", "per-channel-peer", "per-account-channel-peer"])),
    may("identityLinks", Rule::Map(&TEXTS)),
    may("store", Rule::Text),
    may("mainKey", Rule::Text),
    may("resetTriggers", TEXTS),
    may("idleMinutes", Rule::Number),
    may("reset", Rule::Any),
    may("resetByType", Rule::Any),
    may("resetByChannel", Rule::Any),
    may("maintenance", Rule::Any),
    may("sendPolicy", Rule::Any),
    may("agentToAgent", Rule::Any),
    may("typingIntervalSeconds", Rule::Number),
    may("typingMode", Rule::Text),
]);

const PLUGINS: Rule = Rule::Closed(&[
    may("enabled", Rule::Flag),
    may("allow", TEXTS),
    may("deny", TEXTS),
    may("load", Rule::Closed(&[may("paths", TEXTS)])),
    may("slots", Rule::Open(&[may("memory", Rule::Text)])),
    may("entries", Rule::Map(&Rule::Closed(&[may("enabled", Rule::Flag), may("config", Rule::Any)]))),
    may("installs", Rule::Map(&Rule::Any)),
]);

/// The whole file.
pub(super) const ROOT: &[Field] = &[
    may("$schema", Rule::Text),
    may("meta", Rule::Any),
    may("env", ENV),
    may("wizard", Rule::Any),
    may("diagnostics", Rule::Any),
    may("logging", Rule::Any),
    may("update", Rule::Any),
    may("browser", Rule::Any),
    may("ui", Rule::Any),
    may("auth", AUTH),
    may("models", MODELS),
    may("nodeHost", Rule::Any),
    may("agents", AGENTS),
    may("tools", Rule::Any),
    may("bindings", BINDINGS),
    may("broadcast", Rule::Any),
    may("audio", Rule::Any),
    may("media", Rule::Any),
    may("messages", Rule::Any),
    may("commands", Rule::Any),
    may("approvals", Rule::Any),
    may("session", SESSION),
    may("web", Rule::Any),
    may("channels", Rule::Any),
    may("cron", Rule::Any),
    may("hooks", Rule::Any),
    may("discovery", Rule::Any),
    may("canvasHost", Rule::Any),
    may("talk", Rule::Any),
    may("gateway", Rule::Any),
    may("memory", Rule::Any),
    may("skills", Rule::Any),
    may("plugins", PLUGINS),
    may("acp", Rule::Any),
];

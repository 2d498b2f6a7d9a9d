//! The closed sets of a manifest: each word once, as TOML has it.

use serde::Deserialize;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $variant:ident $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        pub enum $name {
            $($(#[$word_doc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// All words of the set, in the order of the manifest's documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word as it stands in a manifest.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The member with this text, spelled exactly so.
            pub fn from_text(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// A way to log in.
    MethodKind {
        /// Authorization code with PKCE (RFC 6749 section 4.1, RFC 7636), in a browser.
        OAuth "oauth",
        /// A code that is typed in on another device (RFC 8628).
        DeviceCode "device-code",
        /// A long-lived bearer token that the vendor's own program makes, pasted.
        SetupToken "setup-token",
        /// Any other static bearer token, pasted.
        Token "token",
        /// A key from the vendor's console, pasted.
        ApiKey "api-key",
        /// Authorization code with PKCE in a browser, whose result is a key of the vendor's, as OpenRouter has it.
        OAuthKey "oauth-key",
        /// OpenAI's "Sign in with ChatGPT": an authorization code with a registration of its own per person.
        Siwc "siwc",
        /// By the program of a plugin.
        Plugin "plugin",
    }
}

words! {
    /// What the program of a plugin takes over.
    PluginCall {
        /// Logging in.
        Login "login",
        /// Getting new tokens for old ones.
        Refresh "refresh",
        /// Further header lines of a request, such as a signature.
        Headers "headers",
        /// What of a plan is used up.
        Usage "usage",
        /// Telling the provider that a login has ended.
        Revoke "revoke",
    }
}

words! {
    /// Who pays for a request.
    Billing {
        /// A flat fee: a request costs nothing more.
        Subscription "subscription",
        /// Each request is charged.
        Metered "metered",
    }
}

words! {
    /// The dialect that the model API speaks, which fixes the path below `base_url`.
    ApiKind {
        /// `POST {base_url}/chat/completions`.
        OpenAiChat "openai-chat",
        /// `POST {base_url}/responses`.
        OpenAiResponses "openai-responses",
        /// `POST {base_url}/messages`.
        AnthropicMessages "anthropic-messages",
    }
}

words! {
    /// How the body of a token request is written.
    TokenRequest {
        /// `application/x-www-form-urlencoded`, as RFC 6749 section 4.1.3 wants it.
        Form "form",
        /// `application/json`, as some vendors want it.
        Json "json",
    }
}

words! {
    /// How a device login is spoken.
    DeviceDialect {
        /// As RFC 8628 has it.
        Standard "rfc8628",
        /// As OpenAI's servers have it: JSON, a status that says "not yet", and a code in the end.
        OpenAi "openai",
    }
}

words! {
    /// What a revocation takes with it.
    Revoke {
        /// The token that was sent, and what was made from it.
        Token "token",
        /// The whole authorization of this person for this client, other logins included.
        Grant "grant",
        /// Tokens cannot be revoked there.
        Never "never",
    }
}

words! {
    /// What a login leaves in the store.
    CredentialKind {
        /// A key.
        ApiKey "api_key",
        /// A static bearer token.
        Token "token",
        /// An access token with what renews it.
        OAuth "oauth",
    }
}

impl MethodKind {
    /// What a login by this method leaves in the store.
    pub fn makes(self) -> CredentialKind {
        match self {
            Self::ApiKey | Self::OAuthKey => CredentialKind::ApiKey,
            Self::SetupToken | Self::Token => CredentialKind::Token,
            Self::OAuth | Self::DeviceCode | Self::Siwc | Self::Plugin => CredentialKind::OAuth,
        }
    }
}

impl CredentialKind {
    /// The methods that make such a credential; where a provider has several, the first is the one to ask.
    pub fn methods(self) -> &'static [MethodKind] {
        match self {
            Self::ApiKey => &[MethodKind::ApiKey, MethodKind::OAuthKey],
            Self::Token => &[MethodKind::SetupToken, MethodKind::Token],
            Self::OAuth => &[MethodKind::OAuth, MethodKind::DeviceCode, MethodKind::Siwc, MethodKind::Plugin],
        }
    }

    /// Who pays where a manifest does not say: keys are charged per use, logins belong to a subscription.
    pub(crate) fn usual_billing(self) -> Billing {
        match self {
            Self::ApiKey => Billing::Metered,
            Self::Token | Self::OAuth => Billing::Subscription,
        }
    }
}

//! The one table of codes: what JSON output, error messages and the book call a state or a failure.

use std::fmt;

use serde::{Serialize, Serializer};

/// Whether a code names the state of a credential or only a failed command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeKind {
    /// A state of a credential, or the reason why it was or was not chosen.
    Reason,
    /// A command could not do what it was asked to.
    Error,
}

macro_rules! codes {
    ($($variant:ident $kind:ident $code:literal $meaning:literal => $next:literal;)*) => {
        /// A stable code. The text of a code never changes its meaning; new ones may come.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// All codes, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as it stands in JSON: snake_case.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// What it means, as one sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }

            /// The one command to type next; `{provider}`, `{profile}`, `{agent}` and `{other}`, another agent, stand
            /// for what it is about, and `{login}` for the command that brings this provider's kind of credential.
            /// Empty where nothing needs doing.
            pub fn next_command(self) -> &'static str {
                match self { $(Self::$variant => $next,)* }
            }

            /// Whether it names a state or a failed command.
            pub fn kind(self) -> CodeKind {
                match self { $(Self::$variant => CodeKind::$kind,)* }
            }

            /// The code with this text.
            pub fn from_text(text: &str) -> Option<Self> {
                match text { $($code => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

codes! {
    Ok Reason "ok" "The credential can be used now." => "";
    Expiring Reason "expiring" "The credential works, cannot renew itself, and ends within a day."
        => "coderclaw models auth {login} --provider {provider}";
    RefreshDue Reason "refresh_due" "The access token is due; it is refreshed when it is next asked for."
        => "coderclaw models auth refresh --provider {provider} --profile {profile}";
    Cooldown Reason "cooldown" "The profile is set aside for a while after failures of its account."
        => "coderclaw models auth cooldown list";
    Disabled Reason "disabled" "The profile is set aside because of billing."
        => "coderclaw models auth cooldown list";
    NeedsLogin Reason "needs_login" "The provider no longer accepts this login."
        => "coderclaw models auth {login} --provider {provider}";
    NeedsConsent Reason "needs_consent" "The login works, and its owner has not allowed what it is needed for."
        => "coderclaw models auth {login} --provider {provider}";
    Interrupted Reason "interrupted" "A refresh was cut off, and the provider then refused the token: its answer was lost."
        => "coderclaw models auth {login} --provider {provider}";
    Revoked Reason "revoked" "The login was revoked."
        => "coderclaw models auth {login} --provider {provider}";
    Rejected Reason "rejected" "The provider rejected an access token that should be valid, also after a refresh."
        => "coderclaw models auth {login} --provider {provider}";
    NotAuthorizedHere Reason "not_authorized_here" "The provider takes this credential from its vendor's own program only."
        => "coderclaw models auth paste-api-key --provider {provider}";
    ExcludedByOrder Reason "excluded_by_order" "The order in force does not name this profile."
        => "coderclaw models auth order get --provider {provider}";
    ProviderMismatch Reason "provider_mismatch" "The profile belongs to another provider."
        => "coderclaw models auth list";
    ModeMismatch Reason "mode_mismatch" "The config declares this profile with another kind of credential."
        => "coderclaw models auth list";
    MissingCredential Reason "missing_credential" "No credential is stored under this name, or the entry is incomplete."
        => "coderclaw models auth {login} --provider {provider}";
    InvalidExpires Reason "invalid_expires" "The entry has no usable expiry time."
        => "coderclaw models auth {login} --provider {provider}";
    Expired Reason "expired" "The credential has expired and cannot be renewed."
        => "coderclaw models auth {login} --provider {provider}";
    UnresolvedRef Reason "unresolved_ref" "The entry refers to a secret that is kept elsewhere and cannot be read."
        => "coderclaw models auth list";
    MeteredNotAllowed Reason "metered_not_allowed"
        "A key that is billed per use never follows a subscription unless an order names it."
        => "coderclaw models auth order set --provider {provider} {profile}";
    NotLinked Reason "not_linked" "This agent has no login of its own; another agent has one."
        => "coderclaw agents link {agent} --to {other}";
    LinkBroken Reason "link_broken" "The link of this agent leads to no agent, or to one that is linked itself."
        => "coderclaw agents unlink {agent}";
    AgentSettingsInvalid Reason "agent_settings_invalid" "The agent.toml of an agent cannot be understood."
        => "coderclaw agents list";
    PinnedElsewhere Reason "pinned_elsewhere" "Another profile is pinned, by the session or by the agent."
        => "coderclaw models auth explain --provider {provider}";
    UsageLimit Reason "usage_limit" "The subscription's usage limit is reached."
        => "coderclaw models auth explain --provider {provider}";
    AccountBlocked Reason "account_blocked" "The provider wants the owner of the account to act before it serves it again."
        => "coderclaw models auth explain --provider {provider}";
    NotReady Reason "not_ready" "The provider does not allow a refresh yet."
        => "coderclaw models auth explain --provider {provider}";
    RefreshInProgress Reason "refresh_in_progress" "Another process is refreshing this login and has not finished in time."
        => "coderclaw models auth token --provider {provider}";
    CannotGuarantee Reason "cannot_guarantee" "No token with the wanted time left can be had."
        => "coderclaw models auth token --provider {provider}";
    Offline Reason "offline" "The provider's token endpoint cannot be reached or is not answering properly."
        => "coderclaw models auth refresh --provider {provider}";
    Locked Reason "locked" "Another program holds the lock."
        => "coderclaw models auth paths";
    Unreadable Reason "unreadable" "A file exists and cannot be read."
        => "coderclaw models auth paths";
    Corrupt Reason "corrupt" "A file is not what it should be."
        => "coderclaw models auth restore --dry-run";
    UnsupportedVersion Reason "unsupported_version" "The file was written by a newer version: it is read, never written."
        => "coderclaw --version";
    ForeignStore Reason "foreign_store" "The store belongs to another state dir, which alone refreshes it."
        => "coderclaw models auth paths";
    NotOwner Reason "not_owner" "The state dir belongs to another user, so nothing is written."
        => "coderclaw models auth paths";
    WorkerFailed Reason "worker_failed" "The refresh worker ended without an answer."
        => "coderclaw models auth refresh --provider {provider}";
    IdTaken Reason "id_taken" "A profile with this id holds another login."
        => "coderclaw models auth list";
    InputRequired Reason "input_required" "Something has to be typed, and there is no terminal."
        => "coderclaw --help";
    Usage Error "usage" "The command was called in a way that it does not know."
        => "coderclaw --help";
    UnknownProvider Error "unknown_provider" "No provider has this id."
        => "coderclaw models list";
    UnknownProfile Error "unknown_profile" "No profile has this id."
        => "coderclaw models auth list --agent {agent}";
    UnknownAgent Error "unknown_agent" "No agent has this id."
        => "coderclaw agents list";
    AgentExists Error "agent_exists" "There is an agent of this name, or with this folder, already."
        => "coderclaw agents list";
    AgentInUse Error "agent_in_use" "Other agents are linked to this agent."
        => "coderclaw agents list";
    LinkRefused Error "link_refused" "A link is one level, and leads to another agent."
        => "coderclaw agents list";
    LinkedProfile Error "linked_profile" "The profile belongs to the agent that this one is linked to, and is changed there."
        => "coderclaw models auth list --agent {other}";
    AlreadyBound Error "already_bound" "Another agent has this binding."
        => "coderclaw agents list --bindings";
    UnknownModel Error "unknown_model" "No model and no alias has this name."
        => "coderclaw models list";
    ModelNotAllowed Error "model_not_allowed" "The config has a list of models, and this one is not on it."
        => "coderclaw models list";
    UnknownAlias Error "unknown_alias" "No alias has this name."
        => "coderclaw models aliases list";
    AliasTaken Error "alias_taken" "The alias stands for another model."
        => "coderclaw models aliases list";
    UnknownKey Error "unknown_key" "Nothing stands at this place of the config."
        => "coderclaw config validate";
    UnknownSession Error "unknown_session" "No session has this key."
        => "coderclaw sessions list --agent {agent}";
    ConfigInvalid Error "config_invalid" "The config file cannot be understood."
        => "coderclaw config validate";
    ManifestInvalid Error "manifest_invalid" "A provider file, or the file of a plugin, cannot be used."
        => "coderclaw plugins check";
    UnknownPlugin Error "unknown_plugin" "No plugin of this id is installed."
        => "coderclaw plugins list";
    PluginExists Error "plugin_exists" "A plugin of this id, or a file of this name, is there already."
        => "coderclaw plugins list";
    PluginFailed Error "plugin_failed" "The program of a plugin did not do what was asked of it; nothing was stored."
        => "coderclaw plugins check";
    NotWritable Error "not_writable" "A file cannot be written: nothing was changed."
        => "coderclaw models auth paths";
    NotPersisted Error "not_persisted" "A refreshed login could not be handed to the secret store; it is kept here."
        => "coderclaw models auth refresh --provider {provider} --persist-cmd COMMAND";
    LoginDenied Error "login_denied" "The provider ended the login."
        => "coderclaw models auth {login} --provider {provider}";
    LoginFailed Error "login_failed" "The login did not complete; what was stored before is untouched."
        => "coderclaw models auth {login} --provider {provider}";
    OtherIdentity Error "other_identity"
        "Another person or workspace logged in than was expected; nothing was stored."
        => "coderclaw models auth {login} --provider {provider}";
    IdTokenInvalid Error "id_token_invalid"
        "What the provider says of who logged in does not prove it; nothing was stored."
        => "coderclaw models auth {login} --provider {provider}";
    RateLimited Error "rate_limited" "The provider takes no more requests of this account for a while."
        => "coderclaw models auth explain --provider {provider}";
    ModelLimit Error "model_limit" "The provider takes no more requests for this model for a while; the account is fine."
        => "coderclaw models auth explain --provider {provider}";
    NotPermitted Error "not_permitted" "The credential works and is not allowed to do this."
        => "coderclaw models auth explain --provider {provider}";
    ModelNotFound Error "model_not_found" "The provider has no such model for this account."
        => "coderclaw models status";
    ContextOverflow Error "context_overflow" "The conversation is longer than the model can take."
        => "coderclaw models status";
    TooLarge Error "too_large" "The request is larger than the provider takes."
        => "coderclaw models status";
    BadRequest Error "bad_request" "The provider did not understand the request, or does not allow it."
        => "coderclaw models status";
    Unavailable Error "unavailable" "The provider is overloaded or has a fault of its own; the login is fine."
        => "coderclaw models auth explain --provider {provider}";
    Unreachable Error "unreachable" "The model API cannot be reached, or its answer was cut off."
        => "coderclaw models auth explain --provider {provider}";
    ModelError Error "model_error" "The model API failed for a reason that is not known here."
        => "coderclaw models status";
    NotStarted Error "not_started" "The program could not be started; it was lent nothing."
        => "coderclaw exec --help";
    PortTaken Error "port_taken" "Another program listens on the gateway's port."
        => "coderclaw gateway status";
    GatewayDown Error "gateway_down" "No gateway answers on the port."
        => "coderclaw gateway run";
    GatewayRefused Error "gateway_refused" "The gateway does not take such a request."
        => "coderclaw gateway --help";
    GatewayKeyRefused Error "gateway_key_refused" "The gateway wants one of its own keys, and one that may do this."
        => "coderclaw gateway keys add NAME";
    GatewayKeyTaken Error "gateway_key_taken" "A gateway key of this name exists already."
        => "coderclaw gateway keys list";
    UnknownGatewayKey Error "unknown_gateway_key" "No gateway key has this id or this name."
        => "coderclaw gateway keys list";
    GatewayKeysInvalid Error "gateway_keys_invalid" "The file of the gateway's keys cannot be understood."
        => "coderclaw gateway keys list";
    SettingTaken Error "setting_taken" "Another program has a setting of its own where CoderClaw's would go."
        => "coderclaw connect --help";
    SettingsInvalid Error "settings_invalid" "The settings file of another program cannot be understood."
        => "coderclaw connect --help";
    SettingsChanged Error "settings_changed" "A settings file was changed while it was looked at: nothing was written."
        => "coderclaw connect --help";
    NotConnected Error "not_connected" "The program is not connected to CoderClaw."
        => "coderclaw connect --help";
    SocketTaken Error "socket_taken" "Another gateway of this state dir has the token socket."
        => "coderclaw gateway run --no-socket";
    SocketDown Error "socket_down" "No gateway answers on the token socket that CODERCLAW_SOCKET names."
        => "coderclaw gateway run";
    NeedsStore Error "needs_store" "This needs the logins themselves, and CODERCLAW_SOCKET says that they are elsewhere."
        => "coderclaw models status";
    ClaimFailed Error "claim_failed" "The demo saw something that should not happen."
        => "coderclaw demo --keep";
    Internal Error "internal" "Something that should not happen did."
        => "coderclaw --version";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_snake_case_and_explained() {
        for (i, code) in Code::ALL.iter().enumerate() {
            let text = code.as_str();
            assert!(text.chars().all(|c| c == '_' || c.is_ascii_lowercase()), "{text}");
            assert_eq!(Code::from_text(text), Some(*code));
            assert!(code.meaning().ends_with('.') && code.meaning().len() < 110, "{text}");
            assert!(*code == Code::Ok || code.next_command().starts_with("coderclaw "), "{text}");
            assert!(Code::ALL[i + 1..].iter().all(|other| other.as_str() != text), "{text} twice");
        }
    }
}

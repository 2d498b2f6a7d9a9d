//! What `onboard` and `configure` take: the original's flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::stored::days;

#[derive(Debug, Default, Args)]
pub(crate) struct OnboardArgs {
    /// Ask nothing; what is missing is an error that names the flag
    #[arg(long)]
    pub(crate) non_interactive: bool,
    /// Agents act on their own, and whoever runs them answers for that; needed with --non-interactive
    #[arg(long)]
    pub(crate) accept_risk: bool,
    /// What to log in with: setup-token, openai-codex, openai-api-key, apiKey, ..., or skip
    #[arg(long, value_name = "CHOICE")]
    pub(crate) auth_choice: Option<String>,
    /// Read the key or token from standard input
    #[arg(long)]
    pub(crate) stdin: bool,
    /// Also where the profile's id holds another credential
    #[arg(long)]
    pub(crate) replace: bool,
    /// Make the provider's model the default also where another one is
    #[arg(long)]
    pub(crate) set_default: bool,
    /// First move the config, credentials, sessions and stores to the trash
    #[arg(long)]
    pub(crate) reset: bool,
    /// Do not ask before --reset
    #[arg(long)]
    pub(crate) yes: bool,
    /// The folder that the agents work in
    #[arg(long, value_name = "DIR")]
    pub(crate) workspace: Option<PathBuf>,
    /// Accepted for the original's sake: there is one flow
    #[arg(long, value_enum, hide = true)]
    pub(crate) flow: Option<Flow>,
    /// Only this machine can be set up
    #[arg(long, value_enum, hide = true)]
    pub(crate) mode: Option<Mode>,
    #[command(flatten)]
    pub(crate) token: TokenArgs,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    #[command(flatten)]
    pub(crate) custom: CustomArgs,
    #[command(flatten)]
    pub(crate) unused: UnusedArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Flow {
    Quickstart,
    Advanced,
    Manual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    Local,
    Remote,
}

// A token that was made elsewhere, for `--auth-choice token`.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "A token that was made elsewhere")]
pub(crate) struct TokenArgs {
    /// Whose it is
    #[arg(long, value_name = "ID")]
    pub(crate) token_provider: Option<String>,
    /// The token; every user of this machine can see it here, --stdin is better
    #[arg(long, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// The profile's id; by default PROVIDER:default
    #[arg(long, value_name = "ID")]
    pub(crate) token_profile_id: Option<String>,
    /// It ends so long after now: 365d, 12h; a number alone is days
    #[arg(long, value_name = "DURATION", value_parser = days)]
    pub(crate) token_expires_in: Option<Duration>,
}

macro_rules! keys {
    ($($field:ident $flag:literal)*) => {
        // One flag for each provider's key. Every user of the machine can see arguments; `--stdin` and variables are better.
        #[derive(Debug, Default, Args)]
        #[command(next_help_heading = "Keys (visible to every user of this machine; --stdin or a variable is better)")]
        pub(crate) struct KeyArgs {
            $(#[arg(long = $flag, value_name = "KEY", hide_short_help = true, help = "A key of this provider")] $field: Option<String>,)*
            /// The account that the gateway's key belongs to
            #[arg(long, value_name = "ID", hide_short_help = true)]
            pub(crate) cloudflare_ai_gateway_account_id: Option<String>,
            /// The gateway that it is for
            #[arg(long, value_name = "ID", hide_short_help = true)]
            pub(crate) cloudflare_ai_gateway_gateway_id: Option<String>,
        }

        impl KeyArgs {
            /// The flags that were given, without the dashes, and what they hold.
            pub(crate) fn given(&self) -> Vec<(&'static str, &str)> {
                let all = [$(($flag, self.$field.as_deref())),*];
                all.into_iter().filter_map(|(flag, key)| Some((flag, key?))).collect()
            }

            /// All of them.
            #[cfg(test)]
            pub(crate) const FLAGS: &'static [&'static str] = &[$($flag),*];
        }
    };
}

keys! {
    anthropic "anthropic-api-key"
    openai "openai-api-key"
    openrouter "openrouter-api-key"
    ai_gateway "ai-gateway-api-key"
    cloudflare "cloudflare-ai-gateway-api-key"
    moonshot "moonshot-api-key"
    kimi "kimi-code-api-key"
    gemini "gemini-api-key"
    zai "zai-api-key"
    xiaomi "xiaomi-api-key"
    minimax "minimax-api-key"
    synthetic "synthetic-api-key"
    venice "venice-api-key"
    together "together-api-key"
    huggingface "huggingface-api-key"
    opencode "opencode-zen-api-key"
    xai "xai-api-key"
    litellm "litellm-api-key"
    qianfan "qianfan-api-key"
}

// A server of one's own.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "A server of one's own")]
pub(crate) struct CustomArgs {
    /// Its address, version segment included
    #[arg(long, value_name = "URL")]
    pub(crate) custom_base_url: Option<String>,
    /// Its key, if it wants one; CUSTOM_API_KEY or --stdin is better
    #[arg(long, value_name = "KEY")]
    pub(crate) custom_api_key: Option<String>,
    /// The model to use there
    #[arg(long, value_name = "MODEL")]
    pub(crate) custom_model_id: Option<String>,
    /// What to call it; by default custom-HOST
    #[arg(long, value_name = "ID")]
    pub(crate) custom_provider_id: Option<String>,
    /// Whose language it speaks
    #[arg(long, value_enum, value_name = "API")]
    pub(crate) custom_compatibility: Option<Compatibility>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compatibility {
    #[default]
    Openai,
    Anthropic,
}

// Flags of the original's that are about parts which this program does not set up. They are taken, and what has no effect is
// said.
#[derive(Debug, Default, Args)]
pub(crate) struct UnusedArgs {
    #[arg(long, hide = true)]
    gateway_port: Option<u16>,
    #[arg(long, hide = true)]
    gateway_bind: Option<String>,
    #[arg(long, hide = true)]
    gateway_auth: Option<String>,
    #[arg(long, hide = true)]
    gateway_token: Option<String>,
    #[arg(long, hide = true)]
    gateway_password: Option<String>,
    #[arg(long, hide = true)]
    remote_url: Option<String>,
    #[arg(long, hide = true)]
    remote_token: Option<String>,
    #[arg(long, hide = true)]
    tailscale: Option<String>,
    #[arg(long, hide = true)]
    tailscale_reset_on_exit: bool,
    #[arg(long, hide = true)]
    install_daemon: bool,
    #[arg(long, hide = true)]
    no_install_daemon: bool,
    #[arg(long, hide = true)]
    skip_daemon: bool,
    #[arg(long, hide = true)]
    daemon_runtime: Option<String>,
    #[arg(long, hide = true)]
    skip_channels: bool,
    #[arg(long, hide = true)]
    pub(crate) skip_skills: bool,
    #[arg(long, hide = true)]
    pub(crate) skip_health: bool,
    #[arg(long, hide = true)]
    skip_ui: bool,
    #[arg(long, hide = true)]
    node_manager: Option<String>,
}

impl UnusedArgs {
    /// Those that were given and would do something in the original. What is skipped is skipped here in any case.
    pub(crate) fn without_effect(&self) -> Vec<&'static str> {
        let all = [
            ("--gateway-port", self.gateway_port.is_some()),
            ("--gateway-bind", self.gateway_bind.is_some()),
            ("--gateway-auth", self.gateway_auth.is_some()),
            ("--gateway-token", self.gateway_token.is_some()),
            ("--gateway-password", self.gateway_password.is_some()),
            ("--remote-url", self.remote_url.is_some()),
            ("--remote-token", self.remote_token.is_some()),
            ("--tailscale", self.tailscale.is_some()),
            ("--tailscale-reset-on-exit", self.tailscale_reset_on_exit),
            ("--install-daemon", self.install_daemon),
            ("--daemon-runtime", self.daemon_runtime.is_some()),
            ("--node-manager", self.node_manager.is_some()),
        ];
        all.into_iter().filter(|(_, given)| *given).map(|(flag, _)| flag).collect()
    }
}

#[derive(Debug, Args)]
pub(crate) struct ConfigureArgs {
    /// What is to be set up; only `model` is there
    #[arg(long, value_name = "SECTION")]
    pub(crate) section: Vec<String>,
}

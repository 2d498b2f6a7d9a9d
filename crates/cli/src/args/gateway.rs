//! The commands around the gateway.

use std::net::IpAddr;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum GatewayCommand {
    /// Serve until it is told to stop (Ctrl-C, SIGTERM); answers under way are finished
    Run(GatewayRunArgs),
    /// Whether a gateway is running, and how it is doing
    Status {
        /// On this port
        #[arg(long, value_name = "N")]
        port: Option<u16>,
    },
    /// The keys with which programs come to the gateway
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
}

#[derive(Debug, Args)]
pub(crate) struct GatewayRunArgs {
    /// The port; 0 takes a free one. Else CODERCLAW_GATEWAY_PORT, gateway.port of the config, 18789
    #[arg(long, value_name = "N")]
    pub(crate) port: Option<u16>,
    /// The address; only loopback is allowed
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key. It is shown once; only its hash is kept
    Add(AddKeyArgs),
    /// The keys, without the keys themselves
    List,
    /// Print a key that is kept for a program that was connected
    Show {
        /// Its id or its name
        #[arg(value_name = "ID|NAME")]
        key: String,
    },
    /// A key that counts no more, at once
    Revoke {
        /// Its id or its name
        #[arg(value_name = "ID|NAME")]
        key: String,
    },
}

/// With --agent: the key lends that agent's logins, else those of the default agent.
#[derive(Debug, Args)]
pub(crate) struct AddKeyArgs {
    /// What you call it: the program, or the machine
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Only for this provider; may be repeated
    #[arg(long, value_name = "ID")]
    pub(crate) provider: Vec<String>,
    /// Only this profile
    #[arg(long, value_name = "ID")]
    pub(crate) profile: Option<String>,
    /// It ends after this long: 12h, 30d
    #[arg(long, value_name = "DURATION", value_parser = crate::text::duration)]
    pub(crate) expires: Option<std::time::Duration>,
}

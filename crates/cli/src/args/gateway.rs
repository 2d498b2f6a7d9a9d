//! The commands around the gateway.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum GatewayCommand {
    /// Serve until it is told to stop (Ctrl-C, SIGTERM); answers under way are finished
    Run(GatewayRunArgs),
    /// Run it at each login of yours: writes a systemd user unit, for the same arguments as `run`
    Install(InstallArgs),
    /// Whether a gateway is running, and how it is doing
    Status {
        /// On this port
        #[arg(long, value_name = "N")]
        port: Option<u16>,
    },
    /// Open the console in a browser, with a link that works once
    Open(GatewayOpenArgs),
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
    /// The address. Others than loopback take a certificate, its key, and a key of the gateway
    #[arg(long, alias = "host", value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) bind: IpAddr,
    /// Speak TLS with this certificate (PEM, with its chain); requests name a host that it is for
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Where the token socket is made, in a folder of yours alone; else gateway/token.sock of the state dir
    #[arg(long, value_name = "PATH", conflicts_with = "no_socket")]
    pub(crate) socket: Option<PathBuf>,
    /// Lend over HTTP only
    #[arg(long)]
    pub(crate) no_socket: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    #[command(flatten)]
    pub(crate) run: GatewayRunArgs,
    /// Only show the unit
    #[arg(long, conflicts_with_all = ["uninstall", "now"])]
    pub(crate) print: bool,
    /// Take it away again
    #[arg(long)]
    pub(crate) uninstall: bool,
    /// Call systemctl too: start it, or stop it
    #[arg(long)]
    pub(crate) now: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GatewayOpenArgs {
    /// The gateway on this port
    #[arg(long, value_name = "N")]
    pub(crate) port: Option<u16>,
    /// Under this address, where the gateway is reached by another than its own
    #[arg(long, value_name = "URL", conflicts_with = "port")]
    pub(crate) at: Option<String>,
    /// Only print the link, for a browser elsewhere
    #[arg(long)]
    pub(crate) print: bool,
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

//! `gateway run|install|status|open|keys`.

mod install;
mod keys;
mod open;
mod run;

use coderclaw_gateway::{GatewayError, GatewayStatus, ask_status};
use coderclaw_store::{GatewayKeysError, KeyPath};
use coderclaw_types::{Clock, Code, Env, Millis};
use serde_json::json;

use crate::args::{GatewayCommand, Global};
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::Report;
use crate::text;

/// The original's numbers.
const PORT: u16 = 18_789;
const DEV_PORT: u16 = 19_001;

pub(super) fn run(
    global: Global,
    env: Env,
    clock: Clock,
    command: GatewayCommand,
) -> Result<Report, CommandError> {
    let context = Context::open(global, env.clone(), clock)?;
    match command {
        GatewayCommand::Run(args) => run::run(&context, env, &args),
        GatewayCommand::Install(args) => install::run(&context, &env, &args),
        GatewayCommand::Status { port } => status(&context, port),
        GatewayCommand::Open(args) => open::run(&context, &args),
        GatewayCommand::Keys { command } => keys::run(&context, command),
    }
}

/// What the flag says, else the variable, else the config.
pub(super) fn port(context: &Context, flag: Option<u16>) -> Result<u16, CommandError> {
    if let Some(port) = flag {
        return Ok(port);
    }
    let env = context.auth.env();
    let wrong =
        |place: &str| CommandError::new(Code::Usage, format!("{place} is no port: 1 to 65535 is wanted"));
    if let Some(text) = env.get("CODERCLAW_GATEWAY_PORT") {
        return text.parse().ok().filter(|port| *port > 0).ok_or_else(|| wrong("CODERCLAW_GATEWAY_PORT"));
    }
    if let Some(value) = context.auth.config().get(&KeyPath::keys(["gateway", "port"])) {
        let port = value.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
        return port.ok_or_else(|| wrong("gateway.port of the config"));
    }
    let is_dev = env.get("CODERCLAW_PROFILE").is_some_and(|name| name.eq_ignore_ascii_case("dev"));
    Ok(if is_dev { DEV_PORT } else { PORT })
}

/// The gateway on this port, which must be one of ours.
fn running(port: u16) -> Result<GatewayStatus, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| CommandError::new(Code::Internal, format!("the network cannot be used: {e}")))?;
    let status = runtime.block_on(ask_status(port))?;
    status.ok_or_else(|| {
        CommandError::new(Code::GatewayDown, format!("no CoderClaw gateway answers on 127.0.0.1:{port}"))
    })
}

fn status(context: &Context, flag: Option<u16>) -> Result<Report, CommandError> {
    let port = port(context, flag)?;
    let status = running(port)?;
    let scheme = if status.is_tls { "https" } else { "http" };
    let address = format!("{scheme}://127.0.0.1:{port}");
    if context.global.json {
        return Ok(Report::json(&json!({
            "running": true,
            "address": address,
            "port": port,
            "version": status.version,
            "pid": status.pid,
            "startedAt": status.started_at,
            "openStreams": status.open_streams,
            "tls": status.is_tls,
            "certificateUntil": status.certificate_until,
        })));
    }
    let since = text::local(status.started_at);
    let mut words = format!(
        "{address}: running since {since} (process {}, version {}), answers on their way: {}\n",
        status.pid,
        text::clean(&status.version),
        status.open_streams
    );
    if status.is_tls {
        words.push_str(&certificate(status.certificate_until, context.auth.clock().now()));
    }
    Ok(Report::text(words))
}

/// A certificate that has ended keeps everybody out.
fn certificate(until: Option<Millis>, now: Millis) -> String {
    match until {
        None => "TLS; when the certificate ends cannot be read\n".into(),
        Some(at) if at > now => {
            format!("TLS; the certificate ends {} ({})\n", text::when(at, now), text::local(at))
        }
        Some(at) => format!(
            "TLS; the certificate ended {} ({}): renew its file, which is read again by itself\n",
            text::when(at, now),
            text::local(at)
        ),
    }
}

impl From<GatewayError> for CommandError {
    fn from(error: GatewayError) -> Self {
        let out = Self::new(error.code(), error.to_string());
        match error {
            GatewayError::NoTls { .. } | GatewayError::Tls(_) => {
                out.hint("coderclaw gateway run --help".into())
            }
            GatewayError::PortTaken { address, .. } => {
                out.hint(format!("coderclaw gateway status --port {}", address.port()))
            }
            GatewayError::Listen { .. } => out.hint("coderclaw gateway run --help".into()),
            GatewayError::Socket { .. } => out.hint("coderclaw gateway run --help".into()),
            GatewayError::NoKeys { .. }
            | GatewayError::Keys(_)
            | GatewayError::SocketTaken { .. }
            | GatewayError::Open(_)
            | GatewayError::Http(_) => out,
        }
    }
}

impl From<GatewayKeysError> for CommandError {
    fn from(error: GatewayKeysError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

//! `gateway open`: a link into the console, that works once.

use std::io::IsTerminal;
use std::time::Duration;

use coderclaw_store::make_console_link;
use coderclaw_types::Code;
use serde_json::json;

use super::{port, running};
use crate::args::GatewayOpenArgs;
use crate::commands::Context;
use crate::commands::login::show_in_browser;
use crate::error::CommandError;
use crate::report::{Report, say};
use crate::text;

/// Long enough to carry it to another machine.
const LIFE: Duration = Duration::from_secs(5 * 60);

pub(super) fn run(context: &Context, args: &GatewayOpenArgs) -> Result<Report, CommandError> {
    let address = address(context, args)?;
    let now = context.auth.clock().now();
    let (link, ends) = make_console_link(context.auth.state(), now, LIFE)
        .map_err(|e| CommandError::new(e.code(), e.to_string()))?;
    let url = format!("{address}/console/enter?link={}", link.expose());
    if context.global.json {
        return Ok(Report::json(&json!({"url": url, "expiresAt": ends})));
    }
    let is_seen = std::io::stdout().is_terminal();
    let is_open = !args.print && is_seen && show_in_browser(context, &url);
    if !context.global.quiet {
        let what = if is_open { "A browser opens this link" } else { "Open this link in a browser" };
        say(&format!("{what}. It works once, until {}.", text::local(ends)));
        if let (false, true, Some(port)) = (is_open, is_seen, address.strip_prefix("http://127.0.0.1:")) {
            let line = format!(
                "From another machine: forward the port first (ssh -L {port}:127.0.0.1:{port} HOST), then open it there."
            );
            say(&text::wrap(&line, text::width()).join("\n"));
        }
    }
    Ok(Report::text(format!("{url}\n")))
}

/// Where the browser is to go.
fn address(context: &Context, args: &GatewayOpenArgs) -> Result<String, CommandError> {
    if let Some(at) = &args.at {
        let host = at.strip_prefix("https://").or(at.strip_prefix("http://")).unwrap_or_default();
        let host = host.trim_end_matches('/');
        let is_host = host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:[]".contains(c));
        if host.is_empty() || !is_host {
            let message = "--at wants the address of a gateway, such as https://box.example:18789";
            return Err(CommandError::new(Code::Usage, message).hint("coderclaw gateway open --help".into()));
        }
        return Ok(at.trim_end_matches('/').to_owned());
    }
    let port = port(context, args.port)?;
    // A link to nobody would be a riddle.
    if running(port)?.is_tls {
        let message = "this gateway speaks TLS and goes by its certificate's names only: say which, by --at";
        let hint = format!("coderclaw gateway open --at https://NAME:{port}");
        return Err(CommandError::new(Code::InputRequired, message).hint(hint));
    }
    Ok(format!("http://127.0.0.1:{port}"))
}

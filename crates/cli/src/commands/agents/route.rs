//! `agents route`: who would answer a message. Looks and changes nothing.

use coderclaw_agents::{Origin, Peer, Route, Rules};
use coderclaw_auth::ResolveError;
use coderclaw_types::Code;
use serde_json::json;

use crate::args::{FromArgs, RouteArgs};
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::Report;
use crate::text::clean;

pub(super) fn run(context: &Context, args: RouteArgs) -> Result<Report, CommandError> {
    let route = route(context, args.channel, args.from)?;
    if context.global.json {
        return Ok(Report::json(&route));
    }
    let by = json!(route.matched_by);
    Ok(Report::text(format!(
        "Agent: {}\nSession: {}\nMatched by: {}\n",
        route.agent_id,
        clean(&route.session_key),
        by.as_str().unwrap_or_default()
    )))
}

/// The agent and the session of a message that comes from there.
pub(crate) fn route(context: &Context, channel: String, from: FromArgs) -> Result<Route, CommandError> {
    let peer = |flag: &str, text: Option<String>| match text {
        None => Ok(None),
        Some(text) => Peer::from_text(&text).map(Some).ok_or_else(|| {
            let message = format!("{flag} {text}: direct:ID, group:ID or channel:ID is wanted");
            CommandError::new(Code::Usage, message).hint("coderclaw agents route --help".into())
        }),
    };
    let origin = Origin {
        channel,
        account: from.account,
        peer: peer("--peer", from.peer)?,
        parent: peer("--parent", from.parent)?,
        guild: from.guild,
        team: from.team,
        roles: from.role,
    };
    let config = context.auth.config();
    // An agent that only has a folder is one where the config lists none.
    let known = match config.agents() {
        [] => {
            let all = context.auth.state().agents(config).map_err(ResolveError::from)?;
            all.into_iter().map(|agent| agent.agent).collect()
        }
        listed => listed.to_vec(),
    };
    Ok(Rules::new(config, known).route(&origin))
}

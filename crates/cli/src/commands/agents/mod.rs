//! `agents`: who there is, whom they answer, and whose logins they use.

mod add;
mod bind;
mod delete;
mod identity;
mod link;
mod list;
mod route;

use std::path::Path;

use coderclaw_agents::AgentError;
use coderclaw_store::AgentPaths;

use crate::args::AgentsCommand;
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::Report;

pub(super) use route::route;

pub(super) fn run(context: &Context, command: AgentsCommand) -> Result<Report, CommandError> {
    match command {
        AgentsCommand::List { bindings } => list::run(context, bindings),
        AgentsCommand::Add(args) => add::run(context, args),
        AgentsCommand::Delete { id, force, purge } => delete::run(context, &id, force, purge),
        AgentsCommand::Link { id, to } => link::link(context, &id, &to),
        AgentsCommand::Unlink { id } => link::unlink(context, &id),
        AgentsCommand::Bind { id, bind } => bind::bind(context, &id, &bind),
        AgentsCommand::Unbind { id, bind, all } => bind::unbind(context, &id, &bind, all),
        AgentsCommand::SetIdentity(args) => identity::run(context, args),
        AgentsCommand::Route(args) => route::run(context, args),
    }
}

/// The agent that is named where the command is about it.
fn named(context: &Context, id: &str) -> Result<AgentPaths, CommandError> {
    Ok(context.auth.agent(Some(id))?)
}

/// As the original says it after each write of the config: with the home as `~`.
fn updated(context: &Context, path: &Path) -> String {
    let home = context.auth.env().home();
    match path.strip_prefix(home) {
        Ok(rest) => format!("Updated ~/{}\n", rest.display()),
        Err(_) => format!("Updated {}\n", path.display()),
    }
}

impl From<AgentError> for CommandError {
    fn from(error: AgentError) -> Self {
        let out = Self::new(error.code(), error.to_string());
        match error {
            AgentError::InUse { linkers, .. } if !linkers.is_empty() => {
                out.hint(format!("coderclaw agents unlink {}", linkers[0]))
            }
            AgentError::NoName { .. } | AgentError::Reserved => {
                out.hint("coderclaw agents add --help".into())
            }
            AgentError::IsMain => out.hint("coderclaw agents list".into()),
            _ => out,
        }
    }
}

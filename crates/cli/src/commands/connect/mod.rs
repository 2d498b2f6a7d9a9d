//! `connect` and `disconnect`: programs that borrow a login from here.

mod borrow;
mod tool;
mod warnings;
mod words;

use std::io::IsTerminal;

use coderclaw_auth::Auth;
use coderclaw_store::{
    ConnectError, ConnectionPlan, GatewayKey, ToolSetting, add_gateway_key, keep_gateway_key,
    plan_connection, plan_disconnection, read_gateway_keys, read_kept_gateway_key, revoke_gateway_key,
};
use coderclaw_types::{Code, ProviderId, TokenHash};

use crate::args::{ConnectArgs, DisconnectArgs, Way};
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::{Report, say};
use crate::secret_input;
use borrow::Loan;

pub(super) fn connect(context: &Context, args: &ConnectArgs) -> Result<Report, CommandError> {
    let settings = args.tool.settings(context.auth.env());
    let loan = Loan::find(context, args)?;
    let wanted = match loan.way {
        Way::Helper => args.tool.by_helper(context, &loan)?,
        Way::Gateway => args.tool.by_gateway(context, &loan)?,
    };
    let now = context.auth.clock().now();
    let plan = plan_connection(context.auth.state(), &settings, &wanted, now)?;
    if !plan.conflicts.is_empty() && !args.replace && !args.print {
        return Err(taken(args, &plan));
    }
    let notes = warnings::of(context, args.tool, &loan, &wanted);
    let shown = words::Shown { tool: args.tool, loan: Some(&loan), path: &settings.path, notes: &notes };
    let is_done = plan.is_done() && has_key(context, &loan, &plan)?;
    if args.print || is_done {
        let outcome = if args.print { words::Outcome::Printed } else { words::Outcome::Nothing };
        return Ok(shown.report(context, &plan, outcome));
    }
    let command = format!("coderclaw connect {}", args.tool.id());
    if !may_write(context, args.yes, &command, || shown.before(&plan))? {
        return Ok(shown.report(context, &plan, words::Outcome::Declined));
    }
    let key = if loan.way == Way::Gateway { Some(key_of(context, &loan, &plan)?) } else { None };
    let stale = plan.gateway_key().filter(|old| key.as_deref() != Some(old)).map(str::to_owned);
    let told = shown.told(&plan);
    plan.commit(context.auth.state(), key.clone())?;
    // Only now: until then the program may still have come with it.
    forget(context.auth.state(), stale.as_deref())?;
    Ok(shown.done(context, told, key.as_deref(), !args.yes))
}

pub(super) fn disconnect(context: &Context, args: &DisconnectArgs) -> Result<Report, CommandError> {
    let settings = args.tool.settings(context.auth.env());
    let plan = plan_disconnection(context.auth.state(), &settings).map_err(|e| {
        let is_known = !matches!(e, ConnectError::NotConnected { .. });
        let error = CommandError::from(e);
        if is_known { error } else { error.hint(format!("coderclaw connect {}", args.tool.id())) }
    })?;
    let shown = words::Shown { tool: args.tool, loan: None, path: &settings.path, notes: &[] };
    if args.print {
        return Ok(shown.report(context, &plan, words::Outcome::Printed));
    }
    let command = format!("coderclaw disconnect {}", args.tool.id());
    if !may_write(context, args.yes, &command, || shown.before(&plan))? {
        return Ok(shown.report(context, &plan, words::Outcome::Declined));
    }
    let key = plan.gateway_key().map(str::to_owned);
    let told = shown.told(&plan);
    plan.commit(context.auth.state(), None)?;
    forget(context.auth.state(), key.as_deref())?;
    Ok(shown.done(context, told, key.as_deref(), !args.yes))
}

/// Asks the person, who has seen what `show` shows; without one, the flag has to say it.
fn may_write(
    context: &Context,
    yes: bool,
    command: &str,
    show: impl FnOnce() -> String,
) -> Result<bool, CommandError> {
    if yes {
        return Ok(true);
    }
    if !secret_input::has_terminal() || !std::io::stderr().is_terminal() || context.global.json {
        let message = "there is nobody to ask whether this may be written; --yes says so, --print shows it";
        return Err(CommandError::new(Code::InputRequired, message).hint(format!("{command} --yes")));
    }
    say(&show());
    let answer = secret_input::ask("Write this? [y/N]")?.unwrap_or_default();
    Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn taken(args: &ConnectArgs, plan: &ConnectionPlan) -> CommandError {
    let places: Vec<String> = plan.conflicts.iter().map(|one| words::place(&one.key)).collect();
    let message = format!(
        "{} has {} of its own already; --replace puts CoderClaw's there, and `disconnect` puts the old one back",
        args.tool.name(),
        places.join(" and ")
    );
    let hint = format!("coderclaw connect {} --print", args.tool.id());
    CommandError::new(Code::SettingTaken, message).hint(hint)
}

/// The name of the gateway key that a connected program comes with.
fn key_name(loan: &Loan) -> &'static str {
    loan.tool.id()
}

/// Whether the key that the program would come with is there, where it needs one.
fn has_key(context: &Context, loan: &Loan, plan: &ConnectionPlan) -> Result<bool, CommandError> {
    Ok(loan.way == Way::Helper || usable_key(context, loan, plan)?.is_some())
}

/// The id of the key that was made for this program, if it is still kept and may do what is wanted now.
fn usable_key(context: &Context, loan: &Loan, plan: &ConnectionPlan) -> Result<Option<String>, CommandError> {
    let state = context.auth.state();
    let keys = read_gateway_keys(state)?;
    let Some(key) = keys.iter().find(|key| plan.gateway_key() == Some(key.id.as_str())) else {
        return Ok(None);
    };
    let fits = key.name == key_name(loan)
        && !key.has_ended(context.auth.clock().now())
        && key.agent.as_ref() == Some(&loan.agent)
        && key.providers == [ProviderId::new(&loan.manifest.id)]
        && key.profile == loan.profile;
    let is_kept = fits && read_kept_gateway_key(state, key)?.is_some();
    Ok(is_kept.then(|| key.id.clone()))
}

/// The id of the key, which is made where there is none.
fn key_of(context: &Context, loan: &Loan, plan: &ConnectionPlan) -> Result<String, CommandError> {
    if let Some(id) = usable_key(context, loan, plan)? {
        return Ok(id);
    }
    let state = context.auth.state();
    // One name, one key: the program asks for it by that name.
    forget(state, plan.gateway_key())?;
    let wanted = GatewayKey {
        id: String::new(),
        name: key_name(loan).to_owned(),
        hash: TokenHash::from_bytes([0; 32]),
        agent: Some(loan.agent.clone()),
        providers: vec![ProviderId::new(&loan.manifest.id)],
        profile: loan.profile.clone(),
        created_at: Some(context.auth.clock().now()),
        expires_at: None,
    };
    let (made, key) = add_gateway_key(state, &wanted)?;
    keep_gateway_key(state, &made, &key)?;
    Ok(made.id)
}

/// Revokes the key, if it is still there.
fn forget(state: &coderclaw_store::StateDir, id: Option<&str>) -> Result<(), CommandError> {
    match id.map(|id| revoke_gateway_key(state, id)) {
        Some(Err(e)) if e.code() != Code::UnknownGatewayKey => Err(e.into()),
        _ => Ok(()),
    }
}

/// One setting.
fn setting(key: &[&str], value: serde_json::Value) -> ToolSetting {
    ToolSetting { key: key.iter().map(|key| (*key).to_owned()).collect(), value }
}

/// The command by which a connected program gets what it needs, as words; variables first.
fn helper_command(context: &Context, words: &[&str]) -> (Vec<String>, Vec<String>) {
    let auth: &Auth = &context.auth;
    let env = auth.env();
    let mut variables = Vec::new();
    let mut add = |name: &str, value: &std::path::Path| variables.push(format!("{name}={}", value.display()));
    if ["CODERCLAW_STATE_DIR", "CODERCLAW_PROFILE", "CODERCLAW_HOME"]
        .iter()
        .any(|name| env.get(name).is_some())
    {
        add("CODERCLAW_STATE_DIR", auth.state().root());
    }
    if env.get("CODERCLAW_CONFIG_PATH").is_some() {
        add("CODERCLAW_CONFIG_PATH", auth.state().config_path());
    }
    if let Some(dir) = env.get("CODERCLAW_AGENT_DIR") {
        add("CODERCLAW_AGENT_DIR", &env.resolve(dir));
    }
    let program = std::env::current_exe().unwrap_or_else(|_| "coderclaw".into());
    let mut command = vec![program.display().to_string()];
    command.extend(words.iter().map(|word| (*word).to_owned()));
    (variables, command)
}

impl From<ConnectError> for CommandError {
    fn from(error: ConnectError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

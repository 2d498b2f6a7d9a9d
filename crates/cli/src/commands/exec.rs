//! `exec`: this process becomes another program, with a lent token in its environment.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use coderclaw_auth::Lease;
use coderclaw_types::{Code, Millis, Secret};

use crate::args::ExecArgs;
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::{Report, say};
use crate::text;

/// Comes back only where the program could not be started: standard streams, signals and the exit status are its own.
pub(super) fn run(context: &Context, args: &ExecArgs) -> Result<Report, CommandError> {
    let (program, arguments) = args.command.split_first().ok_or_else(|| {
        CommandError::new(Code::Usage, "a program is wanted").hint("coderclaw exec --help".into())
    })?;
    let (manifest, lease) = context.lease(&args.loan)?;
    if lease.env.is_empty() && !lease.is_keyless() {
        let message =
            format!("{} names no variable for such a credential, so there is no way to lend it", manifest.id);
        let hint = format!("coderclaw models auth token --provider {} --format json", manifest.id);
        return Err(CommandError::new(Code::Usage, message).hint(hint));
    }
    if !context.global.quiet && !context.global.json {
        say(&told(context, &lease));
    }
    context.say_notes();
    let env = lease.env.iter().map(|(name, value)| (name.as_str(), value));
    // The name only: what stands behind it may be a secret. Before it, since nothing of us is left afterwards.
    let name = Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned();
    let via = format!("exec {}", text::clean(&name));
    let is_loan = !lease.is_keyless();
    if is_loan {
        context.auth.audit_lend(&lease, &via);
    }
    let error = start(program, arguments, manifest.credential_env(), env);
    if is_loan {
        context.auth.audit_not_lent(&lease, &via);
    }
    Err(error)
}

/// Becomes the program. Comes back only where it could not be started.
pub(super) fn start<'a>(
    program: &OsStr,
    arguments: &[OsString],
    unset: impl IntoIterator<Item = &'a str>,
    env: impl Iterator<Item = (&'a str, &'a Secret)>,
) -> CommandError {
    // Not from the captured environment: the program gets this process's own, to the byte, but for these variables.
    let mut command = Command::new(program);
    command.args(arguments);
    for name in unset {
        command.env_remove(name);
    }
    command.envs(env.map(|(name, value)| (name, value.expose())));
    let error = command.exec();
    let program = text::clean(&program.to_string_lossy());
    CommandError::new(Code::NotStarted, format!("{program} cannot be started: {error}"))
}

fn told(context: &Context, lease: &Lease) -> String {
    let names: Vec<&str> = lease.env.iter().map(|(name, _)| name.as_str()).collect();
    if lease.is_keyless() {
        return format!("{}: no credential needed", lease.provider);
    }
    told_of(&names, lease.whose(), lease.valid_until, context.auth.clock().now())
}

/// Which variables hold what, and until when.
pub(super) fn told_of(names: &[&str], whose: &str, valid_until: Option<Millis>, now: Millis) -> String {
    let names = names.join(", ");
    match valid_until {
        Some(until) => format!(
            "{names}: a token of {whose} that ends {} ({})",
            text::when(until, now),
            text::local(until)
        ),
        None => format!("{names}: a token of {whose}; no end is known"),
    }
}

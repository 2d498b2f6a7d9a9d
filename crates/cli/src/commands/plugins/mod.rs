//! `plugins`: manifests and plugins, looked at and changed. Works also where one of them keeps everything else from
//! opening.

mod check;
mod foreign;
mod install;
mod list;
mod new;
mod shown;
#[cfg(feature = "demo")]
mod trial;

use coderclaw_auth::{Auth, Runner};
use coderclaw_store::{PluginError, ReadError, WriteError};
use coderclaw_types::{Clock, Code, Env};

use crate::args::{Global, PluginsCommand};
use crate::commands::{Context, own_program};
use crate::error::CommandError;
use crate::report::Report;

pub(super) fn run(
    global: Global,
    env: Env,
    clock: Clock,
    command: PluginsCommand,
) -> Result<Report, CommandError> {
    let (auth, _) = Auth::open_despite(env, clock, Runner::Process(own_program()));
    auth.called_by(&global.command);
    let context = Context { auth, global };
    match command {
        PluginsCommand::Check { file, no_trial } => check::run(&context, file.as_deref(), !no_trial),
        PluginsCommand::List { enabled } => list::run(&context, enabled),
        PluginsCommand::Info { id } => list::info(&context, &id),
        PluginsCommand::Install { path, yes } => install::run(&context, &path, yes),
        PluginsCommand::Enable { id, yes } => install::enable(&context, &id, yes),
        PluginsCommand::Disable { id } => install::disable(&context, &id),
        PluginsCommand::Uninstall { id, keep_files, force, dry_run } => {
            let how = install::Removal { keep_files, force, dry_run };
            install::uninstall(&context, &id, &how)
        }
        PluginsCommand::New { name, from, print } => new::run(&context, &name, from.as_deref(), print),
    }
}

impl From<ReadError> for CommandError {
    fn from(error: ReadError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<PluginError> for CommandError {
    fn from(error: PluginError) -> Self {
        match error {
            PluginError::Unusable { .. } => Self::new(Code::ManifestInvalid, error.to_string()),
            PluginError::Write(e) => e.into(),
        }
    }
}

impl From<WriteError> for CommandError {
    fn from(error: WriteError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

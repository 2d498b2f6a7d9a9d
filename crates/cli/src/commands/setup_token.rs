//! `claude setup-token`, run here so that nobody has to copy what it prints.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use coderclaw_auth::{Cleaned, PasteKind, clean_token};
use coderclaw_providers::{Manifest, MethodKind};
use coderclaw_types::{Code, Env};

use crate::commands::Context;
use crate::error::CommandError;
use crate::pty::{self, End};
use crate::report::say;
use crate::secret_input;
use crate::text::{width, wrap};

/// The token that Claude Code has made just now. `None`, with a sentence, where one has to be pasted after all.
pub(super) fn from_claude(
    context: &Context,
    manifest: &Manifest,
    yes: bool,
) -> Result<Option<Cleaned>, CommandError> {
    if manifest.auth(MethodKind::SetupToken).is_none() {
        return Ok(None);
    }
    let words = |text: &str| say(&wrap(text, width()).join("\n"));
    let Some(claude) = claude(context.auth.env()) else {
        words("The command `claude setup-token` of Claude Code makes the token that is wanted here.");
        return Ok(None);
    };
    if !pty::is_possible() || !(yes || wants_it()?) {
        words("`claude setup-token`, in another window, makes the token that is wanted here.");
        return Ok(None);
    }
    let mut command = Command::new(claude);
    command.arg("setup-token");
    let shown = match pty::show(command) {
        Ok(shown) => shown,
        Err(e) => {
            words(&format!("`claude setup-token` cannot be run: {e}."));
            return Ok(None);
        }
    };
    match shown.end {
        End::Cancelled => {
            return Err(CommandError::new(Code::InputRequired, "cancelled; nothing was changed"));
        }
        End::Failed(how) => {
            words(&format!("`claude setup-token` ended with {how}, so no token was taken from it."));
            return Ok(None);
        }
        End::Done => {}
    }
    match clean_token(&shown.text, manifest, PasteKind::SetupToken, false) {
        Ok(cleaned) => {
            words(
                "The token was taken from what `claude setup-token` has shown. It is still on the screen: clear \
                 that where others can see it.",
            );
            Ok(Some(cleaned))
        }
        Err(e) => {
            let why = match e.code() {
                Code::InputRequired => "it showed nothing".to_owned(),
                _ => e.to_string(),
            };
            words(&format!("No token could be taken from what `claude setup-token` has shown: {why}."));
            Ok(None)
        }
    }
}

/// One question, whose usual answer is yes.
fn wants_it() -> Result<bool, CommandError> {
    let answer = secret_input::ask("Run `claude setup-token` here, and take the token from it? [Y/n]")?;
    let cancelled = || CommandError::new(Code::InputRequired, "cancelled; nothing was changed");
    let answer = answer.ok_or_else(cancelled)?.to_lowercase();
    Ok(matches!(answer.as_str(), "" | "y" | "yes"))
}

/// Where Claude Code is installed. A PATH that names the working folder is not followed there.
fn claude(env: &Env) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    let folders = std::env::split_paths(env.get("PATH")?).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join("claude")).find(is_program)
}

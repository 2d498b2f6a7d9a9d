//! Which provider is meant, where none was named.

use coderclaw_providers::{Manifest, MethodKind};
use coderclaw_types::Code;

use crate::commands::Context;
use crate::error::CommandError;
use crate::report::say;
use crate::secret_input::{self, Chosen};

/// What a person does in a browser or types in on another device. All else is pasted.
const LOGINS: [MethodKind; 4] =
    [MethodKind::OAuth, MethodKind::DeviceCode, MethodKind::OAuthKey, MethodKind::Plugin];

/// Asks for it. Without a terminal the ids are named instead.
pub(super) fn provider(context: &Context) -> Result<String, CommandError> {
    let mut offered: Vec<(&Manifest, bool)> = context
        .auth
        .registry()
        .iter()
        .filter_map(|manifest| {
            let mut methods = LOGINS.iter().filter_map(|kind| manifest.auth(*kind)).peekable();
            methods.peek()?;
            Some((manifest, methods.all(|method| method.untested)))
        })
        .collect();
    // What nobody has tried comes last.
    offered.sort_by_key(|(_, untested)| *untested);
    if !secret_input::has_terminal() {
        let ids: Vec<&str> = offered.iter().map(|(manifest, _)| &*manifest.id).collect();
        let message = format!("no provider was named; there are {}", ids.join(", "));
        let first = ids.first().unwrap_or(&"ID");
        return Err(
            CommandError::new(Code::InputRequired, message).hint(context.auth_command("login", first))
        );
    }
    say("Where do you want to log in?");
    let width = offered.iter().map(|(manifest, _)| manifest.id.len()).max().unwrap_or_default();
    for (i, (manifest, untested)) in offered.iter().enumerate() {
        let untested = if *untested { ", untested" } else { "" };
        say(&format!("{:>3}  {:width$}  {}{untested}", i + 1, manifest.id, manifest.name));
    }
    say("Tokens and API keys, such as Claude's: coderclaw models auth add");
    Ok(match secret_input::choose("Number or id:", offered.len())? {
        Chosen::Line(line) => offered[line].0.id.to_string(),
        Chosen::Word(id) => id,
    })
}

//! `plugins new`.

use coderclaw_providers::{Registry, check_id, template};
use coderclaw_types::{Code, ProviderId};
use serde_json::json;

use crate::commands::Context;
use crate::error::CommandError;
use crate::report::Report;
use crate::text::shell_word;

pub(super) fn run(
    context: &Context,
    name: &str,
    from: Option<&str>,
    print: bool,
) -> Result<Report, CommandError> {
    check_id(name).map_err(|what| {
        CommandError::new(Code::ManifestInvalid, format!("\"{name}\" is no id: {what}"))
            .hint("coderclaw plugins new --help".into())
    })?;
    let from = from.map(|from| context.provider(from)).transpose()?;
    let text = template(name, from);
    // What is not valid as it is was given a name that is taken.
    let folder = context.auth.state().provider_folder()?;
    let path = context.auth.state().providers().join(format!("{name}.toml"));
    if folder.files.iter().any(|(other, _)| *other == path) && !print {
        let message = format!("{} is there already; nothing was changed", path.display());
        let hint = format!("coderclaw plugins check {}", shell_word(&path.display().to_string()));
        return Err(CommandError::new(Code::PluginExists, message).hint(hint));
    }
    let known = context.auth.registry().get(&ProviderId::new(name));
    if let Some(known) = known.filter(|_| !print) {
        let message =
            format!("\"{name}\" is {} already; to change a provider, let a file extend it", known.name);
        let hint = format!("coderclaw plugins new my-{} --from {}", known.id, known.id);
        return Err(CommandError::new(Code::PluginExists, message).hint(hint));
    }
    let file = (path.clone(), text.clone());
    let beside = folder.files.into_iter().filter(|(other, _)| *other != path);
    Registry::with_files(beside.chain([file])).map_err(|e| {
        CommandError::new(Code::ManifestInvalid, e.to_string()).hint("coderclaw plugins new --help".into())
    })?;
    if print {
        return Ok(match context.global.json {
            true => Report::json(&json!({"id": name, "manifest": text})),
            false => Report::text(text),
        });
    }
    let path = context.auth.state().new_provider_file(name, &text)?;
    let shown = shell_word(&path.display().to_string());
    if context.global.json {
        return Ok(Report::json(&json!({"id": name, "path": path})));
    }
    if context.global.quiet {
        return Ok(Report::text(format!("{}\n", path.display())));
    }
    Ok(Report::text(format!(
        "Wrote {}\n\nIts addresses are made up. Put in the provider's own, then:\n\n  coderclaw plugins check {shown}\n  \
         coderclaw models auth login --provider {name}\n",
        path.display()
    )))
}

//! `completions SHELL`: a script that asks this program what can come next, so that it always fits its version.

use serde_json::json;

use crate::args::{CompletionsArgs, Global, Shell};
use crate::report::Report;

const BASH: &str = include_str!("../../completions/coderclaw.bash");
const ZSH: &str = include_str!("../../completions/coderclaw.zsh");
const FISH: &str = include_str!("../../completions/coderclaw.fish");
const POWERSHELL: &str = include_str!("../../completions/coderclaw.ps1");

pub(super) fn run(global: &Global, args: &CompletionsArgs) -> Report {
    let (shell, script) = match args.shell {
        Shell::Bash => ("bash", BASH),
        Shell::Zsh => ("zsh", ZSH),
        Shell::Fish => ("fish", FISH),
        Shell::Pwsh => ("powershell", POWERSHELL),
    };
    match global.json {
        true => Report::json(&json!({"shell": shell, "script": script})),
        false => Report::text(script),
    }
}

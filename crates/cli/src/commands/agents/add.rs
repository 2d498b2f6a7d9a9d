//! `agents add`.

use std::path::PathBuf;

use coderclaw_agents::{Added, Bound, Match, NewAgent, add_agent, new_agent_id};
use coderclaw_store::AgentPaths;
use coderclaw_types::Code;
use serde_json::{Value, json};

use super::updated;
use crate::args::AddAgentArgs;
use crate::commands::{Context, onboard};
use crate::error::CommandError;
use crate::report::Report;
use crate::secret_input::{ask, has_terminal};
use crate::text::{clean, shell_word};

pub(super) fn run(context: &Context, args: AddAgentArgs) -> Result<Report, CommandError> {
    let name = match args.name {
        Some(name) => name,
        None if args.non_interactive || !has_terminal() => {
            let message = "the new agent's name is missing; give it: agents add NAME";
            return Err(
                CommandError::new(Code::InputRequired, message).hint("coderclaw agents add --help".into())
            );
        }
        None => ask("The new agent's name:")?.unwrap_or_default(),
    };
    new_agent_id(&name)?;
    let env = context.auth.env();
    let folder = |flag: &str, text: Option<String>| -> Result<Option<PathBuf>, CommandError> {
        match text.as_deref().map(str::trim) {
            None => Ok(None),
            Some("") => Err(CommandError::new(Code::Usage, format!("{flag} wants a folder"))),
            Some(text) => Ok(Some(env.resolve(text))),
        }
    };
    // With any flag it is a script's, as in the original.
    let is_alone = args.workspace.is_none()
        && args.agent_dir.is_none()
        && args.model.is_none()
        && args.bind.is_empty()
        && !args.non_interactive;
    let new = NewAgent {
        workspace: folder("--workspace", args.workspace)?,
        agent_dir: folder("--agent-dir", args.agent_dir)?,
        model: args.model.map(|model| model.trim().to_owned()).filter(|model| !model.is_empty()),
        bindings: parse(&args.bind)?,
        name,
    };
    let added = add_agent(&context.auth, &new)?;
    if context.global.json {
        let mut json = json!({
            "agentId": added.paths.agent,
            "name": added.name,
            "workspace": added.workspace,
            "agentDir": added.paths.dir,
        });
        if let Some(model) = &added.model {
            json["model"] = json!(model);
        }
        json["bindings"] = bound_json(&added.bound);
        return Ok(Report::json(&json));
    }
    let text = words(context, &added);
    match is_alone.then(|| onboard::for_new_agent(context, &added.paths.agent)).flatten() {
        None => Ok(Report::text(text + &after_add(context, &added.paths))),
        // The agent is there, whatever becomes of its first login.
        Some(ended) => {
            let rest = ended.map_or_else(
                |e| {
                    e.say();
                    after_add(context, &added.paths)
                },
                Report::into_text,
            );
            Ok(Report::text(text + &rest))
        }
    }
}

fn words(context: &Context, added: &Added) -> String {
    let mut text = updated(context, &added.config);
    text.push_str(&format!("Agent: {}\n", added.paths.agent));
    text.push_str(&format!("Workspace: {}\n", added.workspace.display()));
    text.push_str(&format!("Agent dir: {}\n", added.paths.dir.display()));
    if let Some(model) = &added.model {
        text.push_str(&format!("Model: {}\n", clean(model)));
    }
    text + &bound_words(&added.bound)
}

/// What a person does next with a new agent.
fn after_add(context: &Context, agent: &AgentPaths) -> String {
    let id = &agent.agent;
    let default = context.auth.config().default_agent();
    format!(
        "It has no logins yet. Log in, or let it use those of {default}:\n  \
         coderclaw models auth login --provider openai-codex --agent {id}\n  \
         coderclaw agents link {id} --to {default}\n"
    )
}

/// The bindings that `--bind` names.
pub(super) fn parse(texts: &[String]) -> Result<Vec<Match>, CommandError> {
    let one = |text: &String| Match::from_text(text).map_err(|why| CommandError::new(Code::Usage, why));
    texts.iter().map(one).collect()
}

pub(super) fn bound_json(bound: &Bound) -> Value {
    let listed = |all: &[Match]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    let conflicts: Vec<_> =
        bound.conflicts.iter().map(|(one, agent)| format!("{one} (agent={agent})")).collect();
    json!({"added": listed(&bound.added), "skipped": listed(&bound.skipped), "conflicts": conflicts})
}

pub(super) fn bound_words(bound: &Bound) -> String {
    let mut text = String::new();
    for one in &bound.added {
        text.push_str(&format!("Answers: {}\n", clean(&one.to_string())));
    }
    for one in &bound.skipped {
        text.push_str(&format!("Answers already: {}\n", clean(&one.to_string())));
    }
    for (one, agent) in &bound.conflicts {
        text.push_str(&format!("Not bound, since agent {agent} answers it: {}\n", clean(&one.to_string())));
        let (channel, account) = (&one.channel, one.account.as_ref());
        let spec = account.map_or_else(|| channel.clone(), |account| format!("{channel}:{account}"));
        text.push_str(&format!("  coderclaw agents unbind {agent} --bind {}\n", shell_word(&spec)));
    }
    text
}

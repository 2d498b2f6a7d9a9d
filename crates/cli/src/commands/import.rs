//! `import`: the logins of OpenClaw, of other programs, and of an older version.

mod program;

use std::path::Path;

use coderclaw_auth::{
    FoundStore, ImportError, ImportReport, ImportVerdict, ImportedEntry, Program, find_stores,
};
use coderclaw_store::{AgentPaths, DatabaseError};
use coderclaw_types::{AgentId, Code};
use serde_json::{Value, json};

use crate::args::ImportCommand;
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::Report;
use crate::text::{self, clean, shell_word};

/// What one run did.
struct Done {
    reports: Vec<ImportReport>,
    /// Stores that have no agent here to go into.
    left: Vec<FoundStore>,
    /// Whose logins they were.
    program: &'static str,
}

pub(super) fn run(context: &Context, command: ImportCommand) -> Result<Report, CommandError> {
    let env = context.auth.env();
    let done = match command {
        ImportCommand::Codex(args) => return program::run(context, Program::Codex, &args),
        ImportCommand::Claude(args) => return program::run(context, Program::Claude, &args),
        ImportCommand::Openclaw { from, dry_run } => {
            let from = env.resolve(from.as_deref().unwrap_or("~/.openclaw"));
            openclaw(context, &from, dry_run)?
        }
        ImportCommand::OauthJson { from, dry_run } => {
            let agent = context.agent()?;
            let from = from.map(|path| env.resolve(&path));
            let report =
                context.auth.import_oauth_json(&agent, from.as_deref(), dry_run).map_err(in_words)?;
            Done { reports: vec![report], left: vec![], program: "The program that wrote it" }
        }
    };
    Ok(report(context, &done))
}

fn report(context: &Context, done: &Done) -> Report {
    if context.global.json { Report::json(&json(context, done)) } else { Report::text(words(context, done)) }
}

fn openclaw(context: &Context, from: &Path, dry_run: bool) -> Result<Done, CommandError> {
    let found = find_stores(from).map_err(in_words)?;
    let (pairs, left) = pairs(context, found)?;
    // All are looked at before the first is written: a wrong call or a damaged file changes nothing.
    for (agent, store) in &pairs {
        context.auth.import_store(agent, &store.path, true).map_err(in_words)?;
    }
    let mut reports = Vec::new();
    for (agent, store) in &pairs {
        reports.push(context.auth.import_store(agent, &store.path, dry_run).map_err(in_words)?);
    }
    Ok(Done { reports, left, program: "OpenClaw" })
}

type Pairs = Vec<(AgentPaths, FoundStore)>;

/// Which store goes into which agent: into the one of the same name, a single one where `--agent` says.
fn pairs(context: &Context, mut stores: Vec<FoundStore>) -> Result<(Pairs, Vec<FoundStore>), CommandError> {
    let named =
        |store: &FoundStore, id: &AgentId| store.agent.as_deref().map(AgentId::new).as_ref() == Some(id);
    if context.agent_hint().is_some() || (stores.len() == 1 && stores[0].agent.is_none()) {
        let agent = context.agent()?;
        let at = match stores.len() {
            1 => Some(0),
            _ => stores.iter().position(|store| named(store, &agent.agent)),
        };
        if let Some(at) = at {
            let store = stores.remove(at);
            return Ok((vec![(agent, store)], stores));
        }
        let message =
            format!("there are {} stores, and none is of an agent {}; name one", stores.len(), agent.agent);
        return Err(CommandError::new(Code::Usage, message).hint(command_for(context, &stores[0])));
    }
    let mut pairs = Vec::new();
    let mut left = Vec::new();
    for store in stores {
        match store.agent.as_deref().map(|name| context.auth.agent(Some(name))) {
            Some(Ok(agent)) => pairs.push((agent, store)),
            _ => left.push(store),
        }
    }
    match left.first() {
        Some(first) if pairs.is_empty() => {
            let names: Vec<_> = left.iter().filter_map(|store| store.agent.as_deref()).collect();
            let message = format!("no agent here is called {}", clean(&names.join(" or ")));
            Err(CommandError::new(Code::UnknownAgent, message).hint(command_for(context, first)))
        }
        _ => Ok((pairs, left)),
    }
}

fn command_for(context: &Context, store: &FoundStore) -> String {
    let agent = context.agent().map_or_else(|_| AgentId::main(), |agent| agent.agent);
    format!("coderclaw import openclaw {} --agent {agent}", shell_word(&store.path.display().to_string()))
}

fn in_words(error: ImportError) -> CommandError {
    let code = error.code();
    let out = CommandError::new(code, error.to_string());
    match error {
        // The words say what to do first.
        ImportError::Database(DatabaseError::InUse { path, .. } | DatabaseError::Changed(path)) => {
            out.hint(format!("coderclaw import openclaw {}", shell_word(&path.display().to_string())))
        }
        ImportError::Database(_) => out.hint("coderclaw models auth login --provider openai-codex".into()),
        ImportError::NoFile(_)
        | ImportError::NoStore(_)
        | ImportError::Damaged { .. }
        | ImportError::OwnStore(_)
        | ImportError::NoLoginsIn(_) => out.hint("coderclaw import openclaw --help".into()),
        ImportError::OwnProgramOnly { program, .. }
        | ImportError::NoFileOf { program, .. }
        | ImportError::NoLogin { program, .. } => out.hint(program::fresh_login(program)),
        ImportError::Edit(_) => out,
    }
}

/// Providers whose logins two programs hold now.
fn shared(done: &Done) -> Vec<String> {
    let taken = done.reports.iter().flat_map(ImportReport::taken).filter(|entry| entry.renews_itself);
    let mut all: Vec<String> = taken.filter_map(|entry| Some(entry.provider.as_ref()?.to_string())).collect();
    all.sort();
    all.dedup();
    all
}

fn json(context: &Context, done: &Done) -> Value {
    let entry = |entry: &ImportedEntry| {
        json!({
            "profileId": entry.profile,
            "type": entry.kind,
            "provider": entry.provider,
            "verdict": entry.verdict,
            "detail": entry.detail,
        })
    };
    let report = |report: &ImportReport| {
        json!({
            "agentId": report.agent,
            "from": report.from,
            "imported": report.taken().count(),
            "entries": report.entries.iter().map(entry).collect::<Vec<_>>(),
        })
    };
    let left = |store: &FoundStore| json!({"agentId": store.agent, "from": store.path, "command": command_for(context, store)});
    json!({
        "dryRun": done.reports.iter().any(|report| report.dry_run),
        "stores": done.reports.iter().map(report).collect::<Vec<_>>(),
        "notImported": done.left.iter().map(left).collect::<Vec<_>>(),
        "sharedLogins": shared(done),
    })
}

fn words(context: &Context, done: &Done) -> String {
    let mut out = String::new();
    for report in &done.reports {
        out.push_str(&format!("From {}\nInto agent {}\n", report.from.display(), report.agent));
        for entry in &report.entries {
            out.push_str(&line(entry, report.dry_run));
        }
        let verb = if report.dry_run { "Would import" } else { "Imported" };
        let (taken, all) = (report.taken().count(), report.entries.len());
        out.push_str(&format!("{verb} {taken} of {all}. The source was not changed.\n"));
        for entry in report.entries.iter().filter(|entry| entry.verdict == ImportVerdict::IdTaken) {
            let id = shell_word(&clean(entry.profile.as_str()));
            out.push_str(&format!("To import it too, first: coderclaw models auth rename {id} NEW\n"));
        }
        out.push('\n');
    }
    for store in &done.left {
        let name = clean(store.agent.as_deref().unwrap_or("?"));
        out.push_str(&format!("No agent here is called {name}. To import its logins elsewhere:\n"));
        out.push_str(&format!("  {}\n", command_for(context, store)));
    }
    for provider in shared(done) {
        if !out.ends_with("\n\n") {
            out.push('\n');
        }
        let risk = format!(
            "{} holds the same {provider} login. A refresh token works once, so whichever refreshes first logs the \
             other out. A login of its own is safer:",
            done.program
        );
        out.push_str(&(text::wrap(&risk, text::width()).join("\n") + "\n"));
        out.push_str(&format!("  {}\n", context.auth_command("login", &provider)));
    }
    out.trim_end().to_owned() + "\n"
}

fn line(entry: &ImportedEntry, dry_run: bool) -> String {
    let (mark, what) = match entry.verdict {
        ImportVerdict::New if dry_run => ('+', "would be imported"),
        ImportVerdict::New => ('+', "imported"),
        ImportVerdict::Newer if dry_run => ('+', "would replace the older one here"),
        ImportVerdict::Newer => ('+', "replaced the older one here"),
        ImportVerdict::Same => ('=', "is here already"),
        ImportVerdict::Older => ('-', "older than what is here; left out"),
        ImportVerdict::Kept => ('-', "newer than the one here; left out"),
        ImportVerdict::IdTaken => ('!', "this id holds another credential here; left out"),
        ImportVerdict::LoggedOut => ('-', "left out"),
        ImportVerdict::NotShared => ('-', "renews itself; left out, since --share was not given"),
        ImportVerdict::Damaged => ('!', "cannot be imported"),
    };
    let mut out = format!("  {mark} {}\n", clean(entry.profile.as_str()));
    let detail = entry.detail.as_ref().map(|detail| format!(": {}", clean(detail))).unwrap_or_default();
    for wrapped in text::wrap(&format!("{what}{detail}"), text::width().saturating_sub(6)) {
        out.push_str(&format!("      {wrapped}\n"));
    }
    out
}

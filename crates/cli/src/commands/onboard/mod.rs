//! `onboard` and `configure`: from an empty state dir to a login that works, step by step or by flags.

mod apply;
mod choices;
mod prompt;
mod reset;
mod script;
mod wizard;

use coderclaw_agents::workspace;
use coderclaw_types::{AgentId, Clock, Code, Env};
use serde_json::json;

use self::apply::Kept;
use self::prompt::{Answer, Prompts};
use crate::args::{ConfigureArgs, Global, Mode, OnboardArgs};
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::{Report, say};
use crate::text::clean;

/// The port of the original's gateway, where the config names none.
const PORT: u16 = 18_789;

/// What `--auth-choice` takes, each with what it is.
pub(super) fn auth_choices() -> impl Iterator<Item = (&'static str, String)> {
    choices::CHOICES.iter().map(|one| (one.name, format!("{}: {}", one.group, one.label)))
}

pub(super) fn run(
    global: Global,
    args: &OnboardArgs,
    env: Env,
    clock: Clock,
) -> Result<Report, CommandError> {
    if args.non_interactive {
        script::check(args)?;
    } else if !prompt::is_possible() {
        let message = "there is no terminal for questions; say what is wanted with --non-interactive, --accept-risk and \
                       --auth-choice";
        let next = "coderclaw onboard --non-interactive --accept-risk --auth-choice openai-api-key --stdin";
        return Err(CommandError::new(Code::InputRequired, message).hint(next.into()));
    }
    if args.mode == Some(Mode::Remote) {
        let message = "--mode remote: this program sets up logins on this machine only";
        return Err(CommandError::new(Code::Usage, message).hint("coderclaw onboard --help".into()));
    }
    let mut notes = Vec::new();
    if args.reset {
        confirm_reset(&global, args, &env, &clock)?;
        for path in reset::run(&env, &clock)? {
            notes.push(format!("moved to {}", path.display()));
        }
    }
    let context = Context::open(global, env, clock)?;
    if args.non_interactive {
        return script::run(context, args, notes);
    }
    wizard::run(context, args, notes)
}

pub(super) fn configure(context: Context, args: &ConfigureArgs) -> Result<Report, CommandError> {
    const OTHERS: [&str; 7] = ["workspace", "web", "gateway", "daemon", "channels", "skills", "health"];
    for section in &args.section {
        let message = match section.as_str() {
            "model" => continue,
            other if OTHERS.contains(&other) => {
                format!("{other} is not set up by this program; there is: model")
            }
            other => format!("\"{other}\" is no section; there is: model"),
        };
        return Err(
            CommandError::new(Code::Usage, message).hint("coderclaw configure --section model".into())
        );
    }
    if !prompt::is_possible() {
        let message = "there is no terminal for questions; say what is wanted by flags";
        let next = "coderclaw onboard --non-interactive --accept-risk --auth-choice openai-api-key --stdin";
        return Err(CommandError::new(Code::InputRequired, message).hint(next.into()));
    }
    wizard::run(context, &OnboardArgs::default(), Vec::new())
}

/// The wizard for an agent that was made just now. `None` where nobody is there who could answer.
pub(super) fn for_new_agent(context: &Context, agent: &AgentId) -> Option<Result<Report, CommandError>> {
    if !prompt::is_possible() || context.global.json || context.global.quiet {
        return None;
    }
    let global = Global { agent: Some(agent.to_string()), ..context.global.clone() };
    // Opened anew: the config knows the agent only now.
    let context = Context::open(global, context.auth.env().clone(), context.auth.clock().clone());
    Some(context.and_then(|context| wizard::run(context, &OnboardArgs::default(), Vec::new())))
}

fn confirm_reset(global: &Global, args: &OnboardArgs, env: &Env, clock: &Clock) -> Result<(), CommandError> {
    if args.yes {
        return Ok(());
    }
    if args.non_interactive {
        let message = "--reset moves the config, all credentials, sessions and stores to the trash; say that you mean it \
                       with --yes";
        let next = "coderclaw onboard --reset --yes --non-interactive --accept-risk --auth-choice skip";
        return Err(CommandError::new(Code::InputRequired, message).hint(next.into()));
    }
    let (auth, _) = coderclaw_auth::Auth::open_despite(
        env.clone(),
        clock.clone(),
        coderclaw_auth::Runner::Process(super::own_program()),
    );
    let prompts = Prompts::start(&Context { auth, global: global.clone() })?;
    let items = ["No, leave everything".to_owned(), "Yes, move all of it to the trash".to_owned()];
    match prompts.choose("Start anew, without logins, config and sessions?", &items, 0)? {
        Answer::Chosen(1) => Ok(()),
        _ => Err(cancelled()),
    }
}

fn cancelled() -> CommandError {
    CommandError::new(Code::InputRequired, "cancelled; nothing was changed").hint("coderclaw onboard".into())
}

/// What was done.
struct Done {
    choice: String,
    kept: Option<Kept>,
    /// The agent whose logins are used too.
    linked_to: Option<AgentId>,
    /// What else there is to know.
    notes: Vec<String>,
}

/// The end, for people and for scripts. `context` has read the config as it is now.
fn report(context: &Context, args: &OnboardArgs, done: &Done) -> Result<Report, CommandError> {
    let auth = &context.auth;
    let agent = context.agent()?;
    let own_model = auth.config().agent_entry(&agent.agent).and_then(|entry| entry.model.primary);
    let model = own_model.or(auth.config().default_model().0);
    if context.global.json {
        return Ok(Report::json(&json!({
            "mode": "local",
            "workspace": workspace(auth, &agent.agent),
            "authChoice": done.choice,
            "gateway": {
                "port": auth.config().gateway_port().unwrap_or(PORT),
                "bind": "loopback",
                "authMode": "token",
                "tailscaleMode": "off",
            },
            "installDaemon": false,
            "skipSkills": args.unused.skip_skills,
            "skipHealth": args.unused.skip_health,
            "agentId": agent.agent,
            "authStorePath": agent.store(),
            "profileId": done.kept.as_ref().map(|kept| &kept.profile),
            "provider": done.kept.as_ref().map(|kept| &kept.provider),
            "linkedTo": done.linked_to,
            "defaultModel": model,
            "hiddenByOrder": done.kept.as_ref().is_some_and(|kept| kept.hidden),
            "notes": done.notes,
        })));
    }
    if context.global.quiet {
        let id = done.kept.as_ref().map(|kept| format!("{}\n", kept.profile));
        return Ok(Report::text(id.unwrap_or_default()));
    }
    let mut text = format!("Agent:  {}\n", agent.agent);
    match (&done.kept, &done.linked_to) {
        (Some(kept), _) => {
            text.push_str(&format!("Login:  {} ({})\n", clean(kept.profile.as_str()), kept.mode));
            text.push_str(&format!("Store:  {}\n", agent.store().display()));
        }
        (None, Some(target)) => text.push_str(&format!("Login:  those of {target}; nothing was copied\n")),
        (None, None) => text.push_str("Login:  none was set up\n"),
    }
    text.push_str(&format!("Model:  {}\n", model.map_or_else(|| "none is chosen".to_owned(), clean)));
    for note in &done.notes {
        for line in crate::text::wrap(&clean(note), crate::text::width()) {
            text.push_str(&format!("{line}\n"));
        }
    }
    let suffix = context.agent_flag();
    text.push_str("\nNext:\n");
    match done.kept.is_some() || done.linked_to.is_some() {
        true => text.push_str(&format!("  coderclaw models status{suffix}\n  coderclaw chat{suffix}\n")),
        false => text.push_str(&format!("  coderclaw onboard{suffix}\n")),
    }
    Ok(Report::text(text))
}

/// A note for whoever reads along; the JSON has it as well.
fn note(context: &Context, notes: &mut Vec<String>, text: String) {
    if context.global.json && !context.global.quiet {
        say(&format!("note: {text}"));
    }
    notes.push(text);
}

//! `chat`: a conversation at a terminal.

mod editor;
mod screen;

use coderclaw_agents::{Answered, Chat, ChatError, InUse, Told, Turn, TurnError, TurnEvent, TurnRequest};
use coderclaw_store::AgentPaths;
use coderclaw_types::{Code, ProfileId};

use crate::args::{ChatArgs, WithArgs};
use crate::commands::Context;
use crate::error::{CommandError, login_command};
use crate::report::{Report, say};
use crate::secret_input::has_terminal;
use crate::text::{self, clean};

use editor::{Editor, Typed};
pub(super) use screen::Screen;

/// What became of a message.
pub(super) enum Sent {
    Answered(Box<Answered>),
    /// The person stopped it.
    Stopped,
}

pub(super) fn run(context: &Context, args: &ChatArgs) -> Result<Report, CommandError> {
    if !has_terminal() {
        let message = "a chat wants a terminal; without one, give the message with --message or --stdin";
        return Err(CommandError::new(Code::InputRequired, message).hint("coderclaw agent --stdin".into()));
    }
    let agent = context.agent()?;
    let chat = Chat::open(&context.auth, &agent, &args.session)?;
    let with = With::read(&chat, &args.with)?;
    let conversation = chat.sessions().conversation(chat.key())?;
    let mut editor = Editor::new(&conversation)?;
    let mut screen = Screen::new(context);
    say(&greeting(&chat, conversation.said.len()));
    if conversation.damaged > 0 {
        say(&format!("{} damaged lines of the transcript are passed over.", conversation.damaged));
    }
    loop {
        let typed = editor.read(&prompt(&chat, &with), &chat)?;
        let text = match typed {
            Typed::Line(text) if text.trim().is_empty() => continue,
            Typed::Line(text) => text,
            Typed::Interrupted => {
                say("/quit or Ctrl-D leaves.");
                continue;
            }
            Typed::End => break,
        };
        match turn(context, &agent, &chat, &with, &text, &mut screen) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => error.say(),
        }
    }
    Ok(Report::default())
}

/// One line that was typed. `false` ends the chat.
fn turn(
    context: &Context,
    agent: &AgentPaths,
    chat: &Chat,
    with: &With,
    text: &str,
    screen: &mut Screen,
) -> Result<bool, CommandError> {
    let told = match chat.read(text)? {
        Some(slash) => chat.command(slash)?,
        None => Told { send: Some(text.to_owned()), ..Told::default() },
    };
    if !told.text.is_empty() {
        let lines = told.text.lines().flat_map(|line| text::wrap(&clean(line), text::width()));
        say(&lines.collect::<Vec<_>>().join("\n"));
    }
    if let Some(message) = told.send
        && let Sent::Stopped = send(context, agent, chat, with, message, screen)?
    {
        say("Stopped.");
    }
    Ok(!told.quit)
}

/// Lines from files and from what was typed, fit for a terminal.
pub(super) fn cleaned(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}

/// What was asked for on the command line, for the turns of this run.
#[derive(Debug, Default)]
pub(super) struct With {
    profile: Option<ProfileId>,
    model: Option<coderclaw_agents::ModelRef>,
}

impl With {
    pub(super) fn read(chat: &Chat, args: &WithArgs) -> Result<Self, CommandError> {
        let model = args.model.as_deref().map(|name| chat.names().choose(name)).transpose();
        Ok(Self {
            profile: args.auth_profile.as_deref().map(ProfileId::stored),
            model: model.map_err(ChatError::from)?,
        })
    }
}

/// Sends a message and shows the answer as it comes. Ctrl-C stops the answer, not the program.
pub(super) fn send(
    context: &Context,
    agent: &AgentPaths,
    chat: &Chat,
    with: &With,
    text: String,
    screen: &mut Screen,
) -> Result<Sent, CommandError> {
    if with.profile.is_none() {
        chat.check_pin()?;
    }
    let models = match &with.model {
        Some(model) => vec![model.clone()],
        None => chat.models()?,
    };
    let provider = models.first().map(|model| model.provider.clone());
    let request = TurnRequest {
        key: chat.key().to_owned(),
        text,
        models,
        profile: with.profile.clone(),
        system: None,
        workspace: context.auth.env().resolve(".").display().to_string(),
    };
    let mut turn =
        Turn::new(&context.auth, agent, request).map_err(|e| about(context, e, provider.as_ref()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| CommandError::new(Code::Internal, format!("the network cannot be used: {e}")))?;
    let result = runtime.block_on(async {
        let mut tell = |event: TurnEvent<'_>| screen.tell(&event);
        tokio::select! {
            result = turn.run(&mut tell) => Some(result),
            _ = tokio::signal::ctrl_c() => None,
        }
    });
    // A refresh that was waited for goes on in a process of its own.
    runtime.shutdown_background();
    let failed = |e| about(context, e, provider.as_ref());
    match result {
        Some(Ok(answered)) => {
            screen.answered(&answered);
            Ok(Sent::Answered(Box::new(answered)))
        }
        Some(Err(error)) => {
            screen.broke_off();
            Err(failed(error))
        }
        None => {
            screen.broke_off();
            turn.abort().map_err(failed)?;
            Ok(Sent::Stopped)
        }
    }
}

fn about(
    context: &Context,
    error: TurnError,
    provider: Option<&coderclaw_types::ProviderId>,
) -> CommandError {
    let until = error.until();
    let profile = error.profile().map(ToString::to_string);
    let mut message = error.to_string();
    if let Some(until) = until {
        let now = context.auth.clock().now();
        message.push_str(&format!(" (until {}, {})", text::local(until), text::when(until, now)));
    }
    let mut out = CommandError::new(error.code(), message).until(until);
    if let Some(manifest) = provider.and_then(|provider| context.auth.registry().get(provider)) {
        out = out.about(&manifest.id, context.agent_hint()).login(login_command(manifest));
    }
    match profile {
        Some(profile) => out.profile(profile),
        None => out,
    }
}

fn greeting(chat: &Chat, said: usize) -> String {
    let key = clean(chat.key());
    match said {
        0 => format!("{key}: a new session. /help lists the commands, Ctrl-D leaves."),
        said => format!("{key}: {said} messages so far. /help lists the commands, /new begins another."),
    }
}

/// The model and the account that the next message goes to.
fn prompt(chat: &Chat, with: &With) -> String {
    let Ok(InUse { model, explanation }) = chat.in_use() else { return "no model › ".into() };
    let model = with.model.clone().unwrap_or(model);
    let winner = explanation.winner.as_ref();
    let account = match (&with.profile, winner.and_then(|winner| winner.profile_id.as_ref())) {
        (Some(profile), _) | (None, Some(profile)) => short(profile.as_str(), model.provider.as_str()),
        (None, None) => winner.map_or_else(|| "no login".to_owned(), |winner| winner.source.clone()),
    };
    format!("{} · {} › ", clean(&model.model), clean(&account))
}

/// A profile's name without its provider, which stands before it anyway.
fn short(profile: &str, provider: &str) -> String {
    let name = profile.strip_prefix(provider).and_then(|rest| rest.strip_prefix(':'));
    name.unwrap_or(profile).to_owned()
}

impl From<ChatError> for CommandError {
    fn from(error: ChatError) -> Self {
        let code = error.code();
        let said = Self::new(code, error.to_string());
        match error {
            ChatError::Session(error) => error.into(),
            ChatError::VanishedPin { .. } => said.hint("coderclaw sessions list".into()),
            ChatError::NoModel => said.hint("coderclaw onboard".into()),
            _ => said,
        }
    }
}

//! `models auth login`: with a browser on this machine or any other, in one run or in two.

mod choose;
mod plugin;
mod qr;
mod remote;
mod screen;

use std::io::{BufRead, IsTerminal, Read};

use coderclaw_auth::{Door, LoggedIn, LoginError, LoginRequest};
use coderclaw_providers::{Manifest, MethodKind};
use coderclaw_store::AgentPaths;
use coderclaw_types::{AgentId, Code, ProfileId, Secret};
use serde_json::json;

use self::screen::Screen;
use crate::args::{LoginArgs, LoginStep, LoginWish};
use crate::commands::Context;
use crate::error::{CommandError, REGISTERED, login_command};
use crate::report::{Report, say};
use crate::text::{clean, local, shell_word};

/// More than an address bar holds. What is longer is refused, not cut.
const INPUT_LIMIT: u64 = 64 * 1024;

pub(super) fn run(context: &Context, args: LoginArgs) -> Result<Report, CommandError> {
    match args.step {
        Some(LoginStep::Start { provider, wish }) => start(context, &provider, wish),
        Some(LoginStep::Finish { id, stdin }) => finish(context, &id, stdin),
        None => {
            let provider = args.provider.map_or_else(|| choose::provider(context), Ok)?;
            let shown =
                Shown { no_browser: args.no_browser, qr: args.qr, url_file: args.url_file.as_deref() };
            let done = in_browser(context, &provider, args.wish, &shown)?;
            Ok(report(context, &context.agent()?, &done))
        }
    }
}

/// Opens a page in a browser, where there is one that the person sees. A browser is never waited for.
pub(super) fn show_in_browser(context: &Context, url: &str) -> bool {
    let is_seen = screen::opens(context.auth.env());
    if is_seen {
        screen::open(url.to_owned());
    }
    is_seen
}

/// How the address is shown.
#[derive(Default)]
pub(super) struct Shown<'a> {
    pub(super) no_browser: bool,
    pub(super) qr: bool,
    pub(super) url_file: Option<&'a str>,
}

/// Logs in and waits for it.
pub(super) fn in_browser(
    context: &Context,
    provider: &str,
    wish: LoginWish,
    shown: &Shown<'_>,
) -> Result<LoggedIn, CommandError> {
    let (manifest, door) = self::provider(context, provider, &wish)?;
    let agent = context.agent()?;
    let request = request(wish, door)?;
    let mut screen = Screen::new(context, shown.no_browser, shown.qr, shown.url_file);
    if manifest.auth(MethodKind::Plugin).is_some() {
        let mut screen = plugin::PluginScreen(screen);
        return context
            .auth
            .plugin_login(&agent, manifest, &request, &mut screen)
            .map_err(context.about(manifest));
    }
    context.auth.login(&agent, manifest, &request, &mut screen).map_err(about(context, manifest, door))
}

/// A login that failed is tried again in the same way, whatever else the provider takes.
fn about(context: &Context, manifest: &Manifest, door: Door) -> impl Fn(LoginError) -> CommandError {
    let about = context.about(manifest);
    let other = context.auth_command(login_command(manifest), &manifest.id);
    move |error| match error {
        // This one is never of use there, so another is.
        LoginError::NoMethod { .. } => about(error).hint(other.clone()),
        _ => about(error).login(if door == Door::Registered { REGISTERED } else { "login" }),
    }
}

/// Logs in, waits for it, and says what came of it.
pub(super) fn and_report(context: &Context, provider: &str, wish: LoginWish) -> Result<Report, CommandError> {
    let done = in_browser(context, provider, wish, &Shown::default())?;
    Ok(report(context, &context.agent()?, &done))
}

fn request(wish: LoginWish, door: Door) -> Result<LoginRequest, CommandError> {
    let profile_id = wish.profile_id.as_deref().map(ProfileId::new).transpose();
    Ok(LoginRequest {
        door,
        profile_id: profile_id.map_err(|e| CommandError::new(Code::Usage, e.to_string()))?,
        replace: wish.replace,
        expect: wish.expect,
        workspace: wish.workspace,
        no_listener: false,
    })
}

fn start(context: &Context, provider: &str, wish: LoginWish) -> Result<Report, CommandError> {
    let (manifest, door) = self::provider(context, provider, &wish)?;
    let agent = context.agent()?;
    let started = context.auth.start_login(&agent, manifest, &request(wish, door)?);
    let started = started.map_err(about(context, manifest, door))?;
    if context.global.json {
        return Ok(Report::json(&json!({
            "id": started.id,
            "url": started.url,
            "userCode": started.user_code,
            "expiresAt": started.expires,
            "redirectUri": started.redirect_uri,
        })));
    }
    if let Some(code) = &started.user_code {
        return Ok(Report::text(format!(
            "Open this page on any device:\n\n{}\n\nType in {}, and then, until {}, run this command, which waits for it:\n\n\
             coderclaw models auth login finish {}\n",
            started.url,
            clean(code),
            local(started.expires),
            started.id
        )));
    }
    Ok(Report::text(format!(
        "Open this page in a browser:\n\n{}\n\nThen give the address where the browser ends to this command, until {}:\n\n\
         coderclaw models auth login finish {}\n",
        started.url,
        local(started.expires),
        started.id
    )))
}

fn finish(context: &Context, id: &str, to_the_end: bool) -> Result<Report, CommandError> {
    let pending = context.auth.pending_login(id).map_err(|error| {
        // Nobody knows any more which provider it was for.
        let nobody_knows = matches!(error, LoginError::UnknownLogin | LoginError::Expired);
        let error = CommandError::from(error);
        if nobody_knows { error.hint("coderclaw models auth login start --help".into()) } else { error }
    })?;
    let about = |error: LoginError| {
        let again = matches!(error, LoginError::NotTheAnswer(_) | LoginError::InputRequired(_));
        let error = CommandError::from(error).about(pending.provider.as_str(), Some(pending.agent.as_str()));
        let error = error.login(if pending.registers { REGISTERED } else { "login" });
        // The login still waits.
        if again { error.hint(format!("coderclaw models auth login finish {id}")) } else { error }
    };
    if let Some(agent) = context.agent_hint()
        && AgentId::new(agent) != pending.agent
    {
        let message = format!("this login was begun for agent {}", pending.agent);
        return Err(CommandError::new(Code::Usage, message));
    }
    // A code is typed in elsewhere, and nothing here.
    let pasted = if pending.device.is_some() { Secret::from("") } else { answer(to_the_end) };
    let (agent, done) = context.auth.finish_login(id, &pasted).map_err(about)?;
    Ok(report(context, &agent, &done))
}

/// The first line that a person types, or all that a program sends. What cannot be read counts as nothing.
fn answer(to_the_end: bool) -> Secret {
    let stdin = std::io::stdin().lock();
    let is_typed = stdin.is_terminal() && !to_the_end;
    let mut stdin = stdin.take(INPUT_LIMIT);
    let mut bytes = Vec::new();
    let read = if is_typed {
        say("Paste the address where the browser ended:");
        stdin.read_until(b'\n', &mut bytes)
    } else {
        stdin.read_to_end(&mut bytes)
    };
    drop(read);
    Secret::from(String::from_utf8_lossy(&bytes).into_owned())
}

fn report(context: &Context, agent: &AgentPaths, done: &LoggedIn) -> Report {
    let identity = &done.identity;
    if context.global.json {
        let also: Vec<_> =
            done.also_in.iter().map(|(agent, id)| json!({"agentId": agent, "profileId": id})).collect();
        return Report::json(&json!({
            "provider": done.provider,
            "profileId": done.profile,
            "agentId": agent.agent,
            "authStorePath": agent.store(),
            "email": identity.email,
            "subject": identity.subject,
            "accountId": identity.account,
            "plan": identity.plan,
            "replaced": done.replaced,
            "hiddenByOrder": done.hidden_by_order,
            "missingScope": done.missing_scope,
            "alsoIn": also,
            "stillSetAside": done.still_set_aside,
        }));
    }
    if context.global.quiet {
        return Report::text(format!("{}\n", done.profile));
    }
    let what = if done.replaced { "Renewed" } else { "Stored" };
    let mut text = format!("{what} {} in {}\n", clean(done.profile.as_str()), agent.store().display());
    let person = identity.email.as_deref().or(identity.subject.as_deref());
    for (name, value) in
        [("Person", person), ("Workspace", identity.account.as_deref()), ("Plan", identity.plan.as_deref())]
    {
        if let Some(value) = value {
            text.push_str(&format!("{name}: {}\n", clean(value)));
        }
    }
    if let Some(scope) = &done.missing_scope {
        text.push_str(&format!(
            "You did not allow the use of your plan ({}), so the login is kept and not used. To allow it:\n  \
             coderclaw models auth {REGISTERED} --provider {}\n",
            clean(scope),
            done.provider
        ));
    }
    if done.hidden_by_order {
        let id = shell_word(done.profile.as_str());
        text.push_str(&format!(
            "An order hides it. To use it: coderclaw models auth order set --provider {} {id}\n",
            done.provider
        ));
    }
    for (agent, id) in &done.also_in {
        text.push_str(&format!(
            "Agent {agent} has a login of the same person, {}. It is another one and goes on by itself.\n",
            clean(id.as_str())
        ));
    }
    if let Some(why) = &done.still_set_aside {
        text.push_str(&format!("The login is stored, but the profile may still be set aside: {why}\n"));
    }
    Report::text(text)
}

/// The provider, and by which door. `openai` with `oauth` means the ChatGPT login, which is a provider of its own.
fn provider<'a>(
    context: &'a Context,
    name: &str,
    wish: &LoginWish,
) -> Result<(&'a Manifest, Door), CommandError> {
    let manifest = context.provider(name)?;
    if manifest.auth(MethodKind::Plugin).is_some() && matches!(wish.method.as_deref(), None | Some("plugin"))
    {
        return Ok((manifest, Door::Any));
    }
    let (kinds, door): (&[MethodKind], Door) = match wish.method.as_deref() {
        Some("device-code") => (&[MethodKind::DeviceCode], Door::Device),
        None if wish.device => (&[MethodKind::DeviceCode], Door::Device),
        Some("oauth") => (&[MethodKind::OAuth, MethodKind::OAuthKey], Door::Browser),
        Some("siwc") => (&[MethodKind::Siwc], Door::Registered),
        Some("oauth-key") => (&[MethodKind::OAuthKey], Door::Browser),
        None => (&[MethodKind::OAuth, MethodKind::OAuthKey, MethodKind::DeviceCode], Door::Any),
        Some(other) => {
            let known = MethodKind::from_text(other).filter(|kind| manifest.auth(*kind).is_some());
            let (message, hint) = match known {
                Some(kind) => {
                    let command = match kind {
                        MethodKind::SetupToken => "setup-token",
                        MethodKind::Token => "paste-token",
                        _ => "paste-api-key",
                    };
                    let message = format!("{} with {kind} is not a browser login", manifest.id);
                    (message, context.auth_command(command, &manifest.id))
                }
                None => {
                    let message = format!("{} has no login called \"{other}\"", manifest.id);
                    (message, "coderclaw models auth login --help".to_owned())
                }
            };
            return Err(CommandError::new(Code::Usage, message).hint(hint));
        }
    };
    let has_any = kinds.iter().any(|kind| manifest.auth(*kind).is_some());
    if !has_any && manifest.id == "openai" && door != Door::Registered {
        return Ok((context.provider("openai-codex")?, door));
    }
    Ok((manifest, door))
}

//! `models auth login`: with a browser on this machine.

use coderclaw_auth::{LoginRequest, LoginUi};
use coderclaw_providers::{Manifest, MethodKind};
use coderclaw_types::{Code, ProfileId};
use serde_json::json;

use crate::args::LoginArgs;
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::{Report, say};
use crate::text::shell_word;

struct Screen;

impl LoginUi for Screen {
    fn open(&mut self, url: &str) {
        say("Open this page in a browser on this machine:\n");
        say(url);
        say("\nWaiting for the browser to come back. Ctrl-C ends the login and changes nothing.");
    }
}

pub(super) fn run(context: &Context, args: LoginArgs) -> Result<Report, CommandError> {
    let agent = context.agent()?;
    let manifest = provider(context, &args)?;
    let profile_id = args.profile_id.as_deref().map(ProfileId::new).transpose();
    let profile_id = profile_id.map_err(|e| CommandError::new(Code::Usage, e.to_string()))?;
    let request = LoginRequest { profile_id, replace: args.replace };
    let done =
        context.auth.login(&agent, manifest, &request, &mut Screen).map_err(context.about(manifest))?;
    if context.global.json {
        return Ok(Report::json(&json!({
            "provider": done.provider,
            "profileId": done.profile,
            "agentId": agent.agent,
            "authStorePath": agent.store(),
            "email": done.identity.email,
            "accountId": done.identity.account,
            "replaced": done.replaced,
            "hiddenByOrder": done.hidden_by_order,
        })));
    }
    let what = if done.replaced { "Renewed" } else { "Stored" };
    let mut text = format!("{what} {} in {}\n", done.profile, agent.store().display());
    if let Some(account) = &done.identity.account {
        text.push_str(&format!("Workspace: {}\n", crate::text::clean(account)));
    }
    if done.hidden_by_order {
        let id = shell_word(done.profile.as_str());
        text.push_str(&format!(
            "An order hides it. To use it: coderclaw models auth order set --provider {} {id}\n",
            done.provider
        ));
    }
    Ok(Report::text(text))
}

/// `openai` with `oauth` means the ChatGPT login, which is a provider of its own.
fn provider<'a>(context: &'a Context, args: &LoginArgs) -> Result<&'a Manifest, CommandError> {
    let manifest = context.provider(&args.provider)?;
    let method = match args.method.as_deref() {
        None | Some("oauth") => MethodKind::OAuth,
        Some(other) => {
            let known = MethodKind::from_text(other).filter(|kind| manifest.auth(*kind).is_some());
            let message = match known {
                Some(kind) => format!("{} with {kind} is not a browser login", manifest.id),
                None => format!("{} has no login called \"{other}\"", manifest.id),
            };
            return Err(CommandError::new(Code::Usage, message));
        }
    };
    if manifest.auth(method).is_none() && manifest.id == "openai" {
        return context.provider("openai-codex");
    }
    Ok(manifest)
}

//! A login by the program of a plugin: it talks to the person through us, and what it brings is kept as any other login.

use coderclaw_oauth::{Identity, TokenSet};
use coderclaw_providers::{Manifest, MethodKind, Plugin, PluginCall};
use coderclaw_store::AgentPaths;
use coderclaw_types::Secret;
use serde_json::json;

use super::error::LoginError;
use super::way::Way;
use super::{Door, LoggedIn, LoginRequest, PATIENCE};
use crate::context::Auth;
use crate::plugin::{Broken, FailureKind, Heard, Talk, tokens};

/// What the program of a plugin may do with the person.
pub trait PluginUi {
    /// Opens a page, or shows where it is.
    fn open(&mut self, url: &str);

    /// Shows a code and the page where it is typed in.
    fn code(&mut self, code: &str, page: &str);

    /// Says something.
    fn say(&mut self, text: &str);

    /// Asks something. `None`: nobody is there, or they do not want to say.
    fn ask(&mut self, text: &str, is_secret: bool) -> Option<Secret>;
}

impl Auth {
    /// Logs in by the program of `manifest`'s plugin, and stores the login.
    ///
    /// # Errors
    /// Where any step fails. The program has ended then, and the store is as it was.
    pub fn plugin_login(
        &self,
        agent: &AgentPaths,
        manifest: &Manifest,
        request: &LoginRequest,
        ui: &mut dyn PluginUi,
    ) -> Result<LoggedIn, LoginError> {
        let no_method = || LoginError::no_method(manifest, Door::Any);
        let plugin = manifest.plugin.as_ref().filter(|plugin| plugin.does(PluginCall::Login));
        let plugin = plugin.ok_or_else(no_method)?;
        let method = manifest.auth(MethodKind::Plugin).ok_or_else(no_method)?;
        self.check_store(agent)?;
        let (set, identity) = self.walk_through(manifest, plugin, ui)?;
        let way = Way::of_plugin(manifest, method, plugin, identity).ok_or_else(no_method)?;
        let done = self.keep_login(agent, &way, &set, request);
        if done.is_err() && plugin.does(PluginCall::Revoke) {
            // Nobody keeps it.
            self.plugin_revoke(&manifest.id, set.refresh.as_ref(), Some(&set.access));
        }
        done
    }

    fn walk_through(
        &self,
        manifest: &Manifest,
        plugin: &Plugin,
        ui: &mut dyn PluginUi,
    ) -> Result<(TokenSet, Identity), LoginError> {
        let failed = |broken: Broken| LoginError::Plugin(broken.why);
        let mut talk = Talk::begin(self, &manifest.id, plugin, PATIENCE).map_err(failed)?;
        let mut asked = talk.call("login", json!({}), &[]);
        let ended = loop {
            if let Err(broken) = asked {
                break Err(failed(broken));
            }
            asked = Ok(());
            match talk.hear() {
                Ok(Heard::Open(url)) => ui.open(&url),
                Ok(Heard::Code { code, page }) => ui.code(&code, &page),
                Ok(Heard::Say(text)) => ui.say(&text),
                Ok(Heard::Ask { text, secret }) => {
                    let answer = ui.ask(&text, secret);
                    asked = talk.answer(answer.as_ref());
                }
                Ok(Heard::Done(done)) => {
                    break tokens(&done, self.clock().now()).map_err(|why| failed(talk.end(&why)));
                }
                Ok(Heard::Failed(failure)) if failure.kind == FailureKind::Denied => {
                    break Err(LoginError::Denied(failure.message));
                }
                Ok(Heard::Failed(failure)) => break Err(failed(talk.end(&failure.message))),
                Err(broken) => break Err(failed(broken)),
            }
        };
        talk.keep_log();
        ended
    }
}

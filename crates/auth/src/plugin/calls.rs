//! What a plugin's program is asked for.

use std::time::Duration;

use coderclaw_http::NotSentWhy;
use coderclaw_oauth::{Identity, RefreshAnswer};
use coderclaw_providers::{Manifest, Plugin, PluginCall};
use coderclaw_types::{Code, Millis, Secret};
use serde_json::{Map, Value, json};

use super::talk::{Broken, Talk};
use super::wire::{Failure, FailureKind, Heard, tokens};
use crate::context::Auth;
use crate::grant::Refreshable;
use crate::lease::Lease;
use crate::refresh::RefreshError;
use crate::revoke::Revocation;

/// As long as a request to a token endpoint.
const REFRESH: Duration = Duration::from_secs(20);
/// Somebody waits to send a request.
const HEADERS: Duration = Duration::from_secs(5);
const USAGE: Duration = Duration::from_secs(10);
const REVOKE: Duration = Duration::from_secs(10);

/// Header lines that are not a plugin's business.
const NOT_THEIRS: &[&str] = &[
    "host",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
    "te",
    "upgrade",
    "cookie",
    "expect",
];

/// What of a plan is used up in one of its windows, as a plugin says.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginWindow {
    /// What it is called.
    pub name: String,
    /// In percent, 0 to 100.
    pub used_percent: f64,
    /// When it begins anew.
    pub resets_at: Option<Millis>,
}

/// The one answer to a call in which nobody is spoken to.
fn answer(talk: &mut Talk<'_>) -> Result<Result<Map<String, Value>, Failure>, Broken> {
    match talk.hear()? {
        Heard::Done(done) => Ok(Ok(done)),
        Heard::Failed(failure) => Ok(Err(failure)),
        Heard::Open(_) | Heard::Code { .. } | Heard::Say(_) | Heard::Ask { .. } => {
            Err(talk.end("it wants to talk to a person, and nobody is there"))
        }
    }
}

impl Auth {
    /// New tokens for a login, and whose they are.
    pub(crate) fn plugin_refresh(
        &self,
        plugin: &Plugin,
        one: &Refreshable,
    ) -> (RefreshAnswer, Option<Identity>) {
        let provider = self.canonical(&one.entry.provider);
        let lost = |why: String| (RefreshAnswer::Ambiguous { status: None, why }, None);
        let offline = |detail: String| (RefreshAnswer::Offline { why: NotSentWhy::Connect, detail }, None);
        let mut talk = match Talk::begin(self, provider.as_str(), plugin, REFRESH) {
            Ok(talk) => talk,
            Err(broken) => return offline(broken.why),
        };
        let mut secrets = vec![&one.refresh];
        secrets.extend(&one.entry.access);
        let with = json!({
            "refresh": one.refresh.expose(),
            "access": one.entry.access.as_ref().map(Secret::expose),
            "account": one.entry.account_id,
            "subject": one.entry.subject,
        });
        let asked = talk.call("refresh", with, &secrets).and_then(|()| answer(&mut talk));
        let ended = match asked {
            Err(Broken { why }) => lost(why),
            Ok(Ok(done)) => match tokens(&done, self.clock().now()) {
                Ok((set, identity)) => (RefreshAnswer::Granted(set), Some(identity)),
                Err(why) => lost(talk.end(&why).why),
            },
            Ok(Err(Failure { kind, message, retry_after })) => {
                let description = Some(message.clone()).filter(|text| !text.is_empty());
                match kind {
                    FailureKind::Refused => {
                        (RefreshAnswer::Refused { code: "refused".into(), description }, None)
                    }
                    FailureKind::Offline => offline(message),
                    FailureKind::TryLater | FailureKind::Denied | FailureKind::Unsupported => {
                        let code = Some("try_later".to_owned());
                        (
                            RefreshAnswer::NotSpent {
                                status: None,
                                code,
                                description,
                                retry_after,
                                rate_limited: retry_after.is_some(),
                            },
                            None,
                        )
                    }
                    FailureKind::Unknown => lost(message),
                }
            }
        };
        talk.keep_log();
        ended
    }

    /// Puts the header lines of the plugin's program into a lease, where it makes some.
    pub(crate) fn add_plugin_headers(
        &self,
        manifest: &Manifest,
        lease: &mut Lease,
    ) -> Result<(), RefreshError> {
        let Some(plugin) = manifest.plugin.as_ref().filter(|plugin| plugin.does(PluginCall::Headers)) else {
            return Ok(());
        };
        let failed = |detail: String| RefreshError::Denied { code: Code::PluginFailed, detail, until: None };
        let mut talk =
            Talk::begin(self, &manifest.id, plugin, HEADERS).map_err(|broken| failed(broken.why))?;
        let with = json!({"access": lease.token.expose(), "account": lease.account_id});
        let asked = talk.call("headers", with, &[&lease.token]).and_then(|()| answer(&mut talk));
        let done = match asked.map_err(|broken| failed(broken.why))? {
            Ok(done) => done,
            Err(Failure { kind: FailureKind::Unsupported, .. }) => return Ok(()),
            Err(failure) => return Err(failed(format!("the plugin {}: {}", manifest.id, failure.message))),
        };
        let lines = done.get("headers").and_then(Value::as_object).cloned().unwrap_or_default();
        for (name, value) in lines {
            let name = name.to_ascii_lowercase();
            let is_name =
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            let value = value.as_str().filter(|value| {
                !value.is_empty()
                    && value.trim() == *value
                    && value.bytes().all(|b| (b' '..=b'~').contains(&b))
            });
            let Some(value) = value.filter(|_| is_name && !NOT_THEIRS.contains(&name.as_str())) else {
                return Err(failed(talk.end("it makes a header line that it may not make").why));
            };
            lease.headers.retain(|(other, _)| *other != name);
            lease.headers.push((name, Secret::from(value)));
        }
        Ok(())
    }

    /// What of the plan behind a lease is used up, as the plugin's program says; `None` where it does not.
    ///
    /// # Errors
    /// One line, where the program was of no use.
    pub fn plugin_usage(
        &self,
        manifest: &Manifest,
        lease: &Lease,
    ) -> Result<Option<Vec<PluginWindow>>, String> {
        let Some(plugin) = manifest.plugin.as_ref().filter(|plugin| plugin.does(PluginCall::Usage)) else {
            return Ok(None);
        };
        let mut talk = Talk::begin(self, &manifest.id, plugin, USAGE).map_err(|broken| broken.why)?;
        let with = json!({"access": lease.token.expose(), "account": lease.account_id});
        let asked = talk.call("usage", with, &[&lease.token]).and_then(|()| answer(&mut talk));
        let done = match asked.map_err(|broken| broken.why)? {
            Ok(done) => done,
            Err(Failure { kind: FailureKind::Unsupported, .. }) => return Ok(None),
            Err(failure) => return Err(format!("the plugin {}: {}", manifest.id, failure.message)),
        };
        let windows = done.get("windows").and_then(Value::as_array).cloned().unwrap_or_default();
        let window = |one: &Value| {
            Some(PluginWindow {
                name: one.get("name")?.as_str().and_then(coderclaw_types::for_people)?,
                used_percent: one.get("usedPercent")?.as_f64().filter(|used| (0.0..=100.0).contains(used))?,
                resets_at: one.get("resetsAt").and_then(Value::as_i64).map(Millis),
            })
        };
        Ok(Some(windows.iter().filter_map(window).collect()))
    }

    /// Tells the provider through the plugin's program that a login has ended.
    pub(crate) fn plugin_revoke(
        &self,
        provider: &str,
        refresh: Option<&Secret>,
        access: Option<&Secret>,
    ) -> (Revocation, Revocation) {
        let both = |what: Revocation| {
            let one = |token: Option<&Secret>| token.map_or(Revocation::None, |_| what.clone());
            (one(refresh), one(access))
        };
        let manifest = self.registry().iter().find(|one| one.id == provider);
        let Some(plugin) = manifest.and_then(|one| one.plugin.as_ref()) else {
            return both(Revocation::NotTried(format!("the plugin {provider} is not in force")));
        };
        let mut talk = match Talk::begin(self, provider, plugin, REVOKE) {
            Ok(talk) => talk,
            Err(broken) => return both(Revocation::Failed(broken.why)),
        };
        let with = json!({"refresh": refresh.map(Secret::expose), "access": access.map(Secret::expose)});
        let secrets: Vec<&Secret> = [refresh, access].into_iter().flatten().collect();
        let asked = talk.call("revoke", with, &secrets).and_then(|()| answer(&mut talk));
        let ended = match asked {
            Ok(Ok(_)) => Revocation::Done,
            Ok(Err(failure)) => Revocation::Failed(failure.message),
            Err(broken) => Revocation::Failed(broken.why),
        };
        talk.keep_log();
        both(ended)
    }
}

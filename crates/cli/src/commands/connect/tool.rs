//! The programs, and what each of them reads in its settings.

use std::path::PathBuf;

use coderclaw_store::{SettingsFormat, ToolSetting, ToolSettings};
use coderclaw_types::{Code, Env, ProfileId};
use serde_json::{Map, Value, json};

use super::borrow::Loan;
use super::{helper_command, key_name, setting};
use crate::args::Tool;
use crate::commands::Context;
use crate::error::CommandError;
use crate::text::shell_word;

/// What Codex CLI knows our provider as.
pub(super) const PROVIDER: &str = "coderclaw";
/// Codex waits 5 s for a helper by default. A refresh may take longer than that, and is worth waiting for.
const TIMEOUT_MS: u64 = 30_000;
/// How often Codex asks again: as Claude Code does, and less than any token is lent before its end.
const INTERVAL_MS: u64 = 300_000;
/// Where Claude Code goes if nobody says otherwise.
const ANTHROPIC: &str = "https://api.anthropic.com";

impl Tool {
    /// The word for it in commands.
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ClaudeCode => "Claude Code",
            Self::Codex => "Codex CLI",
        }
    }

    /// Where its settings are.
    pub(super) fn settings(self, env: &Env) -> ToolSettings {
        let folder = |variable: &str, usual: &str| match env.get(variable) {
            Some(folder) => env.cwd().join(folder),
            None => env.plain_home().join(usual),
        };
        let (path, format): (PathBuf, _) = match self {
            Self::ClaudeCode => {
                (folder("CLAUDE_CONFIG_DIR", ".claude").join("settings.json"), SettingsFormat::Json)
            }
            Self::Codex => (folder("CODEX_HOME", ".codex").join("config.toml"), SettingsFormat::Toml),
        };
        ToolSettings { tool: self.id().to_owned(), path, format }
    }

    /// A command that prints a token, and the provider's own address.
    pub(super) fn by_helper(
        self,
        context: &Context,
        loan: &Loan<'_>,
    ) -> Result<Vec<ToolSetting>, CommandError> {
        let base = loan.base_url().ok_or_else(|| {
            let message = format!("{} has no API whose address is known here", loan.manifest.id);
            CommandError::new(Code::Usage, message).hint(format!("coderclaw connect {} --help", self.id()))
        })?;
        let (headers, names_an_account) = loan.headers();
        // The account goes along in a header that is written down now, so another account's token must not follow.
        let lent = loan.now.as_ref().and_then(|now| now.profile.as_ref());
        let profile = loan.profile.as_ref().or_else(|| lent.filter(|_| names_an_account));
        let mut words = vec!["models", "auth", "token", "--provider", loan.manifest.id.as_ref()];
        words.extend(profile.map(ProfileId::as_str).into_iter().flat_map(|id| ["--profile", id]));
        // Named, so that another default agent tomorrow does not lend other logins to this program.
        words.extend(["--verify", "--agent", loan.agent.as_str()]);
        let command = helper_command(context, &words);
        Ok(match self {
            Self::ClaudeCode => {
                let root = base.strip_suffix("/v1").ok_or_else(|| {
                    let message = format!(
                        "{} asks below /v1 of an address, and {} is at {base}",
                        self.name(),
                        loan.manifest.id
                    );
                    CommandError::new(Code::Usage, message)
                        .hint(format!("coderclaw connect {} --through gateway", self.id()))
                })?;
                let address = (root != ANTHROPIC).then_some(root);
                claude(&command, address)
            }
            Self::Codex => {
                let pairs = headers.iter().map(|(name, value)| (name.clone(), json!(value.expose())));
                codex(&command, &base, pairs.collect())
            }
        })
    }

    /// The gateway's address, and a command that prints the key for it.
    pub(super) fn by_gateway(
        self,
        context: &Context,
        loan: &Loan<'_>,
    ) -> Result<Vec<ToolSetting>, CommandError> {
        let command = helper_command(context, &["gateway", "keys", "show", key_name(loan)]);
        let address = format!("http://127.0.0.1:{}", loan.port);
        Ok(match self {
            // A key for one provider means that one at every path.
            Self::ClaudeCode => claude(&command, Some(&address)),
            Self::Codex => codex(&command, &format!("{address}/{}", loan.manifest.id), Map::new()),
        })
    }
}

type Command = (Vec<String>, Vec<String>);

fn claude((variables, command): &Command, address: Option<&str>) -> Vec<ToolSetting> {
    // It is given to a shell.
    let assigned = variables.iter().map(|one| {
        let (name, value) = one.split_once('=').unwrap_or((one, ""));
        format!("{name}={}", shell_word(value))
    });
    let words: Vec<String> = assigned.chain(command.iter().map(|word| shell_word(word))).collect();
    let mut all = vec![setting(&["apiKeyHelper"], json!(words.join(" ")))];
    all.extend(address.map(|address| setting(&["env", "ANTHROPIC_BASE_URL"], json!(address))));
    all
}

fn codex((variables, command): &Command, base: &str, headers: Map<String, Value>) -> Vec<ToolSetting> {
    // It is started without a shell.
    let mut words: Vec<&String> = variables.iter().chain(command).collect();
    let env = "env".to_owned();
    if !variables.is_empty() {
        words.insert(0, &env);
    }
    let mut table = json!({"name": "CoderClaw", "base_url": base, "wire_api": "responses"});
    if !headers.is_empty() {
        table["http_headers"] = Value::Object(headers);
    }
    table["auth"] = json!({
        "command": words[0],
        "args": words[1..],
        "timeout_ms": TIMEOUT_MS,
        "refresh_interval_ms": INTERVAL_MS,
    });
    vec![setting(&["model_provider"], json!(PROVIDER)), setting(&["model_providers", PROVIDER], table)]
}

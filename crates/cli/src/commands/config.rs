//! `config get|set|unset|validate|path`. They work also where the config does not: they are how it is repaired.

use std::io::Read;
use std::path::Path;

use coderclaw_store::{
    ConfigDoc, ConfigEdit, ConfigEditError, ConfigError, ConfigProblem, KeyPath, StateDir, check_config,
    config_value, edit_config, json5_value,
};
use coderclaw_types::{Code, Env};
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::{ConfigCommand, ConfigSetArgs, Global};
use crate::error::CommandError;
use crate::report::{Report, say};
use crate::secret_input::has_terminal;
use crate::text::{self, clean};

/// What is shown in place of a secret.
const HIDDEN: &str = "(secret)";
/// No value of a config comes near this.
const LONGEST: u64 = 1024 * 1024;

pub(super) fn run(global: &Global, env: &Env, command: ConfigCommand) -> Result<Report, CommandError> {
    let state = StateDir::from_env(env);
    match command {
        ConfigCommand::Get { path, show_secrets } => get(global, &state, env, &path, show_secrets),
        ConfigCommand::Set(args) => set(global, &state, env, args),
        ConfigCommand::Unset { path } => unset(global, &state, env, &path),
        ConfigCommand::Validate => validate(global, &state, env),
        ConfigCommand::Path => {
            let path = state.config_path();
            if global.json {
                return Ok(Report::json(&json!({"path": path, "exists": path.exists()})));
            }
            Ok(Report::text(format!("{}\n", path.display())))
        }
    }
}

/// A change of the config, for the commands that make one: what is wrong elsewhere is said in a line.
pub(super) fn edit<T>(
    global: &Global,
    state: &StateDir,
    env: &Env,
    change: impl FnOnce(&mut ConfigDoc) -> Result<T, CommandError>,
) -> Result<ConfigEdit<T>, CommandError> {
    let edit = edit_config(state, env, change)?;
    if !edit.problems.is_empty() && !global.quiet {
        let n = edit.problems.len();
        let mistakes = if n == 1 { "a mistake".to_owned() } else { format!("{n} mistakes") };
        say(&format!("note: the config has {mistakes} elsewhere; `coderclaw config validate` tells"));
    }
    Ok(edit)
}

/// `Updated ~/.coderclaw/coderclaw.json`, or that it was so already.
pub(super) fn updated<T>(edit: &ConfigEdit<T>, env: &Env) -> String {
    let word = if edit.is_changed { "Updated" } else { "Unchanged" };
    format!("{word} {}\n", short(&edit.path, env))
}

/// A path as people write it, with `~` for the home folder.
fn short(path: &Path, env: &Env) -> String {
    match path.strip_prefix(env.home()) {
        Ok(below) if !below.as_os_str().is_empty() => format!("~/{}", below.display()),
        _ => path.display().to_string(),
    }
}

fn key_path(text: &str) -> Result<KeyPath, CommandError> {
    text.parse().map_err(|e: coderclaw_store::InvalidKeyPath| {
        CommandError::new(Code::Usage, e.to_string()).hint("coderclaw config get --help".into())
    })
}

fn nothing_there(key: &KeyPath, state: &StateDir) -> CommandError {
    let message = format!("nothing stands at `{key}` in {}", state.config_path().display());
    CommandError::new(Code::UnknownKey, message)
}

fn get(
    global: &Global,
    state: &StateDir,
    env: &Env,
    path: &str,
    show_secrets: bool,
) -> Result<Report, CommandError> {
    let key = key_path(path)?;
    let root = config_value(state, env)?.unwrap_or_else(|| json!({}));
    let mut value = key.find(&root).cloned().ok_or_else(|| nothing_there(&key, state))?;
    if !show_secrets {
        hide(&mut value, key.steps().iter().any(is_secret_step));
    }
    if global.json {
        return Ok(Report::json(&value));
    }
    Ok(Report::text(match &value {
        Value::String(text) => format!("{text}\n"),
        other => format!("{other:#}\n"),
    }))
}

fn is_secret_step(step: &coderclaw_store::Step) -> bool {
    match step {
        coderclaw_store::Step::Key(key) => is_secret_key(key),
        coderclaw_store::Step::Index(_) => false,
    }
}

/// Whether what stands under this key is nobody's business. Rather too often than once too seldom.
fn is_secret_key(key: &str) -> bool {
    const WORDS: [&str; 10] = [
        "apikey",
        "token",
        "password",
        "passwd",
        "passphrase",
        "secret",
        "privatekey",
        "accesskey",
        "authorization",
        "headers",
    ];
    let plain: String =
        key.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    // Limits and counters are numbers, which are never hidden; these are texts about tokens.
    plain == "key" || WORDS.iter().any(|word| plain.contains(word))
}

/// Puts a word in place of texts below a key that looks like a secret's. Where a variable stands in for it, there is
/// nothing to hide.
fn hide(value: &mut Value, is_secret: bool) {
    match value {
        Value::String(text) if is_secret && !text.is_empty() => *text = HIDDEN.to_owned(),
        Value::Array(list) => list.iter_mut().for_each(|item| hide(item, is_secret)),
        Value::Object(map) => {
            for (key, value) in map {
                hide(value, is_secret || is_secret_key(key));
            }
        }
        _ => {}
    }
}

fn set(global: &Global, state: &StateDir, env: &Env, args: ConfigSetArgs) -> Result<Report, CommandError> {
    let key = key_path(&args.path)?;
    let is_secret = key.steps().iter().any(is_secret_step);
    let by_stdin = || format!("coderclaw config set {} --stdin", text::shell_word(&args.path));
    let text = match &args.value {
        Some(text) => text.clone(),
        None if args.stdin => from_stdin()?,
        None if has_terminal() => {
            return Err(CommandError::new(Code::Usage, "a value is wanted, as VALUE or with --stdin"));
        }
        None => {
            let message = "a value is wanted, as VALUE or with --stdin";
            return Err(CommandError::new(Code::InputRequired, message).hint(by_stdin()));
        }
    };
    let value = match json5_value(&text) {
        // What is secret is text, also where it looks like a number.
        _ if is_secret && args.stdin => Value::String(text),
        Some(value) => value,
        None if args.json_value => {
            return Err(CommandError::new(Code::Usage, "the value is not JSON5"));
        }
        None => Value::String(text),
    };
    if args.value.is_some() && holds_secret(&value, is_secret) {
        let message = format!(
            "`{key}` looks like a secret, and what stands on a command line is seen by everybody on this machine; \
             give it on standard input, or as \"${{VARIABLE}}\""
        );
        return Err(CommandError::new(Code::Usage, message).hint(by_stdin()));
    }
    let edit = edit(global, state, env, |doc| Ok(doc.set(&key, value)?))?;
    Ok(changed(global, env, &key, &edit))
}

fn changed<T>(global: &Global, env: &Env, key: &KeyPath, edit: &ConfigEdit<T>) -> Report {
    if global.json {
        return Report::json(&json!({"path": edit.path, "key": key.to_string(), "updated": edit.is_changed}));
    }
    Report::text(updated(edit, env))
}

fn from_stdin() -> Result<String, CommandError> {
    let failed = |e: std::io::Error| {
        CommandError::new(Code::InputRequired, format!("standard input cannot be read: {e}"))
    };
    let mut text = String::new();
    std::io::stdin().lock().take(LONGEST).read_to_string(&mut text).map_err(failed)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// A text below a secret's key that is neither empty nor the name of a variable.
fn holds_secret(value: &Value, is_secret: bool) -> bool {
    match value {
        Value::String(text) => {
            let is_variable =
                text.starts_with("${") && text.ends_with('}') && !text.contains(char::is_whitespace);
            is_secret && !text.is_empty() && !is_variable
        }
        Value::Number(_) => is_secret,
        Value::Array(list) => list.iter().any(|item| holds_secret(item, is_secret)),
        Value::Object(map) => map
            .iter()
            .any(|(key, value)| !value.is_number() && holds_secret(value, is_secret || is_secret_key(key))),
        _ => false,
    }
}

fn unset(global: &Global, state: &StateDir, env: &Env, path: &str) -> Result<Report, CommandError> {
    let key = key_path(path)?;
    let edit = edit(global, state, env, |doc| match doc.remove(&key)? {
        true => Ok(()),
        false => Err(nothing_there(&key, state)),
    })?;
    Ok(changed(global, env, &key, &edit))
}

#[derive(Serialize)]
struct IssueJson<'a> {
    path: String,
    message: &'a str,
    file: &'a Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    blocks: bool,
}

impl<'a> From<&'a ConfigProblem> for IssueJson<'a> {
    fn from(problem: &'a ConfigProblem) -> Self {
        Self {
            path: problem.key.to_string(),
            message: &problem.what,
            file: &problem.file,
            line: problem.position.map(|(line, _)| line),
            column: problem.position.map(|(_, column)| column),
            blocks: problem.is_vital,
        }
    }
}

fn validate(global: &Global, state: &StateDir, env: &Env) -> Result<Report, CommandError> {
    let path = state.config_path();
    let report = match check_config(state, env) {
        Ok(report) => report,
        Err(ConfigError::Read(e)) if e.code() == Code::Unreadable => {
            return Err(ConfigError::Read(e).into());
        }
        Err(error) => return Ok(not_read(global, path, &error)),
    };
    let is_valid = report.problems.is_empty();
    if global.json {
        let issues: Vec<IssueJson<'_>> = report.problems.iter().map(IssueJson::from).collect();
        let out = json!({"valid": is_valid, "path": path, "exists": report.exists, "issues": issues});
        return Ok(Report::json(&out).exit(u8::from(!is_valid)));
    }
    if is_valid {
        let what =
            if report.exists { "is as it should be" } else { "is not there, which means all defaults" };
        return Ok(Report::text(format!("{} {what}.\n", path.display())));
    }
    let mut out = String::new();
    for problem in &report.problems {
        for line in text::wrap(&clean(&problem.to_string()), text::width()) {
            out.push_str(&format!("{line}\n"));
        }
    }
    let vital = report.problems.iter().filter(|problem| problem.is_vital).count();
    let (all, stop) =
        (report.problems.len(), if vital > 0 { "; logins are not used until it is right" } else { "" });
    out.push_str(&format!("{all} {}{stop}\n", if all == 1 { "mistake" } else { "mistakes" }));
    Ok(Report::text(out).exit(1))
}

/// A file of which nothing can be used.
fn not_read(global: &Global, path: &Path, error: &ConfigError) -> Report {
    let message = error.to_string();
    if global.json {
        let issue = json!({"path": "", "message": message, "file": path, "blocks": true});
        return Report::json(&json!({"valid": false, "path": path, "exists": true, "issues": [issue]}))
            .exit(1);
    }
    let lines = text::wrap(&clean(&message), text::width());
    Report::text(lines.join("\n") + "\n").exit(1)
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        ConfigEditError::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_secrets() {
        for key in [
            "apiKey",
            "OPENAI_API_KEY",
            "token",
            "botToken",
            "x-api-key",
            "password",
            "key",
            "headers",
            "clientSecret",
        ] {
            assert!(is_secret_key(key), "{key}");
        }
        for key in ["provider", "keys", "monkey", "primary", "workspace", "mainKey"] {
            assert!(!is_secret_key(key), "{key}");
        }
    }

    #[test]
    fn only_what_is_secret_is_hidden() {
        let mut value = json!({"apiKey": "sk", "maxTokens": 7, "list": [{"token": "t"}], "headers": {"a": "b"}, "x": "y"});
        hide(&mut value, false);
        let wanted = json!({"apiKey": HIDDEN, "maxTokens": 7, "list": [{"token": HIDDEN}], "headers": {"a": HIDDEN}, "x": "y"});
        assert_eq!(value, wanted);
        assert!(!holds_secret(&json!({"apiKey": "${KEY}", "maxTokens": 7}), false));
        assert!(holds_secret(&json!({"a": [{"apiKey": "sk"}]}), false));
        assert!(!holds_secret(&json!("text"), false) && holds_secret(&json!("sk"), true));
    }
}

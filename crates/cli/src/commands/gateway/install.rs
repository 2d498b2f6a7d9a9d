//! `gateway install`: a systemd user unit that runs the gateway. Nothing is started unless that is asked for.

use std::path::{Path, PathBuf};
use std::process::Command;

use coderclaw_store::{WriteError, read_text, take_away, write_private};
use coderclaw_types::{Code, Env};
use serde_json::json;

use crate::args::{GatewayRunArgs, InstallArgs};
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::{Report, say};
use crate::text;

const NAME: &str = "coderclaw-gateway.service";
/// What is ours begins with this, and nothing else is replaced or taken away.
const MARK: &str =
    "# Written by coderclaw gateway install; changes go into: systemctl --user edit coderclaw-gateway\n";
/// What says where things are. Others, such as a proxy with a password in it, are a person's to add.
const VARIABLES: [&str; 4] =
    ["CODERCLAW_STATE_DIR", "CODERCLAW_CONFIG_PATH", "CODERCLAW_AGENT_DIR", "CODERCLAW_OAUTH_DIR"];
const PLAIN_VARIABLES: [&str; 2] = ["CODERCLAW_PROFILE", "CODERCLAW_GATEWAY_PORT"];
/// Longer than the gateway takes to finish answers.
const STOP_SECONDS: u32 = 45;

pub(super) fn run(context: &Context, env: &Env, args: &InstallArgs) -> Result<Report, CommandError> {
    let path = unit_path(env);
    let is_json = context.global.json;
    let unit = unit(env, &args.run)?;
    if args.print {
        let shown = json!({"path": path, "unit": unit});
        return Ok(if is_json { Report::json(&shown) } else { Report::text(unit) });
    }
    let there = read_text(&path).map_err(|e| CommandError::new(e.code(), e.to_string()))?;
    if there.as_ref().is_some_and(|there| !there.starts_with(MARK)) {
        let message = format!("{} was not written by coderclaw, and is left alone", path.display());
        return Err(
            CommandError::new(Code::NotWritable, message).hint("coderclaw gateway install --print".into())
        );
    }
    if args.uninstall {
        return uninstall(context, &path, there.is_some(), args.now);
    }
    let is_new = there.as_deref() != Some(unit.as_str());
    if is_new {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let not_made = |source| WriteError::Io { path: folder.to_path_buf(), source };
        std::fs::create_dir_all(folder).map_err(not_made).map_err(not_written)?;
        write_private(&path, unit.as_bytes()).map_err(not_written)?;
    }
    let next: &[&[&str]] = &[&["daemon-reload"], &["enable", "--now", "coderclaw-gateway"]];
    if args.now {
        next.iter().try_for_each(|step| systemctl(step))?;
    }
    if is_json {
        return Ok(Report::json(&json!({"path": path, "changed": is_new, "started": args.now})));
    }
    let word = if is_new { "Wrote" } else { "Nothing to change in" };
    let mut out = format!("{word} {}\n", text::clean(&path.to_string_lossy()));
    if args.now {
        out.push_str("The gateway runs. coderclaw gateway status shows how it is doing.\n");
    } else {
        out.push_str("To start it, now and at each login:\n");
        out.extend(next.iter().map(|step| format!("  systemctl --user {}\n", step.join(" "))));
    }
    out.push_str("To keep it running while nobody is logged in:\n  loginctl enable-linger\n");
    Ok(Report::text(out))
}

fn uninstall(context: &Context, path: &Path, is_there: bool, now: bool) -> Result<Report, CommandError> {
    if is_there && now {
        systemctl(&["disable", "--now", "coderclaw-gateway"])?;
    }
    let is_gone = take_away(path).map_err(not_written)?;
    if is_gone && now {
        systemctl(&["daemon-reload"])?;
    }
    if context.global.json {
        return Ok(Report::json(&json!({"path": path, "removed": is_gone, "stopped": is_gone && now})));
    }
    let path = text::clean(&path.to_string_lossy());
    Ok(Report::text(match (is_gone, now) {
        (false, _) => format!("There is no {path}; nothing to take away.\n"),
        (true, true) => format!("Stopped the gateway and took {path} away.\n"),
        (true, false) => format!(
            "Took {path} away. To stop a gateway that it started:\n  systemctl --user stop coderclaw-gateway\n  systemctl \
             --user daemon-reload\n"
        ),
    }))
}

fn not_written(error: WriteError) -> CommandError {
    CommandError::new(error.code(), error.to_string())
}

fn unit_path(env: &Env) -> PathBuf {
    let config = env.get("XDG_CONFIG_HOME").map(Path::new).filter(|path| path.is_absolute());
    let config = config.map_or_else(|| env.home().join(".config"), Path::to_path_buf);
    config.join("systemd/user").join(NAME)
}

fn unit(env: &Env, args: &GatewayRunArgs) -> Result<String, CommandError> {
    let program = std::env::current_exe().map_err(|e| {
        CommandError::new(Code::Internal, format!("where this program is cannot be found out: {e}"))
    })?;
    let absolute = |path: &PathBuf| env.cwd().join(path).to_string_lossy().into_owned();
    let mut words = vec![program.to_string_lossy().into_owned(), "gateway".into(), "run".into()];
    let mut flag = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            words.extend([format!("--{name}"), value]);
        }
    };
    flag("port", args.port.map(|port| port.to_string()));
    flag("bind", Some(args.bind).filter(|bind| !bind.is_loopback()).map(|bind| bind.to_string()));
    flag("tls-cert", args.tls_cert.as_ref().map(absolute));
    flag("tls-key", args.tls_key.as_ref().map(absolute));
    flag("socket", args.socket.as_ref().map(absolute));
    if args.no_socket {
        words.push("--no-socket".into());
    }
    let paths = VARIABLES.iter().filter_map(|name| {
        let path = env.resolve(env.get(name)?);
        Some((*name, path.to_string_lossy().into_owned()))
    });
    let plain = PLAIN_VARIABLES.iter().filter_map(|name| Some((*name, env.get(name)?.to_owned())));
    let variables: Vec<(&str, String)> = paths.chain(plain).collect();
    let all = words.iter().chain(variables.iter().map(|(_, value)| value));
    if let Some(odd) = all.clone().find(|word| word.contains(char::is_control)) {
        let message = format!("no unit can hold a line break: {}", text::clean(odd));
        return Err(CommandError::new(Code::Usage, message).hint("coderclaw gateway install --help".into()));
    }
    let command: Vec<String> = words.iter().map(|word| quoted(word).replace('$', "$$")).collect();
    let variables: String = variables
        .iter()
        .map(|(name, value)| format!("Environment={}\n", quoted(&format!("{name}={value}"))))
        .collect();
    Ok(format!(
        "{MARK}[Unit]\nDescription=CoderClaw gateway: lends logins to programs\n\n[Service]\nExecStart={}\n{variables}\
         Restart=on-failure\nRestartSec=2\nTimeoutStopSec={STOP_SECONDS}\nUMask=0077\nNoNewPrivileges=yes\n\n\
         [Install]\nWantedBy=default.target\n",
        command.join(" ")
    ))
}

/// As systemd reads it (systemd.syntax(7)); `%` begins a specifier everywhere.
fn quoted(word: &str) -> String {
    let word = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) { word } else { format!("\"{word}\"") }
}

fn systemctl(arguments: &[&str]) -> Result<(), CommandError> {
    let shown = format!("systemctl --user {}", arguments.join(" "));
    let failed = |why: String| {
        CommandError::new(Code::NotStarted, format!("`{shown}` did not work: {why}"))
            .hint("coderclaw gateway install --print".into())
    };
    let out = Command::new("systemctl").arg("--user").args(arguments).output();
    let out = out.map_err(|e| failed(e.to_string()))?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr).trim().replace('\n', "; ");
        return Err(failed(if said.is_empty() { out.status.to_string() } else { text::clean(&said) }));
    }
    say(&shown);
    Ok(())
}

//! What each argument is a value of, by its name and the command that it belongs to.

use clap::Arg;

/// What a value is one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Agent,
    Provider,
    Profile,
    Session,
    Model,
    Alias,
    Fallback,
    ImageFallback,
    GatewayKey,
    Plugin,
    Event,
    Channel,
    ConfigPath,
    Choice,
    Files,
    Commands,
    /// Something that nobody here knows.
    Free,
}

/// What `arg` of the command `path` takes.
pub(super) fn kind(path: &str, arg: &Arg) -> Kind {
    let group = path.split(' ').next().unwrap_or_default();
    match (arg.get_id().as_str(), group, path) {
        ("agent", ..) | ("id", "agents", _) | ("to", _, "agents link") => Kind::Agent,
        ("provider" | "probe_provider" | "token_provider", ..) | ("from", _, "plugins new") => Kind::Provider,
        (
            "profile" | "profiles" | "probe_profile" | "auth_profile" | "profile_id" | "token_profile_id",
            ..,
        )
        | ("old", _, "models auth rename") => Kind::Profile,
        ("session" | "session_key", ..) | ("key", "sessions", _) => Kind::Session,
        ("model", _, "models fallbacks remove") => Kind::Fallback,
        ("model", _, "models image-fallbacks remove") => Kind::ImageFallback,
        ("model", ..) => Kind::Model,
        ("alias", _, "models aliases remove") => Kind::Alias,
        ("key", _, "gateway keys show" | "gateway keys revoke") => Kind::GatewayKey,
        ("id", "plugins", _) => Kind::Plugin,
        ("event", ..) => Kind::Event,
        ("channel" | "bind", "agents" | "agent" | "channels", _) => Kind::Channel,
        ("path", "config", _) => Kind::ConfigPath,
        ("auth_choice", ..) => Kind::Choice,
        ("command", ..) => Kind::Commands,
        _ => match value_name(arg) {
            "FILE" | "DIR" | "PATH" => Kind::Files,
            _ => Kind::Free,
        },
    }
}

fn value_name(arg: &Arg) -> &str {
    arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str())
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::*;
    use crate::args::Cli;

    /// What nobody here can know, although its name sounds as if: `command argument`.
    const UNKNOWABLE: [&str; 15] = [
        "agent guild",
        "agent role",
        "agent team",
        "agent account",
        "agents route guild",
        "agents route role",
        "agents route team",
        "agents route account",
        "models aliases add alias",
        "models auth login finish id",
        "models auth login start workspace",
        "models auth login workspace",
        "models auth refresh persist_cmd",
        "onboard cloudflare_ai_gateway_account_id",
        "onboard cloudflare_ai_gateway_gateway_id",
    ];

    fn walk<'a>(command: &'a Command, path: &str, seen: &mut impl FnMut(&str, &'a Arg)) {
        command.get_arguments().filter(|arg| arg.get_action().takes_values()).for_each(|arg| seen(path, arg));
        for below in command.get_subcommands() {
            let path = format!("{path} {}", below.get_name());
            walk(below, path.trim(), seen);
        }
    }

    /// Whoever adds an argument that takes an id says of what, so that it can be completed.
    #[test]
    fn every_id_is_an_id_of_something() {
        let mut root = Cli::command();
        root.build();
        let ids = [
            "ID", "ID|NAME", "KEY", "PROFILE", "MODEL", "ALIAS", "OLD", "CHANNEL", "EVENT", "ACCOUNT",
            "COMMAND",
        ];
        let mut unknown = Vec::new();
        walk(&root, "", &mut |path, arg| {
            let is_id = ids.contains(&value_name(arg)) && arg.get_possible_values().is_empty();
            let name = format!("{path} {}", arg.get_id());
            // Keys and servers of one's own, that are being brought.
            let is_new = path == "onboard" && (name.ends_with("api_key") || name.contains("custom_"));
            let is_key = path == "onboard" && value_name(arg) == "KEY";
            if is_id && kind(path, arg) == Kind::Free && !is_new && !is_key {
                unknown.push(name);
            }
        });
        unknown.sort();
        let mut expected = UNKNOWABLE.to_vec();
        expected.sort_unstable();
        assert_eq!(unknown, expected, "add a row to `kind`, or here, where nobody can know it");
    }

    #[test]
    fn files_are_left_to_the_shell() {
        let mut root = Cli::command();
        root.build();
        let mut files = Vec::new();
        walk(&root, "", &mut |path, arg| {
            if kind(path, arg) == Kind::Files {
                files.push(format!("{path} {}", arg.get_id()));
            }
        });
        for wanted in [
            "models auth paste-token file",
            "import codex from",
            "gateway run tls_cert",
            "plugins install path",
        ] {
            assert!(files.iter().any(|one| one == wanted), "{wanted}: {files:?}");
        }
        assert!(!files.iter().any(|one| one.starts_with("config ")), "{files:?}");
    }
}

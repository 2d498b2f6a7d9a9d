//! Where the program runs, as far as it can be told: whether a browser that it opens is one that the person sees.

use coderclaw_types::Env;

/// What the environment does not say.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Facts {
    /// One of the files is there that container engines leave.
    pub(super) container_file: bool,
    /// Without a display server there are no windows, as on Linux.
    pub(super) needs_display: bool,
}

/// Why no browser is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remote {
    Codespace,
    Ssh,
    Container,
    NoDisplay,
}

impl Remote {
    /// For `This is ...`.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Codespace => "a codespace",
            Self::Ssh => "an SSH session",
            Self::Container => "a container",
            Self::NoDisplay => "a machine without a display",
        }
    }
}

impl Facts {
    pub(super) fn here() -> Self {
        let container_file =
            ["/.dockerenv", "/run/.containerenv"].iter().any(|path| std::path::Path::new(path).exists());
        let needs_display = cfg!(all(unix, not(any(target_os = "macos", target_os = "ios"))));
        Self { container_file, needs_display }
    }
}

/// Why a browser opened from here would not be seen; `None` where it would. In WSL it opens on the Windows side.
pub(super) fn remote(env: &Env, facts: Facts) -> Option<Remote> {
    let any = |names: &[&str]| names.iter().any(|name| env.get(name).is_some());
    if any(&["CODESPACES"]) {
        Some(Remote::Codespace)
    } else if any(&["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"]) {
        Some(Remote::Ssh)
    } else if facts.container_file || any(&["REMOTE_CONTAINERS", "container", "KUBERNETES_SERVICE_HOST"]) {
        Some(Remote::Container)
    } else if facts.needs_display && !any(&["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME", "WSL_INTEROP"]) {
        Some(Remote::NoDisplay)
    } else {
        None
    }
}

/// Whether the person has named a program that opens pages. Editors that reach into remote machines and containers name one
/// that opens them where the person sits. A browser of the terminal itself is none: it would take the screen.
pub(super) fn has_opener(env: &Env) -> bool {
    const IN_TERMINALS: [&str; 6] = ["w3m", "lynx", "links", "elinks", "links2", "www-browser"];
    let Some(program) = env.get("BROWSER").and_then(|text| text.split([':', ' ']).next()) else {
        return false;
    };
    let path = std::path::Path::new(program);
    let is_in_terminal = path.file_name().is_none_or(|name| IN_TERMINALS.iter().any(|known| name == *known));
    path.is_absolute() && !is_in_terminal
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E3: the places from which people reported a browser that never came back.
    #[test]
    fn e3_places() {
        let linux = Facts { needs_display: true, container_file: false };
        let docker = Facts { container_file: true, ..linux };
        let table: [(Facts, &[&str], Option<Remote>); 15] = [
            (linux, &["DISPLAY"], None),
            (linux, &["WAYLAND_DISPLAY"], None),
            (linux, &[], Some(Remote::NoDisplay)),
            (Facts::default(), &[], None),
            (linux, &["DISPLAY", "SSH_CONNECTION"], Some(Remote::Ssh)),
            (linux, &["SSH_CLIENT"], Some(Remote::Ssh)),
            (Facts::default(), &["SSH_TTY"], Some(Remote::Ssh)),
            (docker, &["DISPLAY"], Some(Remote::Container)),
            (docker, &[], Some(Remote::Container)),
            (linux, &["DISPLAY", "container"], Some(Remote::Container)),
            (linux, &["REMOTE_CONTAINERS"], Some(Remote::Container)),
            (docker, &["CODESPACES", "SSH_CLIENT"], Some(Remote::Codespace)),
            (linux, &["WSL_DISTRO_NAME"], None),
            (linux, &["WSL_INTEROP", "SSH_TTY"], Some(Remote::Ssh)),
            (linux, &["KUBERNETES_SERVICE_HOST"], Some(Remote::Container)),
        ];
        for (facts, vars, wanted) in table {
            let env = Env::new(vars.iter().map(|name| ((*name).into(), "x".into())), None, "/".into());
            assert_eq!(remote(&env, facts), wanted, "{facts:?} {vars:?}");
        }
        let blank = Env::new([("SSH_TTY".into(), " ".into())], None, "/".into());
        assert_eq!(remote(&blank, Facts::default()), None);
    }

    /// E3: WSL has no display server of its own and opens pages on the Windows side, where the person sits; over SSH, or in a
    /// container on it, it is as remote as anything else.
    #[test]
    fn e3_wsl_is_not_remote() {
        let linux = Facts { needs_display: true, container_file: false };
        let at = |facts, vars: &[(&str, &str)]| {
            let vars = vars.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            remote(&Env::new(vars, None, "/".into()), facts)
        };
        let wsl = [("WSL_DISTRO_NAME", "Ubuntu-24.04"), ("WSL_INTEROP", "/run/WSL/11_interop")];
        for vars in [&wsl[..], &wsl[..1], &wsl[1..]] {
            assert_eq!(at(linux, vars), None, "{vars:?}");
        }
        assert_eq!(at(linux, &[]), Some(Remote::NoDisplay), "without it there is nothing to show a page on");
        assert_eq!(at(linux, &[wsl[0], ("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22")]), Some(Remote::Ssh));
        assert_eq!(at(Facts { container_file: true, ..linux }, &wsl), Some(Remote::Container));
        assert_eq!(at(linux, &[("WSL_DISTRO_NAME", " ")]), Some(Remote::NoDisplay));
    }

    #[test]
    fn a_named_opener_is_believed() {
        for (value, wanted) in [
            ("/opt/code/bin/helpers/browser.sh", true),
            ("/usr/bin/firefox:/usr/bin/w3m", true),
            ("/opt/open --new %s", true),
            ("firefox", false),
            ("/usr/bin/w3m", false),
            ("lynx", false),
            (" ", false),
            ("/", false),
        ] {
            let env = Env::new([("BROWSER".into(), value.into())], None, "/".into());
            assert_eq!(has_opener(&env), wanted, "{value}");
        }
    }
}

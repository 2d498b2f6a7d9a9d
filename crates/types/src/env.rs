//! The environment as a value.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The variables, the home folder and the working folder of the process, as `main` found them.
///
/// Libraries take an `Env` and never ask the process, so that two of them with different answers can live side by
/// side. It may hold keys (`OPENAI_API_KEY`), hence no `Debug` of the values.
#[derive(Clone, Default)]
pub struct Env {
    vars: BTreeMap<OsString, OsString>,
    os_home: Option<PathBuf>,
    cwd: PathBuf,
}

impl Env {
    /// From what `main` captured: the variables, the account's home folder, the working folder.
    pub fn new(
        vars: impl IntoIterator<Item = (OsString, OsString)>,
        os_home: Option<PathBuf>,
        cwd: PathBuf,
    ) -> Self {
        Self { vars: vars.into_iter().collect(), os_home, cwd }
    }

    /// The variable's value, trimmed; `None` where it is unset, blank or not UTF-8.
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.vars.get(OsStr::new(name))?.to_str()?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// The variable's value exactly as it is, for handing on to a child process.
    pub fn get_os(&self, name: &str) -> Option<&OsStr> {
        self.vars.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// The names of all variables that are set.
    pub fn names(&self) -> impl Iterator<Item = &OsStr> {
        self.vars.keys().map(OsString::as_os_str)
    }

    /// A copy with one variable set.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.vars.insert(name.into(), value.into());
        self
    }

    /// The home folder: `CODERCLAW_HOME` (which may start with `~`), `HOME`, `USERPROFILE`, the account's, the
    /// working folder. Always absolute.
    pub fn home(&self) -> PathBuf {
        let plain = self.plain_home();
        match self.get("CODERCLAW_HOME") {
            Some(path) => self.absolute(&expand_tilde(path, &plain)),
            None => plain,
        }
    }

    /// `path` with a leading `~` replaced by [`Env::home`], made absolute against the working folder.
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.absolute(&expand_tilde(path, &self.home()))
    }

    /// The folder that the process was started in.
    pub fn cwd(&self) -> &Path {
        &self.cwd
    }

    /// The home folder as other programs see it, whatever `CODERCLAW_HOME` says. Always absolute.
    pub fn plain_home(&self) -> PathBuf {
        let named = self.get("HOME").or_else(|| self.get("USERPROFILE")).map(PathBuf::from);
        self.absolute(&named.or_else(|| self.os_home.clone()).unwrap_or_else(|| self.cwd.clone()))
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        self.cwd.join(path)
    }
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Env")
            .field("names", &self.vars.keys())
            .field("cwd", &self.cwd)
            .finish_non_exhaustive()
    }
}

fn expand_tilde(path: &str, home: &Path) -> PathBuf {
    match path.strip_prefix('~') {
        Some("") => home.to_path_buf(),
        Some(rest) if rest.starts_with(['/', '\\']) => home.join(&rest[1..]),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(vars: &[(&str, &str)]) -> Env {
        let vars = vars.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        Env::new(vars, Some("/os-home".into()), "/cwd".into())
    }

    #[test]
    fn home_precedence() {
        let table: [(&[(&str, &str)], &str); 7] = [
            (&[("CODERCLAW_HOME", "/a"), ("HOME", "/b")], "/a"),
            (&[("CODERCLAW_HOME", "~/x"), ("HOME", "/b")], "/b/x"),
            (&[("CODERCLAW_HOME", "~"), ("HOME", "/b")], "/b"),
            (&[("HOME", "/b"), ("USERPROFILE", "/c")], "/b"),
            (&[("USERPROFILE", "/c")], "/c"),
            (&[("HOME", "  ")], "/os-home"),
            (&[("HOME", "rel")], "/cwd/rel"),
        ];
        for (vars, home) in table {
            assert_eq!(env(vars).home(), Path::new(home), "{vars:?}");
        }
        assert_eq!(Env::new([], None, "/cwd".into()).home(), Path::new("/cwd"));
    }

    #[test]
    fn values_are_trimmed_and_never_printed() {
        let env = env(&[("OPENAI_API_KEY", " sk-canary "), ("EMPTY", " ")]);
        assert_eq!(env.get("OPENAI_API_KEY"), Some("sk-canary"));
        assert_eq!(env.get("EMPTY"), None);
        assert!(!format!("{env:?}").contains("canary"));
    }
}

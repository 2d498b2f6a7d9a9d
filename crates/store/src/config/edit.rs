//! Changing `coderclaw.json`: under its lock, read again, checked, the old one kept, replaced as a whole.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use coderclaw_types::Env;

use super::check::{self, Problem};
use super::doc::{ConfigDoc, ConfigEditError};
use super::source::Source;
use super::{Config, ConfigError, ConfigProblem, Step};
use crate::commit::{WriteError, is_mount_point, replace};
use crate::locks::ConfigGuard;
use crate::paths::StateDir;
use crate::read::{read_text, with_suffix};

/// How many older backups there are beside `.bak`, as the original has them.
const OLDER_BACKUPS: u32 = 4;

/// What became of a change.
#[derive(Debug)]
pub struct ConfigEdit<T> {
    /// What the change returned.
    pub value: T,
    /// The config's path, as it is named; a link is not followed.
    pub path: PathBuf,
    /// Whether there was anything to write.
    pub is_changed: bool,
    /// What is wrong in parts that were not touched: it harms nobody here, and should be known.
    pub problems: Vec<ConfigProblem>,
}

/// Changes the config under its lock. `change` sees it as it is now and says what is to be different; nothing is written
/// where it fails, where nothing is different, or where the result would not be understood.
///
/// The old text is kept as `.bak`, and those before it as `.bak.1` to `.bak.4`.
///
/// # Errors
/// What `change` says; else why the config cannot be read, locked or written.
pub fn edit_config<T, E: From<ConfigEditError>>(
    state: &StateDir,
    env: &Env,
    change: impl FnOnce(&mut ConfigDoc) -> Result<T, E>,
) -> Result<ConfigEdit<T>, E> {
    let path = state.config_path();
    let lift = |e: ConfigEditError| E::from(e);
    let guard = ConfigGuard::acquire(state, path).map_err(|e| lift(e.into()))?;
    let old = read_text(path).map_err(|e| lift(ConfigEditError::Config(e.into())))?;
    let text = old.as_deref().unwrap_or("{}\n");
    let mut doc = ConfigDoc::parse(path, text, env).map_err(|e| lift(e.into()))?;
    let value = change(&mut doc)?;
    let new = doc.text();
    let is_changed = new != text;
    let mut problems = Vec::new();
    if is_changed {
        problems = judge(state, env, text, &new).map_err(|e| lift(e.into()))?;
        commit(&guard, path, env, old.as_deref(), &new).map_err(lift)?;
    }
    Ok(ConfigEdit { value, path: path.to_path_buf(), is_changed, problems })
}

/// Whether `new` may replace `old`: it has no mistake that `old` did not have, and none in a section that is changed,
/// unless the change is a step towards repairing it. Gives the mistakes that stay.
fn judge(state: &StateDir, env: &Env, old: &str, new: &str) -> Result<Vec<ConfigProblem>, ConfigError> {
    let path = state.config_path();
    let (before, after) = (Source::parse(path, old, env)?, Source::parse(path, new, env)?);
    let mut known = check::whole(&before.root);
    let found = check::whole(&after.root);
    let repairs = found.len() < known.len();
    let is_touched = |problem: &Problem| match problem.key.steps().first() {
        Some(Step::Key(section)) => before.root.get(section) != after.root.get(section),
        _ => false,
    };
    for problem in &found {
        let same = |one: &Problem| {
            one.what == problem.what && one.key.without_indexes() == problem.key.without_indexes()
        };
        let was_there = known.iter().position(same).map(|at| known.swap_remove(at)).is_some();
        if !was_there {
            return Err(ConfigError::Invalid(after.placed(problem.clone(), new)));
        }
        if !problem.is_harmless && is_touched(problem) && !repairs {
            return Err(ConfigError::Invalid(before.placed(problem.clone(), old)));
        }
    }
    if found.iter().all(|problem| !problem.is_vital) && after.unset.is_empty() {
        let shared =
            |text: &str| Config::parse(path, text, env).and_then(|config| config.check_agent_dirs(state));
        if let Err(e) = shared(new)
            && shared(old).is_ok()
        {
            return Err(e);
        }
    }
    Ok(found.into_iter().map(|problem| after.placed(problem, new)).collect())
}

fn commit(
    guard: &ConfigGuard,
    path: &Path,
    env: &Env,
    old: Option<&str>,
    new: &str,
) -> Result<(), ConfigEditError> {
    let target = guard.target();
    if env.get("CODERCLAW_NIX_MODE") == Some("1") {
        return Err(ConfigEditError::Managed { path: path.to_path_buf() });
    }
    if let Ok(meta) = fs::metadata(target) {
        let (owner, me) = (meta.uid(), rustix::process::geteuid().as_raw());
        if owner != me {
            return Err(WriteError::NotOwner { path: target.to_path_buf(), owner, me }.into());
        }
        if meta.permissions().mode() & 0o200 == 0 {
            return Err(ConfigEditError::ReadOnly { path: target.to_path_buf() });
        }
    }
    if is_mount_point(target) {
        return Err(WriteError::SingleFileMount { path: target.to_path_buf() }.into());
    }
    if let Some(old) = old {
        keep_old(path, old)?;
    }
    Ok(replace(target, new.as_bytes())?)
}

/// Moves each backup one place back, and puts `old` in the first.
fn keep_old(path: &Path, old: &str) -> Result<(), WriteError> {
    let numbered = |n: u32| match n {
        0 => with_suffix(path, ".bak"),
        n => with_suffix(path, &format!(".bak.{n}")),
    };
    for n in (0..OLDER_BACKUPS).rev() {
        let (from, to) = (numbered(n), numbered(n + 1));
        #[expect(clippy::disallowed_methods, reason = "a backup moves on to its next name")]
        match fs::rename(&from, &to) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(WriteError::io(&to)(e)),
            _ => {}
        }
    }
    replace(&numbered(0), old.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use coderclaw_types::Code;
    use serde_json::json;

    use super::*;
    use crate::KeyPath;

    struct World {
        tmp: tempfile::TempDir,
        env: Env,
        state: StateDir,
    }

    impl World {
        fn new(config: Option<&str>) -> Self {
            let tmp = tempfile::tempdir().unwrap();
            let root = tmp.path().join("state");
            let env = Env::new([("CODERCLAW_STATE_DIR".into(), root.clone().into())], None, "/".into());
            let world = Self { state: StateDir::from_env(&env), tmp, env };
            if let Some(text) = config {
                fs::create_dir(&root).unwrap();
                fs::write(world.path(), text).unwrap();
            }
            world
        }

        fn path(&self) -> &Path {
            self.state.config_path()
        }

        fn text(&self) -> String {
            fs::read_to_string(self.path()).unwrap()
        }

        fn set(&self, key: &str, value: serde_json::Value) -> Result<ConfigEdit<()>, ConfigEditError> {
            edit_config(&self.state, &self.env, |doc| doc.set(&key.parse().unwrap(), value))
        }

        fn files(&self) -> Vec<String> {
            let names = fs::read_dir(self.state.root()).unwrap();
            let mut names: Vec<_> = names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    #[test]
    fn a_missing_config_is_made_private() {
        let world = World::new(None);
        let edit = world.set("agents.defaults.model.primary", json!("a/b")).unwrap();
        assert!(edit.is_changed);
        let value = json!({"agents": {"defaults": {"model": {"primary": "a/b"}}}});
        assert_eq!(world.text(), format!("{value:#}\n"));
        assert_eq!(fs::metadata(world.path()).unwrap().mode() & 0o777, 0o600);
        assert_eq!(world.files(), ["coderclaw.json", "locks"]);
    }

    #[test]
    fn nothing_is_written_where_nothing_changes() {
        let world = World::new(Some("{meta: 1}"));
        fs::set_permissions(world.path(), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(!world.set("meta", json!(1)).unwrap().is_changed);
        assert_eq!(world.text(), "{meta: 1}");
        assert_eq!(world.files(), ["coderclaw.json", "locks"]);
        let failed: Result<ConfigEdit<()>, ConfigEditError> = edit_config(&world.state, &world.env, |doc| {
            doc.set(&KeyPath::keys(["meta"]), json!(2))?;
            doc.set(&KeyPath::keys(["meta", "b"]), json!(2))
        });
        assert_eq!(failed.unwrap_err().code(), Code::Usage);
        assert_eq!(world.text(), "{meta: 1}");
    }

    #[test]
    fn five_old_texts_are_kept() {
        let world = World::new(Some("{meta: 0}"));
        for n in 1..=7 {
            world.set("meta", json!(n)).unwrap();
        }
        for (suffix, n) in [("", 7), (".bak", 6), (".bak.1", 5), (".bak.2", 4), (".bak.3", 3), (".bak.4", 2)]
        {
            let path = with_suffix(world.path(), suffix);
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{{meta: {n}}}"), "{suffix}");
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600, "{suffix}");
        }
        assert_eq!(world.files().len(), 7);
    }

    #[test]
    fn a_linked_config_stays_a_link() {
        let world = World::new(Some("{meta: 1}"));
        let real = world.tmp.path().join("dotfiles.json");
        fs::write(&real, "{meta: 1} // kept").unwrap();
        fs::remove_file(world.path()).unwrap();
        symlink(&real, world.path()).unwrap();
        world.set("meta", json!(2)).unwrap();
        assert!(fs::symlink_metadata(world.path()).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "{meta: 2} // kept");
        fs::remove_file(&real).unwrap();
        let error = world.set("meta", json!(3)).unwrap_err();
        assert_eq!(error.code(), Code::NotWritable, "{error}");
    }

    /// What is not understood, now or after the change, is never replaced.
    #[test]
    fn a_config_is_refused_rather_than_damaged() {
        for text in ["{torn", "[]", "{ui: {order: 7} a: 1}"] {
            let world = World::new(Some(text));
            assert_eq!(world.set("ui", json!(1)).unwrap_err().code(), Code::ConfigInvalid, "{text}");
            assert_eq!(world.text(), text);
            assert_eq!(world.files(), ["coderclaw.json", "locks"]);
        }
        let world = World::new(Some("{}"));
        assert_eq!(world.set("auth.order", json!([])).unwrap_err().code(), Code::ConfigInvalid);
        assert_eq!(world.text(), "{}");
    }

    /// A mistake elsewhere is told and does no harm; one in the section that is changed is repaired first.
    #[test]
    fn mistakes_that_are_there_already() {
        let world = World::new(Some("{auth: {x: 1, y: 2}, session: {z: 1}, sesion: {}}"));
        let edit = world.set("agents.defaults.model.primary", json!("a/b")).unwrap();
        assert_eq!(edit.problems.len(), 4, "{:?}", edit.problems);
        let error = world.set("auth.order.openai", json!(["a:b"])).unwrap_err().to_string();
        assert!(error.contains(":2:10: `auth.x`"), "{error}");
        for key in ["auth.x", "auth.y", "session.z", "sesion"] {
            edit_config(&world.state, &world.env, |doc| doc.remove(&key.parse().unwrap()))
                .map_err(|e: ConfigEditError| e.to_string())
                .unwrap();
        }
        assert!(world.set("auth.order.openai", json!(["a:b"])).unwrap().problems.is_empty());
        let error = world.set("agents.list[0]", json!({"name": "x"})).unwrap_err().to_string();
        assert!(error.contains("`agents.list[0].id` is missing"), "{error}");
        let error =
            world.set("agents.list", json!([{"id": "a", "agentDir": "/x"}, {"id": "b", "agentDir": "/x"}]));
        assert!(error.unwrap_err().to_string().contains("have one folder"));
    }

    #[test]
    fn who_may_not_write_is_told_why() {
        let world = World::new(Some("{}"));
        fs::set_permissions(world.path(), fs::Permissions::from_mode(0o400)).unwrap();
        let error = world.set("meta", json!(1)).unwrap_err();
        assert!(matches!(error, ConfigEditError::ReadOnly { .. }), "{error}");
        fs::set_permissions(world.path(), fs::Permissions::from_mode(0o600)).unwrap();
        let env = world.env.clone().with("CODERCLAW_NIX_MODE", "1");
        let managed: Result<ConfigEdit<()>, ConfigEditError> =
            edit_config(&world.state, &env, |doc| doc.set(&KeyPath::keys(["meta"]), json!(1)));
        assert!(matches!(managed.unwrap_err(), ConfigEditError::Managed { .. }));
        assert_eq!(world.text(), "{}");
    }

    #[test]
    fn what_another_file_brings_is_changed_there() {
        let world = World::new(Some("{$include: './base.json5', ui: 1}"));
        fs::write(world.state.root().join("base.json5"), "{agents: {list: [{id: 'a'}]}}").unwrap();
        for key in ["agents.list[0].id", "agents.list", "agents", "agents.list[1]"] {
            let error = world.set(key, json!({})).unwrap_err();
            assert!(error.to_string().contains("base.json5"), "{key}: {error}");
        }
        let pushed = edit_config(&world.state, &world.env, |doc| {
            doc.push(&KeyPath::keys(["agents", "list"]), json!({"id": "b"}))
        });
        let pushed: ConfigEditError = pushed.unwrap_err();
        assert_eq!(pushed.code(), Code::NotWritable);
        world.set("agents.defaults.model.primary", json!("a/b")).unwrap();
        let view =
            edit_config(&world.state, &world.env, |doc| Ok::<_, ConfigEditError>(doc.view()?)).unwrap();
        assert_eq!(view.value.agents()[0].as_str(), "a");
        assert_eq!(view.value.default_model().0, Some("a/b"));
    }

    /// Thirty-two threads that change different places lose nothing.
    #[test]
    fn changes_at_once_are_all_there() {
        let world = World::new(Some("{meta: {}} // stays"));
        std::thread::scope(|scope| {
            for n in 0..32 {
                let world = &world;
                scope.spawn(move || world.set(&format!("meta.k{n}"), json!(n)).unwrap());
            }
        });
        let read: serde_json::Value =
            jsonc_parser::parse_to_serde_value(&world.text(), &Default::default()).unwrap();
        assert_eq!(read["meta"].as_object().unwrap().len(), 32);
        assert!(world.text().ends_with("// stays"));
    }
}

//! Connecting and disconnecting: first a plan that a person can look at, then the write, if nothing has changed meanwhile.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use coderclaw_types::{Millis, sha256_parts};
use serde_json::Map;

use super::record::Records;
use super::syntax::Settings;
use super::{ConnectError, Connection, ConnectionPlan, SettingChange, ToolSetting, ToolSettings, backup};
use crate::commit::{WriteError, is_mount_point, private_folder, replace, replace_as};
use crate::locks::{ConnectionsGuard, real_path};
use crate::paths::StateDir;
use crate::read::read_text;

/// What connecting the program would write. What an earlier connection wrote is ours to change, everything else is a
/// conflict. Reads only.
///
/// # Errors
/// Where the settings cannot be read or understood, or what stands in the way is of another kind.
pub fn plan_connection(
    state: &StateDir,
    settings: &ToolSettings,
    wanted: &[ToolSetting],
    now: Millis,
) -> Result<ConnectionPlan, ConnectError> {
    let was = Records::read(&state.connections())?.of(&settings.tool, &settings.path).cloned();
    let old = read_text(&settings.path)?;
    let current = parse(settings, old.as_deref())?;
    let mut without = parse(settings, old.as_deref())?;
    let left = undo(&mut without, was.as_ref());
    let is_ours = |key: &[String]| {
        let mut all = was.iter().flat_map(|was| &was.changes);
        all.any(|one| one.key == key && one.after.is_some() && one.after == current.get(key))
    };
    let differs = |one: &&ToolSetting| {
        !is_ours(&one.key) && without.get(&one.key).is_some_and(|value| value != one.value)
    };
    let change = |one: &ToolSetting| SettingChange {
        key: one.key.clone(),
        before: without.get(&one.key),
        after: Some(one.value.clone()),
    };
    let conflicts: Vec<SettingChange> = wanted.iter().filter(differs).map(change).collect();
    let recorded: Vec<SettingChange> = wanted.iter().map(change).collect();
    let places = |changes: &[SettingChange]| changes.iter().map(|one| one.key.clone()).collect::<Vec<_>>();
    let stands = was.as_ref().is_some_and(|was| places(&was.changes) == places(&recorded))
        && wanted.iter().all(|one| current.get(&one.key).as_ref() == Some(&one.value));
    let mut after = without;
    let new = if stands {
        old.clone()
    } else {
        for one in wanted {
            if !after.put(&one.key, Some(&one.value)) {
                return Err(entangled(settings, &one.key));
            }
        }
        Some(after.text())
    };
    let changes = if stands { Vec::new() } else { differences(&current, &after, was.as_ref(), &recorded) };
    let record = Connection {
        tool: settings.tool.clone(),
        path: settings.path.clone(),
        connected_at: was.as_ref().map_or(now, |was| was.connected_at),
        changes: recorded,
        written: new.as_deref().map(hash).unwrap_or_default(),
        found: was
            .as_ref()
            .map_or_else(|| old.as_deref().map(hash).unwrap_or_default(), |was| was.found.clone()),
        made_file: was.as_ref().map_or(old.is_none(), |was| was.made_file),
        made_folder: was
            .as_ref()
            .map_or_else(|| settings.path.parent().is_some_and(|dir| !dir.exists()), |was| was.made_folder),
        gateway_key: was.as_ref().and_then(|was| was.gateway_key.clone()),
        more: was.as_ref().map_or_else(Map::new, |was| was.more.clone()),
    };
    let settings = settings.clone();
    Ok(ConnectionPlan { settings, old, new, record: Some(record), was, changes, conflicts, left })
}

/// What disconnecting the program would take back: what was written and still stands as it was written. Reads only.
///
/// # Errors
/// Where it is not connected, or its settings cannot be read or understood.
pub fn plan_disconnection(state: &StateDir, settings: &ToolSettings) -> Result<ConnectionPlan, ConnectError> {
    let (tool, path) = (settings.tool.clone(), settings.path.clone());
    let was = Records::read(&state.connections())?.of(&tool, &path).cloned();
    let Some(was) = was else { return Err(ConnectError::NotConnected { tool, path }) };
    let old = read_text(&path)?;
    let current = parse(settings, old.as_deref())?;
    let mut after = parse(settings, old.as_deref())?;
    let left = undo(&mut after, Some(&was));
    let changes = differences(&current, &after, Some(&was), &[]);
    let is_untouched = old.as_deref().is_some_and(|text| hash(text) == was.written);
    let is_empty = after.value().as_object().is_some_and(Map::is_empty);
    let new = match old {
        None => None,
        Some(_) if was.made_file && is_empty => None,
        // To the byte what it was, if nobody has touched it since.
        Some(_) if is_untouched && !was.made_file => match read_text(&backup(&path)) {
            Ok(Some(text)) if hash(&text) == was.found => Some(text),
            _ => Some(after.text()),
        },
        Some(_) => Some(after.text()),
    };
    let settings = settings.clone();
    Ok(ConnectionPlan {
        settings,
        old,
        new,
        record: None,
        was: Some(was),
        changes,
        conflicts: Vec::new(),
        left,
    })
}

impl ConnectionPlan {
    /// Writes it. `gateway_key` is the id of the key that was made for the program.
    ///
    /// The record comes first when connecting and last when disconnecting, so that a connection that was cut off can be
    /// undone.
    ///
    /// # Errors
    /// Where the file is not what the plan has seen, or the disk does not take it.
    pub fn commit(self, state: &StateDir, gateway_key: Option<String>) -> Result<(), ConnectError> {
        let Self { settings, old, new, record, was, left, .. } = self;
        let path = &settings.path;
        let guard = ConnectionsGuard::acquire(state)?;
        let records = Records::read(guard.target())?;
        if records.of(&settings.tool, path) != was.as_ref() || read_text(path)? != old {
            return Err(ConnectError::Changed { path: path.clone() });
        }
        if record.is_some()
            && let Some(folder) = path.parent()
        {
            private_folder(folder)?;
        }
        let target = if new == old { None } else { Some(real_path(path)?) };
        if let Some(target) = &target {
            check(target)?;
        }
        let backup = backup(path);
        let is_connecting = record.is_some();
        let made_folder = was.as_ref().is_some_and(|was| was.made_folder);
        if is_connecting {
            if was.is_none()
                && let Some(old) = &old
            {
                replace(&backup, old.as_bytes())?;
            }
            let record = record.map(|record| Connection { gateway_key, ..record });
            records.write(&guard, &settings.tool, path, record)?;
            if let (Some(target), Some(new)) = (target, new) {
                write(&target, &new)?;
            }
            return Ok(());
        }
        match (target, new) {
            (Some(target), Some(new)) => write(&target, &new)?,
            (Some(target), None) => fs::remove_file(&target).map_err(WriteError::io(&target))?,
            (None, _) => {}
        }
        if left.is_empty() {
            // It has nothing that the file does not have.
            drop(fs::remove_file(&backup));
        }
        if made_folder && let Some(folder) = path.parent() {
            // Only if it is empty.
            drop(fs::remove_dir(folder));
        }
        Records::read(guard.target())?.write(&guard, &settings.tool, path, None)
    }
}

fn parse(settings: &ToolSettings, text: Option<&str>) -> Result<Settings, ConnectError> {
    Settings::parse(&settings.path, settings.format, text.unwrap_or_default())
}

/// Takes back what was written and still stands as it was written. Gives what was changed since.
fn undo(doc: &mut Settings, was: Option<&Connection>) -> Vec<SettingChange> {
    let mut left = Vec::new();
    for change in was.iter().flat_map(|was| was.changes.iter().rev()) {
        let now = doc.get(&change.key);
        if now == change.before || (now == change.after && doc.put(&change.key, change.before.as_ref())) {
            continue;
        }
        left.push(SettingChange { key: change.key.clone(), before: change.after.clone(), after: now });
    }
    left.reverse();
    left
}

fn differences(
    current: &Settings,
    after: &Settings,
    was: Option<&Connection>,
    wanted: &[SettingChange],
) -> Vec<SettingChange> {
    let mut keys: Vec<&Vec<String>> = Vec::new();
    for one in was.iter().flat_map(|was| &was.changes).chain(wanted) {
        if !keys.contains(&&one.key) {
            keys.push(&one.key);
        }
    }
    let change = |key: &Vec<String>| SettingChange {
        key: key.clone(),
        before: current.get(key),
        after: after.get(key),
    };
    keys.into_iter().map(change).filter(|one| one.before != one.after).collect()
}

fn entangled(settings: &ToolSettings, key: &[String]) -> ConnectError {
    let detail = format!("`{}` cannot be set without touching what stands around it", key.join("."));
    ConnectError::Invalid { path: settings.path.clone(), detail }
}

/// Whether the file is one that this user may replace.
fn check(target: &Path) -> Result<(), ConnectError> {
    if let Ok(meta) = fs::metadata(target) {
        let (owner, me) = (meta.uid(), rustix::process::geteuid().as_raw());
        if owner != me {
            return Err(WriteError::NotOwner { path: target.to_path_buf(), owner, me }.into());
        }
        if meta.permissions().mode() & 0o200 == 0 {
            return Err(ConnectError::ReadOnly { path: target.to_path_buf() });
        }
    }
    if is_mount_point(target) {
        return Err(WriteError::SingleFileMount { path: target.to_path_buf() }.into());
    }
    Ok(())
}

fn write(target: &Path, text: &str) -> Result<(), WriteError> {
    let mode = fs::metadata(target).ok().map(|meta| meta.permissions());
    replace_as(target, text.as_bytes(), mode)
}

fn hash(text: &str) -> String {
    let hash = sha256_parts("settings", &[text.as_bytes()]);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

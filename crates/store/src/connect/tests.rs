use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use proptest::prelude::*;
use serde_json::json;

use super::record::Records;
use super::*;
use crate::StateDir;

struct World {
    tmp: tempfile::TempDir,
    state: StateDir,
}

impl World {
    fn new() -> Self {
        let (tmp, state) = StateDir::temporary();
        Self { state, tmp }
    }

    fn json(&self) -> ToolSettings {
        let path = self.tmp.path().join("tool/settings.json");
        ToolSettings { tool: "one".into(), path, format: SettingsFormat::Json }
    }

    fn toml(&self) -> ToolSettings {
        let path = self.tmp.path().join("tool/config.toml");
        ToolSettings { tool: "two".into(), path, format: SettingsFormat::Toml }
    }

    fn put(&self, settings: &ToolSettings, text: &str) {
        fs::create_dir_all(settings.path.parent().unwrap()).unwrap();
        fs::write(&settings.path, text).unwrap();
    }

    fn connect(&self, settings: &ToolSettings, wanted: &[ToolSetting]) -> Result<bool, ConnectError> {
        let plan = plan_connection(&self.state, settings, wanted, Millis(7))?;
        let is_done = plan.is_done();
        plan.commit(&self.state, None)?;
        Ok(is_done)
    }

    fn disconnect(&self, settings: &ToolSettings) -> Vec<SettingChange> {
        let mut plan = plan_disconnection(&self.state, settings).unwrap();
        let left = std::mem::take(&mut plan.left);
        plan.left.clone_from(&left);
        plan.commit(&self.state, None).unwrap();
        left
    }
}

fn text(settings: &ToolSettings) -> String {
    fs::read_to_string(&settings.path).unwrap()
}

fn setting(key: &[&str], value: Value) -> ToolSetting {
    ToolSetting { key: key.iter().map(|key| (*key).to_owned()).collect(), value }
}

fn helper(value: &str) -> Vec<ToolSetting> {
    vec![setting(&["apiKeyHelper"], json!(value)), setting(&["env", "BASE"], json!("http://x"))]
}

fn provider(command: &str) -> Vec<ToolSetting> {
    let table = json!({"name": "C", "auth": {"command": command, "args": ["a b", "c"], "timeout_ms": 30}});
    vec![setting(&["model_provider"], json!("c")), setting(&["model_providers", "c"], table)]
}

/// Whatever stood in the file: connecting adds ours and nothing else, and disconnecting gives the file back to the byte.
#[test]
fn a_file_comes_back_to_the_byte() {
    let world = World::new();
    let jsons = [
        "{}",
        "",
        "{}\n",
        "{\"a\":1}",
        "{\n  \"a\": 1,\n  \"env\": {\n    \"B\": \"x\"\n  }\n}\n",
        "{\n\t\"env\": {},\n\t// mine\n\t\"z\": [1,  2],\n}\n",
        "{\"apiKeyHelper\": null}",
    ];
    for old in jsons {
        world.put(&world.json(), old);
        assert!(!world.connect(&world.json(), &helper("h")).unwrap(), "{old}");
        let new: Value = crate::json5_value(&text(&world.json())).unwrap();
        assert_eq!((&new["apiKeyHelper"], &new["env"]["BASE"]), (&json!("h"), &json!("http://x")), "{old}");
        assert!(world.connect(&world.json(), &helper("h")).unwrap(), "twice is nothing");
        assert_eq!(world.disconnect(&world.json()), []);
        assert_eq!(text(&world.json()), old);
    }
    let tomls = [
        "",
        "# mine\nmodel = \"x\" # why\n\n[model_providers.other]\nname = 'o'\n\n# end\n",
        "model_providers.other.name = 'o'\n",
        "model_providers = { other = { name = 'o' } }\n",
        "[[list]]\na = 1\n[tui]\nx = 1979-05-27\n",
    ];
    for old in tomls {
        world.put(&world.toml(), old);
        world.connect(&world.toml(), &provider("h")).unwrap();
        let new = text(&world.toml());
        let read: toml_edit::DocumentMut = new.parse().unwrap_or_else(|e| panic!("{e}: {new}"));
        assert_eq!(read["model_provider"].as_str(), Some("c"), "{new}");
        assert_eq!(read["model_providers"]["c"]["auth"]["args"][0].as_str(), Some("a b"), "{new}");
        assert_eq!(old.contains("mine"), new.contains("# mine") && new.contains("# why"), "{new}");
        assert!(world.connect(&world.toml(), &provider("h")).unwrap());
        assert_eq!(world.disconnect(&world.toml()), []);
        assert_eq!(text(&world.toml()), old);
    }
    let names: Vec<_> =
        fs::read_dir(world.tmp.path().join("tool")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "no backup is left: {names:?}");
}

/// What was edited since stays: next to ours, and in the place of ours.
#[test]
fn edits_made_since_stay() {
    let world = World::new();
    world.put(&world.json(), "{\n  \"a\": 1\n}\n");
    world.connect(&world.json(), &helper("h")).unwrap();
    let edited =
        text(&world.json()).replace("\"a\": 1", "\"a\": 2, \"b\": true").replace("http://x", "http://mine");
    world.put(&world.json(), &edited);
    let left = world.disconnect(&world.json());
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].key.join("."), &left[0].after), ("env.BASE".into(), &Some(json!("http://mine"))));
    let now: Value = serde_json::from_str(&text(&world.json())).unwrap();
    assert_eq!(now, json!({"a": 2, "b": true, "env": {"BASE": "http://mine"}}));
    assert!(backup(&world.json().path).exists(), "the old file is kept where not all was undone");
    assert_eq!(plan_disconnection(&world.state, &world.json()).unwrap_err().code(), Code::NotConnected);

    world.put(&world.toml(), "model_provider = 'azure'\n");
    world.connect(&world.toml(), &provider("h")).unwrap();
    let edited = text(&world.toml()) + "retries = 2\n\n[tui]\nx = 1\n";
    world.put(&world.toml(), &edited);
    let left = world.disconnect(&world.toml());
    assert_eq!(left[0].key, ["model_providers", "c"], "a table with a key of somebody else is left whole");
    let now = text(&world.toml());
    assert!(now.contains("model_provider = \"azure\"") && now.contains("retries = 2"), "{now}");
}

/// A setting of somebody's own is a conflict; ours of an earlier time is not, and what stood there first is what comes back.
#[test]
fn only_ours_is_changed_without_asking() {
    let world = World::new();
    let old = "{\"apiKeyHelper\": \"theirs\", \"env\": {\"BASE\": \"http://x\"}}";
    world.put(&world.json(), old);
    let plan = plan_connection(&world.state, &world.json(), &helper("h"), Millis(7)).unwrap();
    assert_eq!(plan.conflicts.len(), 1);
    assert_eq!(plan.conflicts[0].before, Some(json!("theirs")));
    plan.commit(&world.state, Some("gk_1".into())).unwrap();
    let plan = plan_connection(&world.state, &world.json(), &helper("h2"), Millis(8)).unwrap();
    assert_eq!((plan.conflicts.len(), plan.gateway_key()), (0, Some("gk_1")));
    assert_eq!(plan.changes[0].before, Some(json!("h")));
    plan.commit(&world.state, None).unwrap();
    assert_eq!(Records::read(&world.state.connections()).unwrap().connections[0].connected_at, Millis(7));
    // Without one of its settings, that one goes.
    world.connect(&world.json(), &helper("h2")[..1]).unwrap();
    assert_eq!(world.disconnect(&world.json()), []);
    let now: Value = serde_json::from_str(&text(&world.json())).unwrap();
    assert_eq!(now, json!({"apiKeyHelper": "theirs", "env": {"BASE": "http://x"}}));
}

/// Links stay links, modes stay, a file and a folder of ours go again; the old file is kept, private.
#[test]
fn the_file_stays_what_it_was_otherwise() {
    let world = World::new();
    let real = world.tmp.path().join("dotfiles.json");
    fs::write(&real, "{}").unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o644)).unwrap();
    fs::create_dir(world.tmp.path().join("tool")).unwrap();
    symlink(&real, world.json().path).unwrap();
    world.connect(&world.json(), &helper("h")).unwrap();
    assert!(fs::symlink_metadata(world.json().path).unwrap().is_symlink());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&real), mode(&backup(&world.json().path))), (0o644, 0o600));
    world.disconnect(&world.json());
    fs::remove_dir_all(world.tmp.path().join("tool")).unwrap();
    world.connect(&world.toml(), &provider("h")).unwrap();
    assert_eq!((mode(&world.toml().path), mode(world.toml().path.parent().unwrap())), (0o600, 0o700));
    assert_eq!(mode(&world.state.connections()), 0o600);
    world.disconnect(&world.toml());
    assert!(!world.tmp.path().join("tool").exists());
}

/// What is not understood, read-only, or leads nowhere is named and left alone.
#[test]
fn bad_files_are_named() {
    let world = World::new();
    let cases: [(&[u8], &str); 6] = [
        (b"{not json", "line 1"),
        (b"[]", "an object is wanted"),
        (b"\"text\"", "an object is wanted"),
        (b"{\"env\": \"x\"}", "`env.BASE` cannot be set"),
        (b"{\"a\": 1} {", "line 1"),
        (b"\xff\xfe", "not UTF-8"),
    ];
    for (bytes, said) in cases {
        fs::create_dir_all(world.json().path.parent().unwrap()).unwrap();
        fs::write(world.json().path, bytes).unwrap();
        let error = plan_connection(&world.state, &world.json(), &helper("h"), Millis(7)).unwrap_err();
        assert_eq!(error.code(), Code::SettingsInvalid, "{error}");
        assert!(error.to_string().contains(said) && error.to_string().contains("settings.json"), "{error}");
        assert_eq!(fs::read(world.json().path).unwrap(), bytes);
    }
    world.put(&world.toml(), "a = 1\nb = \n");
    let error = world.connect(&world.toml(), &provider("h")).unwrap_err();
    assert!(error.to_string().contains("line 2"), "{error}");
    world.put(&world.json(), "{}");
    fs::set_permissions(world.json().path, fs::Permissions::from_mode(0o444)).unwrap();
    let error = world.connect(&world.json(), &helper("h")).unwrap_err();
    assert!(error.code() == Code::NotWritable && error.to_string().contains("chmod u+w"), "{error}");
    assert_eq!(text(&world.json()), "{}");
    fs::remove_file(world.json().path).unwrap();
    symlink(world.tmp.path().join("gone"), world.json().path).unwrap();
    let error = world.connect(&world.json(), &helper("h")).unwrap_err();
    assert!(error.to_string().contains("a link to a file that is not there"), "{error}");
}

/// A file that changes between the look and the write is not touched.
#[test]
fn a_file_that_changes_meanwhile_is_not_written() {
    let world = World::new();
    world.put(&world.json(), "{}");
    let plan = plan_connection(&world.state, &world.json(), &helper("h"), Millis(7)).unwrap();
    world.put(&world.json(), "{\"theirs\": 1}");
    assert_eq!(plan.commit(&world.state, None).unwrap_err().code(), Code::SettingsChanged);
    assert_eq!(text(&world.json()), "{\"theirs\": 1}");
    assert_eq!(Records::read(&world.state.connections()).unwrap().connections, []);
}

/// A connection that was cut off before its last step is finished by the next one, and can be undone.
#[test]
fn a_connection_that_was_cut_off_harms_nothing() {
    let world = World::new();
    world.put(&world.json(), "{}");
    world.connect(&world.json(), &helper("h")).unwrap();
    // As if the file had never been written, and as if the record had been left over.
    world.put(&world.json(), "{}");
    assert!(!world.connect(&world.json(), &helper("h")).unwrap());
    world.put(&world.json(), "{}");
    assert_eq!(world.disconnect(&world.json()), []);
    assert_eq!(text(&world.json()), "{}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// For any settings: ours are there afterwards, everything else says what it said, and it comes back.
    #[test]
    fn nothing_else_is_touched(keys in proptest::collection::btree_map("[a-c ]{1,2}", "[a-z\"'\\\\é]{0,4}", 0..5)) {
        let mut doc = json!({"env": &keys});
        for (key, value) in &keys {
            doc[key] = json!({"x": value});
        }
        let mut settings = syntax::Settings::parse(Path::new("x"), SettingsFormat::Json, &doc.to_string()).unwrap();
        prop_assert!(settings.put(&["env".into(), "BASE".into()], Some(&json!("u"))));
        prop_assert!(settings.put(&["apiKeyHelper".into()], Some(&json!("h"))));
        prop_assert!(settings.put(&["env".into(), "BASE".into()], None));
        prop_assert!(settings.put(&["apiKeyHelper".into()], None));
        let empty = keys.is_empty();
        if empty {
            doc = json!({});
        }
        prop_assert_eq!(settings.value(), doc);
    }
}

//! `import openclaw` from the databases of its later versions, made by SQLite itself. They are never written, nor is
//! anything beside them.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::profiles::{HOUR, store};
use crate::world::{ME, PROVIDER, Ran, World};

const OTHER: &str = "openai-codex:other@example.com";

/// Makes a database of an agent and one of the state, as their program does: with a log beside it, and a row in each table
/// that is asked for. Says so, and closes them when its input ends.
const MAKE: &str = r#"
import json, sqlite3, sys
path, mode, rows = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
db = sqlite3.connect(path)
if mode.startswith("UTF"):
    db.execute("PRAGMA encoding = '%s'" % mode)
    mode = "wal"
without_rowid = mode == "without rowid"
db.execute("PRAGMA journal_mode = " + ("wal" if without_rowid else mode))
db.execute("CREATE TABLE IF NOT EXISTS sessions (id INTEGER PRIMARY KEY, entry TEXT)")
db.executemany("INSERT INTO sessions (entry) VALUES (?)", [("turn " * 400,)] * 50)
for table, key, value in rows:
    columns = ("state_key", "value_json", "updated_at_ms") if "state" in table else ("store_key", "store_json", "updated_at")
    db.execute("CREATE TABLE IF NOT EXISTS %s (%s TEXT NOT NULL PRIMARY KEY, %s TEXT NOT NULL, %s INTEGER NOT NULL)%s" % (table, *columns, " WITHOUT ROWID" if without_rowid else ""))
    db.execute("INSERT OR REPLACE INTO %s VALUES (?, ?, 1764000000000)" % table, (key, value))
db.commit()
print("ready", flush=True)
sys.stdin.read()
db.close()
"#;

type Rows<'a> = &'a [(&'a str, &'a str, &'a str)];

/// A database that its program has open.
struct Open(Child);

impl Open {
    fn new(path: &Path, mode: &str, rows: Rows) -> Self {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let rows = json!(rows).to_string();
        let mut command = Command::new("python3");
        command.args(["-I", "-c", MAKE]).arg(path).args([mode, &rows]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self(child)
    }

    fn close(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

fn database(path: &Path, rows: Rows) {
    Open::new(path, "wal", rows).close();
}

fn own(store: &str) -> (&str, &str, &str) {
    ("auth_profile_store", "primary", store)
}

fn shared(store: &str) -> (&str, &str, &str) {
    ("config_machine_state", "authProfiles.store", store)
}

const IN_FORCE: (&str, &str, &str) =
    ("config_machine_state", "auth.sharedStore", r#"{"location":"state-db"}"#);

fn theirs(world: &World) -> PathBuf {
    world.path().join("openclaw")
}

fn agents_own(world: &World, agent: &str) -> PathBuf {
    theirs(world).join("agents").join(agent).join("agent/openclaw-agent.sqlite")
}

fn of_all(world: &World) -> PathBuf {
    theirs(world).join("state/openclaw.sqlite")
}

fn import(world: &World, more: &[&str]) -> Ran {
    world.run(&[&["import", "openclaw", theirs(world).to_str().unwrap()], more].concat())
}

fn profiles(entries: &[(&str, &Value)]) -> String {
    let all: serde_json::Map<String, Value> =
        entries.iter().map(|(id, entry)| ((*id).to_owned(), (*entry).clone())).collect();
    json!({"version": 1, "profiles": all}).to_string()
}

/// Every file below a folder, with its bytes.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => all.push((path.clone(), std::fs::read(&path).unwrap_or_default())),
        }
    }
    all.sort();
    all
}

fn found(json: &Value) -> Vec<(&str, &str, &str)> {
    let stores = json["stores"].as_array().unwrap().iter();
    stores
        .flat_map(|one| {
            let entries = one["entries"].as_array().unwrap().iter();
            entries.map(|entry| {
                (
                    one["agentId"].as_str().unwrap(),
                    entry["profileId"].as_str().unwrap(),
                    entry["verdict"].as_str().unwrap(),
                )
            })
        })
        .collect()
}

/// H1, F5: an agent's database comes in as its file did: every entry with a verdict and unknown keys kept, the risk of a
/// shared login told, the source and its folder as they were. An `auth-profiles.json` beside it is older, and is left alone.
#[test]
fn h1_an_agents_database_comes_in() {
    let world = World::new();
    let (me, other, older) =
        (world.login(HOUR), world.login_of("other", HOUR), world.login_of("older", HOUR));
    let mut with_more = me.entry.clone();
    with_more["chatgptPlanType"] = json!("plus");
    // It does not fit into a page, so it goes on over others.
    with_more["notes"] = json!("n".repeat(20_000));
    let odd = json!({"type": "passkey", "provider": "acme", "blob": [1]});
    database(
        &agents_own(&world, "main"),
        &[own(&profiles(&[(ME, &with_more), ("acme:odd", &odd)])), shared("{}")],
    );
    let beside = agents_own(&world, "main").with_file_name("auth-profiles.json");
    world.private(&beside, &profiles(&[("openai-codex:older", &older.entry)]));
    database(&agents_own(&world, "work"), &[own(&profiles(&[(OTHER, &other.entry)]))]);
    world.config(r#"{"agents": {"list": [{"id": "main"}, {"id": "work"}]}}"#);
    let source = files(&theirs(&world));
    let before = world.everything();
    let plan = import(&world, &["--dry-run", "--json"]).json();
    let expected = [("main", ME, "new"), ("main", "acme:odd", "new"), ("work", OTHER, "new")];
    assert_eq!(found(&plan), expected);
    assert!(world.everything() == before, "a dry run changes nothing");

    let ran = import(&world, &["--json"]);
    assert!(!ran.stdout.contains(me.refresh.expose()) && !ran.stderr.contains(me.refresh.expose()));
    let done = ran.json();
    assert_eq!((found(&done), &done["sharedLogins"]), (expected.to_vec(), &json!([PROVIDER])));
    assert_eq!(store(&world)["profiles"], json!({ME: with_more, "acme:odd": odd}));
    assert_eq!(world.entry("work", OTHER), other.entry);
    assert!(files(&theirs(&world)) == source, "nothing is written there, and nothing made");
    assert_eq!(world.token().ok().trim(), me.access.expose());
    // Again: nothing is new.
    let again = import(&world, &["--json"]).json();
    assert_eq!(again["stores"][0]["imported"], 0, "{again:#}");
    // The older file, where somebody names it.
    let json = world.run(&["import", "openclaw", beside.to_str().unwrap(), "--json"]).json();
    assert_eq!(found(&json), [("main", "openai-codex:older", "new")]);
    let text = import(&world, &["--dry-run"]).ok();
    assert!(text.contains("openclaw-agent.sqlite\nInto agent main\n"), "{text}");
    // A database by itself, under any name.
    let copy = world.path().join("copy.db");
    std::fs::copy(agents_own(&world, "work"), &copy).unwrap();
    let json = world.run(&["import", "openclaw", "copy.db", "--agent", "main", "--json"]).json();
    assert_eq!(found(&json), [("main", OTHER, "new")]);
}

/// H1: the logins of all agents are the main one's, from when OpenClaw itself looks for them there.
#[test]
fn h1_the_shared_database_is_mains() {
    let (mine, shared_one) = (ME, "openai-codex:shared@example.com");
    for (rows_of_state, has_own, expected) in [
        (1, true, vec![("main", mine, "new")]),
        (2, true, vec![("main", shared_one, "new"), ("main", mine, "new")]),
        (1, false, vec![("main", shared_one, "new")]),
        (2, false, vec![("main", shared_one, "new")]),
    ] {
        let world = World::new();
        let (me, other) = (world.login(HOUR), world.login_of("shared", HOUR));
        let text = profiles(&[(shared_one, &other.entry)]);
        database(&of_all(&world), &[shared(&text), IN_FORCE][..rows_of_state]);
        if has_own {
            database(&agents_own(&world, "main"), &[own(&profiles(&[(mine, &me.entry)]))]);
        } else {
            database(&agents_own(&world, "main"), &[]);
        }
        let json = import(&world, &["--json"]).json();
        assert_eq!(found(&json), expected, "{rows_of_state} {has_own}");
        let path = of_all(&world).display().to_string();
        let named =
            world.run(&["import", "openclaw", &path, "--agent", "main", "--dry-run", "--json"]).json();
        assert_eq!(found(&named)[0].1, shared_one);
    }
}

/// F4, F5: OpenClaw is running, or has died: what it wrote last is not in the database yet. Nothing is imported, it is said
/// what to close, and afterwards everything is there.
#[test]
fn f4_a_database_in_use_is_left_alone() {
    let world = World::new();
    let login = world.login(HOUR);
    let path = agents_own(&world, "main");
    let text = profiles(&[(ME, &login.entry)]);
    let open = Open::new(&path, "wal", &[own(&text)]);
    let (source, before) = (files(&theirs(&world)), world.everything());
    let ran = import(&world, &[]);
    assert_eq!(ran.code(), "locked", "{ran:?}");
    assert!(
        ran.stderr.contains("openclaw-agent.sqlite-wal") && ran.stderr.contains("close OpenClaw"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains(&format!("next: coderclaw import openclaw {}", path.display())), "{ran:?}");
    assert!(world.everything() == before, "nothing was written, here or there");
    // By a link too, whose neighbours are none of the database's.
    let link = world.path().join("link.sqlite");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(world.run(&["import", "openclaw", "link.sqlite"]).code(), "locked");
    std::fs::remove_file(&link).unwrap();
    assert!(files(&theirs(&world)) == source);
    open.close();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(
        found(&world.run(&["import", "openclaw", "link.sqlite", "--json"]).json()),
        [("main", ME, "new")]
    );
    assert_eq!(found(&import(&world, &["--json"]).json()), [("main", ME, "same")]);

    // The other kind of log: half a change stands in the database, and what undoes it beside it.
    let world = World::new();
    let path = agents_own(&world, "main");
    Open::new(&path, "delete", &[own(&text)]).close();
    let mut journal = path.clone().into_os_string();
    journal.push("-journal");
    std::fs::write(&journal, [0xd9; 512]).unwrap();
    assert_eq!(import(&world, &[]).code(), "locked");
    std::fs::write(&journal, "").unwrap();
    assert_eq!(found(&import(&world, &["--json"]).json()), [("main", ME, "new")]);
}

/// F4: what is no database, a damaged one, one without logins, one whose logins are none: each is told apart, and nothing
/// is written here or there, also where an older `auth-profiles.json` stands beside it.
#[test]
fn f4_what_a_database_does_not_tell() {
    let world = World::new();
    let login = world.login(HOUR);
    let text = profiles(&[(ME, &login.entry)]);
    let whole = world.path().join("whole.sqlite");
    database(&whole, &[own(&text)]);
    let bytes = std::fs::read(&whole).unwrap();
    assert!(bytes.len() > 65_536, "the test needs a database of some size");
    let scrambled: Vec<u8> =
        bytes[..100].iter().copied().chain(bytes[100..].iter().map(|byte| byte ^ 0x5a)).collect();
    let rows = |name: &str, rows: Rows| {
        let path = world.path().join(name);
        database(&path, rows);
        std::fs::read(path).unwrap()
    };
    let cases: [(&str, Vec<u8>, &str, &str); 9] = [
        ("no database", b"canary, not a database at all".to_vec(), "corrupt", "it is no SQLite database"),
        ("a shortened one", bytes[..bytes.len() / 2].to_vec(), "corrupt", "it is cut short"),
        ("its head alone", bytes[..60].to_vec(), "corrupt", "it is cut short"),
        ("another's bytes", scrambled, "corrupt", "is damaged"),
        ("an empty file", vec![], "missing_credential", "holds no logins"),
        ("no table", rows("a.sqlite", &[]), "missing_credential", "holds no logins"),
        (
            "no row",
            rows("b.sqlite", &[("auth_profile_store", "secondary", "{}")]),
            "missing_credential",
            "holds no logins",
        ),
        ("no JSON", rows("c.sqlite", &[own("{torn canary")]), "corrupt", "what it has of logins is none"),
        (
            "another shape",
            rows("d.sqlite", &[own("[\"canary\"]")]),
            "corrupt",
            "what it has of logins is none",
        ),
    ];
    let path = agents_own(&world, "main");
    for (name, bytes, code, said) in cases {
        world.private(&path, "");
        std::fs::write(&path, &bytes).unwrap();
        let before = world.everything();
        let ran = world.run(&["import", "openclaw", path.to_str().unwrap()]);
        assert_eq!(ran.code(), code, "{name}: {ran:?}");
        assert!(ran.stderr.contains(said) && !ran.stderr.contains("canary"), "{name}: {ran:?}");
        let ran = import(&world, &["--json"]);
        let expected = if code == "missing_credential" { "usage" } else { code };
        assert_eq!(ran.error_json()["code"], expected, "{name}");
        assert!(world.everything() == before, "{name}");
    }
    // Beside an older file: what the database says cannot be told, so nothing is guessed.
    let beside = path.with_file_name("auth-profiles.json");
    world.private(&beside, &text);
    std::fs::write(&path, &bytes[..4096]).unwrap();
    assert_eq!(import(&world, &[]).code(), "corrupt");
    assert!(!world.store().exists());
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert_eq!(import(&world, &[]).code(), "corrupt");
    // No logins in the database: those of the file are the agent's.
    std::fs::remove_dir(&path).unwrap();
    database(&path, &[]);
    assert_eq!(found(&import(&world, &["--json"]).json()), [("main", ME, "new")]);
}

/// H1: a database in another encoding is one too; a table that is a tree of another kind is one of a version that is not known,
/// and says so.
#[test]
fn h1_other_kinds_of_databases() {
    for mode in ["UTF-16le", "UTF-16be", "without rowid"] {
        let world = World::new();
        let login = world.login(HOUR);
        let text = profiles(&[(ME, &login.entry)]);
        Open::new(&agents_own(&world, "main"), mode, &[own(&text)]).close();
        let ran = import(&world, &["--json"]);
        if mode.starts_with("UTF") {
            assert_eq!(found(&ran.json()), [("main", ME, "new")], "{mode}");
            assert_eq!(store(&world)["profiles"][ME], login.entry, "{mode}");
        } else {
            let error = ran.error_json();
            assert_eq!(error["code"], "unsupported_version", "{error}");
            assert!(error["message"].as_str().unwrap().contains("auth_profile_store"), "{error}");
            assert!(!world.store().exists());
        }
    }
}

/// F5: a writer at work all the time: an import is refused or finds a whole store, never half of one.
#[test]
fn f5_a_writer_beside_the_import() {
    const WRITER: &str = r#"
import json, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("PRAGMA journal_mode = delete")
print("ready", flush=True)
for n in range(100000):
    db.execute("UPDATE auth_profile_store SET store_json = ?", (json.dumps({"version": 1, "profiles": {"groq:k": {"type": "api_key", "provider": "groq", "key": "key-canary-" + "ab"[n % 2] * (n % 9000)}}}),))
    db.commit()
"#;
    let world = World::new();
    let path = agents_own(&world, "main");
    Open::new(&path, "delete", &[own(&profiles(&[]))]).close();
    let mut command = Command::new("python3");
    command.args(["-I", "-c", WRITER]).arg(&path).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut writer = command.spawn().unwrap();
    let mut ready = [0; 6];
    writer.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    for _ in 0..40 {
        let ran = import(&world, &["--dry-run"]);
        let is_fine = ran.code == Some(0) && ran.stdout.contains("groq:k") || ran.stdout.contains("0 of 0");
        assert!(is_fine || ran.code() == "locked", "{ran:?}");
    }
    writer.kill().unwrap();
    writer.wait().unwrap();
}

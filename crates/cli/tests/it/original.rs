//! The original program at work on the same stores: its lock by its own rules, its refresh, its write in place.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use coderclaw_sandbox::{Fault, On, Seen};
use coderclaw_store::faults::POINTS;
use serde_json::{Value, json};

use crate::world::{ME, Ran, TOKEN, World, now};

/// Far more than anything here takes; reached only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(30);
const CLIENT: &str = "app_EMoamEEZ73f0CkXaXp7hrann";

/// The original, in the process of the test.
struct Original {
    store: PathBuf,
    token_url: String,
    /// By how much its clock differs.
    shift: i64,
}

/// Its lock. Released by name, as the original does.
struct Locked(PathBuf);

impl Drop for Locked {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

fn lock_of(store: &Path) -> PathBuf {
    let folder = fs::canonicalize(store.parent().unwrap()).unwrap();
    folder.join(format!("{}.lock", store.file_name().unwrap().to_str().unwrap()))
}

fn is_alive(pid: i64) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

fn iso(at: i64) -> String {
    format!("{:.3}", jiff::Timestamp::from_millisecond(at).unwrap())
}

/// What the original writes into its lock.
fn body(pid: i64, at: i64) -> String {
    format!("{:#}", json!({"pid": pid, "createdAt": iso(at)}))
}

/// What the original thinks of a lock that is there.
fn is_stale(path: &Path) -> bool {
    let Ok(text) = fs::read_to_string(path) else { return true };
    let lock: Value = serde_json::from_str(&text).unwrap_or_default();
    if lock["pid"].as_i64().is_some_and(|pid| !is_alive(pid)) {
        return true;
    }
    if let Some(at) = lock["createdAt"].as_str()
        && at.parse::<jiff::Timestamp>().map_or(true, |at| now().0 - at.as_millisecond() > 30_000)
    {
        return true;
    }
    let Ok(changed) = fs::metadata(path).and_then(|meta| meta.modified()) else { return true };
    changed.elapsed().is_ok_and(|age| age > Duration::from_secs(30))
}

impl Original {
    fn of(world: &World, store: PathBuf) -> Self {
        Self { store, token_url: world.sandbox.token_url(), shift: world.at(0) - now().0 }
    }

    /// One attempt: exclusive creation, and a stale lock is deleted by its name.
    fn try_lock(&self) -> Option<Locked> {
        let path = lock_of(&self.store);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => {
                file.write_all(body(i64::from(std::process::id()), now().0).as_bytes()).unwrap();
                Some(Locked(path))
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                if is_stale(&path) {
                    drop(fs::remove_file(&path));
                }
                None
            }
            Err(e) => panic!("{e}"),
        }
    }

    /// Its attempts, at shorter intervals than its own: it is to be in the way as often as it can.
    fn lock(&self) -> Locked {
        let began = Instant::now();
        loop {
            if let Some(locked) = self.try_lock() {
                return locked;
            }
            assert!(began.elapsed() < PATIENCE, "the original never gets its lock");
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    fn read(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(&self.store).unwrap()).unwrap()
    }

    /// In place: for a moment the store is empty.
    fn write(&self, doc: &Value) {
        let mut file = File::create(&self.store).unwrap();
        file.write_all(format!("{doc:#}\n").as_bytes()).unwrap();
    }

    /// Its refresh: lock, read, still expired? one request, the answer over the entry, write. True where it asked.
    fn refresh(&self, id: &str) -> bool {
        let _locked = self.lock();
        let mut doc = self.read();
        let entry = &mut doc["profiles"][id];
        if entry["expires"].as_i64().unwrap() > now().0 + self.shift {
            return false;
        }
        let answer = exchange(&self.token_url, entry["refresh"].as_str().unwrap());
        let answer = answer.expect("the original is refused");
        entry["access"] = answer["access_token"].clone();
        entry["refresh"] = answer["refresh_token"].clone();
        entry["expires"] = json!(now().0 + self.shift + answer["expires_in"].as_i64().unwrap() * 1000);
        self.write(&doc);
        true
    }
}

/// One request with a refresh token; `None` for everything but a success.
fn exchange(url: &str, refresh: &str) -> Option<Value> {
    let url = url::Url::parse(url).unwrap();
    let host = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let form: String = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("grant_type", "refresh_token"), ("client_id", CLIENT), ("refresh_token", refresh)])
        .finish();
    let mut stream = TcpStream::connect(&host).unwrap();
    write!(
        stream,
        "POST {} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: original\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        url.path(),
        form.len()
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, _) = text.split_once("\r\n\r\n")?;
    let json = &text[text.find('{')?..=text.rfind('}')?];
    head.starts_with("HTTP/1.1 200").then(|| serde_json::from_str(json).unwrap())
}

/// The store's folder: nothing but what belongs there.
fn leaves_nothing(world: &World, agent: &str) {
    let folder = world.store_of(agent).parent().unwrap().to_path_buf();
    let began = Instant::now();
    let strays = || {
        let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().contains(".lock")).count()
    };
    // A worker may be at it for a moment after its asker has the token.
    while strays() > 0 {
        assert!(began.elapsed() < PATIENCE, "a lock was left in {}", folder.display());
        std::thread::yield_now();
    }
}

fn with_other_entries(world: &World, login: &Value) {
    let other = json!({"type": "api_key", "provider": "groq", "key": "made-up", "later": {"n": 1}});
    world.seed("main", &[(ME, login), ("groq:default", &other)]);
}

/// A1, A3: the original and eight processes of ours find one expired login at the same moment. One request in all, whoever
/// makes it, and nothing that stood in the store is lost.
#[test]
fn a1_the_original_and_a_storm_make_one_request() {
    let world = World::new();
    let (mut ours, mut theirs) = (0, 0);
    for round in 0..30 {
        let login = world.login(-1_000);
        with_other_entries(&world, &login.entry);
        let before = world.sandbox.counts();
        let original = Original::of(&world, world.store());
        let thread = std::thread::spawn(move || original.refresh(ME));
        let tokens: HashSet<String> = world.storm(8).into_iter().map(Ran::ok).collect();
        let asked = thread.join().unwrap();
        *(if asked { &mut theirs } else { &mut ours }) += 1;
        let after = world.sandbox.counts();
        assert_eq!(after.refreshes - before.refreshes, 1, "round {round}");
        assert_eq!((after.reuses, world.sent(&login.refresh)), (0, 1), "round {round}");
        leaves_nothing(&world, "main");
        let kept = world.entry("main", ME);
        assert_eq!(
            tokens.iter().map(|token| token.trim()).collect::<Vec<_>>(),
            [kept["access"].as_str().unwrap()]
        );
        assert!(world.sandbox.is_live(&kept["refresh"].as_str().unwrap().into()), "round {round}");
        assert_eq!(world.entry("main", "groq:default")["later"]["n"], 1, "round {round}");
    }
    println!("{ours} rounds by us, {theirs} by the original");
}

/// A2, A3: eight agents whose stores hold one login, as the original's copies do, and the original refreshing one of them at
/// the same moment. One request in all, no token is sent twice, and the login lives on.
#[test]
fn a2_eight_stores_and_the_original() {
    let agents: Vec<String> = (1..=7).map(|n| format!("agent{n}")).chain(["main".into()]).collect();
    let mut world = World::new();
    for round in 0..6 {
        let login = world.login(3_600_000);
        let mut entry = login.entry.clone();
        // As our own login leaves it: the key goes along wherever the original copies the entry.
        entry["grant"] = json!(grant_of(&world, &login.entry));
        for agent in &agents {
            world.seed(agent, &[(ME, &entry)]);
        }
        world.shift_clock(Duration::from_secs(2 * 3_600));
        let before = world.sandbox.counts();
        let original = Original::of(&world, world.store_of("agent4"));
        let thread = std::thread::spawn(move || original.refresh(ME));
        let children: Vec<_> = agents
            .iter()
            .map(|agent| (agent, world.start(world.command(TOKEN).args(["--agent", agent]))))
            .collect();
        let ran: Vec<_> = children
            .into_iter()
            .map(|(agent, child)| (agent, Ran::from(child.wait_with_output().unwrap())))
            .collect();
        let by_original = thread.join().unwrap();
        let after = world.sandbox.counts();
        assert_eq!(after.refreshes - before.refreshes, 1, "round {round}");
        assert_eq!((after.reuses, world.sent(&login.refresh)), (0, 1), "round {round}");
        for (agent, ran) in ran {
            if by_original && agent != "agent4" {
                // It took the only token there is; what the others hold is spent, and is not sent.
                assert_eq!(ran.code(), "needs_login", "{agent}: {ran:?}");
            } else {
                assert_eq!(ran.ok().trim(), world.entry("agent4", ME)["access"].as_str().unwrap(), "{agent}");
            }
        }
        for agent in &agents {
            leaves_nothing(&world, agent);
        }
        assert!(world.sandbox.is_live(&world.entry("agent4", ME)["refresh"].as_str().unwrap().into()));
    }
}

fn grant_of(world: &World, entry: &Value) -> String {
    let refresh = entry["refresh"].as_str().unwrap().into();
    coderclaw_types::GrantId::mint(world.sandbox.origin(), CLIENT, &refresh).to_string()
}

/// A5: the original has refreshed one copy of a login before any of ours did. The other copy's token is spent, and nobody
/// can see that but by the key that both carry: it is not sent, and the living copy goes on.
#[test]
fn a5_a_copy_that_the_original_left_behind_is_not_sent() {
    let mut world = World::new();
    // Our own login: the entry has its key from birth.
    let (ran, _) = world.log_in(&[]);
    ran.ok();
    let entry = world.entry("main", ME);
    assert!(entry["grant"].is_string(), "{entry}");
    world.seed("work", &[(ME, &entry)]);
    world.shift_clock(Duration::from_secs(2 * 3_600));
    assert!(Original::of(&world, world.store()).refresh(ME));
    let work = world.run(&[TOKEN, &["--agent", "work"]].concat());
    assert_eq!(work.code(), "needs_login", "{work:?}");
    assert!(work.stderr.contains("another program has refreshed a copy"), "{work:?}");
    let main = world.entry("main", ME);
    assert_eq!(world.token().ok().trim(), main["access"].as_str().unwrap());
    assert_eq!((world.sandbox.counts().refreshes, world.sandbox.counts().reuses), (1, 0));
    // And when the living one is due again, it is refreshed by us.
    world.shift_clock(Duration::from_secs(2 * 3_600));
    assert_ne!(world.token().ok().trim(), main["access"].as_str().unwrap());
    assert_eq!((world.sandbox.counts().refreshes, world.sandbox.counts().reuses), (2, 0));
    assert_eq!(world.run(&[TOKEN, &["--agent", "work"]].concat()).code(), "needs_login");
    assert_eq!(world.sandbox.counts().reuses, 0);
}

/// A2: an import brings a copy of a login that another agent of ours has refreshed before. The copy has no key; it gets the
/// one of the login that it is a copy of, and both are refreshed as one.
#[test]
fn a2_an_imported_copy_is_the_same_login() {
    let mut world = World::new();
    let first = world.login(-1_000);
    world.seed("main", &[(ME, &first.entry)]);
    world.token().ok();
    let mut copy = world.entry("main", ME);
    copy.as_object_mut().unwrap().remove("grant");
    let theirs = world.path().join("openclaw/agents/main/agent/auth-profiles.json");
    world.private(&theirs, &json!({"version": 1, "profiles": {ME: copy}}).to_string());
    world.run(&["agents", "add", "work"]).ok();
    let from = world.path().join("openclaw").display().to_string();
    world.run(&["import", "openclaw", &from, "--agent", "work"]).ok();
    assert_eq!(world.entry("work", ME)["grant"], world.entry("main", ME)["grant"]);
    world.shift_clock(Duration::from_secs(2 * 3_600));
    let before = world.sandbox.counts().refreshes;
    let token = world.run(&[TOKEN, &["--agent", "work"]].concat()).ok();
    assert_eq!(world.token().ok(), token);
    assert_eq!((world.sandbox.counts().refreshes - before, world.sandbox.counts().reuses), (1, 0));
}

fn dead_pid() -> i64 {
    let mut child = Command::new("/bin/true").spawn().unwrap();
    child.wait().unwrap();
    i64::from(child.id())
}

fn ours_is(world: &World, pid: i64) -> String {
    let hash =
        |tag: &str, path: &Path| coderclaw_types::sha256_parts(tag, &[path.as_os_str().as_encoded_bytes()]);
    let name: String =
        hash("lock", &lock_of(&world.store()))[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let lock = fs::canonicalize(world.state()).unwrap().join("locks").join(format!("legacy-{name}"));
    format!("{:#}", json!({"pid": pid, "createdAt": iso(now().0), "heldBy": lock}))
}

/// F8: what a dead process left behind costs nothing: its lock, our own mark even where its process id belongs to somebody
/// who is alive, an old lock of a process that lives, and one that says nothing at all.
#[test]
fn f8_abandoned_locks_of_the_original_cost_nothing() {
    let me = i64::from(std::process::id());
    let (world, _) = World::expired();
    let old = now().0 - 31_000;
    let table = [
        ("its process is gone", body(dead_pid(), now().0), false),
        ("its process lives, and it is 31 s old", body(me, old), false),
        ("its time is no time", json!({"pid": me, "createdAt": "soon"}).to_string(), false),
        ("it is empty, and has not been touched for 31 s", String::new(), true),
        ("ours, and its process id has been given to somebody else", ours_is(&world, me), false),
    ];
    for (what, text, set_back) in table {
        let login = world.login(-1_000);
        world.seed("main", &[(ME, &login.entry)]);
        let lock = lock_of(&world.store());
        fs::write(&lock, text).unwrap();
        if set_back {
            let at = std::time::SystemTime::now() - Duration::from_secs(31);
            File::options().write(true).open(&lock).unwrap().set_modified(at).unwrap();
        }
        let began = Instant::now();
        assert_ne!(world.token().ok().trim(), login.access.expose(), "{what}");
        // On a busy machine a process takes its time; waiting for the lock would take 30 s.
        assert!(began.elapsed() < Duration::from_secs(15), "{what}: {:?}", began.elapsed());
        assert_eq!(world.sent(&login.refresh), 1, "{what}");
        leaves_nothing(&world, "main");
    }
}

/// F9: while the original is at a store, nothing of ours is sent or written: `locked` after three seconds, whoever asks for
/// what. What only looks does not mind, and leaves the lock alone.
#[test]
fn f9_the_original_at_work_is_waited_for_and_left_alone() {
    let mut world = World::new();
    let login = world.login(-1_000);
    world.seed("main", &[(ME, &login.entry)]);
    let original = Original::of(&world, world.store());
    let locked = original.lock();
    let lock = fs::read(lock_of(&world.store())).unwrap();
    let store = world.text();
    let began = Instant::now();
    let ran = world.token();
    assert_eq!(ran.code(), "locked", "{ran:?}");
    assert!(ran.stderr.contains(&format!("pid {}", std::process::id())), "{ran:?}");
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
    for command in [
        &["models", "auth", "rename", ME, "openai-codex:new"][..],
        &["models", "auth", "order", "set", "--provider", "openai-codex", ME],
        &["models", "auth", "logout", ME],
    ] {
        let ran = world.run(command);
        assert_eq!(ran.code(), "locked", "{command:?}: {ran:?}");
    }
    for look in
        [&["models", "status", "--json"][..], &["models", "auth", "explain", "--provider", "openai-codex"]]
    {
        let before = world.picture();
        world.run(look).ok();
        assert_eq!(world.picture(), before, "{look:?}");
    }
    assert_eq!((world.sandbox.counts().refreshes, world.text()), (0, store));
    assert_eq!(
        fs::read(lock_of(&world.store())).unwrap(),
        lock,
        "it is the original's, and nobody else's to touch"
    );
    // What came of it holds for a moment, and then everything goes on.
    drop(locked);
    world.shift_clock(Duration::from_secs(10));
    assert_ne!(world.token().ok().trim(), login.access.expose());
    leaves_nothing(&world, "main");
}

/// A11: a token that is due and still works is lent although the original holds its lock.
#[test]
fn a11_the_original_s_lock_takes_no_working_token_away() {
    let world = World::new();
    let login = world.login(60_000);
    world.seed("main", &[(ME, &login.entry)]);
    let _locked = Original::of(&world, world.store()).lock();
    assert_eq!(world.token().ok().trim(), login.access.expose());
    assert_eq!(world.sandbox.counts().refreshes, 0);
}

/// A17: a login that is complete waits for the original to finish, since its tokens are in nobody's hand but its own.
#[test]
fn a17_a_login_waits_for_the_original_longer_than_others() {
    let (world, login) = World::expired();
    // The answer takes long enough for the original to come between.
    world.sandbox.script_on(On::Exchange, Fault::RotateThenDelay(Duration::from_secs(2)), 1);
    let (ended, ends) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            let ran = world.log_in(&[]);
            ended.send(()).unwrap();
            ran
        });
        let is_exchanged = |seen: &[Seen]| seen.iter().any(|one| one.fault == Some("rotate_then_delay"));
        assert!(world.sandbox.wait_for(PATIENCE, is_exchanged), "the code is exchanged");
        let locked = Original::of(&world, world.store()).lock();
        let early = ends.recv_timeout(Duration::from_secs(6));
        assert!(early.is_err(), "it does not give up after the three seconds of everybody else");
        assert_eq!(world.entry("main", ME)["refresh"], login.refresh.expose());
        drop(locked);
        run.join().unwrap().0.ok();
    });
    assert_ne!(world.entry("main", ME)["refresh"], login.refresh.expose());
}

/// F10: while a refresh of ours is on the network, its mark keeps the original out, and our own changes go on: they know
/// the mark, and rely on the kernel's lock.
#[test]
fn f10_our_own_mark_holds_up_nobody_of_ours() {
    let (world, login) = World::expired();
    let gate = world.sandbox.gate();
    let asker = world.start(&mut world.command(TOKEN));
    assert!(gate.wait_arrived(PATIENCE));
    let original = Original::of(&world, world.store());
    assert!(original.try_lock().is_none(), "the original is kept out");
    let mark = fs::read_to_string(lock_of(&world.store())).unwrap();
    let held: Value = serde_json::from_str(&mark).unwrap();
    assert!(is_alive(held["pid"].as_i64().unwrap()) && held["createdAt"].is_string(), "{mark}");
    world.run(&["models", "auth", "rename", ME, "openai-codex:new"]).ok();
    assert_eq!(fs::read_to_string(lock_of(&world.store())).unwrap(), mark, "and stays out");
    gate.open();
    // What it asked for has another name now.
    drop(asker.wait_with_output().unwrap());
    leaves_nothing(&world, "main");
    let kept = world.entry("main", "openai-codex:new");
    assert!(world.sandbox.is_live(&kept["refresh"].as_str().unwrap().into()));
    assert_eq!(world.sent(&login.refresh), 1);
    drop(original.try_lock().expect("the original has its turn"));
}

/// A8, F8: a worker is killed at each point. What it leaves keeps the original out no longer than one look, by the
/// original's own rules, and our next worker at all.
#[test]
fn a8_a_killed_worker_keeps_nobody_out() {
    let from = POINTS.iter().position(|point| *point == "original.marked").unwrap();
    let points = POINTS[from..].iter().filter(|point| !point.starts_with("import"));
    let mut left = 0;
    for point in points.filter(|point| **point != "refresh.sent") {
        let (mut world, login) = World::expired();
        world.set("CODERCLAW_FAULT", format!("{point}:kill"));
        world.token();
        world.unset("CODERCLAW_FAULT");
        left += usize::from(lock_of(&world.store()).exists());
        let original = Original::of(&world, world.store());
        let locked = original.try_lock().or_else(|| original.try_lock());
        drop(locked.unwrap_or_else(|| panic!("{point}: the original is kept out")));
        world.shift_clock(Duration::from_secs(120));
        assert_ne!(world.token().ok().trim(), login.access.expose(), "{point}");
        assert_eq!((world.sent(&login.refresh), world.sandbox.counts().reuses), (1, 0), "{point}");
        leaves_nothing(&world, "main");
    }
    assert!(left > 3, "workers died with the lock held: {left}");
}

/// A8: a worker that stood still for so long that the original took its mark for abandoned. The answer is in the journal and
/// is lent; the original's lock is not touched; once it is gone the store has everything.
#[test]
fn a8_a_mark_that_the_original_took_away() {
    let (mut world, login) = World::expired();
    let gate = world.sandbox.gate();
    let asker = world.start(&mut world.command(TOKEN));
    assert!(gate.wait_arrived(PATIENCE));
    fs::remove_file(lock_of(&world.store())).unwrap();
    let locked = Original::of(&world, world.store()).lock();
    gate.open();
    let token = Ran::from(asker.wait_with_output().unwrap()).ok();
    assert_ne!(token.trim(), login.access.expose());
    assert_eq!(world.entry("main", ME)["refresh"], login.refresh.expose(), "the original is at the store");
    assert!(lock_of(&world.store()).exists());
    drop(locked);
    world.shift_clock(Duration::from_secs(10));
    let again = world.token().ok();
    assert_eq!(again, token);
    world.wait_for_access("main", ME, token.trim());
    assert_eq!((world.sent(&login.refresh), world.sandbox.counts().reuses), (1, 0));
    leaves_nothing(&world, "main");
}

/// F8: two logins of one store fall due at once, and the provider takes longer over the first than we wait for the original.
/// The second waits its turn and is refreshed too.
#[test]
fn f8_refreshes_of_one_store_take_turns() {
    let world = World::new();
    let other = "openai-codex:other@example.test";
    let (one, two) = (world.login(-1_000), world.login_of("other", -1_000));
    world.seed("main", &[(ME, &one.entry), (other, &two.entry)]);
    world.sandbox.script(Fault::RotateThenDelay(Duration::from_secs(4)), 1);
    let ask = |id: &str| world.start(world.command(TOKEN).args(["--profile", id]));
    let first = ask(ME);
    let began = Instant::now();
    while world.sent(&one.refresh) == 0 {
        assert!(began.elapsed() < PATIENCE, "the first request never came");
        std::thread::yield_now();
    }
    let second = ask(other);
    for child in [second, first] {
        Ran::from(child.wait_with_output().unwrap()).ok();
    }
    assert_eq!((world.sandbox.counts().refreshes, world.sandbox.counts().reuses), (2, 0));
}

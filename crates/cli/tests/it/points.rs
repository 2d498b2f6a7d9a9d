//! Every fail point there is, of a refresh, a login and a logout: the process is killed there, or the system says no.
//! Then fresh processes look at what is left.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use coderclaw_sandbox::Reuse;
use coderclaw_store::faults::{LOGIN_POINTS, LOGOUT_POINTS, POINTS};
use coderclaw_types::{Code, Secret};

use crate::profiles::{HOUR, PATIENCE, auth, holders};
use crate::world::{LOGIN, Login, ME, PROVIDER, Ran, TOKEN, World};

/// What can be done at a point.
const ERRORS: [&str; 3] = ["eio", "emfile", "enospc"];

/// One fault: `point` may name a passage.
#[derive(Debug, Clone)]
struct Case {
    point: String,
    action: &'static str,
    /// No worker process can be started, so the refresh is made in a task of the asker.
    in_task: bool,
}

impl Case {
    /// Every point killed at, also at later passages where it is passed more than once, and failing in every way.
    fn all(points: &[&str], in_task: bool) -> Vec<Self> {
        let mut all = Vec::new();
        for point in points {
            let is_repeated = point.starts_with("store.") || point.starts_with("journal.");
            for passage in ["", "@1", "@2", "@3", "@4", "@5"] {
                if passage.is_empty() || is_repeated {
                    all.push(Self { point: format!("{point}{passage}"), action: "kill", in_task });
                }
            }
            for action in ERRORS {
                all.push(Self { point: (*point).to_owned(), action, in_task });
            }
            if is_repeated {
                all.push(Self { point: format!("{point}@3"), action: "eio", in_task });
            }
        }
        all
    }

    fn log(world: &World) -> PathBuf {
        world.path().join("faults.log")
    }

    fn arm(&self, world: &mut World) {
        let spawn = if self.in_task { "worker.spawn:emfile," } else { "" };
        let log = Self::log(world);
        world.set("CODERCLAW_FAULT", format!("{spawn}{}:{},log:{}", self.point, self.action, log.display()));
    }

    /// Whether it has struck.
    fn disarm(&self, world: &mut World) -> bool {
        world.unset("CODERCLAW_FAULT");
        let log = std::fs::read_to_string(Self::log(world)).unwrap_or_default();
        let name = self.point.split('@').next().unwrap();
        log.lines().any(|line| {
            let words: Vec<_> = line.split(' ').collect();
            words[1] == name && words[3] == self.action
        })
    }
}

/// Runs all cases, a few at a time, and returns the names of the points that were passed.
fn go_over(cases: Vec<Case>, one: impl Fn(&Case) -> bool + Sync) -> HashSet<String> {
    let (struck, broken) = (Mutex::new(HashSet::new()), Mutex::new(Vec::new()));
    let queue = Mutex::new(cases.into_iter());
    let work = || {
        loop {
            let Some(case) = queue.lock().unwrap().next() else { return };
            // The others say more together than the first alone.
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| one(&case))) {
                Ok(true) => {
                    let name = case.point.split('@').next().unwrap().to_owned();
                    struck.lock().unwrap().insert(name);
                }
                Ok(false) => {}
                Err(_) => broken.lock().unwrap().push(case),
            }
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
    let broken = broken.into_inner().unwrap();
    assert!(broken.is_empty(), "{} cases failed: {broken:#?}", broken.len());
    struck.into_inner().unwrap()
}

fn all_struck(points: &[&str], struck: &HashSet<String>) {
    let missed: Vec<_> = points.iter().filter(|point| !struck.contains(**point)).collect();
    assert!(missed.is_empty(), "never passed: {missed:?}");
}

/// How a process that ran into the fault may end: killed, well, or with a code of the table. It shows no secret.
fn ended_well(case: &Case, ran: &Ran, login: &Login) {
    match ran.code {
        Some(0) => {}
        None => assert_eq!(case.action, "kill", "{case:?}: {ran:?}"),
        Some(1) => {
            // A login has said other things before.
            let code =
                ran.stderr.lines().filter_map(|line| line.strip_suffix(']')?.rsplit_once('[')).next_back();
            let code = code.map_or("", |(_, code)| code);
            let known = Code::ALL.iter().any(|one| one.as_str() == code);
            assert!(known && code != "internal", "{case:?}: {ran:?}");
        }
        Some(_) => panic!("{case:?}: {ran:?}"),
    }
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!said.contains(login.refresh.expose()), "{case:?}");
    assert!(!ran.stderr.contains(login.access.expose()), "{case:?}");
}

/// The store can be read as JSON, files are private, and a look is answered and finds the profile.
fn is_sound(case: &Case, world: &World, is_held: bool) {
    for (path, mode, _) in world.picture().into_iter().filter(|(path, ..)| path.is_file()) {
        assert_eq!(mode & 0o777, 0o600, "{case:?}: {}", path.display());
    }
    let status = world.run(&["models", "status", "--json"]).json();
    let seen = status.to_string().contains(ME);
    assert_eq!(seen, is_held, "{case:?}: {status}");
    for word in ["\"corrupt\"", "\"unreadable\""] {
        assert!(!status.to_string().contains(word), "{case:?}: {status}");
    }
}

/// Nobody can know what became of the request: the answer had come, and was not on the disk yet. The third record that
/// a refresh appends is the answer's; a failing disk is made up for by the stores.
fn is_lost(case: &Case) -> bool {
    let is_answer = ["journal.append@3", "journal.torn@3"].contains(&case.point.as_str());
    case.point == "refresh.sent" || (is_answer && case.action == "kill")
}

fn refresh(case: &Case) -> bool {
    let (mut world, login) = World::expired();
    let tolerant = Reuse::Grace(Duration::from_secs(3_600));
    let is_lost = is_lost(case);
    if is_lost {
        world.sandbox.policy(|policy| policy.reuse = tolerant);
    }
    case.arm(&mut world);
    let first = world.run_within(PATIENCE, TOKEN);
    let struck = case.disarm(&mut world);
    ended_well(case, &first, &login);
    if first.code == Some(0) {
        assert!(world.sandbox.is_live_access(&Secret::from(first.stdout.trim())), "{case:?}");
    }
    is_sound(case, &world, true);
    // A worker killed between its record and its request looks like one whose answer was lost: the next try is
    // spaced, and the clock stands for the wait.
    world.shift_clock(Duration::from_secs(120));
    let token = world.token();
    assert_eq!(token.code, Some(0), "{case:?}: first {first:?}, then {token:?}");
    let token = token.ok();
    assert_ne!(token.trim(), login.access.expose(), "{case:?}");
    assert!(world.sandbox.is_live_access(&Secret::from(token.trim())), "{case:?}");
    let counts = world.sandbox.counts();
    let most = if is_lost { 2 } else { 1 };
    assert!((1..=most).contains(&world.sent(&login.refresh)), "{case:?}: {counts:?}");
    assert!(is_lost || counts.reuses == 0, "{case:?}: {counts:?}");
    world.wait_for_access("main", ME, token.trim());
    let kept = world.entry("main", ME)["refresh"].as_str().unwrap().into();
    assert!(world.sandbox.is_live(&kept), "{case:?}");
    struck
}

/// A8, A9, F1, F2: a refresh that is killed, or refused by the system, at each of its points, in a worker or in a task of
/// its asker. Before the request: it is made again. After the answer: it is applied without another one. The token
/// reaches the server once in every case; only where nobody can know, twice.
#[test]
fn a8_a_refresh_hit_at_each_point_is_recovered_from() {
    for in_task in [false, true] {
        let points: Vec<&str> = POINTS.to_vec();
        let struck = go_over(Case::all(&points, in_task), refresh);
        all_struck(&points, &struck);
    }
}

/// A login, with a browser that takes what it gets: how the command ended, and whether the page said that it worked.
fn log_in(world: &World) -> (Ran, bool) {
    let mut child = world.start(&mut world.command(LOGIN));
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    let mut page = None;
    loop {
        let from = said.len();
        if stderr.read_line(&mut said).unwrap() == 0 {
            break;
        }
        if said[from..].starts_with("http") {
            page = coderclaw_sandbox::browse(said[from..].trim()).ok();
            break;
        }
    }
    stderr.read_to_string(&mut said).unwrap();
    let mut ran = Ran::from(child.wait_with_output().unwrap());
    ran.stderr = said;
    (ran, page.is_some_and(|page| page.status == 200))
}

/// A17, A8, F1: a login that is killed, or refused by the system, at each of its points. The old login stays whole until
/// the new one is; nothing is revoked; nothing says that it worked unless it did.
#[test]
fn a17_a_login_hit_at_each_point_leaves_the_old_or_the_new_one() {
    let struck = go_over(Case::all(LOGIN_POINTS, false), |case| {
        let mut world = World::new();
        let old = world.login(HOUR);
        world.seed("main", &[(ME, &old.entry)]);
        case.arm(&mut world);
        let (ran, page_is_glad) = log_in(&world);
        let struck = case.disarm(&mut world);
        ended_well(case, &ran, &old);
        is_sound(case, &world, true);
        let entry = world.entry("main", ME);
        let is_old = entry["refresh"] == old.refresh.expose();
        let secret = |key: &str| Secret::from(entry[key].as_str().unwrap());
        assert_eq!(is_old, entry["access"] == old.access.expose(), "{case:?}: {entry}");
        assert!(world.sandbox.is_live(&secret("refresh")), "{case:?}");
        assert!(world.sandbox.is_live_access(&secret("access")), "{case:?}");
        assert!(!is_old || !(ran.code == Some(0) || page_is_glad), "{case:?} says that it worked: {ran:?}");
        assert!(world.sandbox.is_live(&old.refresh), "{case:?}");
        assert_eq!(world.token().ok().trim(), secret("access").expose(), "{case:?}");
        let (again, page_is_glad) = log_in(&world);
        assert!(again.code == Some(0) && page_is_glad, "{case:?}: {again:?}");
        assert_ne!(world.entry("main", ME)["refresh"], entry["refresh"], "{case:?}");
        let counts = world.sandbox.counts();
        assert_eq!((counts.refreshes, counts.revokes), (0, 0), "{case:?}");
        struck
    });
    all_struck(LOGIN_POINTS, &struck);
}

/// G7, C17, F1: a logout that is killed, or refused by the system, at each of its points, can be repeated, and ends with no
/// copy of the tokens in any file; also where a dead worker has left newer ones in the journal.
#[test]
fn g7_a_logout_hit_at_each_point_can_be_finished() {
    for has_unfinished in [false, true] {
        let struck = go_over(Case::all(LOGOUT_POINTS, false), |case| {
            let mut world = World::new();
            let login = world.login(if has_unfinished { -1_000 } else { HOUR });
            world.seed("main", &[(ME, &login.entry)]);
            if has_unfinished {
                world.set("CODERCLAW_FAULT", "refresh.answered:kill");
                drop(world.token());
            } else {
                // A commit before, so that there are a backup and a cache.
                world.run(&auth(&["use", ME])).ok();
            }
            case.arm(&mut world);
            let ran = world.run_within(PATIENCE, &auth(&["logout", ME]));
            let struck = case.disarm(&mut world);
            ended_well(case, &ran, &login);
            let is_held = world.entry("main", ME).is_object();
            assert!(!is_held || ran.code != Some(0), "{case:?}: {ran:?}");
            is_sound(case, &world, is_held);
            let again = world.run(&auth(&["logout", ME]));
            let done = again.code == Some(0);
            assert!(
                if is_held { done } else { done || again.code() == "unknown_profile" },
                "{case:?}: {again:?}"
            );
            assert!(world.entry("main", ME).is_null(), "{case:?}");
            for secret in [&login.refresh, &login.access] {
                let mut left = holders(&world, secret);
                // A cache that cannot be written stays, until the next commit; the command has named it.
                left.retain(|path| !(path.ends_with("/auth.json") && ran.stdout.contains("auth.json")));
                assert_eq!(left, Vec::<String>::new(), "{case:?} {has_unfinished}: {ran:?}");
            }
            let journals = world
                .picture()
                .into_iter()
                .filter(|(path, ..)| path.parent().is_some_and(|folder| folder.ends_with("journal")));
            for (path, _, bytes) in journals {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                assert!(!text.contains("\"refresh\":\""), "{case:?}: {} holds tokens", path.display());
            }
            struck
        });
        // An expired token was in no cache.
        let passed = LOGOUT_POINTS.iter().filter(|point| !has_unfinished || **point != "cache.write");
        all_struck(&passed.copied().collect::<Vec<_>>(), &struck);
    }
}

/// A1, A3: the holder of the lock is stopped in the middle. Looks are answered, askers wait, nobody sends a second request;
/// when it goes on, all have its token.
#[test]
fn a1_a_stopped_worker_is_waited_for() {
    let (mut world, login) = World::expired();
    let stop = Case { point: "refresh.sending".into(), action: "stop", in_task: false };
    stop.arm(&mut world);
    let first = world.start(&mut world.command(TOKEN));
    let log = Case::log(&world);
    let began = std::time::Instant::now();
    let holder = loop {
        let line = std::fs::read_to_string(&log).unwrap_or_default();
        if let Some(pid) = line.ends_with('\n').then(|| line.split(' ').next().unwrap().parse().unwrap()) {
            break rustix::process::Pid::from_raw(pid).unwrap();
        }
        assert!(began.elapsed() < PATIENCE, "nobody stopped");
        std::thread::yield_now();
    };
    stop.disarm(&mut world);
    let second = world.start(&mut world.command(TOKEN));
    let status = world.run_within(Duration::from_secs(10), &["models", "status", "--json"]).json();
    assert!(status.to_string().contains(ME));
    let explained = world.run(&auth(&["explain", "--provider", PROVIDER, "--json"])).json();
    assert_eq!(explained["winner"]["profileId"], ME, "{explained}");
    rustix::process::kill_process(holder, rustix::process::Signal::CONT).unwrap();
    let tokens = [first, second].map(|child| Ran::from(child.wait_with_output().unwrap()).ok());
    assert_eq!(tokens[0], tokens[1]);
    assert_eq!((world.sent(&login.refresh), world.sandbox.counts().refreshes), (1, 1));
}

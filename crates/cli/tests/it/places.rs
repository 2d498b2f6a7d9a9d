//! Stores in odd places: behind links, with two names, elsewhere, another user's, mounted one by one.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::world::{LOGIN, ME, PROVIDER, Ran, TOKEN, World};

const PATIENCE: Duration = Duration::from_secs(30);
const ORDER_SET: &[&str] = &["models", "auth", "order", "set", "--provider", PROVIDER, ME];

/// Moves the store of `main` to `real` and leaves a link.
fn put_behind_a_link(world: &World, real: &Path) {
    world.private(real, &world.text());
    fs::remove_file(world.store()).unwrap();
    symlink(real, world.store()).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// F11: whatever changes a linked store, the link stays, the target is replaced with its mode and its backup beside it, and
/// the original's lock is beside the name that the original uses.
#[test]
fn f11_every_change_goes_through_the_link() {
    let (world, _) = World::expired();
    let real = world.path().join("shared/store.json");
    put_behind_a_link(&world, &real);
    let gate = world.sandbox.gate();
    let asker = world.start(&mut world.command(TOKEN));
    assert!(gate.wait_arrived(PATIENCE));
    let folder = world.store().parent().unwrap().to_path_buf();
    assert!(folder.join("auth-profiles.json.lock").exists());
    assert!(!real.with_file_name("store.json.lock").exists());
    gate.open();
    let token = Ran::from(asker.wait_with_output().unwrap()).ok();
    world.wait_for_access("main", ME, token.trim());
    world.run(ORDER_SET).ok();
    world.log_in(&[]).0.ok();
    world.run(&["models", "auth", "rename", ME, "openai-codex:new"]).ok();
    world.run(&["models", "auth", "logout", "openai-codex:new"]).ok();
    assert!(fs::symlink_metadata(world.store()).unwrap().is_symlink());
    assert_eq!(fs::metadata(&real).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::read(&real).unwrap(), fs::read(real.with_file_name("store.json.bak")).unwrap());
    let beside = names(real.parent().unwrap());
    assert_eq!(beside, ["store.json", "store.json.bak", "store.json.owner"]);
}

/// F11: a link to nothing is named by whoever would write, before anybody is sent to a browser, and by `doctor`; nothing is
/// made in its place.
#[test]
fn f11_a_link_to_nothing_is_named() {
    let world = World::new();
    let nowhere = world.path().join("gone/store.json");
    fs::create_dir_all(world.store().parent().unwrap()).unwrap();
    symlink(&nowhere, world.store()).unwrap();
    let ran = world.run_within(PATIENCE, LOGIN);
    assert_eq!(ran.code(), "not_writable");
    let store = world.store().display().to_string();
    assert!(
        ran.stderr.contains(&store) && ran.stderr.contains("a link to a file that is not there"),
        "{ran:?}"
    );
    let told = world.run(&["doctor"]);
    let words = told.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("where nothing is"), "{told:?}");
    assert!(!nowhere.exists() && fs::symlink_metadata(world.store()).unwrap().is_symlink());
    assert_eq!(world.sandbox.log().len(), 0);
}

/// F11: a store with two names (hard links): a commit gives this name the new version, and the other keeps the old one,
/// whose token is spent. `doctor` says so beforehand.
#[test]
fn f11_a_second_name_keeps_the_old_version() {
    let (world, login) = World::expired();
    let other = world.path().join("second-name.json");
    fs::hard_link(world.store(), &other).unwrap();
    let told = world.run(&["doctor"]);
    let words = told.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("2 names (hard links)") && words.contains("keep tokens that are spent"),
        "{told:?}"
    );
    let old = fs::read(&other).unwrap();
    let token = world.token().ok();
    world.wait_for_access("main", ME, token.trim());
    assert_eq!(fs::read(&other).unwrap(), old);
    assert_ne!(world.entry("main", ME)["refresh"], login.refresh.expose());
    assert_eq!((fs::metadata(world.store()).unwrap().nlink(), fs::metadata(&other).unwrap().nlink()), (1, 1));
}

/// A world with the agent dir of `main` outside of the state dir, and another state dir that names the same one.
fn shared(left: i64) -> (World, World, PathBuf) {
    let (one, two) = (World::new(), World::new());
    let dir = one.path().join("elsewhere");
    let login = one.login(left);
    let text = json!({"version": 1, "profiles": {ME: login.entry}}).to_string();
    one.private(&dir.join("auth-profiles.json"), &text);
    for world in [&one, &two] {
        world.config(&json!({"agents": {"list": [{"id": "main", "agentDir": dir}]}}).to_string());
        // Both ask the same server.
        world.private(&world.state().join("providers/openai-codex.toml"), &one.sandbox.manifest(PROVIDER));
    }
    (one, two, dir.join("auth-profiles.json"))
}

/// A2: a store outside of the state dirs that two of them share: the first that refreshes it owns it; the other lends what
/// works, and says whose it is instead of refreshing.
#[test]
fn a2_a_store_of_two_state_dirs_has_one_that_refreshes_it() {
    let (mut one, mut two, _) = shared(-1_000);
    let token = one.token().ok();
    assert_eq!(two.token().ok(), token, "what works is lent by both");
    for world in [&mut one, &mut two] {
        world.shift_clock(Duration::from_secs(2 * 3_600));
    }
    let ran = two.token();
    assert_eq!(ran.code(), "foreign_store", "{ran:?}");
    let owner = fs::canonicalize(one.state()).unwrap().display().to_string();
    assert!(ran.stderr.contains(&owner), "{ran:?}");
    assert_eq!((one.sandbox.counts().refreshes, two.sandbox.counts().refreshes), (1, 0));
    assert_ne!(one.token().ok(), token);
    assert_eq!((one.sandbox.counts().refreshes, one.sandbox.counts().reuses), (2, 0));
    assert_eq!(two.token().ok(), one.token().ok());
}

/// A2: a copy of a login whose other copy lies in a store that another state dir refreshes. What that one's journal knows of
/// the token cannot be told from here: it is not sent.
#[test]
fn a2_a_copy_of_a_foreign_login_is_not_sent() {
    let (mut one, mut two, store) = shared(-1_000);
    one.token().ok();
    let text = fs::read_to_string(&store).unwrap();
    let dir = store.parent().unwrap();
    two.config(&json!({"agents": {"list": [{"id": "main"}, {"id": "out", "agentDir": dir}]}}).to_string());
    two.private(&two.store(), &text);
    for world in [&mut one, &mut two] {
        world.shift_clock(Duration::from_secs(2 * 3_600));
    }
    let ran = two.token();
    assert_eq!(ran.code(), "foreign_store", "{ran:?}");
    assert_eq!(one.sandbox.counts().refreshes, 1);
    one.token().ok();
    assert_eq!((one.sandbox.counts().refreshes, one.sandbox.counts().reuses), (2, 0));
    // Its own copy is spent now, and the one that shows it is newer.
    two.shift_clock(Duration::from_secs(600));
    assert_eq!(two.token().code(), "needs_login");
    assert_eq!((one.sandbox.counts().refreshes, one.sandbox.counts().reuses), (2, 0));
}

/// A2: both ask for the first time at once. Two state dirs have two sets of locks, and the lock beside the store is for both:
/// one request, and both have its result or say why not.
#[test]
fn a2_two_state_dirs_at_once_make_one_request() {
    for round in 0..15 {
        let (one, two, store) = shared(-1_000);
        let children: Vec<_> = [&one, &two, &one, &two]
            .map(|world| world.start(&mut world.command(TOKEN)))
            .into_iter()
            .collect();
        let ran: Vec<Ran> =
            children.into_iter().map(|child| Ran::from(child.wait_with_output().unwrap())).collect();
        assert_eq!(
            (one.sandbox.counts().refreshes, one.sandbox.counts().reuses),
            (1, 0),
            "round {round}: {ran:?}"
        );
        let text = fs::read_to_string(&store).unwrap();
        for ran in ran {
            match ran.code {
                Some(0) => assert!(text.contains(ran.stdout.trim()), "round {round}"),
                _ => assert!(["foreign_store", "locked"].contains(&ran.code()), "round {round}: {ran:?}"),
            }
        }
    }
}

/// A2: while one state dir refreshes, the other's changes to the shared store wait, and then say that it is locked: their
/// kernel locks are not the same, and the store would lose one of two writes.
#[test]
fn a2_another_state_dir_does_not_write_into_a_refresh() {
    let (one, two, store) = shared(-1_000);
    let gate = one.sandbox.gate();
    let asker = one.start(&mut one.command(TOKEN));
    assert!(gate.wait_arrived(PATIENCE));
    let before = fs::read(&store).unwrap();
    let ran = two.run(ORDER_SET);
    assert_eq!(ran.code(), "locked", "{ran:?}");
    assert_eq!(fs::read(&store).unwrap(), before);
    one.run(ORDER_SET).ok();
    gate.open();
    let token = Ran::from(asker.wait_with_output().unwrap()).ok();
    let text = fs::read_to_string(&store).unwrap();
    assert!(text.contains(token.trim()) && text.contains("\"order\""), "both are there");
}

/// A store, or a state dir, of another user is not written, and the error says whose it is. As root a file is given away;
/// else a state dir is taken that is root's.
#[test]
fn what_belongs_to_another_user_is_not_replaced() {
    let is_root = rustix::process::geteuid().is_root();
    let mut world = World::new();
    if !is_root {
        world.set("CODERCLAW_STATE_DIR", "/etc");
        let ran = world.run(ORDER_SET);
        assert!(["not_owner", "unknown_profile"].contains(&ran.code()), "{ran:?}");
        let ran = world.run_within(PATIENCE, LOGIN);
        assert_eq!(ran.code(), "not_owner", "{ran:?}");
        assert!(ran.stderr.contains("/etc belongs to user 0"), "{ran:?}");
        return;
    }
    let login = world.login(-1_000);
    world.seed("main", &[(ME, &login.entry)]);
    chown(world.store(), Some(12_345), None).unwrap();
    let before = fs::read(world.store()).unwrap();
    for command in [TOKEN, ORDER_SET, LOGIN] {
        let ran = world.run_within(PATIENCE, command);
        assert_eq!(ran.code(), "not_owner", "{command:?}: {ran:?}");
        assert!(ran.stderr.contains("belongs to user 12345"), "{ran:?}");
    }
    assert_eq!(world.sandbox.log().len(), 0, "nothing was sent");
    assert_eq!(fs::read(world.store()).unwrap(), before);
    assert_eq!(fs::metadata(world.store()).unwrap().uid(), 12_345);
}

/// F12: a store that is mounted as a single file cannot be replaced. That is said, with what to mount instead, before
/// anything is sent, where the system shows the mount; and where only the rename finds out, the store stays as it was, and
/// an answer that has come is kept and lent.
#[test]
fn f12_a_single_file_mount_is_named_before_anything_is_sent() {
    mounted_for_real();
    let (mut world, login) = World::expired();
    world.set("CODERCLAW_FAULT", "store.before_rename:ebusy");
    let before = fs::read(world.store()).unwrap();
    let ran = world.run(ORDER_SET);
    says_what_to_mount(&ran);
    assert_eq!(fs::read(world.store()).unwrap(), before);
    let token = world.token().ok();
    assert_ne!(token.trim(), login.access.expose());
    assert_eq!(fs::read(world.store()).unwrap(), before);
    assert_eq!(world.token().ok(), token, "it is in the journal");
    world.unset("CODERCLAW_FAULT");
    assert_eq!(world.token().ok(), token);
    world.wait_for_access("main", ME, token.trim());
    assert_eq!((world.sent(&login.refresh), world.sandbox.counts().refreshes), (1, 1));
}

fn says_what_to_mount(ran: &Ran) {
    assert_eq!(ran.code(), "not_writable", "{ran:?}");
    assert!(
        ran.stderr.contains("is mounted as a single file and cannot be replaced; mount its folder instead"),
        "{ran:?}"
    );
}

/// The same with a mount of its own, in a name space where a plain user may make one.
#[allow(clippy::print_stdout, reason = "a test says what it could not do here")]
fn mounted_for_real() {
    let (world, login) = World::expired();
    let real = world.path().join("real.json");
    world.private(&real, &world.text());
    let is_root = rustix::process::geteuid().is_root();
    let as_user: &[&str] = if is_root { &["-m"] } else { &["-rm"] };
    let permitted =
        Command::new("unshare").args(as_user).arg("true").status().is_ok_and(|status| status.success());
    if !permitted {
        println!("no name space of its own for a mount here: the rename alone is tested");
        return;
    }
    let script = "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"";
    for command in [TOKEN, ORDER_SET, LOGIN] {
        let inner = world.command(command);
        let mut outer = Command::new("unshare");
        outer
            .args(as_user)
            .args(["sh", "-c", script, "sh"])
            .args([&real, &world.store()])
            .arg(inner.get_program())
            .args(inner.get_args())
            .env_clear()
            .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .stdin(std::process::Stdio::null());
        says_what_to_mount(&Ran::from(outer.output().unwrap()));
    }
    assert_eq!(world.sandbox.log().len(), 0, "nothing was sent");
    assert!(world.sandbox.is_live(&login.refresh));
}

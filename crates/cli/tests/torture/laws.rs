//! What must hold, and what a round may say while something goes wrong.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use coderclaw_types::{Code, TokenHash};
use serde_json::Value;

use crate::plan::{Move, Round, Target, Trouble};
use crate::world::{AGENTS, CLONES, Ran, World};

/// A look may take so long on a machine that starts hundreds of processes at once.
const LOOK: Duration = Duration::from_secs(30);

/// What is said of a login that somebody has logged out.
pub(crate) const GONE: [&str; 3] = ["missing_credential", "needs_login", "not_linked"];

/// A fault that struck, as `CODERCLAW_FAULT`'s log has it.
#[derive(Debug, Clone)]
pub(crate) struct Strike {
    pub(crate) pid: i32,
    pub(crate) point: String,
}

impl Strike {
    pub(crate) fn read(text: &str) -> Vec<Self> {
        let one = |line: &str| {
            let words: Vec<_> = line.split(' ').collect();
            let [pid, point, ..] = words[..] else { return None };
            Some(Self { pid: pid.parse().ok()?, point: point.into() })
        };
        text.lines().filter_map(one).filter(|strike| strike.point != "worker.spawn").collect()
    }

    /// Whether nobody can know any more what became of the token.
    fn is_ambiguous(&self) -> bool {
        let points = ["refresh.sending", "refresh.sent", "journal.append", "journal.torn"];
        points.contains(&self.point.as_str())
    }
}

/// For each refresh token, the faults that struck while it was the one to be refreshed.
pub(crate) type Struck = HashMap<TokenHash, Vec<Strike>>;

/// Law 1: each refresh token reaches its server once, and once more for each time that its end is not known.
pub(crate) fn each_is_sent_once(world: &World, struck: &Struck) -> Result<(), String> {
    for (token, (sent, spoiled)) in world.sends() {
        let strikes = struck.get(&token).map_or(0, |all| all.iter().filter(|one| one.is_ambiguous()).count());
        if sent > 1 + spoiled + strikes {
            return Err(format!(
                "a refresh token was sent {sent} times; {spoiled} answers were bad, {strikes} faults struck"
            ));
        }
    }
    Ok(())
}

/// Whether something was done to the refresh of this token that may have cost the login.
pub(crate) fn is_excused(world: &World, struck: &Struck, token: &TokenHash) -> bool {
    let spoiled = world.sends().get(token).is_some_and(|(_, spoiled)| *spoiled > 0);
    spoiled || struck.get(token).is_some_and(|all| all.iter().any(Strike::is_ambiguous))
}

/// Laws 3 and 9: every store can be parsed at any moment.
pub(crate) fn stores_parse(world: &World) -> Result<(), String> {
    for agent in 0..AGENTS.len() {
        let path = world.store(agent);
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        serde_json::from_str::<Value>(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}

/// Law 9: no file is for others to read.
pub(crate) fn files_are_private(world: &World) -> Result<(), String> {
    let mut folders: Vec<PathBuf> = vec![world.state()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            // Gone meanwhile.
            let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
            if meta.is_dir() {
                folders.push(path);
            } else if meta.mode() & 0o777 != 0o600 {
                return Err(format!("{} has the mode {:o}", path.display(), meta.mode() & 0o777));
            }
        }
    }
    Ok(())
}

/// Law 9: nothing is printed that was not asked for.
pub(crate) fn is_silent(ran: &Ran, may_print: bool) -> Result<(), String> {
    let said = if may_print { ran.err.clone() } else { format!("{}{}", ran.out, ran.err) };
    let signs = ["sandbox-rt-", "sandbox-not-a-real", "eyJhbGci"];
    match signs.iter().find(|sign| said.contains(**sign)) {
        Some(_) => Err(format!("{} printed a token", ran.what)),
        None => Ok(()),
    }
}

/// Laws 4 and 8: a look is answered in time, in JSON, and says nothing that is not so.
pub(crate) fn look_is_true(
    round: &Round,
    agent: usize,
    expected: &[(Target, String)],
    ran: &Ran,
) -> Result<(), String> {
    is_silent(ran, false)?;
    if ran.code != Some(0) || ran.took > LOOK {
        return Err(format!(
            "{} ended with {:?} after {:?}: {}{}",
            ran.what, ran.code, ran.took, ran.out, ran.err
        ));
    }
    let json: Value =
        serde_json::from_str(&ran.out).map_err(|e| format!("{}: {e}: {}", ran.what, ran.out))?;
    let mut lies = vec![
        "corrupt",
        "unreadable",
        "missing_credential",
        "unsupported_version",
        "foreign_store",
        "not_owner",
    ];
    if matches!(round.trouble, Trouble::None | Trouble::Killed(_) | Trouble::Stopped { .. }) {
        lies.extend([
            "needs_login",
            "interrupted",
            "rejected",
            "revoked",
            "offline",
            "worker_failed",
            "not_writable",
        ]);
    }
    let profiles =
        json.pointer("/auth/oauth/profiles").and_then(Value::as_array).cloned().unwrap_or_default();
    for (target, id) in expected.iter().filter(|(target, _)| target.agent == agent) {
        if round.moves.iter().any(|(_, moved)| moved == target) {
            continue;
        }
        let Some(one) = profiles.iter().find(|one| one["profileId"] == id.as_str()) else {
            return Err(format!("{} does not show {id}: {}", ran.what, ran.out));
        };
        let state = one["state"].as_str().unwrap_or_default();
        if lies.contains(&state) && round.targets.contains(target) {
            return Err(format!("{} says {state} of {id}: {one}", ran.what));
        }
    }
    Ok(())
}

/// Law 2 and the rest of 8: what askers were told, login by login.
pub(crate) fn askers_were_told_the_truth(
    world: &World,
    round: &Round,
    asked: &[(Target, bool, Ran)],
) -> Result<(), String> {
    for (target, is_carrier, ran) in asked {
        is_silent(ran, true)?;
        let word = ran.word();
        if !may_say(round, *target, *is_carrier, word) {
            return Err(format!("{} was told {word}: {}", ran.what, ran.err.trim()));
        }
        if word == "ok" && !ran.out.trim_end().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("{} printed more than a token", ran.what));
        }
    }
    // Where nothing went wrong and nobody logged in or out, all have the same token, and it is a good one.
    let is_calm = matches!(round.trouble, Trouble::None);
    let targets: HashSet<Target> = asked.iter().map(|(target, ..)| *target).collect();
    for target in targets.into_iter().filter(|target| is_calm && moves_of(round, *target).is_empty()) {
        let lent: HashSet<&str> =
            asked.iter().filter(|(t, ..)| *t == target).map(|(.., ran)| ran.out.trim()).collect();
        let is_live = |token: &&str| world.sandbox(target).is_live_access(&(*token).into());
        // A copy of the login in another store may be what was logged out.
        if !round.moves.iter().any(|(what, _)| *what == Move::Logout) && !lent.iter().all(is_live) {
            return Err(format!("{target}: a token was lent that does not work"));
        }
        if lent.len() != 1 && !round.still_work {
            return Err(format!("{target}: {} different tokens were lent", lent.len()));
        }
    }
    Ok(())
}

pub(crate) fn moves_of(round: &Round, target: Target) -> Vec<Move> {
    round.moves.iter().filter(|(_, moved)| *moved == target).map(|(what, _)| *what).collect()
}

fn may_say(round: &Round, target: Target, is_carrier: bool, word: &str) -> bool {
    if word == "ok" {
        return true;
    }
    if moves_of(round, target).contains(&Move::Logout) && GONE.contains(&word) {
        return true;
    }
    // Refreshes of one store take turns, and wait for each other no longer than for the original.
    let store = |target: &Target| if CLONES.contains(&target.agent) { 0 } else { target.agent };
    let shares_store = round.targets.iter().any(|one| store(one) == store(&target) && *one != target);
    let is_held_up = shares_store && matches!(round.trouble, Trouble::Stopped { .. } | Trouble::Answers(_));
    if word == "locked" && is_held_up {
        return true;
    }
    let disk = ["not_writable", "unreadable", "worker_failed", "offline", "locked"];
    let lost = ["offline", "needs_login", "interrupted"];
    match &round.trouble {
        Trouble::None => false,
        Trouble::Answers(_) => lost.contains(&word) || word == "refresh_in_progress",
        Trouble::Point { .. } => {
            (is_carrier && word == "killed")
                || lost.contains(&word)
                || disk.contains(&word)
                || is_internal_read(word)
        }
        Trouble::Stopped { .. } => {
            ["refresh_in_progress", "offline", "needs_login", "interrupted"].contains(&word)
        }
        Trouble::Killed(_) => word == "killed",
        Trouble::FullDisk | Trouble::ReadOnly => disk.contains(&word),
    }
}

/// Only a fault at the very read of the store or the journal shows so.
fn is_internal_read(word: &str) -> bool {
    word == Code::Unreadable.as_str()
}

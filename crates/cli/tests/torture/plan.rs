//! What a seed stands for: round after round, who asks, what moves meanwhile, and what goes wrong.
//!
//! A round depends on the seed and its number alone, so that one is replayed by the same command.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use coderclaw_sandbox::{Body, ExpiresIn, Fault, Reply, RetryAfter};
use fastrand::Rng;

use crate::world::{AGENTS, PROVIDERS};

/// One login: whose, by number, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Target {
    pub(crate) agent: usize,
    pub(crate) provider: usize,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", AGENTS[self.agent], PROVIDERS[self.provider])
    }
}

/// What a person does in the middle of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// Logs in again, as the same person.
    Login,
    /// Logs out, and in again.
    Logout,
    /// Gives the profile another id, and then its old one.
    Rename,
    /// Sets an order and clears it.
    Order,
}

/// What goes wrong.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// Nothing.
    None,
    /// The provider's servers answer so, as many times.
    Answers(Vec<(usize, Fault, usize)>),
    /// The first asker of each login runs into this, and the worker that it starts.
    Point { plan: String, is_in_task: bool },
    /// The same, and whoever is stopped goes on after a while.
    Stopped { plan: String, time: Duration },
    /// Askers are killed, so many milliseconds after their start.
    Killed(Vec<u64>),
    /// The disk has no room.
    FullDisk,
    /// The disk takes nothing.
    ReadOnly,
}

#[derive(Debug, Clone)]
pub(crate) struct Round {
    pub(crate) number: u64,
    /// Who is asked for, over and over, until there are as many processes.
    pub(crate) targets: Vec<Target>,
    pub(crate) askers: usize,
    pub(crate) looks: usize,
    /// The access tokens still work when they are asked for.
    pub(crate) still_work: bool,
    pub(crate) moves: Vec<(Move, Target)>,
    pub(crate) trouble: Trouble,
}

/// `faults::POINTS` in an order of its own, which is part of what a seed means and stays when that one changes;
/// [`check_points`] says where the two differ. Without `worker.spawn`: a fault there is how a refresh comes to be made in the
/// asker itself.
const POINTS: &[&str] = &[
    "asker.locked",
    "asker.handed",
    "refresh.locked",
    "refresh.settled",
    "original.marked",
    "store.read",
    "store.check",
    "journal.create",
    "journal.before_rename",
    "journal.append",
    "journal.torn",
    "refresh.prepared",
    "refresh.sending",
    "refresh.sent",
    "refresh.answered",
    "store.write",
    "store.torn",
    "store.before_rename",
    "store.after_rename",
    "refresh.applied_one",
    "refresh.applied",
    "ledger.write",
    "refresh.ledger",
    "refresh.done",
    "cache.write",
    "audit.write",
];

/// Whether the points are those of a refresh.
pub(crate) fn check_points() -> Result<(), String> {
    let all = coderclaw_store::faults::POINTS.iter().filter(|point| **point != "worker.spawn");
    let (own, all): (BTreeSet<_>, BTreeSet<_>) = (POINTS.iter().collect(), all.collect());
    let differ: Vec<_> = own.symmetric_difference(&all).collect();
    if differ.is_empty() { Ok(()) } else { Err(format!("the fail points of plan.rs are others: {differ:?}")) }
}

impl Round {
    /// The round `number` of `seed`. A short run has small storms and no stop that lasts.
    pub(crate) fn of(seed: u64, number: u64, is_short: bool) -> Self {
        let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(number));
        // The generator's first numbers are close for seeds that are close.
        for _ in 0..8 {
            rng.u64(..);
        }
        let mut all: Vec<Target> = (0..AGENTS.len())
            .flat_map(|agent| (0..PROVIDERS.len()).map(move |provider| Target { agent, provider }))
            .collect();
        rng.shuffle(&mut all);
        let sizes: &[usize] = if is_short { &[4, 8, 16] } else { &[4, 8, 16, 32, 64, 128, 256] };
        let askers = sizes[rng.usize(..sizes.len())];
        let width = rng.usize(1..=6.min(askers));
        let targets = all[..width].to_vec();
        let trouble = trouble(&mut rng, &targets, is_short);
        let may_move = !matches!(trouble, Trouble::Stopped { .. });
        let moves = (0..if may_move { rng.usize(0..=3) } else { 0 }).map(|_| {
            let what = [Move::Login, Move::Logout, Move::Rename, Move::Order][rng.usize(..4)];
            (what, targets[rng.usize(..width)])
        });
        let mut moves: Vec<_> = moves.collect();
        // One thing at a time with one login.
        moves.sort_by_key(|(_, target)| *target);
        moves.dedup_by_key(|(_, target)| *target);
        Self {
            number,
            targets,
            askers,
            looks: rng.usize(2..=6),
            still_work: rng.u8(..4) == 0,
            moves,
            trouble,
        }
    }
}

fn trouble(rng: &mut Rng, targets: &[Target], is_short: bool) -> Trouble {
    match rng.u8(..100) {
        0..25 => Trouble::None,
        25..50 => {
            let count = rng.usize(1..=3);
            let answers = (0..count).map(|_| {
                let target = targets[rng.usize(..targets.len())];
                (target.provider, fault(rng, is_short), rng.usize(1..=3))
            });
            Trouble::Answers(answers.collect())
        }
        50..75 => {
            let point = POINTS[rng.usize(..POINTS.len())];
            let is_repeated = point.starts_with("store.") || point.starts_with("journal.");
            let passage = ["", "@1", "@2", "@3", "@4"][rng.usize(..if is_repeated { 5 } else { 1 })];
            let action = ["kill", "kill", "kill", "eio", "emfile", "enospc", "erofs"][rng.usize(..7)];
            Trouble::Point { plan: format!("{point}{passage}:{action}"), is_in_task: rng.u8(..4) == 0 }
        }
        75..82 => {
            let points =
                ["refresh.locked", "refresh.prepared", "refresh.sending", "refresh.answered", "store.write"];
            let plan = format!("{}:stop", points[rng.usize(..points.len())]);
            let long = if rng.u8(..4) == 0 { 60 } else { rng.u64(1..=10) };
            let seconds = if is_short { 1 } else { long };
            Trouble::Stopped { plan, time: Duration::from_secs(seconds) }
        }
        82..90 => Trouble::Killed((0..rng.usize(1..=8)).map(|_| rng.u64(..200)).collect()),
        90..95 => Trouble::FullDisk,
        _ => Trouble::ReadOnly,
    }
}

fn fault(rng: &mut Rng, is_short: bool) -> Fault {
    let page = |status| Fault::status(status);
    let wait = Reply::new(503, Body::Html).retry_after(RetryAfter::Seconds(5));
    let slow = Duration::from_millis(rng.u64(10..800));
    match rng.u8(..22) {
        0 => Fault::DropBeforeRead,
        1 => Fault::DropBeforeRotate,
        2 => Fault::RotateThenDrop,
        3 => Fault::RotateThenHalfBody,
        4 => Fault::RotateThenReply(Reply::new(502, Body::Html)),
        5 | 6 => Fault::RotateThenDelay(slow),
        7 => Fault::SlowBody(Duration::from_micros(rng.u64(1..500))),
        8 => Fault::NoRefreshToken,
        9 => Fault::OtherAccount,
        10 => Fault::DuplicateKeys,
        11 => Fault::HugeBody,
        12 => Fault::html_200(),
        13 => page([500, 403, 404, 429][rng.usize(..4)]),
        14 => page([408, 502, 504, 520][rng.usize(..4)]),
        15 => Fault::Reply(wait),
        16 => Fault::error(["invalid_grant", "refresh_token_reused", "token_expired"][rng.usize(..3)]),
        17 => Fault::error(["server_error", "invalid_request", "brand_new"][rng.usize(..3)]),
        18 => Fault::Reply(Reply::new(200, Body::Json("{\"access_token\":\"cut".into()))),
        19 => Fault::redirect("http://127.0.0.1:9/"),
        20 if !is_short => Fault::HangBeforeRotate,
        _ => Fault::ExpiresIn(
            [ExpiresIn::Zero, ExpiresIn::Huge, ExpiresIn::String, ExpiresIn::Absent][rng.usize(..4)],
        ),
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, targets, askers, looks, still_work, moves, trouble } = self;
        let targets: Vec<_> = targets.iter().map(Target::to_string).collect();
        let life = if *still_work { "due" } else { "expired" };
        write!(f, "round {number}: {askers} askers for {} ({life}), {looks} looks", targets.join(" "))?;
        for (what, target) in moves {
            write!(f, ", {what:?} {target}")?;
        }
        match trouble {
            Trouble::None => Ok(()),
            Trouble::Answers(answers) => {
                for (provider, fault, times) in answers {
                    write!(f, "; {} answers {times} x {fault:?}", PROVIDERS[*provider])?;
                }
                Ok(())
            }
            Trouble::Point { plan, is_in_task: true } => write!(f, "; {plan}, in a task"),
            Trouble::Point { plan, .. } => write!(f, "; {plan}"),
            Trouble::Stopped { plan, time } => write!(f, "; {plan} for {} s", time.as_secs()),
            Trouble::Killed(after) => write!(f, "; askers killed after {after:?} ms"),
            Trouble::FullDisk => f.write_str("; the disk is full"),
            Trouble::ReadOnly => f.write_str("; the disk is read-only"),
        }
    }
}

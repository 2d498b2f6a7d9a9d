//! One round: the storm with what happens around it, then peace, recovery, and the laws.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use coderclaw_types::TokenHash;
use rustix::process::{Pid, Signal, kill_process};

use crate::disk::Disk;
use crate::laws::{self, Strike, Struck};
use crate::plan::{Move, Round, Target, Trouble};
use crate::world::{AGENTS, PROVIDERS, Ran, World, ended};

/// Longer than any spacing after a failure, and than any access token lives.
const RECOVERY: Duration = Duration::from_secs(2 * 3_600);

#[derive(Default)]
pub(crate) struct Counts {
    rounds: usize,
    told: BTreeMap<String, usize>,
    looks: usize,
    strikes: usize,
    /// Logins that a fault cost, and that were made again.
    lost: usize,
}

impl Counts {
    pub(crate) fn in_words(&self, world: &World) -> String {
        let counts: Vec<_> = world.sandboxes.iter().map(coderclaw_sandbox::Sandbox::counts).collect();
        let sum = |one: fn(&coderclaw_sandbox::Counts) -> u32| counts.iter().map(one).sum::<u32>();
        let told: Vec<_> = self.told.iter().map(|(word, count)| format!("{count} {word}")).collect();
        format!(
            "{} rounds, {} processes; askers: {}; {} looks; {} faults struck; servers saw {} refreshes ({} rotations, {} \
             reuses), {} logins, {} revocations; {} logins lost to a fault and made again",
            self.rounds,
            world.started.load(Ordering::Relaxed),
            told.join(", "),
            self.looks,
            self.strikes,
            sum(|c| c.refreshes),
            sum(|c| c.rotations),
            sum(|c| c.reuses),
            sum(|c| c.exchanges),
            sum(|c| c.revokes),
            self.lost,
        )
    }
}

pub(crate) struct Torture {
    pub(crate) world: World,
    disk: Disk,
    struck: Struck,
    pub(crate) counts: Counts,
}

/// What a storm left.
struct Storm {
    /// Who asked, whether it carried the fault, and what it got.
    asked: Vec<(Target, bool, Ran)>,
    looked: Vec<(usize, Ran)>,
    moved: Vec<Ran>,
}

impl Torture {
    pub(crate) fn new(world: World, disk: Disk) -> Self {
        Self { world, disk, struck: HashMap::new(), counts: Counts::default() }
    }

    /// A copy of the state dir, for whoever looks into what was broken.
    pub(crate) fn keep(&self, seed: u64, number: u64) -> PathBuf {
        let to = std::env::temp_dir().join(format!("coderclaw-torture-{seed}-{number}"));
        let mut copy = std::process::Command::new("cp");
        drop(copy.arg("-a").arg(self.world.state()).arg(&to).output());
        to
    }

    pub(crate) fn round(&mut self, round: &Round) -> Result<String, String> {
        let hour = if round.still_work { 3_400 } else { 3_700 };
        let tokens: Vec<_> =
            all().filter_map(|target| Some((target, self.world.token_of(target)?))).collect();
        let before: HashMap<Target, TokenHash> =
            tokens.iter().map(|(target, token)| (*target, TokenHash::of(token))).collect();
        // All begin alike: each token was refreshed in the round before, and is renewed now if it was not.
        self.world.move_clock(Duration::from_secs(hour));
        let ids: Vec<(Target, String)> =
            all().filter_map(|target| Some((target, self.world.ids_of(target).pop()?))).collect();
        self.begin_trouble(round);
        let storm = self.storm(round);
        self.end_trouble(round);
        let storm = storm?;
        self.world.settle()?;
        for (target, strikes) in self.strikes(round) {
            self.counts.strikes += strikes.len();
            if let Some(token) = before.get(&target) {
                self.struck.entry(*token).or_default().extend(strikes);
            }
        }
        let words = self.told(&storm);
        laws::askers_were_told_the_truth(&self.world, round, &storm.asked)?;
        for (agent, ran) in &storm.looked {
            laws::look_is_true(round, *agent, &ids, ran)?;
        }
        for ran in &storm.moved {
            laws::is_silent(ran, false)?;
            let is_calm = matches!(round.trouble, Trouble::None | Trouble::Killed(_));
            if is_calm && ran.code != Some(0) {
                return Err(format!("{} failed: {}{}", ran.what, ran.out, ran.err));
            }
        }
        self.recover(round, &before)?;
        self.world.settle()?;
        laws::each_is_sent_once(&self.world, &self.struck)?;
        laws::stores_parse(&self.world)?;
        laws::files_are_private(&self.world)?;
        self.counts.rounds += 1;
        Ok(words)
    }

    fn begin_trouble(&self, round: &Round) {
        match &round.trouble {
            Trouble::Answers(answers) => {
                for (provider, fault, times) in answers {
                    self.world.sandboxes[*provider].script(fault.clone(), *times);
                }
            }
            Trouble::FullDisk => self.disk.fill(),
            Trouble::ReadOnly => self.disk.make_read_only(),
            _ => {}
        }
    }

    fn end_trouble(&self, round: &Round) {
        self.world.sandboxes.iter().for_each(coderclaw_sandbox::Sandbox::clear_script);
        if matches!(round.trouble, Trouble::FullDisk | Trouble::ReadOnly) {
            self.disk.restore();
        }
    }

    /// Where the faults of a login are written down as they strike; the disk of the state dir may be full.
    fn log(&self, target: Target) -> PathBuf {
        std::env::temp_dir().join(format!(
            "coderclaw-torture-{}-{}-{}.log",
            std::process::id(),
            target.agent,
            target.provider
        ))
    }

    /// What a process of this target runs into.
    fn plan(&self, round: &Round, target: Target) -> Option<String> {
        let log = format!("log:{}", self.log(target).display());
        match &round.trouble {
            Trouble::Point { plan, is_in_task: true } => Some(format!("worker.spawn:emfile,{plan},{log}")),
            Trouble::Point { plan, .. } | Trouble::Stopped { plan, .. } => Some(format!("{plan},{log}")),
            Trouble::FullDisk if !self.disk.is_real() => {
                Some("store.write:enospc,store.check:enospc,journal.create:enospc".to_owned())
            }
            Trouble::ReadOnly if !self.disk.is_real() => {
                Some("store.write:erofs,store.check:erofs,journal.create:erofs".to_owned())
            }
            _ => None,
        }
    }

    fn strikes(&self, round: &Round) -> Vec<(Target, Vec<Strike>)> {
        let read = |target: &Target| {
            let path = self.log(*target);
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            drop(std::fs::remove_file(&path));
            (*target, Strike::read(&text))
        };
        round.targets.iter().map(read).collect()
    }

    fn storm(&self, round: &Round) -> Result<Storm, String> {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let looks = scope.spawn(|| self.looks(round));
            let stores = scope.spawn(|| self.read_stores(&is_over));
            let awake = scope.spawn(|| self.wake(round, &is_over));
            let moves: Vec<_> = round
                .moves
                .iter()
                .map(|(what, target)| scope.spawn(move || self.moved(*what, *target)))
                .collect();
            let asked = self.askers(round);
            let looked = looks.join().map_err(|_| "the looks panicked".to_owned());
            let mut moved = Vec::new();
            let mut failed = None;
            for one in moves {
                match one.join().map_err(|_| "a move panicked".to_owned()).and_then(|done| done) {
                    Ok(done) => moved.extend(done),
                    Err(e) => failed = Some(e),
                }
            }
            is_over.store(true, Ordering::SeqCst);
            awake.join().map_err(|_| "the waker panicked".to_owned())?;
            stores.join().map_err(|_| "the reader panicked".to_owned())??;
            match failed {
                Some(e) => Err(e),
                None => Ok(Storm { asked: asked?, looked: looked??, moved }),
            }
        })
    }

    /// Reads all stores, over and over.
    fn read_stores(&self, is_over: &AtomicBool) -> Result<(), String> {
        while !is_over.load(Ordering::SeqCst) {
            laws::stores_parse(&self.world)?;
            // Leaves the processors to those who write.
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn askers(&self, round: &Round) -> Result<Vec<(Target, bool, Ran)>, String> {
        let killed_after: &[u64] = if let Trouble::Killed(after) = &round.trouble { after } else { &[] };
        let mut carrying = HashSet::new();
        let mut children = Vec::new();
        for index in 0..round.askers {
            let target = round.targets[index % round.targets.len()];
            let plan = self.plan(round, target);
            // On a disk that is made up of fail points, all run into it.
            let is_disk = matches!(round.trouble, Trouble::FullDisk | Trouble::ReadOnly);
            let plan = plan.filter(|_| carrying.insert(target) || is_disk);
            let began = Instant::now();
            let mut child = self.world.start(&mut self.world.asker(target, plan.as_deref()))?;
            if let Some(after) = killed_after.get(index) {
                std::thread::sleep(Duration::from_millis(*after));
                child.kill().map_err(|e| e.to_string())?;
            }
            children.push((target, plan.is_some(), child, began));
        }
        let mut asked = Vec::new();
        for (target, is_carrier, child, began) in children {
            asked.push((target, is_carrier, ended(format!("an asker of {target}"), child, began)?));
        }
        Ok(asked)
    }

    fn looks(&self, round: &Round) -> Result<Vec<(usize, Ran)>, String> {
        let mut looked = Vec::new();
        for index in 0..round.looks {
            let target = round.targets[index % round.targets.len()];
            let what = format!("status of {}", AGENTS[target.agent]);
            let mut status = self.world.command(target.agent, &["models", "status", "--json"]);
            looked.push((target.agent, self.world.run(what, &mut status)?));
            let words = ["models", "auth", "explain", "--provider", PROVIDERS[target.provider], "--json"];
            let what = format!("explain {target}");
            let ran = self.world.run(what, &mut self.world.command(target.agent, &words))?;
            laws::is_silent(&ran, false)?;
            if ran.code != Some(0) {
                return Err(format!("{} ended with {:?}: {}{}", ran.what, ran.code, ran.out, ran.err));
            }
        }
        Ok(looked)
    }

    fn moved(&self, what: Move, target: Target) -> Result<Vec<Ran>, String> {
        let Some(id) = self.world.ids_of(target).pop() else { return Ok(Vec::new()) };
        let email = self.world.email_of(target);
        let provider = PROVIDERS[target.provider];
        let auth = |words: &[&str]| {
            let words = [&["models", "auth"], words].concat();
            self.world.run(words.join(" "), &mut self.world.command(target.agent, &words))
        };
        Ok(match what {
            Move::Login => vec![self.world.log_in(target, &email)?],
            Move::Logout => vec![auth(&["logout", &id])?, self.world.log_in(target, &email)?],
            Move::Rename => {
                let other = format!("{provider}:renamed");
                vec![auth(&["rename", &id, &other])?, auth(&["rename", &other, &id])?]
            }
            Move::Order => vec![
                auth(&["order", "set", "--provider", provider, &id])?,
                auth(&["order", "clear", "--provider", provider])?,
            ],
        })
    }

    /// Whoever was stopped goes on after its time.
    fn wake(&self, round: &Round, is_over: &AtomicBool) {
        let Trouble::Stopped { time, .. } = &round.trouble else { return };
        let mut woken = HashMap::new();
        // A worker may be stopped after all askers have ended; it is woken too.
        let mut rest = 0;
        while rest < 2 {
            for target in &round.targets {
                let text = std::fs::read_to_string(self.log(*target)).unwrap_or_default();
                for strike in Strike::read(&text) {
                    let since = woken.entry(strike.pid).or_insert_with(Instant::now);
                    if since.elapsed() >= *time
                        && let Some(pid) = Pid::from_raw(strike.pid)
                    {
                        kill_process(pid, Signal::CONT).ok();
                    }
                }
            }
            // Who is struck writes a line and is stopped: no end, and nothing that could be waited for.
            std::thread::sleep(Duration::from_millis(20));
            if is_over.load(Ordering::SeqCst) {
                let is_waiting =
                    woken.values().any(|since| since.elapsed() < *time + Duration::from_millis(200));
                rest += usize::from(!is_waiting);
            }
        }
    }

    fn told(&mut self, storm: &Storm) -> String {
        let mut told: BTreeMap<&str, usize> = BTreeMap::new();
        for (.., ran) in &storm.asked {
            *told.entry(ran.word()).or_default() += 1;
        }
        for (word, count) in &told {
            *self.counts.told.entry((*word).to_owned()).or_default() += count;
        }
        self.counts.looks += storm.looked.len() * 2;
        let mut words = String::new();
        for (word, count) in told {
            words.push_str(&format!("{count} {word}, "));
        }
        let slowest = storm.asked.iter().map(|(.., ran)| ran.took).max().unwrap_or_default();
        let look = storm.looked.iter().map(|(_, ran)| ran.took).max().unwrap_or_default();
        words.push_str(&format!("slowest asker {slowest:.1?}, look {look:.1?}"));
        for ran in storm.moved.iter().filter(|ran| ran.code != Some(0)) {
            words.push_str(&format!("; {}: {}", ran.what, ran.word()));
        }
        words
    }

    /// Peace: each login gives a token that works, or was lost to a fault of this run and is made again.
    fn recover(&mut self, round: &Round, before: &HashMap<Target, TokenHash>) -> Result<(), String> {
        self.world.move_clock(RECOVERY);
        let mut targets: Vec<Target> = round.targets.clone();
        // Copies of a login share its fate.
        targets.extend(all().filter(|target| {
            round.targets.iter().any(|one| before.contains_key(one) && before.get(one) == before.get(target))
        }));
        targets.sort();
        targets.dedup();
        for target in targets {
            self.put_name_back(target)?;
            let held = self.world.token_of(target).map(|token| TokenHash::of(&token));
            let ran =
                self.world.run(format!("a late asker of {target}"), &mut self.world.asker(target, None))?;
            laws::is_silent(&ran, true)?;
            if ran.code == Some(0) {
                if !self.world.sandbox(target).is_live_access(&ran.out.trim().into()) {
                    return Err(format!("{target}: a token was lent that does not work"));
                }
                continue;
            }
            let word = ran.word();
            let was_moved = laws::moves_of(round, target).contains(&Move::Logout);
            let is_gone = was_moved && laws::GONE.contains(&word);
            let is_lost = ["needs_login", "interrupted"].contains(&word)
                && held.is_some_and(|token| laws::is_excused(&self.world, &self.struck, &token));
            if !is_gone && !is_lost {
                return Err(format!(
                    "{target}: the login is lost, and no fault cost it: {word}: {}",
                    ran.err.trim()
                ));
            }
            self.counts.lost += usize::from(!is_gone);
            let email = self.world.email_of(target);
            let login = self.world.log_in(target, &email)?;
            let again =
                self.world.run(format!("an asker of {target}"), &mut self.world.asker(target, None))?;
            if login.code != Some(0) || again.code != Some(0) {
                return Err(format!("{target}: a new login does not end it: {}{}", login.err, again.err));
            }
        }
        Ok(())
    }

    /// A rename that was hit half way is taken back.
    fn put_name_back(&self, target: Target) -> Result<(), String> {
        let provider = PROVIDERS[target.provider];
        let (renamed, ids) = (format!("{provider}:renamed"), self.world.ids_of(target));
        if !ids.contains(&renamed) {
            return Ok(());
        }
        let profile = self.world.profiles(target.agent).remove(&renamed).unwrap_or_default();
        let id = format!("{provider}:{}", profile["email"].as_str().unwrap_or_default());
        let words = ["models", "auth", "rename", &renamed, &id];
        let ran = self.world.run(words.join(" "), &mut self.world.command(target.agent, &words))?;
        if ran.code != Some(0) {
            return Err(format!("{}: {}", ran.what, ran.err));
        }
        Ok(())
    }
}

fn all() -> impl Iterator<Item = Target> {
    (0..AGENTS.len()).flat_map(|agent| (0..PROVIDERS.len()).map(move |provider| Target { agent, provider }))
}

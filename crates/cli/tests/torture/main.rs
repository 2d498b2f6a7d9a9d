//! `cargo xtask torture --minutes M --seed N`: storms, faults, moves and looks, over and over, and after each round the laws.
//!
//! The seed alone fixes what is tried. What it comes to depends on the machine's timing, and the verdict must not: the laws
//! hold whoever is first. Without arguments it runs for 20 s, for the usual test run. With the arguments of a test runner it
//! answers as a test.

#![allow(clippy::disallowed_methods, reason = "a test makes its own files and reads its own settings")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed step is a failed test")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is run by people and by CI")]
#![allow(missing_docs, reason = "tests")]

mod disk;
mod laws;
mod plan;
mod run;
mod steady;
mod world;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::disk::Disk;
use crate::plan::Round;
use crate::run::Torture;
use crate::world::World;

/// The one test that a test runner sees.
const NAME: &str = "a15_torture_for_twenty_seconds";
const SHORT: Duration = Duration::from_secs(20);
const SHORT_SEED: u64 = 1;

struct Options {
    time: Duration,
    seed: u64,
    /// Only this round, and those before it are left out.
    only: Option<u64>,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["--steady", state, seconds] => {
            steady::steady(state, Duration::from_secs(seconds.parse().unwrap_or(5)))
        }
        _ if words.contains(&"--list") => {
            if !words.contains(&"--ignored") {
                println!("{NAME}: test");
            }
            return ExitCode::SUCCESS;
        }
        _ => options(&words).and_then(|options| {
            if let Some(status) = disk::inside_own_namespace(&args) {
                return status;
            }
            torture(&options)
        }),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn options(words: &[&str]) -> Result<Options, String> {
    let mut options = Options { time: SHORT, seed: SHORT_SEED, only: None };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut number = || {
            let text = words.next().ok_or_else(|| format!("{word} wants a number"))?;
            text.parse::<u64>().map_err(|_| format!("{word} wants a number, not `{text}`"))
        };
        match *word {
            "--minutes" => options.time = Duration::from_secs(number()? * 60),
            "--seconds" => options.time = Duration::from_secs(number()?),
            "--seed" => options.seed = number()?,
            "--round" => options.only = Some(number()?),
            // What test runners say.
            _ => {}
        }
    }
    Ok(options)
}

fn torture(options: &Options) -> Result<(), String> {
    plan::check_points()?;
    let began = Instant::now();
    let is_short = options.time < Duration::from_secs(60);
    let (disk, folder) = Disk::make()?;
    println!("torture: seed {}, {} s; {}", options.seed, options.time.as_secs(), disk.in_words());
    let world = World::new(folder);
    steadily(&world, (options.time / 8).min(Duration::from_secs(30)))?;
    let mut torture = Torture::new(world, disk);
    let mut number = options.only.unwrap_or(0);
    while began.elapsed() < options.time {
        let round = Round::of(options.seed, number, is_short);
        println!("{round}");
        match torture.round(&round) {
            Ok(words) => println!("  {words}"),
            Err(why) => {
                let kept = torture.keep(options.seed, number);
                let (seed, time) = (options.seed, options.time.as_secs());
                let again = match is_short {
                    true => format!(
                        "cargo test -p coderclaw --features faults --test torture -- --seconds {time} --seed {seed}"
                    ),
                    false => format!("cargo xtask torture --minutes {} --seed {seed}", time.div_ceil(60)),
                };
                let counts = torture.counts.in_words(&torture.world);
                return Err(format!(
                    "{counts}\nthe state dir is kept in {}\nagain: {again}, or only this round: --round {number}\n\
                     torture: BROKEN in round {number} of seed {seed}: {why}",
                    kept.display(),
                ));
            }
        }
        number += 1;
        if options.only.is_some() {
            break;
        }
    }
    println!(
        "torture: seed {}, {} s: {}; no law was broken",
        options.seed,
        began.elapsed().as_secs(),
        torture.counts.in_words(&torture.world)
    );
    Ok(())
}

/// A long-lived process on a state dir of its own.
fn steadily(world: &World, time: Duration) -> Result<(), String> {
    let sandbox = &world.sandboxes[0];
    let state: PathBuf = world.dir.join("steady");
    let grant = sandbox.grant("u0");
    let entry = serde_json::json!({
        "type": "oauth", "provider": "openai-codex", "access": grant.access.expose(),
        "refresh": grant.refresh.expose(), "expires": 1,
    });
    let store = serde_json::json!({"version": 1, "profiles": {"openai-codex:u0": entry}});
    world::private(&state.join("agents/main/agent/auth-profiles.json"), &store.to_string());
    world::private(&state.join("providers/openai-codex.toml"), &sandbox.manifest("openai-codex"));
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let seconds = time.as_secs().max(2).to_string();
    let output = Command::new(program).arg("--steady").arg(&state).arg(seconds).output();
    let output = output.map_err(|e| e.to_string())?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    let counts = sandbox.counts();
    if !output.status.success() || counts.reuses > 0 {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("BROKEN by one process: {} reuses; {said}", counts.reuses));
    }
    Ok(())
}

//! `coderclaw demo`: the whole story in a minute.
//!
//! Two people log in to a pretend provider, and then what usually logs people out is done to one store: many
//! processes at once, and a kill in the middle of a refresh. Everything that is said is checked: the server counts.

mod scenes;
mod stage;
mod told;

use std::time::{Duration, Instant};

use coderclaw_types::{Clock, Code, Env, Secret};
use serde::Serialize;
use serde_json::json;

use crate::args::{DemoArgs, Global};
use crate::error::CommandError;
use crate::report::Report;
use scenes::STEPS;
use stage::Stage;
pub(crate) use stage::{new_folder, remove};
use told::Told;

/// One thing that the demo says, and whether it saw it happen.
#[derive(Debug, Serialize)]
struct Claim {
    name: &'static str,
    holds: bool,
    detail: String,
}

/// Why the story cannot go on.
#[derive(Debug)]
enum Broken {
    /// Ctrl-C.
    Interrupted,
    Failed(String),
}

impl Broken {
    fn because(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<std::io::Error> for Broken {
    fn from(error: std::io::Error) -> Self {
        Self::because(error)
    }
}

/// What the scenes share.
struct Story {
    stage: Stage,
    told: Told,
    claims: Vec<Claim>,
    /// Every token that has been in the store, to look for in what was printed.
    tokens: Vec<Secret>,
}

pub(crate) fn run(args: &DemoArgs, global: &Global, env: Env, clock: Clock) -> Result<Report, CommandError> {
    let began = Instant::now();
    let told = Told::new(global, &env);
    let stage = Stage::set(&env, clock, args.keep)?;
    let mut story = Story { stage, told, claims: Vec::new(), tokens: Vec::new() };
    let told_to_the_end = story.tell();
    let cleared = story.clear(args.keep);
    if matches!(told_to_the_end.and(cleared), Err(Broken::Interrupted)) {
        drop(story);
        Stage::end_as_interrupted();
        return Err(CommandError::new(Code::ClaimFailed, "the demo was interrupted"));
    }
    story.close(args.keep, began.elapsed());
    verdict(&story.claims, global.json, args.keep, began.elapsed())
}

impl Story {
    fn tell(&mut self) -> Result<(), Broken> {
        self.told.heading("coderclaw demo: two accounts, one store, and what usually breaks logins");
        self.told.text(
            "A pretend provider runs on this machine and counts every request. Its tokens are fake; the code \
             that handles them is the one you would use. Nothing leaves this machine, and nothing outside this \
             folder, $DEMO below, is touched:",
        );
        let root = self.stage.root().display().to_string();
        self.told.command(&root);
        for (number, step) in STEPS.iter().enumerate() {
            self.stage.go_on()?;
            self.told.heading(&format!("{}. {}", number + 1, step.title));
            self.told.text(step.why);
            match (step.run)(self) {
                Ok(()) => {}
                Err(Broken::Failed(why)) => {
                    self.claim(step.name, false, format!("it could not be shown: {why}"));
                    return Ok(());
                }
                Err(interrupted) => return Err(interrupted),
            }
        }
        Ok(())
    }

    fn claim(&mut self, name: &'static str, holds: bool, detail: impl Into<String>) {
        let claim = Claim { name, holds, detail: detail.into() };
        self.told.claim(&claim);
        self.claims.push(claim);
    }

    /// Runs a command of this program and shows what it printed.
    fn show(&mut self, arguments: &[&str]) -> Result<(), Broken> {
        let printed = self.stage.run(arguments)?;
        let root = self.stage.root().display().to_string();
        self.told.output(&format!("coderclaw {}", arguments.join(" ")), &printed.replace(&root, "$DEMO"));
        Ok(())
    }

    fn remember_tokens(&mut self) -> Result<(), Broken> {
        let tokens = self.stage.tokens()?;
        let new: Vec<_> = tokens.into_iter().filter(|token| !self.tokens.contains(token)).collect();
        self.tokens.extend(new);
        Ok(())
    }

    fn clear(&mut self, keep: bool) -> Result<(), Broken> {
        let gone = self.stage.clear();
        if keep {
            let root = self.stage.root().display().to_string();
            self.told.heading("The state dir stays");
            self.told.text("Its provider is gone, so nothing in it can be refreshed. To look around:");
            self.told.command(&format!("export CODERCLAW_STATE_DIR={}", crate::text::shell_word(&root)));
            self.told.command("coderclaw models status");
            self.told.command("coderclaw models auth paths");
            return Ok(());
        }
        match gone {
            Ok(true) => self.claim("cleaned_up", true, "The folder is gone again."),
            Ok(false) => self.claim("cleaned_up", false, "The folder is still there."),
            Err(Broken::Failed(why)) => {
                self.claim("cleaned_up", false, format!("The folder is still there: {why}"));
            }
            Err(interrupted) => return Err(interrupted),
        }
        Ok(())
    }

    fn close(&mut self, keep: bool, took: Duration) {
        // Who keeps the folder may be about to point the shell at it: no real login belongs there.
        if !keep && self.claims.iter().all(|claim| claim.holds) {
            self.told
                .heading(&format!("That took {:.1} seconds. With an account of your own:", tenths(took)));
            self.told.command("coderclaw models auth login --provider openai-codex");
        }
        self.told.gap();
    }
}

/// The last line, or the object for scripts.
fn verdict(claims: &[Claim], is_json: bool, keep: bool, took: Duration) -> Result<Report, CommandError> {
    let failed: Vec<_> = claims.iter().filter(|claim| !claim.holds).map(|claim| claim.name).collect();
    let holds = failed.is_empty();
    let message = format!("{} of {} claims do not hold: {}", failed.len(), claims.len(), failed.join(", "));
    // Who has the folder already looks into it.
    let hint = if keep { "coderclaw models status" } else { Code::ClaimFailed.next_command() };
    if is_json {
        let mut object = json!({ "claims": claims, "holds": holds, "seconds": tenths(took) });
        if !holds {
            object["error"] = json!({ "code": Code::ClaimFailed, "message": message, "hint": hint });
        }
        return Ok(Report::json(&object).exit(u8::from(!holds)));
    }
    if holds {
        return Ok(Report::text(format!("All {} claims hold.\n", claims.len())));
    }
    Err(CommandError::new(Code::ClaimFailed, message).hint(hint.into()))
}

/// Seconds with one decimal.
fn tenths(took: Duration) -> f64 {
    f64::from(u32::try_from(took.as_millis() / 100).unwrap_or(u32::MAX)) / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(holds: bool) -> [Claim; 2] {
        [("one", true), ("two", holds)].map(|(name, holds)| Claim { name, holds, detail: "d".into() })
    }

    #[test]
    fn one_claim_that_does_not_hold_fails_the_demo() {
        let took = Duration::from_millis(2_345);
        let error = verdict(&claims(false), false, false, took).unwrap_err();
        assert_eq!(error.to_string(), "1 of 2 claims do not hold: two");
        let report = format!("{:?}", verdict(&claims(false), true, false, took).unwrap());
        assert!(report.contains("exit: 1") && report.contains("claim_failed"), "{report}");
        assert!(report.contains("coderclaw demo --keep") && report.contains("2.3"), "{report}");
        let report = format!("{:?}", verdict(&claims(true), true, false, took).unwrap());
        assert!(report.contains("exit: 0") && !report.contains("error"), "{report}");
        let report = format!("{:?}", verdict(&claims(true), false, true, took).unwrap());
        assert!(report.contains("All 2 claims hold."), "{report}");
    }
}

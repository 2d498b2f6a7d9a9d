//! What stands in files, and what of it is shown.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use coderclaw_sandbox::Fault;
use serde_json::json;

use super::{outcome, seconds};
use crate::field::{ALL, Field, LIMIT, Program, is_served};
use crate::record::Row;
use crate::running::Running;
use crate::world::now;

/// The mark of a process that is alive and will not come back to it, made now.
fn leave_mark(path: PathBuf) {
    let at = jiff::Timestamp::from_millisecond(now().0).unwrap();
    let mark = json!({"pid": std::process::id(), "createdAt": format!("{at:.3}")});
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, mark.to_string()).unwrap();
}

/// F8: a lock file with the id of a living process has been left behind.
#[test]
fn f8_a_lock_file_left_behind() {
    let mut row = Row::new(10, "A lock file is left behind, with the id of a process that lives");
    for program in ALL {
        let field = Field::new();
        field.give(program, "main", &field.grant(true));
        let usual = field.ask(program, "main", 0);
        assert!(is_served(&usual), "{usual:?}");
        field.give(program, "main", &field.grant(true));
        let store = field.file(program, "main");
        if program == Program::Coderclaw {
            // All that there is of ours.
            for entry in std::fs::read_dir(field.world.state().join("locks")).unwrap().flatten() {
                leave_mark(entry.path());
            }
        } else {
            let name = store.file_name().unwrap().to_str().unwrap().to_owned();
            leave_mark(store.with_file_name(format!("{name}.lock")));
        }
        let done = field.ask(program, "main", 1);
        let lost = done.took.saturating_sub(usual.took);
        let is_lost = lost > Duration::from_secs(2);
        let time = if is_lost { format!("{} are lost", seconds(lost)) } else { "no time is lost".to_owned() };
        let served = if is_served(&done) { "the prompt is served" } else { "the prompt fails" };
        row.cell(program, format!("{served}; {time}"));
        if program == Program::Coderclaw {
            assert!(is_served(&done) && !is_lost, "{done:?}");
        }
    }
    row.write();
    the_mark_of_openclaw();
}

/// On openclaw's own folder its mark is honoured, by its rule: for thirty seconds.
fn the_mark_of_openclaw() {
    let mut row = Row::new(11, "The same on openclaw's state dir, and the lock file is openclaw's");
    for program in [Program::Coderclaw, Program::Openclaw] {
        let field = Field::shared();
        field.give(program, "main", &field.grant(true));
        assert!(is_served(&field.ask(program, "main", 0)));
        field.give(program, "main", &field.grant(true));
        leave_mark(field.world.store().with_file_name("auth-profiles.json.lock"));
        let began = Instant::now();
        let first = field.ask(program, "main", 1);
        let tries = (!is_served(&first)).then(|| field.until_served(program, "main"));
        let whole = began.elapsed();
        let text = match &tries {
            None => format!("the prompt is served, after {}", seconds(first.took)),
            Some(tries) => format!("`locked` after {}; {}", seconds(first.took), outcome(tries)),
        };
        row.cell(program, text);
        if program == Program::Coderclaw {
            assert!(first.err.contains("locked") && first.took < Duration::from_secs(10), "{first:?}");
            assert!(
                tries.is_some_and(|tries| tries.served_after.is_some()) && whole < Duration::from_secs(60)
            );
        }
    }
    row.cell(Program::Codex, "not measured: it has another folder".to_owned());
    row.write();
}

/// G1: an answer without a new refresh token, which a provider may send (RFC 6749 section 6): the old one stays good. Whether it
/// is taken, and whether the new access token is shown to whoever looks.
#[test]
fn g1_an_answer_without_a_refresh_token() {
    let mut row = Row::new(12, "The provider's answer brings no new refresh token");
    for program in ALL {
        let field = Field::new();
        field.give(program, "main", &field.grant(true));
        field.world.sandbox.script(Fault::NoRefreshToken, 1);
        let first = field.ask(program, "main", 1);
        let seen = format!("{}{}", first.out, first.err);
        // A JWT's beginning is that of every JWT, and its last part is missing in the sandbox's.
        let is_shown = seen
            .split(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)))
            .any(|word| word.starts_with("eyJ") && word.matches('.').count() >= 2 && word.len() > 200);
        let tries = (!is_served(&first)).then(|| field.until_served(program, "main"));
        let served = match &tries {
            None => "the prompt is served".to_owned(),
            Some(tries) => format!("the prompt fails; {}", outcome(tries)),
        };
        let shown =
            if is_shown { "the new access token stands in full on the screen" } else { "no token is shown" };
        row.cell(program, format!("{served}; {shown}"));
        if program == Program::Coderclaw {
            assert!(tries.is_none() && !is_shown, "{first:?}");
        }
    }
    row.write();
}

/// How many characters of the key stand in the text, in pieces of four or more.
fn shown(key: &str, text: &str) -> usize {
    let mut at = vec![false; key.len()];
    for from in 0..key.len() - 3 {
        if text.contains(&key[from..from + 4]) {
            at[from..from + 4].fill(true);
        }
    }
    at.into_iter().filter(|is_shown| *is_shown).count()
}

/// G2: how much of an API key the program's own status shows.
#[test]
fn g2_keys_on_the_screen() {
    let mut row = Row::new(13, "Characters of an API key that its status shows, beside the prefix");
    let (prefix, secret) = ("sk-proj-", "Q7w9Zx3Kd8Vb2Nm5Rt6Yp4Hs1Jf0Gc8La7Ue3Io9Wq5Xz2");
    let key = format!("{prefix}{secret}");
    assert_eq!((shown(secret, "x Q7w9Z y o9Wq5Xz2"), shown(secret, "Q7w")), (13, 0));
    for program in ALL {
        let field = Field::new();
        let file = field.file(program, "main");
        let commands: &[&[&str]] = match program {
            Program::Coderclaw => &[
                &["models", "status"],
                &["models", "status", "--json"],
                &["models", "auth", "list"],
                &["doctor"],
            ],
            Program::Codex => &[&["login", "status"]],
            Program::Openclaw => &[&["models", "status"], &["models", "status", "--json"]],
        };
        if program == Program::Codex {
            let auth = json!({"auth_mode": "apikey", "OPENAI_API_KEY": key});
            field.world.private(&file, &auth.to_string());
        } else {
            let entry = json!({"type": "api_key", "provider": "openai", "key": key});
            let store = json!({"version": 1, "profiles": {"openai:manual": entry}});
            field.world.private(&file, &store.to_string());
        }
        let mut most = 0;
        for arguments in commands {
            let done = Running::start(field.command(program, "main", arguments)).end(LIMIT);
            let seen = format!("{}{}", done.out, done.err);
            assert!(seen.contains("openai") || seen.contains("API key"), "{program:?} shows it: {seen}");
            most = most.max(shown(secret, &seen));
        }
        row.cell(program, if most == 0 { "none".to_owned() } else { format!("{most} of {}", secret.len()) });
        if program == Program::Coderclaw {
            assert_eq!(most, 0);
        }
    }
    row.write();
}

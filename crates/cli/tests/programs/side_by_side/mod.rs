//! The same faults for each of the three programs, one after the other: what reaches the provider, who is served, and what is
//! left of the login. Of ours it is demanded, of the others it is noted; `cargo xtask e2e --with codex,openclaw` makes a table of
//! it.

mod files;
mod refreshes;

use std::time::Duration;

use crate::field::Tries;

/// The provider of these rows: a refresh token that comes again after it was spent ends the login for everybody.
fn ends(lives: bool) -> &'static str {
    if lives { "the login lives" } else { "the login is over" }
}

fn times(count: u32, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

fn seconds(span: Duration) -> String {
    format!("{:.1} s", span.as_secs_f64())
}

/// What trying again came to.
fn outcome(tries: &Tries) -> String {
    match tries.served_after {
        Some(span) if tries.prompts == 1 => format!("the next prompt is served, in {}", seconds(span)),
        Some(span) => format!("prompt {} is served, {} on", tries.prompts, seconds(span)),
        None => format!("none of {} prompts is served", tries.prompts),
    }
}

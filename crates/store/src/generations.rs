//! `gateway/generations.json`: which of two tokens of one profile is the newer one, for borrowers on other machines.
//!
//! Their clocks say nothing, and two answers may overtake each other. So each token of a profile has a number, which goes
//! up by at least one with each new token. The file holds hashes. Where it is lost, counting goes on from the seconds since
//! 1970, so that no number comes back.

use coderclaw_types::{AgentId, Millis, TokenHash};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::commit::replace;
use crate::locks::{GenerationsGuard, LockError};
use crate::paths::StateDir;
use crate::read::read_text;

/// A token that was read a moment before the next one came is still told from it.
const REMEMBERED: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Numbered {
    generation: u64,
    token: TokenHash,
}

/// The number of this token of `of`, a profile's id or where else a key comes from. Writes where the token is new.
///
/// # Errors
/// Where the number of a new token cannot be written down: a number that is not durable might come twice.
pub fn generation_of(
    state: &StateDir,
    agent: &AgentId,
    of: &str,
    token: TokenHash,
    now: Millis,
) -> Result<u64, LockError> {
    if let Some(known) = known(&read(state), agent, of).iter().find(|one| one.token == token) {
        return Ok(known.generation);
    }
    let guard = GenerationsGuard::acquire(state)?;
    let mut top = read(state);
    let mut all = known(&top, agent, of);
    if let Some(known) = all.iter().find(|one| one.token == token) {
        return Ok(known.generation);
    }
    let first = u64::try_from(now.0 / 1000).unwrap_or_default().max(1);
    let generation = all.iter().map(|one| one.generation + 1).max().unwrap_or(first);
    all.push(Numbered { generation, token });
    let forgotten = all.len().saturating_sub(REMEMBERED);
    all.drain(..forgotten);
    top.entry("version").or_insert(json!(1));
    let agents = top.entry("agents").or_insert_with(|| json!({}));
    if !agents.is_object() {
        *agents = json!({});
    }
    if !agents[agent.as_str()].is_object() {
        agents[agent.as_str()] = json!({});
    }
    agents[agent.as_str()][of] = json!(all);
    replace(guard.target(), format!("{:#}\n", Value::Object(top)).as_bytes())?;
    Ok(generation)
}

/// A damaged file counts as a lost one.
fn read(state: &StateDir) -> Map<String, Value> {
    let text = read_text(&state.generations()).ok().flatten();
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

fn known(top: &Map<String, Value>, agent: &AgentId, of: &str) -> Vec<Numbered> {
    let list = top.get("agents").and_then(|agents| agents.get(agent.as_str())?.get(of));
    list.and_then(|list| serde_json::from_value(list.clone()).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use coderclaw_types::Secret;

    use super::*;

    fn world() -> (tempfile::TempDir, StateDir) {
        StateDir::temporary()
    }

    /// H3: a token keeps its number, a new one has a higher one, whatever the clock says and whatever becomes of the file.
    #[test]
    fn h3_numbers_only_go_up() {
        let (_tmp, state) = world();
        let main = AgentId::main();
        let number = |of: &str, token: &str, now: i64| {
            generation_of(&state, &main, of, TokenHash::of(&Secret::from(token)), Millis(now * 1000)).unwrap()
        };
        assert_eq!(number("p:a", "t1", 1_000), 1_000);
        assert_eq!(number("p:a", "t1", 9_000), 1_000);
        assert_eq!(number("p:a", "t2", 10), 1_001, "a clock that was set back");
        assert_eq!(number("p:a", "t1", 10), 1_000, "read before the other one came");
        assert_eq!(number("p:b", "t1", 10), 10);
        for n in 3..30 {
            assert_eq!(number("p:a", &format!("t{n}"), 10), 1_000 + n - 1);
        }
        let text = fs::read_to_string(state.generations()).unwrap();
        assert!(!text.contains("t29") && text.matches("token").count() == REMEMBERED + 1, "{text}");
        fs::write(state.generations(), "torn").unwrap();
        assert_eq!(number("p:a", "t30", 2_000), 2_000);
        fs::remove_file(state.generations()).unwrap();
        assert_eq!(number("p:a", "t31", 3_000), 3_000);
    }

    /// Many at once: one number for one token.
    #[test]
    fn one_token_has_one_number() {
        let (_tmp, state) = world();
        let numbers: std::collections::BTreeSet<u64> = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..16)
                .map(|n| {
                    let state = &state;
                    scope.spawn(move || {
                        let token = TokenHash::of(&Secret::from(format!("t{}", n % 2)));
                        generation_of(state, &AgentId::main(), "p:a", token, Millis(5_000)).unwrap()
                    })
                })
                .collect();
            asked.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(numbers.into_iter().collect::<Vec<_>>(), [5, 6]);
    }
}

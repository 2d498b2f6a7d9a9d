//! Who is in: visits, each known by a cookie. They live in memory and end with the gateway, or after eight hours.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coderclaw_auth::{Questions, StartedLogin};
use coderclaw_types::{AgentId, Millis, ProviderId, Secret, TokenHash};

use super::form::Form;

/// A working day. Whoever comes back tomorrow asks for another link.
const LIFE: Duration = Duration::from_secs(8 * 3_600);
/// More are nobody's browsers: the oldest makes way.
const MOST: usize = 32;
/// The last few words and logins of a visit are kept.
const KEPT: usize = 16;
/// The field that carries a visit's token.
pub(super) const TOKEN_FIELD: &str = "form";

/// What came of something, for the next page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// It did not work.
    pub(super) is_trouble: bool,
    /// One sentence each.
    pub(super) lines: Vec<String>,
    /// The command that a person types next.
    pub(super) next: Option<String>,
}

/// A login that was begun on a page and is to be finished on it.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    pub(super) login: StartedLogin,
    pub(super) agent: AgentId,
    pub(super) provider: ProviderId,
    /// The provider's name for people.
    pub(super) name: String,
    /// Who is expected.
    pub(super) expect: Option<String>,
    /// Held while it is being finished: of two presses at once, the second learns what came of the first.
    pub(super) presses: Arc<Mutex<Presses>>,
}

/// How often somebody has tried to finish a login, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Presses {
    pub(super) questions: Questions,
    /// The number of the last words about it.
    pub(super) ended: Option<u64>,
}

#[derive(Debug)]
struct Room {
    token: Secret,
    ends: Millis,
    said: Vec<(u64, Said)>,
    count: u64,
    begun: Vec<Begun>,
}

/// All visits, by the hash of their cookies.
#[derive(Debug, Clone, Default)]
pub(super) struct Visits(Arc<Mutex<HashMap<TokenHash, Room>>>);

/// One that goes on.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    all: Visits,
    id: TokenHash,
    token: Secret,
    pub(super) ends: Millis,
}

impl Visits {
    /// Lets somebody in; their cookie.
    pub(super) fn open(&self, now: Millis) -> Result<Secret, getrandom::Error> {
        let (cookie, token) = (random()?, random()?);
        let mut rooms = self.lock();
        rooms.retain(|_, room| now < room.ends);
        if rooms.len() >= MOST
            && let Some(oldest) = rooms.iter().min_by_key(|(_, room)| room.ends).map(|(id, _)| *id)
        {
            rooms.remove(&oldest);
        }
        let ends = now.plus(LIFE);
        let room = Room { token, ends, said: Vec::new(), count: 0, begun: Vec::new() };
        rooms.insert(TokenHash::of(&cookie), room);
        Ok(cookie)
    }

    pub(super) fn find(&self, cookie: &Secret, now: Millis) -> Option<Visit> {
        let id = TokenHash::of(cookie);
        let rooms = self.lock();
        let room = rooms.get(&id).filter(|room| now < room.ends)?;
        Some(Visit { all: self.clone(), id, token: room.token.clone(), ends: room.ends })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TokenHash, Room>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit {
    /// What its forms carry.
    pub(super) fn token(&self) -> &str {
        self.token.expose()
    }

    /// Whether a form is from one of its pages. Compared in constant time.
    pub(super) fn wrote(&self, form: &Form) -> bool {
        form.secret(TOKEN_FIELD).is_some_and(|token| *token == self.token)
    }

    /// Whether it has not ended yet, by itself or by hand.
    pub(super) fn goes_on(&self, now: Millis) -> bool {
        now < self.ends && self.with(|_| ()).is_some()
    }

    pub(super) fn end(&self) {
        self.all.lock().remove(&self.id);
    }

    /// Keeps what came of something for the page that follows. Its number.
    pub(super) fn say(&self, said: Said) -> u64 {
        self.with(|room| {
            room.count += 1;
            room.said.push((room.count, said));
            let too_many = room.said.len().saturating_sub(KEPT);
            room.said.drain(..too_many);
            room.count
        })
        .unwrap_or_default()
    }

    pub(super) fn said(&self, number: u64) -> Option<Said> {
        self.with(|room| room.said.iter().find(|(own, _)| *own == number).map(|(_, said)| said.clone()))?
    }

    pub(super) fn begin(&self, begun: Begun) {
        self.with(|room| {
            room.begun.push(begun);
            let too_many = room.begun.len().saturating_sub(KEPT);
            room.begun.drain(..too_many);
        });
    }

    pub(super) fn begun(&self, id: &str) -> Option<Begun> {
        self.with(|room| room.begun.iter().find(|begun| begun.login.id == id).cloned())?
    }

    pub(super) fn finished(&self, id: &str) {
        self.with(|room| room.begun.retain(|begun| begun.login.id != id));
    }

    fn with<T>(&self, work: impl FnOnce(&mut Room) -> T) -> Option<T> {
        self.all.lock().get_mut(&self.id).map(work)
    }
}

fn random() -> Result<Secret, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    let mut text = String::new();
    for byte in bytes {
        // Into a text nothing fails to be written.
        let _written = write!(text, "{byte:02x}");
    }
    Ok(Secret::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Millis = Millis(8 * 3_600_000);

    #[test]
    fn a_visit_ends_by_itself_or_by_hand() {
        let visits = Visits::default();
        let cookie = visits.open(Millis(0)).unwrap();
        let other = visits.open(Millis(0)).unwrap();
        assert!(cookie != other && cookie.expose().len() == 64);
        let visit = visits.find(&cookie, Millis(LATER.0 - 1)).unwrap();
        assert!(visits.find(&cookie, LATER).is_none());
        assert!(visits.find(&Secret::from(""), Millis(0)).is_none());
        assert!(visits.find(&Secret::from(visit.token()), Millis(0)).is_none(), "a token is no cookie");
        assert!(visit.goes_on(Millis(1)) && !visit.goes_on(LATER));
        visit.end();
        assert!(visits.find(&cookie, Millis(1)).is_none() && !visit.goes_on(Millis(1)));
        assert!(visits.find(&other, Millis(1)).is_some());
        assert_eq!(visit.say(Said::default()), 0, "nobody is there to hear it");
    }

    #[test]
    fn there_are_never_too_many() {
        let visits = Visits::default();
        let first = visits.open(Millis(0)).unwrap();
        let rest: Vec<_> = (1..=MOST).map(|at| visits.open(Millis(at as i64)).unwrap()).collect();
        assert!(visits.find(&first, Millis(99)).is_none());
        assert!(rest.iter().all(|one| visits.find(one, Millis(99)).is_some()));
        let visit = visits.find(&rest[0], Millis(99)).unwrap();
        let numbers: Vec<_> = (0..=KEPT).map(|_| visit.say(Said::default())).collect();
        assert!(visit.said(numbers[0]).is_none() && visit.said(numbers[KEPT]).is_some());
    }
}

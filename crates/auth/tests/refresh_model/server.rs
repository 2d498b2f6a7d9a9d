//! The token endpoint: families of rotating tokens.

use super::rules::{Config, Grace};
use super::state::{Reply, State, TOKENS, Token};

/// What becomes of one request, as far as the server and the network decide it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    Answered,
    AnswerLost,
    RequestLost,
    Unavailable,
    RefusedAnyway,
}

impl State {
    /// The server's step, atomic at the server. `ours` is false for the original program.
    pub(crate) fn serve(&mut self, config: &Config, token: Token, ours: bool) -> Reply {
        let number = usize::from(self.family_of(token));
        let family = self.families[number];
        if family.dead {
            return Reply::Refused;
        }
        if token == family.current {
            return Reply::Tokens(self.rotate(number, token));
        }
        if token == family.previous && config.grace != Grace::Strict && self.left.graces > 0 {
            self.left.graces -= 1;
            return Reply::Tokens(match config.grace {
                Grace::NewSuccessor => self.rotate(number, token),
                _ => family.current,
            });
        }
        // A second use ends the family, and with it whatever somebody still holds of it.
        if ours && self.somebody_lives_on(family.current) {
            self.witness.wrong.killed_living = true;
        }
        self.families[number].dead = true;
        Reply::Refused
    }

    fn rotate(&mut self, family: usize, spent: Token) -> Token {
        let new = self.next;
        assert!(usize::from(new) < TOKENS - 1, "the bounds of the run need more token numbers");
        self.next += 1;
        self.born[usize::from(new)] = self.clock;
        self.families[family].current = new;
        self.families[family].previous = spent;
        new
    }

    fn family_of(&self, token: Token) -> u8 {
        let login = self.families[1];
        u8::from(token == login.current || token == login.previous)
    }
}

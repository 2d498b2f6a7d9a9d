//! Families of tokens: what is live, what is spent, what a refresh does. No sockets, no clock, no randomness.

use std::collections::{BTreeMap, HashMap};

use coderclaw_types::{Millis, TokenHash};
use serde::{Serialize, Serializer};

use crate::policy::{Enforced, Policy, Reuse, User};

/// All tokens that descend from one sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FamilyId(pub u64);

impl Serialize for FamilyId {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_u64(self.0)
    }
}

/// Why a refresh token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Never issued here.
    Unknown,
    /// Issued to another client.
    WrongClient,
    /// Past its own lifetime.
    Expired,
    /// Spent before.
    Reused,
    /// Its family has been ended.
    Revoked,
    /// Sent before `earliest_refresh_at`.
    TooEarly,
}

/// What a refresh did to the token that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// It is spent now, and `next` is live.
    Rotated(FamilyId),
    /// It was spent before; `next` is live beside its other successors.
    Again(FamilyId),
    /// It stays as it is.
    Kept(FamilyId),
}

#[derive(Debug, Clone)]
pub(crate) struct Family {
    pub(crate) user: User,
    /// The client it was issued to; `None` where no client asked for it, and any may use it.
    pub(crate) client: Option<String>,
    pub(crate) scope: String,
    pub(crate) nonce: Option<String>,
    pub(crate) ended: bool,
}

#[derive(Debug)]
struct Refresh {
    family: FamilyId,
    expires: Millis,
    earliest: Option<Millis>,
    spent: Option<Millis>,
    successors: Vec<TokenHash>,
}

#[derive(Debug)]
struct Access {
    family: FamilyId,
    user: User,
    expires: Millis,
    revoked: bool,
}

/// Everything that was ever issued.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    families: BTreeMap<FamilyId, Family>,
    refresh: HashMap<TokenHash, Refresh>,
    access: HashMap<TokenHash, Access>,
}

impl Tokens {
    /// A sign-in: a new family whose first refresh token is `first`.
    pub(crate) fn begin(
        &mut self,
        family: Family,
        first: TokenHash,
        now: Millis,
        policy: &Policy,
    ) -> FamilyId {
        let id = FamilyId(self.families.len() as u64 + 1);
        self.families.insert(id, family);
        self.add(id, first, now, policy);
        id
    }

    fn add(&mut self, family: FamilyId, token: TokenHash, now: Millis, policy: &Policy) {
        let expires = now.plus(policy.access_lifetime);
        self.refresh.insert(
            token,
            Refresh {
                family,
                expires: now.plus(policy.refresh_lifetime),
                earliest: policy.earliest_refresh.map(|e| expires.minus(e.before_expiry)),
                spent: None,
                successors: Vec::new(),
            },
        );
    }

    /// A refresh with `token`; `next` is the token that would follow it.
    pub(crate) fn refresh(
        &mut self,
        token: &TokenHash,
        next: TokenHash,
        client: &str,
        now: Millis,
        policy: &Policy,
    ) -> Result<Accepted, Refusal> {
        let sent = self.refresh.get(token).ok_or(Refusal::Unknown)?;
        let id = sent.family;
        let family = self.families.get(&id).ok_or(Refusal::Unknown)?;
        if family.client.as_deref().is_some_and(|owner| owner != client) {
            return Err(Refusal::WrongClient);
        }
        if let Some(spent) = sent.spent {
            let again = !family.ended
                && match policy.reuse {
                    Reuse::KillFamily | Reuse::Refuse => false,
                    Reuse::Tolerate => true,
                    Reuse::Grace(window) => now.since(spent) <= window && !self.any_spent(&sent.successors),
                };
            if again {
                self.succeed(token, id, next, now, policy);
                return Ok(Accepted::Again(id));
            }
            if policy.reuse != Reuse::Refuse {
                self.end(id);
            }
            return Err(Refusal::Reused);
        }
        if family.ended {
            return Err(Refusal::Revoked);
        }
        if now >= sent.expires {
            return Err(Refusal::Expired);
        }
        if let (Some(rule), Some(earliest)) = (policy.earliest_refresh, sent.earliest)
            && now < earliest
            && rule.enforced != Enforced::No
        {
            if rule.enforced == Enforced::RefuseAndSpend {
                self.spend(token, now);
            }
            return Err(Refusal::TooEarly);
        }
        if !policy.rotates {
            return Ok(Accepted::Kept(id));
        }
        self.spend(token, now);
        self.succeed(token, id, next, now, policy);
        Ok(Accepted::Rotated(id))
    }

    fn any_spent(&self, tokens: &[TokenHash]) -> bool {
        tokens.iter().any(|t| self.refresh.get(t).is_some_and(|r| r.spent.is_some()))
    }

    fn spend(&mut self, token: &TokenHash, now: Millis) {
        if let Some(sent) = self.refresh.get_mut(token) {
            sent.spent = Some(now);
        }
    }

    fn succeed(&mut self, token: &TokenHash, id: FamilyId, next: TokenHash, now: Millis, policy: &Policy) {
        if let Some(sent) = self.refresh.get_mut(token) {
            sent.successors.push(next);
        }
        self.add(id, next, now, policy);
    }

    /// Notes an access token that has been minted for a family.
    pub(crate) fn add_access(&mut self, token: TokenHash, family: FamilyId, user: User, expires: Millis) {
        self.access.insert(token, Access { family, user, expires, revoked: false });
    }

    pub(crate) fn family(&self, id: FamilyId) -> Option<&Family> {
        self.families.get(&id)
    }

    pub(crate) fn family_of(&self, token: &TokenHash) -> Option<FamilyId> {
        let refresh = self.refresh.get(token).map(|r| r.family);
        refresh.or_else(|| self.access.get(token).map(|a| a.family))
    }

    /// Whether this refresh token has been spent, in a living family or a dead one.
    pub(crate) fn is_spent(&self, token: &TokenHash) -> bool {
        self.refresh.get(token).is_some_and(|r| r.spent.is_some())
    }

    /// Whether a refresh with this token is what the server expects: unspent, unexpired, of a living family.
    pub(crate) fn is_live(&self, token: &TokenHash, now: Millis) -> bool {
        self.refresh
            .get(token)
            .is_some_and(|r| r.spent.is_none() && now < r.expires && self.is_running(r.family))
    }

    /// Whose access token this is, if it still works.
    pub(crate) fn bearer(&self, token: &TokenHash, now: Millis) -> Option<&User> {
        self.access
            .get(token)
            .filter(|a| !a.revoked && now < a.expires && self.is_running(a.family))
            .map(|a| &a.user)
    }

    fn is_running(&self, id: FamilyId) -> bool {
        self.families.get(&id).is_some_and(|f| !f.ended)
    }

    /// Ends a family: nothing of it works any more.
    pub(crate) fn end(&mut self, id: FamilyId) {
        if let Some(family) = self.families.get_mut(&id) {
            family.ended = true;
        }
    }

    /// Ends all families of a person.
    pub(crate) fn end_all(&mut self, subject: &str) {
        for family in self.families.values_mut().filter(|f| f.user.subject == subject) {
            family.ended = true;
        }
    }

    /// Makes one access token useless; the family goes on.
    pub(crate) fn reject_access(&mut self, token: &TokenHash) {
        if let Some(access) = self.access.get_mut(token) {
            access.revoked = true;
        }
    }

    /// What a revocation does (RFC 7009 section 2.1): a refresh token takes its family along, an access token only itself.
    pub(crate) fn revoke(&mut self, token: &TokenHash) {
        match self.refresh.get(token).map(|r| r.family) {
            Some(family) => self.end(family),
            None => self.reject_access(token),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use coderclaw_types::Secret;

    use super::*;
    use crate::policy::{Earliest, EarliestForm};

    fn token(n: u32) -> TokenHash {
        TokenHash::of(&Secret::from(format!("t{n}")))
    }

    fn start(policy: &Policy) -> (Tokens, FamilyId) {
        let mut tokens = Tokens::default();
        let family = Family {
            user: User::named("u"),
            client: Some("c".into()),
            scope: String::new(),
            nonce: None,
            ended: false,
        };
        let id = tokens.begin(family, token(1), Millis(0), policy);
        (tokens, id)
    }

    fn go(tokens: &mut Tokens, from: u32, to: u32, secs: i64, policy: &Policy) -> Result<Accepted, Refusal> {
        tokens.refresh(&token(from), token(to), "c", Millis::from_secs(secs), policy)
    }

    #[test]
    fn a1_reuse_ends_the_family_with_its_newest_token() {
        let policy = Policy::default();
        let (mut tokens, id) = start(&policy);
        tokens.add_access(token(100), id, User::named("u"), Millis::from_secs(3600));
        assert_eq!(go(&mut tokens, 1, 2, 0, &policy), Ok(Accepted::Rotated(id)));
        assert!(tokens.is_live(&token(2), Millis(0)) && !tokens.is_live(&token(1), Millis(0)));
        assert!(tokens.bearer(&token(100), Millis(0)).is_some());
        assert_eq!(go(&mut tokens, 1, 3, 0, &policy), Err(Refusal::Reused));
        assert!(!tokens.is_live(&token(2), Millis(0)));
        assert!(tokens.bearer(&token(100), Millis(0)).is_none());
        assert_eq!(go(&mut tokens, 2, 4, 0, &policy), Err(Refusal::Revoked));
        assert_eq!(go(&mut tokens, 3, 4, 0, &policy), Err(Refusal::Unknown), "never issued");
    }

    #[test]
    fn refuse_keeps_the_successor_and_tolerate_keeps_everything() {
        let refuse = Policy { reuse: Reuse::Refuse, ..Policy::default() };
        let (mut tokens, id) = start(&refuse);
        assert!(go(&mut tokens, 1, 2, 0, &refuse).is_ok());
        assert_eq!(go(&mut tokens, 1, 3, 0, &refuse), Err(Refusal::Reused));
        assert!(tokens.is_live(&token(2), Millis(0)));

        let tolerate = Policy { reuse: Reuse::Tolerate, ..Policy::default() };
        assert_eq!(go(&mut tokens, 1, 3, 9_000, &tolerate), Ok(Accepted::Again(id)));
        assert!(tokens.is_live(&token(2), Millis(0)) && tokens.is_live(&token(3), Millis(0)));
    }

    #[test]
    fn grace_holds_for_the_immediate_predecessor_within_the_window() {
        let policy = Policy { reuse: Reuse::Grace(Duration::from_secs(30)), ..Policy::default() };
        let (mut tokens, id) = start(&policy);
        assert!(go(&mut tokens, 1, 2, 0, &policy).is_ok());
        assert_eq!(go(&mut tokens, 1, 3, 30, &policy), Ok(Accepted::Again(id)));
        assert!(go(&mut tokens, 3, 4, 30, &policy).is_ok());
        assert_eq!(go(&mut tokens, 1, 5, 30, &policy), Err(Refusal::Reused), "a successor was used");
        assert!(!tokens.is_live(&token(4), Millis(0)));

        let (mut tokens, _) = start(&policy);
        assert!(go(&mut tokens, 1, 2, 0, &policy).is_ok());
        assert_eq!(go(&mut tokens, 1, 3, 31, &policy), Err(Refusal::Reused), "too late");
    }

    #[test]
    fn early_refreshes_are_refused_and_may_cost_the_token() {
        for (enforced, early, later) in [
            (Enforced::No, None, None),
            (Enforced::Refuse, Some(Refusal::TooEarly), None),
            (Enforced::RefuseAndSpend, Some(Refusal::TooEarly), Some(Refusal::Reused)),
        ] {
            let earliest =
                Earliest { before_expiry: Duration::from_secs(360), form: EarliestForm::Number, enforced };
            let policy = Policy { earliest_refresh: Some(earliest), rotates: false, ..Policy::default() };
            let (mut tokens, _) = start(&policy);
            assert_eq!(go(&mut tokens, 1, 2, 3239, &policy).err(), early, "{enforced:?}");
            assert_eq!(go(&mut tokens, 1, 2, 3240, &policy).err(), later, "{enforced:?}");
        }
    }

    #[test]
    fn other_clients_old_tokens_and_servers_that_do_not_rotate() {
        let policy =
            Policy { refresh_lifetime: Duration::from_secs(10), rotates: false, ..Policy::default() };
        let (mut tokens, id) = start(&policy);
        assert_eq!(
            tokens.refresh(&token(1), token(2), "other", Millis(0), &policy),
            Err(Refusal::WrongClient)
        );
        assert_eq!(go(&mut tokens, 1, 2, 9, &policy), Ok(Accepted::Kept(id)));
        assert!(tokens.is_live(&token(1), Millis(0)) && !tokens.is_live(&token(2), Millis(0)));
        assert_eq!(go(&mut tokens, 1, 2, 10, &policy), Err(Refusal::Expired));
    }

    #[test]
    fn revoking_a_refresh_token_takes_the_family_and_an_access_token_only_itself() {
        let policy = Policy::default();
        let (mut tokens, id) = start(&policy);
        tokens.add_access(token(100), id, User::named("u"), Millis(5000));
        tokens.revoke(&token(100));
        assert!(tokens.bearer(&token(100), Millis(0)).is_none() && tokens.is_live(&token(1), Millis(0)));
        tokens.revoke(&token(1));
        assert_eq!(go(&mut tokens, 1, 2, 0, &policy), Err(Refusal::Revoked));
        tokens.revoke(&token(77));
    }
}

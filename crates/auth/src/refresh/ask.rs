//! Step 1, `ask`: is this token good, is a refresh wanted, or does something known forbid one?
//!
//! Pure. Looks and askers and workers call the same function, so that what `explain` says is what happens.

use std::time::Duration;

use coderclaw_store::{JournalView, Outcome, OutcomeKind};
use coderclaw_types::{Code, Millis, Secret, TokenHash};

use crate::freshness::Freshness;
use crate::grant::{Refreshable, life};

/// None is refreshed by force, or for the sake of more time left, so soon after it was issued.
const YOUNG: Duration = Duration::from_secs(60);
/// One forced refresh per grant in this time.
const FORCED_EVERY: Duration = Duration::from_secs(5 * 60);
/// The longest spacing, an hour, and its jitter. What lies further ahead was written by a wrong clock.
const LONGEST_SPACING: Duration = Duration::from_secs(75 * 60);

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Want {
    /// The token should work for at least this long.
    pub(crate) min_validity: Duration,
    /// The provider has just rejected the access token with this hash.
    pub(crate) rejected: Option<TokenHash>,
    /// A person asked for a refresh: the spacing after a failure does not hold them up.
    pub(crate) explicit: bool,
}

/// Where an asker began: an outcome that is later in both ways is the answer it waited for. One that speaks of an
/// earlier time is what somebody finds who cleans up after a dead worker and then goes on; that is nobody's answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Began {
    /// The number of the outcome that was there.
    pub(crate) seq: u64,
    pub(crate) at: Millis,
}

/// What surrounds the question.
#[derive(Debug, Clone)]
pub(crate) struct Moment<'a> {
    pub(crate) now: Millis,
    /// Where this asker began, if it waits for somebody.
    pub(crate) began: Option<Began>,
    /// The proxy and CA settings in force here.
    pub(crate) network: &'a str,
}

/// A token that can be lent.
#[derive(Debug, Clone)]
pub(crate) struct Good {
    pub(crate) access: Secret,
    pub(crate) expires: Option<Millis>,
    pub(crate) issued_at: Option<Millis>,
    pub(crate) account_id: Option<String>,
    /// It stands in the journal and not yet in the store: a worker is at it, or died over it.
    pub(crate) unfinished: bool,
}

/// Why no refresh is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Denial {
    pub(crate) code: Code,
    pub(crate) detail: String,
    pub(crate) until: Option<Millis>,
    /// Only new credential material ends it.
    pub(crate) terminal: bool,
}

/// The answer. `meanwhile` is a token that is not what was wanted and still works.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    Lend(Good),
    Wanted { meanwhile: Option<Good> },
    Denied { why: Denial, meanwhile: Option<Good> },
}

/// Looks at one login and what its journal says about it.
pub(crate) fn ask(one: &Refreshable, journal: &JournalView, want: &Want, moment: &Moment<'_>) -> Asked {
    let now = moment.now;
    if journal.logged_out {
        let detail = "this login was logged out".into();
        let why = Denial { code: Code::NeedsLogin, detail, until: None, terminal: true };
        return Asked::Denied { why, meanwhile: None };
    }
    if let Some(tokens) = journal.answered(&one.token)
        && tokens.expires > now
        && want.rejected != Some(TokenHash::of(&tokens.access))
    {
        let good = Good {
            access: tokens.access.clone(),
            expires: Some(tokens.expires),
            issued_at: Some(tokens.issued_at),
            account_id: tokens.account_id.clone().or_else(|| one.entry.account_id.clone()),
            unfinished: true,
        };
        let is_long_enough = tokens.expires.since(now) >= want.min_validity;
        return if is_long_enough { Asked::Lend(good) } else { Asked::Wanted { meanwhile: Some(good) } };
    }
    let outcome = journal.outcome_of(&one.token);
    let life = life(&one.entry);
    let mut meanwhile = None;
    let mut rejected_now = false;
    if let (Some(access), Some(life)) = (&one.entry.access, life) {
        // Hashed only where a hash is there to compare with: this is the path of every look.
        let known_bad = outcome.and_then(|outcome| outcome.rejected);
        let hash = (want.rejected.is_some() || known_bad.is_some()).then(|| TokenHash::of(access));
        rejected_now = hash.is_some() && want.rejected == hash;
        let rejected = rejected_now || (hash.is_some() && known_bad == hash);
        let good = Good {
            access: access.clone(),
            expires: Some(life.expires),
            issued_at: life.issued_at,
            account_id: one.entry.account_id.clone(),
            unfinished: false,
        };
        match life.freshness(now, want.min_validity, &one.token) {
            _ if rejected => {}
            Freshness::Fresh => return Asked::Lend(good),
            // The next one would last no longer. Else every call with such a wish would spend a refresh token.
            Freshness::TooShort
                if good.issued_at.is_some_and(|issued| now >= issued && now.since(issued) < YOUNG) =>
            {
                let detail = "the token was issued less than a minute ago".into();
                let why =
                    Denial { code: Code::CannotGuarantee, detail, until: good.expires, terminal: false };
                return Asked::Denied { why, meanwhile: Some(good) };
            }
            Freshness::Due | Freshness::TooShort => meanwhile = Some(good),
            Freshness::Expired => {}
        }
    }
    match denial(one, journal, outcome, want, moment, rejected_now, meanwhile.is_some()) {
        Some(why) => Asked::Denied { why, meanwhile },
        None => Asked::Wanted { meanwhile },
    }
}

fn denial(
    one: &Refreshable,
    journal: &JournalView,
    outcome: Option<&Outcome>,
    want: &Want,
    moment: &Moment<'_>,
    rejected_now: bool,
    still_works: bool,
) -> Option<Denial> {
    let now = moment.now;
    let not_yet =
        |code, detail: &str, until| Some(Denial { code, detail: detail.into(), until, terminal: false });
    let said = |outcome: &Outcome, terminal| {
        Some(Denial {
            code: outcome.code,
            detail: outcome.detail.clone(),
            until: outcome.next_attempt_at,
            terminal,
        })
    };
    if let Some(refused) = outcome.filter(|outcome| outcome.kind == OutcomeKind::Refused) {
        return said(refused, true);
    }
    // What the refresh that this very asker waited for ended in is its answer, not a reason against asking.
    let is_later = |outcome: &Outcome, began: Began| outcome.seq > began.seq && outcome.at >= began.at;
    let waited_for =
        outcome.is_some_and(|outcome| moment.began.is_some_and(|began| is_later(outcome, began)));
    let failed = waited_for
        && outcome.is_some_and(|o| !matches!(o.kind, OutcomeKind::Refreshed | OutcomeKind::Adopted));
    if rejected_now && !failed {
        if one.entry.issued_at.is_some_and(|issued| now >= issued && now.since(issued) < YOUNG) {
            return not_yet(Code::Rejected, "the token was issued less than a minute ago", None);
        }
        let forced = journal.outcomes.iter().rfind(|o| o.rejected.is_some() && o.at <= now);
        if forced.is_some_and(|o| now.since(o.at) < FORCED_EVERY) {
            return not_yet(Code::Rejected, "a refresh was forced less than five minutes ago", None);
        }
    }
    if let Some(earliest) = one.entry.earliest_refresh_at
        && earliest > now
    {
        return not_yet(Code::NotReady, "the provider allows a refresh only later", Some(earliest));
    }
    let outcome = outcome?;
    match outcome.kind {
        OutcomeKind::Refused => said(outcome, true),
        // The entry should not hold this token any more: an older copy came back. The worker settles it.
        OutcomeKind::Refreshed | OutcomeKind::Adopted => None,
        OutcomeKind::NotSpent | OutcomeKind::Ambiguous | OutcomeKind::Blocked => {
            if waited_for {
                return said(outcome, false);
            }
            let expires = life(&one.entry).map_or(now, |life| life.expires);
            let sane = |until: Millis| until <= now.plus(LONGEST_SPACING) || until <= expires;
            let ahead = outcome.next_attempt_at.is_some_and(|until| until > now && sane(until));
            let same_network = outcome.network.as_deref().is_none_or(|digest| digest == moment.network);
            // A person may go ahead of the spacing, not of a server's plea, nor past a token that may be spent
            // while the old one still works.
            let bound = outcome.rate_limited || (outcome.kind == OutcomeKind::Ambiguous && still_works);
            if ahead && same_network && (bound || !want.explicit) { said(outcome, false) } else { None }
        }
    }
}

#[cfg(test)]
mod tests {
    use coderclaw_oauth::{Encoding, IdentityPointers, TokenEndpoint};
    use coderclaw_store::OAuthEntry;
    use coderclaw_types::{GrantId, ProfileId};

    use super::*;
    use crate::grant::Endpoint;
    use crate::grant::tests::nothing_known;

    const NOW: Millis = Millis(1_000_000_000);
    const MINUTE: i64 = 60_000;

    fn login(issued_ago: i64, expires_in: i64) -> Refreshable {
        let refresh = Secret::from("rt-1");
        let entry = OAuthEntry {
            access: Some(Secret::from("at-1")),
            refresh: Some(refresh.clone()),
            expires: Some(Millis(NOW.0 + expires_in)),
            issued_at: Some(Millis(NOW.0 - issued_ago)),
            ..nothing_known("acme")
        };
        Refreshable {
            profile: ProfileId::stored("acme:x"),
            token: TokenHash::of(&refresh),
            grant: GrantId::mint("o", "c", &refresh),
            refresh,
            entry,
            endpoint: Endpoint {
                token: TokenEndpoint {
                    url: "https://id.test/token".parse().unwrap(),
                    client_id: "c".into(),
                    encoding: Encoding::Form,
                    extra: Vec::new(),
                },
                origin: "https://id.test".into(),
                rotates: true,
                default_lifetime: Duration::from_secs(3600),
                identity: IdentityPointers::default(),
                access: None,
                named_by_user: false,
                use_scopes: Vec::new(),
                id_tokens_from: None,
                issuer: None,
                plugin: None,
            },
        }
    }

    fn after(kind: OutcomeKind, next: Option<i64>) -> JournalView {
        let outcome = Outcome {
            seq: 3,
            kind,
            token: TokenHash::of(&Secret::from("rt-1")),
            at: Millis(NOW.0 - 1_000),
            next_attempt_at: next.map(|ms| Millis(NOW.0 + ms)),
            failures: 1,
            ambiguous: 0,
            rate_limited: false,
            rejected: None,
            network: None,
            clock_ahead: None,
            code: if kind == OutcomeKind::Refused { Code::NeedsLogin } else { Code::Offline },
            detail: "why".into(),
        };
        let mut view = JournalView::default();
        view.outcomes.push(outcome);
        view
    }

    fn seen(one: &Refreshable, journal: &JournalView, want: &Want) -> String {
        seen_at(one, journal, want, None, "n")
    }

    fn seen_at(
        one: &Refreshable,
        journal: &JournalView,
        want: &Want,
        began_at_seq: Option<u64>,
        network: &str,
    ) -> String {
        let began = began_at_seq.map(|seq| Began { seq, at: Millis(NOW.0 - 2_000) });
        let works = |meanwhile: &Option<Good>| if meanwhile.is_some() { " works" } else { "" };
        match ask(one, journal, want, &Moment { now: NOW, began, network }) {
            Asked::Lend(_) => "lend".into(),
            Asked::Wanted { meanwhile } => format!("wanted{}", works(&meanwhile)),
            Asked::Denied { why, meanwhile } => {
                let end = if why.terminal { " for good" } else { "" };
                format!("{}{end}{}", why.code, works(&meanwhile))
            }
        }
    }

    fn rejected() -> Want {
        Want { rejected: Some(TokenHash::of(&Secret::from("at-1"))), ..Want::default() }
    }

    /// A6: a fresh token is not refreshed, also not by command, unless the very token was rejected.
    #[test]
    fn a6_only_a_rejected_token_is_refreshed_early() {
        let none = JournalView::default();
        let explicit = Want { explicit: true, ..Want::default() };
        let other = Want { rejected: Some(TokenHash::of(&Secret::from("at-0"))), ..Want::default() };
        let fresh = login(10 * MINUTE, 50 * MINUTE);
        assert_eq!(seen(&fresh, &none, &explicit), "lend");
        assert_eq!(seen(&fresh, &none, &other), "lend");
        assert_eq!(seen(&fresh, &none, &rejected()), "wanted");
        assert_eq!(seen(&login(MINUTE / 2, 50 * MINUTE), &none, &rejected()), "rejected");
        let mut forced = after(OutcomeKind::Refreshed, None);
        let outcome = &mut forced.outcomes[0];
        outcome.token = TokenHash::of(&Secret::from("rt-0"));
        outcome.rejected = Some(TokenHash::of(&Secret::from("at-0")));
        assert_eq!(seen(&fresh, &forced, &rejected()), "rejected");
        forced.outcomes[0].at = Millis(NOW.0 - 6 * MINUTE);
        assert_eq!(seen(&fresh, &forced, &rejected()), "wanted");
        let mut early = fresh.clone();
        early.entry.earliest_refresh_at = Some(Millis(NOW.0 + 1));
        assert_eq!(seen(&early, &none, &rejected()), "not_ready");
    }

    /// A12: whoever had a token rejected and refreshed in vain is told why, not that one refresh was forced already.
    #[test]
    fn a12_a_forced_refresh_that_failed_says_so() {
        let fresh = login(10 * MINUTE, 50 * MINUTE);
        let forced = |kind| {
            let mut view = after(kind, Some(9_000));
            view.outcomes[0].rejected = rejected().rejected;
            view
        };
        let refused = forced(OutcomeKind::Refused);
        assert_eq!(seen_at(&fresh, &refused, &rejected(), Some(2), "n"), "needs_login for good");
        assert_eq!(seen(&fresh, &refused, &rejected()), "needs_login for good");
        let offline = forced(OutcomeKind::NotSpent);
        assert_eq!(seen_at(&fresh, &offline, &rejected(), Some(2), "n"), "offline");
        assert_eq!(seen(&fresh, &offline, &rejected()), "rejected", "a later asker forces none so soon");
        // A server that hands out the same access token again is not asked once more.
        let same = forced(OutcomeKind::Refreshed);
        assert_eq!(seen_at(&fresh, &same, &rejected(), Some(2), "n"), "rejected");
    }

    #[test]
    fn what_is_due_is_wanted_and_lent_meanwhile() {
        let none = JournalView::default();
        let want = Want::default();
        assert_eq!(seen(&login(57 * MINUTE, 3 * MINUTE), &none, &want), "wanted works");
        assert_eq!(seen(&login(60 * MINUTE, 0), &none, &want), "wanted");
        let long = Want { min_validity: Duration::from_secs(3000), ..Want::default() };
        assert_eq!(seen(&login(30 * MINUTE, 30 * MINUTE), &none, &long), "wanted works");
        assert_eq!(seen(&login(MINUTE / 2, 30 * MINUTE), &none, &long), "cannot_guarantee works");
        let mut unknown = login(0, 0);
        unknown.entry.expires = None;
        assert_eq!(seen(&unknown, &none, &want), "wanted");
        let mut early = login(60 * MINUTE, 0);
        early.entry.earliest_refresh_at = Some(Millis(NOW.0 + 5));
        assert_eq!(seen(&early, &none, &want), "not_ready");
    }

    /// A4, A11, A15: outcomes bind those who ask about the same token, and nobody else.
    #[test]
    fn outcomes_are_adopted() {
        let (due, dead) = (login(57 * MINUTE, 3 * MINUTE), login(60 * MINUTE, -1));
        let want = Want::default();
        let explicit = Want { explicit: true, ..Want::default() };
        let refused = after(OutcomeKind::Refused, None);
        assert_eq!(seen(&dead, &refused, &want), "needs_login for good");
        assert_eq!(seen(&dead, &refused, &explicit), "needs_login for good");
        assert_eq!(seen(&due, &refused, &want), "needs_login for good works");
        let mut renewed = dead.clone();
        renewed.token = TokenHash::of(&Secret::from("rt-2"));
        assert_eq!(seen(&renewed, &refused, &want), "wanted");
        let spaced = after(OutcomeKind::NotSpent, Some(9_000));
        assert_eq!(seen(&dead, &spaced, &want), "offline");
        assert_eq!(seen(&due, &spaced, &want), "offline works");
        assert_eq!(seen(&dead, &spaced, &explicit), "wanted");
        assert_eq!(seen(&dead, &after(OutcomeKind::NotSpent, Some(-1)), &want), "wanted");
        assert_eq!(
            seen(&dead, &after(OutcomeKind::NotSpent, Some(90 * MINUTE)), &want),
            "wanted",
            "wrong clock"
        );
        let mut limited = spaced.clone();
        limited.outcomes[0].rate_limited = true;
        assert_eq!(seen(&dead, &limited, &explicit), "offline");
    }

    /// A9: while the old access token works, a refresh token that may be spent is left alone.
    #[test]
    fn a9_an_ambiguous_token_waits_for_the_end_of_its_access_token() {
        let explicit = Want { explicit: true, ..Want::default() };
        let lost = after(OutcomeKind::Ambiguous, Some(3 * MINUTE));
        assert_eq!(seen(&login(57 * MINUTE, 3 * MINUTE), &lost, &explicit), "offline works");
        assert_eq!(seen(&login(60 * MINUTE, 0), &lost, &explicit), "wanted");
    }

    #[test]
    fn what_a_dead_worker_left_is_nobodys_answer() {
        let (dead, want) = (login(60 * MINUTE, -1), Want::default());
        let moment = |at| Moment { now: NOW, began: Some(Began { seq: 2, at: Millis(at) }), network: "n" };
        let mut cut_off = after(OutcomeKind::Ambiguous, Some(-1));
        cut_off.outcomes[0].at = Millis(NOW.0 - MINUTE);
        let asked = |at| ask(&dead, &cut_off, &want, &moment(at));
        assert!(matches!(asked(NOW.0 - 1), Asked::Wanted { .. }), "the worker that found it goes on");
        assert!(matches!(asked(NOW.0 - 2 * MINUTE), Asked::Denied { .. }), "it died while we waited");
    }

    #[test]
    fn who_waited_adopts_what_came_and_other_networks_do_not_adopt_being_offline() {
        let dead = login(60 * MINUTE, -1);
        let want = Want::default();
        let past = after(OutcomeKind::NotSpent, Some(-1));
        assert_eq!(seen_at(&dead, &past, &want, Some(2), "n"), "offline");
        assert_eq!(seen_at(&dead, &past, &want, Some(3), "n"), "wanted");
        let mut offline = after(OutcomeKind::NotSpent, Some(9_000));
        offline.outcomes[0].network = Some("n".into());
        assert_eq!(seen_at(&dead, &offline, &want, None, "n"), "offline");
        assert_eq!(seen_at(&dead, &offline, &want, None, "other"), "wanted");
    }
}

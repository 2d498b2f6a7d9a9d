//! In which order the profiles of a provider are tried. Pure, and the only place that decides it.

use coderclaw_types::{Millis, ProfileId};

/// What the order looks at.
#[derive(Debug, Clone)]
pub(crate) struct Orderable {
    pub(crate) id: ProfileId,
    /// oauth 0, token 1, api key 2.
    pub(crate) rank: u8,
    pub(crate) last_used: Option<Millis>,
    /// Set aside until then.
    pub(crate) cooling_until: Option<Millis>,
}

/// The ids of `profiles` (in store order) in the order in which they are tried, cooling ones last, by their end.
///
/// With an explicit order: as it says, and nothing else. Without one: logins before tokens before keys, the one
/// that has not been used for longest first. A preferred profile goes first in either case.
pub(crate) fn sequence(
    profiles: &[Orderable],
    explicit: Option<&[ProfileId]>,
    preferred: Option<&ProfileId>,
) -> Vec<ProfileId> {
    let mut base: Vec<&Orderable> = match explicit {
        Some(order) => {
            let mut listed: Vec<&Orderable> = Vec::new();
            for id in order {
                let found = profiles.iter().find(|profile| profile.id == *id);
                if let Some(profile) = found
                    && !listed.iter().any(|one| one.id == *id)
                {
                    listed.push(profile);
                }
            }
            listed
        }
        None => {
            let mut all: Vec<&Orderable> = profiles.iter().collect();
            all.sort_by_key(|profile| (profile.rank, profile.last_used.unwrap_or_default()));
            all
        }
    };
    // Stable: those that are not cooling keep their places before those that are.
    base.sort_by_key(|profile| profile.cooling_until.map_or((false, Millis(0)), |until| (true, until)));
    let mut ids: Vec<ProfileId> = base.into_iter().map(|profile| profile.id.clone()).collect();
    if let Some(preferred) = preferred
        && let Some(at) = ids.iter().position(|id| id == preferred)
    {
        ids[..=at].rotate_right(1);
    }
    ids
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn profile(id: &str, rank: u8, last_used: i64, cooling: Option<i64>) -> Orderable {
        Orderable {
            id: ProfileId::stored(id),
            rank,
            last_used: (last_used > 0).then_some(Millis(last_used)),
            cooling_until: cooling.map(Millis),
        }
    }

    fn ids(text: &str) -> Vec<ProfileId> {
        text.split_whitespace().map(ProfileId::stored).collect()
    }

    #[test]
    fn round_robin_by_kind_and_age() {
        let all = [
            profile("key", 2, 1, None),
            profile("used", 0, 9, None),
            profile("new", 0, 0, None),
            profile("cold2", 0, 0, Some(80)),
            profile("token", 1, 3, None),
            profile("cold1", 2, 0, Some(70)),
        ];
        assert_eq!(sequence(&all, None, None), ids("new used token key cold1 cold2"));
        assert_eq!(sequence(&all, None, Some(&ids("token")[0])), ids("token new used key cold1 cold2"));
        assert_eq!(sequence(&all, None, Some(&ids("cold2")[0])), ids("cold2 new used token key cold1"));
        assert_eq!(sequence(&all, None, Some(&ids("gone")[0])).len(), 6);
    }

    #[test]
    fn an_explicit_order_is_followed_to_the_letter() {
        let all = [profile("a", 0, 0, None), profile("b", 2, 9, None), profile("c", 0, 0, Some(7))];
        assert_eq!(sequence(&all, Some(&ids("b c a b gone")), None), ids("b a c"));
        assert_eq!(sequence(&all, Some(&ids("a")), None), ids("a"));
    }

    proptest! {
        /// C1: with an order, neither the names nor the order in the file nor past use decide anything.
        #[test]
        fn c1_order_means_order(
            shuffled in Just(vec!["default", "a:default", "z", "me@x.test", "lastGood"]).prop_shuffle(),
            order in Just(vec!["z", "default", "me@x.test", "lastGood", "a:default"]).prop_shuffle(),
            used in proptest::collection::vec(0i64..100, 5),
            ranks in proptest::collection::vec(0u8..3, 5),
        ) {
            let all: Vec<_> =
                (0..5).map(|i| profile(shuffled[i], ranks[i], used[i], None)).collect();
            let order: Vec<_> = order.into_iter().map(ProfileId::stored).collect();
            prop_assert_eq!(sequence(&all, Some(&order), None), order);
        }

        #[test]
        fn nothing_is_invented_or_lost(
            ranks in proptest::collection::vec((0u8..3, 0i64..5, proptest::option::of(0i64..5)), 0..7)
        ) {
            let all: Vec<_> = ranks.iter().enumerate()
                .map(|(i, (rank, used, cooling))| profile(&i.to_string(), *rank, *used, *cooling)).collect();
            let mut got = sequence(&all, None, None);
            got.sort();
            prop_assert_eq!(got, all.iter().map(|p| p.id.clone()).collect::<Vec<_>>());
        }
    }
}

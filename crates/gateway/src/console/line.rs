//! The order of a provider's profiles, as a page shows it and changes it.

use coderclaw_auth::{Auth, EditError, Explanation, OrderSource, ProfileStatus};
use coderclaw_providers::Manifest;
use coderclaw_store::AgentPaths;
use coderclaw_types::{Code, ProfileId, ProviderId};
use maud::{Markup, html};

use super::form::Form;
use super::frame::hidden;

/// Which profiles are tried, in this order, and who said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) source: OrderSource,
    pub(super) ids: Vec<ProfileId>,
}

/// What a button does to a profile's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    Up,
    Down,
    In,
    Out,
}

impl Move {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::In => "in",
            Self::Out => "out",
        }
    }

    pub(super) fn of(text: &str) -> Option<Self> {
        [Self::Up, Self::Down, Self::In, Self::Out].into_iter().find(|one| one.as_str() == text)
    }
}

impl Line {
    /// As it stands now: the agent's own profiles only, since those of an agent that it is linked to are in no order here. A key
    /// that is billed per use and must not follow a subscription is not in it: an order that names one is consent.
    pub(super) fn of(
        auth: &Auth,
        agent: &AgentPaths,
        manifest: &Manifest,
        explanation: &Explanation,
        profiles: &[ProfileStatus],
    ) -> Result<Self, EditError> {
        let provider = ProviderId::new(&manifest.id);
        let is_own = |id: &ProfileId| {
            profiles
                .iter()
                .any(|one| one.id == *id && one.owner.is_none() && one.provider.as_ref() == Some(&provider))
        };
        let source = explanation.order_source;
        let ids: Vec<ProfileId> = match source {
            OrderSource::Store => auth.order(agent, manifest)?.unwrap_or_default(),
            OrderSource::Config => auth.config().order(&provider).unwrap_or_default().to_vec(),
            OrderSource::None => {
                let tried = explanation.candidates.iter().filter(|one| one.reason != Code::MeteredNotAllowed);
                tried.filter_map(|one| one.profile_id.clone()).collect()
            }
        };
        let mut line = Self { source, ids: Vec::new() };
        for id in ids {
            if is_own(&id) && !line.ids.contains(&id) {
                line.ids.push(id);
            }
        }
        Ok(line)
    }

    /// In words.
    pub(super) fn words(&self) -> &'static str {
        match self.source {
            OrderSource::Store => {
                "In your order: the first that works is used, and when it is used up, the next."
            }
            OrderSource::Config => {
                "In the order of the config: the first that works is used, and when it is used up, the next."
            }
            OrderSource::None => {
                "No order is set: the one that rested longest is used. Moving one sets an order, which is also your consent that \
                 the next account serves when one is used up."
            }
        }
    }

    /// The fields that say which line a page has shown.
    pub(super) fn fields(&self) -> Markup {
        html! {
            (hidden("source", self.source_word()))
            @for id in &self.ids { (hidden("shown", id.as_str())) }
        }
    }

    /// Whether it still is what the page has shown: nobody overwrites what they have not seen.
    pub(super) fn is_shown(&self, form: &Form) -> bool {
        form.text("source") == self.source_word()
            && self.ids.iter().map(ProfileId::as_str).eq(form.all("shown"))
    }

    fn source_word(&self) -> &'static str {
        match self.source {
            OrderSource::Store => "store",
            OrderSource::Config => "config",
            OrderSource::None => "none",
        }
    }

    /// What it becomes; `None` where there is nothing to move.
    pub(super) fn moved(&self, profile: &ProfileId, how: Move) -> Option<Vec<ProfileId>> {
        let mut ids = self.ids.clone();
        let at = ids.iter().position(|id| id == profile);
        match (how, at) {
            (Move::Up, Some(at)) if at > 0 => ids.swap(at, at - 1),
            (Move::Down, Some(at)) if at + 1 < ids.len() => ids.swap(at, at + 1),
            (Move::In, None) => ids.push(profile.clone()),
            (Move::Out, Some(at)) if ids.len() > 1 => drop(ids.remove(at)),
            _ => return None,
        }
        Some(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves() {
        let id = |text: &str| ProfileId::stored(text);
        let line = Line { source: OrderSource::None, ids: vec![id("p:a"), id("p:b"), id("p:c")] };
        for (profile, how, wanted) in [
            ("p:b", Move::Up, Some("p:b p:a p:c")),
            ("p:b", Move::Down, Some("p:a p:c p:b")),
            ("p:a", Move::Up, None),
            ("p:c", Move::Down, None),
            ("p:x", Move::Up, None),
            ("p:x", Move::In, Some("p:a p:b p:c p:x")),
            ("p:a", Move::In, None),
            ("p:a", Move::Out, Some("p:b p:c")),
            ("p:x", Move::Out, None),
        ] {
            let moved = line.moved(&id(profile), how);
            let moved = moved.map(|ids| ids.iter().map(ProfileId::as_str).collect::<Vec<_>>().join(" "));
            assert_eq!(moved.as_deref(), wanted, "{profile} {how:?}");
        }
        let alone = Line { source: OrderSource::Store, ids: vec![id("p:a")] };
        assert_eq!(alone.moved(&id("p:a"), Move::Out), None, "an order that names nobody would use nobody");
        for how in [Move::Up, Move::Down, Move::In, Move::Out] {
            assert_eq!(Move::of(how.as_str()), Some(how));
        }
    }
}

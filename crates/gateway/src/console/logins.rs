//! An agent's logins: who, how they stand, in which order, and what can be done about each.

use coderclaw_auth::{Call, ProfileStatus, ProviderStatus, Tone, Usage};
use coderclaw_providers::{Manifest, MethodKind};
use coderclaw_types::{Millis, ProviderId, visible, when};
use maud::{Markup, html};

use super::board::Board;
use super::frame::{hidden, home, name, place, token, words};
use super::line::{Line, Move};

/// Whether a browser login of this provider can begin on a page. What nobody has tried begins at a terminal, which says so.
pub(super) fn logs_in(manifest: &Manifest) -> bool {
    let is_tried = |kind| manifest.auth(kind).is_some_and(|method| !method.untested);
    [MethodKind::OAuth, MethodKind::DeviceCode].into_iter().any(is_tried)
}

/// What needs somebody, before anything else.
pub(super) fn attention(board: &Board<'_>) -> Markup {
    let calls: Vec<(&ProfileStatus, Call)> = board
        .status
        .profiles
        .iter()
        .filter_map(|one| Some((one, one.call(is_used(board, one), board.now)?)))
        .collect();
    html! {
        @if !calls.is_empty() {
            section.attention.urgent[calls.iter().any(|(_, call)| !call.ends)] #attention aria-labelledby="attention-h" {
                h2 #attention-h { "Needs attention" }
                ul {
                    @for (profile, call) in &calls {
                        li { a href={ "#" (place("p", profile.id.as_str())) } { (name(profile.id.as_str())) } ": " (call.why) }
                    }
                }
            }
        }
    }
}

fn is_used(board: &Board<'_>, profile: &ProfileStatus) -> bool {
    board.status.providers.iter().any(|provider| provider.explanation.uses(profile))
}

/// All providers, with their profiles.
pub(super) fn section(board: &Board<'_>) -> Markup {
    let status = board.status;
    let known =
        |id: &Option<ProviderId>| status.providers.iter().any(|one| Some(&one.provider) == id.as_ref());
    let nameless: Vec<_> = status.profiles.iter().filter(|one| !known(&one.provider)).collect();
    html! {
        section #logins aria-labelledby="logins-h" {
            div.head {
                h2 #logins-h { "Logins" }
                (add(board))
            }
            @if status.profiles.is_empty() && status.providers.is_empty() {
                p.empty { "Nobody is logged in yet. Choose a provider above to log in; your browser does the rest." }
            }
            @for one in &status.providers { (provider(board, one)) }
            @if !nameless.is_empty() {
                article.provider {
                    h3 { "Of no known provider" }
                    ul.profiles { @for one in nameless { (profile(board, one, None, None)) } }
                }
            }
        }
    }
}

/// A button that logs in: one press, and the browser does the rest.
fn add(board: &Board<'_>) -> Markup {
    let offers: Vec<_> = board.auth.registry().iter().filter(|one| logs_in(one)).collect();
    html! {
        @if let [only] = offers.as_slice() {
            form method="post" action="/console/login" {
                (token(board.visit)) (hidden("agent", board.agent.agent.as_str())) (hidden("provider", &only.id))
                button.main type="submit" { "Log in to " (only.name) }
            }
        } @else if !offers.is_empty() {
            form.choose method="post" action="/console/login" {
                (token(board.visit)) (hidden("agent", board.agent.agent.as_str()))
                label for="provider" { "Log in to" }
                select #provider name="provider" {
                    @for one in offers { option value=(one.id) { (one.name) } }
                }
                button.main type="submit" { "Log in" }
            }
        }
    }
}

fn provider(board: &Board<'_>, one: &ProviderStatus) -> Markup {
    let mine: Vec<&ProfileStatus> = board
        .status
        .profiles
        .iter()
        .filter(|profile| profile.provider.as_ref() == Some(&one.provider))
        .collect();
    let manifest = board.auth.registry().get(&one.provider);
    let line = manifest.and_then(|manifest| {
        Line::of(board.auth, board.agent, manifest, &one.explanation, &board.status.profiles).ok()
    });
    let at = |profile: &ProfileStatus| {
        let line = line.as_ref()?;
        line.ids.iter().position(|id| *id == profile.id && profile.owner.is_none())
    };
    let mut all = mine.clone();
    // Those in the line, in its order; the others as the store has them.
    all.sort_by_key(|profile| at(profile).unwrap_or(usize::MAX));
    let winner = one.explanation.winner.as_ref();
    let is_ordered = line.as_ref().is_some_and(|line| line.source != coderclaw_auth::OrderSource::None);
    let shows_line = line.as_ref().is_some_and(|line| line.ids.len() > 1 || (is_ordered && all.len() > 1));
    html! {
        article.provider aria-labelledby=(place("provider", one.provider.as_str())) {
            div.head {
                h3 id=(place("provider", one.provider.as_str())) { (name(&one.name)) " " span.id { (one.provider) } }
                @if let Some(line) = line.as_ref().filter(|line| line.source == coderclaw_auth::OrderSource::Store) {
                    form method="post" action="/console/order" {
                        (token(board.visit)) (hidden("agent", board.agent.agent.as_str()))
                        (hidden("provider", one.provider.as_str())) (line.fields())
                        button type="submit" name="to" value="clear" { "Drop the order" }
                    }
                }
            }
            @if let Some(line) = line.as_ref().filter(|_| shows_line) { p.quiet { (line.words()) } }
            @if let Some(winner) = winner.filter(|winner| winner.profile_id.is_none()) {
                p { span.badge.used { "in use" } " " (words(&winner.source)) ", a key from outside the store" }
            } @else if winner.is_none() && !all.is_empty() {
                p.call { "Nothing of this can be used now." }
            }
            ol.profiles {
                @for one_profile in &all {
                    (profile(board, one_profile, Some(one), line.as_ref().filter(|_| shows_line)))
                }
            }
        }
    }
}

fn profile(
    board: &Board<'_>,
    profile: &ProfileStatus,
    provider: Option<&ProviderStatus>,
    line: Option<&Line>,
) -> Markup {
    let is_used = provider.is_some_and(|one| one.explanation.uses(profile));
    let is_hidden = provider.is_some_and(|one| one.explanation.hides(profile));
    let facts = profile.facts(is_hidden, board.now, |at| board.local(at));
    let (state, facts) = facts.split_first().map_or(("", &[][..]), |(state, rest)| (state.as_str(), rest));
    let tone = match profile.tone() {
        Tone::Good => "good",
        Tone::Middling => "middling",
        Tone::Bad => "bad",
    };
    let call = profile.call(is_used, board.now);
    // Another agent's figures are not among this one's.
    let known = board.usage.iter().find(|one| one.profile_id == profile.id && profile.owner.is_none());
    html! {
        li.profile.out[is_hidden] id=(place("p", profile.id.as_str())) tabindex="-1" {
            @if let Some(line) = line { (mover(board, profile, line)) }
            div.who {
                h4 { (name(&profile.label())) @if is_used { " " span.badge.used { "in use" } } }
                p.facts {
                    span.state.(tone) { (state) }
                    @for fact in facts { " " span.fact { (words(fact)) } }
                }
                @if let Some(detail) = &profile.detail { p.quiet { (words(detail)) } }
                @if let Some(known) = known { (usage(known, board.now)) }
                @if let Some(call) = &call { (answer(board, profile, call)) }
            }
            (doing(board, profile, call.as_ref()))
        }
    }
}

/// How much of its plan is used, as its provider said when it was last asked.
fn usage(known: &Usage, now: Millis) -> Markup {
    let age = format!("as of {}", when(known.fetched_at, now));
    html! {
        @if known.error.is_none() && !known.windows.is_empty() {
            ul.usage aria-label="Usage" {
                @for window in &known.windows {
                    li {
                        span { (words(&window.label)) }
                        @match window.reset_at {
                            Some(at) if at <= now => span.quiet { "began anew " (when(at, now)) },
                            reset => {
                                meter min="0" max="100" low="70" high="90" optimum="0" value=(format!("{:.0}", window.used_percent)) {}
                                span { (format!("{:.0}%", window.used_percent)) }
                                @if let Some(at) = reset { span.quiet { "again " (when(at, now)) } }
                            }
                        }
                    }
                }
                li.quiet { @if let Some(plan) = &known.plan { "plan " (words(plan)) ", " } (age) }
            }
        }
    }
}

/// Why somebody should do something, and the command that does it.
fn answer(board: &Board<'_>, profile: &ProfileStatus, call: &Call) -> Markup {
    let next = (board.shared.next_for_profile)(board.auth, profile, call, board.agent_hint());
    html! {
        p.call.later[call.ends] {
            (call.why)
            @if !next.is_empty() { span.next { "Type: " code { (words(&next)) } } }
        }
    }
}

/// The buttons that change a profile's place.
fn mover(board: &Board<'_>, profile: &ProfileStatus, line: &Line) -> Markup {
    let id = profile.id.as_str();
    let at = line.ids.iter().position(|own| *own == profile.id && profile.owner.is_none());
    let button = |how: Move, sign: &str, words: &str, is_on: bool| {
        html! {
            button.place type="submit" name="to" value=(how.as_str()) id=(place(how.as_str(), id))
                disabled[!is_on] aria-label={ (words) ": " (visible(&profile.label())) } title=(words) { (sign) }
        }
    };
    html! {
        form.mover method="post" action="/console/order" {
            (token(board.visit)) (hidden("agent", board.agent.agent.as_str()))
            (hidden("provider", profile.provider.as_ref().map_or("", ProviderId::as_str))) (hidden("profile", id))
            (line.fields())
            @if let Some(at) = at {
                (button(Move::Up, "↑", "Move up", at > 0))
                span.number aria-hidden="true" { (at + 1) }
                (button(Move::Down, "↓", "Move down", at + 1 < line.ids.len()))
            } @else if profile.owner.is_none() {
                (button(Move::In, "+", "Add to the order", true))
            }
        }
    }
}

/// What can be done with it.
fn doing(board: &Board<'_>, profile: &ProfileStatus, call: Option<&Call>) -> Markup {
    let id = profile.id.as_str();
    let agent = board.agent.agent.as_str();
    let manifest = profile.provider.as_ref().and_then(|id| board.auth.registry().get(id));
    let is_login = profile.kind == "oauth";
    let fields = html! { (token(board.visit)) (hidden("agent", agent)) (hidden("profile", id)) };
    html! {
        div.doing {
            @if let Some(owner) = &profile.owner {
                a.button href=(home(owner, None, "")) { "See agent " (owner) }
            } @else {
                @if let Some(manifest) = manifest.filter(|manifest| is_login && logs_in(manifest)) {
                    form method="post" action="/console/login" {
                        (fields) (hidden("provider", &manifest.id))
                        button.main[call.is_some()] type="submit" aria-label={ "Log in again: " (visible(&profile.label())) } { "Log in again" }
                    }
                }
                @if profile.refreshable {
                    form method="post" action="/console/refresh" {
                        (fields)
                        button type="submit" aria-label={ "Refresh now: " (visible(&profile.label())) } { "Refresh now" }
                    }
                }
                // The question comes on a page of its own, so that it is asked without script too.
                form method="get" action="/console/logout" {
                    (hidden("agent", agent)) (hidden("profile", id))
                    button.risky type="submit" aria-label={ "Log out: " (visible(&profile.label())) } { "Log out" }
                }
            }
        }
    }
}

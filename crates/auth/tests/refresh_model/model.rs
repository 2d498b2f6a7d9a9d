//! The steps as stateright sees them: which are possible in a state, and what each does.

use stateright::{Model, Property};

use super::properties;
use super::rules::Config;
use super::server::Fate;
use super::state::{
    Comeback, Herald, LogoutStep, OLD, OriginalStep, Phase, Reply, START, State, Step, StrangerStep, Token,
};

/// One step of somebody. The names of asker's and worker's steps are those of the functions in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Ask(usize),
    Lock(usize),
    HandOver(usize),
    Watch(usize),
    AskerDies(usize),
    Settle(usize),
    LegacyLock(usize),
    Prepare(usize),
    Sending(usize),
    Server(usize, Fate),
    Answer(usize),
    Apply(usize),
    Finish(usize),
    WorkerDies(usize),
    Login,
    Logout,
    LogoutDies,
    Original,
    Restore(Token),
    Stranger,
    Import,
    Comeback,
    HeraldLooks(usize),
    HeraldTells(usize),
    Tick,
}

#[derive(Clone, Debug)]
pub(crate) struct Refresh {
    pub(crate) config: Config,
}

impl Refresh {
    fn asker_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (id, asker) in state.askers.iter().enumerate() {
            match asker.phase {
                Phase::Idle => actions.push(Action::Ask(id)),
                Phase::Wants => actions.extend([Action::Lock(id), Action::Watch(id)]),
                Phase::Holds => actions.push(Action::HandOver(id)),
                Phase::Done(_) | Phase::Dead => {}
            }
        }
    }

    fn worker_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (slot, worker) in state.workers.iter().enumerate() {
            let Some(worker) = worker else { continue };
            match worker.step {
                Step::Settle => actions.push(Action::Settle(slot)),
                Step::Legacy => actions.push(Action::LegacyLock(slot)),
                Step::Prepare => actions.push(Action::Prepare(slot)),
                Step::Sending => actions.push(Action::Sending(slot)),
                Step::InFlight => {
                    actions.push(Action::Server(slot, Fate::Answered));
                    let left = state.left;
                    for (budget, fate) in [
                        (left.lost_answers, Fate::AnswerLost),
                        (left.lost_requests, Fate::RequestLost),
                        (left.unavailable, Fate::Unavailable),
                        (left.refusals, Fate::RefusedAnyway),
                    ] {
                        if budget > 0 {
                            actions.push(Action::Server(slot, fate));
                        }
                    }
                }
                Step::Got(Reply::Tokens(_) | Reply::Refused | Reply::NotSpent | Reply::Ambiguous) => {
                    actions.push(Action::Answer(slot));
                }
                Step::Apply { .. } => actions.push(Action::Apply(slot)),
                Step::Finish { .. } => actions.push(Action::Finish(slot)),
            }
        }
        if matches!(state.logout, LogoutStep::Locked | LogoutStep::Recorded) {
            actions.push(Action::Logout);
        }
        if matches!(state.original, OriginalStep::Locked(_) | OriginalStep::Holds(_)) {
            actions.push(Action::Original);
        }
        if matches!(state.stranger, StrangerStep::Sending(_) | StrangerStep::Holds { .. }) {
            actions.push(Action::Stranger);
        }
    }

    /// What may happen and need not.
    fn events(&self, state: &State, actions: &mut Vec<Action>) {
        let left = state.left;
        if left.asker_deaths > 0 {
            let alive = |phase| matches!(phase, Phase::Wants | Phase::Holds);
            let living = state.askers.iter().enumerate().filter(|(_, asker)| alive(asker.phase));
            actions.extend(living.map(|(id, _)| Action::AskerDies(id)));
        }
        if left.worker_deaths > 0 {
            let living = state.workers.iter().enumerate().filter(|(_, worker)| worker.is_some());
            actions.extend(living.map(|(slot, _)| Action::WorkerDies(slot)));
        }
        if self.config.login && !state.logged_in {
            actions.push(Action::Login);
        }
        if self.config.logout && state.logout == LogoutStep::Idle {
            actions.push(Action::Logout);
        }
        if self.config.logout_dies {
            actions.push(Action::LogoutDies);
        }
        if self.config.original && state.original == OriginalStep::Idle {
            actions.push(Action::Original);
        }
        if self.config.outside && state.stranger == StrangerStep::Idle {
            actions.push(Action::Stranger);
        }
        if self.config.import && !state.imported {
            actions.push(Action::Import);
        }
        if self.config.comeback && state.comeback != Comeback::Done {
            actions.push(Action::Comeback);
        }
        for (id, herald) in state.heralds.iter().enumerate().take(self.config.heralds) {
            match herald {
                Herald::Idle => actions.push(Action::HeraldLooks(id)),
                Herald::Saw { .. } => actions.push(Action::HeraldTells(id)),
                Herald::Done => {}
            }
        }
        if left.restores > 0 {
            actions.extend([Action::Restore(OLD), Action::Restore(START)]);
        }
        if left.ticks > 0 {
            actions.push(Action::Tick);
        }
    }

    /// Whether nothing goes on by itself any more.
    pub(crate) fn at_rest(&self, state: &State) -> bool {
        let mut actions = Vec::new();
        self.asker_actions(state, &mut actions);
        self.worker_actions(state, &mut actions);
        actions.into_iter().all(|action| self.next_state(state, action).is_none())
    }
}

impl Model for Refresh {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(&self.config)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.witness.wrong == Default::default() {
            self.asker_actions(state, actions);
            self.worker_actions(state, actions);
            self.events(state, actions);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let config = &self.config;
        let mut happened = true;
        match action {
            Action::Ask(id) => state.ask(config, id),
            Action::Lock(id) => happened = state.lock(config, id),
            Action::HandOver(id) => happened = state.hand_over(config, id),
            Action::Watch(id) => happened = state.watch(config, id),
            Action::AskerDies(id) => state.asker_dies(config, id),
            Action::Settle(slot) => happened = state.settle(config, slot),
            Action::LegacyLock(slot) => happened = state.legacy_lock(config, slot),
            Action::Prepare(slot) => state.prepare(config, slot),
            Action::Sending(slot) => state.sending(config, slot),
            Action::Server(slot, fate) => state.server_answers(config, slot, fate),
            Action::Answer(slot) => state.answer(config, slot),
            Action::Apply(slot) => happened = state.apply(config, slot),
            Action::Finish(slot) => state.finish(config, slot),
            Action::WorkerDies(slot) => state.worker_dies(slot),
            Action::Login => happened = state.login(),
            Action::Logout => happened = state.logout_step(config),
            Action::LogoutDies => happened = state.logout_dies(),
            Action::Original => happened = state.original_step(config),
            Action::Restore(token) => happened = state.restore(token),
            Action::Stranger => happened = state.stranger_step(config),
            Action::Import => happened = state.import(config),
            Action::Comeback => happened = state.comeback_step(config),
            Action::HeraldLooks(id) => state.herald_looks(id),
            Action::HeraldTells(id) => state.herald_tells(config, id),
            Action::Tick => state.tick(),
        }
        happened.then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

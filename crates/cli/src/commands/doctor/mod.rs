//! `doctor`: what is wrong with a state dir, what it means, and what to type. With `--fix` it repairs what is safe.

mod around;
mod check;
mod choice;
mod place;
mod secrets;
mod stores;

use std::rc::Rc;

use coderclaw_auth::{AgentStatus, Auth, OpenError, ResolveError, Runner};
use coderclaw_store::{AgentPaths, AuthProfiles, read_auth_store};
use coderclaw_types::{Clock, Code, Env};

use self::check::{Check, Status};
use crate::args::{DoctorArgs, Global};
use crate::commands::{Context, own_program};
use crate::error::CommandError;
use crate::report::Report;

/// Exits 0 whatever it finds, as the original does; only a wrong call fails.
pub(super) fn run(global: Global, args: &DoctorArgs, env: Env, clock: Clock) -> Result<Report, CommandError> {
    let (auth, problems) = Auth::open_despite(env, clock, Runner::Process(own_program()));
    let context = Context { auth, global };
    let mut exam = Exam::new(&context, args.fix)?;
    place::look(&mut exam, &problems);
    stores::look(&mut exam);
    choice::look(&mut exam);
    around::look(&mut exam, args.deep);
    if args.secrets {
        secrets::look(&mut exam);
    }
    if args.generate_gateway_token {
        exam.add(Check::warn("flags", "--generate-gateway-token has no effect here: nothing was made"));
    }
    Ok(check::report(&context, args.fix, &exam.checks))
}

/// What is looked at, and what was found.
struct Exam<'a> {
    context: &'a Context,
    /// All agents, or the one that was asked for.
    agents: Rc<[Patient]>,
    /// What is safe is repaired.
    fixes: bool,
    checks: Vec<Check>,
}

/// An agent, read once.
struct Patient {
    paths: AgentPaths,
    status: Result<AgentStatus, ResolveError>,
    /// Its store; `None` where it cannot be read.
    doc: Option<AuthProfiles>,
}

impl Patient {
    fn read(auth: &Auth, paths: AgentPaths) -> Self {
        let status = auth.status(&paths);
        let doc = status.as_ref().ok().and_then(|_| Some(read_auth_store(&paths.store()).ok()?.doc));
        Self { paths, status, doc }
    }

    /// How it stands; `None` where that cannot be told, and was said.
    fn status(&self) -> Option<&AgentStatus> {
        self.status.as_ref().ok()
    }

    fn name(&self) -> &str {
        self.paths.agent.as_str()
    }
}

impl<'a> Exam<'a> {
    fn new(context: &'a Context, wants_fixes: bool) -> Result<Self, CommandError> {
        let (auth, mut checks) = (&context.auth, Vec::new());
        let agents = match &context.global.agent {
            Some(_) => vec![context.agent()?],
            None => auth.state().agents(auth.config()).unwrap_or_else(|e| {
                checks.push(Check::fail("agents", e.code(), e.to_string()));
                Vec::new()
            }),
        };
        // Whatever another user owns is theirs to change.
        let fixes = wants_fixes && auth.state().check_owner().is_ok();
        let agents = agents.into_iter().map(|paths| Patient::read(auth, paths)).collect();
        Ok(Self { context, agents, fixes, checks })
    }

    fn add(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// A finding that `--fix` does away with: `fix` says how, and `done` says that it was.
    fn mend<E: ToString>(
        &mut self,
        mut check: Check,
        fix: &str,
        done: &str,
        action: impl FnOnce() -> Result<(), E>,
    ) {
        check.fix = Some(fix.to_owned());
        if self.fixes {
            match action() {
                Ok(()) => {
                    check.status = Status::Fixed;
                    check.message = done.to_owned();
                    check.next = None;
                }
                Err(e) => check.message.push_str(&format!("; that could not be changed: {}", e.to_string())),
            }
        } else if check.next.is_none() {
            check.next = Some(check::REPAIR.to_owned());
        }
        self.checks.push(check);
    }

    /// A command about this agent.
    fn of(&self, agent: &AgentPaths, command: &str) -> String {
        if agent.agent == self.context.auth.config().default_agent() {
            return command.to_owned();
        }
        format!("{command} --agent {}", agent.agent)
    }

    fn has(&self, id: &str) -> bool {
        self.checks.iter().any(|check| check.id == id && check.status != Status::Ok)
    }

    /// One line for all that is well, where nothing of this kind was found.
    fn or_else_ok(&mut self, id: &'static str, message: &str) {
        if !self.has(id) {
            self.add(Check::ok(id, message));
        }
    }
}

/// Which check a failure to open belongs to.
fn id_of(problem: &OpenError) -> &'static str {
    match problem {
        OpenError::Config(_) => "config",
        OpenError::Manifest(_) | OpenError::Read(_) => "provider_files",
    }
}

/// The command that shows more about a code, where the code's own command does not need to know more.
fn next_of(code: Code) -> Option<String> {
    let next = code.next_command();
    (!next.is_empty() && !next.contains('{')).then(|| next.to_owned())
}

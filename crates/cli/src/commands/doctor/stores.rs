//! Each agent's store: can it be read, is everything in it understood, where does it really lie, is it there twice.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use coderclaw_auth::{AgentStatus, GrantPlace, ProfileStatus};
use coderclaw_store::{AgentPaths, AuthProfiles, JournalView, StoreOwner, read_text, store_owner};
use coderclaw_types::Code;

use super::place::entries;
use super::{Check, Exam, Patient};
use crate::text::clean;

/// Ids under which the original kept copies of other programs' logins; its doctor deletes them.
const DEPRECATED: [&str; 2] = ["anthropic:claude-cli", "openai-codex:codex-cli"];

pub(super) fn look(exam: &mut Exam<'_>) {
    for agent in exam.agents.clone().iter() {
        store(exam, agent);
        backup(exam, &agent.paths);
        links(exam, &agent.paths);
        owner(exam, &agent.paths);
    }
    same_folder(exam);
    shared(exam);
    journals(exam);
    exam.or_else_ok("backup", "each store's backup can be read");
    exam.or_else_ok("links", "each store is one file with one name");
}

fn store(exam: &mut Exam<'_>, patient: &Patient) {
    let (agent, name) = (&patient.paths, patient.name());
    let repair = exam.of(agent, "coderclaw models auth restore --dry-run");
    let status = match &patient.status {
        Ok(status) => status,
        Err(e) => {
            let next = match e.code() {
                Code::Corrupt => repair,
                _ => "coderclaw models auth paths".to_owned(),
            };
            exam.add(Check::fail("store", e.code(), format!("agent {name}: {e}")).next(Some(next)));
            return;
        }
    };
    if let Some((code, detail)) = &status.store_note {
        let check = Check::fail("store", *code, format!("agent {name}: {detail}"));
        exam.add(match code {
            Code::Corrupt => check.next(Some(repair)),
            _ => check,
        });
    }
    for problem in &status.import_problems {
        exam.add(Check::warn("import", format!("agent {name}: {}", problem.detail)).code(problem.code));
    }
    // What it borrows is looked at where it lies.
    let own = || status.profiles.iter().filter(|profile| profile.owner.is_none());
    for profile in own() {
        entry(exam, agent, profile);
    }
    link(exam, patient, status);
    let is_damaged = |profile: &ProfileStatus| profile.state == Code::Corrupt;
    if status.store_note.is_none() && !own().any(is_damaged) {
        let count = own().count();
        let profiles = if count == 1 { "profile" } else { "profiles" };
        exam.add(Check::ok("store", format!("agent {name}: {count} {profiles}")));
    }
}

/// Whose logins an agent borrows, and whether it could. Only a person decides that.
fn link(exam: &mut Exam<'_>, patient: &Patient, status: &AgentStatus) {
    let name = patient.name();
    if let Some(broken) = &status.broken_link {
        let message = format!("agent {name}: its link to {} is no good: {}", broken.target, broken.detail);
        let next = format!("coderclaw agents unlink {name}");
        exam.add(Check::fail("link", broken.reason, message).next(Some(next)));
    } else if let Some(target) = &status.linked_to {
        exam.add(Check::ok("link", format!("agent {name} also uses the logins of {target}")));
    } else if status.profiles.is_empty() {
        let lender = exam.context.auth.config().default_agent();
        let has_some = |other: &&Patient| {
            other.paths.agent == lender
                && other.name() != name
                && other
                    .status()
                    .is_some_and(|status| status.linked_to.is_none() && !status.profiles.is_empty())
        };
        if exam.agents.iter().any(|other| has_some(&other)) {
            let message = format!(
                "agent {name} has no login, and is not linked to {lender}, which has some: nothing is borrowed silently"
            );
            let next = format!("coderclaw agents link {name} --to {lender}");
            exam.add(Check::warn("link", message).code(Code::NotLinked).next(Some(next)));
        }
    }
}

fn entry(exam: &mut Exam<'_>, agent: &AgentPaths, profile: &ProfileStatus) {
    let id = profile.id.as_str();
    if profile.state == Code::Corrupt {
        let why = profile.detail.as_deref().unwrap_or("it is not understood");
        let message = format!(
            "agent {}: {id} in {}: {why}. It is kept as it is; `coderclaw models auth prune` takes it away",
            agent.agent,
            agent.store().display()
        );
        exam.add(Check::warn("store", message).code(Code::Corrupt));
    }
    if DEPRECATED.contains(&id) {
        let provider = id.split_once(':').map_or(id, |(provider, _)| provider);
        let message = format!(
            "agent {}: {id} is an id that the original's doctor deletes; it stays here, and another name keeps it there too",
            agent.agent
        );
        let next = exam.of(agent, &format!("coderclaw models auth rename {id} {provider}:imported"));
        exam.add(Check::warn("deprecated_id", message).next(Some(next)));
    }
}

fn backup(exam: &mut Exam<'_>, agent: &AgentPaths) {
    let path = agent.dir.join("auth-profiles.json.bak");
    let problem = match read_text(&path) {
        Ok(None) => return,
        Ok(Some(text)) => AuthProfiles::parse(&text).err().map(|e| e.to_string()),
        Err(e) => Some(e.to_string()),
    };
    if let Some(problem) = problem {
        let message = format!(
            "{} cannot serve if the store is damaged ({problem}); the next write renews it",
            path.display()
        );
        exam.add(Check::warn("backup", message).code(Code::Corrupt));
    }
}

fn links(exam: &mut Exam<'_>, agent: &AgentPaths) {
    for path in [agent.store(), agent.state()] {
        let Ok(own) = std::fs::symlink_metadata(&path) else { continue };
        if own.is_symlink() {
            let target = std::fs::read_link(&path).unwrap_or_default();
            let is_there = path.exists();
            let message = match is_there {
                true => format!(
                    "{} is a link to {}, which is what is read and replaced",
                    path.display(),
                    target.display()
                ),
                false => format!("{} is a link to {}, where nothing is", path.display(), target.display()),
            };
            exam.add(if is_there { Check::ok("links", message) } else { Check::warn("links", message) });
        } else if own.is_file() && own.nlink() > 1 {
            let message = format!(
                "{} has {} names (hard links); a refresh replaces this one, and the others keep tokens that are spent",
                path.display(),
                own.nlink()
            );
            exam.add(Check::warn("links", message));
        }
    }
}

fn owner(exam: &mut Exam<'_>, agent: &AgentPaths) {
    match store_owner(exam.context.auth.state(), &agent.store()) {
        Ok(StoreOwner::Foreign(root)) => {
            let message = format!(
                "agent {}: {} belongs to the state dir {}, which alone refreshes it",
                agent.agent,
                agent.store().display(),
                root.display()
            );
            exam.add(Check::warn("store_owner", message).code(Code::ForeignStore));
        }
        Ok(StoreOwner::Ours | StoreOwner::Unclaimed) => {}
        Err(e) => exam.add(Check::fail("store_owner", e.code(), e.to_string())),
    }
}

/// Two agents with one folder are one agent with two names, and neither of them is isolated.
fn same_folder(exam: &mut Exam<'_>) {
    let real = |agent: &AgentPaths| std::fs::canonicalize(&agent.dir).unwrap_or_else(|_| agent.dir.clone());
    let folders: Vec<(PathBuf, String)> =
        exam.agents.iter().map(|agent| (real(&agent.paths), agent.name().to_owned())).collect();
    for (i, (folder, agent)) in folders.iter().enumerate() {
        if let Some((_, other)) = folders[i + 1..].iter().find(|(other, _)| other == folder) {
            let message = format!(
                "agents {agent} and {other} have one folder, {}: they are not isolated",
                folder.display()
            );
            exam.add(Check::warn("agents", message));
        }
    }
}

/// One login in two places. Of this program's own stores both are renewed at once; another program knows nothing of that.
fn shared(exam: &mut Exam<'_>) {
    let only = exam.context.global.agent.is_some().then(|| exam.agents.first()).flatten();
    let mut found = Vec::new();
    for grant in exam.context.auth.shared_grants(only.map(|agent| &agent.paths), true) {
        let mut own = Vec::new();
        for place in &grant.places {
            match place {
                GrantPlace::Profile { agent, profile } => own.push((agent, profile)),
                GrantPlace::Program { name, path } => {
                    let message = format!(
                        "the login of {} here is {name}'s own as well ({}): whoever refreshes it first logs the other one out; a new \
                         login is this program's alone",
                        grant.provider,
                        path.display()
                    );
                    let next = format!("coderclaw models auth login --provider {}", grant.provider);
                    found.push(Check::warn("shared_login", message).next(Some(next)));
                }
            }
        }
        let Some(((first, profile), rest)) = own.split_first() else { continue };
        for (agent, copy) in rest.iter().filter(|(agent, _)| agent != first) {
            let message = format!(
                "agent {agent}'s {} is a copy of agent {first}'s {}: one login, and both are renewed together; a link does the same \
                 without a copy",
                clean(copy.as_str()),
                clean(profile.as_str())
            );
            let next = format!("coderclaw agents link {agent} --to {first}");
            found.push(Check::warn("shared_login", message).next(Some(next)));
        }
    }
    for copy in exam.context.auth.diverged_copies(only.map(|agent| &agent.paths)) {
        let message = format!(
            "agents {} and {} hold {} with different tokens. If one was copied from the other, another program has refreshed only \
             {}'s, and agent {}'s would be refused, which may end both",
            copy.newer,
            copy.agent,
            clean(copy.profile.as_str()),
            copy.newer,
            copy.agent
        );
        let next = format!("coderclaw models auth login --provider {} --agent {}", copy.provider, copy.agent);
        found.push(Check::warn("shared_login", message).next(Some(next)));
    }
    exam.checks.extend(found);
    exam.or_else_ok("shared_login", "no login stands in two places");
}

fn journals(exam: &mut Exam<'_>) {
    let mut unfinished = 0;
    for path in entries(&exam.context.auth.state().journals()) {
        match JournalView::read(&path) {
            Ok(view) if view.pending.is_some() => unfinished += 1,
            Ok(_) => {}
            Err(e) => exam.add(Check::fail("journal", e.code(), e.to_string())),
        }
    }
    let message = match unfinished {
        0 => "no refresh is unfinished".to_owned(),
        1 => "a refresh is under way, or was cut off and is finished at the next use".to_owned(),
        many => format!("{many} refreshes are under way, or were cut off and are finished at the next use"),
    };
    exam.or_else_ok("journal", &message);
}

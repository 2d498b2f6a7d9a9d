//! The state dir itself: whose it is, where it lies, who else may read it, the config, what was left lying about.

use std::path::{Path, PathBuf};

use coderclaw_auth::OpenError;
use coderclaw_store::{Loose, PendingLogin, check_config, loose, tighten};
use coderclaw_types::Code;
use rustix::fs::{Access, access, statfs};

use super::{Check, Exam, id_of};

/// File systems that other machines or programs serve, by the number that `statfs` gives (linux/magic.h).
const SERVED: [(i64, &str); 7] = [
    (0x6969, "NFS"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x517b, "SMB"),
    (0x0102_1997, "9P"),
    (0x6573_5546, "FUSE"),
    (0x00c3_6400, "Ceph"),
];
/// More names than this are not listed.
const NAMED: usize = 3;

pub(super) fn look(exam: &mut Exam<'_>, problems: &[OpenError]) {
    state_dir(exam);
    config(exam, problems);
    permissions(exam);
    leftovers(exam);
}

fn state_dir(exam: &mut Exam<'_>) {
    let auth = &exam.context.auth;
    let root = auth.state().root().to_path_buf();
    if !root.exists() {
        let message = "it is not there yet; the first login makes it";
        exam.add(Check::ok("state_dir", message).next(Some("coderclaw onboard".into())));
        return;
    }
    let can_write = access(&root, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    if !root.is_dir() {
        exam.add(Check::fail("state_dir", Code::NotWritable, "it is not a folder"));
    } else if let Err(e) = auth.state().check_owner() {
        exam.add(Check::fail("state_dir", Code::NotOwner, e.to_string()));
    } else if !can_write {
        let message = "it cannot be written, so that nothing can be refreshed or stored";
        exam.add(Check::fail("state_dir", Code::NotWritable, message));
    } else {
        exam.add(Check::ok("state_dir", "it is yours and can be written"));
    }
    let Ok(stat) = statfs(&root) else { return };
    #[expect(clippy::unnecessary_cast, reason = "its width differs from system to system")]
    let kind = stat.f_type as i64 & 0xffff_ffff;
    match SERVED.iter().find(|(number, _)| *number == kind) {
        None => exam.add(Check::ok("filesystem", "local, so that locks hold")),
        Some((_, name)) => exam.add(Check::warn(
            "filesystem",
            format!(
                "it lies on {name}: two machines that use it at once may not see one another's locks, and may end a login \
                 by refreshing it twice; give each machine a state dir of its own"
            ),
        )),
    }
}

fn config(exam: &mut Exam<'_>, problems: &[OpenError]) {
    for problem in problems {
        let check = Check::fail(id_of(problem), problem.code(), problem.to_string());
        exam.add(match id_of(problem) {
            "config" => check.next(Some("coderclaw config validate".into())),
            _ => check,
        });
    }
    let auth = &exam.context.auth;
    let path = auth.state().config_path().to_path_buf();
    // What stops everything was said just now.
    let mistakes = match check_config(auth.state(), auth.env()) {
        Ok(report) => report.problems.into_iter().filter(|problem| !problem.is_vital).collect(),
        Err(_) => Vec::new(),
    };
    for mistake in mistakes {
        let check = Check::warn("config", mistake.to_string()).code(Code::ConfigInvalid);
        exam.add(check.next(Some("coderclaw config validate".into())));
    }
    let message = match path.exists() {
        true => format!("{} is understood", path.display()),
        false => "there is none, and none is needed".to_owned(),
    };
    exam.or_else_ok("config", &message);
    for plugin in exam.context.auth.broken_plugins() {
        let message = format!("the plugin {} is not in force: {}", plugin.id, plugin.why);
        exam.add(Check::warn("provider_files", message).code(Code::ManifestInvalid));
    }
    exam.or_else_ok("provider_files", "nothing in them is misunderstood");
}

fn permissions(exam: &mut Exam<'_>) {
    let agents: Vec<_> = exam.agents.iter().map(|agent| agent.paths.clone()).collect();
    let found = loose(exam.context.auth.state(), &agents);
    let (linked, rest): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.link_to.is_some());
    let (others, ours): (Vec<_>, Vec<_>) = rest.into_iter().partition(|one| one.other_owner.is_some());
    // Where all of it is another user's, that was said.
    if !others.is_empty() && !exam.has("state_dir") {
        let message = format!(
            "another user owns {}, so that it may not be readable or writable one day",
            names(&others)
        );
        exam.add(Check::warn("owner", message).code(Code::NotOwner));
    }
    for one in linked {
        let target = one.link_to.unwrap_or_default();
        let message = format!(
            "{} leads to {}, which others may read (mode {:04o})",
            one.path.display(),
            target.display(),
            one.mode
        );
        let next = format!("chmod go-rwx {}", crate::text::shell_word(&target.to_string_lossy()));
        exam.add(Check::warn("permissions", message).next(Some(next)));
    }
    let mut groups: Vec<(PathBuf, Vec<Loose>)> = Vec::new();
    for one in ours {
        // All folders are one finding, and the files of each folder another.
        let parent = one.path.parent().filter(|_| !one.is_dir).map(Path::to_path_buf).unwrap_or_default();
        match groups.iter_mut().find(|(known, _)| *known == parent) {
            Some((_, group)) => group.push(one),
            None => groups.push((parent, vec![one])),
        }
    }
    for (_, group) in groups {
        let modes: Vec<String> = group.iter().map(|one| format!("{:04o}", one.mode)).collect();
        let may = if group.iter().any(|one| one.mode & 0o022 != 0) { "read or write" } else { "read" };
        let mode = if group.len() == 1 { format!(" (mode {})", modes[0]) } else { String::new() };
        let check = Check::warn("permissions", format!("others may {may} {}{mode}", names(&group)));
        let done = format!("{} is yours alone now", names(&group));
        exam.mend(check, "take from others what they may do with it", &done, || {
            group.iter().try_for_each(tighten)
        });
    }
    exam.or_else_ok("permissions", "nobody else may read or write what is kept here");
}

fn names(group: &[Loose]) -> String {
    let paths: Vec<&Path> = group.iter().map(|one| one.path.as_path()).collect();
    names_of(&paths)
}

/// `A`, or `A and 2 more in FOLDER`.
fn names_of(paths: &[&Path]) -> String {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match paths {
        [] => String::new(),
        [one] => one.display().to_string(),
        [first, rest @ ..] if first.is_dir() => match rest.len() {
            1 => format!("{} and {}", first.display(), rest[0].display()),
            more => format!("{} and {more} more folders", first.display()),
        },
        [first, ..] => {
            let folder = first.parent().unwrap_or(first).display();
            let shown: Vec<String> = paths.iter().take(NAMED).map(|path| name(path)).collect();
            let more = paths.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{}{more} in {folder}", shown.join(", "))
        }
    }
}

fn leftovers(exam: &mut Exam<'_>) {
    let auth = &exam.context.auth;
    let (state, now) = (auth.state().clone(), auth.clock().now());
    let mut folders: Vec<PathBuf> = exam.agents.iter().map(|agent| agent.paths.dir.clone()).collect();
    folders.push(state.root().to_path_buf());
    for folder in folders {
        for path in entries(&folder) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let said = if name.starts_with('.') && name.ends_with(".next") {
                "is a write that was cut off, or is under way; the next write replaces it"
            } else if name.contains(".json.damaged-") {
                "is a damaged store that was set aside; once nothing of it is missed, it can be deleted"
            } else if name == "auth-profiles.json.lock" {
                "is the original program's lock, or of a change under way; one that was left behind counts for nothing"
            } else {
                continue;
            };
            exam.add(Check::warn("leftovers", format!("{} {said}", path.display())));
        }
    }
    let expired = PendingLogin::expired(&state, now).len();
    if expired > 0 {
        let logins = if expired == 1 { "a login that was" } else { "logins that were" };
        let message = format!(
            "{} holds {logins} begun and can no longer be finished ({expired})",
            state.logins().display()
        );
        exam.mend(
            Check::warn("leftovers", message),
            "remove what was kept of it",
            "what was kept of logins that can no longer be finished is gone",
            || PendingLogin::remove_expired(&state, now).map(drop),
        );
    }
    exam.or_else_ok("leftovers", "nothing was left lying about");
}

pub(super) fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

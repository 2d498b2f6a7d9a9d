//! Copies of tokens and keys where none belong.

use std::time::Duration;

use super::Exam;
use super::check::Check;

const ID: &str = "secrets";
/// A state dir is looked through in a second; one that somebody keeps a film collection in is not waited for.
const LIMIT: Duration = Duration::from_secs(60);

pub(super) fn look(exam: &mut Exam<'_>) {
    let sweep = match exam.context.auth.find_copies(&[], LIMIT) {
        Ok(sweep) => sweep,
        Err(e) => return exam.add(Check::fail(ID, e.code(), e.to_string())),
    };
    for copy in &sweep.copies {
        let place = match (&copy.object, copy.line) {
            (Some(object), _) => {
                let short: String = object.chars().take(12).collect();
                format!("the history of git in {}, object {short},", copy.path.display())
            }
            (None, Some(line)) => format!("{}, line {line},", copy.path.display()),
            (None, None) => copy.path.display().to_string(),
        };
        let message = format!(
            "{place} holds the {} of {}, {}; remove it, and log in anew if others may have read it",
            copy.kind, copy.profile, copy.owner
        );
        exam.add(Check::warn(ID, message));
    }
    for problem in &sweep.problems {
        exam.add(Check::warn(ID, format!("not looked at: {problem}")));
    }
    let (secrets, files) = (sweep.secrets, sweep.looked_at);
    exam.or_else_ok(
        ID,
        &format!("no copy of {secrets} tokens and keys in {files} files outside their places"),
    );
}

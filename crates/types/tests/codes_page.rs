//! The page of codes in the book is the table itself.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test compares files")]

use coderclaw_types::{Code, CodeKind};

/// B8: every code has its text and its next command, and the page that people read says the same as the program.
/// `UPDATE=1 cargo test -p coderclaw-types` writes it anew.
#[test]
fn b8_the_page_of_codes_is_the_table() {
    let mut page = String::from(
        "# Codes\n\nEvery state and every failure has one of these codes: in JSON, in brackets behind an error, and in\n\
         `models status`. A code never changes its meaning. `{login}` stands for the command that brings this provider's\n\
         kind of credential: `login`, `login --method siwc`, `setup-token`, `paste-token` or `paste-api-key`; `{other}` for another\n\
         agent.\n",
    );
    for (kind, title) in [(CodeKind::Reason, "States of a login"), (CodeKind::Error, "Commands that failed")]
    {
        page.push_str(&format!("\n## {title}\n\n| code | what it means | what to type |\n|---|---|---|\n"));
        for code in Code::ALL.iter().filter(|code| code.kind() == kind) {
            let next = match code.next_command() {
                "" => "nothing".to_owned(),
                next => format!("`{next}`"),
            };
            page.push_str(&format!("| `{code}` | {} | {next} |\n", code.meaning()));
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/codes.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), page, "docs/codes.md is behind the table");
}

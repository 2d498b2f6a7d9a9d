//! One profile through its names: a rename gives it another id, and what happened before bears the old one.

use coderclaw_types::ProfileId;

use super::{Line, word};

/// The lines about the profile that is called `id` now, or was once, in the order in which they came. An id is followed
/// back through the renames of its agent; what a later profile of an old name did belongs to that one.
pub(super) fn about<'a>(lines: &[&'a Line], id: &str) -> Vec<&'a Line> {
    // What the profile was called at the time of the line, per agent; `id` itself where no rename was met.
    let mut names: Vec<(&str, String)> = Vec::new();
    let mut found = Vec::new();
    for line in lines.iter().rev() {
        let agent = word(line, "agentId");
        let at = names.iter().position(|(known, _)| *known == agent).unwrap_or_else(|| {
            names.push((agent, id.to_owned()));
            names.len() - 1
        });
        let before = was(line);
        let name = &mut names[at].1;
        if word(line, "profileId") == name.as_str() {
            found.push(*line);
            if let Some(before) = before {
                *name = before;
            }
        } else if before.as_ref() == Some(name) {
            // It left under this name; who bore it before is the same.
            found.push(*line);
        }
    }
    found.reverse();
    found
}

/// What the profile of a rename was called before. Lines of earlier versions say it in words only.
pub(super) fn was(line: &Line) -> Option<String> {
    if word(line, "event") != "rename" {
        return None;
    }
    let id = match word(line, "was") {
        "" => word(line, "detail").strip_prefix("was ")?,
        id => id,
    };
    Some(ProfileId::stored(id).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn line(agent: &str, event: &str, profile: &str, was: Option<&str>) -> Line {
        let mut line = json!({"agentId": agent, "event": event, "profileId": profile});
        if let Some(was) = was {
            line["was"] = json!(was);
        }
        match line {
            Value::Object(line) => line,
            _ => Line::new(),
        }
    }

    #[test]
    fn a_profile_is_followed_through_its_names() {
        let all = [
            line("main", "login", "p:a", None),
            line("work", "login", "p:a", None),
            line("main", "rename", "p:b", Some("p:a")),
            line("main", "login", "p:a", None),
            line("main", "refresh", "p:b", None),
            line("main", "rename", "p:c", Some("p:b")),
            line("main", "refresh", "p:c", None),
        ];
        let all: Vec<&Line> = all.iter().collect();
        let of = |id: &str| -> Vec<usize> {
            let found = about(&all, id);
            (0..all.len()).filter(|at| found.iter().any(|one| std::ptr::eq(*one, all[*at]))).collect()
        };
        // Another agent's profile of the name is its own, and stays under it.
        assert_eq!(of("p:c"), [0, 2, 4, 5, 6]);
        assert_eq!(of("p:b"), [0, 2, 4, 5]);
        assert_eq!(of("p:a"), [0, 1, 2, 3]);
        assert!(of("p:x").is_empty());
    }

    /// Lines of earlier versions have the old name in their words, and rings of names end.
    #[test]
    fn old_lines_and_rings_are_read() {
        let mut old = line("main", "rename", "p:b", None);
        old.insert("detail".into(), json!("was p:a"));
        assert_eq!(was(&old).as_deref(), Some("p:a"));
        let ring =
            [old, line("main", "rename", "p:a", Some("p:b")), line("main", "rename", "p:b", Some("p:a"))];
        assert_eq!(about(&ring.iter().collect::<Vec<_>>(), "p:b").len(), 3);
    }
}

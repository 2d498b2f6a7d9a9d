//! The same person, in the same workspace?

use coderclaw_oauth::Identity;
use coderclaw_store::OAuthEntry;

/// Whether tokens with `identity` may stand in `entry`. What one side does not say contradicts nothing; the
/// workspace and the person's id decide, the e-mail only where the ids do not.
pub(crate) fn same_person(entry: &OAuthEntry, identity: &Identity) -> bool {
    let agrees = |have: &Option<String>, got: &Option<String>| match (have, got) {
        (Some(have), Some(got)) => Some(have == got),
        _ => None,
    };
    if agrees(&entry.account_id, &identity.account) == Some(false) {
        return false;
    }
    if agrees(&entry.issuer, &identity.issuer) == Some(false) {
        return false;
    }
    match agrees(&entry.subject, &identity.subject) {
        Some(same) => same,
        None => {
            let lower = |email: &Option<String>| email.as_ref().map(|email| email.to_lowercase());
            agrees(&lower(&entry.email), &lower(&identity.email)) != Some(false)
        }
    }
}

/// Whether `entry` is known to be the login of this very identity: something agrees and nothing disagrees.
pub(crate) fn is_login_of(entry: &OAuthEntry, identity: &Identity) -> bool {
    let both = |have: &Option<String>, got: &Option<String>| have.is_some() && have == got;
    let known = both(&entry.subject, &identity.subject)
        || both(&entry.email, &identity.email)
        || (entry.subject.is_none() && entry.email.is_none() && both(&entry.account_id, &identity.account));
    known && same_person(entry, identity) && entry.account_id.is_some() == identity.account.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::tests::nothing_known;

    fn entry(subject: &str, email: &str, account: &str) -> OAuthEntry {
        let text = |s: &str| (!s.is_empty()).then(|| s.to_owned());
        OAuthEntry {
            email: text(email),
            account_id: text(account),
            subject: text(subject),
            ..nothing_known("p")
        }
    }

    fn identity(subject: &str, email: &str, account: &str) -> Identity {
        let text = |s: &str| (!s.is_empty()).then(|| s.to_owned());
        let (subject, email, account) = (text(subject), text(email), text(account));
        Identity { subject, email, account, ..Identity::default() }
    }

    /// C9: identity is person and workspace; neither alone is enough to overwrite a login.
    #[test]
    fn c9_person_and_workspace() {
        let table = [
            (entry("s", "a@x", "w1"), identity("s", "a@x", "w1"), true, true),
            (entry("s", "a@x", "w1"), identity("s", "new@x", "w1"), true, true),
            (entry("s", "a@x", "w1"), identity("s", "a@x", "w2"), false, false),
            (entry("s", "a@x", "w1"), identity("t", "a@x", "w1"), false, false),
            (entry("", "a@x", "w1"), identity("s", "A@x", "w1"), true, false),
            (entry("", "b@x", "w1"), identity("s", "a@x", "w1"), false, false),
            (entry("", "", "w1"), identity("s", "a@x", "w1"), true, true),
            (entry("s", "a@x", "w1"), identity("", "", ""), true, false),
            (entry("", "", ""), identity("s", "a@x", "w1"), true, false),
        ];
        for (entry, identity, may_stand, is_login) in table {
            assert_eq!(same_person(&entry, &identity), may_stand, "{entry:?} {identity:?}");
            assert_eq!(is_login_of(&entry, &identity), is_login, "{entry:?} {identity:?}");
        }
    }
}

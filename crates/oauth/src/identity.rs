//! Whose tokens these are.

use coderclaw_types::Secret;
use serde_json::Value;

use crate::jwt;
use crate::token_set::TokenSet;

/// Where a provider's tokens say whose they are: JSON pointers (RFC 6901) into the claims, the first that leads to a text
/// wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentityPointers {
    /// To the person.
    pub subject: Vec<String>,
    /// To the person's e-mail address.
    pub email: Vec<String>,
    /// To the account or workspace.
    pub account: Vec<String>,
    /// To what is subscribed to.
    pub plan: Vec<String>,
    /// To what the person is called.
    pub name: Vec<String>,
    /// The access token is nobody's to look into: only the id_token speaks of a person.
    pub opaque_access: bool,
}

/// Who logged in. The same person may have several accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The `iss` claim.
    pub issuer: Option<String>,
    /// The person, unique at the issuer.
    pub subject: Option<String>,
    /// The person's e-mail address.
    pub email: Option<String>,
    /// The account or workspace.
    pub account: Option<String>,
    /// What is subscribed to, such as `plus`. Tells nobody apart; for people only.
    pub plan: Option<String>,
    /// What the person is called. May change hands, and tells nobody apart.
    pub name: Option<String>,
}

/// Reads an identity from the claims of both tokens. For each part the access token is asked first, as the one that is used.
/// A token that is no JWT says nothing.
pub fn read_identity(access: &Secret, id_token: Option<&Secret>, pointers: &IdentityPointers) -> Identity {
    let access = Some(access).filter(|_| !pointers.opaque_access);
    of_claims([access, id_token].into_iter().flatten().filter_map(jwt::claims).collect(), pointers)
}

/// The same for all that a login brought, what the server said beside the tokens coming last.
pub fn identity_of(set: &TokenSet, pointers: &IdentityPointers) -> Identity {
    let access = Some(&set.access).filter(|_| !pointers.opaque_access);
    let tokens = [access, set.id_token.as_ref()];
    let claims = tokens.into_iter().flatten().filter_map(jwt::claims).chain(set.person.clone());
    of_claims(claims.collect(), pointers)
}

fn of_claims(claims: Vec<Value>, pointers: &IdentityPointers) -> Identity {
    let find = |pointers: &[String]| {
        claims.iter().find_map(|claims| pointers.iter().find_map(|pointer| name(claims.pointer(pointer)?)))
    };
    Identity {
        issuer: find(&["/iss".to_owned()]),
        subject: find(&pointers.subject),
        email: find(&pointers.email),
        account: find(&pointers.account),
        plan: find(&pointers.plan),
        name: find(&pointers.name),
    }
}

/// A text or number that can be part of a profile's name.
fn name(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let fit = !text.is_empty() && text.len() <= 256 && !text.chars().any(char::is_control);
    fit.then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointers() -> IdentityPointers {
        let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
        IdentityPointers {
            subject: list(&["/https:~1~1api.test~1auth/user_id", "/sub"]),
            email: list(&["/email", "/https:~1~1api.test~1profile/email"]),
            account: list(&["/https:~1~1api.test~1auth/account_id", "/orgs/0/id"]),
            plan: list(&["/plan"]),
            name: list(&["/login"]),
            opaque_access: false,
        }
    }

    /// What the server's page says comes after what the tokens say.
    #[test]
    fn tokens_first_then_the_page() {
        let mut set = TokenSet::bare(jwt::unsigned(&json!({"sub": "u-1"})));
        set.person = Some(json!({"sub": "u-2", "email": "me@example.test", "login": "me"}));
        let identity = identity_of(&set, &pointers());
        assert_eq!(identity.subject.as_deref(), Some("u-1"));
        assert_eq!(
            (identity.email.as_deref(), identity.name.as_deref()),
            (Some("me@example.test"), Some("me"))
        );
        set.access = Secret::from("opaque");
        assert_eq!(identity_of(&set, &pointers()).subject.as_deref(), Some("u-2"));
        set.person = Some(json!({"sub": 7, "email": null}));
        let identity = identity_of(&set, &pointers());
        assert_eq!((identity.subject.as_deref(), identity.email), (Some("7"), None));
    }

    #[test]
    fn access_token_first_then_id_token() {
        let access = jwt::unsigned(&json!({
            "https://api.test/auth": {"user_id": "u-1", "account_id": "a-1"},
            "https://api.test/profile": {"email": "me@example.test"},
        }));
        let id_token = jwt::unsigned(&json!({
            "iss": "https://id.test", "sub": "s-1", "email": "other@example.test", "plan": "plus", "orgs": [{"id": "o-1"}],
        }));
        let identity = read_identity(&access, Some(&id_token), &pointers());
        assert_eq!(identity.issuer.as_deref(), Some("https://id.test"));
        assert_eq!(identity.subject.as_deref(), Some("u-1"));
        assert_eq!(identity.email.as_deref(), Some("me@example.test"));
        assert_eq!(identity.account.as_deref(), Some("a-1"));
        let identity = read_identity(&Secret::from("opaque"), Some(&id_token), &pointers());
        assert_eq!(identity.subject.as_deref(), Some("s-1"));
        assert_eq!(identity.account.as_deref(), Some("o-1"));
        assert_eq!(identity.plan.as_deref(), Some("plus"));
    }

    #[test]
    fn unfit_values_are_passed_over() {
        for unfit in [json!(""), json!(" "), json!(null), json!(["a"]), json!("a\nb"), json!("x".repeat(257))]
        {
            let access = jwt::unsigned(&json!({"https://api.test/auth": {"user_id": unfit}, "sub": 42}));
            let identity = read_identity(&access, None, &pointers());
            assert_eq!(identity.subject.as_deref(), Some("42"), "{unfit}");
        }
        assert_eq!(read_identity(&Secret::from("x"), None, &pointers()), Identity::default());
    }
}

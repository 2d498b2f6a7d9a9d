//! JWTs, and who they say that somebody is.

use coderclaw_oauth::{IdentityPointers, jwt, read_identity};
use coderclaw_types::Secret;

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let token = Secret::from(text);
    let claims = jwt::claims(&token);
    if let Some(claims) = &claims {
        assert!(claims.is_object() && text.split('.').count() == 3);
        for at in [jwt::exp(claims), jwt::iat(claims)].into_iter().flatten() {
            assert!(at.0 >= 0, "a time is never before 1970");
        }
    }
    let list = |one: &str| vec![one.to_owned(), "/a/0/b".to_owned()];
    let pointers = IdentityPointers {
        subject: list("/sub"),
        email: list("/email"),
        account: list("/account"),
        plan: list("/plan"),
        name: list("/name"),
        opaque_access: false,
    };
    let identity = read_identity(&token, None, &pointers);
    let names = [&identity.issuer, &identity.subject, &identity.email, &identity.account, &identity.plan];
    for name in names.into_iter().flatten() {
        // It becomes part of a profile's id, and of a line on a screen.
        assert!(!name.trim().is_empty() && name.len() <= 256 && !name.chars().any(char::is_control));
        assert!(claims.is_some());
    }
}

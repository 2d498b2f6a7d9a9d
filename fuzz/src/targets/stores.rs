//! `auth-profiles.json` and its older kin: what is not changed keeps its bytes, and no change loses an entry.

use coderclaw_store::{
    AuthProfiles, Entry, LoginEntry, RuntimeCache, TokenUpdate, parse_auth_json, parse_oauth_json,
};
use coderclaw_types::{Millis, ProfileId, ProviderId};

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    drop(parse_auth_json(text));
    drop(parse_oauth_json(text));
    drop(RuntimeCache::parse(text));
    let Ok(doc) = AuthProfiles::parse(text) else { return };
    let again = AuthProfiles::parse(&doc.to_text()).expect("what was written can be read");
    assert!(again.same_but_for(&doc, &[]), "writing changes nothing");
    assert_eq!(again.to_text(), doc.to_text(), "and a second time writes the same");

    let (id, provider) = (ProfileId::stored("openai-codex:fuzz"), ProviderId::new("openai-codex"));
    let tokens = TokenUpdate::new("canary-access".into(), "canary-refresh".into(), Millis(2), Millis(1));
    let mut with = doc.clone();
    with.put_login(&id, &provider, &LoginEntry::OAuth(Box::new(tokens.clone())));
    let read = AuthProfiles::parse(&with.to_text()).expect("a login leaves a store");
    assert!(read.same_but_for(&doc, &[&id]), "a login changes its own entry only");
    assert_eq!(read.version(), doc.version());
    let login = read.get(&id).expect("the login is there");
    assert!(matches!(login, Entry::OAuth(one) if one.refresh == Some("canary-refresh".into())));

    for one in doc.ids().take(4) {
        let mut changed = doc.clone();
        if changed.refresh_entry(&one, &tokens) {
            let read = AuthProfiles::parse(&changed.to_text()).expect("a refresh leaves a store");
            assert!(read.same_but_for(&doc, &[&one]), "a refresh of {one} changes its own entry only");
        }
        let mut without = doc.clone();
        assert!(without.remove(&one));
        let read = AuthProfiles::parse(&without.to_text()).expect("a logout leaves a store");
        assert!(read.get(&one).is_none() && read.same_but_for(&doc, &[&one]), "a logout takes {one} only");
        let mut renamed = doc.clone();
        let to = ProfileId::stored("fuzz:to");
        if doc.get(&to).is_none() && renamed.rename(&one, &to) {
            assert_eq!(renamed.ids().count(), doc.ids().count(), "a new name loses nothing");
        }
    }
    // No formatting of what a store holds shows a secret.
    for (_, entry) in with.entries() {
        assert!(!format!("{entry:?}").contains("canary-refresh"));
    }
}

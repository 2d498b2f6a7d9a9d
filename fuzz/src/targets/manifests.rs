//! A person's own provider files: no token goes where the file does not say, and never in the clear.

use coderclaw_providers::{Registry, endpoint_origin};
use coderclaw_types::Secret;

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // Two files, for what they do to each other.
    let files = text.split("\n---\n").take(2).enumerate();
    let files = files.map(|(at, text)| (format!("/nowhere/{at}.toml").into(), text.to_owned()));
    let registry = match Registry::with_files(files) {
        Ok(registry) => registry,
        Err(e) => {
            assert!(!e.to_string().is_empty());
            return;
        }
    };
    let token = Secret::from("canary-token");
    for manifest in registry.iter() {
        for method in manifest.auth.iter() {
            let urls = [&method.token_url, &method.revoke_url, &method.authorize_url, &method.device_url];
            for url in urls.into_iter().flatten() {
                endpoint_origin(url).expect("https, or this machine");
            }
            drop(method.accepts(&token));
        }
        if let Some(base) = &manifest.api.base_url {
            endpoint_origin(base).expect("https, or this machine");
        }
        assert_eq!(registry.canonical(&manifest.id).map(|id| id.to_string()).as_deref(), Some(&*manifest.id));
        assert!(!format!("{manifest:?}").contains("canary-token"));
    }
}

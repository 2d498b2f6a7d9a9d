//! What is typed in a chat: a command or a message, and a model's name that is never guessed.

use coderclaw_agents::{ModelNames, ModelRef, ModelWish, Slash, read_slash};
use coderclaw_providers::Registry;
use coderclaw_store::Config;

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (config, registry) = (Config::default(), Registry::built_in());
    let names = ModelNames::new(&config, &registry);
    match read_slash(text, |name| names.alias(name).is_some()) {
        Ok(None) => {}
        Ok(Some(slash)) => {
            assert!(text.starts_with('/'), "a message is no command");
            if let Slash::Model(ModelWish::Choose(name)) = slash {
                // A profile's id may have blanks in it.
                let model = name.split('@').next().unwrap_or_default();
                assert!(!name.is_empty() && name.len() <= 1_024 && !name.chars().any(char::is_control));
                assert!(!model.contains(char::is_whitespace));
                drop(names.choose(&name));
            }
        }
        Err(e) => assert!(text.starts_with('/') && !e.to_string().is_empty()),
    }
    if let Ok(found) = names.find(text) {
        let again = names.find(&found.to_string()).expect("a full name is understood");
        assert_eq!(again, found, "and means the same");
    }
    if let Some(model) = ModelRef::parse(text) {
        let shown = model.to_string();
        assert!(!shown.chars().any(char::is_control));
        assert_eq!(ModelRef::parse(&shown), Some(model), "{shown}");
    }
}

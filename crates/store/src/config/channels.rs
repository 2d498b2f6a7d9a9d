//! The chat channels of the config: which there are, and their accounts. Their keys and tokens are never looked at.

use serde_json::Value;

use super::{Config, ConfigProfile};

/// Keys of `channels` that are settings for all of them.
const NO_CHANNELS: [&str; 2] = ["defaults", "modelByChannel"];
/// The account of a channel that names none.
const ONLY_ACCOUNT: &str = "default";

impl Config {
    /// The channels with the ids of their accounts, in the config's order.
    pub fn channels(&self) -> Vec<(&str, Vec<&str>)> {
        let Some(Value::Object(channels)) = self.value.get("channels") else { return Vec::new() };
        let named = channels.iter().filter(|(name, _)| !NO_CHANNELS.contains(&name.as_str()));
        named
            .filter(|(_, settings)| settings.is_object())
            .map(|(name, settings)| {
                let accounts = settings.get("accounts").and_then(Value::as_object);
                let ids: Vec<&str> =
                    accounts.into_iter().flat_map(|ids| ids.keys()).map(String::as_str).collect();
                (name.as_str(), if ids.is_empty() { vec![ONLY_ACCOUNT] } else { ids })
            })
            .collect()
    }

    /// All that `auth.profiles` declares, in the config's order.
    pub fn declared_profiles(&self) -> &[ConfigProfile] {
        &self.profiles
    }

    /// `gateway.port`, where it is a port.
    pub fn gateway_port(&self) -> Option<u16> {
        self.value.pointer("/gateway/port")?.as_u64()?.try_into().ok().filter(|port| *port > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use coderclaw_types::Env;

    use super::*;

    #[test]
    fn channels_and_their_accounts() {
        let parse = |text: &str| Config::parse(Path::new("/c"), text, &Env::default()).unwrap();
        let config = parse(
            "{channels: {defaults: {groupPolicy: 'open'}, telegram: {botToken: 'canary', accounts: {b: {}, a: {}}},
              discord: {token: 'x'}, slack: {accounts: {}}, odd: 1}}",
        );
        let wanted = [("telegram", vec!["b", "a"]), ("discord", vec!["default"]), ("slack", vec!["default"])];
        assert_eq!(config.channels(), wanted);
        for none in ["{}", "{channels: []}", "{channels: null}"] {
            assert!(parse(none).channels().is_empty(), "{none}");
        }
    }

    #[test]
    fn what_makes_no_sense_counts_as_unset() {
        let parse = |text: &str| Config::parse(Path::new("/c"), text, &Env::default()).unwrap();
        assert_eq!(parse("{gateway: {port: 7}}").gateway_port(), Some(7));
        for bad in ["{gateway: {port: 0}}", "{gateway: {port: 70000}}", "{gateway: 1}"] {
            assert_eq!(parse(bad).gateway_port(), None, "{bad}");
        }
    }
}

//! What a plugin is and what it may do, for people: before they say yes, and afterwards.

use coderclaw_providers::{Manifest, PluginCall, endpoint_origin};

use crate::text::{clean, shell_word};

/// Where tokens may be sent, each place once.
pub(super) fn places(manifest: &Manifest) -> Vec<String> {
    let urls = manifest
        .auth
        .iter()
        .flat_map(|one| [&one.issuer, &one.token_url, &one.revoke_url, &one.device_url, &one.api.base_url]);
    let urls = urls.chain([&manifest.api.base_url]).flatten();
    let mut all: Vec<String> = urls.filter_map(|url| endpoint_origin(url).ok()).collect();
    all.sort();
    all.dedup();
    all
}

/// The program, as it would be typed.
pub(super) fn command(manifest: &Manifest) -> Option<String> {
    let plugin = manifest.plugin.as_ref().filter(|plugin| !plugin.command.is_empty())?;
    Some(plugin.command.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" "))
}

fn does(call: PluginCall) -> &'static str {
    match call {
        PluginCall::Login => "logs in: it may open a page, and ask you things",
        PluginCall::Refresh => "gets new tokens for the logins that it brought",
        PluginCall::Headers => "sees each request's token, and adds header lines",
        PluginCall::Usage => "tells how much of a plan is used up",
        PluginCall::Revoke => "tells the provider that a login has ended",
    }
}

/// A few lines: who it is, and what it may do.
pub(super) fn words(manifest: &Manifest) -> String {
    let plugin = manifest.plugin.as_deref();
    let version =
        plugin.and_then(|plugin| plugin.version.as_deref()).map(|v| format!(" {v}")).unwrap_or_default();
    let mut text = format!("{}{}: {}\n", manifest.id, clean(&version), clean(&manifest.name));
    if let Some(description) = plugin.and_then(|plugin| plugin.description.as_deref()) {
        text.push_str(&format!("  {}\n", clean(description)));
    }
    text.push_str("\nWhat it may do:\n");
    let places = places(manifest);
    if !places.is_empty() {
        text.push_str("  - be sent the tokens of its own logins:\n");
        places.iter().for_each(|place| text.push_str(&format!("      {place}\n")));
    }
    let lent = manifest.credential_env();
    if !lent.is_empty() {
        text.push_str("  - put them into variables of programs that you start:\n");
        lent.iter().for_each(|name| text.push_str(&format!("      {name}\n")));
    }
    if let (Some(command), Some(plugin)) = (command(manifest), plugin) {
        text.push_str(&format!(
            "  - run a program, which can do what you can do:\n      {}\n",
            clean(&command)
        ));
        for call in &plugin.does {
            text.push_str(&format!("      {:<8} {}\n", call.as_str(), does(*call)));
        }
    } else {
        text.push_str("  - run no program: it is data only\n");
    }
    text.push_str("It is given no login of another provider.\n");
    text
}

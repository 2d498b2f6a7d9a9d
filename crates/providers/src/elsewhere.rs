//! A browser that comes back to a page instead of to this machine comes back to the provider's own page.

use crate::endpoint::endpoint_origin;
use crate::manifest::Manifest;
use crate::parse::Fault;

/// Refuses a redirect to a page of somebody else's: the code would be shown there, and kept there.
///
/// Whose a page is, is told by the last two labels of its host's name. That is not exact where a registry sells names of
/// three labels, and errs on the side of what the manifest says.
pub(crate) fn check(manifest: &Manifest, text: &str) -> Result<(), Fault> {
    let urls = manifest
        .auth
        .iter()
        .flat_map(|one| [&one.issuer, &one.authorize_url, &one.token_url, &one.device_url]);
    let own: Vec<String> = urls.flatten().filter_map(|url| site(url)).collect();
    for one in manifest.auth.iter() {
        let Some(redirect) =
            one.redirect.as_deref().filter(|url| url.to_ascii_lowercase().starts_with("https:"))
        else {
            continue;
        };
        if site(redirect).is_some_and(|site| own.contains(&site)) {
            continue;
        }
        let message = "this redirect leads elsewhere: a page that shows codes is the provider's own";
        return Err(Fault { offset: text.find(redirect), message: message.to_owned() });
    }
    Ok(())
}

fn site(url: &str) -> Option<String> {
    let origin = endpoint_origin(url).ok()?;
    let host = origin.split_once("://")?.1;
    let labels: Vec<&str> = host.split('.').collect();
    Some(labels[labels.len().saturating_sub(2)..].join("."))
}

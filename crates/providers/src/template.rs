//! A manifest to begin with: what has to be there, and everything else as a comment.

use crate::checked::Id;
use crate::keys::{Key, Table, Takes, keys_of};
use crate::manifest::{Api, AuthMethod, Manifest, Pairs, Text};

/// What a new provider cannot do without.
const FIRST: &[(Table, &str)] = &[
    (Table::Top, "id"),
    (Table::Top, "name"),
    (Table::Api, "kind"),
    (Table::Api, "base_url"),
    (Table::Auth, "method"),
    (Table::Auth, "billing"),
    (Table::Auth, "authorize_url"),
    (Table::Auth, "token_url"),
    (Table::Auth, "client_id"),
    (Table::Auth, "scopes"),
];

/// The text of a manifest for a new provider `id`, valid as it is: every key with what it means, those that are not
/// needed behind `#`. With `from`, all that is said is that it starts from that one, and what that one says stands behind
/// `#`.
pub fn template(id: &str, from: Option<&Manifest>) -> String {
    let mut out = String::from(
        "# A provider of your own. It is there as soon as this file lies in providers/ of the state dir.\n\
         # What is behind # is not said; take the # away to say it.\n\n",
    );
    let Some(from) = from else {
        let first = |key: &Key| FIRST.contains(&(key.table, key.name));
        section(&mut out, Table::Top, id, |key| match key.name {
            "extends" => None,
            _ => Some((first(key), key.example.to_owned())),
        });
        for (head, table) in [("[api]", Table::Api), ("#[lend]", Table::Lend), ("[[auth]]", Table::Auth)] {
            out.push_str(&format!("\n{head}\n"));
            section(&mut out, table, id, |key| match key.name {
                "disabled" => None,
                _ => Some((first(key), key.example.to_owned())),
            });
        }
        out.push_str("\n#[auth.identity]\n");
        section(&mut out, Table::Identity, id, |key| Some((false, key.example.to_owned())));
        out.push_str("\n# Another way in beside it: a pasted key.\n#[[auth]]\n#method = \"api-key\"\n#billing = \"metered\"\n");
        return out;
    };
    section(&mut out, Table::Top, id, |key| match key.name {
        "id" | "name" => Some((true, key.example.to_owned())),
        "extends" => Some((true, quoted(&from.id))),
        _ => Some((false, top(from, key)?)),
    });
    out.push_str("\n#[api]\n");
    section(&mut out, Table::Api, id, |key| Some((false, api(&from.api, key)?)));
    out.push_str("\n#[lend]\n");
    section(&mut out, Table::Lend, id, |_| Some((false, pairs(&from.lend)?)));
    for method in from.auth.iter() {
        out.push_str("\n#[[auth]]\n");
        section(&mut out, Table::Auth, id, |key| Some((false, auth(method, key)?)));
    }
    out
}

/// The keys of one table for which `value` has something: whether it is said, and the value.
fn section(out: &mut String, table: Table, id: &str, value: impl Fn(&Key) -> Option<(bool, String)>) {
    for key in keys_of(table) {
        if matches!(key.takes, Takes::Inner(_) | Takes::Many(_)) {
            continue;
        }
        let Some((said, value)) = value(key) else { continue };
        let value = match key.takes {
            // The name of a variable.
            _ if value.contains("NAME_") => {
                value.replace("NAME", &id.to_uppercase().replace(['-', '.'], "_"))
            }
            _ => value.replace("NAME", id),
        };
        let mark = if said { "" } else { "#" };
        out.push_str(&format!("# {}\n{mark}{} = {value}\n", key.about, key.name));
    }
}

fn top(from: &Manifest, key: &Key) -> Option<String> {
    match key.name {
        "env" => list(&from.env),
        "default_model" => one(&from.default_model),
        _ => None,
    }
}

fn api(from: &Api, key: &Key) -> Option<String> {
    match key.name {
        "kind" => from.kind.map(|kind| quoted(kind.as_str())),
        "base_url" => one(&from.base_url),
        "header" => one(&from.header),
        "headers" => pairs(&from.headers),
        "probe" => one(&from.probe),
        _ => None,
    }
}

fn auth(from: &AuthMethod, key: &Key) -> Option<String> {
    match key.name {
        "method" => Some(quoted(from.method.as_str())),
        "billing" => Some(quoted(from.billing.as_str())),
        "issuer" => one(&from.issuer),
        "authorize_url" => one(&from.authorize_url),
        "token_url" => one(&from.token_url),
        "revoke_url" => one(&from.revoke_url),
        "revoke" => from.revoke_url.as_ref().map(|_| quoted(from.revoke.as_str())),
        "client_id" => one(&from.client_id),
        "scopes" => list(&from.scopes),
        "required_scopes" => list(&from.required_scopes),
        "redirect" => one(&from.redirect),
        "redirect_ports" => {
            let ports: Vec<String> = from.redirect_ports.iter().map(ToString::to_string).collect();
            (!ports.is_empty()).then(|| format!("[{}]", ports.join(", ")))
        }
        "authorize_params" => pairs(&from.authorize_params),
        "token_request" => from.token_url.as_ref().map(|_| quoted(from.token_request.as_str())),
        "rotates" => from.token_url.as_ref().map(|_| from.rotates.to_string()),
        "default_lifetime" => from.default_lifetime.map(|span| quoted(&format!("{}s", span.as_secs()))),
        "own_client" => from.own_client.then(|| "true".to_owned()),
        "device_url" => one(&from.device_url),
        "device_dialect" => from.device_url.as_ref().map(|_| quoted(from.device_dialect.as_str())),
        "device_poll_url" => one(&from.device_poll_url),
        "device_page" => one(&from.device_page),
        "device_redirect" => one(&from.device_redirect),
        "device_pkce" => from.device_pkce.then(|| "true".to_owned()),
        "device_off" => one(&from.device_off),
        "access_url" => one(&from.access_url),
        "userinfo_url" => one(&from.userinfo_url),
        "untested" => from.untested.then(|| "true".to_owned()),
        "pattern" => one(&from.pattern),
        _ => None,
    }
}

fn quoted(text: &str) -> String {
    // A JSON string is a TOML string.
    serde_json::Value::from(text).to_string()
}

fn one(text: &Option<Text>) -> Option<String> {
    text.as_deref().map(quoted)
}

fn list(all: &[Text]) -> Option<String> {
    let all: Vec<String> = all.iter().map(|text| quoted(text)).collect();
    (!all.is_empty()).then(|| format!("[{}]", all.join(", ")))
}

fn pairs(all: &Pairs) -> Option<String> {
    let all: Vec<String> =
        all.iter().map(|(name, value)| format!("{} = {}", quoted(name), quoted(value))).collect();
    (!all.is_empty()).then(|| format!("{{ {} }}", all.join(", ")))
}

/// Whether `text` can be a provider's id.
///
/// # Errors
/// What an id is, where it cannot.
pub fn check_id(text: &str) -> Result<(), String> {
    Id::try_from(text.to_owned()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KEYS;
    use crate::{MethodKind, Registry};

    fn registry(text: &str) -> Registry {
        Registry::with_files([("new.toml".into(), text.to_owned())]).unwrap_or_else(|e| panic!("{e}\n{text}"))
    }

    /// All of it without the `#` before its keys and tables.
    fn said(text: &str) -> String {
        let lines = text.lines().map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => rest,
            _ => line,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_new_manifest_is_valid_as_it_is_and_with_everything_said() {
        let text = template("acme-1", None);
        let made = registry(&text);
        let acme = made.iter().find(|one| one.id == "acme-1").unwrap();
        assert_eq!(
            acme.auth(MethodKind::OAuth).unwrap().token_origin().unwrap(),
            "https://id.acme-1.example"
        );
        let full = said(&text);
        assert!(registry(&full).iter().any(|one| one.id == "acme-1" && one.auth.len() == 2), "{full}");
        for key in KEYS.iter().filter(|key| {
            key.table != Table::Plugin && !["extends", "disabled", "plugin"].contains(&key.name)
        }) {
            let stands = |line: &str| {
                let line = line.trim_start_matches('#');
                line.starts_with(&format!("{} =", key.name)) || line.contains(&format!("{}]", key.name))
            };
            assert!(text.lines().any(stands), "{}", key.name);
        }
        assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
    }

    #[test]
    fn one_that_starts_from_another_is_valid_both_ways() {
        for base in Registry::built_in().iter() {
            let text = template("mine", Some(base));
            let made = registry(&text);
            let mine = made.iter().find(|one| one.id == "mine").unwrap();
            assert_eq!((&mine.auth.len(), &mine.api), (&base.auth.len(), &base.api), "{}", base.id);
            let full = said(&text);
            let again = registry(&full);
            let mine = again.iter().find(|one| one.id == "mine").unwrap();
            assert_eq!((&mine.api, mine.env.len()), (&base.api, base.env.len()), "{full}");
        }
    }
}

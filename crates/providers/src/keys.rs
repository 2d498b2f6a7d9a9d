//! The table of a manifest's keys, for what is made from it: the JSON Schema for editors and the commented example.
//! A test asks the parser whether these are all keys that it knows, and no more.

use serde_json::{Map, Value, json};

use crate::words::{ApiKind, Billing, DeviceDialect, MethodKind, PluginCall, Revoke, TokenRequest};

/// Which table of the file a key stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    Top,
    Api,
    Lend,
    Auth,
    Identity,
    Plugin,
}

/// What may stand behind a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Takes {
    Text,
    Texts,
    Url,
    Yes,
    Ports,
    Span,
    Pointers,
    Pattern,
    /// Names and values.
    Pairs,
    /// One of a closed set.
    Word(fn() -> Vec<&'static str>),
    Words(fn() -> Vec<&'static str>),
    /// A table with keys of its own.
    Inner(Table),
    /// Several of them.
    Many(Table),
}

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) table: Table,
    pub(crate) name: &'static str,
    pub(crate) takes: Takes,
    /// One line for people.
    pub(crate) about: &'static str,
    /// A value as it may stand in a file; `NAME` becomes the provider's id. Empty for tables.
    pub(crate) example: &'static str,
}

macro_rules! keys {
    ($($table:ident { $($name:literal $takes:expr, $example:literal, $about:literal;)* })*) => {
        /// All keys, table by table, in the order in which people read them.
        pub(crate) const KEYS: &[Key] = &[$($(
            Key { table: Table::$table, name: $name, takes: $takes, about: $about, example: $example },
        )*)*];
    };
}

macro_rules! words {
    ($set:ident) => {
        || $set::ALL.iter().map(|one| one.as_str()).collect()
    };
}

keys! {
    Top {
        "id" Takes::Text, r#""NAME""#, "What commands and profiles call it: a-z, 0-9, . _ and -.";
        "extends" Takes::Text, r#""openai""#, "Another provider to start from. Without an id, that provider is changed in place.";
        "name" Takes::Text, r#""NAME""#, "What people call it.";
        "aliases" Takes::Texts, r#"["NAME-ai"]"#, "Other ids that mean it.";
        "env" Takes::Texts, r#"["NAME_API_KEY"]"#, "Variables that may hold a key; used only where no profile is stored.";
        "default_model" Takes::Text, r#""large-1""#, "The model that is used where nobody has chosen one.";
        "api" Takes::Inner(Table::Api), "", "How a credential is used.";
        "lend" Takes::Inner(Table::Lend), "", "What programs get that are started with a credential.";
        "auth" Takes::Many(Table::Auth), "", "One way to log in each.";
        "plugin" Takes::Inner(Table::Plugin), "", "Only in the coderclaw.plugin.toml of a plugin's folder.";
    }
    Api {
        "kind" Takes::Word(words!(ApiKind)), r#""openai-chat""#, "The dialect of the model API.";
        "base_url" Takes::Url, r#""https://api.NAME.example/v1""#, "What the dialect's path is appended to; no slash at its end.";
        "header" Takes::Text, r#""authorization""#, "The header of the credential: authorization sends a bearer token, any other the bare one.";
        "headers" Takes::Pairs, r#"{ "x-account" = "{accountId}" }"#, "Further headers; {accountId} stands for the login's account.";
        "probe" Takes::Text, r#""/models""#, "The path of the cheapest GET that needs the credential.";
    }
    Lend {
        "env" Takes::Pairs, r#"{ NAME_TOKEN = "{token}" }"#, "Variables for programs; {token} and {accountId} are filled in.";
    }
    Auth {
        "method" Takes::Word(words!(MethodKind)), r#""oauth""#, "How one logs in.";
        "billing" Takes::Word(words!(Billing)), r#""subscription""#, "Who pays: a plan, or each request.";
        "issuer" Takes::Url, r#""https://id.NAME.example""#, "Where discovery finds the URLs that are not given (RFC 8414).";
        "authorize_url" Takes::Url, r#""https://id.NAME.example/authorize""#, "The page that the browser opens.";
        "token_url" Takes::Url, r#""https://id.NAME.example/token""#, "Where codes and refresh tokens are redeemed.";
        "revoke_url" Takes::Url, r#""https://id.NAME.example/revoke""#, "Where a logout is told (RFC 7009).";
        "revoke" Takes::Word(words!(Revoke)), r#""token""#, "What a revocation takes with it.";
        "jwks_url" Takes::Url, r#""https://id.NAME.example/jwks""#, "Where the issuer shows the keys of its id_tokens.";
        "client_id" Takes::Text, r#""coderclaw""#, "The public client id that the provider registered.";
        "own_client" Takes::Yes, "true", "Whoever uses it registers a client and names its client_id in a file.";
        "client_secret" Takes::Text, r#""made-up""#, "What some vendors want back from public clients; it protects nothing.";
        "scopes" Takes::Texts, r#"["openid", "offline_access"]"#, "What is asked for.";
        "required_scopes" Takes::Texts, r#"["openid"]"#, "Without these a login is of no use.";
        "use_scopes" Takes::Texts, r#"["models.use"]"#, "Without these a login is kept and not used.";
        "resource" Takes::Url, r#""https://api.NAME.example""#, "What the tokens are for (RFC 8707).";
        "redirect" Takes::Text, r#""http://127.0.0.1/callback""#, "Where the browser comes back to, without a port; or the provider's page that shows a code.";
        "redirect_ports" Takes::Ports, "[1455, 1457]", "The registered ports, tried in turn. None: any free one.";
        "authorize_params" Takes::Pairs, r#"{ prompt = "login" }"#, "Further parameters of the page.";
        "token_request" Takes::Word(words!(TokenRequest)), r#""form""#, "How token requests are written.";
        "revoke_request" Takes::Word(words!(TokenRequest)), r#""form""#, "How revocations are written, where differently.";
        "rotates" Takes::Yes, "true", "Whether a refresh token can be used once only.";
        "default_lifetime" Takes::Span, r#""1h""#, "How long an access token lives where nobody says: 90s, 30m, 1h, 10d.";
        "identity" Takes::Inner(Table::Identity), "", "Where the tokens say whose they are.";
        "device_url" Takes::Url, r#""https://id.NAME.example/device""#, "Where a login with a device code begins (RFC 8628).";
        "device_dialect" Takes::Word(words!(DeviceDialect)), r#""rfc8628""#, "How a device login is spoken.";
        "device_poll_url" Takes::Url, r#""https://id.NAME.example/poll""#, "Where it is asked whether the code was typed in, where not at token_url.";
        "device_page" Takes::Url, r#""https://NAME.example/device""#, "Where the code is typed in, where the answer does not say.";
        "device_redirect" Takes::Url, r#""https://NAME.example/callback""#, "What the exchange names as redirect_uri, where a device login brings a code.";
        "device_pkce" Takes::Yes, "true", "The server wants PKCE with a device login.";
        "device_off" Takes::Text, r#""An administrator can switch device codes on""#, "What to do where no codes are given out.";
        "access_url" Takes::Url, r#""https://api.NAME.example/token""#, "Where short access tokens are made of a long-lived one, by a GET.";
        "userinfo_url" Takes::Url, r#""https://id.NAME.example/userinfo""#, "Where a token says whose it is, where it does not say so itself.";
        "untested" Takes::Yes, "true", "Nobody has tried this against the vendor.";
        "pattern" Takes::Pattern, r#"'^NAME-[A-Za-z0-9]{20,}$'"#, "What a pasted credential looks like.";
        "disabled" Takes::Yes, "true", "Takes away a method of the provider that is extended.";
        "api" Takes::Inner(Table::Api), "", "What differs from [api] for this method.";
        "lend" Takes::Inner(Table::Lend), "", "What comes on top of [lend] for this method.";
    }
    Identity {
        "subject" Takes::Pointers, r#""/sub""#, "The person's id, as a JSON pointer into the claims of the tokens.";
        "email" Takes::Pointers, r#""/email""#, "The person's e-mail address.";
        "account" Takes::Pointers, r#""/org_id""#, "The account or workspace.";
        "plan" Takes::Pointers, r#""/plan""#, "What is subscribed to.";
        "name" Takes::Pointers, r#""/login""#, "What the person is called, for profiles without an e-mail address.";
    }
    Plugin {
        "version" Takes::Text, r#""1.0.0""#, "The plugin's version.";
        "description" Takes::Text, r#""Logs in to NAME""#, "The plugin in one line.";
        "command" Takes::Texts, r#"["python3", "plugin.py"]"#, "The program; it runs in the plugin's folder.";
        "does" Takes::Words(words!(PluginCall)), r#"["login", "refresh"]"#, "What the program takes over.";
    }
}

/// The keys of one table.
pub(crate) fn keys_of(table: Table) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.table == table)
}

/// A JSON Schema (2020-12) of manifests, for editors. What only this program can tell, such as that a URL may be trusted
/// with a secret, is not in it.
pub fn schema() -> Value {
    let tables = [
        ("api", Table::Api),
        ("lend", Table::Lend),
        ("auth", Table::Auth),
        ("identity", Table::Identity),
        ("plugin", Table::Plugin),
    ];
    let mut whole = object(Table::Top);
    let defs: Map<String, Value> =
        tables.iter().map(|(name, table)| ((*name).to_owned(), object(*table))).collect();
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A provider of CoderClaw",
        "description": "A file in providers/ of the state dir, or the coderclaw.plugin.toml of a plugin.",
    });
    let mut all = head.as_object().cloned().unwrap_or_default();
    all.append(whole.as_object_mut().unwrap_or(&mut Map::new()));
    all.insert("anyOf".into(), json!([{"required": ["id"]}, {"required": ["extends"]}]));
    all.insert("$defs".into(), Value::Object(defs));
    Value::Object(all)
}

fn object(table: Table) -> Value {
    let properties: Map<String, Value> =
        keys_of(table).map(|key| (key.name.to_owned(), property(key))).collect();
    let mut out = json!({"type": "object", "additionalProperties": false, "properties": properties});
    if table == Table::Auth {
        out["required"] = json!(["method"]);
    }
    out
}

fn property(key: &Key) -> Value {
    let text = || json!({"type": "string", "minLength": 1});
    let inner = |table| {
        let name = match table {
            Table::Api => "api",
            Table::Lend => "lend",
            Table::Auth | Table::Top => "auth",
            Table::Identity => "identity",
            Table::Plugin => "plugin",
        };
        json!({"$ref": format!("#/$defs/{name}")})
    };
    let mut out = match key.takes {
        Takes::Text | Takes::Pattern => text(),
        Takes::Texts => json!({"type": "array", "items": text()}),
        Takes::Url => json!({"type": "string", "format": "uri", "pattern": "^https?://"}),
        Takes::Yes => json!({"type": "boolean"}),
        Takes::Ports => {
            json!({"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65_535}})
        }
        Takes::Span => json!({"type": "string", "pattern": "^[0-9]+[smhd]$"}),
        Takes::Pointers => {
            let one = json!({"type": "string", "pattern": "^/"});
            json!({"anyOf": [one, {"type": "array", "items": one}]})
        }
        Takes::Pairs => json!({"type": "object", "additionalProperties": text()}),
        Takes::Word(all) => json!({"enum": all()}),
        Takes::Words(all) => json!({"type": "array", "items": {"enum": all()}}),
        Takes::Inner(table) => inner(table),
        Takes::Many(table) => json!({"type": "array", "items": inner(table)}),
    };
    out["description"] = json!(key.about);
    out
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test compares files")]
mod tests {
    use super::*;
    use crate::parse::parse;

    /// What the parser says that it knows in this table.
    fn known(head: &str) -> Vec<String> {
        let said = parse(&format!("{head}\nno_such_key_at_all = 1\n")).unwrap_err().message;
        let (_, expected) = said.split_once("expected ").unwrap_or_else(|| panic!("{said}"));
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    /// A key that the parser takes and the table does not name would be missing from the schema, the example and the
    /// book.
    #[test]
    fn the_table_has_the_parser_s_keys() {
        for (table, head) in [
            (Table::Top, "id = 'a'"),
            (Table::Api, "id = 'a'\n[api]"),
            (Table::Lend, "id = 'a'\n[lend]"),
            (Table::Auth, "id = 'a'\n[[auth]]\nmethod = 'token'"),
            (Table::Identity, "id = 'a'\n[[auth]]\nmethod = 'oauth'\n[auth.identity]"),
            (Table::Plugin, "id = 'a'\n[plugin]"),
        ] {
            let mut named: Vec<String> = keys_of(table).map(|key| key.name.to_owned()).collect();
            let mut known = known(head);
            named.sort();
            known.sort();
            assert_eq!(named, known, "{table:?}");
        }
    }

    /// As much of a JSON Schema as ours uses.
    fn fits(schema: &Value, value: &Value, root: &Value) -> bool {
        if let Some(to) = schema["$ref"].as_str() {
            return fits(root.pointer(to.trim_start_matches('#')).unwrap(), value, root);
        }
        if let Some(all) = schema["anyOf"].as_array()
            && !all.iter().any(|one| fits(one, value, root))
        {
            return false;
        }
        if let Some(all) = schema["enum"].as_array() {
            return all.contains(value);
        }
        if let Some(names) = schema["required"].as_array()
            && !names.iter().all(|name| value.get(name.as_str().unwrap()).is_some())
        {
            return false;
        }
        match schema["type"].as_str() {
            None => true,
            Some("string") => value.as_str().is_some_and(|text| {
                schema["pattern"].as_str().is_none_or(|p| regex_lite::Regex::new(p).unwrap().is_match(text))
            }),
            Some("boolean") => value.is_boolean(),
            Some("integer") => {
                value.as_u64().is_some_and(|n| schema["minimum"].as_u64().is_none_or(|least| n >= least))
            }
            Some("array") => {
                value.as_array().is_some_and(|all| all.iter().all(|one| fits(&schema["items"], one, root)))
            }
            Some("object") => value.as_object().is_some_and(|map| {
                map.iter().all(|(name, value)| match &schema["properties"][name] {
                    Value::Null if schema["additionalProperties"].is_object() => {
                        fits(&schema["additionalProperties"], value, root)
                    }
                    Value::Null => schema["additionalProperties"] != Value::Bool(false),
                    inner => fits(inner, value, root),
                })
            }),
            Some(other) => panic!("{other}"),
        }
    }

    /// Every built-in manifest is valid by the schema, and what is wrong is not.
    #[test]
    fn the_schema_takes_what_the_parser_takes() {
        let schema = schema();
        for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/manifests")).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let value: Value = toml::from_str(&text).unwrap();
            assert!(fits(&schema, &value, &schema), "{text}");
        }
        for bad in [
            "name = 'a'",
            "id = 1",
            "id = 'a'\ncolour = 'red'",
            "id = 'a'\n[[auth]]\nbilling = 'metered'",
            "id = 'a'\n[[auth]]\nmethod = 'magic'",
            "id = 'a'\n[[auth]]\nmethod = 'oauth'\ntoken_url = 'ftp://x'",
            "id = 'a'\n[[auth]]\nmethod = 'oauth'\nredirect_ports = [0]",
            "id = 'a'\n[[auth]]\nmethod = 'oauth'\nidentity = { email = 'email' }",
        ] {
            let value: Value = toml::from_str(bad).unwrap();
            assert!(!fits(&schema, &value, &schema), "{bad}");
            assert!(crate::Registry::with_files([("x".into(), bad.to_owned())]).is_err(), "{bad}");
        }
    }

    /// The schema that is shipped is the table. `UPDATE=1 cargo test -p coderclaw-providers` writes it anew.
    #[test]
    fn the_shipped_schema_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/provider.schema.json");
        let text = format!("{:#}\n", schema());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            text,
            "docs/provider.schema.json is behind the table"
        );
    }
}

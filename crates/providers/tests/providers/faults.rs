//! Files that cannot be used: each says where and why.

use proptest::prelude::*;

use crate::with;

/// One file each, and the message behind its path.
const ALONE: &[(&str, &str)] = &[
    ("", "1: an id is missing (or extends, to change a provider that exists)"),
    ("id = 'a'", "1:6: no way to log in is left: at least one [[auth]] is needed"),
    (
        "id = 'a'\ncolour = 'red'\n[[auth]]\nmethod = 'token'",
        "2:1: unknown key `colour`, expected one of `id`, `extends`, `name`, `aliases`, `env`, `default_model`, `api`, `lend`, `auth`, `plugin`",
    ),
    (
        "id = 'a'\n[api]\nurl = 'https://a.example'\n[[auth]]\nmethod = 'token'",
        "3:1: unknown key `url`, did you mean `base_url`?",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'token'\npassword = 'canary'",
        "4:1: unknown key `password`, expected one of `method`, `billing`, `issuer`, `authorize_url`, `token_url`, `revoke_url`, `revoke`, `jwks_url`, `client_id`, `own_client`, `client_secret`, `scopes`, `required_scopes`, `use_scopes`, `resource`, `redirect`, `redirect_ports`, `authorize_params`, `token_request`, `revoke_request`, `rotates`, `default_lifetime`, `identity`, `device_url`, `device_dialect`, `device_poll_url`, `device_page`, `device_redirect`, `device_pkce`, `device_off`, `access_url`, `userinfo_url`, `untested`, `pattern`, `disabled`, `api`, `lend`",
    ),
    ("id = 'a'\n[[auth]]\nbilling = 'metered'", "2:1: missing key `method`"),
    ("id = 1", "1:6: invalid type: integer `1`, expected a string"),
    ("id = 'A'", "1:6: an id is 1 to 64 of a-z 0-9 . _ -, a letter or digit first"),
    ("id = '-a'", "1:6: an id is 1 to 64 of a-z 0-9 . _ -, a letter or digit first"),
    ("id = 'qwen'\n[[auth]]\nmethod = 'token'", "1:6: \"qwen\" is another spelling of \"qwen-portal\""),
    (
        "id = 'openai'\n[[auth]]\nmethod = 'token'",
        "1:6: \"openai\" is built in: to change it, write extends = \"openai\" and no id",
    ),
    (
        "id = 'openai'\nextends = 'openai'",
        "1:6: \"openai\" is built in: to change it, write extends = \"openai\" and no id",
    ),
    ("id = 'a'\nname = \"x\\u001b[2J\"", "2:8: one line of text is wanted, without control characters"),
    (
        "id = 'a'\n\"\\u001b[2J\" = 1",
        "2:1: unknown key `\\u{1b}[2J`, expected one of `id`, `extends`, `name`, `aliases`, `env`, `default_model`, `api`, `lend`, `auth`, `plugin`",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'password'",
        "3:10: unknown word `password`, expected one of `oauth`, `device-code`, `setup-token`, `token`, `api-key`, `oauth-key`, `siwc`, `plugin`",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'token'\nrotates = 'yes'",
        "4:11: a text cannot stand here, expected a boolean",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'token'\nbilling = 'free'",
        "4:11: unknown word `free`, expected `subscription` or `metered`",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'token'\n[[auth]]\nmethod = 'token'",
        "5:10: a second [[auth]] with method \"token\"",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'oauth'\ntoken_url = 'http://auth.example/token'",
        "4:13: plain http is for 127.0.0.1 and [::1] only, use https",
    ),
    ("id = 'a'\n[[auth]]\nmethod = 'oauth'\nissuer = 'auth.example'", "4:10: a URL begins with https://"),
    (
        "id = 'a'\n[[auth]]\nmethod = 'oauth'\nclient_id = 'c'",
        "3:10: method \"oauth\" needs an issuer, or authorize_url and token_url",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'oauth'\nissuer = 'https://auth.example'",
        "3:10: method \"oauth\" needs a client_id",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'device-code'\nclient_id = 'c'\ntoken_url = 'https://auth.example/t'",
        "3:10: method \"device-code\" needs an issuer, or device_url and token_url",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'oauth-key'\nissuer = 'https://a.example'",
        "3:10: method \"oauth-key\" needs authorize_url and token_url",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'device-code'\nissuer = 'https://a.example'\nclient_id = 'c'\ndevice_dialect = 'openai'",
        "3:10: method \"device-code\" needs device_poll_url, device_page and device_redirect in this dialect",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'device-code'\n[[auth]]\nmethod = 'oauth'\nclient_id = 'c'\nauthorize_url = 'https://a.example/a'\ntoken_url = 'https://a.example/t'",
        "3:10: method \"device-code\" needs an issuer, or device_url and token_url",
    ),
    (
        "extends = 'openai-codex'\n[[auth]]\nmethod = 'oauth'\ndisabled = true",
        "1:11: method \"device-code\" needs a client_id",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'oauth'\nredirect = 'http://127.0.0.1:8080/cb'",
        "4:12: a loopback redirect has no port here, redirect_ports lists them",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'oauth'\nredirect_ports = [0]",
        "4:18: port 0 is no port: leave redirect_ports out for any free one",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'oauth'\nredirect_ports = [70000]",
        "4:19: invalid value: integer `70000`, expected u16",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'oauth'\nscopes = 'openid profile'",
        "4:10: a text cannot stand here, expected a sequence",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'oauth'\nscopes = ['openid profile']",
        "4:10: a scope is one word: several stand in a list",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'oauth'\ndefault_lifetime = '1 hour'",
        "4:20: a time is a number and s, m, h or d, such as \"1h\", and at most 3650 days",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'oauth'\ndefault_lifetime = '0s'",
        "4:20: a time is a number and s, m, h or d, such as \"1h\", and at most 3650 days",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'oauth'\ndefault_lifetime = '99999999999999999999d'",
        "4:20: a time is a number and s, m, h or d, such as \"1h\", and at most 3650 days",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'oauth'\ndefault_lifetime = 'é'",
        "4:20: a time is a number and s, m, h or d, such as \"1h\", and at most 3650 days",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'oauth'\nidentity = { email = 'email' }",
        "4:22: a JSON pointer begins with /, and writes ~ as ~0 and a / in a name as ~1",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'oauth'\nidentity = { email = ['/email', '/~2'] }",
        "4:22: a JSON pointer begins with /, and writes ~ as ~0 and a / in a name as ~1",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'oauth'\nidentity = { email = 1 }",
        "4:22: expected a JSON pointer such as \"/sub\", or a list of them",
    ),
    (
        "id = 'a'\n[[auth]]\nmethod = 'api-key'\npattern = '^a('",
        "4:11: the pattern cannot be used: found open group without closing ')'",
    ),
    (
        "id = 'a'\n[api]\nbase_url = 'https://a.example/v1/'",
        "3:12: a base URL has no query and no slash at its end",
    ),
    ("id = 'a'\n[api]\nprobe = 'models'", "3:9: a path begins with / and holds visible ASCII"),
    ("id = 'a'\n[api]\nheader = 'x y'", "3:10: this cannot be the name of a header"),
    ("id = 'a'\n[api]\nheaders = { 'x y' = '1' }", "3:13: this cannot be the name of a header"),
    ("id = 'a'\n[api]\nheaders = { x = \"1\\r\\ny: 2\" }", "3:17: a header's value is visible ASCII"),
    ("id = 'a'\n[api]\nheaders = { x = '{token}' }", "3:17: of braces, only {accountId} can stand here"),
    (
        "id = 'a'\n[lend]\nenv = { 'A B' = '{token}' }",
        "3:9: a variable's name is letters, digits and _, no digit first",
    ),
    (
        "id = 'a'\n[lend]\nenv = { A = '{secret}' }",
        "3:13: of braces, only {token} and {accountId} can stand here",
    ),
    ("id = 'a'\nenv = ['A=B']", "2:7: a variable's name is letters, digits and _, no digit first"),
    (
        "extends = 'antropic'",
        "1:11: there is no provider \"antropic\" to extend, did you mean \"anthropic\"?",
    ),
    ("id = 'a'\nextends = 'nobody-at-all'", "2:11: there is no provider \"nobody-at-all\" to extend"),
    ("id = 'a'\nextends = 'a'", "2:11: extends goes round in a circle: \"a\", \"a\""),
    (
        "extends = 'groq'\n[[auth]]\nmethod = 'api-key'\ndisabled = true",
        "1:11: no way to log in is left: at least one [[auth]] is needed",
    ),
    (
        "extends = 'openai'\n[[auth]]\nmethod = 'oauth'\ndisabled = true",
        "3:10: there is no method \"oauth\" to disable",
    ),
    (
        "id = 'a'\naliases = ['openai']\n[[auth]]\nmethod = 'token'",
        "2:11: the alias \"openai\" already means \"openai\"",
    ),
    ("id = 'a'\naliases = ['a']\n[[auth]]\nmethod = 'token'", "2:11: the alias \"a\" already means \"a\""),
    (
        "id = 'a'\naliases = ['z.ai']\n[[auth]]\nmethod = 'token'",
        "2:11: \"z.ai\" is another spelling of \"zai\"",
    ),
    ("id = 'a'\nid = 'b'", "2:1: duplicate key"),
    ("# é\nid = 'é' = 'a'", "2:10: unexpected key or value, expected newline, `#`"),
    ("id = 'a", "1:8: invalid literal string, expected `'`"),
];

#[test]
fn each_bad_file_says_where_and_why() {
    for &(text, wanted) in ALONE {
        let error = with(&[("p/a.toml", text)]).unwrap_err();
        assert_eq!(error.to_string(), format!("p/a.toml:{wanted}"), "{text:?}");
        assert_eq!(error.path.to_str(), Some("p/a.toml"));
        assert!(!error.to_string().contains("canary"));
    }
}

const METHOD: &str = "[[auth]]\nmethod = 'token'\n";

/// Several files, and the whole message.
#[test]
fn files_that_do_not_go_together() {
    let acme = format!("id = 'acme'\naliases = ['a1']\n{METHOD}");
    let other = format!("id = 'other'\naliases = ['b1', 'a1']\n{METHOD}");
    let based = |id: &str, base: &str| format!("id = '{id}'\n\nextends = '{base}'\n");
    let in_place = "extends = 'openai'\nname = 'x'".to_owned();
    let table: &[(&[(&str, &str)], &str)] = &[
        (
            &[("a.toml", &acme), ("b.toml", &acme)],
            "b.toml:1:6: a second file about \"acme\": the first is a.toml",
        ),
        (
            // The order in which they are handed in does not matter.
            &[("b.toml", &acme), ("a.toml", "extends = 'acme'")],
            "b.toml:1:6: a second file about \"acme\": the first is a.toml",
        ),
        (
            &[("a.toml", &in_place), ("b.toml", &in_place)],
            "b.toml:1:11: a second file about \"openai\": the first is a.toml",
        ),
        (&[("a.toml", &acme), ("b.toml", &other)], "a.toml:2:11: the alias \"a1\" already means \"other\""),
        (
            &[("0.toml", &based("outside", "y")), ("1.toml", &based("y", "z")), ("2.toml", &based("z", "y"))],
            "1.toml:3:11: extends goes round in a circle: \"y\", \"z\", \"y\"",
        ),
        (
            &[("a.toml", &acme), ("b.toml", "extends = 'acmee'")],
            "b.toml:1:11: there is no provider \"acmee\" to extend, did you mean \"acme\"?",
        ),
        (
            &[("a.toml", ""), ("b.toml", "")],
            "a.toml:1: an id is missing (or extends, to change a provider that exists)",
        ),
    ];
    for (files, wanted) in table {
        assert_eq!(with(files).unwrap_err().to_string(), *wanted);
    }
}

/// A token endpoint on this machine is for tests and proxies; on any other it has to be https.
#[test]
fn token_endpoints_are_https_or_loopback() {
    for (url, good) in [
        ("https://proxy.example:8443/token", true),
        ("http://127.0.0.1/token", true),
        ("http://127.0.0.1:8080/token", true),
        ("http://[::1]:8080/token", true),
        ("http://localhost:8080/token", false),
        ("http://proxy.example/token", false),
        ("http://127.0.0.1.proxy.example/token", false),
        ("http://127.0.0.1@proxy.example/token", false),
        ("https://me:pw@proxy.example/token", false),
        ("ws://127.0.0.1/token", false),
    ] {
        let text = format!("extends = 'openai-codex'\n[[auth]]\nmethod = 'oauth'\ntoken_url = '{url}'");
        let result = with(&[("a.toml", &text)]);
        assert_eq!(result.is_ok(), good, "{url}");
        assert!(result.err().is_none_or(|error| error.line == 4 && error.column == Some(13)), "{url}");
    }
}

proptest! {
    /// Whatever a file holds, the answer is a registry or a place in the file.
    #[test]
    fn nothing_in_a_file_ends_the_program(lines in prop::collection::vec(
        prop_oneof![
            Just("id = 'a'".to_owned()), Just("extends = 'openai'".to_owned()), Just("[api]".to_owned()),
            Just("[[auth]]".to_owned()), Just("[auth.api]".to_owned()), Just("method = 'oauth'".to_owned()),
            Just("issuer = 'https://a.example'".to_owned()), Just("client_id = 'c'".to_owned()), ".{0,40}",
            "[a-z_]{2,8} = '.{0,20}'", "(base|token)_url = 'https?://.{0,20}'", "default_lifetime = '.{0,8}'",
        ], 0..12,
    )) {
        let text = lines.join("\n");
        if let Err(error) = with(&[("a.toml", &text)]) {
            prop_assert!(error.line >= 1 && error.line <= lines.len().max(1) + 1);
            prop_assert!(!error.message.is_empty() && !error.message.chars().any(char::is_control));
        }
    }
}

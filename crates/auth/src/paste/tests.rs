//! Shapes of pastes, as terminals, pages, shells and people make them.

use coderclaw_providers::Registry;
use coderclaw_types::ProviderId;
use proptest::prelude::*;

use super::*;

/// As long as the real ones: 108 characters.
fn token() -> String {
    let body = "Ab3-dEf_Gh1jKlMn0pQrStUv".repeat(4);
    format!("sk-ant-oat01-{}", &body[..95])
}

fn manifest(id: &str) -> Manifest {
    Registry::built_in().get(&ProviderId::new(id)).unwrap().clone()
}

fn clean(text: &str) -> Result<Cleaned, PasteProblem> {
    clean_token(&Secret::from(text), &manifest("anthropic"), PasteKind::SetupToken, false)
}

fn cut(token: &str, width: usize, with: &str) -> String {
    let parts: Vec<&str> = token.as_bytes().chunks(width).map(|c| std::str::from_utf8(c).unwrap()).collect();
    parts.join(with)
}

/// E17: whatever stands around the token or was put into it, the token comes out whole and alone.
#[test]
fn e17_the_one_token_comes_out_of_every_shape() {
    let t = &token();
    let (head, tail) = t.split_at(80);
    let shapes = [
        t.clone(),
        format!("{t}\n"),
        format!("  {t}\r\n\r\n"),
        format!("\t{t}\u{a0}"),
        format!("\u{feff}{t}"),
        format!("\"{t}\""),
        format!("'{t}'"),
        format!("`{t}`"),
        format!("\u{201c}{t}\u{201d}"),
        format!("<{t}>"),
        format!("({t})."),
        format!("{t};"),
        format!("{t}."),
        format!("export CLAUDE_CODE_OAUTH_TOKEN={t}"),
        format!("export CLAUDE_CODE_OAUTH_TOKEN=\"{t}\";"),
        format!("$ export CLAUDE_CODE_OAUTH_TOKEN='{t}' && claude"),
        format!("set -x CLAUDE_CODE_OAUTH_TOKEN {t}"),
        format!("$env:CLAUDE_CODE_OAUTH_TOKEN = \"{t}\""),
        format!("CLAUDE_CODE_OAUTH_TOKEN={t}\nOTHER=1\n"),
        format!("{{\"token\": \"{t}\", \"n\": 1}}"),
        format!("Authorization: Bearer {t}"),
        format!("curl -H 'authorization: Bearer {t}' https://api.anthropic.com/v1/models"),
        format!("{head}\n{tail}"),
        format!("{head}\r\n{tail}\r\n"),
        format!("{head}\r{tail}"),
        format!("{head}\\\n{tail}"),
        format!("{head}\n    {tail}\n"),
        format!("  {head}  \n  {tail}  \n"),
        format!("\"{head}\n{tail}\""),
        cut(t, 40, "\n"),
        cut(t, 40, "\n\n"),
        cut(t, 36, " "),
        cut(t, 60, "\n   "),
        cut(t, 100, "\n"),
        format!("│ {} │\n│ {} │", &t[..60], &t[60..]),
        format!("| {} |\n| {} |", &t[..70], &t[70..]),
        format!("\u{1b}[32m{t}\u{1b}[0m"),
        format!("\u{1b}[200~{t}\u{1b}[201~"),
        format!("[200~{t}[201~"),
        format!("\u{1b}[1m\u{1b}[38;5;208m{head}\u{1b}[0m\r\n\u{1b}[1m{tail}\u{1b}[0m"),
        format!("\u{1b}]0;claude\u{7}{t}"),
        format!("\u{1b}]8;;https://x.test\u{1b}\\{t}\u{1b}]8;;\u{1b}\\"),
        format!("\u{9b}1m{t}\u{9b}0m"),
        format!("\u{1b}(B{t}\u{1b}=\u{7}"),
        format!("{}\u{200b}{}", &t[..50], &t[50..]),
        format!(
            "Your OAuth token (valid for 1 year):\n\n{t}\n\nStore this token securely. You won't see it again."
        ),
        format!(
            "✓ Long-lived authentication token created successfully!\n\nYour OAuth token (valid for 1 year):\n\n{head}\n{tail}\n\nUse this token by setting: export CLAUDE_CODE_OAUTH_TOKEN=<token>\n"
        ),
        format!("me@box:~$ claude setup-token\n{t}\nme@box:~$ "),
        format!("{t} is the token that you wanted"),
        format!("{t}\nKeep it safe from others"),
        format!("{t}\n{t}\n"),
        format!("old key: sk-ant-api03-{} new: {t}", "k3Y".repeat(20)),
    ];
    assert!(shapes.len() >= 30);
    for shape in shapes {
        match clean(&shape) {
            Ok(cleaned) => {
                assert!(cleaned.secret.expose() == t, "something else came out of {shape:?}");
                assert!(!cleaned.forced && cleaned.lasts_a_year);
            }
            Err(e) => panic!("{e}: {shape:?}"),
        }
    }
}

/// E17: a part of a token, several, or none: nothing is stored, and the reason is said.
#[test]
fn e17_what_is_not_one_whole_token_is_refused() {
    let t = &token();
    let other = t.replace("Ab3", "Zz9");
    type Check = fn(&PasteProblem) -> bool;
    let truncated: Check = |e| matches!(e, PasteProblem::Truncated { .. });
    let table: [(String, Check); 12] = [
        (format!("{}{t}", &t[..60]), |e| *e == PasteProblem::Unclear),
        (String::new(), |e| *e == PasteProblem::Nothing),
        ("  \n\u{1b}[0m\n".into(), |e| *e == PasteProblem::Nothing),
        ("there is no such thing here".into(), |e| *e == PasteProblem::NoToken),
        (t[..80].into(), truncated),
        (format!("{}\n", &t[..80]), truncated),
        (t[..79].into(), truncated),
        (t[..20].into(), truncated),
        (format!("{}\nme@box:~$ ", &t[..60]), truncated),
        (format!("{t}\n{other}"), |e| *e == PasteProblem::Several { count: 2 }),
        (format!("{t} {other}"), |e| *e == PasteProblem::Several { count: 2 }),
        (format!("{t}\nDone"), |e| *e == PasteProblem::Unclear),
    ];
    for (text, wanted) in table {
        let error = clean(&text).unwrap_err();
        assert!(wanted(&error), "{error:?}: {text:?}");
        assert!(!error.to_string().contains("Ab3"), "{error}");
    }
    let said = clean(&t[..80]).unwrap_err().to_string();
    assert!(said.contains("looks truncated (80 characters)"), "{said}");
}

/// E18: a credential of another kind is refused with the command that is right for it, also with `--force`; one of an
/// unknown kind is taken with `--force`, and that is known afterwards.
#[test]
fn e18_other_kinds_name_the_right_command() {
    let key = format!("sk-ant-api03-{}", "k3Y_".repeat(22));
    let ort = format!("sk-ant-ort01-{}", "k3Y_".repeat(22));
    let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl-canary".to_owned();
    let groq = format!("gsk_{}", "k3Y4".repeat(13));
    let unknown = "zz-9f8e7d6c5b4a39281706f5e4d3c2b1a0".to_owned();
    use PasteKind::{ApiKey, SetupToken, Token};
    let table = [
        ("anthropic", SetupToken, &key, "models auth paste-api-key --provider anthropic", false),
        ("anthropic", Token, &key, "models auth paste-api-key --provider anthropic", false),
        ("anthropic", Token, &ort, "models auth setup-token --provider anthropic", false),
        ("anthropic", ApiKey, &ort, "models auth setup-token --provider anthropic", false),
        ("anthropic", ApiKey, &token(), "models auth setup-token --provider anthropic", false),
        ("openai", ApiKey, &token(), "models auth setup-token --provider anthropic", false),
        ("openai", ApiKey, &key, "models auth paste-api-key --provider anthropic", true),
        ("anthropic", SetupToken, &jwt, "models auth setup-token --provider anthropic", false),
        ("openai", ApiKey, &jwt, "models auth paste-api-key --provider openai", true),
        ("anthropic", Token, &groq, "models auth paste-api-key --provider groq", false),
        ("openai", ApiKey, &groq, "models auth paste-api-key --provider groq", true),
    ];
    for (provider, kind, text, command, may_force) in table {
        let text = Secret::from(text.as_str());
        let error = clean_token(&text, &manifest(provider), kind, false).unwrap_err();
        assert!(matches!(error, PasteProblem::OtherKind { .. }), "{provider} {kind:?}: {error:?}");
        assert!(error.command().unwrap().ends_with(command), "{provider} {kind:?}: {error:?}");
        let forced = clean_token(&text, &manifest(provider), kind, true);
        assert_eq!(forced.is_ok_and(|cleaned| cleaned.forced), may_force, "{provider} {kind:?}");
    }
    let error = clean(&unknown).unwrap_err();
    assert!(error.to_string().contains("begin with sk-ant-oat01-") && error.to_string().contains("--force"));
    let text = Secret::from(unknown.as_str());
    let cleaned = clean_token(&text, &manifest("anthropic"), SetupToken, true).unwrap();
    assert!(cleaned.forced && cleaned.secret == text && !cleaned.lasts_a_year);
    // A login's provider takes no pasted token, and says how one gets in.
    let error = clean_token(&text, &manifest("openai-codex"), Token, false).unwrap_err();
    assert_eq!(error.command(), Some("coderclaw models auth login --provider openai-codex"));
}

/// Keys without a known beginning.
#[test]
fn nameless_keys_are_found_too() {
    let key = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
    for shape in [
        key.to_owned(),
        format!("key: {key}\n"),
        format!("export OPENAI_API_KEY='{key}'"),
        format!("OPENAI_API_KEY={key};"),
        format!("your key is \"{key}\", keep it"),
        format!("{key}{key}\n{key}"),
    ] {
        let cleaned =
            clean_token(&Secret::from(shape.as_str()), &manifest("openai"), PasteKind::ApiKey, false)
                .unwrap();
        assert_eq!(cleaned.secret.expose().replace(key, ""), "", "{shape}");
        assert_eq!(cleaned.secret.expose().len() / key.len(), shape.matches(key).count(), "{shape}");
    }
    let two = format!("{key} and {}", key.replace('0', "9"));
    let error =
        clean_token(&Secret::from(two.as_str()), &manifest("openai"), PasteKind::ApiKey, false).unwrap_err();
    assert_eq!(error, PasteProblem::Several { count: 2 });
}

proptest! {
    /// Whatever comes in: an answer, no panic, and what is taken is in the paste, in its order.
    #[test]
    fn what_comes_out_was_in_it(text in "(?s).{0,200}", force: bool) {
        for (id, kind) in [("anthropic", PasteKind::SetupToken), ("openai", PasteKind::ApiKey)] {
            let Ok(cleaned) = clean_token(&Secret::from(text.as_str()), &manifest(id), kind, force) else { continue };
            let mut rest = text.chars();
            prop_assert!(cleaned.secret.expose().chars().all(|c| rest.any(|one| one == c)));
            prop_assert!(cleaned.secret.expose().bytes().all(|b| b.is_ascii_graphic()));
        }
    }

    /// E17: cut at any width, with any line end and indent, a token comes back whole, or not at all.
    #[test]
    fn e17_cut_at_any_width(
        body in "[A-Za-z0-9_-]{70,110}",
        width in 20usize..130,
        end in prop::sample::select(vec!["\n", "\r\n", "\n  ", " \n"]),
    ) {
        let token = format!("sk-ant-oat01-{body}");
        match clean(&cut(&token, width, end)) {
            Ok(cleaned) => prop_assert_eq!(cleaned.secret.expose(), token),
            Err(e) => {
                let is_honest = matches!(e, PasteProblem::Unclear | PasteProblem::Truncated { .. });
                prop_assert!(is_honest, "{}", e);
            }
        }
    }
}

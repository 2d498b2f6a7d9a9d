//! `${NAME}` in the config stands for a variable's value; `$${NAME}` for itself.

use std::borrow::Cow;

use coderclaw_types::Env;

/// A variable that is needed and not there, or empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing(pub(super) String);

/// The text with variables put in.
pub(super) fn substitute<'t>(text: &'t str, env: &Env) -> Result<Cow<'t, str>, Missing> {
    if !text.contains('$') {
        return Ok(text.into());
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((name, after)) = rest.strip_prefix('$').and_then(variable) {
            out.push_str(env.get(name).ok_or_else(|| Missing(name.to_owned()))?);
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix("$$").and_then(variable) {
            out.push_str(&format!("${{{name}}}"));
            rest = after;
        } else {
            out.push('$');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    Ok(out.into())
}

/// `{NAME}` at the head of the text, and what follows it.
fn variable(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.strip_prefix('{')?.split_once('}')?;
    let starts_well = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_');
    let is_name =
        starts_well && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    is_name.then_some((name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in_and_escapes_are_not() {
        let env = Env::new(
            [("A".into(), "x".into()), ("B_2".into(), "y".into()), ("E".into(), "".into())],
            None,
            "/".into(),
        );
        for (text, wanted) in [
            ("${A}", "x"),
            ("-${A}${B_2}-", "-xy-"),
            ("$${A}", "${A}"),
            ("$$${A}", "$${A}"),
            ("${a} $A {A} $ $$ ${", "${a} $A {A} $ $$ ${"),
            ("plain", "plain"),
        ] {
            assert_eq!(substitute(text, &env).as_deref(), Ok(wanted), "{text}");
        }
        for name in ["GONE", "E"] {
            assert_eq!(substitute(&format!("a ${{{name}}}"), &env), Err(Missing(name.into())));
        }
    }
}

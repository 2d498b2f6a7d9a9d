//! What is built in must be under a licence that `deny.toml` allows. `cargo deny check` knows more; this asks nobody.

use crate::packages::Packages;
use crate::repository::Repository;

/// Checks each package of the lock file, and what an installation brings.
pub(crate) fn check(repository: &Repository) -> Result<String, String> {
    let allowed = allowed(&repository.read("deny.toml")?)?;
    let packages = Packages::read(repository.root())?;
    let mut wrong = Vec::new();
    for package in &packages.all {
        let name = format!("{} {}", package.name, package.version);
        match &package.licence {
            None => wrong.push(format!("{name} names no licence")),
            Some(licence) => match is_allowed(licence, &allowed) {
                Ok(true) => {}
                Ok(false) => wrong.push(format!("{name} is under {licence}, which deny.toml does not allow")),
                Err(why) => wrong.push(format!("{name}: {licence}: {why}")),
            },
        }
    }
    // `cargo install` brings each program of a package.
    let programs = &packages.named("coderclaw")?.programs;
    if *programs != ["coderclaw"] {
        wrong.push(format!("installing it brings the programs {}", programs.join(", ")));
    }
    if wrong.is_empty() {
        return Ok(format!("{} packages are under {}", packages.all.len(), allowed.join(", ")));
    }
    Err(format!("{} packages may not be used\n{}", wrong.len(), wrong.join("\n")))
}

/// The list `allow` of `[licenses]`.
fn allowed(text: &str) -> Result<Vec<String>, String> {
    let part = text.split_once("\n[licenses]").map(|(_, part)| part);
    let list = part.and_then(|part| part.split_once("\nallow = [")?.1.split_once("\n]"));
    let (list, _) = list.ok_or("deny.toml has no list `allow` in [licenses]")?;
    let lines = list.lines().map(|line| line.split('#').next().unwrap_or_default());
    Ok(lines.flat_map(|line| line.split('"').skip(1).step_by(2)).map(str::to_owned).collect())
}

/// Whether an SPDX expression leaves a choice that is allowed. `/` is how `OR` was once written.
fn is_allowed(expression: &str, allowed: &[String]) -> Result<bool, String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut words = words.as_slice();
    let result = any(&mut words, allowed)?;
    if words.is_empty() { Ok(result) } else { Err(format!("`{}` is not understood", words.join(" "))) }
}

fn any(words: &mut &[&str], allowed: &[String]) -> Result<bool, String> {
    let mut result = all(words, allowed)?;
    while let ["OR", rest @ ..] = *words {
        *words = rest;
        result |= all(words, allowed)?;
    }
    Ok(result)
}

fn all(words: &mut &[&str], allowed: &[String]) -> Result<bool, String> {
    let mut result = one(words, allowed)?;
    while let ["AND", rest @ ..] = *words {
        *words = rest;
        result &= one(words, allowed)?;
    }
    Ok(result)
}

fn one(words: &mut &[&str], allowed: &[String]) -> Result<bool, String> {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let result = any(words, allowed)?;
            let [")", rest @ ..] = *words else { return Err("a bracket is not closed".to_owned()) };
            *words = rest;
            Ok(result)
        }
        [name, "WITH", exception, rest @ ..] => {
            *words = rest;
            Ok(allowed.iter().any(|one| *one == format!("{name} WITH {exception}")))
        }
        [name, rest @ ..] if !["AND", "OR", "WITH", ")"].contains(name) => {
            *words = rest;
            Ok(allowed.iter().any(|one| one == name))
        }
        _ => Err("a name is missing".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_judged() {
        let allowed = allowed(
            "[graph]\n\n[licenses]\nallow = [\n  # why\n  \"MIT\", \"ISC\", # \"GPL-3.0\"\n  \"Zlib\",\n]\n",
        );
        let allowed = allowed.unwrap();
        assert_eq!(allowed, ["MIT", "ISC", "Zlib"]);
        let table = [
            ("MIT", Some(true)),
            ("GPL-3.0", Some(false)),
            ("GPL-3.0 OR MIT", Some(true)),
            ("Unlicense/MIT", Some(true)),
            ("MIT AND GPL-3.0", Some(false)),
            ("MIT AND GPL-3.0 OR ISC", Some(true)),
            ("MIT AND (GPL-3.0 OR ISC)", Some(true)),
            ("(MIT OR GPL-3.0) AND GPL-3.0", Some(false)),
            ("MIT WITH some-exception", Some(false)),
            ("MIT OR", None),
            ("(MIT", None),
            ("MIT ISC", None),
            ("", None),
        ];
        for (expression, expected) in table {
            assert_eq!(is_allowed(expression, &allowed).ok(), expected, "{expression}");
        }
        assert!(super::allowed("[bans]\n").is_err());
    }
}

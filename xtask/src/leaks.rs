//! Nothing in the repository may be a real token, or belong to the machine of whoever wrote it.

use crate::repository::Repository;

/// How a real token begins, and how many characters follow at least.
const TOKENS: [(&str, usize); 9] = [
    ("sk-ant-", 46),
    ("sk-proj-", 40),
    ("ghp_", 36),
    ("gho_", 36),
    ("ghs_", 36),
    ("github_pat_", 40),
    ("xoxb-", 40),
    ("AIza", 35),
    ("npm_", 36),
];
/// A JWT in use is longer; the examples of RFCs are shorter.
const SHORTEST_JWT: usize = 200;
/// A made-up token repeats itself. A random one of this length does not have so few characters.
const FEWEST_CHARACTERS: usize = 12;
/// Files that name where packages come from, and the only places that a fresh machine can reach.
const LOCK_FILES: [&str; 7] = [
    "Cargo.lock",
    "package-lock.json",
    "pnpm-lock.yaml",
    "yarn.lock",
    ".npmrc",
    ".cargo/config.toml",
    "requirements.txt",
];
const PUBLIC_HOSTS: [&str; 6] = [
    "github.com",
    "registry.npmjs.org",
    "registry.yarnpkg.com",
    "pypi.org",
    "files.pythonhosted.org",
    "index.crates.io",
];
/// In package-lock.json these name people and licences, not places to download from.
const LINKS_FOR_PEOPLE: [&str; 3] = ["\"url\"", "\"funding\"", "\"deprecated\""];

/// Looks into every file that git tracks, or would.
pub(crate) fn check(repository: &Repository) -> Result<String, String> {
    let files = repository.files()?;
    let mut found = Vec::new();
    for file in &files {
        let bytes = std::fs::read(repository.path(file)).map_err(|e| format!("{file}: {e}"))?;
        let text = String::from_utf8_lossy(&bytes);
        for (number, line) in text.lines().enumerate() {
            let place = format!("{file}:{}", number + 1);
            // The place, not the text: this output is kept by CI.
            if names_workplace(line) {
                found.push(format!("{place}: a path of the author's machine"));
            }
            if let Some(kind) = token(line) {
                found.push(format!("{place}: what looks like a real token ({kind})"));
            }
            if LOCK_FILES.iter().any(|name| file == name || file.ends_with(&format!("/{name}")))
                && let Some(host) = private_host(line)
            {
                found.push(format!("{place}: packages from {host}, which others cannot reach"));
            }
        }
    }
    if found.is_empty() {
        return Ok(format!("{} files are clean", files.len()));
    }
    Err(format!("{} places must not be published\n{}", found.len(), found.join("\n")))
}

/// The folder in which this project was first written. In two parts, so that this file does not name it.
fn names_workplace(line: &str) -> bool {
    let folder = ["/wo", "rk/"].concat();
    line.match_indices(&folder).any(|(at, _)| {
        // As the end of a longer path it is somebody's example.
        !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '~' | '.' | '_' | '-' | '}' | '*'))
    })
}

fn token(line: &str) -> Option<&'static str> {
    for (prefix, least) in TOKENS {
        for (at, _) in line.match_indices(prefix) {
            let body: String = line[at + prefix.len()..].chars().take_while(|c| is_of_token(*c)).collect();
            if body.len() >= least && is_varied(&body) {
                return Some(prefix);
            }
        }
    }
    for (at, _) in line.match_indices("eyJ") {
        let rest = &line[at..];
        let end = rest.find(|c: char| !(is_of_token(c) || c == '.')).unwrap_or(rest.len());
        let parts: Vec<&str> = rest[..end].split('.').collect();
        let signed = parts.len() == 3 && parts.iter().all(|part| part.len() >= 16);
        if signed && end >= SHORTEST_JWT && is_varied(&rest[..end]) {
            return Some("JWT");
        }
    }
    None
}

fn is_of_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

fn is_varied(body: &str) -> bool {
    let distinct: std::collections::BTreeSet<char> = body.chars().collect();
    distinct.len() >= FEWEST_CHARACTERS
}

fn private_host(line: &str) -> Option<&str> {
    let line = line.trim();
    if line.starts_with(['#', ';']) || LINKS_FOR_PEOPLE.iter().any(|key| line.starts_with(key)) {
        return None;
    }
    let (_, address) = line.split_once("://")?;
    let end = address.find(['/', '"', '\'', ' ', '?', '#']).unwrap_or(address.len());
    let host = address[..end].rsplit('@').next().unwrap_or_default();
    (!PUBLIC_HOSTS.contains(&host)).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random_looking(length: usize) -> String {
        let alphabet: Vec<char> = ('a'..='z').chain('A'..='Z').chain('0'..='9').collect();
        (0..length).map(|i| alphabet[(i * 37 + i / 7) % alphabet.len()]).collect()
    }

    #[test]
    fn real_shapes_are_found_and_made_up_ones_are_not() {
        let long = random_looking(95);
        for prefix in ["sk-ant-oat01-", "sk-ant-api03-", "ghp_", "github_pat_", "sk-proj-"] {
            assert!(token(&format!("x = \"{prefix}{long}\"")).is_some(), "{prefix}");
            assert_eq!(token(&format!("{prefix}canary-canary-canary")), None);
            assert_eq!(token(&format!("{prefix}{}", "x".repeat(95))), None);
        }
        let part = random_looking(90);
        assert_eq!(token(&format!("eyJ{part}.eyJ{part}.{part}")), Some("JWT"));
        assert_eq!(token(&format!("eyJ{part}.eyJ{part}")), None);
    }

    #[test]
    fn a_path_of_our_own_is_told_from_an_example() {
        let folder = ["/wo", "rk/"].concat();
        assert!(names_workplace(&format!("see {folder}x")) && names_workplace(&format!("`{folder}main`")));
        assert!(!names_workplace(&format!("~{folder}x")) && !names_workplace(&format!("/home/me{folder}x")));
    }

    #[test]
    fn packages_come_from_public_places() {
        for line in [
            "source = \"registry+https://github.com/rust-lang/crates.io-index\"",
            "\"resolved\": \"https://registry.npmjs.org/a/-/a-1.0.0.tgz\",",
            "\"url\": \"https://opencollective.com/a\"",
            "# https://anything.example",
        ] {
            assert_eq!(private_host(line), None, "{line}");
        }
        let mirror = "\"resolved\": \"http://user:pass@mirror.internal:8081/npm/a.tgz\",";
        assert_eq!(private_host(mirror), Some("mirror.internal:8081"));
    }
}

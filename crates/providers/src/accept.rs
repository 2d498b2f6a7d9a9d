//! Whether a pasted credential can be what it is said to be.

use coderclaw_types::Secret;

use crate::manifest::AuthMethod;

/// Why a pasted credential is refused. It says what was expected, and nothing of what was pasted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// There is nothing.
    #[error("nothing was pasted")]
    Blank,
    /// There is something that no header can carry.
    #[error("it holds a space, a line break or another character that no token has")]
    Characters,
    /// It is something else.
    #[error("it should begin with {prefix}")]
    Prefix {
        /// What every such credential begins with.
        prefix: String,
    },
    /// It is not whole, or something else.
    #[error("it is incomplete or something else: it does not match {pattern}")]
    Shape {
        /// The manifest's regular expression.
        pattern: String,
    },
}

impl AuthMethod {
    /// Whether `pasted`, already freed of the line breaks that terminals put into it, can be a credential of this
    /// method. It says nothing about whether the provider knows it.
    ///
    /// # Errors
    /// [`Rejected`] says why it cannot.
    pub fn accepts(&self, pasted: &Secret) -> Result<(), Rejected> {
        if pasted.is_blank() {
            return Err(Rejected::Blank);
        }
        if !pasted.expose().bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Rejected::Characters);
        }
        let Some(pattern) = self.pattern.as_deref() else {
            return Ok(());
        };
        let shape = || Rejected::Shape { pattern: pattern.to_owned() };
        let regex = regex_lite::Regex::new(pattern).map_err(|_| shape())?;
        if regex.is_match(pasted.expose()) {
            return Ok(());
        }
        match literal_prefix(pattern) {
            Some(prefix) if !pasted.expose().starts_with(prefix) => {
                Err(Rejected::Prefix { prefix: prefix.to_owned() })
            }
            _ => Err(shape()),
        }
    }
}

/// The plain text that every match of `pattern` begins with, if that is easy to see.
fn literal_prefix(pattern: &str) -> Option<&str> {
    let body = pattern.strip_prefix('^').filter(|body| !body.contains('|'))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let end = body.find(|c| !plain(c)).unwrap_or(body.len());
    // The last letter may be optional.
    let end = if body[end..].starts_with(['*', '?', '{']) { end.saturating_sub(1) } else { end };
    Some(&body[..end]).filter(|prefix| !prefix.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_never_more_than_what_must_be_there() {
        for (pattern, prefix) in [
            ("^sk-ant-oat01-\\S{67,}$", Some("sk-ant-oat01-")),
            ("^acme-[A-Za-z0-9]{20,}$", Some("acme-")),
            ("^abc?d", Some("ab")),
            ("^abc{0,2}d", Some("ab")),
            ("^abc+d", Some("abc")),
            ("^a*", None),
            ("^a|b", None),
            ("sk-", None),
            ("^(?i)sk-", None),
            ("^$", None),
        ] {
            assert_eq!(literal_prefix(pattern), prefix, "{pattern}");
        }
    }
}

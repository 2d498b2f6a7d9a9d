//! What the provider says through the browser.

use coderclaw_types::Secret;

use crate::pkce::State;
use crate::words::for_people;

/// A redirect that belongs to this login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redirected {
    /// The user agreed (RFC 6749 section 4.1.2).
    Code {
        /// Works once, for some minutes.
        code: Secret,
        /// Who says so (RFC 9207), for comparison with the issuer that was asked.
        iss: Option<String>,
        /// The client that the provider has registered for this login, where it registers one for each person.
        client_id: Option<String>,
    },
    /// The user or the provider said no (RFC 6749 section 4.1.2.1).
    Denied {
        /// The provider's code, fit to be shown.
        code: String,
        /// The provider's words, fit to be shown.
        description: Option<String>,
        /// Who says so (RFC 9207).
        iss: Option<String>,
    },
    /// The right state, with neither a code nor an error.
    Nothing,
}

/// A redirect that does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadQuery {
    /// A parameter stands twice (forbidden by RFC 6749 section 3.1).
    #[error("a parameter stands twice in this address")]
    Repeated,
    /// There is no state.
    #[error("this address has no state: it is not from this login")]
    NoState,
    /// The state is another one, as in a tab of an earlier attempt.
    #[error("this address is from an earlier attempt to log in")]
    WrongState,
}

/// Reads a redirect's query. The state is looked at before anything else; an empty value is as good as none (RFC 6749
/// section 3.1).
///
/// # Errors
/// Where the query is not an answer to the request with this state. Such a query ends nothing.
pub fn read_query(query: &str, state: &State) -> Result<Redirected, BadQuery> {
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    for (at, (name, _)) in pairs.iter().enumerate() {
        if pairs.iter().skip(at + 1).any(|(other, _)| other == name) {
            return Err(BadQuery::Repeated);
        }
    }
    let get = |wanted: &str| {
        let found = pairs.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    if !state.matches(get("state").ok_or(BadQuery::NoState)?) {
        return Err(BadQuery::WrongState);
    }
    let iss = get("iss").map(str::to_owned);
    if let Some(error) = get("error") {
        return Ok(Redirected::Denied {
            code: for_people(error).unwrap_or_else(|| "unnamed".to_owned()),
            description: get("error_description").and_then(for_people),
            iss,
        });
    }
    Ok(match get("code").map(Secret::from) {
        Some(code) if !code.is_blank() => {
            Redirected::Code { code, iss, client_id: get("client_id").map(str::to_owned) }
        }
        _ => Redirected::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Redirected, BadQuery> {
        read_query(query, &State::from_secret(Secret::from("st")))
    }

    /// E7: without the right state nothing counts, not even a refusal.
    #[test]
    fn e7_state_first() {
        for (query, error) in [
            ("", BadQuery::NoState),
            ("code=c", BadQuery::NoState),
            ("code=c&state=", BadQuery::NoState),
            ("error=access_denied", BadQuery::NoState),
            ("code=c&state=other", BadQuery::WrongState),
            ("code=c&state=ST", BadQuery::WrongState),
            ("error=access_denied&state=s", BadQuery::WrongState),
            ("code=c&state=st&state=st", BadQuery::Repeated),
            ("code=c&code=d&state=st", BadQuery::Repeated),
            ("code=c&state=st&co%64e=d", BadQuery::Repeated),
        ] {
            assert_eq!(read(query), Err(error), "{query}");
        }
    }

    /// E6: a refusal keeps the provider's words.
    #[test]
    fn e6_refusals() {
        let denied =
            read("error=access_denied&error_description=No+seat%1b[2J%0a+left&state=st&iss=https://i");
        assert_eq!(
            denied,
            Ok(Redirected::Denied {
                code: "access_denied".into(),
                description: Some("No seat[2J  left".into()),
                iss: Some("https://i".into()),
            })
        );
        assert!(matches!(read("error=x&code=c&state=st"), Ok(Redirected::Denied { .. })));
        assert!(matches!(read("error=%00&state=st"), Ok(Redirected::Denied { .. })));
    }

    #[test]
    fn codes() {
        let code = |text: &str, iss: Option<&str>| {
            Ok(Redirected::Code { code: Secret::from(text), iss: iss.map(str::to_owned), client_id: None })
        };
        let named = read("state=st&code=c&client_id=app_1");
        assert!(matches!(named, Ok(Redirected::Code { client_id: Some(id), .. }) if id == "app_1"));
        assert_eq!(read("state=st&code=c&client_id=a&client_id=b"), Err(BadQuery::Repeated));
        assert_eq!(read("state=st&code=a%2Fb%2B%23&x=&y="), code("a/b+#", None));
        assert_eq!(read("code=c&error=&state=st&iss=i"), code("c", Some("i")));
        for nothing in ["state=st", "state=st&code=", "state=st&code=+"] {
            assert_eq!(read(nothing), Ok(Redirected::Nothing), "{nothing}");
        }
    }
}

//! Words of a stranger, made fit to be shown.

/// At most this many characters of a provider's text are shown.
const LIMIT: usize = 200;

/// `text` as one line of at most 200 characters: no control characters, nothing that turns or hides text (RFC 6749 section
/// 10.14), and three stars for each run that is long enough to be a token, in case a server repeats what it was sent.
/// `None` where nothing is left.
pub fn for_people(text: &str) -> Option<String> {
    let mut clean = String::new();
    for word in text.split_inclusive(|c: char| !is_token_char(c)) {
        let run = word.trim_end_matches(|c: char| !is_token_char(c));
        if run.len() >= 32 {
            clean.push_str("***");
            clean.push_str(&word[run.len()..]);
        } else {
            clean.push_str(word);
        }
    }
    let spaced = clean.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    let visible: String = spaced.filter(|c| !c.is_control() && !is_hidden(*c)).collect();
    let line: String = visible.trim().chars().take(LIMIT).collect();
    (!line.is_empty()).then_some(line)
}

/// `text` as one line in which everything can be seen: what turns, hides or breaks text becomes a mark of its own. For names
/// that others chose, where they stand beside ours.
pub fn visible(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() || is_hidden(c) { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

/// `text` as a code that may be shown and stored: a short word, in lower case. `None` for anything that could be a token
/// which the server repeats: those are long and full of digits or of both cases.
pub fn code_word(text: &str) -> Option<String> {
    let text = text.trim();
    let word = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let has = |is: fn(&char) -> bool| text.chars().any(|c| is(&c));
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let mixed = has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase);
    let is_code = !text.is_empty()
        && text.len() <= 64
        && text.chars().all(word)
        && digits <= 4
        && (text.len() < 32 || !mixed);
    is_code.then(|| text.to_lowercase())
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~+=#".contains(c)
}

/// Zero-width characters, direction marks, overrides and isolates.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// E6: the provider's words are shown, less what a terminal would act upon.
    #[test]
    fn e6_words() {
        let table = [
            ("Access denied.", Some("Access denied.")),
            ("a\u{1b}[31mb\nc\td", Some("a[31mb c d")),
            ("\u{202e}evil\u{200b}", Some("evil")),
            (" \r\n ", None),
            ("", None),
            ("token sk-ant-ort01-canary-canary-canary-canary is dead", Some("token *** is dead")),
            (
                "see https://help.example.com/articles/refresh-tokens now",
                Some("see https://help.example.com/articles/refresh-tokens now"),
            ),
        ];
        for (text, shown) in table {
            assert_eq!(for_people(text).as_deref(), shown, "{text:?}");
        }
    }

    #[test]
    fn nothing_of_a_name_is_hidden() {
        assert_eq!(visible("openai:me@x.test"), "openai:me@x.test");
        assert_eq!(visible("a\u{202e}b\nc\u{200b}"), "a\u{fffd}b\u{fffd}c\u{fffd}");
    }

    proptest! {
        #[test]
        fn always_short_and_quiet(text in "\\PC{0,300}|.{0,300}") {
            if let Some(shown) = for_people(&text) {
                prop_assert!(shown.chars().count() <= LIMIT);
                prop_assert!(!shown.chars().any(|c| c.is_control() || is_hidden(c)));
            }
        }
    }
}

//! Times, durations, widths and shell words, as people read them.

use std::time::Duration;

use coderclaw_types::Millis;
pub(crate) use coderclaw_types::{span, when};

/// A point in time in the local zone, for people.
pub(crate) fn local(at: Millis) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(at) => at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string(),
        Err(_) => "at an unknown time".into(),
    }
}

/// `90`, `90s`, `30m`, `2h`, `1d`, `500ms`, decimals allowed. Without a unit: seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let secs = match unit.trim() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return Err("a number with ms, s, m, h or d is wanted".into()),
    };
    let number: f64 = number.parse().map_err(|_| "a number with ms, s, m, h or d is wanted".to_owned())?;
    Duration::try_from_secs_f64(number * secs).map_err(|e| e.to_string())
}

/// A word that a shell takes as one word.
pub(crate) fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@+,=%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Text from a file, fit for a terminal: no control characters.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// How wide the terminal is; 80 where there is none.
pub(crate) fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout())
        .or_else(|_| rustix::termios::tcgetwinsize(std::io::stderr()));
    match size.map_or(0, |size| usize::from(size.ws_col)) {
        // Terminals that nobody has given a size say zero.
        0 => 80,
        columns => columns.clamp(40, 200),
    }
}

/// `text` broken into lines of at most `width` characters between words.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_every_unit() {
        for (text, ms) in
            [("90", 90_000), ("1.5h", 5_400_000), ("500ms", 500), ("2d", 172_800_000), (" 3m ", 180_000)]
        {
            assert_eq!(duration(text).unwrap().as_millis(), ms, "{text}");
        }
        for bad in ["", "-1", "x", "1w", "1e9999h", "9999999999999999999999d", "."] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shell_words_survive_a_shell() {
        assert_eq!(shell_word("openai-codex:me@x.test"), "openai-codex:me@x.test");
        assert_eq!(shell_word("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(shell_word(""), "''");
        assert_eq!(shell_word("a#b"), "'a#b'");
    }
}

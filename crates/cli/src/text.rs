//! Times, durations, widths and shell words, as people read them.

use std::time::Duration;

use coderclaw_types::Millis;
pub(crate) use coderclaw_types::{span, when};
use unicode_width::UnicodeWidthStr;

/// A point in time in the local zone, for people.
pub(crate) fn local(at: Millis) -> String {
    in_zone(at, "%Y-%m-%d %H:%M")
}

/// The time of day in the local zone, to the second.
pub(crate) fn time_of_day(at: Millis) -> String {
    in_zone(at, "%H:%M:%S")
}

fn in_zone(at: Millis, format: &str) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(at) => at.to_zoned(jiff::tz::TimeZone::system()).strftime(format).to_string(),
        Err(_) => "at an unknown time".into(),
    }
}

/// What a clock shows that runs down: `4:05`, `1:04:05`, days before that.
pub(crate) fn countdown(left: Duration) -> String {
    // It shows nothing only once nothing is left.
    let secs = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    let (minutes, secs) = (secs / 60, secs % 60);
    match minutes {
        0..60 => format!("{minutes}:{secs:02}"),
        60..2880 => format!("{}:{:02}:{secs:02}", minutes / 60, minutes % 60),
        _ => span(left),
    }
}

/// How many columns of a terminal the text takes.
pub(crate) fn columns(text: &str) -> usize {
    text.width()
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

/// `text` broken into lines of at most `width` columns between words.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if columns(line) + 1 + columns(word) <= width => {
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
    fn a_clock_runs_down() {
        let of = |ms| countdown(Duration::from_millis(ms));
        assert_eq!([of(0), of(1), of(1_000), of(59_001)], ["0:00", "0:01", "0:01", "1:00"]);
        assert_eq!([of(3_599_000), of(3_600_000), of(100_000_000)], ["59:59", "1:00:00", "27:46:40"]);
        assert_eq!(of(3 * 86_400_000), "3 days");
    }

    #[test]
    fn lines_are_as_wide_as_they_look() {
        assert_eq!(wrap("ab cd ef", 5), ["ab cd", "ef"]);
        assert_eq!(wrap("名前 名前", 8), ["名前", "名前"]);
        assert_eq!(wrap("名前 名前", 9), ["名前 名前"]);
    }

    #[test]
    fn shell_words_survive_a_shell() {
        assert_eq!(shell_word("openai-codex:me@x.test"), "openai-codex:me@x.test");
        assert_eq!(shell_word("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(shell_word(""), "''");
        assert_eq!(shell_word("a#b"), "'a#b'");
    }
}

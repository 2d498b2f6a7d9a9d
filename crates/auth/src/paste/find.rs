//! What could be a token in a text that was copied from somewhere.

use super::PasteProblem;
use super::kinds;

/// One thing that was found.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Found {
    Token(String),
    /// A token whose end cannot be told.
    Unclear,
}

/// Frees a text of what terminals and editors put into it: escape sequences, control and invisible characters, frames.
pub(super) fn tidy(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\u{9b}' => skip_csi(&mut chars),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\r' => out.push('\n'),
            // A line that a shell continues is one line.
            '\\' if matches!(chars.peek(), Some('\n' | '\r')) => {
                while chars.next_if(|c| matches!(c, '\n' | '\r')).is_some() {}
            }
            '\n' => out.push('\n'),
            // Written by a program for itself, shown to nobody.
            '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' => {}
            '\t' | '|' => out.push(' '),
            c if c.is_control() => {}
            c if c.is_ascii() => out.push(c),
            // No token holds anything beyond ASCII; frames and bullets stand around it.
            _ => out.push(' '),
        }
    }
    // The marks of a paste, where a program has eaten their first character.
    out.replace("[200~", "").replace("[201~", "")
}

fn skip_csi(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    // ECMA-48 section 5.4: parameters and intermediates, then one final character.
    while chars.next_if(|c| matches!(c, '\u{20}'..='\u{3f}')).is_some() {}
    chars.next_if(|c| matches!(c, '\u{40}'..='\u{7e}'));
}

fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => skip_csi(chars),
        // Strings, such as links and titles: up to BEL, or ESC and a backslash.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        Some('\u{20}'..='\u{2f}') => {
            chars.next();
        }
        _ => {}
    }
}

/// Everything in `text` that could be a token, each once: what begins as a known kind does, else what looks random.
pub(super) fn find(
    text: &str,
    own_prefix: Option<&str>,
    whole: &dyn Fn(&str) -> bool,
) -> Result<Vec<Found>, PasteProblem> {
    let mut found: Vec<Found> = Vec::new();
    let mut add = |one: Found| {
        if !found.contains(&one) {
            found.push(one);
        }
    };
    let mut at = 0;
    while let Some(start) = next_start(text, at, own_prefix) {
        let (one, end) = assemble(text, start, own_prefix, whole);
        add(one);
        at = end.max(start + 1);
    }
    if found.is_empty() {
        return nameless(text);
    }
    Ok(found)
}

/// Where the next known beginning stands, at the beginning of a word.
fn next_start(text: &str, from: usize, own_prefix: Option<&str>) -> Option<usize> {
    let all = kinds::prefixes().chain(own_prefix);
    let starts = all.flat_map(|prefix| text[from..].match_indices(prefix)).map(|(at, _)| from + at);
    let fresh = |at: &usize| !text[..*at].ends_with(|c: char| c.is_ascii_alphanumeric() || "-_".contains(c));
    starts.filter(fresh).min()
}

fn begins_known(fragment: &str, own_prefix: Option<&str>) -> bool {
    kinds::prefixes().chain(own_prefix).any(|prefix| fragment.starts_with(prefix))
}

/// Puts a token together that was broken between lines or words. Gives the token and where the text goes on.
fn assemble(
    text: &str,
    start: usize,
    own_prefix: Option<&str>,
    whole: &dyn Fn(&str) -> bool,
) -> (Found, usize) {
    // Keys of this family have no dots, so that a full stop behind one is not part of it.
    let dots = !text[start..].starts_with("sk-");
    let run = |at: usize| {
        let part = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c) || (dots && c == '.');
        let rest = &text[at..];
        &rest[..rest.find(|c| !part(c)).unwrap_or(rest.len())]
    };
    let mut token = run(start).to_owned();
    let mut end = start + token.len();
    loop {
        let rest = &text[end..];
        let blank = rest.len() - rest.trim_start().len();
        let next = run(end + blank);
        if blank == 0 || next.is_empty() || begins_known(next, own_prefix) {
            break;
        }
        let breaks = rest[..blank].matches('\n').count();
        let after = &text[end + blank + next.len()..];
        let line = after.split('\n').next().unwrap_or_default();
        let is_alone = line.trim_matches([' ', '"', '\'', ';', '`']).is_empty();
        let is_whole = whole(&token);
        let fits = match breaks {
            0 => !is_whole && is_random(next),
            1 => is_alone && is_random(next),
            _ => !is_whole && is_alone && is_random(next),
        };
        if fits {
            token.push_str(next);
            end += blank + next.len();
            continue;
        }
        // A word alone on the next line: the end of the token, or the first word of something else?
        if breaks == 1 && is_alone && whole(&format!("{token}{next}")) {
            return (Found::Unclear, end);
        }
        break;
    }
    let token = token.trim_end_matches('.').to_owned();
    (Found::Token(token), end)
}

/// Whether this is no word of a language: it has a digit, or capitals inside.
fn is_random(text: &str) -> bool {
    let is_word = |part: &str| {
        part.chars().skip(1).all(|c| c.is_ascii_lowercase()) || part.chars().all(|c| c.is_ascii_uppercase())
    };
    text.chars().any(|c| c.is_ascii_digit()) || !text.split(['-', '_', '.']).all(is_word)
}

/// Tokens of which nothing is known: the one run of characters that is no word.
fn nameless(text: &str) -> Result<Vec<Found>, PasteProblem> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if let Some(joined) = wrapped(&lines) {
        return Ok(vec![Found::Token(joined)]);
    }
    let part = |c: char| c.is_ascii_alphanumeric() || "-_.~+/=".contains(c);
    let mut found: Vec<Found> = Vec::new();
    for run in text.split(|c: char| !part(c)) {
        let run = without_name(run).trim_end_matches('.');
        let is_token = run.len() >= 12 && is_random(run.trim_end_matches('=')) && !run.contains("//");
        if is_token && !found.contains(&Found::Token(run.to_owned())) {
            found.push(Found::Token(run.to_owned()));
        }
    }
    if found.is_empty()
        && let [line] = lines.as_slice()
    {
        // A single word is taken for what it is said to be.
        let quoted = without_name(line.strip_prefix("export ").unwrap_or(line).trim_end_matches(';'));
        let word = quoted.trim_matches(['"', '\'', '`']);
        if !word.is_empty() && word.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '\'') {
            found.push(Found::Token(word.to_owned()));
        }
    }
    Ok(found)
}

/// Lines of one length, the last one at most as long, and each without a blank: one token, cut by a window's edge.
fn wrapped(lines: &[&str]) -> Option<String> {
    let (last, rest) = lines.split_last()?;
    let width = rest.first()?.len();
    let graphic = |line: &&str| line.chars().all(|c| c.is_ascii_alphanumeric() || "-_.~+/=".contains(c));
    let cut = width >= 30
        && lines.iter().all(graphic)
        && rest.iter().all(|line| line.len() == width && is_random(line))
        && (last.len() < width && (last.len() >= SURELY_CUT || is_random(last)));
    cut.then(|| lines.concat())
}

/// A last line of this length is no word.
const SURELY_CUT: usize = 20;

/// The value of `NAME=value`.
fn without_name(run: &str) -> &str {
    match run.split_once('=') {
        Some((name, value))
            if !value.is_empty()
                && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && name.len() < 64
                && !value.chars().all(|c| c == '=') =>
        {
            value
        }
        _ => run,
    }
}

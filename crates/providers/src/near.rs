//! Which of many words a mistyped one was meant to be.

/// How many of them a message may name.
const MOST: usize = 3;

/// The ids, best first and at most three, that `typed` may stand for. Each candidate is an id and all that it is known
/// by, in lower case.
pub(crate) fn nearest<'a>(
    typed: &str,
    candidates: impl Iterator<Item = (&'a str, Vec<String>)>,
) -> Vec<String> {
    // Bounded, since the cost grows with the square of the length and nobody mistypes a word of 64 letters.
    let typed: String = typed.trim().to_lowercase().chars().take(64).collect();
    let length = typed.chars().count();
    // A third of the letters may be wrong.
    let limit = (length / 3).max(1);
    let score = |name: &String| {
        let wrong = distance(&typed, name);
        // A part that somebody remembers, such as "codex", is a weaker sign than a slip of the finger.
        let part = length >= 3 && name.contains(&typed);
        if wrong <= limit && wrong < length { Some(wrong) } else { part.then_some(limit + 1) }
    };
    let mut found: Vec<(usize, &str)> =
        candidates.filter_map(|(id, names)| Some((names.iter().filter_map(score).min()?, id))).collect();
    found.sort_unstable();
    found.into_iter().take(MOST).map(|(_, id)| id.to_owned()).collect()
}

/// How many letters have to be put in, left out, replaced, or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, steps) in
            [("", "abc", 3), ("zai", "zia", 1), ("codx", "codex", 1), ("same", "same", 0), ("ab", "xy", 2)]
        {
            assert_eq!(distance(a, b), steps, "{a} {b}");
            assert_eq!(distance(b, a), steps, "{b} {a}");
        }
    }
}

//! How many tests passed and failed, in the words of the program that ran them.

/// Numbers of tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) skipped: u32,
}

impl Tally {
    /// Adds what a line of cargo-nextest or of `cargo test` says, if it is a summary.
    pub(crate) fn read(&mut self, line: &str) {
        let line = without_colours(line);
        let numbers = match line.split_once("test result: ") {
            Some((_, result)) => result.split_once(". ").map(|(_, numbers)| numbers),
            None if line.trim_start().starts_with("Summary [") => {
                line.split_once(" run: ").map(|(_, numbers)| numbers)
            }
            None => None,
        };
        for number in numbers.unwrap_or_default().split([',', ';', '(']) {
            let Some((count, what)) = number.trim().split_once(' ') else { continue };
            let Ok(count) = count.parse::<u32>() else { continue };
            match what.trim_end_matches(')').trim() {
                "passed" => self.passed += count,
                "failed" | "timed out" | "exec failed" => self.failed += count,
                "skipped" | "ignored" => self.skipped += count,
                _ => {}
            }
        }
    }
}

/// The line that closes a run, alone on its line.
impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

fn without_colours(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        text.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_runners_are_understood() {
        let table = [
            ("     Summary [   3.0s] 264 tests run: 264 passed, 1 skipped", (264, 0, 1)),
            (
                "     Summary [   3.0s] 9 tests run: 5 passed (2 slow), 3 failed, 1 timed out, 0 skipped",
                (5, 4, 0),
            ),
            (
                "\u{1b}[32;1m     Summary\u{1b}[0m [   0.1s] \u{1b}[1m1\u{1b}[0m test run: \u{1b}[1m1\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, \u{1b}[1m0\u{1b}[0m skipped",
                (1, 0, 0),
            ),
            (
                "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.1s",
                (12, 0, 1),
            ),
            ("test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out", (2, 1, 0)),
            ("        PASS [   0.0s] 7 passed, 8 failed", (0, 0, 0)),
        ];
        for (line, (passed, failed, skipped)) in table {
            let mut tally = Tally::default();
            tally.read(line);
            assert_eq!(tally, Tally { passed, failed, skipped }, "{line}");
        }
    }

    #[test]
    fn runs_add_up_to_one_plain_line() {
        let mut tally = Tally::default();
        tally.read("test result: ok. 3 passed; 0 failed; 0 ignored");
        tally.read("test result: FAILED. 1 passed; 2 failed; 0 ignored");
        assert_eq!(tally.to_string(), "4 passed, 2 failed");
    }
}

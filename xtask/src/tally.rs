//! How many tests passed and failed, in the words of the program that ran them.

/// Numbers of tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) skipped: u32,
}

/// Who runs the tests. Each sums up in its own words, and shows the other's in the output of a test that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runner {
    Nextest,
    CargoTest,
}

impl Tally {
    /// Adds what a line of the runner's output says, if it is a summary.
    pub(crate) fn read(&mut self, runner: Runner, line: &str) {
        let line = without_colours(line);
        let numbers = match runner {
            Runner::Nextest if line.trim_start().starts_with("Summary [") => line.split_once(" run: "),
            Runner::CargoTest => {
                line.strip_prefix("test result: ").and_then(|result| result.split_once(". "))
            }
            Runner::Nextest => None,
        };
        let numbers = numbers.map(|(_, numbers)| numbers);
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
    use Runner::{CargoTest, Nextest};

    #[test]
    fn both_runners_are_understood() {
        let bold = |text: &str| format!("\u{1b}[1m{text}\u{1b}[0m");
        let coloured = format!(
            "     Summary [ 0.1s] {} test run: {} passed, {} skipped",
            bold("1"),
            bold("1"),
            bold("0")
        );
        let table = [
            (Nextest, "     Summary [   3.0s] 264 tests run: 264 passed, 1 skipped", (264, 0, 1)),
            (
                Nextest,
                "  Summary [3.0s] 9 tests run: 5 passed (2 slow), 3 failed, 1 timed out, 0 skipped",
                (5, 4, 0),
            ),
            (Nextest, coloured.as_str(), (1, 0, 0)),
            (Nextest, "        PASS [   0.0s] 7 passed, 8 failed", (0, 0, 0)),
            (Nextest, "    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured", (0, 0, 0)),
            (
                CargoTest,
                "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out",
                (12, 0, 1),
            ),
            (CargoTest, "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured", (2, 1, 0)),
            (CargoTest, "     Summary [   3.0s] 264 tests run: 264 passed, 1 skipped", (0, 0, 0)),
        ];
        for (runner, line, (passed, failed, skipped)) in table {
            let mut tally = Tally::default();
            tally.read(runner, line);
            assert_eq!(tally, Tally { passed, failed, skipped }, "{line}");
        }
    }

    #[test]
    fn runs_add_up_to_one_plain_line() {
        let mut tally = Tally::default();
        tally.read(CargoTest, "test result: ok. 3 passed; 0 failed; 0 ignored");
        tally.read(CargoTest, "test result: FAILED. 1 passed; 2 failed; 0 ignored");
        assert_eq!(tally.to_string(), "4 passed, 2 failed");
    }
}

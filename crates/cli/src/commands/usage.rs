//! How much of their plans the profiles have used, as bars that fit the terminal.

use std::time::Duration;

use coderclaw_auth::{Tone, Usage, UsageWindow};
use coderclaw_types::Millis;

use crate::paint::Paint;
use crate::text::{self, clean};

/// Figures older than this say so.
const RECENT: Duration = Duration::from_secs(60);

/// A line with a bar.
pub(super) struct Bar<'a> {
    /// At most twelve columns.
    pub(super) label: &'a str,
    /// From 0 to 100.
    pub(super) percent: f64,
    /// What is said behind it.
    pub(super) tail: &'a str,
    pub(super) tone: Tone,
}

impl Bar<'_> {
    /// The line, as wide as the terminal lets it be.
    pub(super) fn line(&self, width: usize, paint: Paint) -> String {
        // Label, percentage and tail come first; the bar gets what is left.
        let room = width.saturating_sub(4 + 12 + 1 + 5 + 22).clamp(10, 40);
        let percent = self.percent.clamp(0.0, 100.0);
        let full = (0..room).filter(|cell| (*cell as f64 + 0.5) * 100.0 / room as f64 <= percent).count();
        let bar = paint.tone(self.tone, &"█".repeat(full)) + &"░".repeat(room - full);
        let line = format!("    {:<12} {bar} {percent:>3.0}%", self.label);
        match self.tail {
            "" => format!("{line}\n"),
            tail if 4 + 12 + 1 + room + 5 + 2 + text::columns(tail) <= width => format!("{line}  {tail}\n"),
            tail => format!("{line}\n{:17}{tail}\n", ""),
        }
    }
}

/// For people.
pub(super) fn words(all: &[Usage], now: Millis) -> String {
    if all.is_empty() {
        return "\nUsage\n  no profile here has a plan whose provider publishes figures\n".into();
    }
    let mut out = String::from("\nUsage\n");
    for usage in all {
        let plan = usage.plan.as_ref().map(|plan| format!("  ({})", clean(plan))).unwrap_or_default();
        out.push_str(&format!("  {}{plan}\n", clean(usage.profile_id.as_str())));
        figures(usage, now, text::width(), Paint::PLAIN, &mut out);
    }
    out
}

/// What is known of one profile's plan, below its other lines.
pub(super) fn of_profile(usage: &Usage, now: Millis, width: usize, paint: Paint, out: &mut String) {
    let plan = usage.plan.as_ref().map(|plan| format!("plan {}", clean(plan)));
    let is_old = now.since(usage.fetched_at) >= RECENT;
    let age = is_old.then(|| format!("usage as of {}", text::when(usage.fetched_at, now)));
    let about: Vec<String> = plan.into_iter().chain(age).collect();
    if !about.is_empty() {
        out.push_str(&format!("    {}\n", about.join(" · ")));
    }
    figures(usage, now, width, paint, out);
}

fn figures(usage: &Usage, now: Millis, width: usize, paint: Paint, out: &mut String) {
    if let Some(error) = &usage.error {
        let lines = text::wrap(&clean(error), width.saturating_sub(4));
        out.extend(lines.iter().map(|line| format!("    {line}\n")));
    } else if usage.windows.is_empty() {
        out.push_str("    the provider names no limits for it\n");
    }
    out.extend(usage.windows.iter().map(|window| line(window, now, width, paint)));
}

fn line(window: &UsageWindow, now: Millis, width: usize, paint: Paint) -> String {
    let label: String = clean(&window.label).chars().take(12).collect();
    let tail = match window.reset_at {
        Some(at) if at > now => format!("again {}", text::when(at, now)),
        // What was used of the window before says nothing of this one.
        Some(at) => return format!("    {label:<12} began anew {}\n", text::when(at, now)),
        None => String::new(),
    };
    let tone = match window.used_percent {
        percent if percent >= 90.0 => Tone::Bad,
        percent if percent >= 70.0 => Tone::Middling,
        _ => Tone::Good,
    };
    Bar { label: &label, percent: window.used_percent, tail: &tail, tone }.line(width, paint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_fit_and_do_not_lie() {
        let window = |used_percent| UsageWindow {
            label: "Week, Sonnet".into(),
            used_percent,
            reset_at: Some(Millis(90 * 60_000)),
        };
        for width in [40, 60, 80, 140] {
            for percent in [0.0, 49.0, 100.0] {
                let shown = line(&window(percent), Millis(0), width, Paint::PLAIN);
                assert!(shown.lines().all(|line| line.chars().count() <= width), "{shown}");
                assert_eq!(shown.contains('█'), percent > 0.0);
                assert_eq!(shown.contains('░'), percent < 100.0);
                assert!(shown.ends_with("again in 90 min\n"), "{shown}");
            }
        }
        let past = line(&window(80.0), Millis(92 * 60_000), 80, Paint::PLAIN);
        assert_eq!(past, "    Week, Sonnet began anew 2 min ago\n");
    }
}

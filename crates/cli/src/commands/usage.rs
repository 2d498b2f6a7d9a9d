//! How much of their plans the profiles have used, as bars that fit the terminal.

use coderclaw_auth::{Usage, UsageWindow};
use coderclaw_types::Millis;

use crate::text::{self, clean};

/// For people.
pub(super) fn words(all: &[Usage], now: Millis) -> String {
    if all.is_empty() {
        return "\nUsage\n  no profile here has a plan whose provider publishes figures\n".into();
    }
    let mut out = String::from("\nUsage\n");
    for usage in all {
        let plan = usage.plan.as_ref().map(|plan| format!("  ({})", clean(plan))).unwrap_or_default();
        out.push_str(&format!("  {}{plan}\n", clean(usage.profile_id.as_str())));
        if let Some(error) = &usage.error {
            let lines = text::wrap(&clean(error), text::width().saturating_sub(4));
            out.extend(lines.iter().map(|line| format!("    {line}\n")));
        } else if usage.windows.is_empty() {
            out.push_str("    the provider names no limits for it\n");
        }
        out.extend(usage.windows.iter().map(|window| line(window, now, text::width())));
    }
    out
}

fn line(window: &UsageWindow, now: Millis, width: usize) -> String {
    let reset = match window.reset_at {
        Some(at) if at > now => format!("  again {}", text::when(at, now)),
        _ => String::new(),
    };
    // Label, percentage and reset come first; the bar gets what is left.
    let room = width.saturating_sub(4 + 12 + 1 + 5 + 22).clamp(10, 40);
    let percent = window.used_percent.clamp(0.0, 100.0);
    let full = (0..room).filter(|cell| (*cell as f64 + 0.5) * 100.0 / room as f64 <= percent).count();
    let bar = "█".repeat(full) + &"░".repeat(room - full);
    format!("    {:<12} {bar} {percent:>3.0}%{reset}\n", window.label)
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
        for width in [60, 80, 140] {
            for percent in [0.0, 49.0, 100.0] {
                let line = line(&window(percent), Millis(0), width);
                assert!(line.trim_end().chars().count() <= width, "{line}");
                assert_eq!(line.contains('█'), percent > 0.0);
                assert_eq!(line.contains('░'), percent < 100.0);
                assert!(line.ends_with("again in 90 min\n"), "{line}");
            }
        }
    }
}

//! A process that lives long: thousands of loans and refreshes in a task of it, its memory and its handles counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use coderclaw_auth::{Ask, Auth, Runner};
use coderclaw_types::{Clock, Env, Millis};

/// Loans between two refreshes.
const LOANS: usize = 50;

#[derive(Debug, Clone, Copy)]
struct Size {
    handles: usize,
    resident_kb: u64,
}

fn size() -> Size {
    let handles = std::fs::read_dir("/proc/self/fd").into_iter().flatten().count();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident_kb = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    Size { handles, resident_kb }
}

/// Lends from the state dir for so long. The last of its lines says what it did.
pub(crate) fn steady(state: &str, time: Duration) -> Result<(), String> {
    let shift = Arc::new(AtomicI64::new(0));
    let hand = Arc::clone(&shift);
    let clock = Clock::from_fn(move || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(i64::try_from(since.as_millis()).unwrap_or(0) + hand.load(Ordering::SeqCst))
    });
    let env = Env::new([("CODERCLAW_STATE_DIR".into(), state.into())], None, "/".into());
    let auth = Auth::open(env, clock, Runner::Thread).map_err(|e| e.to_string())?;
    let agent = auth.agent(None).map_err(|e| e.to_string())?;
    let provider = auth.provider("openai-codex").map_err(|e| e.to_string())?;
    let began = Instant::now();
    let (mut refreshes, mut warm, mut half) = (0, None, None);
    while began.elapsed() < time {
        for _ in 0..LOANS {
            auth.lease(&agent, provider, &Ask::default()).map_err(|e| format!("a loan failed: {e}"))?;
        }
        refreshes += 1;
        shift.fetch_add(3_700_000, Ordering::SeqCst);
        // What is made once, such as a pool, is made by then.
        if refreshes == 20 {
            warm = Some(size());
        }
        if half.is_none() && began.elapsed() > time / 2 {
            half = Some((refreshes, size()));
        }
    }
    let (before, after) = (warm.unwrap_or_else(size), size());
    let (at_half, middle) = half.unwrap_or((0, before));
    let grown = |from: Size| i128::from(after.resident_kb) - i128::from(from.resident_kb);
    println!(
        "one process: {refreshes} refreshes, {} loans; {} kB, {:+} since the 20th refresh, {:+} since the {at_half}th; \
         {} handles, then {}",
        refreshes * LOANS,
        after.resident_kb,
        grown(before),
        grown(middle),
        before.handles,
        after.handles
    );
    if after.handles > before.handles + 1 {
        return Err(format!("handles grow: {} to {}", before.handles, after.handles));
    }
    Ok(())
}

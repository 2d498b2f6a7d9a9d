//! What `models auth log` takes.

use std::time::Duration;

use clap::Args;
use coderclaw_auth::Event;

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Only about this profile, and how it came to stand as it does
    #[arg(long, value_name = "ID")]
    pub(crate) profile: Option<String>,
    /// Only about this provider
    #[arg(long, value_name = "ID")]
    pub(crate) provider: Option<String>,
    /// Only events of this kind
    #[arg(long, value_name = "EVENT", value_parser = event)]
    pub(crate) event: Option<&'static str>,
    /// Only the last while: 90m, 12h, 7d
    #[arg(long, value_name = "DURATION", value_parser = crate::text::duration)]
    pub(crate) since: Option<Duration>,
    /// At most so many events, the newest
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}

fn event(text: &str) -> Result<&'static str, String> {
    let all: Vec<&str> = Event::ALL.iter().map(|event| event.as_str()).collect();
    let known = Event::ALL.iter().map(|event| event.as_str()).find(|known| *known == text);
    known.ok_or_else(|| format!("the events are {}", all.join(", ")))
}

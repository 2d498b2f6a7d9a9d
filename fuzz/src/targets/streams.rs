//! Event streams: wherever the network cuts them, they say the same.

use coderclaw_agents::model::sse::{LIMIT, Parser, SseEvent};
use coderclaw_providers::read_event_failure;
use coderclaw_types::Millis;

fn events(parts: &[&[u8]]) -> Vec<SseEvent> {
    let mut parser = Parser::default();
    let mut events = Vec::new();
    for part in parts {
        parser.push(part, &mut events).expect("it is shorter than any limit");
    }
    events
}

/// The first byte says where it is cut.
pub(super) fn run(bytes: &[u8]) {
    let [at, stream @ ..] = bytes else { return };
    if stream.len() >= LIMIT {
        return;
    }
    let whole = events(&[stream]);
    let (one, two) = stream.split_at(usize::from(*at) * stream.len() / 256);
    assert_eq!(events(&[one, two]), whole, "cut once");
    assert_eq!(events(&[one, b"", two]), whole, "and with nothing in between");
    let single: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(events(&single), whole, "byte by byte");
    for event in &whole {
        assert!(!event.data.contains('\r') && !event.name.contains(['\r', '\n']));
        let failure = read_event_failure(event.data.as_bytes(), Millis(1_000));
        assert!(!failure.to_string().chars().any(char::is_control), "{failure}");
    }
}

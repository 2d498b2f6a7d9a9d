//! Words of a stranger, made fit to be shown.

pub use coderclaw_types::for_people;

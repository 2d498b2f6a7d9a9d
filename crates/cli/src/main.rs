//! The `coderclaw` binary.

fn main() {}

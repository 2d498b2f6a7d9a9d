//! What lives above the logins: agents and their routes, models and their names, sessions, and chat turns.
//!
//! Whose credential a turn uses is not decided here: that is asked of `coderclaw-auth`, each time.

pub mod model;

//! What lives above the logins: agents and their routes, models and their names, sessions, and chat turns.
//!
//! Whose credential a turn uses is not decided here: that is asked of `coderclaw-auth`, each time.

mod binding;
mod conversation;
pub mod model;
mod route;
mod session;
mod slash;

pub use binding::{Binding, Bound, Match, Peer, PeerKind, PeerRule, bindings};
pub use conversation::{Answer, Conversation, End, Line};
pub use route::{DmScope, MatchedBy, Origin, Route, Rules};
pub use session::{SessionError, Sessions, session_key, switch_model};
pub use slash::{Listing, ModelWish, Slash, SlashError, read_slash};

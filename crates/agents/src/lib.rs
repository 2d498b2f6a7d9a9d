//! What lives above the logins: agents and their routes, models and their names, sessions, and chat turns.
//!
//! Whose credential a turn uses is not decided here: that is asked of `coderclaw-auth`, each time.

mod binding;
mod chat;
mod conversation;
pub mod model;
mod model_names;
mod model_ref;
mod route;
mod session;
mod slash;
mod turn;

pub use binding::{Binding, Bound, Match, Peer, PeerKind, PeerRule, bindings};
pub use chat::{Chat, ChatError, InUse, Told};
pub use conversation::{Answer, Conversation, End, Line};
pub use model_names::{Alias, ModelError, ModelNames};
pub use model_ref::ModelRef;
pub use route::{DmScope, MatchedBy, Origin, Route, Rules};
pub use session::{SessionError, Sessions, session_key, switch_model};
pub use slash::{Listing, ModelWish, Slash, SlashError, read_slash};
pub use turn::{Answered, Turn, TurnError, TurnEvent, TurnRequest};

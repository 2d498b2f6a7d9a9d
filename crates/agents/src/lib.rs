//! What lives above the logins: agents and their routes, models and their names, sessions, and chat turns.
//!
//! Whose credential a turn uses is not decided here: that is asked of `coderclaw-auth`, each time.

mod agent_error;
mod binding;
mod change;
mod chat;
mod conversation;
mod delete;
mod identity;
pub mod model;
mod model_names;
mod model_ref;
mod roster;
mod route;
mod session;
mod slash;
mod turn;

pub use agent_error::AgentError;
pub use binding::{Binding, Bound, Match, Peer, PeerKind, PeerRule, bindings};
pub use change::{Added, NewAgent, add_agent, bind_agent, new_agent_id, set_identity, unbind_agent};
pub use chat::{Chat, ChatError, InUse, Told};
pub use conversation::{Answer, Conversation, End, Line};
pub use delete::{Deleted, check_deletable, delete_agent};
pub use identity::{Identity, read_identity};
pub use model_names::{Alias, ModelError, ModelNames};
pub use model_ref::ModelRef;
pub use roster::{AgentSummary, model, roster, workspace};
pub use route::{DmScope, MatchedBy, Origin, Route, Rules};
pub use session::{SessionError, Sessions, account_words, session_key};
pub use slash::{Listing, ModelWish, Slash, SlashError, read_slash};
pub use turn::{Answered, Turn, TurnError, TurnEvent, TurnRequest};

//! The heart of CoderClaw: which profile is used for a chat, how its login is refreshed exactly once, and why.
//!
//! An [`Auth`] is one state dir, seen with one environment and one clock. [`Auth::explain`] looks and changes
//! nothing; [`Auth::lease`] hands out an access token, refreshing it first where it is due. Both use the same
//! resolver, so that what is shown is what is done.
//!
//! ```
//! use coderclaw_auth::{Ask, Auth, Runner};
//! use coderclaw_types::{Clock, Code, Env, Millis};
//!
//! // A program captures its environment and its clock once, in `main`.
//! let env = Env::new([("CODERCLAW_STATE_DIR".into(), "/nowhere/coderclaw".into())], None, "/".into());
//! let auth = Auth::open(env, Clock::fixed(Millis(0)), Runner::Thread)?;
//! let (agent, codex) = (auth.agent(None)?, auth.provider("openai-codex")?);
//!
//! // Why this profile, and why not the others: nothing is changed, and nothing is sent.
//! let why = auth.explain(&agent, codex, &Ask::default())?;
//! assert!(why.winner.is_none());
//!
//! // A token to call the API with, or a code that says what is missing.
//! match auth.lease(&agent, codex, &Ask::default()) {
//!     Ok(lease) => println!("{:?} until {:?}", lease.profile, lease.valid_until),
//!     Err(e) => assert_eq!(e.code(), Code::MissingCredential),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/lease.rs` goes on from there: it calls an API with the lease and reports how that went, which is what cooldowns,
//! rotation and the refresh of a rejected token live on.

mod attention;
mod cache;
mod child;
mod context;
mod cooldown;
mod cooldown_edit;
mod decide;
mod discovered;
mod diverged;
mod dry_run;
mod edit;
mod events;
mod explain;
mod first_use;
mod freshness;
mod grant;
mod herald;
mod identity;
mod import;
mod keep_alive;
mod lease;
mod lender;
mod link;
mod logged_out;
mod login;
mod logout;
mod moved;
mod order;
mod order_edit;
mod outsiders;
mod paste;
mod persist;
mod plugin;
mod probe;
mod profile_edit;
mod prune;
mod reference;
mod reference_edit;
mod refresh;
mod refresh_now;
mod report;
mod resolve;
mod revoke;
mod scene;
mod secret_places;
mod shared;
mod standing;
mod status;
mod sweep;
mod told;
mod trail;
mod usage;
mod way_out;

pub use attention::{Alert, Urgency};
pub use context::{Auth, OpenError, Runner};
pub use cooldown_edit::Cooling;
pub use diverged::DivergedCopy;
pub use dry_run::{Sketch, sketches};
pub use edit::EditError;
pub use events::Event;
pub use explain::{Candidate, Explanation, OrderSource, PinSource, Verdict, Winner};
pub use first_use::{ImportProblem, PendingImport};
pub use herald::{HERALD_VARIABLE, run_herald_process};
pub use import::{FoundStore, ImportError, ImportReport, ImportVerdict, ImportedEntry, Program, find_stores};
pub use keep_alive::KeptAlive;
pub use lease::Lease;
pub use lender::Lender;
pub use link::{BrokenLink, LinkError, Linked};
pub use login::{
    CodeWait, Door, LoggedIn, LoginError, LoginRequest, LoginUi, LoginWait, NotYet, Pastes, PluginUi,
    Questions, StartedLogin, Tried,
};
pub use logout::LoggedOut;
pub use moved::Moved;
pub use paste::{Cleaned, PasteKind, PasteProblem, clean_token};
pub use persist::PersistError;
pub use plugin::{BrokenPlugin, PLUGIN_FILE, PluginWindow, seal};
pub use probe::{ProbePlan, ProbeStatus, Probed};
pub use profile_edit::{Pasted, Renamed, Stored, Used};
pub use prune::{Restored, Spent};
pub use reference_edit::Referred;
pub use refresh::{RefreshError, WORKER_VARIABLE, run_worker_process};
pub use refresh_now::Refreshed;
pub use report::{Halt, Next, Outcome, ReportError};
pub use resolve::{Ask, LeaseError, ResolveError};
pub use revoke::Revocation;
pub use secret_places::SecretPlace;
pub use shared::{GrantPlace, SharedGrant};
pub use status::{AgentStatus, ProfileStatus, ProviderStatus};
pub use sweep::{StrayCopy, Sweep};
pub use told::{Call, Tone};
pub use trail::TrailLine;
pub use usage::{Usage, UsageWindow};
pub use way_out::{CaFile, WayOut};

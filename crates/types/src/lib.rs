//! The words of CoderClaw as types.
//!
//! Everything here is a value: nothing reads a file, the environment or the clock. [`Env`] and [`Clock`] are
//! captured once in `main` and handed down, so that a library can be used, and tested, anywhere.

mod clock;
mod codes;
mod env;
mod hash;
mod ids;
mod redact;
mod secret;
mod times;
mod words;

pub use clock::{Clock, Millis};
pub use codes::{Code, CodeKind};
pub use env::Env;
pub use hash::{Fingerprint, FingerprintKey, GrantId, InvalidHash, TokenHash, sha256_parts};
pub use ids::{AgentId, InvalidId, ProfileId, ProviderId};
pub use redact::{KINDS as CREDENTIAL_KINDS, MASK, redact};
pub use secret::Secret;
pub use times::{span, when};
pub use words::{code_word, for_people, visible};

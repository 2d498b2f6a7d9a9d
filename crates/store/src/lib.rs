//! Files that cannot be lost.
//!
//! Everything CoderClaw keeps on disk goes through this crate: where files are ([`StateDir`]), how they are read
//! while others write ([`read_auth_store`]), how they are replaced so that a kill leaves the old version or the new
//! one ([`StoreGuard::commit`]), the kernel locks, and the redo log that keeps a rotated token from getting lost
//! ([`Journal`]). It knows no provider and no network.
//!
//! ```
//! use coderclaw_store::{Config, StateDir, read_auth_store};
//! use coderclaw_types::{Env, ProfileId};
//!
//! // Nothing is made or written by this, and a store that is not there is an empty one.
//! let env = Env::new([("CODERCLAW_STATE_DIR".into(), "/nowhere/coderclaw".into())], None, "/".into());
//! let state = StateDir::from_env(&env);
//! let config = Config::load(&state, &env)?;
//! let agent = state.agent(&config, &config.default_agent());
//! let store = read_auth_store(&agent.store())?;
//! assert!(store.doc.get(&ProfileId::new("openai-codex:work")?).is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![allow(clippy::disallowed_methods, reason = "this is the crate that reads, writes and renames files")]

pub mod faults;

mod agent_file;
mod attention;
mod audit;
mod audit_read;
mod commit;
mod config;
mod connect;
mod console_links;
mod foreign;
mod gateway_keys;
mod generations;
mod helper_cache;
mod journal;
mod kept_key;
mod key;
mod ledger;
mod legacy;
mod locks;
mod logins;
mod loose;
mod openclaw_database;
mod original;
mod outcome;
mod own_file;
mod paths;
mod persisted;
mod plugin_log;
mod plugins;
mod profiles;
mod provider_files;
mod read;
mod receipts;
mod reference;
mod registrations;
mod runtime_cache;
mod sessions;
mod settings;
mod sqlite;
mod state;
mod token_socket;
mod transcript;
mod trash;
mod usage_cache;

pub use agent_file::{AgentDoc, AgentSettings, read_agent_settings};
pub use attention::{Attention, Told, read_attention};
pub use audit::{AuditLine, append_audit};
pub use audit_read::{AuditPlace, AuditRead, read_audit, read_audit_since};
pub use commit::{WriteError, take_away, write_private};
pub use config::{
    AgentConfig, Config, ConfigDoc, ConfigEdit, ConfigEditError, ConfigError, ConfigProblem, ConfigProfile,
    ConfigReport, CooldownSettings, InvalidKeyPath, KeyPath, ModelChoice, ModelEntry, ProviderConfig, Step,
    check_config, config_value, edit_config, json5_value,
};
pub use connect::{
    ConnectError, Connection, ConnectionPlan, SettingChange, SettingsFormat, ToolSetting, ToolSettings,
    plan_connection, plan_disconnection,
};
pub use console_links::{LinkUse, make_console_link, use_console_link};
pub use foreign::{StoreOwner, store_owner};
pub use gateway_keys::{
    GatewayKey, GatewayKeysError, add_gateway_key, read_gateway_keys, revoke_gateway_key,
};
pub use generations::generation_of;
pub use helper_cache::{HelperCache, HelperResult};
pub use journal::{Journal, JournalView, Pending, Record};
pub use kept_key::{keep_gateway_key, read_kept_gateway_key};
pub use key::{fingerprint_key, read_fingerprint_key};
pub use ledger::Ledger;
pub use legacy::{Legacy, parse_auth_json, parse_oauth_json};
pub use locks::{
    AgentFileGuard, AttentionGuard, GrantGuard, HelperGuard, Holder, ImportGuard, LockError, PersistGuard,
    RegistrationsGuard, SessionsGuard, SocketGuard, StateGuard, StoreGuard, UsageGuard, WorkerLock,
};
pub use logins::{PendingCode, PendingLogin};
pub use loose::{Loose, loose, tighten};
pub use openclaw_database::{
    AGENT_DATABASE, DatabaseError, DatabaseStores, SHARED_DATABASE, read_openclaw_database,
};
pub use original::OriginalGuard;
pub use outcome::{Outcome, OutcomeKind};
pub use paths::{AgentPaths, StateDir};
pub use persisted::{Persisted, read_persisted};
pub use plugin_log::append_plugin_log;
pub use plugins::{PluginError, StagedPlugin};
pub use profiles::{
    ApiKeyEntry, AuthProfiles, DocumentError, Entry, LoginEntry, OAuthEntry, Order, TokenEntry, TokenUpdate,
};
pub use provider_files::{ProviderFolder, read_provider_file};
pub use read::{Origin, ReadError, Signature, StoreSnapshot, look_at_auth_store, read_auth_store, read_text};
pub use receipts::{ImportReceipt, Receipts, read_receipts};
pub use reference::{Place, Reference};
pub use registrations::{Registration, RegistrationError, Registrations, read_registrations};
pub use runtime_cache::RuntimeCache;
pub use sessions::{Pin, SessionEntry, SessionIndex, read_sessions};
pub use settings::{AuditSettings, HookSettings, Settings, read_settings};
pub use state::{AuthState, Refused, UsageStats, read_auth_state};
pub use transcript::{Transcript, read_transcript, transcript_path};
pub use trash::Trashed;
pub use usage_cache::read_usage_cache;

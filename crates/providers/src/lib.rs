//! Who one can log in to, as data.
//!
//! A provider is one TOML manifest. The built-in ones were compiled to tables; a person's own are handed in as text
//! and may change a built-in one or be based on it. Nothing here reads a file, the environment or the network.
//!
//! ```
//! use std::path::PathBuf;
//!
//! use coderclaw_providers::{CredentialKind, MethodKind, Registry};
//! use coderclaw_types::{ProviderId, Secret};
//!
//! let file = r#"
//!     extends = "openai-codex"
//!     [[auth]]
//!     method = "oauth"
//!     token_url = "http://127.0.0.1:9/oauth/token"
//! "#;
//! let registry = Registry::with_files([(PathBuf::from("codex.toml"), file.to_owned())])?;
//! let codex = registry.get(&ProviderId::new("openai-codex")).ok_or("no such provider")?;
//! let oauth = codex.auth(MethodKind::OAuth).ok_or("no such method")?;
//! assert_eq!(oauth.token_origin().as_deref(), Some("http://127.0.0.1:9"));
//!
//! let headers = codex.request_headers(CredentialKind::OAuth, &Secret::from("at-1"), Some("acct-1"));
//! assert_eq!(headers[0], ("authorization".to_owned(), Secret::from("Bearer at-1")));
//! assert_eq!(headers[1].0, "chatgpt-account-id");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accept;
mod apply;
mod built_in;
mod checked;
mod elsewhere;
mod endpoint;
mod error;
mod failure;
mod files;
mod keys;
mod manifest;
mod near;
mod parse;
mod plugin;
mod registry;
mod request;
mod template;
mod words;

pub use accept::Rejected;
pub use endpoint::endpoint_origin;
pub use error::ManifestError;
pub use failure::{Failure, FailureKind, Scope, read_event_failure, read_failure};
pub use keys::schema;
pub use manifest::{Api, AuthMethod, ClientSecret, Identity, List, Manifest, Pairs, Plugin, Source, Text};
pub use registry::Registry;
pub use template::{check_id, template};
pub use words::{
    ApiKind, Billing, CredentialKind, DeviceDialect, MethodKind, PluginCall, Revoke, TokenRequest,
};

//! Asking a model: a lease and a prompt in, text as it arrives out.
//!
//! One request for one [`Prompt`], nothing sent twice: what a failure means for the login is for
//! `Auth::report` to say, and what is done next for the caller. Written by hand, since the client crates there are
//! either take one key for good, or hide the status and the headers that tell an account's limit from a model's.
//! Nothing of another program is imitated: no User-Agent, no prompt, no tool name.
//!
//! ```no_run
//! # async fn turn(auth: &coderclaw_auth::Auth, manifest: &coderclaw_providers::Manifest, lease: &coderclaw_auth::Lease)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! use coderclaw_agents::model::{Event, ModelClient, Prompt};
//! use coderclaw_http::Network;
//!
//! let client = ModelClient::new(&Network::from_env(auth.env()), auth.clock().clone())?;
//! let mut reply = client.ask(manifest, lease, &Prompt::new("some-model", "Hello")).await?;
//! let mut text = String::new();
//! while let Some(event) = reply.next().await {
//!     match event? {
//!         Event::Text(more) => text.push_str(&more),
//!         Event::Done(done) => println!("{text} ({:?})", done.stop),
//!     }
//! }
//! # Ok(()) }
//! ```

mod anthropic;
mod chat;
mod reply;
mod request;
mod responses;
pub mod sse;

use std::time::Duration;

use coderclaw_auth::Lease;
use coderclaw_http::{Client, HttpError, Limits, Network, SendError};
use coderclaw_providers::{ApiKind, Failure, FailureKind, Manifest, read_failure};
use coderclaw_types::Clock;

pub use reply::Reply;

/// For name, connection, proxy and handshake.
const CONNECT: Duration = Duration::from_secs(15);
/// A model may think for minutes before it says a word.
const IDLE: Duration = Duration::from_secs(300);

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said.
    pub text: String,
}

/// What a model is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The model's id at the provider, without the provider's own.
    pub model: String,
    /// What the model should know beforehand.
    pub system: Option<String>,
    /// The conversation; the last message is the person's.
    pub messages: Vec<Message>,
    /// The longest answer, where the API takes a limit. Anthropic's needs one: 4096 where this is `None`.
    pub max_tokens: Option<u32>,
}

impl Prompt {
    /// One question to a model.
    pub fn new(model: &str, text: &str) -> Self {
        let messages = vec![Message { role: Role::User, text: text.to_owned() }];
        Self { model: model.to_owned(), system: None, messages, max_tokens: None }
    }
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// More of the answer.
    Text(String),
    /// The answer is complete; nothing follows.
    Done(Done),
}

/// How a complete answer ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Done {
    /// Why it ended.
    pub stop: Stop,
    /// What it cost.
    pub usage: Usage,
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Stop {
    /// It was said.
    #[default]
    End,
    /// The longest answer was reached.
    Length,
    /// The provider's rules cut it off.
    Refused,
    /// Something else; the provider's word for it.
    Other(String),
}

/// Tokens that were counted; zero where the provider says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Of the question.
    pub input: u64,
    /// Of the answer.
    pub output: u64,
}

/// Sends prompts. Building one reads the system's CAs: build it when the first prompt is there.
#[derive(Debug, Clone)]
pub struct ModelClient {
    http: Client,
    clock: Clock,
    idle: Duration,
}

impl ModelClient {
    /// A client for this network.
    ///
    /// # Errors
    /// Where TLS cannot be set up at all.
    pub fn new(network: &Network, clock: Clock) -> Result<Self, HttpError> {
        let limits = Limits { connect: CONNECT, total: IDLE };
        Ok(Self { http: Client::new(network, limits)?, clock, idle: IDLE })
    }

    /// The same, giving up on a stream that is silent for this long instead of five minutes.
    #[must_use]
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// Sends the prompt and waits for the head of the answer. Dropping the [`Reply`] gives the request up.
    ///
    /// # Errors
    /// A [`Failure`], as `Auth::report` takes it.
    pub async fn ask(&self, manifest: &Manifest, lease: &Lease, prompt: &Prompt) -> Result<Reply, Failure> {
        let api = manifest.api(lease.kind);
        let kind = api.kind.unwrap_or(ApiKind::OpenAiChat);
        let request = request::build(kind, api.base_url.as_deref(), lease, prompt)?;
        let incoming = self.http.open(request, self.idle).await.map_err(|e| lost(&e))?;
        let content = incoming.header("content-type").unwrap_or("text/event-stream");
        // A stream may come without a type; a page or a JSON document is no stream, whatever its status.
        let is_stream = !content.starts_with("text/html") && !content.starts_with("application/json");
        if (200..=299).contains(&incoming.status) && is_stream {
            return Ok(Reply::new(kind, incoming, self.clock.clone()));
        }
        let answer = incoming.whole().await.map_err(|e| lost(&e))?;
        Err(read_failure(kind, answer.status, &answer.headers, &answer.body, self.clock.now()))
    }
}

/// A request that got no answer, or only a part of one.
fn lost(error: &SendError) -> Failure {
    Failure::own(FailureKind::Network, error.to_string())
}

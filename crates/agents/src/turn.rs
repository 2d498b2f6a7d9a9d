//! One turn: what a person said goes to a model with the login that the resolver names, and the answer comes back.
//!
//! What a failure means for a login is for `Auth::report` to say. This module only does what it is told: ask again with
//! another token or account, wait a moment, go on to the next model, or stop. Whatever it does is told first.

use std::time::Duration;

use coderclaw_auth::{Ask, Auth, Halt, Lease, LeaseError, Moved, Next, Outcome, ReportError, ResolveError};
use coderclaw_http::{HttpError, Network};
use coderclaw_providers::{ApiKind, Failure, FailureKind, Manifest};
use coderclaw_store::AgentPaths;
use coderclaw_types::{Code, Millis, ProfileId};

use crate::conversation::{Answer, End, Line};
use crate::model::{Done, Event, Message, ModelClient, Prompt, Role, Stop};
use crate::model_ref::ModelRef;
use crate::session::{SessionError, Sessions};

/// A limit that ends this soon is waited for instead of being an error.
const WAIT_BUDGET: Duration = Duration::from_secs(10);
/// Before the same request goes out again after a service failed without naming a time.
const PAUSE: Duration = Duration::from_secs(1);
/// No turn needs as many requests; one that does is going in circles.
const MOST_REQUESTS: u32 = 16;

/// What a turn is asked to do.
#[derive(Debug, Clone)]
pub struct TurnRequest {
    /// In which session.
    pub key: String,
    /// What the person says.
    pub text: String,
    /// The models to try, the first choice first.
    pub models: Vec<ModelRef>,
    /// This profile and no other, for this turn only.
    pub profile: Option<ProfileId>,
    /// What the model should know beforehand.
    pub system: Option<String>,
    /// Where the agent works; stands in the head of a new transcript.
    pub workspace: String,
}

/// What is going on, to be told as it happens.
#[derive(Debug)]
pub enum TurnEvent<'a> {
    /// A request goes out.
    Asking {
        /// To which model.
        model: &'a ModelRef,
        /// With which profile; `None`: with a key from the environment or the config.
        profile: Option<&'a ProfileId>,
    },
    /// More of the answer.
    Text(&'a str),
    /// What came of the answer is void: it begins again.
    Again {
        /// Why.
        why: &'a str,
    },
    /// Another account goes on.
    Moved(&'a Moved),
    /// Another model goes on.
    Fallback {
        /// Which one could not.
        from: &'a ModelRef,
        /// Which one goes on.
        to: &'a ModelRef,
        /// Why.
        why: &'a str,
    },
    /// Nothing happens until then.
    Waiting {
        /// Until when.
        until: Millis,
        /// Why.
        why: &'a str,
    },
}

/// An answer that is complete and on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// What the model said.
    pub text: String,
    /// Which model.
    pub model: ModelRef,
    /// With which profile; `None`: with a key from the environment or the config.
    pub profile: Option<ProfileId>,
    /// The longest answer was reached.
    pub is_cut: bool,
    /// Tokens in and out.
    pub usage: (u64, u64),
    /// Moves to other accounts on the way.
    pub moved: Vec<Moved>,
}

/// Why there is no complete answer.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// The provider of the model is not known.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// No login can be used.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The provider said no.
    #[error("{}", .0.why)]
    Halted(Halt),
    /// No model that may be used answered; the last one's reason.
    #[error("{model}: {failure}")]
    Failed {
        /// Which model.
        model: ModelRef,
        /// Why.
        failure: Failure,
    },
    /// What became of a request could not be noted.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The session could not be read or written.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// There is no way out to the network.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// No model was named.
    #[error("no model is chosen; /models lists them")]
    NoModel,
    /// Something that should not happen.
    #[error("{0}")]
    Internal(String),
}

impl TurnError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Resolve(e) => e.code(),
            Self::Lease(e) => e.code(),
            Self::Halted(halt) => halt.code,
            Self::Failed { failure, .. } => failure.code(),
            Self::Report(e) => e.code(),
            Self::Session(e) => e.code(),
            Self::Http(_) => Code::Offline,
            Self::NoModel => Code::InputRequired,
            Self::Internal(_) => Code::Internal,
        }
    }

    /// Until when it stands, where known.
    pub fn until(&self) -> Option<Millis> {
        match self {
            Self::Lease(e) => e.until(),
            Self::Halted(halt) => halt.until,
            Self::Failed { failure, .. } => failure.reset,
            _ => None,
        }
    }

    /// The profile that it is about.
    pub fn profile(&self) -> Option<&ProfileId> {
        match self {
            Self::Lease(e) => e.profile(),
            Self::Halted(halt) => halt.profile.as_ref(),
            _ => None,
        }
    }
}

/// A turn under way. What has arrived of the answer stays in it when the future of [`Turn::run`] is dropped, so that
/// [`Turn::abort`] can put it down.
#[derive(Debug)]
pub struct Turn {
    auth: Auth,
    agent: AgentPaths,
    sessions: Sessions,
    client: ModelClient,
    request: TurnRequest,
    so_far: String,
    asked: Option<(ModelRef, ApiKind)>,
    moved: Vec<Moved>,
    requests: u32,
}

/// How the attempts with one model ended.
enum Attempt {
    Answered(Answered),
    /// Another model may do better.
    NextModel(Failure),
}

impl Turn {
    /// Prepares a turn. Builds the HTTP client, which reads the system's CAs.
    ///
    /// # Errors
    /// Where TLS cannot be set up at all.
    pub fn new(auth: &Auth, agent: &AgentPaths, request: TurnRequest) -> Result<Self, TurnError> {
        Ok(Self {
            auth: auth.clone(),
            agent: agent.clone(),
            sessions: Sessions::of(auth, agent),
            client: ModelClient::new(&Network::from_env(auth.env()), auth.clock().clone())?,
            request,
            so_far: String::new(),
            asked: None,
            moved: Vec::new(),
            requests: 0,
        })
    }

    /// Takes the turn: what the person said is on the disk before it is sent, the answer before this returns.
    ///
    /// # Errors
    /// Where no complete answer came. What came of one is in the transcript, marked as incomplete.
    pub async fn run(&mut self, tell: &mut dyn FnMut(TurnEvent<'_>)) -> Result<Answered, TurnError> {
        let conversation = self.sessions.conversation(&self.request.key)?;
        let mut messages = conversation.said;
        messages.push(Message { role: Role::User, text: self.request.text.clone() });
        self.append(Line::User(self.request.text.clone()))?;
        let result = self.ask_models(&messages, tell).await;
        let line = match &result {
            Ok(answered) if answered.is_cut => self.line(&answered.text, End::Length, Some(answered.usage)),
            Ok(answered) => self.line(&answered.text, End::Complete, Some(answered.usage)),
            Err(error) => self.line(&self.so_far, End::Failed(error.to_string()), None),
        };
        if let Some(line) = line {
            self.append(line)?;
        }
        result
    }

    /// Puts down what has come of an answer that the person stopped.
    ///
    /// # Errors
    /// Where the session cannot be written.
    pub fn abort(self) -> Result<(), TurnError> {
        match self.line(&self.so_far, End::Aborted, None) {
            Some(line) => self.append(line),
            None => Ok(()),
        }
    }

    fn append(&self, line: Line) -> Result<(), TurnError> {
        Ok(self.sessions.append(&self.request.key, &self.request.workspace, &[line])?)
    }

    /// The model's line; `None` where no model was asked.
    fn line(&self, text: &str, end: End, usage: Option<(u64, u64)>) -> Option<Line> {
        let (model, api) = self.asked.as_ref()?;
        Some(Line::Model(Answer {
            text: text.to_owned(),
            provider: model.provider.clone(),
            model: model.model.clone(),
            api: api.to_string(),
            usage,
            end,
        }))
    }

    async fn ask_models(
        &mut self,
        messages: &[Message],
        tell: &mut dyn FnMut(TurnEvent<'_>),
    ) -> Result<Answered, TurnError> {
        let models = self.candidates()?;
        let mut last = TurnError::NoModel;
        for (i, model) in models.iter().enumerate() {
            let failure = match self.ask_model(model, messages, tell).await? {
                Attempt::Answered(answered) => return Ok(answered),
                Attempt::NextModel(failure) => failure,
            };
            if let Some(next) = models.get(i + 1) {
                self.void(&failure.to_string(), tell);
                tell(TurnEvent::Fallback { from: model, to: next, why: &failure.to_string() });
            }
            last = TurnError::Failed { model: model.clone(), failure };
        }
        Err(last)
    }

    /// The models that may be asked. Where the user has pinned a profile, only those of its provider: a pin is never
    /// left.
    fn candidates(&self) -> Result<Vec<ModelRef>, TurnError> {
        let entry = self.sessions.entry(&self.request.key)?;
        let is_pinned = self.request.profile.is_some() || entry.pin().is_some_and(|pin| pin.by_user);
        let first = self.request.models.first().map(|model| model.provider.clone());
        let mut models = self.request.models.clone();
        models.retain(|model| !is_pinned || Some(&model.provider) == first.as_ref());
        Ok(models)
    }

    async fn ask_model(
        &mut self,
        model: &ModelRef,
        messages: &[Message],
        tell: &mut dyn FnMut(TurnEvent<'_>),
    ) -> Result<Attempt, TurnError> {
        let manifest = self.auth.provider(model.provider.as_str())?.clone();
        let ask = Ask {
            session: Some(self.request.key.clone()),
            model: Some(model.to_string()),
            profile: self.request.profile.clone(),
            ..Ask::default()
        };
        let prompt = Prompt {
            model: model.model.clone(),
            system: self.request.system.clone(),
            messages: messages.to_vec(),
            max_tokens: None,
        };
        let mut lease = self.lease(&manifest, &ask, tell).await?;
        let mut same_again = true;
        loop {
            self.asked = Some((model.clone(), manifest.api(lease.kind).kind.unwrap_or(ApiKind::OpenAiChat)));
            tell(TurnEvent::Asking { model, profile: lease.profile.as_ref() });
            let failure = match self.stream(&manifest, &lease, &prompt, tell).await {
                Ok(done) => {
                    return Ok(Attempt::Answered(self.answered(model, &manifest, lease, &ask, done).await?));
                }
                Err(failure) => failure,
            };
            let next = self.report(&manifest, &lease, &ask, Some(failure.clone())).await?;
            let wait = next.wait(self.auth.clock().now(), WAIT_BUDGET);
            match next {
                _ if self.requests >= MOST_REQUESTS => return Ok(Attempt::NextModel(failure)),
                Next::Retry { lease: other, moved } => {
                    self.void(&failure.to_string(), tell);
                    if let Some(moved) = moved {
                        tell(TurnEvent::Moved(&moved));
                        self.moved.push(moved);
                    }
                    lease = *other;
                    continue;
                }
                Next::SameLogin { again: true, until, .. }
                    if same_again && (until.is_none() || wait.is_some()) =>
                {
                    same_again = false;
                    self.void(&failure.to_string(), tell);
                    self.wait(wait.unwrap_or(PAUSE), &failure.to_string(), tell).await;
                    continue;
                }
                Next::SameLogin { .. } | Next::Nothing => return Ok(Attempt::NextModel(failure)),
                Next::Pause(halt) => {
                    let Some(wait) = wait else { return Err(TurnError::Halted(halt)) };
                    self.void(&failure.to_string(), tell);
                    self.wait(wait, &halt.why, tell).await;
                    lease = self.lease(&manifest, &ask, tell).await?;
                }
                Next::Stop(halt) => return Err(TurnError::Halted(halt)),
            }
        }
    }

    async fn stream(
        &mut self,
        manifest: &Manifest,
        lease: &Lease,
        prompt: &Prompt,
        tell: &mut dyn FnMut(TurnEvent<'_>),
    ) -> Result<Done, Failure> {
        self.requests += 1;
        self.so_far.clear();
        let mut reply = self.client.ask(manifest, lease, prompt).await?;
        while let Some(event) = reply.next().await {
            match event? {
                Event::Text(text) => {
                    self.so_far.push_str(&text);
                    tell(TurnEvent::Text(&text));
                }
                Event::Done(done) => return Ok(done),
            }
        }
        Err(Failure::own(FailureKind::Network, "the answer ended before it was complete"))
    }

    async fn answered(
        &mut self,
        model: &ModelRef,
        manifest: &Manifest,
        lease: Lease,
        ask: &Ask,
        done: Done,
    ) -> Result<Answered, TurnError> {
        self.report(manifest, &lease, ask, None).await?;
        if let Some(profile) = &lease.profile
            && self.request.profile.is_none()
        {
            self.sessions.picked(&self.request.key, profile)?;
        }
        Ok(Answered {
            text: self.so_far.clone(),
            model: model.clone(),
            profile: lease.profile,
            is_cut: done.stop == Stop::Length,
            usage: (done.usage.input, done.usage.output),
            moved: std::mem::take(&mut self.moved),
        })
    }

    /// Says that what came of the answer does not count, where anything came.
    fn void(&mut self, why: &str, tell: &mut dyn FnMut(TurnEvent<'_>)) {
        if !self.so_far.is_empty() {
            self.so_far.clear();
            tell(TurnEvent::Again { why });
        }
    }

    async fn wait(&self, span: Duration, why: &str, tell: &mut dyn FnMut(TurnEvent<'_>)) {
        tell(TurnEvent::Waiting { until: self.auth.clock().now().plus(span), why });
        tokio::time::sleep(span).await;
    }

    /// A lease; a cooldown that ends in a moment is waited for, once.
    async fn lease(
        &mut self,
        manifest: &Manifest,
        ask: &Ask,
        tell: &mut dyn FnMut(TurnEvent<'_>),
    ) -> Result<Lease, TurnError> {
        let lease = match self.lease_now(manifest, ask).await? {
            Ok(lease) => lease,
            Err(error) => match error.wait(self.auth.clock().now(), WAIT_BUDGET) {
                Some(span) => {
                    self.wait(span, &error.to_string(), tell).await;
                    self.lease_now(manifest, ask).await??
                }
                // Now and then one request may see whether it is over already.
                None => self.probe(manifest, ask).await?.ok_or(error)?,
            },
        };
        if let Some(moved) = &lease.moved {
            tell(TurnEvent::Moved(moved));
            self.moved.push(Moved::clone(moved));
        }
        Ok(lease)
    }

    /// A refresh may take a while, and whoever waits for the turn wants to be able to stop it.
    async fn lease_now(
        &self,
        manifest: &Manifest,
        ask: &Ask,
    ) -> Result<Result<Lease, LeaseError>, TurnError> {
        let (auth, agent) = (self.auth.clone(), self.agent.clone());
        let (manifest, ask) = (manifest.clone(), ask.clone());
        aside(move || auth.lease(&agent, &manifest, &ask)).await
    }

    async fn probe(&self, manifest: &Manifest, ask: &Ask) -> Result<Option<Lease>, TurnError> {
        let (auth, agent) = (self.auth.clone(), self.agent.clone());
        let (manifest, ask) = (manifest.clone(), ask.clone());
        Ok(aside(move || auth.probe_set_aside(&agent, &manifest, &ask)).await??)
    }

    async fn report(
        &self,
        manifest: &Manifest,
        lease: &Lease,
        ask: &Ask,
        failure: Option<Failure>,
    ) -> Result<Next, TurnError> {
        let (auth, agent) = (self.auth.clone(), self.agent.clone());
        let (manifest, lease, ask) = (manifest.clone(), lease.clone(), ask.clone());
        let reported = aside(move || {
            let outcome = failure.as_ref().map_or(Outcome::Worked, Outcome::Failed);
            auth.report(&agent, &manifest, &lease, outcome, &ask)
        });
        Ok(reported.await??)
    }
}

/// Runs what blocks on a thread of its own.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, TurnError> {
    tokio::task::spawn_blocking(work).await.map_err(|e| TurnError::Internal(e.to_string()))
}

//! The browser may come back, and its last address may be pasted: whichever is first.

use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use coderclaw_oauth::callback::{Callback, Listener, Reply, WaitError};
use coderclaw_oauth::{Pasted, RefreshAnswer, TokenSet, read_paste};
use coderclaw_types::Secret;

use super::attempt::{Attempt, Way, check_callback, check_issuer, in_words};
use super::error::LoginError;
use super::ui::{LoginUi, Pastes};
use crate::context::Auth;

/// What ended the wait: the tokens, and the browser that waits for its page.
pub(super) struct Answered {
    pub(super) tokens: TokenSet,
    pub(super) reply: Option<Reply>,
}

/// A login that waits.
pub(super) struct Waiting<'a> {
    pub(super) auth: &'a Auth,
    pub(super) way: &'a Way<'a>,
    pub(super) attempt: &'a Attempt,
    pub(super) listener: Option<Listener>,
    pub(super) pastes: Option<Pastes>,
    pub(super) limit: Duration,
}

enum Event {
    Came(Result<Callback, WaitError>),
    Pasted(Option<Secret>),
}

impl Waiting<'_> {
    /// Waits for the first answer that counts and redeems its code.
    pub(super) async fn run(mut self, ui: &mut dyn LoginUi) -> Result<Answered, LoginError> {
        let mut listens = self.listener.is_some();
        let mut listening = pin!(listen(self.listener.take(), self.way.path(), self.attempt, self.limit));
        let mut refusal: Option<String> = None;
        loop {
            if !listens && self.pastes.is_none() {
                let last = refusal.map(|text| format!(" {text}")).unwrap_or_default();
                return Err(LoginError::InputRequired(format!("nothing more can be pasted.{last}")));
            }
            let event = next(listening.as_mut(), listens, self.pastes.as_mut());
            let event = tokio::time::timeout(self.limit, event).await;
            match event.map_err(|_| LoginError::Wait(WaitError::TimedOut))? {
                Event::Came(Ok(Callback { code, iss, reply })) => {
                    if let Err(e) = check_callback(iss.as_deref(), self.way) {
                        return Err(fail(reply, e));
                    }
                    return match self.redeem(&code, iss.as_deref()).await {
                        Ok(Redeemed::Granted(tokens)) => Ok(Answered { tokens, reply: Some(reply) }),
                        Ok(Redeemed::Refused(why)) => Err(fail(reply, LoginError::Exchange(why))),
                        Err(e) => Err(fail(reply, e)),
                    };
                }
                Event::Came(Err(WaitError::Cancelled)) if self.pastes.is_some() => {
                    listens = false;
                    ui.said("Another program took the port for its own login. Paste the address of the last page here.");
                }
                Event::Came(Err(e @ WaitError::Denied { .. })) => {
                    return Err(LoginError::Denied(e.to_string()));
                }
                Event::Came(Err(e)) => return Err(LoginError::Wait(e)),
                Event::Pasted(None) => self.pastes = None,
                Event::Pasted(Some(text)) => {
                    let pasted = read_paste(text.expose(), &self.attempt.state, &self.attempt.redirect_uri);
                    match pasted {
                        Pasted::Code { code, iss } => match self.redeem(&code, iss.as_deref()).await? {
                            Redeemed::Granted(tokens) => return Ok(Answered { tokens, reply: None }),
                            // As with a code that was typed wrong.
                            Redeemed::Refused(why)
                                if self.pastes.as_ref().is_some_and(Pastes::may_bring_more) =>
                            {
                                let text =
                                    format!("The provider does not take this code ({why}). Paste it again.");
                                ui.said(&text);
                                refusal = Some(text);
                            }
                            Redeemed::Refused(why) => return Err(LoginError::Exchange(why)),
                        },
                        Pasted::Denied { ref iss, .. } => {
                            check_issuer(iss.as_deref(), self.way)?;
                            return Err(LoginError::Denied(pasted.to_string()));
                        }
                        other => {
                            ui.said(&other.to_string());
                            refusal = Some(other.to_string());
                        }
                    }
                }
            }
        }
    }

    async fn redeem(&self, code: &Secret, iss: Option<&str>) -> Result<Redeemed, LoginError> {
        check_issuer(iss, self.way)?;
        match self.attempt.redeem(self.auth, self.way, code).await? {
            RefreshAnswer::Granted(tokens) => Ok(Redeemed::Granted(tokens)),
            refused @ RefreshAnswer::Refused { .. } => Ok(Redeemed::Refused(in_words(refused))),
            other => Err(LoginError::Exchange(in_words(other))),
        }
    }
}

enum Redeemed {
    Granted(TokenSet),
    Refused(String),
}

fn fail(reply: Reply, error: LoginError) -> LoginError {
    reply.failure(error.code().as_str(), &error.to_string());
    error
}

async fn listen(
    listener: Option<Listener>,
    path: &str,
    attempt: &Attempt,
    limit: Duration,
) -> Result<Callback, WaitError> {
    match listener {
        // It goes, and its port with it, as soon as the wait is over.
        Some(mut listener) => listener.wait(path, &attempt.state, limit).await,
        None => pending().await,
    }
}

async fn next(
    mut listening: Pin<&mut impl Future<Output = Result<Callback, WaitError>>>,
    listens: bool,
    pastes: Option<&mut Pastes>,
) -> Event {
    let mut pasted = pin!(Pastes::next_of(pastes));
    poll_fn(|cx| {
        if listens && let Poll::Ready(came) = listening.as_mut().poll(cx) {
            return Poll::Ready(Event::Came(came));
        }
        pasted.as_mut().poll(cx).map(Event::Pasted)
    })
    .await
}

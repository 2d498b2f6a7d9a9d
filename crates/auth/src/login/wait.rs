//! The browser may come back, its last address may be pasted, a code may be typed in elsewhere: whichever is first.

use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use coderclaw_oauth::callback::{Callback, Listener, Reply, WaitError};
use coderclaw_oauth::device::DeviceCode;
use coderclaw_oauth::{Pasted, Pkce, RefreshAnswer, TokenSet, read_paste};
use coderclaw_types::Secret;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::attempt::{Attempt, check_callback, check_issuer, in_words};
use super::brought::Proof;
use super::device::{self, NoLuck};
use super::error::LoginError;
use super::show;
use super::ui::{LoginUi, Pastes};
use super::way::{BrowserWay, DeviceWay, Way};
use crate::context::Auth;

/// What ended the wait: the tokens, by which way they came, and the browser that waits for its page.
pub(super) struct Answered<'a> {
    pub(super) way: &'a Way<'a>,
    pub(super) tokens: TokenSet,
    /// What they have to say.
    pub(super) proof: Proof,
    pub(super) reply: Option<Reply>,
}

/// A login that waits.
pub(super) struct Waiting<'a> {
    pub(super) auth: &'a Auth,
    pub(super) browser: Option<(&'a BrowserWay<'a>, &'a Attempt)>,
    /// With a code that has been shown already, or one that is still to be had.
    pub(super) device: Option<(&'a DeviceWay<'a>, Option<(Pkce, DeviceCode)>)>,
    pub(super) listener: Option<Listener>,
    pub(super) pastes: Option<Pastes>,
    pub(super) limit: Duration,
}

enum Event {
    Came(Result<Callback, WaitError>),
    Pasted(Option<Secret>),
    /// A code is there to be shown.
    Code(DeviceCode),
    TypedIn(Result<TokenSet, NoLuck>),
}

impl<'a> Waiting<'a> {
    /// Waits for the first answer that counts and redeems its code.
    pub(super) async fn run(mut self, ui: &mut dyn LoginUi) -> Result<Answered<'a>, LoginError> {
        let mut listens = self.listener.is_some();
        let mut listening = pin!(listen(self.listener.take(), self.browser, self.limit));
        let (show_code, codes) = unbounded_channel();
        let mut codes = Some(codes);
        let device = self.device.take();
        let device_way = device.as_ref().map(|(way, _)| *way);
        let mut types = device.is_some();
        let auth = self.auth;
        let mut typing = pin!(async move {
            match device {
                Some((way, begun)) => device::run(auth, way, begun, show_code).await,
                None => pending().await,
            }
        });
        let mut refusal: Option<String> = None;
        loop {
            if !listens && self.pastes.is_none() && !types {
                let last = refusal.map(|text| format!(" {text}")).unwrap_or_default();
                return Err(LoginError::InputRequired(format!("nothing more can be pasted.{last}")));
            }
            // A code ends by itself.
            let limit = if self.browser.is_some() { self.limit } else { Duration::MAX };
            let event = {
                let mut pasting = pin!(Pastes::next_of(self.pastes.as_mut()));
                let event = poll_fn(|cx| {
                    if listens && let Poll::Ready(came) = listening.as_mut().poll(cx) {
                        return Poll::Ready(Event::Came(came));
                    }
                    if let Poll::Ready(event) = poll_device(cx, typing.as_mut(), types, &mut codes) {
                        return Poll::Ready(event);
                    }
                    pasting.as_mut().poll(cx).map(Event::Pasted)
                });
                tokio::time::timeout(limit, event).await
            };
            let event = event.map_err(|_| LoginError::Wait(WaitError::TimedOut))?;
            match (event, self.browser, device_way) {
                (Event::Came(came), Some((browser, attempt)), _) => match came {
                    Ok(callback) => return self.came_back(browser, attempt, callback).await,
                    Err(WaitError::Cancelled) if self.pastes.is_some() || types => {
                        listens = false;
                        let next = if self.pastes.is_some() {
                            " Paste the address of the last page here."
                        } else {
                            ""
                        };
                        ui.said(&format!("Another program took the port for its own login.{next}"));
                    }
                    Err(e @ WaitError::Denied { .. }) => return Err(LoginError::Denied(e.to_string())),
                    Err(e) => return Err(LoginError::Wait(e)),
                },
                (Event::Pasted(None), ..) => self.pastes = None,
                (Event::Pasted(Some(text)), Some((browser, attempt)), _) => {
                    match self.pasted(browser, attempt, &text).await? {
                        Ok(answered) => return Ok(answered),
                        Err(words) => {
                            ui.said(&words);
                            refusal = Some(words);
                        }
                    }
                }
                (Event::Code(code), _, Some(way)) => show(ui, way, &code, false, false)?,
                (Event::TypedIn(Ok(tokens)), _, Some(way)) => {
                    return Ok(Answered { way: &way.way, tokens, proof: Proof::default(), reply: None });
                }
                (Event::TypedIn(Err(why)), browser, Some(way)) => {
                    // Whoever says no there means the login.
                    if browser.is_none() || matches!(why, NoLuck::Denied(_)) {
                        return Err(why.into_error(way));
                    }
                    types = false;
                    let words = why.words(way);
                    ui.said(&words);
                    refusal = Some(words);
                }
                // Nobody pastes, comes back or types where there is no such door.
                _ => {}
            }
        }
    }

    async fn came_back(
        &self,
        browser: &'a BrowserWay<'a>,
        attempt: &Attempt,
        Callback { code, iss, client_id, reply }: Callback,
    ) -> Result<Answered<'a>, LoginError> {
        if let Err(e) = check_callback(iss.as_deref(), browser) {
            return Err(fail(Some(reply), e));
        }
        match self.redeem(browser, attempt, &code, iss.as_deref(), client_id.as_deref()).await {
            Ok(Redeemed::Granted(tokens)) => Ok(answered(browser, attempt, *tokens, Some(reply))),
            Ok(Redeemed::Refused(why)) => Err(fail(Some(reply), LoginError::Exchange(why))),
            Err(e) => Err(fail(Some(reply), e)),
        }
    }

    /// What is pasted may be the answer, or words about why it is not.
    async fn pasted(
        &self,
        browser: &'a BrowserWay<'a>,
        attempt: &Attempt,
        text: &Secret,
    ) -> Result<Result<Answered<'a>, String>, LoginError> {
        match read_paste(text.expose(), &attempt.state, &attempt.redirect_uri) {
            // As with an address that was cut off.
            Pasted::Code { client_id, .. } if attempt.needs_address(client_id.as_deref()) => {
                Ok(Err("The code alone is not enough here. Paste the whole address of the last page.".into()))
            }
            Pasted::Code { code, iss, client_id } => {
                match self.redeem(browser, attempt, &code, iss.as_deref(), client_id.as_deref()).await? {
                    Redeemed::Granted(tokens) => Ok(Ok(answered(browser, attempt, *tokens, None))),
                    // As with a code that was typed wrong.
                    Redeemed::Refused(why) if self.pastes.as_ref().is_some_and(Pastes::may_bring_more) => {
                        Ok(Err(format!("The provider does not take this code ({why}). Paste it again.")))
                    }
                    Redeemed::Refused(why) => Err(LoginError::Exchange(why)),
                }
            }
            ref denied @ Pasted::Denied { ref iss, .. } => {
                check_issuer(iss.as_deref(), browser)?;
                Err(LoginError::Denied(denied.to_string()))
            }
            other => Ok(Err(other.to_string())),
        }
    }

    async fn redeem(
        &self,
        browser: &BrowserWay<'_>,
        attempt: &Attempt,
        code: &Secret,
        iss: Option<&str>,
        named: Option<&str>,
    ) -> Result<Redeemed, LoginError> {
        check_issuer(iss, browser)?;
        match attempt.redeem(self.auth, browser, code, named).await? {
            RefreshAnswer::Granted(tokens) => Ok(Redeemed::Granted(Box::new(tokens))),
            refused @ RefreshAnswer::Refused { .. } => Ok(Redeemed::Refused(in_words(refused))),
            other => Err(LoginError::Exchange(in_words(other))),
        }
    }
}

fn answered<'a>(
    browser: &'a BrowserWay<'a>,
    attempt: &Attempt,
    tokens: TokenSet,
    reply: Option<Reply>,
) -> Answered<'a> {
    Answered { way: &browser.way, tokens, proof: attempt.proof(&browser.way), reply }
}

enum Redeemed {
    Granted(Box<TokenSet>),
    Refused(String),
}

/// The error, which the browser's page shows as well.
pub(super) fn fail(reply: Option<Reply>, error: LoginError) -> LoginError {
    if let Some(reply) = reply {
        reply.failure(error.code().as_str(), &error.to_string());
    }
    error
}

async fn listen(
    listener: Option<Listener>,
    browser: Option<(&BrowserWay<'_>, &Attempt)>,
    limit: Duration,
) -> Result<Callback, WaitError> {
    match (listener, browser) {
        // It goes, and its port with it, as soon as the wait is over.
        (Some(mut listener), Some((way, attempt))) => listener.wait(way.path(), &attempt.state, limit).await,
        _ => pending().await,
    }
}

fn poll_device(
    cx: &mut Context<'_>,
    typing: Pin<&mut impl Future<Output = Result<TokenSet, NoLuck>>>,
    types: bool,
    codes: &mut Option<UnboundedReceiver<DeviceCode>>,
) -> Poll<Event> {
    // The code first: it is there before anybody can have typed it in.
    let ended = if types { typing.poll(cx) } else { Poll::Pending };
    if let Some(open) = codes {
        match open.poll_recv(cx) {
            Poll::Ready(Some(code)) if ended.is_pending() => return Poll::Ready(Event::Code(code)),
            Poll::Ready(None) => *codes = None,
            _ => {}
        }
    }
    ended.map(Event::TypedIn)
}

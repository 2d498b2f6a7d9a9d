//! A login by a code that is typed in on another device.

use std::time::Duration;

use coderclaw_http::{Client, Limits};
use coderclaw_oauth::device::{DeviceCode, Dialect, NoCode, PollAnswer, ask_for_code, wait_for_code};
use coderclaw_oauth::{Pkce, RefreshAnswer, TokenSet, exchange};
use tokio::sync::mpsc::UnboundedSender;

use super::attempt::in_words;
use super::error::LoginError;
use super::way::DeviceWay;
use crate::context::Auth;

/// Why a code brought no login.
#[derive(Debug)]
pub(super) enum NoLuck {
    /// The provider gives out no codes, and this is what it says.
    Off(String),
    /// The person said no.
    Denied(String),
    /// It was not typed in in time.
    Expired,
    /// Anything else.
    Failed(String),
}

impl NoLuck {
    /// As the end of a login that has no other door.
    pub(super) fn into_error(self, way: &DeviceWay<'_>) -> LoginError {
        match self {
            Self::Off(_) => LoginError::NoCodes(self.words(way)),
            Self::Denied(why) => LoginError::Denied(why),
            Self::Expired => LoginError::Exchange("it was not typed in in time".into()),
            Self::Failed(why) => LoginError::Exchange(why),
        }
    }

    /// For a login that goes on by its other doors.
    pub(super) fn words(&self, way: &DeviceWay<'_>) -> String {
        match self {
            Self::Off(why) => {
                let hint = way.way.method.device_off.as_deref();
                let hint = hint.map(|hint| format!(" {hint}.")).unwrap_or_default();
                let name = &way.way.manifest.name;
                format!("{name} gives out no codes for another device here ({why}).{hint}")
            }
            Self::Denied(why) => format!("The login was refused: {why}."),
            Self::Expired => "The code was not typed in in time.".into(),
            Self::Failed(why) => format!("The code for another device is of no use: {why}."),
        }
    }
}

/// What asks for codes.
pub(super) fn client(auth: &Auth) -> Result<Client, LoginError> {
    let limits = Limits { connect: Duration::from_secs(10), total: Duration::from_secs(30) };
    Client::new(&auth.network(), limits).map_err(|e| LoginError::Local(e.to_string()))
}

/// Asks for a code.
pub(super) async fn begin(client: &Client, way: &DeviceWay<'_>, pkce: &Pkce) -> Result<DeviceCode, NoLuck> {
    ask_for_code(client, &way.device, pkce).await.map_err(|no| match no {
        NoCode::Off(why) => NoLuck::Off(why),
        NoCode::Failed(why) => NoLuck::Failed(why),
    })
}

/// Waits until the code has been typed in, and gets the tokens. `mine` is asked before an authorization code is redeemed,
/// which serves once.
pub(super) async fn end(
    client: &Client,
    way: &DeviceWay<'_>,
    pkce: &Pkce,
    code: &DeviceCode,
    mine: impl FnOnce() -> Result<(), NoLuck>,
) -> Result<TokenSet, NoLuck> {
    redeem(client, way, wait_for_code(client, &way.device, code, pkce).await, mine).await
}

/// The tokens of an answer that ended the wait.
pub(super) async fn redeem(
    client: &Client,
    way: &DeviceWay<'_>,
    answer: PollAnswer,
    mine: impl FnOnce() -> Result<(), NoLuck>,
) -> Result<TokenSet, NoLuck> {
    match answer {
        PollAnswer::Granted(set) => mine().map(|()| *set),
        PollAnswer::Code { code, verifier } => {
            let Dialect::OpenAi { redirect, .. } = &way.device.dialect else {
                return Err(NoLuck::Failed("a code came where tokens were asked for".into()));
            };
            mine()?;
            match exchange(client, &way.device.token, &code, &verifier, redirect).await {
                RefreshAnswer::Granted(set) => Ok(set),
                // So it ends as well where an administrator has switched it off.
                RefreshAnswer::NotSpent { status: Some(403), description, code, .. } => {
                    let why = description.or(code).unwrap_or_else(|| "the answer was 403".into());
                    Err(NoLuck::Off(why))
                }
                other => Err(NoLuck::Failed(in_words(other))),
            }
        }
        PollAnswer::Denied(why) => Err(NoLuck::Denied(why)),
        PollAnswer::Expired => Err(NoLuck::Expired),
        PollAnswer::Failed(why) | PollAnswer::Trouble(why) => Err(NoLuck::Failed(why)),
        PollAnswer::Pending | PollAnswer::SlowDown { .. } => Err(NoLuck::Expired),
    }
}

/// Both, telling `show` what is to be typed in.
pub(super) async fn run(
    auth: &Auth,
    way: &DeviceWay<'_>,
    begun: Option<(Pkce, DeviceCode)>,
    show: UnboundedSender<DeviceCode>,
) -> Result<TokenSet, NoLuck> {
    let client = client(auth).map_err(|e| NoLuck::Failed(e.to_string()))?;
    let (pkce, code) = match begun {
        Some(begun) => begun,
        None => {
            let pkce = Pkce::generate().map_err(|e| NoLuck::Failed(e.to_string()))?;
            let code = begin(&client, way, &pkce).await?;
            // Nobody listens any more where the login has ended meanwhile.
            drop(show.send(code.clone()));
            (pkce, code)
        }
    };
    end(&client, way, &pkce, &code, || Ok(())).await
}

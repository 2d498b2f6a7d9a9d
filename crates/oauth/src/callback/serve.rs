//! One visitor.

use std::time::Duration;

use coderclaw_types::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::page::{page, plain};
use super::query::{Redirected, read_query};
use super::reply::Reply;
use super::request::{HEAD_LIMIT, Head};
use crate::pkce::State;

/// A visitor that has not sent its request by then is let go.
const READ_LIMIT: Duration = Duration::from_secs(10);
const WRITE_LIMIT: Duration = Duration::from_secs(2);

/// The browser came back with a code.
#[derive(Debug)]
pub struct Callback {
    /// To be redeemed, once.
    pub code: Secret,
    /// Who says so (RFC 9207), for comparison with the issuer that was asked.
    pub iss: Option<String>,
    /// The client that the provider has registered for this login.
    pub client_id: Option<String>,
    /// The browser, waiting for its page.
    pub reply: Reply,
}

/// The wait ended without a code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// Nobody came in time.
    #[error("the browser did not come back in time")]
    TimedOut,
    /// The user or the provider said no.
    #[error("the provider refused: {code}{}", .description.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Denied {
        /// The provider's code.
        code: String,
        /// The provider's words.
        description: Option<String>,
        /// Who says so (RFC 9207).
        iss: Option<String>,
    },
    /// The provider sent the browser back with the right state and nothing else.
    #[error("the provider sent the browser back with neither a code nor an error")]
    Nothing,
    /// Another program's login asked for the port.
    #[error("another program's login asked for the port")]
    Cancelled,
}

/// What is waited for.
pub(super) struct Expected {
    pub(super) path: String,
    pub(super) state: State,
    pub(super) port: u16,
    pub(super) yields: bool,
}

/// Serves one connection; `None` where the wait goes on.
pub(super) async fn serve(mut stream: TcpStream, expected: &Expected) -> Option<Result<Callback, WaitError>> {
    let head = match timeout(READ_LIMIT, read_head(&mut stream)).await {
        Ok(Some(Ok(head))) => head,
        Ok(Some(Err(problem))) => return refuse(stream, "400 Bad Request", problem).await,
        Ok(None) | Err(_) => return None,
    };
    if head.method != "GET" {
        return refuse(stream, "405 Method Not Allowed", "Only GET is answered here.").await;
    }
    if !expected.is_ours(head.host.as_deref()) {
        return refuse(stream, "400 Bad Request", "This address is not the login's.").await;
    }
    let (path, query) = head.path_and_query();
    if expected.yields && path == "/cancel" && !head.from_browser {
        say(&mut stream, &plain("200 OK", "Login cancelled")).await;
        return Some(Err(WaitError::Cancelled));
    }
    if path != expected.path {
        return refuse(stream, "404 Not Found", "Nothing is here.").await;
    }
    match read_query(query, &expected.state) {
        Err(problem) => {
            let text = format!("Nothing has changed: {problem}. The login goes on waiting.");
            refuse(stream, "400 Bad Request", &text).await
        }
        Ok(Redirected::Code { code, iss, client_id }) => {
            let reply = Reply::new(stream)?;
            Some(Ok(Callback { code, iss, client_id, reply }))
        }
        Ok(Redirected::Denied { code, description, iss }) => {
            let error = WaitError::Denied { code, description, iss };
            say(&mut stream, &page("400 Bad Request", "The login failed", &error.to_string())).await;
            Some(Err(error))
        }
        Ok(Redirected::Nothing) => {
            let error = WaitError::Nothing;
            say(&mut stream, &page("400 Bad Request", "The login failed", &error.to_string())).await;
            Some(Err(error))
        }
    }
}

impl Expected {
    /// A name that leads here only since somebody's DNS says so is not ours. Programs may leave it out.
    fn is_ours(&self, host: Option<&str>) -> bool {
        let Some(host) = host else { return true };
        let own = ["127.0.0.1", "localhost", "[::1]"];
        own.iter().any(|name| host == format!("{name}:{}", self.port))
    }
}

/// `None` where the visitor leaves.
async fn read_head(stream: &mut TcpStream) -> Option<Result<Head, &'static str>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 2048];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(buffer.get(..n)?),
        }
        match Head::parse(&bytes) {
            Ok(Some(head)) => return Some(Ok(head)),
            Ok(None) if bytes.len() <= HEAD_LIMIT => {}
            Ok(None) => return Some(Err("The request is too long.")),
            Err(()) => return Some(Err("This is not a request that a browser sends.")),
        }
    }
}

async fn refuse(mut stream: TcpStream, status: &str, text: &str) -> Option<Result<Callback, WaitError>> {
    say(&mut stream, &page(status, "This is not the login", text)).await;
    None
}

/// A visitor that is gone changes nothing.
async fn say(stream: &mut TcpStream, response: &str) {
    let write = async {
        stream.write_all(response.as_bytes()).await?;
        stream.shutdown().await
    };
    timeout(WRITE_LIMIT, write).await.ok();
}

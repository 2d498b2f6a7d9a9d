//! What a page sends: the query of an address, and the fields of a form.

use std::time::Duration;

use coderclaw_types::{Code, Secret};
use http::Uri;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use crate::refusal::Refusal;

/// A form of ours with a pasted address in it comes nowhere near.
const LIMIT: usize = 128 * 1024;

/// The query of an address.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, Secret)>);

/// The fields of a form. What is pasted into one is a secret, so all of them are held as secrets.
#[derive(Debug)]
pub(super) struct Form(Vec<(String, Secret)>);

impl Query {
    pub(super) fn of(uri: &Uri) -> Self {
        Self(pairs(uri.query().unwrap_or_default().as_bytes()))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        get(&self.0, name)
    }
}

impl Form {
    /// Reads it to its end, and no further than a form of ours is long.
    pub(super) async fn read(head: &Parts, body: Incoming, patience: Duration) -> Result<Self, Refusal> {
        let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.split(';').next().map(str::trim) != Some("application/x-www-form-urlencoded") {
            return Err(Refusal::new(415, Code::GatewayRefused, "a form is wanted here").closing());
        }
        let read = Limited::new(body, LIMIT).collect();
        let bytes = match tokio::time::timeout(patience, read).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => {
                return Err(
                    Refusal::new(413, Code::GatewayRefused, "the form broke off or is too long").closing()
                );
            }
            Err(_) => {
                let message = "the form stopped in the middle";
                return Err(Refusal::new(408, Code::GatewayRefused, message).closing());
            }
        };
        Ok(Self(pairs(&bytes)))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        get(&self.0, name)
    }

    /// A field, empty where it is missing.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    pub(super) fn secret(&self, name: &str) -> Option<&Secret> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// All fields of this name, in the order of the page.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.expose())
    }
}

fn pairs(bytes: &[u8]) -> Vec<(String, Secret)> {
    form_urlencoded::parse(bytes)
        .map(|(name, value)| (name.into_owned(), Secret::from(value.into_owned())))
        .collect()
}

fn get<'a>(pairs: &'a [(String, Secret)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(own, _)| own == name).map(|(_, value)| value.expose())
}

//! An answer and the way in which it reaches, or does not reach, the client.

use std::time::Duration;

use crate::http::Response;
use crate::model::Stream;

/// How the answer gets onto the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Delivery {
    Whole,
    Drop,
    Half,
    Delayed(Duration),
    Slow(Duration),
    Hang,
    /// In chunks, as they come.
    Stream(Stream),
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response,
    pub(crate) delivery: Delivery,
    /// The gate that holds it.
    pub(crate) gate: Option<u64>,
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self { response, delivery: Delivery::Whole, gate: None }
    }
}

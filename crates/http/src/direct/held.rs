//! Bytes that cannot be read without those that follow.

use std::mem;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use crate::direct::broken::NotHttp;
use crate::direct::framing::Framing;
use crate::direct::head::{self, Head};

#[derive(Default)]
pub(crate) struct Held(Vec<u8>);

impl Held {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lets `reader` have what is held and `fresh`, and holds what it does not use.
    pub(crate) fn read<T>(
        &mut self,
        fresh: &[u8],
        reader: impl FnOnce(&[u8]) -> Result<(T, usize), NotHttp>,
    ) -> Result<T, NotHttp> {
        let mut held = mem::take(&mut self.0);
        let bytes = if held.is_empty() {
            fresh
        } else {
            held.extend_from_slice(fresh);
            &held
        };
        let (taken, used) = reader(bytes)?;
        self.0 = bytes[used..].to_vec();
        Ok(taken)
    }
}

/// What bytes say as an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerRead {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as far as it can be told.
    pub body: Vec<u8>,
    /// Whether that is all of it, given that nothing follows.
    pub is_whole: bool,
    /// Whether another request may follow over the same connection.
    pub is_kept: bool,
}

/// Reads `parts`, which come one after the other and then no more, as the answer to a request of the method `asked`: what a
/// [`crate::Relay`] makes of it, pure, so that it can be tried with whatever a server may send. `None` where there is no head.
pub fn read_answer(asked: &Method, parts: &[&[u8]]) -> Option<AnswerRead> {
    let mut held = Held::default();
    let mut parts = parts.iter();
    let Head { answer, is_kept } = loop {
        let head = held.read(parts.next()?, |bytes| head::read(bytes, asked)).ok()?;
        if let Some(head) = head {
            break head;
        }
    };
    let (head, mut framing) = answer.into_parts();
    let mut body = Vec::new();
    let mut is_good = true;
    let mut fresh: &[u8] = &[];
    while !framing.is_over() {
        let data = held.read(mem::take(&mut fresh), |bytes| framing.decode(bytes)).unwrap_or_else(|_| {
            is_good = false;
            Bytes::new()
        });
        body.extend_from_slice(&data);
        if !data.is_empty() {
            continue;
        }
        match parts.next() {
            Some(part) if is_good => fresh = part,
            _ => break,
        }
    }
    let is_whole = is_good && matches!(framing, Framing::Over | Framing::UntilClose);
    let is_all = held.is_empty() && fresh.is_empty() && parts.all(|part| part.is_empty());
    let is_kept = is_kept && is_good && framing.is_over() && is_all;
    Some(AnswerRead { status: head.status, headers: head.headers, body, is_whole, is_kept })
}

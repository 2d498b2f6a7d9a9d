//! The thin place that sends.

use coderclaw_http::{Client, Request};
use coderclaw_types::Secret;

use crate::answer::{RefreshAnswer, read_answer};
use crate::endpoint::{TokenEndpoint, exchange_request};

/// Sends a request to a token endpoint, once, and says what came of it.
pub async fn send(client: &Client, request: Request) -> RefreshAnswer {
    read_answer(client.send(request).await)
}

/// Redeems an authorization code.
pub async fn exchange(
    client: &Client,
    endpoint: &TokenEndpoint,
    code: &Secret,
    verifier: &Secret,
    redirect_uri: &str,
) -> RefreshAnswer {
    send(client, exchange_request(endpoint, code, verifier, redirect_uri)).await
}

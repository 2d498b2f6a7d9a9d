//! One client of the token socket: lines in, lines out, each with a limit on its length and on the time it takes.

use std::sync::Arc;
use std::time::Duration;

use coderclaw_types::{Code, for_people};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;

use super::serve::{Client, Refused, welcome};
use super::wire::{Line, Request};
use crate::gateway::Shared;
use crate::options::Note;

/// A client says who it is within this time.
const HELLO: Duration = Duration::from_secs(10);

/// How a line ended.
enum Read {
    Line(Vec<u8>),
    TooLong,
    /// The client is gone, or was silent for too long.
    Over,
}

/// Serves one client until it leaves, misbehaves or is silent for too long.
pub(super) async fn serve(shared: Arc<Shared>, stream: UnixStream, mut stop: watch::Receiver<bool>) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut client: Option<Client> = None;
    loop {
        let patience = if client.is_some() { shared.limits.socket_idle } else { HELLO };
        let line = tokio::select! {
            line = next_line(&mut read, &shared, patience) => line,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let line = match line {
            Read::Line(line) => line,
            Read::TooLong => {
                let message = format!("a line has at most {} bytes", shared.limits.line_bytes);
                say(&mut write, &shared, None, Err(Refused::usage(message))).await;
                return;
            }
            Read::Over => return,
        };
        let Some((id, request)) = parse(&line, &mut write, &shared, client.is_some()).await else { return };
        let Some(request) = request else { continue };
        let (answer, goes_on) = answer(&shared, &mut client, request).await;
        if !say(&mut write, &shared, id, answer).await || !goes_on {
            return;
        }
    }
}

/// Says that there are too many already.
pub(super) async fn turn_away(shared: Arc<Shared>, stream: UnixStream) {
    let (_, mut write) = stream.into_split();
    let message = format!("this gateway serves {} clients at a time", shared.limits.socket_clients);
    say(&mut write, &shared, None, Err(Refused::new(Code::GatewayRefused, message))).await;
}

/// A line, or `None` where the connection ends with it. The second part is `None` where the answer has been given.
async fn parse(
    line: &[u8],
    write: &mut OwnedWriteHalf,
    shared: &Shared,
    is_known: bool,
) -> Option<(Option<Value>, Option<Request>)> {
    if let Ok(line) = serde_json::from_slice::<Line>(line) {
        return Some((line.id, Some(line.request)));
    }
    // What is no object at all is no client of ours; an object may be a wish of a later version.
    let object = serde_json::from_slice::<Value>(line).ok().filter(Value::is_object);
    let id = object.as_ref().and_then(|object| object.get("id").cloned());
    // Not the parser's words: they may quote what was sent.
    let message = match &object {
        Some(object) if object.get("op").is_some_and(Value::is_string) => {
            "this op is not known, or lacks something: hello, list, lend and report are described in the docs"
        }
        _ => "a line is a JSON object with an `op`",
    };
    let goes_on = say(write, shared, id, Err(Refused::usage(message))).await && object.is_some() && is_known;
    goes_on.then_some((None, None))
}

async fn answer(
    shared: &Arc<Shared>,
    client: &mut Option<Client>,
    request: Request,
) -> (Result<Value, Refused>, bool) {
    let with = Arc::clone(shared);
    let request = match (request, client.as_ref()) {
        (Request::Hello { versions, key }, None) => {
            let said = aside(move || welcome(&with, &versions, key)).await;
            return match said {
                Ok((known, welcome)) => {
                    *client = Some(known);
                    (value(&welcome), true)
                }
                Err(e) => (Err(e), false),
            };
        }
        (Request::Hello { .. }, Some(_)) => return (Err(Refused::usage("hello was said already")), true),
        (_, None) => return (Err(Refused::usage("a client says hello first")), false),
        (request, Some(_)) => request,
    };
    let Some(client) = client.clone() else {
        return (Err(Refused::usage("a client says hello first")), false);
    };
    let answer = aside(move || match request {
        Request::List => value(&client.list(&with)?),
        Request::Lend(wish) => Ok(json!({"lease": value(&client.lend(&with, &wish)?)?})),
        Request::Report(report) => value(&client.report(&with, &report)?),
        Request::Hello { .. } => Err(Refused::usage("hello was said already")),
    })
    .await;
    // A key that ended meanwhile ends the conversation.
    let goes_on = !matches!(&answer, Err(e) if e.ends);
    (answer, goes_on)
}

/// On a thread of its own, since it reads files and may wait for a refresh. Where the client leaves meanwhile, it ends all
/// the same.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refused> + Send + 'static,
) -> Result<T, Refused> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Refused::new(Code::Internal, "something that should not happen did")))
}

fn value<T: Serialize>(answer: &T) -> Result<Value, Refused> {
    serde_json::to_value(answer).map_err(|e| Refused::new(Code::Internal, e.to_string()))
}

/// Writes one answer. False where nobody takes it.
async fn say(
    write: &mut OwnedWriteHalf,
    shared: &Shared,
    id: Option<Value>,
    answer: Result<Value, Refused>,
) -> bool {
    let mut said = match answer {
        Ok(Value::Object(mut said)) => {
            said.insert("ok".into(), true.into());
            said
        }
        Ok(_) => return false,
        Err(refused) => {
            shared.numbers.refused(refused.code);
            // It may quote what was sent, and that may be anything.
            let told = for_people(&refused.message).unwrap_or_default();
            shared.tell(Note::event(format!("token socket: refused [{}]: {told}", refused.code)));
            serde_json::Map::from_iter([
                ("error".into(), json!(refused.complaint())),
                ("ok".into(), false.into()),
            ])
        }
    };
    if let Some(id) = id {
        said.insert("id".into(), id);
    }
    let line = Value::Object(said).to_string() + "\n";
    let written = tokio::time::timeout(shared.limits.head, write.write_all(line.as_bytes())).await;
    matches!(written, Ok(Ok(())))
}

/// Waits `patience` for a line to begin; then it has the time that a head of a request has.
async fn next_line(read: &mut BufReader<OwnedReadHalf>, shared: &Shared, patience: Duration) -> Read {
    match tokio::time::timeout(patience, read.fill_buf()).await {
        Ok(Ok(begun)) if !begun.is_empty() => {}
        _ => return Read::Over,
    }
    let most = shared.limits.line_bytes;
    let mut line = Vec::new();
    let mut limited = read.take(most as u64 + 1);
    match tokio::time::timeout(shared.limits.head, limited.read_until(b'\n', &mut line)).await {
        Ok(Ok(_)) if line.last() == Some(&b'\n') => Read::Line(line),
        Ok(Ok(_)) if line.len() > most => Read::TooLong,
        // Half a line and then nothing: the client left in the middle.
        _ => Read::Over,
    }
}

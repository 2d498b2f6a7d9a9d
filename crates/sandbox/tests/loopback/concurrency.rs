//! Many clients, answers held back, and an end that does not wait for anybody.

use std::io::Write;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use coderclaw_sandbox::{Fault, Kind};
use coderclaw_types::TokenHash;

use crate::client::{SOON, connect, read_all, refresh, refresh_bytes, send, start, start_with};

/// A1, the server's half: of 256 clients that send one token at once, one wins, and its win is worth nothing.
#[test]
fn a1_256_clients_at_once() {
    const CLIENTS: usize = 256;
    let sandbox = Arc::new(start());
    let grant = sandbox.grant("user-1");
    let barrier = Arc::new(Barrier::new(CLIENTS));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (sandbox, barrier, bytes) =
                (Arc::clone(&sandbox), Arc::clone(&barrier), refresh_bytes(&grant.refresh));
            thread::spawn(move || {
                barrier.wait();
                let raw = send(&sandbox, &bytes);
                (raw.status(), (raw.status() == 200).then(|| raw.secret("refresh_token")))
            })
        })
        .collect();
    let answers: Vec<_> = clients.into_iter().map(|c| c.join().unwrap()).collect();
    let winners: Vec<_> = answers.iter().filter_map(|(_, token)| token.clone()).collect();
    assert_eq!(winners.len(), 1);
    assert!(!sandbox.is_live(&winners[0]));
    assert!(answers.iter().all(|(status, _)| matches!(status, 200 | 401)));
    let counts = sandbox.counts();
    assert_eq!((counts.refreshes, counts.rotations, counts.reuses), (256, 1, 255));
    assert_eq!(counts.refreshes_of(&TokenHash::of(&grant.refresh)), 256);
}

#[test]
fn as_many_connections_can_stand_open() {
    let sandbox = start();
    let open: Vec<_> = (0..256).map(|_| connect(&sandbox)).collect();
    let grant = sandbox.grant("user-1");
    assert_eq!(refresh(&sandbox, &grant.refresh).status(), 200);
    drop(open);
}

#[test]
fn a_gate_holds_one_answer_after_the_rotation() {
    let sandbox = start();
    let (one, two) = (sandbox.grant("one"), sandbox.grant("two"));
    let gate = sandbox.gate();
    assert!(!gate.wait_arrived(Duration::ZERO));
    let mut held = connect(&sandbox);
    held.write_all(&refresh_bytes(&one.refresh)).unwrap();
    assert!(gate.wait_arrived(SOON));
    assert!(!sandbox.is_live(&one.refresh), "carried out already");
    assert!(sandbox.log().last().unwrap().rotated);
    assert_eq!(refresh(&sandbox, &two.refresh).status(), 200, "others pass");

    held.set_nonblocking(true).unwrap();
    assert!(held.peek(&mut [0]).is_err(), "nothing has been sent");
    held.set_nonblocking(false).unwrap();
    gate.open();
    assert_eq!(read_all(held).status(), 200);

    // A gate that is dropped before anything came holds nothing.
    drop(sandbox.gate());
    let next = sandbox.grant("three");
    assert_eq!(refresh(&sandbox, &next.refresh).status(), 200);
}

/// Everything that can keep a connection open does so, and the server still ends at once.
#[test]
fn the_end_waits_for_nobody() {
    let hour = Duration::from_secs(3600);
    let (sandbox, _) = start_with(|_| ());
    let gate = sandbox.gate();
    let mut streams = Vec::new();
    let mut ask =
        |fault: Option<Fault>, count: usize| {
            let grant = sandbox.grant("user-1");
            if let Some(fault) = fault {
                sandbox.script(fault, 1);
            }
            let mut stream = connect(&sandbox);
            stream.write_all(&refresh_bytes(&grant.refresh)).unwrap();
            assert!(sandbox.wait_for(SOON, |log| {
                log.iter().filter(|seen| seen.kind == Kind::Refresh).count() == count
            }));
            streams.push(stream);
        };
    ask(None, 1);
    ask(Some(Fault::RotateThenDelay(hour)), 2);
    ask(Some(Fault::SlowBody(hour)), 3);
    ask(Some(Fault::HangBeforeRotate), 4);
    ask(Some(Fault::RotateThenDelay(Duration::MAX)), 5);
    let idle = connect(&sandbox);
    let mut partial = connect(&sandbox);
    partial.write_all(b"POST /oauth/token HTTP/1.1\r\nContent-Length: 10\r\n\r\nhal").unwrap();

    let origin = sandbox.origin().to_owned();
    let (ended, end) = std::sync::mpsc::channel();
    thread::spawn(move || {
        drop(sandbox);
        ended.send(())
    });
    assert!(end.recv_timeout(SOON).is_ok(), "somebody is being waited for");
    assert!(read_all(streams.remove(0)).bytes.is_empty(), "a held answer is not sent at the end");
    drop((idle, partial, gate));
    assert!(std::net::TcpStream::connect(origin.strip_prefix("http://").unwrap()).is_err());
}

//! A model API that costs next to nothing: the same 50 events for everybody, each written by itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

const EVENTS: usize = 50;
const EVENT: &str =
    "data: {\"type\":\"response.output_text.delta\",\"item_id\":\"msg_1\",\"delta\":\" word\"}\n\n";
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n";
/// A thread for each connection needs next to no stack.
const STACK: usize = 128 * 1024;

/// Listens until the process ends.
pub(super) struct Upstream {
    address: SocketAddr,
    is_released: Arc<(Mutex<bool>, Condvar)>,
}

impl Upstream {
    pub(super) fn start() -> Result<Self, String> {
        let listener =
            TcpListener::bind("127.0.0.1:0").map_err(|e| format!("the upstream cannot listen: {e}"))?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        let is_released = Arc::new((Mutex::new(false), Condvar::new()));
        let held = Arc::clone(&is_released);
        std::thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                let held = Arc::clone(&held);
                // A connection that cannot be served is closed; whoever measures sees that.
                drop(std::thread::Builder::new().stack_size(STACK).spawn(move || drop(serve(stream, &held))));
            }
        });
        Ok(Self { address, is_released })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets the answers end that were asked to be held.
    pub(super) fn release(&self) {
        *self.is_released.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.is_released.1.notify_all();
    }
}

fn serve(stream: TcpStream, held: &(Mutex<bool>, Condvar)) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let event = format!("{:x}\r\n{EVENT}\r\n", EVENT.len());
    let mut line = String::new();
    loop {
        let (mut length, mut is_held, mut is_first) = (0, false, true);
        loop {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if std::mem::take(&mut is_first) {
                is_held = line.contains("/hold");
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line == "\r\n" {
                break;
            }
        }
        std::io::copy(&mut stream.by_ref().take(length), &mut std::io::sink())?;
        let out = stream.get_mut();
        out.write_all(HEAD.as_bytes())?;
        for number in 0..EVENTS {
            out.write_all(event.as_bytes())?;
            if is_held && number == 0 {
                let mut is_released = held.0.lock().unwrap_or_else(PoisonError::into_inner);
                while !*is_released {
                    is_released = held.1.wait(is_released).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        out.write_all(b"0\r\n\r\n")?;
    }
}

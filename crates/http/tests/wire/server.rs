//! A server that misbehaves to order and counts what reaches it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What to do with each connection.
#[derive(Clone)]
pub enum Act {
    /// Close without reading.
    CloseUnread,
    /// Read the request, then close.
    CloseRead,
    /// Read the request, write these bytes, then close.
    Say(Vec<u8>),
    /// Read the request, write these bytes, then wait for the client to give up.
    SayAndHang(Vec<u8>),
    /// Say nothing and wait for the client to give up.
    Hang,
    /// Read a TLS greeting, write these bytes, then wait for the client to give up.
    Greeted(Vec<u8>),
    /// Open the tunnel that is asked for, then go on as [`Act::Greeted`].
    Tunnel(Vec<u8>),
    /// Be a SOCKS5 proxy (RFC 1928) that answers the request itself.
    Socks(Vec<u8>),
}

/// The running server.
pub struct Server {
    pub port: u16,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    connections: usize,
    requests: Vec<String>,
}

impl Server {
    pub fn start(act: Act) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (act, shared) = (act.clone(), Arc::clone(&shared));
                shared.lock().unwrap().connections += 1;
                // A client that goes away early is part of the game.
                std::thread::spawn(move || serve(stream.unwrap(), act, &shared).ok());
            }
        });
        Self { port, seen }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    pub fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().requests.clone()
    }
}

fn serve(mut stream: TcpStream, act: Act, seen: &Mutex<Seen>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    match act {
        Act::CloseUnread => {}
        Act::CloseRead => read_request(&mut stream, seen)?,
        Act::Say(bytes) => {
            read_request(&mut stream, seen)?;
            stream.write_all(&bytes)?;
        }
        Act::SayAndHang(bytes) => {
            read_request(&mut stream, seen)?;
            stream.write_all(&bytes)?;
            stream.read_to_end(&mut Vec::new())?;
        }
        Act::Hang => {
            stream.read_to_end(&mut Vec::new())?;
        }
        Act::Greeted(bytes) => answer_greeting(&mut stream, &bytes)?,
        Act::Tunnel(bytes) => {
            read_request(&mut stream, seen)?;
            stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
            answer_greeting(&mut stream, &bytes)?;
        }
        Act::Socks(bytes) => {
            let mut greeting = [0; 2];
            stream.read_exact(&mut greeting)?;
            stream.read_exact(&mut vec![0; usize::from(greeting[1])])?;
            stream.write_all(&[5, 0])?;
            let mut head = [0; 5];
            stream.read_exact(&mut head)?;
            let mut rest = vec![0; usize::from(head[4]) + 2];
            stream.read_exact(&mut rest)?;
            let name = String::from_utf8_lossy(&rest[..rest.len() - 2]).into_owned();
            seen.lock().unwrap().requests.push(format!("SOCKS {name}"));
            stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 80])?;
            read_request(&mut stream, seen)?;
            stream.write_all(&bytes)?;
        }
    }
    Ok(())
}

fn answer_greeting(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    // A TLS record: type, version, length.
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    stream.read_exact(&mut vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))])?;
    stream.write_all(bytes)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}

fn read_request(stream: &mut TcpStream, seen: &Mutex<Seen>) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                seen.lock().unwrap().requests.push(text);
                return Ok(());
            }
        }
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => bytes.extend_from_slice(&buffer[..n]),
        }
    }
}

//! A gateway of the real binary, and a client that can be as rude as a test wants.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::World;

/// Nothing that a test waits for takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A gateway that runs.
pub(crate) struct Gate {
    pub(crate) port: u16,
    child: Child,
    said: Arc<Mutex<String>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
    /// Its end came.
    pub(crate) is_whole: bool,
}

impl Gate {
    pub(crate) fn start(world: &World) -> Self {
        Self::start_with(world, &["--verbose"])
    }

    pub(crate) fn start_with(world: &World, more: &[&str]) -> Self {
        let arguments = [&["gateway", "run", "--port", "0", "--json"], more].concat();
        let mut child =
            world.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (to, from) = (Arc::clone(&said), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                to.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let started: Value =
            serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}: {}", said.lock().unwrap()));
        Self { port: started["port"].as_u64().unwrap().try_into().unwrap(), child, said }
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub(crate) fn wait_said(&self, words: &str) {
        wait_until(words, || self.said().contains(words));
    }

    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    pub(crate) fn terminate(&self) {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::TERM).unwrap();
    }

    /// Waits for its end. Its exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(began.elapsed() < PATIENCE, "the gateway does not end");
            std::thread::yield_now();
        }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// The head of a request, with a Host that the gateway goes by.
    pub(crate) fn head(&self, line: &str, headers: &[(&str, &str)]) -> String {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("{line} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{headers}\r\n", self.port)
    }

    /// Sends these bytes and reads all answers there are, as they stand on the wire.
    pub(crate) fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // A server that has seen enough closes before all is sent.
        drop(stream.write_all(bytes));
        let mut all = Vec::new();
        drop(stream.read_to_end(&mut all));
        String::from_utf8_lossy(&all).into_owned()
    }

    /// Sends a request, over a connection of its own.
    pub(crate) fn open(&self, line: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let length = body.len().to_string();
        let headers = [headers, &[("Content-Length", &length), ("Connection", "close")]].concat();
        let mut stream = self.connect();
        stream.write_all((self.head(line, &headers) + body).as_bytes()).unwrap();
        stream
    }

    pub(crate) fn send(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        Answer::read(self.open(line, headers, body))
    }

    /// A streamed question to Claude, with this key.
    pub(crate) fn claude(&self, key: &str, text: &str) -> Answer {
        self.send("POST /v1/messages", &claude(key), &question(text))
    }

    /// A streamed question to ChatGPT, with this key.
    pub(crate) fn codex(&self, key: &str, text: &str) -> Answer {
        let bearer = format!("Bearer {key}");
        self.send("POST /codex/responses", &[("Authorization", &bearer)], &codex(text))
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The headers of a program that speaks Anthropic's dialect.
pub(crate) fn claude(key: &str) -> [(&str, &str); 3] {
    [("x-api-key", key), ("anthropic-version", "2023-06-01"), ("Content-Type", "application/json")]
}

pub(crate) fn question(text: &str) -> String {
    serde_json::json!({
        "model": "m", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": text}],
    })
    .to_string()
}

pub(crate) fn codex(text: &str) -> String {
    serde_json::json!({
        "model": "m", "instructions": "x", "store": false, "stream": true,
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}],
    })
    .to_string()
}

impl Answer {
    pub(crate) fn read(stream: TcpStream) -> Self {
        Self::next(&mut BufReader::new(stream))
    }

    /// The next answer on a connection that is kept.
    pub(crate) fn next(mut reader: &mut BufReader<TcpStream>) -> Self {
        let head = read_head(&mut reader);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut one = Self {
            status: status.unwrap_or_else(|| panic!("no answer: {head:?}")),
            head,
            body: Vec::new(),
            is_whole: false,
        };
        if one.header("transfer-encoding").is_some() {
            while let Some(chunk) = read_chunk(&mut reader) {
                one.is_whole = chunk.is_empty();
                one.body.extend(chunk);
                if one.is_whole {
                    break;
                }
            }
        } else {
            let length: usize = one.header("content-length").map_or(0, |length| length.parse().unwrap());
            drop(reader.take(length as u64).read_to_end(&mut one.body));
            one.is_whole = one.body.len() == length;
        }
        one
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// After it went well: what came, to its end.
    pub(crate) fn ok(self) -> String {
        assert!(self.status == 200 && self.is_whole, "{} {}", self.head, self.text());
        self.text()
    }

    /// What the model said, after it went well: the texts of all events as one.
    pub(crate) fn said(self) -> String {
        let text = self.ok();
        let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let events = events.filter_map(|data| serde_json::from_str::<Value>(data).ok());
        let said = events.filter_map(|event| {
            let delta = &event["delta"];
            delta.as_str().or_else(|| delta["text"].as_str()).map(str::to_owned)
        });
        said.collect()
    }

    /// The gateway's own code, in an answer that is its own.
    pub(crate) fn code(&self) -> &str {
        self.header("x-coderclaw-code").unwrap_or_else(|| panic!("not ours: {} {}", self.head, self.text()))
    }
}

pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// A head with its blank line.
pub(crate) fn read_head(reader: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            break;
        }
    }
    head
}

/// The next chunk; empty at the end, `None` where the connection ends without one.
pub(crate) fn read_chunk(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let size = usize::from_str_radix(line.trim(), 16).ok()?;
    let mut chunk = vec![0; size + 2];
    reader.read_exact(&mut chunk).ok()?;
    chunk.truncate(size);
    Some(chunk)
}

/// A gateway key.
pub(crate) fn key(world: &World, more: &[&str]) -> String {
    let made = world.run(&[&["gateway", "keys", "add", "--json"], more].concat()).json();
    made["key"].as_str().unwrap().to_owned()
}

pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        std::thread::yield_now();
    }
}

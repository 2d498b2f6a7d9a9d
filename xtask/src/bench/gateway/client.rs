//! A client that times first bytes, and one that holds streams open.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// The head and the body of the one request there is.
pub(super) fn request(address: SocketAddr, key: &str, path: &str) -> String {
    format!(
        "POST /acme{path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\nContent-Type: \
         application/json\r\nContent-Length: 2\r\n\r\n{{}}"
    )
}

/// Milliseconds from a request to the first byte of the answer's body, one after the other on one connection.
pub(super) fn first_bytes(address: SocketAddr, key: &str, count: usize) -> Result<Vec<f64>, String> {
    let failed = |e: std::io::Error| format!("{address}: {e}");
    let mut stream = connect(address).map_err(failed)?;
    let request = request(address, key, "/x");
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        stream.get_mut().write_all(request.as_bytes()).map_err(failed)?;
        read_head(&mut stream)?;
        let mut first = chunk(&mut stream).map_err(failed)?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        while first > 0 {
            first = chunk(&mut stream).map_err(failed)?;
        }
    }
    Ok(times)
}

/// So many answers of which the first event has come and the rest has not.
pub(super) fn hold_streams(
    address: SocketAddr,
    key: &str,
    count: usize,
) -> Result<Vec<BufReader<TcpStream>>, String> {
    let failed = |e: std::io::Error| format!("{address}: {e}");
    let request = request(address, key, "/hold");
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = connect(address).map_err(failed)?;
        stream.get_mut().write_all(request.as_bytes()).map_err(failed)?;
        all.push(stream);
    }
    for stream in &mut all {
        read_head(stream)?;
        chunk(stream).map_err(failed)?;
    }
    Ok(all)
}

fn connect(address: SocketAddr) -> std::io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // What is read ahead is small, since a thousand of these are held at once.
    Ok(BufReader::with_capacity(2048, stream))
}

fn read_head(stream: &mut BufReader<TcpStream>) -> Result<(), String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).map_err(|e| e.to_string())? == 0 {
            return Err(format!("the answer broke off: {head}"));
        }
    }
    if head.starts_with("HTTP/1.1 200 ") {
        Ok(())
    } else {
        Err(format!("an answer that is no success: {head}"))
    }
}

/// Reads one chunk. Its length; 0 at the end.
fn chunk(stream: &mut BufReader<TcpStream>) -> std::io::Result<u64> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let length = u64::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
    std::io::copy(&mut stream.by_ref().take(length + 2), &mut std::io::sink())?;
    Ok(length)
}

pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

//! A provider's answer as the gateway's relay reads it: wherever the network cuts it, it says the same, and nothing is in it
//! that did not come.

use coderclaw_http::read_answer;
use http::Method;

/// The first byte says where it is cut.
pub(super) fn run(bytes: &[u8]) {
    let [at, answer @ ..] = bytes else { return };
    let whole = read_answer(&Method::POST, &[answer]);
    let (one, two) = answer.split_at(usize::from(*at) * answer.len() / 256);
    assert_eq!(read_answer(&Method::POST, &[one, two]), whole, "cut once");
    let single: Vec<&[u8]> = answer.chunks(1).collect();
    assert_eq!(read_answer(&Method::POST, &single), whole, "byte by byte");
    let Some(read) = whole else { return };
    assert!(!read.status.is_informational());
    let of_headers: usize = read.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    assert!(of_headers + read.body.len() <= answer.len());
    if let Some(length) = read.headers.get("content-length")
        && !read.headers.contains_key("transfer-encoding")
        && !matches!(read.status.as_u16(), 204 | 304)
    {
        let lengths: Vec<_> = length.to_str().unwrap().split(',').map(str::trim).collect();
        let length: usize = lengths[0].parse().unwrap_or(usize::MAX);
        assert_eq!(read.is_whole, read.body.len() == length, "{lengths:?}");
    }
    let head = read_answer(&Method::HEAD, &[answer]).expect("the same head");
    assert!(head.body.is_empty() && head.is_whole);
}

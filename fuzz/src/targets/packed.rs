//! Compressed streams of events: whatever a provider sends, and wherever the network cuts it, the gateway survives it; and
//! a failure in its middle is seen alike, packed or plain.

use std::io::Write;

use coderclaw_gateway::failure_within;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use http::{HeaderMap, HeaderValue};

fn head(encoding: &'static str) -> HeaderMap {
    let mut head = HeaderMap::new();
    head.insert("content-type", HeaderValue::from_static("text/event-stream"));
    head.insert("content-encoding", HeaderValue::from_static(encoding));
    head
}

/// The last byte says where it is cut.
pub(super) fn run(bytes: &[u8]) {
    let Some((at, stream)) = bytes.split_last() else { return };
    let cut = stream.split_at(usize::from(*at) * stream.len() / 256);

    // As what it may be, or may be taken for.
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        let head = head(encoding);
        for found in [
            failure_within(&head, [stream]),
            failure_within(&head, <[_; 2]>::from(cut)),
            failure_within(&head, stream.chunks(1)),
        ] {
            assert!(found.is_none_or(|data| !data.is_empty() && data.len() <= 64 * 1024));
        }
    }

    // As what is packed.
    let plain = failure_within(&head("identity"), [stream]);
    assert_eq!(failure_within(&head("identity"), <[_; 2]>::from(cut)), plain, "cut once");
    assert_eq!(failure_within(&head("identity"), stream.chunks(1)), plain, "byte by byte");
    let level = Compression::fast();
    let packed = [
        ("gzip", pack(GzEncoder::new(Vec::new(), level), cut, GzEncoder::finish)),
        ("deflate", pack(ZlibEncoder::new(Vec::new(), level), cut, ZlibEncoder::finish)),
        ("deflate", pack(DeflateEncoder::new(Vec::new(), level), cut, DeflateEncoder::finish)),
        ("zstd", zstd(stream)),
    ];
    for (encoding, packed) in packed {
        let parts = packed.chunks(usize::from(*at) + 1);
        assert_eq!(failure_within(&head(encoding), parts), plain, "{encoding}");
    }
}

/// Flushed once, as servers do it.
fn pack<E: Write>(
    mut encoder: E,
    (one, two): (&[u8], &[u8]),
    finish: impl FnOnce(E) -> std::io::Result<Vec<u8>>,
) -> Vec<u8> {
    encoder.write_all(one).unwrap();
    encoder.flush().unwrap();
    encoder.write_all(two).unwrap();
    finish(encoder).unwrap()
}

/// A frame of blocks that are as they are, with a window of 128 KiB.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 7 << 3];
    for block in bytes.chunks(100 * 1024) {
        let size = u32::try_from(block.len()).unwrap();
        frame.extend_from_slice(&(size << 3).to_le_bytes()[..3]);
        frame.extend_from_slice(block);
    }
    frame
}

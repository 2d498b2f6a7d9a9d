//! Answers that come compressed, unpacked for the judgement only: to the client goes what came.
//!
//! Each way of packing is a [`Step`], so that whole words and streams that are still on their way are unpacked alike, and
//! whoever asks can stop at any piece: what a few bytes swell to is never made all at once.

mod brotli;
mod inflate;
mod zstd;

use std::borrow::Cow;

use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// More words than that say nothing more. It bounds what a small body may swell to.
const MOST_WORDS: usize = 64 * 1024;
/// What is unpacked in one go.
const PIECE: usize = 4096;

/// What takes packed bytes in and gives plain ones.
pub(crate) enum Unpacker {
    /// Nothing is packed.
    Plain,
    /// It is on the heap: there are many streams, and few of them are packed.
    Packed(Box<dyn Step>),
}

/// One way of packing.
pub(crate) trait Step: Send + Sync {
    /// Takes a part of `packed`, and fills a part of `plain`. Where it does not fill all of it, it has no more to give until
    /// it gets more.
    fn step(&mut self, packed: &[u8], plain: &mut [u8]) -> Stepped;
}

/// What a step did.
pub(crate) struct Stepped {
    /// So many bytes were taken.
    taken: usize,
    /// So many were given.
    given: usize,
    /// Whether there may be more: it has not ended, and nothing was wrong.
    goes_on: bool,
}

impl Unpacker {
    /// For a body behind this head. `None`: it is packed twice, or in a way that is not known.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(CONTENT_ENCODING).iter();
        let one = match (all.next(), all.next()) {
            (None, _) => return Some(Self::Plain),
            (Some(one), None) => one.to_str().ok()?.trim(),
            (Some(_), Some(_)) => return None,
        };
        Some(match one.to_ascii_lowercase().as_str() {
            "" | "identity" => Self::Plain,
            "gzip" | "x-gzip" => Self::Packed(Box::new(inflate::Gzip::default())),
            "deflate" => Self::Packed(Box::new(inflate::Deflate::default())),
            "br" => Self::Packed(Box::new(brotli::Brotli::new())),
            "zstd" => Self::Packed(Box::new(zstd::Zstd::new()?)),
            _ => return None,
        })
    }

    /// The next bytes of the body. `see` gets what they say, piece by piece, and says whether it wants more. Whether there
    /// may be more.
    pub(crate) fn push(&mut self, bytes: &[u8], mut see: impl FnMut(&[u8]) -> bool) -> bool {
        let step = match self {
            Self::Plain => return see(bytes),
            Self::Packed(step) => step,
        };
        let (mut plain, mut rest) = ([0; PIECE], bytes);
        loop {
            let Stepped { taken, given, goes_on } = step.step(rest, &mut plain);
            rest = &rest[taken..];
            if !see(&plain[..given]) || !goes_on {
                return false;
            }
            if given < PIECE && (rest.is_empty() || taken == 0 && given == 0) {
                return rest.is_empty();
            }
        }
    }
}

/// The words of a body behind this head, as far as they can be read; empty where they cannot.
pub(crate) fn words<'a>(headers: &HeaderMap, body: &'a [u8]) -> Cow<'a, [u8]> {
    let Some(mut unpacker) = Unpacker::of(headers) else { return Cow::Borrowed(&[]) };
    if matches!(unpacker, Unpacker::Plain) {
        return Cow::Borrowed(body);
    }
    let mut words = Vec::new();
    // What came before it broke off is worth reading too.
    let _goes_on = unpacker.push(body, |plain| {
        let room = MOST_WORDS - words.len();
        words.extend_from_slice(&plain[..room.min(plain.len())]);
        words.len() < MOST_WORDS
    });
    Cow::Owned(words)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    /// A stream of events in the words of its provider, packed by other programs, which flush after each event. With the
    /// place where the failure in its middle ends.
    pub(crate) const STREAMS: &[(&str, &[u8], usize)] = &[
        ("identity", PLAIN, 1840),
        ("gzip", include_bytes!("../../../fuzz/corpus/packed/gzip"), 444),
        (" X-GZIP ", include_bytes!("../../../fuzz/corpus/packed/gzip"), 444),
        ("deflate", include_bytes!("../../../fuzz/corpus/packed/deflate"), 436),
        ("Deflate", include_bytes!("../../../fuzz/corpus/packed/bare"), 434),
        ("br", include_bytes!("../../../fuzz/corpus/packed/br"), 428),
        ("zstd", include_bytes!("../../../fuzz/corpus/packed/zstd"), 472),
    ];
    pub(crate) const PLAIN: &[u8] = include_bytes!("../../../fuzz/corpus/packed/plain");

    pub(crate) fn head(encoding: &str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_bytes(encoding.as_bytes()).unwrap())])
    }

    fn unpack(encoding: &str, parts: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut unpacker = Unpacker::of(&head(encoding)).unwrap();
        let mut plain = Vec::new();
        let goes_on = parts.iter().all(|part| {
            unpacker.push(part, |piece| {
                plain.extend_from_slice(piece);
                true
            })
        });
        (plain, goes_on)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// A block of one byte, repeated: so many times, in a frame with so large a window.
    fn zstd_run(byte: u8, times: u32, blocks: usize, window_bits: u8) -> Vec<u8> {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, (window_bits - 10) << 3];
        for _ in 0..blocks {
            frame.extend_from_slice(&((times << 3) | 0b010).to_le_bytes()[..3]);
            frame.push(byte);
        }
        frame
    }

    /// What other programs pack is read; each event at once.
    #[test]
    fn each_encoding_is_read() {
        for (encoding, packed, failure_ends) in STREAMS {
            assert_eq!(words(&head(encoding), packed), PLAIN, "{encoding}");
            let (plain, goes_on) = unpack(encoding, &[&packed[..*failure_ends]]);
            assert!(goes_on && plain.ends_with(b"\"resets_in_seconds\":600}}\n\n"), "{encoding}");
        }
        assert_eq!(words(&HeaderMap::new(), PLAIN), PLAIN);
        let two = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(words(&head("gzip"), &two).as_ref(), b"one two");
        let mut named = b"\x1f\x8b\x08\x1e\0\0\0\0\0\0\x03\0abcname\0comment\0hh".to_vec();
        named.extend_from_slice(&gzip(b"behind a long head")[10..]);
        assert_eq!(
            unpack("gzip", &named.chunks(1).collect::<Vec<_>>()),
            (b"behind a long head".to_vec(), true)
        );
    }

    /// What a few bytes swell to comes out at once too, where it is allowed to.
    #[test]
    fn nothing_is_held_back() {
        let gzip = gzip(&[b'x'; 100_000]);
        let runs = [
            ("gzip", &gzip[..gzip.len() - 8]),
            ("br", b"\xab\x4f\xc3\x00\x40\x02\x2f\x1e\x0b\x24\xcb\x2f\xc0\x00"),
            ("zstd", &zstd_run(b'x', 100_000, 1, 17)),
        ];
        for (encoding, run) in runs {
            assert!(run.len() < 200, "{encoding}");
            assert_eq!(unpack(encoding, &[run]).0.len(), 100_000, "{encoding}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_read() {
        for encoding in ["gzip, br", "compress", "gzip gzip", "\u{e9}"] {
            assert!(Unpacker::of(&head(encoding)).is_none(), "{encoding}");
            assert!(words(&head(encoding), PLAIN).is_empty());
        }
        let mut twice = head("gzip");
        twice.append(CONTENT_ENCODING, HeaderValue::from_static("br"));
        assert!(Unpacker::of(&twice).is_none());
        for (encoding, ..) in &STREAMS[1..] {
            let (plain, goes_on) = unpack(encoding, &[b"no such thing \xff\x00", PLAIN]);
            assert!(!goes_on && plain.len() < 64, "{encoding}");
        }
    }

    /// A window is as large as it may be, or the frame is not read.
    #[test]
    fn windows_are_bounded() {
        for (bits, is_read) in
            [(10, true), (zstd::WINDOW_BITS, true), (zstd::WINDOW_BITS + 1, false), (41, false)]
        {
            let (plain, goes_on) = unpack("zstd", &[&zstd_run(b'x', 1000, 1, bits)]);
            assert_eq!((plain.len() == 1000, goes_on), (is_read, is_read), "{bits}");
        }
        // The first bits are the window's, of 16, 22, 23 and 24 bits; then a block of 1 byte as it is, and the last, empty one
        // (RFC 7932, section 9.2). The last two are large windows of 16 and 30 bits, which the web does not know.
        let block = |bits: u64, of: usize| {
            let bits = (bits | 1 << (of + 19)).to_le_bytes();
            [&bits[..(of + 20).div_ceil(8)], b"x\x03"].concat()
        };
        for (bits, of, is_read) in [
            (0, 1, true),
            (0b1011, 4, true),
            (0b1101, 4, false),
            (0b1111, 4, false),
            (0b01_0000_0001_0001, 14, false),
            (0b01_1110_0001_0001, 14, false),
        ] {
            let (plain, _) = unpack("br", &[&block(bits, of)]);
            assert_eq!(plain == b"x", is_read, "{bits:b}");
        }
    }

    /// A small body that swells to a large one is read as far as the limit.
    #[test]
    fn a_bomb_is_bounded() {
        let bomb = gzip(&vec![0; 50_000_000]);
        assert!(bomb.len() < 100_000);
        assert_eq!(words(&head("gzip"), &bomb).len(), MOST_WORDS);
        assert!(words(&head("gzip"), &bomb[..bomb.len() / 1000]).len() <= MOST_WORDS);
        assert_eq!(words(&head("zstd"), &zstd_run(0, 128 * 1024, 100, 20)).len(), MOST_WORDS);
        // Whoever wants no more gets no more, however much is there.
        let mut unpacker = Unpacker::of(&head("gzip")).unwrap();
        let mut pieces = 0;
        assert!(!unpacker.push(&bomb, |piece| {
            assert!(piece.len() <= PIECE);
            pieces += 1;
            pieces < 3
        }));
        assert_eq!(pieces, 3);
    }

    proptest! {
        /// However it is cut, the same is read.
        #[test]
        fn cuts_change_nothing(one in 1..STREAMS.len(), cuts in proptest::collection::vec(1usize..99, 1..40)) {
            let (encoding, packed, _) = STREAMS[one];
            let (mut parts, mut rest, mut cuts) = (Vec::new(), packed, cuts.iter().cycle());
            while !rest.is_empty() {
                let (part, more) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                parts.push(part);
                rest = more;
            }
            prop_assert_eq!(unpack(encoding, &parts).0, PLAIN);
        }

        /// Noise in the middle ends it, and nothing worse.
        #[test]
        fn noise_is_survived(one in 1..STREAMS.len(), at in 0usize..500, noise in proptest::collection::vec(any::<u8>(), 1..200)) {
            let (encoding, packed, _) = STREAMS[one];
            let (before, after) = packed.split_at(at.min(packed.len()));
            unpack(encoding, &[before, &noise, after]);
        }
    }
}

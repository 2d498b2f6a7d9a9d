//! The words of a failure that came compressed, for the judgement only: to the client goes what came.

use std::borrow::Cow;
use std::io::Read;

/// More words than that say nothing more. It bounds what a small body may swell to.
const LONGEST: u64 = 64 * 1024;

/// The words behind a `Content-Encoding`, as far as they can be read; empty where they cannot.
pub(crate) fn words<'a>(encoding: &str, body: &'a [u8]) -> Cow<'a, [u8]> {
    match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Cow::Borrowed(body),
        "gzip" | "x-gzip" => read(flate2::read::MultiGzDecoder::new(body)),
        // By the book it has zlib's frame; some leave that out.
        "deflate" => match read(flate2::read::ZlibDecoder::new(body)) {
            words if words.is_empty() => read(flate2::read::DeflateDecoder::new(body)),
            words => words,
        },
        "br" => read(brotli_decompressor::Decompressor::new(body, 4096)),
        "zstd" => match ruzstd::decoding::StreamingDecoder::new(body) {
            Ok(decoder) => read(decoder),
            Err(_) => Cow::Borrowed(&[]),
        },
        _ => Cow::Borrowed(&[]),
    }
}

/// What came before it broke off is worth reading too.
fn read(decoder: impl Read) -> Cow<'static, [u8]> {
    let mut words = Vec::new();
    // Said by what has been read.
    let _is_whole = decoder.take(LONGEST).read_to_end(&mut words);
    Cow::Owned(words)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const WORDS: &[u8] = b"{\"error\":{\"type\":\"usage_limit_reached\"}}";

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn each_encoding_is_read_and_noise_is_not() {
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(WORDS).unwrap();
        let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        raw.write_all(WORDS).unwrap();
        let zstd = ruzstd::encoding::compress_to_vec(WORDS, ruzstd::encoding::CompressionLevel::Fastest);
        // An uncompressed block of brotli, and its last empty one (RFC 7932, section 9.2).
        let mut brotli = vec![0x0c | 0x10, 0x00, 0x00];
        brotli.clear();
        let length = u32::try_from(WORDS.len()).unwrap() - 1;
        // WBITS 16 (0), ISLAST 0, MNIBBLES 4 (00), MLEN - 1 in 16 bits, ISUNCOMPRESSED 1, then bytes.
        let bits = (length << 4) | (1 << 20);
        brotli.extend_from_slice(&bits.to_le_bytes()[..3]);
        brotli.extend_from_slice(WORDS);
        brotli.push(0x03);
        let table = [
            ("gzip", gzip(WORDS)),
            (" GZIP ", gzip(WORDS)),
            ("deflate", zlib.finish().unwrap()),
            ("deflate", raw.finish().unwrap()),
            ("zstd", zstd),
            ("br", brotli),
            ("identity", WORDS.to_vec()),
            ("", WORDS.to_vec()),
        ];
        for (encoding, body) in table {
            assert_eq!(words(encoding, &body).as_ref(), WORDS, "{encoding}");
        }
        for encoding in ["gzip", "deflate", "br", "zstd", "compress", "gzip, br"] {
            assert!(words(encoding, b"no such thing \xff\x00").len() < 64, "{encoding}");
        }
    }

    /// A small body that swells to a large one is read as far as the limit.
    #[test]
    fn a_bomb_is_bounded() {
        let bomb = gzip(&vec![0; 50_000_000]);
        assert!(bomb.len() < 100_000);
        assert_eq!(words("gzip", &bomb).len() as u64, LONGEST);
        let cut = &bomb[..bomb.len() / 1000];
        assert!(words("gzip", cut).len() as u64 <= LONGEST);
    }
}

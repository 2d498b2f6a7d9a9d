//! Mutations of a corpus, from a seed: the same ones every time.

/// A generator of numbers that nobody has to be unable to guess (xorshift64*).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// One that gives the same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`; 0 where that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % end).unwrap_or(0)
    }
}

/// What parsers trip over.
const WORDS: &[&[u8]] = &[
    b"\0",
    b"\r\n",
    b"\n\n",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xc3\xa9",
    b"\xf0\x9f\xa6\x80",
    b"\"",
    b"\\",
    b"\\u0000",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"=",
    b"&",
    b"?",
    b"#",
    b"%",
    b"%2f",
    b"%00",
    b"//",
    b"/../",
    b"@",
    b"//*",
    b"*/",
    b"-1",
    b"1e999",
    b"9223372036854775808",
    b"null",
    b"true",
    b"data:",
    b"event:",
    b"state=",
    b"code=",
    b"[[auth]]",
    b"$include",
    b"${X}",
    b"version",
    b"profiles",
    b"Host:",
    b" ",
    b"\t",
];
/// Nothing longer is made.
const LONGEST: usize = 4_096;

/// `one`, changed in a few places; `other` may lend a piece.
pub fn mutate(random: &mut Random, one: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = one.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = u8::try_from(random.below(256)).unwrap_or(0),
            2 => bytes.truncate(at),
            3 => {
                let end = at + random.below(bytes.len() - at + 1);
                bytes.drain(at..end);
            }
            4 => {
                let end = at + random.below((bytes.len() - at).min(64) + 1);
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            5 if !other.is_empty() => {
                let from = random.below(other.len());
                let piece = other[from..from + random.below((other.len() - from).min(64) + 1)].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                bytes.splice(at..at, WORDS[random.below(WORDS.len())].iter().copied());
            }
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

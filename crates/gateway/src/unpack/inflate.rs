//! Deflate (RFC 1951), in the frames that the web has for it.

use flate2::{Decompress, FlushDecompress, Status};

use super::{Step, Stepped};

/// A longer head of a member of gzip is not waited for. The head of an answer holds no file's name or comment.
const LONGEST_HEAD: usize = 4096;
/// A checksum and a length. Nobody here depends on them.
const TRAILER: usize = 8;

/// `gzip`: members, one behind the other (RFC 1952).
pub(super) struct Gzip {
    part: Part,
    inflate: Decompress,
}

/// What of a member comes next.
enum Part {
    /// Its head, of which this is there.
    Head(Vec<u8>),
    Body,
    /// So much of its trailer.
    Trailer(usize),
}

impl Default for Gzip {
    fn default() -> Self {
        Self { part: Part::Head(Vec::new()), inflate: Decompress::new(false) }
    }
}

impl Step for Gzip {
    fn step(&mut self, packed: &[u8], plain: &mut [u8]) -> Stepped {
        let (stepped, next) = match &mut self.part {
            Part::Head(head) => {
                let before = head.len();
                head.extend_from_slice(&packed[..packed.len().min(LONGEST_HEAD - before)]);
                let end = end_of_head(head);
                let goes_on = is_head(head) && (end.is_some() || head.len() < LONGEST_HEAD);
                let taken = end.unwrap_or(head.len()) - before;
                (Stepped { taken, given: 0, goes_on }, end.map(|_| Part::Body))
            }
            Part::Body => {
                let (stepped, is_over) = inflate(&mut self.inflate, packed, plain);
                (stepped, is_over.then_some(Part::Trailer(TRAILER)))
            }
            Part::Trailer(left) => {
                let taken = packed.len().min(*left);
                *left -= taken;
                let is_over = *left == 0;
                if is_over {
                    self.inflate.reset(false);
                }
                (Stepped { taken, given: 0, goes_on: true }, is_over.then(|| Part::Head(Vec::new())))
            }
        };
        if let Some(next) = next {
            self.part = next;
        }
        stepped
    }
}

/// Whether this can be the beginning of a member's head.
fn is_head(bytes: &[u8]) -> bool {
    let known = [0x1f, 0x8b, 0x08];
    let length = bytes.len().min(known.len());
    bytes[..length] == known[..length]
}

/// Where the head ends; `None` where it has not ended yet.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    const CHECKSUM: u8 = 2;
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    let flags = *bytes.get(3)?;
    let mut end = 10;
    if flags & EXTRA != 0 {
        end += 2 + usize::from(u16::from_le_bytes([*bytes.get(end)?, *bytes.get(end + 1)?]));
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            end += memchr::memchr(0, bytes.get(end..)?)? + 1;
        }
    }
    if flags & CHECKSUM != 0 {
        end += 2;
    }
    (end <= bytes.len()).then_some(end)
}

/// `deflate`: by the book in the frame of zlib (RFC 1950); some leave that out.
#[derive(Default)]
pub(super) struct Deflate {
    /// Made when the first byte has come, which tells the one from the other.
    inflate: Option<Decompress>,
}

impl Step for Deflate {
    fn step(&mut self, packed: &[u8], plain: &mut [u8]) -> Stepped {
        if packed.is_empty() && self.inflate.is_none() {
            return Stepped { taken: 0, given: 0, goes_on: true };
        }
        // The frame names its method in four bits. In a bare stream they would be a block without compression, and a bit
        // set that everybody leaves unset.
        let is_framed = packed.first().is_some_and(|first| first & 0x0f == 0x08);
        let decompress = self.inflate.get_or_insert_with(|| Decompress::new(is_framed));
        let (stepped, is_over) = inflate(decompress, packed, plain);
        Stepped { goes_on: stepped.goes_on && !is_over, ..stepped }
    }
}

/// A step, and whether it was the last.
fn inflate(decompress: &mut Decompress, packed: &[u8], plain: &mut [u8]) -> (Stepped, bool) {
    let (taken, given) = (decompress.total_in(), decompress.total_out());
    let status = decompress.decompress(packed, plain, FlushDecompress::None);
    let since = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
    let stepped = Stepped {
        taken: since(decompress.total_in(), taken),
        given: since(decompress.total_out(), given),
        goes_on: status.is_ok(),
    };
    (stepped, matches!(status, Ok(Status::StreamEnd)))
}

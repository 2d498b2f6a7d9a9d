//! Zstandard (RFC 8878).

use mzstd::{DecodeLimits, DecodeOperation, DecoderConfig, DecoderSessionOwned, Decompressor};

use super::{Step, Stepped};

/// The largest window is 2 to this: 8 MiB, as the web has it (RFC 9659). Twice as much is remembered at most, and never
/// more than has come out.
pub(super) const WINDOW_BITS: u8 = 23;

/// `zstd`: frames, one behind the other.
pub(super) struct Zstd {
    session: DecoderSessionOwned,
}

impl Zstd {
    pub(super) fn new() -> Option<Self> {
        let limits = DecodeLimits::DEFAULT.with_max_window_log(WINDOW_BITS).ok()?;
        Some(Self { session: Decompressor::new(DecoderConfig::DEFAULT.with_limits(limits)).into_session() })
    }
}

impl Step for Zstd {
    fn step(&mut self, packed: &[u8], plain: &mut [u8]) -> Stepped {
        match self.session.process(packed, plain, DecodeOperation::Process) {
            Ok(done) => Stepped { taken: done.consumed, given: done.produced, goes_on: true },
            Err(broken) => Stepped { taken: broken.consumed, given: broken.produced, goes_on: false },
        }
    }
}

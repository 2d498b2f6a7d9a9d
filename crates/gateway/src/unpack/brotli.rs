//! Brotli (RFC 7932).

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::{Step, Stepped};

/// The largest window is 2 to this: 4 MiB, what packers take unless they are told otherwise. It is filled before anything
/// comes out, so it bounds the time of a step too.
pub(super) const WINDOW_BITS: u32 = 22;

/// `br`.
pub(super) struct Brotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    given_in_all: usize,
}

impl Brotli {
    pub(super) fn new() -> Self {
        let alloc = StandardAlloc::default;
        // Strict: without the windows of up to 1 GiB that the web does not know.
        Self { state: BrotliState::new_strict(alloc(), alloc(), alloc()), given_in_all: 0 }
    }
}

impl Step for Brotli {
    fn step(&mut self, packed: &[u8], plain: &mut [u8]) -> Stepped {
        // The first byte says how large the window is. Only then memory is taken for it.
        let is_known = self.state.window_bits != 0;
        let packed = if is_known { packed } else { &packed[..packed.len().min(1)] };
        let (mut left, mut taken) = (packed.len(), 0);
        let (mut room, mut given) = (plain.len(), 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut taken,
            packed,
            &mut room,
            &mut given,
            plain,
            &mut self.given_in_all,
            &mut self.state,
        );
        let may_go_on = matches!(result, BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput);
        Stepped { taken, given, goes_on: may_go_on && self.state.window_bits <= WINDOW_BITS }
    }
}

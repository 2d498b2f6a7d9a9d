//! The long run: libFuzzer's search, guided by what of the program an input reaches. `cargo xtask fuzz` builds and starts it.

#![no_main]

use std::sync::OnceLock;

use coderclaw_fuzz::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

fn target() -> &'static Target {
    static CHOSEN: OnceLock<&'static Target> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "libFuzzer has the arguments for itself")]
        let name = std::env::var("CODERCLAW_FUZZ_TARGET").unwrap_or_default();
        let found = TARGETS.iter().find(|target| target.name == name);
        #[expect(clippy::expect_used, reason = "there is nobody to return it to")]
        found.expect("CODERCLAW_FUZZ_TARGET names a target")
    })
}

fuzz_target!(|bytes: &[u8]| (target().run)(bytes));

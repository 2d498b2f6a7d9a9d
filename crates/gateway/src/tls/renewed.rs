//! A certificate that is renewed while the gateway runs: the files are looked at when somebody connects.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use coderclaw_store::Signature;

use super::{Tls, TlsError, TlsFiles};

/// How old the view of the files may be.
const STALE: Duration = Duration::from_millis(500);

/// What is shown to those who connect, and where it comes from.
pub(crate) struct Certified {
    files: TlsFiles,
    state: Mutex<State>,
}

struct State {
    tls: Arc<Tls>,
    seen: [Option<Signature>; 2],
    looked: Instant,
    /// Why what is there now is not in use.
    trouble: Option<String>,
}

/// What has become of the files since they were last looked at.
pub(crate) enum Renewal {
    None,
    /// Another certificate is shown from now on.
    Done,
    /// They cannot be used; the one before goes on.
    Failed(String),
}

impl Certified {
    /// Reads the files.
    pub(crate) fn load(files: TlsFiles) -> Result<Self, TlsError> {
        // Before they are read: what changes meanwhile is read again.
        let seen = signatures(&files);
        let tls = Arc::new(Tls::load(&files)?);
        let state = State { tls, seen, looked: Instant::now(), trouble: None };
        Ok(Self { files, state: Mutex::new(state) })
    }

    /// What was last found good.
    pub(crate) fn shown(&self) -> Arc<Tls> {
        Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner).tls)
    }

    /// Why a newer certificate is not in use.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }

    /// The same, after a look at the files, if the last is a while ago: two calls of `stat`, and reading where they
    /// have changed. Certificate and key are two files: until both are of one pair, the pair before is shown.
    pub(crate) fn renewed(&self) -> (Arc<Tls>, Renewal) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() < STALE {
            return (Arc::clone(&state.tls), Renewal::None);
        }
        state.looked = Instant::now();
        let now = signatures(&self.files);
        if now == state.seen {
            return (Arc::clone(&state.tls), Renewal::None);
        }
        state.seen = now;
        let renewal = match Tls::load(&self.files) {
            Ok(tls) => {
                state.tls = Arc::new(tls);
                state.trouble = None;
                Renewal::Done
            }
            Err(e) => {
                state.trouble = Some(e.to_string());
                Renewal::Failed(e.to_string())
            }
        };
        (Arc::clone(&state.tls), renewal)
    }
}

fn signatures(files: &TlsFiles) -> [Option<Signature>; 2] {
    [Signature::of(&files.cert), Signature::of(&files.key)]
}

//! Connections that nobody uses at the moment, by where they lead.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::direct::connection::Connection;

/// How long one is kept. Shorter than servers keep one, so that a request seldom meets a connection that is being closed.
pub(crate) const KEPT: Duration = Duration::from_secs(30);

#[derive(Clone, Default)]
pub(crate) struct Pool(Arc<Mutex<Idle>>);

#[derive(Default)]
struct Idle {
    by_place: HashMap<Arc<str>, Vec<(Connection, Instant)>>,
    /// Somebody closes what nobody wants.
    is_swept: bool,
}

/// Where a connection goes when its answer is over.
pub(crate) struct Place {
    pool: Weak<Mutex<Idle>>,
    name: Arc<str>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl Pool {
    pub(crate) fn place(&self, name: &Arc<str>) -> Place {
        Place { pool: Arc::downgrade(&self.0), name: Arc::clone(name) }
    }

    /// The one that was used last. None that the other side has closed, or has said anything over that nobody asked for.
    pub(crate) fn take(&self, name: &str) -> Option<Connection> {
        let mut idle = lock(&self.0);
        let connections = idle.by_place.get_mut(name)?;
        while let Some((mut connection, since)) = connections.pop() {
            if since.elapsed() < KEPT && connection.is_ready_now() {
                return Some(connection);
            }
        }
        None
    }
}

impl Place {
    pub(crate) fn keep(self, mut connection: Connection) {
        // Nobody would close it in time.
        let Ok(runtime) = Handle::try_current() else { return };
        let Some(pool) = self.pool.upgrade() else { return };
        if !connection.is_ready() {
            return;
        }
        let mut idle = lock(&pool);
        idle.by_place.entry(self.name).or_default().push((connection, Instant::now()));
        if !std::mem::replace(&mut idle.is_swept, true) {
            runtime.spawn(sweep(self.pool));
        }
    }
}

/// Closes what has been kept long enough, until there is nothing more to close.
async fn sweep(pool: Weak<Mutex<Idle>>) {
    loop {
        tokio::time::sleep(KEPT).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut idle = lock(&pool);
        idle.by_place.retain(|_, connections| {
            connections.retain_mut(|(connection, since)| since.elapsed() < KEPT && connection.is_ready());
            !connections.is_empty()
        });
        idle.is_swept = !idle.by_place.is_empty();
        if !idle.is_swept {
            return;
        }
    }
}

fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

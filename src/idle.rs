//! Ends connections on which nothing has moved for the idle time. The copying
//! threads know nothing of it: this one looks at their byte counts now and
//! then, and sleeps for good while there is no idle time.

use crate::idlers;
use crate::message::{self, Trouble};
use crate::state::Pen;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks: an eighth of the idle time, within these bounds.
const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(5);

/// Wakes the watching thread when the idle time was changed.
#[derive(Debug, Default)]
pub struct IdleWatch {
    changed: Mutex<bool>,
    bell: Condvar,
}

impl IdleWatch {
    /// Look again.
    pub fn wake(&self) {
        *crate::lock(&self.changed) = true;
        self.bell.notify_all();
    }

    /// Waits for a change, `limit` at most.
    fn wait(&self, limit: Option<Duration>) {
        let guard = crate::lock(&self.changed);
        let mut guard = match limit {
            Some(limit) => {
                let waited = self.bell.wait_timeout_while(guard, limit, |changed| !*changed);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let waited = self.bell.wait_while(guard, |changed| !*changed);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
        };
        *guard = false;
    }
}

/// What was seen of a connection when it was looked at last.
#[derive(Debug, Default)]
pub struct Seen(Mutex<Option<(u64, Instant)>>);

impl Seen {
    /// How long the count has stood still, as far as was looked.
    pub fn quiet_for(&self, count: u64, now: Instant) -> Duration {
        let mut seen = crate::lock(&self.0);
        match *seen {
            Some((before, since)) if before == count => now.saturating_duration_since(since),
            _ => {
                *seen = Some((count, now));
                Duration::ZERO
            }
        }
    }
}

/// Watches until the process ends; starts idlers too, when more are wanted.
pub fn watch(pen: &Arc<Pen>) {
    let mut trouble = Trouble::default();
    loop {
        let started = idlers::start(pen);
        if let Err(e) = &started {
            trouble.say(format_args!("idlers wait: cannot start a thread: {e}"));
        }
        let Some(limit) = pen.settings().idle_limit() else {
            pen.idle_watch.wait(started.is_err().then_some(LONGEST));
            continue;
        };
        let pause = (limit / 8).clamp(SHORTEST, LONGEST);
        pen.idle_watch.wait(Some(pause));
        let now = Instant::now();
        for (_, connection) in pen.connections.live() {
            if connection.quiet_for(now) >= limit {
                let client = connection.client;
                message::debug(1, || format!("{client}: closed after {} s idle", limit.as_secs()));
                connection.close();
            }
        }
    }
}

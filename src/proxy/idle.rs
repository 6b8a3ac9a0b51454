//! Ends connections on which nothing has moved for the idle time, and those
//! whose client has gone while no thread reads from it. The copying threads know
//! nothing of that: one thread looks at all connections' byte counts now and then.

use crate::proxy::connection::{Connection, Direction};
use crate::proxy::ending::Reason;
use crate::proxy::idlers;
use crate::proxy::shared::Pen;
use crate::sys::message::Trouble;
use crate::sys::{self, Kind};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// The time between two looks is an eighth of the idle time, within these bounds.
const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(5);

/// Wakes a thread that looks at something now and then, to have it look again. One
/// that has not begun yet will look in any case.
#[derive(Debug, Default)]
pub struct Waker(OnceLock<Thread>);

impl Waker {
    /// The calling thread is the one that is woken. It says so before its first look.
    pub(super) fn wakes_this(&self) {
        let _ = self.0.set(thread::current());
    }

    /// Wakes it.
    pub(crate) fn wake(&self) {
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
    }
}

/// A connection's byte count at the last look, and since when it has been that.
#[derive(Debug, Default)]
pub(crate) struct Activity(Mutex<Option<(u64, Instant)>>);

impl Activity {
    /// How long the count has not changed, as far as is known from the looks.
    pub(crate) fn quiet_for(&self, count: u64, now: Instant) -> Duration {
        let mut last = crate::lock(&self.0);
        match *last {
            Some((before, since)) if before == count => now.saturating_duration_since(since),
            _ => {
                *last = Some((count, now));
                Duration::ZERO
            }
        }
    }
}

/// Watches until the process ends. It also starts the idlers that are missing.
pub(crate) fn watch(pen: &Arc<Pen>) {
    let mut trouble = Trouble::default();
    pen.idle_watch.wakes_this();
    loop {
        if let Err(e) = idlers::start(pen) {
            trouble.say(format_args!("idlers wait: cannot start a thread: {e}"));
        }
        let settings = pen.settings();
        let (whole, half) = (settings.idle_limit(), settings.half_closed_limit());
        let limit = whole.into_iter().chain(half).min().unwrap_or(Duration::MAX);
        thread::park_timeout((limit / 8).clamp(SHORTEST, LONGEST));
        let now = Instant::now();
        if pen.is_replaced() && settings.start.kind == Kind::Datagram {
            // The flows are the other process's.
            return;
        }
        for (_, connection) in pen.connections.live() {
            let quiet = connection.quiet_for(now);
            if whole.is_some_and(|limit| quiet >= limit) {
                connection.close(Reason::Idle);
            } else if connection.ended_bits() != 0 && half.is_some_and(|limit| quiet >= limit) {
                connection.close(Reason::HalfClosed);
            } else if !quiet.is_zero() && connection.kind == Kind::Stream {
                end_if_gone(&connection);
            }
        }
    }
}

/// Ends a connection whose client has gone, when no thread reads from it: the client
/// had ended its side before (once it has closed the socket, its kernel answers
/// keep-alive with a reset), or the server does not take what it sent.
fn end_if_gone(connection: &Connection) {
    let client = &**connection.source(Direction::Up);
    if !sys::has_hung_up(client) {
        return;
    }
    match sys::take_error(client) {
        _ if connection.has_ended(Direction::Up) => connection.close(Reason::ClientClosed),
        Some(e) => connection.reset(Reason::failed(Direction::Up, &e)),
        // A Unix socket that was closed. What the client sent is still read.
        None => {}
    }
}

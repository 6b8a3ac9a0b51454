//! The end of a pen that finishes its connections first: after TERM, if `drain_timeout`
//! is set, and when another process has taken over.

use crate::proxy::shared::{Pen, Phase};
use crate::sys;
use crate::sys::message;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How often pen looks whether its connections have finished.
const STEP: Duration = Duration::from_millis(20);

/// The stack of the thread that waits for them.
const STACK: usize = 64 * 1024;

/// Begins that, if pen is to finish its connections; `false` if it is to end at once.
/// When they have finished, or their time is over, pen gets another TERM.
pub(crate) fn begin(pen: &Arc<Pen>) -> bool {
    let settings = pen.settings();
    if !pen.is_replaced() {
        if settings.drain_timeout.is_zero() {
            return false;
        }
        pen.enter(Phase::Draining);
        message::say(format_args!(
            "pen is draining: it listens for {} s, connections have {} s more",
            settings.lame_duck.as_secs(),
            settings.drain_timeout.as_secs()
        ));
    }
    let pen = Arc::clone(pen);
    sys::start_thread(STACK, move || finish(&pen)).is_ok()
}

fn finish(pen: &Pen) {
    let settings = pen.settings();
    if !pen.is_replaced() {
        thread::sleep(settings.lame_duck);
        pen.listener.close();
        pen.connections.wake();
    }
    let limit = Some(settings.drain_timeout).filter(|limit| !limit.is_zero());
    let end = limit.map(|limit| Instant::now() + limit);
    while has_work(pen) && end.is_none_or(|end| Instant::now() < end) {
        pen.restart.reap();
        thread::sleep(STEP);
    }
    sys::ask_to_stop();
}

/// Whether there are connections, or clients that were accepted and have none yet: each
/// has a slot, and so has the loop that accepts until it ends.
fn has_work(pen: &Pen) -> bool {
    // Who has asked for the restart gets the reply.
    let has_visitors = pen.is_replaced() && Arc::strong_count(&pen.visitors) > 1;
    pen.connections.taken() > 0 || has_visitors
}

/// Another process has taken over: it checks servers, looks names up and keeps idle
/// connections from now on.
pub(super) fn stop_work(pen: &Pen) {
    pen.want_idlers(0);
    pen.checks.wake();
    pen.name_watch.wake();
}

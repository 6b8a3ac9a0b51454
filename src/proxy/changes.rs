//! What follows when a server goes down, comes back or is taken out: a message, and
//! an event that reports show.

use crate::pool::choice::Target;
use crate::pool::health::{BY_COMMAND, Change, State};
use crate::proxy::shared::Pen;
use crate::sys::message;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// How many events are kept for reports.
const MOST: usize = 100;

/// A change of a server's state, as reports show it.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// When it was, in seconds since 1970.
    pub(crate) at: u64,
    /// Which server.
    pub(crate) target: Target,
    /// Its name in messages.
    pub(crate) name: String,
    /// Its state before that.
    pub(crate) from: State,
    /// Its state after that.
    pub(crate) to: State,
    /// Why.
    pub(crate) reason: Arc<str>,
}

/// The last events, the oldest first.
#[derive(Debug, Default)]
pub struct Events(Mutex<VecDeque<Event>>);

impl Events {
    /// Copies the events.
    pub(crate) fn all(&self) -> Vec<Event> {
        crate::lock(&self.0).iter().cloned().collect()
    }

    fn add(&self, event: Event) {
        let mut events = crate::lock(&self.0);
        if events.len() >= MOST {
            events.pop_front();
        }
        events.push_back(event);
    }
}

/// Says that the state of a server has changed, and does what is set for that. The
/// caller holds no lock.
pub(crate) fn announce(pen: &Pen, target: Target, name: String, change: Change) {
    let Change { from, to, reason } = change;
    if !pen.is_running() {
        return;
    }
    let settings = pen.settings();
    let was_down = matches!(from, State::Down | State::Failing);
    match to {
        _ if &*reason == BY_COMMAND => message::say(format_args!("{name} is {} now", to.word())),
        State::Up | State::Untried if was_down => message::say(format_args!("{name} is up again")),
        State::Down | State::Failing if settings.check.is_zero() => {
            let seconds = settings.blacklist.as_secs();
            message::warn(format_args!("{name} is down for {seconds} s: {reason}"));
        }
        State::Down | State::Failing => message::warn(format_args!("{name} is down: {reason}")),
        _ => {}
    }
    let at = message::unix_time();
    pen.events.add(Event { at, target, name, from, to, reason });
}

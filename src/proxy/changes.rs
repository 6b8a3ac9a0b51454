//! What follows when a server goes down, comes back or is taken out: a message, an
//! event that reports show and, if that is set, the end of its connections and a
//! program that is run.

use crate::pool::choice::Target;
use crate::pool::health::{BY_COMMAND, Change, State};
use crate::proxy::ending::Reason;
use crate::proxy::idle::Waker;
use crate::proxy::search;
use crate::proxy::shared::Pen;
use crate::sys::Kind;
use crate::sys::addr::Host;
use crate::sys::message;
use crate::sys::program;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How many events are kept for reports, and how many may wait for `on_change`.
const MOST: usize = 100;

/// How long the program of `on_change` may take.
const LIMIT: Duration = Duration::from_secs(10);

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

/// A program that is to be run, and its arguments.
#[derive(Debug)]
struct Run {
    path: PathBuf,
    args: [String; 4],
}

impl Run {
    /// Runs it, and waits for its end. What it says is of interest if it fails.
    fn run(&self) {
        let name = self.path.display();
        let result = program::run(&self.path, &self.args.each_ref().map(String::as_str), LIMIT);
        let (status, line) = match result {
            Ok(finished) => (finished.status, finished.line),
            Err(e) => return message::say_seldom(format_args!("on_change: {name}: {e}")),
        };
        match status {
            Some(0) => {}
            Some(status) => message::say_seldom(format_args!("on_change: {name}: status {status}")),
            None => message::say_seldom(format_args!("on_change: {name}: ended by a signal")),
        }
        message::debug(1, || format!("on_change: {}: {line}", self.args.join(" ")));
    }
}

/// The runs of `on_change` that wait. One thread makes them, one after the other, in the
/// order of the changes.
#[derive(Debug, Default)]
pub struct Runs {
    waiting: Mutex<VecDeque<Run>>,
    waker: Waker,
}

impl Runs {
    fn add(&self, run: Run) {
        let mut waiting = crate::lock(&self.waiting);
        let is_full = waiting.len() >= MOST;
        if !is_full {
            waiting.push_back(run);
        }
        drop(waiting);
        match is_full {
            true => message::say_seldom("on_change: too many changes wait, one is left out"),
            false => self.waker.wake(),
        }
    }
}

/// Makes the runs of `on_change` until the process ends.
pub(crate) fn run_programs(pen: &Arc<Pen>) {
    pen.runs.waker.wakes_this();
    loop {
        let next = crate::lock(&pen.runs.waiting).pop_front();
        match next {
            Some(run) => run.run(),
            None => thread::park(),
        }
    }
}

/// Says that the state of the server at this host and port has changed, and does what
/// is set for that. The caller holds no lock.
pub(crate) fn announce(pen: &Pen, target: Target, host: &Host, port: u16, change: Change) {
    let Change { from, to, reason } = change;
    // Another process that has taken over notices it, too.
    if !pen.is_running() || pen.is_replaced() {
        return;
    }
    pen.health_file.ask();
    let name = search::name(target, host, port);
    let settings = pen.settings();
    let is_by_command = &*reason == BY_COMMAND;
    // One that was taken out before has not gone down now.
    let was_in = matches!(from, State::Up | State::Untried);
    let has_gone_down = to.is_down() && (was_in || is_by_command);
    match to {
        _ if is_by_command => message::say(format_args!("{name} is {} now", to.word())),
        State::Up | State::Untried if from.is_down() => {
            message::say(format_args!("{name} is up again"));
        }
        _ if !has_gone_down => {}
        _ if settings.check.is_zero() => {
            let seconds = settings.blacklist.as_secs();
            message::warn(format_args!("{name} is down, next try in {seconds} s: {reason}"));
        }
        _ => message::warn(format_args!("{name} is down: {reason}")),
    }
    let at = message::unix_time();
    if let Some(path) = &settings.on_change {
        let words = [from.word(), to.word(), &*reason].map(str::to_owned);
        let [old, new, why] = words;
        let args = [search::address(host, port), old, new, why];
        pen.runs.add(Run { path: path.clone(), args });
    }
    pen.events.add(Event { at, target, name, from, to, reason });
    // Another thread may have brought it back before this one came here.
    let state = || Some(pen.servers.table().get_mut(target)?.state(Instant::now()));
    if settings.cut && has_gone_down && state().is_some_and(State::is_down) {
        cut(pen, target, host, port);
    }
}

/// Ends the connections of a server that has gone down. A reset tells clients at once,
/// those that wait for an answer as well as those that are sending, and none of them
/// takes what it has got for all there is.
fn cut(pen: &Pen, target: Target, host: &Host, port: u16) {
    for (_, connection) in pen.connections.live() {
        let lease = &connection.lease;
        // Those from before it was moved have another server.
        if lease.target != target || *lease.host != *host || lease.port != port {
            continue;
        }
        match connection.kind {
            Kind::Stream => connection.reset(Reason::ServerCut),
            Kind::Datagram => connection.close(Reason::ServerCut),
        }
    }
}

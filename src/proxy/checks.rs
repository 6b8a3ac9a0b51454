//! Checks: pen asks servers now and then whether they work, so that no client is
//! needed to find out that one is down.
//!
//! One thread knows when checks are due, and hires for each of them one of the
//! threads that serve clients, for as long as it takes. A thread for each server
//! would sleep most of the time and cost memory, with a thousand servers 9 MiB; a
//! single one would wait for the slow servers before it asks the others. At most [`Limits::checks`]
//! are under way, whose descriptors are set aside for them: they take none from
//! clients. If there is no thread, the check is late.
//!
//! [`Limits::checks`]: crate::proxy::limits::Limits::checks

pub(crate) mod kinds;

use crate::pool::choice::Target;
use crate::pool::health::{Admin, Checked, Rules};
use crate::proxy::changes;
use crate::proxy::idle::Waker;
use crate::proxy::search;
use crate::proxy::shared::Pen;
use crate::proxy_protocol::SendProxy;
use crate::settings::Settings;
use crate::sys::addr::Host;
use crate::sys::message;
use kinds::Failure;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

/// How long the thread that looks for due checks sleeps at most.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long a check waits for a thread or for its turn before pen looks again.
const REST: Duration = Duration::from_millis(100);

/// A check that could not be made, as this host lacked something, comes again after
/// this time.
const LATER: Duration = Duration::from_secs(1);

/// The time between two checks of a server that is about to change its state is a
/// quarter of `check`, but no less than this.
const SHORTEST: Duration = Duration::from_millis(250);

/// What the thread that looks for due checks shares with others.
#[derive(Debug, Default)]
pub struct Checks {
    waker: Waker,
    running: AtomicUsize,
}

impl Checks {
    /// Has the thread look again, as settings or servers have changed.
    pub fn wake(&self) {
        self.waker.wake();
    }
}

/// A server that is checked. The check is over when this is dropped.
struct Check {
    index: usize,
    host: Arc<Host>,
    /// The name that was configured for it, if any.
    name: Arc<str>,
    port: u16,
    check_port: u16,
    /// The PROXY header that the server gets.
    send_proxy: SendProxy,
    /// See [`Health::begin_check`](crate::pool::health::Health::begin_check).
    token: Arc<()>,
    // Dropped last, as it wakes the thread that looks for what is due.
    _running: Running,
}

/// Counts a check as long as it exists.
struct Running(Arc<Pen>);

impl Running {
    fn new(pen: &Arc<Pen>) -> Running {
        pen.checks.running.fetch_add(1, SeqCst);
        Running(Arc::clone(pen))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.checks.running.fetch_sub(1, SeqCst);
        self.0.checks.wake();
    }
}

/// Checks servers until the process ends or another one has taken over.
pub(crate) fn watch(pen: &Arc<Pen>) {
    pen.checks.waker.wakes_this();
    let mut check = Duration::ZERO;
    while !pen.is_replaced() {
        let settings = pen.settings();
        if settings.check != check {
            check = settings.check;
            let mut table = pen.servers.table();
            table.servers.iter_mut().for_each(|server| server.health.restart_checks(check));
        }
        let wait = if check.is_zero() { LONGEST } else { start_due(pen, &settings) };
        thread::park_timeout(wait);
    }
}

/// Starts the checks that are due. Returns how long it is until the next one.
fn start_due(pen: &Arc<Pen>, settings: &Arc<Settings>) -> Duration {
    let (due, wait) = take_due(pen);
    for check in due {
        let Ok(worker) = pen.workers.hire(Duration::ZERO) else {
            // What is given up wakes this thread: without the pause it would try again
            // at once, while there is no thread for clients, either.
            thread::sleep(REST);
            return Duration::ZERO;
        };
        let settings = Arc::clone(settings);
        worker.run(move |_| carry_out(check, &settings));
    }
    wait
}

/// Takes the servers whose check is due, as far as there may be checks at once: first
/// those that have waited longest.
fn take_due(pen: &Arc<Pen>) -> (Vec<Check>, Duration) {
    let most = pen.limits().checks().saturating_sub(pen.checks.running.load(SeqCst));
    let now = Instant::now();
    let mut table = pen.servers.table();
    let (mut due, mut wait) = (Vec::new(), LONGEST);
    for (index, server) in table.servers.iter().enumerate() {
        let health = &server.health;
        let is_out = matches!(health.admin(), Admin::Maint | Admin::Down);
        if is_out || health.is_checking() || server.is_empty() {
            continue;
        }
        match health.check_due.filter(|due| *due > now) {
            Some(later) => wait = wait.min(later.saturating_duration_since(now).max(REST)),
            None => due.push((health.check_due, index)),
        }
    }
    if due.len() > most {
        wait = REST;
        due.sort_unstable();
        due.truncate(most);
    }
    let (mut checks, send_proxy) = (Vec::new(), table.settings.send_proxy);
    for (_, index) in due {
        if let Some(server) = table.servers.get_mut(index) {
            checks.push(Check {
                index,
                host: Arc::clone(&server.host),
                name: Arc::clone(&server.name),
                port: server.port,
                check_port: server.check_port,
                send_proxy: server.send_proxy.unwrap_or(send_proxy),
                token: server.health.begin_check(),
                _running: Running::new(pen),
            });
        }
    }
    (checks, wait)
}

/// Checks one server, and takes note of the result.
fn carry_out(check: Check, settings: &Settings) {
    let pen = &check._running.0;
    let start = Instant::now();
    let why = match kinds::run(settings, &check) {
        Ok(()) => String::new(),
        Err(Failure::Server(why)) => why,
        Err(Failure::Host(why)) => return put_off(&check, &why),
    };
    let now = Instant::now();
    let took = now.saturating_duration_since(start);
    let checked = Checked { at: now, took, why: why.into() };
    let change = {
        let mut table = pen.servers.table();
        // Those in force now, as a check may take long.
        let settings = Arc::clone(&table.settings);
        let rules = Rules { rise: settings.check_rise, fall: settings.check_fall };
        let is_on = !settings.check.is_zero();
        let server = table.servers.get_mut(check.index);
        let Some(server) = server.filter(|server| is_on && server.health.is_check(&check.token))
        else {
            return;
        };
        let is_first = server.health.checked.is_none();
        server.misses = if checked.why.is_empty() { 0 } else { server.misses.saturating_add(1) };
        let change = server.update(now, |health| health.check(checked, rules, now));
        let health = &mut server.health;
        let wait = match health.is_changing() {
            true => (settings.check / 4).max(SHORTEST).min(settings.check),
            false if !health.is_seen_up() => settings.check.saturating_mul(2),
            // From then on they are spread out.
            false if is_first => settings.check.mul_f64(share(check.index)),
            false => settings.check,
        };
        health.check_due = start.checked_add(wait);
        change
    };
    if let Some(change) = change {
        let target = Target::Server(check.index);
        changes::announce(pen, target, &check.host, check.port, change);
    }
}

/// Has the check come again in a moment, as it has shown nothing of the server.
fn put_off(check: &Check, why: &str) {
    let name = search::name(Target::Server(check.index), &check.host, check.port);
    message::say_seldom(format_args!("cannot check {name}: {why}"));
    let mut table = check._running.0.servers.table();
    let server = table.servers.get_mut(check.index);
    if let Some(server) = server.filter(|server| server.health.is_check(&check.token)) {
        server.health.check_due = Instant::now().checked_add(LATER);
    }
}

/// A share above 0, up to 1, for each number, so that any few that follow one another
/// are spread out (multiples of the golden ratio).
fn share(number: usize) -> f64 {
    let number = u32::try_from(number & 0xffff).unwrap_or(0);
    1.0 - (f64::from(number) * 0.618_033_988_75).fract()
}

//! What a row of the table is made of: a pen with servers and traffic, a fault,
//! what came of it.

use crate::server::Server;
use crate::stand::{Host, PATIENCE, Pen, Starter, wait_for};
use crate::talk::Failure;
use crate::traffic::{Mix, Report, Traffic, USUAL};
use crate::world::World;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// One fault, or several of a kind.
pub(crate) struct Row {
    /// For `CHAOS_ONLY`.
    pub(crate) name: &'static str,
    /// For the table.
    pub(crate) fault: &'static str,
    pub(crate) run: fn(&Extent) -> Found,
}

/// What came of it, or why it was skipped.
pub(crate) type Found = Result<Outcome, String>;

/// How much of everything.
pub(crate) struct Extent {
    pub(crate) is_short: bool,
    pub(crate) world: World,
}

impl Extent {
    /// How often, in full and in short.
    pub(crate) fn times(&self, full: usize, short: usize) -> usize {
        if self.is_short { short } else { full }
    }

    /// For how many seconds.
    pub(crate) fn seconds(&self, full: u64, short: u64) -> Duration {
        Duration::from_secs(if self.is_short { short } else { full })
    }
}

/// What a row shows.
#[derive(Default)]
pub(crate) struct Outcome {
    /// How often the fault happened.
    pub(crate) times: usize,
    /// Connections when it did, on average.
    pub(crate) in_flight: usize,
    /// Conversations that went well.
    pub(crate) done: usize,
    /// That failed, as the fault forces them to.
    pub(crate) forced: usize,
    /// That failed and should not have.
    pub(crate) failed: usize,
    /// Bytes that those had sent and that did not come back, in either
    /// direction.
    pub(crate) lost: u64,
    /// The longest that anybody had to wait to be served when it was over.
    pub(crate) recovery: Duration,
    /// What else was not as it should be.
    pub(crate) faults: Vec<String>,
}

impl Outcome {
    pub(crate) fn is_clean(&self) -> bool {
        self.failed == 0 && self.lost == 0 && self.faults.is_empty()
    }

    /// Counts what came of conversations. `forced` says of each failure whether
    /// the fault forces it.
    pub(crate) fn count(&mut self, report: &Report, forced: impl Fn(&Failure) -> bool) {
        self.done += report.done;
        for failure in &report.failures {
            // Other bytes than were sent: nothing forces that.
            if forced(failure) && !failure.is_wrong {
                self.forced += 1;
                continue;
            }
            self.failed += 1;
            self.lost += failure.missing;
            if self.failed <= SHOWN {
                eprintln!("  failed: {failure:?}");
            }
        }
    }

    /// Notes what must be and is not.
    pub(crate) fn demand(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.faults.push(what());
        }
    }
}

/// A time in which a fault forces failures.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) from: Instant,
    pub(crate) to: Instant,
    /// The server that has it; nothing if that does not matter.
    pub(crate) server: Option<u8>,
}

impl Window {
    /// Whether the conversation had begun before the end and failed not before
    /// the beginning.
    pub(crate) fn has(&self, failure: &Failure) -> bool {
        failure.begun < self.to && failure.ended >= self.from
    }

    /// The same, and it was with this server or with one that had not said its
    /// number yet.
    pub(crate) fn may_be_with(&self, failure: &Failure) -> bool {
        self.has(failure) && (failure.server.is_none() || failure.server == self.server)
    }
}

/// A pen with servers and traffic.
pub(crate) struct Scene {
    pub(crate) servers: Vec<Server>,
    pub(crate) pen: Pen,
    pub(crate) traffic: Traffic,
    times: usize,
    in_flight: usize,
    recovery: Duration,
    /// Descriptors that pen has without any connection.
    idle_files: usize,
    /// What came of conversations beside the traffic.
    others: Vec<Result<(), Failure>>,
}

/// What pen says of servers that fail.
const ABOUT_SERVERS: [&str; 2] = [" is down, next try in ", " is up again"];

impl Scene {
    /// Three servers, the usual traffic.
    pub(crate) fn usual(words: &[&str]) -> Scene {
        Scene::new(USUAL, |starter, _| starter.args(words))
    }

    /// Three servers, and a pen to which `settle` gives options.
    pub(crate) fn new(mix: Mix, settle: impl FnOnce(Starter, &Host) -> Starter) -> Scene {
        let host = Host::new();
        let servers = Server::three(&host);
        let starter = Starter::on(&host).servers(&servers).control();
        Scene::of(servers, mix, settle(starter, &host))
    }

    /// With a pen that is started otherwise.
    pub(crate) fn of(servers: Vec<Server>, mix: Mix, starter: Starter) -> Scene {
        let starter = ABOUT_SERVERS.into_iter().fold(starter, Starter::expect);
        let pen = starter.start();
        let idle_files = open_files(pen.pid());
        let traffic = Traffic::start(pen.at.inet(), mix);
        Scene {
            servers,
            pen,
            traffic,
            times: 0,
            in_flight: 0,
            recovery: Duration::ZERO,
            idle_files,
            others: Vec::new(),
        }
    }

    /// A fault happens now.
    pub(crate) fn fault(&mut self) -> Instant {
        self.faults(1)
    }

    /// So many faults happen now.
    pub(crate) fn faults(&mut self, count: usize) -> Instant {
        self.times += count;
        self.in_flight += count * self.traffic.open();
        Instant::now()
    }

    /// Kills a server. What was on it then is forced to fail.
    pub(crate) fn kill(&mut self, victim: usize) -> Window {
        let from = self.fault();
        self.servers[victim].kill();
        let (to, server) = (Instant::now(), Some(victim as u8));
        Window { from, to, server }
    }

    /// Waits until everybody has been served since then.
    pub(crate) fn recover_from(&mut self, since: Instant) {
        self.traffic.watch(since);
        self.recovery = self.recovery.max(self.traffic.recovery());
    }

    /// Counts conversations beside the traffic.
    pub(crate) fn other_talks(&mut self, results: Vec<Result<(), Failure>>) {
        self.others.extend(results);
    }

    /// Ends the traffic and then pen, with a look at what is left. `forced`
    /// says of each failure whether the fault forces it.
    pub(crate) fn end(self, forced: impl Fn(&Failure) -> bool) -> Outcome {
        self.end_timed(forced).0
    }

    /// The same, and how long pen took to end.
    pub(crate) fn end_timed(self, forced: impl Fn(&Failure) -> bool) -> (Outcome, Duration) {
        let mut report = self.traffic.stop();
        report.add(self.others);
        let mut outcome = Outcome {
            times: self.times,
            in_flight: self.in_flight / self.times.max(1),
            recovery: self.recovery,
            ..Outcome::default()
        };
        outcome.count(&report, forced);
        let mut told = Instant::now();
        let (pen, count) = (self.pen, self.servers.len());
        let looked = catch_unwind(AssertUnwindSafe(|| {
            wait_for(PATIENCE, "no connection is left on a server", || {
                (0..count).all(|server| pen.load(server) == 0)
            });
            wait_for(PATIENCE, "no descriptor is left over", || {
                open_files(pen.pid()) <= self.idle_files
            });
            told = Instant::now();
            drop(pen);
        }));
        let ending = told.elapsed();
        if let Err(why) = looked {
            outcome.faults.push(reason(&*why));
        }
        (outcome, ending)
    }
}

/// Failures that are shown in full.
const SHOWN: usize = 5;

/// How many descriptors a process has.
pub(crate) fn open_files(pid: u32) -> usize {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd"));
    entries.map_or(0, Iterator::count)
}

/// What a panic said.
pub(crate) fn reason(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic").to_owned()
}

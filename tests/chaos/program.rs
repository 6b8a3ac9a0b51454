//! What happens to pen itself: it is killed or stopped, its control port is flooded, its
//! clock is set.

use crate::row::{Extent, Found, Row, Scene, Window};
use crate::server::Server;
use crate::stand::{At, Dir, Host, Starter, full_queue, pattern, wait_until};
use crate::talk::STARTING;
use crate::traffic::{USUAL, pass};
use crate::world::{Signals, need_faketime};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const ROWS: [Row; 5] = [
    Row { name: "kill-9", fault: "pen killed (kill -9), started again on its port", run: kill_9 },
    Row { name: "paused", fault: "pen stopped (SIGSTOP) and continued", run: paused },
    Row { name: "control", fault: "control port flooded", run: control },
    Row {
        name: "clock-tracking",
        fault: "clock of pen set back and forth (libfaketime): tracking",
        run: clock_tracking,
    },
    Row {
        name: "clock-blacklist",
        fault: "clock of pen set back and forth (libfaketime): blacklist",
        run: clock_blacklist,
    },
];

/// Forced: all that was open, and what came before the new one listened. Time
/// to recover begins when the old one was killed, which leaves its pid file and
/// its control socket behind.
fn kill_9(extent: &Extent) -> Found {
    let mut kill = Signals::new();
    let dir = Dir::new();
    let host = Host::new();
    let servers = Server::three(&host);
    let at = host.at();
    let words: Vec<String> = servers.iter().map(|server| server.at.to_string()).collect();
    let starter = || {
        let starter = Starter::at(at.clone()).control_at(At::Unix(dir.file("control")));
        let starter = starter.args(["-r"]).path("-p", &dir.file("pid")).expect("signal: 9");
        words.iter().fold(starter, Starter::operand)
    };
    let mut scene = Scene::of(servers, USUAL, starter());
    let mut windows = Vec::new();
    for _ in 0..extent.times(20, 3) {
        let from = scene.fault();
        kill.send("KILL", scene.pen.pid());
        scene.pen.wait();
        let held = STARTING.lock();
        scene.pen = starter().start();
        drop(held);
        let (to, server) = (Instant::now(), None);
        windows.push(Window { from, to, server });
        scene.recover_from(from);
    }
    Ok(scene.end(|failure| windows.iter().any(|window| window.has(failure))))
}

/// Forced: nothing. A fourth server's queue is full, so that connects are being
/// made whenever pen is stopped; they end when they have taken their second, and
/// no server fails for any other reason.
fn paused(extent: &Extent) -> Found {
    let mut full = None;
    let mut scene = Scene::new(USUAL, |starter, host| {
        let full = full.insert(host.addr());
        starter.args(["-r", "-b", "0", "-t", "1"]).operand(full.to_string())
    });
    let full = full.unwrap();
    // pen must not be in that queue itself.
    scene.pen.ask("server 3 blacklist 10");
    let _queue = full_queue(full);
    let before = scene.pen.messages().len();
    let mut signals = Signals::new();
    for round in 0..extent.times(20, 5) {
        // That it fails is news again, and somebody goes there.
        scene.pen.ask("server 3 blacklist 0");
        pass(Duration::from_millis(300));
        scene.fault();
        signals.send("STOP", scene.pen.pid());
        pass(Duration::from_millis(if round % 5 == 0 { 2000 } else { 50 }));
        signals.send("CONT", scene.pen.pid());
        scene.recover_from(Instant::now());
    }
    let messages = scene.pen.messages();
    let downs = messages.iter().skip(before).filter(|line| line.contains(" is down, next try in "));
    let strange = downs.filter(|line| !line.ends_with("no answer within 1 s")).cloned();
    let strange: Vec<String> = strange.collect();
    let mut outcome = scene.end(|_| false);
    outcome.faults.extend(strange);
    Ok(outcome)
}

/// Silent control connections.
const SILENT: usize = 100;

/// Says so when it goes, however that comes about.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Forced: nothing, and who asks at the control port gets an answer.
fn control(extent: &Extent) -> Found {
    let mut scene = Scene::usual(&["-r"]);
    let at = scene.pen.control().inet();
    let (stopping, flood) = (AtomicBool::new(false), AtomicUsize::new(0));
    let goes_on = || !stopping.load(SeqCst);
    let shout = |words: &[u8]| {
        while goes_on() {
            if let Ok(mut stream) = TcpStream::connect(at) {
                let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
                let _ = stream.write_all(words);
                let _ = stream.read(&mut [0; 4096]);
                flood.fetch_add(1, SeqCst);
            }
            thread::sleep(Duration::from_millis(1));
        }
    };
    let be_silent = || {
        let mut all: Vec<TcpStream> = Vec::new();
        while goes_on() {
            all.truncate(SILENT);
            all.splice(0..0, TcpStream::connect(at));
            flood.fetch_add(1, SeqCst);
            thread::sleep(Duration::from_millis(2));
        }
    };
    let mut slowest = Duration::ZERO;
    let begin = Instant::now();
    thread::scope(|scope| {
        let _end = Ending(&stopping);
        // The longest reply, a line too many, one too long, one without an end.
        for words in [&b"status\n"[..], b"servers\nservers\n", pattern(1, 0, 9000), b"x"] {
            scope.spawn(move || shout(words));
        }
        scope.spawn(be_silent);
        let end = begin + extent.seconds(10, 3);
        while Instant::now() < end {
            let asked = Instant::now();
            assert_eq!(scene.pen.ask("blacklist"), "30\n");
            slowest = slowest.max(asked.elapsed());
            scene.recover_from(asked);
            pass(Duration::from_millis(50));
        }
    });
    scene.faults(flood.load(SeqCst));
    let mut outcome = scene.end(|_| false);
    outcome.demand(slowest < Duration::from_secs(5), || {
        format!("an answer at the control port took {slowest:?}")
    });
    Ok(outcome)
}

/// The time of day that pen sees: as much later or earlier as the file says.
/// The machine's own clock is not touched.
struct Clock {
    dir: Dir,
    library: String,
}

/// Where the clock goes, in turn.
const TIMES: [&str; 4] = ["+1d", "-1d", "+400d", "+0"];

impl Clock {
    fn new() -> Result<Clock, String> {
        let library = need_faketime()?.display().to_string();
        let clock = Clock { dir: Dir::new(), library };
        clock.set("+0");
        Ok(clock)
    }

    /// How pen is started. Its monotonic clock stays as it is, as it does when
    /// somebody sets a real clock.
    fn around(&self) -> String {
        format!(
            "export LD_PRELOAD={} FAKETIME_TIMESTAMP_FILE={} FAKETIME_NO_CACHE=1 \
             FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1",
            self.library,
            self.file("now").display()
        )
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.dir.file(name)
    }

    fn set(&self, time: &str) {
        let (new, now): (&Path, &Path) = (&self.file("new"), &self.file("now"));
        fs::write(new, time).unwrap();
        fs::rename(new, now).unwrap();
    }
}

/// On how many different days pen said something: else nothing was set.
fn days(messages: &[String]) -> usize {
    let days = messages.iter().filter_map(|line| line.get(..10));
    days.collect::<BTreeSet<_>>().len()
}

/// Forced: nothing. Everybody stays on the server that they were on, and
/// nobody is forgotten.
fn clock_tracking(extent: &Extent) -> Found {
    let clock = Clock::new()?;
    let mut scene =
        Scene::new(USUAL, |starter, _| starter.under(&clock.around()).args(["-T", "60"]));
    let mut kill = Signals::new();
    let clients = scene.pen.ask("recent 60").lines().count();
    let mut forgotten = Vec::new();
    for round in 0..extent.times(40, 8) {
        scene.fault();
        clock.set(TIMES[round % TIMES.len()]);
        kill.send("HUP", scene.pen.pid());
        scene.recover_from(Instant::now());
        let now = scene.pen.ask("recent 60").lines().count();
        if now != clients {
            forgotten.push(format!("{now} of {clients} clients are known"));
        }
        pass(Duration::from_millis(100));
    }
    let (moves, days) = (scene.traffic.moves(), days(&scene.pen.messages()));
    let mut outcome = scene.end(|_| false);
    outcome.faults.extend(forgotten);
    outcome.demand(moves == 0, || format!("{moves} times another server"));
    outcome.demand(days >= 3, || format!("pen saw {days} days"));
    Ok(outcome)
}

const BLACKLIST: Duration = Duration::from_secs(2);

/// How late a server may be tried again on a busy machine.
const LATE: Duration = Duration::from_secs(2);

/// Forced: what was on the server when it was killed. It is tried again after
/// the blacklist time, not sooner and not later.
fn clock_blacklist(extent: &Extent) -> Found {
    let clock = Clock::new()?;
    let mut scene =
        Scene::new(USUAL, |starter, _| starter.under(&clock.around()).args(["-r", "-b", "2"]));
    let mut windows = Vec::new();
    let mut faults = Vec::new();
    for round in 0..extent.times(8, 2) {
        let victim = round % 3;
        let window = scene.kill(victim);
        windows.push(window);
        wait_until("the server is down", || scene.pen.times_said(" is down, next try in ") > round);
        let since = Instant::now();
        clock.set(TIMES[round % TIMES.len()]);
        scene.servers[victim].start();
        scene.recover_from(window.to);
        scene.traffic.wait_for_server(victim as u8);
        if window.to.elapsed() < BLACKLIST || since.elapsed() > BLACKLIST + LATE {
            let time = since.elapsed();
            faults.push(format!("a server was tried again after {time:?}"));
        }
    }
    let days = days(&scene.pen.messages());
    let mut outcome = scene.end(|failure| windows.iter().any(|window| window.may_be_with(failure)));
    outcome.faults.extend(faults);
    outcome.demand(days >= 3, || format!("pen saw {days} days"));
    Ok(outcome)
}

//! `make soak`: 1,000,000 connections through pen, one in ten of them broken in
//! some way. Afterwards pen must hold what it held before, and everybody must
//! have counted the same bytes: the clients, pen on its two sides, the servers.
//!
//! A connection whose end comes in mid-stream is seen differently by its two
//! ends. Such connections have a server and clients of their own, so that
//! everywhere else the totals must be equal to the byte.
//!
//! | where | what |
//! |---|---|
//! | `plan` | how each connection goes |
//! | `traffic` | the clients |
//! | `servers` | the servers |
//! | `setup` | pen with both, what it holds, the comparison |
//! | `ledger` | what the ends count, what went wrong |
//!
//! `SOAK_CONNECTIONS` sets their number. One in ten is a UDP client. `RECORD=1` writes
//! what a run of 1,000,000 or more has found into `tests/RESULTS.md`.

// Not a library: a run that cannot go on may end the program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod ledger;
mod plan;
#[path = "../stand/progress.rs"]
mod progress;
#[path = "../stand/results.rs"]
mod results;
mod servers;
mod setup;
/// What the tests stand on; not all of it is used here.
#[path = "../stand/mod.rs"]
#[allow(dead_code, unused_imports)]
mod stand;
mod traffic;

use ledger::Faults;
use plan::KINDS;
use setup::{Gauges, Setup, TCP, UDP};
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Connections unless told otherwise.
const CONNECTIONS: u32 = 1_000_000;

/// Connections before the first look at what pen holds, of the same kinds and as
/// many at a time: it is to have been everywhere in its code and its tables. So
/// many at least, and a fifth of the others: the C library keeps some memory for
/// each thread that stays, which fills up slowly (glibc: seven pieces of each size).
const WARM_UP: u32 = 20_000;

/// Between two lines about how far it is.
const NEWS: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    // `cargo bench` says so; `cargo test --all-targets` comes here too.
    if !std::env::args().any(|word| word == "--bench") {
        println!("nothing done; to soak: make soak");
        return ExitCode::SUCCESS;
    }
    let count = match std::env::var("SOAK_CONNECTIONS") {
        Err(_) => CONNECTIONS,
        Ok(word) => match word.parse() {
            Ok(count) if count >= 1000 => count,
            _ => {
                eprintln!("soak: SOAK_CONNECTIONS={word}: expected a number, at least 1000");
                return ExitCode::FAILURE;
            }
        },
    };
    let faults = soak(count);
    match faults.all() {
        (0, _) => {
            println!("nothing is left over, and everybody has counted the same");
            ExitCode::SUCCESS
        }
        (many, first) => {
            println!("{many} faults:");
            first.iter().for_each(|what| println!("  {what}"));
            ExitCode::FAILURE
        }
    }
}

fn soak(count: u32) -> Arc<Faults> {
    let faults = Arc::new(Faults::default());
    let setups = [&TCP, &UDP].map(|transport| Setup::start(transport, &faults));
    under_load(&setups, shares(WARM_UP.max(count / 5)), Instant::now());
    setups.iter().for_each(Setup::rewind);
    eprintln!("soak: warmed up; waiting until pen is at rest");
    let starts = setups.each_ref().map(|setup| {
        let fresh = Gauges { memory_kib: 0, ..setup.fresh };
        setup.settle(&fresh)
    });
    let begin = Instant::now();
    let peaks = under_load(&setups, shares(count), begin);
    let seconds = begin.elapsed().as_secs_f64();
    eprintln!("soak: all are made; waiting until pen is at rest");
    let mut rows = Vec::new();
    for ((setup, start), peak) in setups.iter().zip(&starts).zip(peaks) {
        let end = setup.settle(start);
        rows.extend(left_over(setup, start, &peak, &end, &faults));
    }
    let all: ledger::Total = setups.iter().map(Setup::compare).sum();
    let mut text = format!("{count} connections in {seconds:.0} s\n\n");
    for (place, (_, name)) in KINDS.iter().enumerate() {
        let made: u64 = setups.iter().map(|setup| setup.made[place].load(Relaxed)).sum();
        let _ = writeln!(text, "{made:>9}  {name}");
    }
    let _ = writeln!(
        text,
        "\n{:<24}{:>10}{:>10}{:>10}{:>10}",
        "pen", "fresh", "before", "most", "after"
    );
    rows.iter().for_each(|row| text += &format!("{row}\n"));
    let _ = writeln!(text, "\n{} bytes to the servers, {} bytes from them", all.sent, all.received);
    println!("\n{text}");
    if count >= CONNECTIONS {
        if let Err(why) = results::record("soak", &format!("```text\n{text}```")) {
            faults.add(why);
        }
    }
    faults
}

/// How many are TCP, and how many UDP.
fn shares(count: u32) -> [u32; 2] {
    [count - count / 10, count / 10]
}

/// All connections; what pen held of everything when it was most.
fn under_load(setups: &[Setup; 2], shares: [u32; 2], begin: Instant) -> [Gauges; 2] {
    let over = AtomicBool::new(false);
    let all = shares.iter().map(|share| u64::from(*share)).sum();
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut peaks = [Gauges::default(); 2];
            let mut news = Instant::now();
            while !over.load(Relaxed) {
                for (peak, setup) in peaks.iter_mut().zip(setups) {
                    *peak = peak.or_more(setup.gauges());
                }
                if news.elapsed() > NEWS {
                    news = Instant::now();
                    let done = setups.iter().map(Setup::done).sum();
                    progress::show(begin, done, all, "connections");
                }
                thread::sleep(Duration::from_millis(200));
            }
            peaks
        });
        thread::scope(|clients| {
            for (setup, share) in setups.iter().zip(shares) {
                for _ in 0..setup.transport.at_once {
                    clients.spawn(move || setup.run(share));
                }
            }
        });
        over.store(true, Relaxed);
        watcher.join().unwrap()
    })
}

/// One of the gauges.
type Gauge = fn(&Gauges) -> u64;

/// Rows for what pen held; a fault for all that it holds still.
fn left_over(
    setup: &Setup,
    start: &Gauges,
    peak: &Gauges,
    end: &Gauges,
    faults: &Faults,
) -> Vec<String> {
    let name = setup.transport.name;
    let fresh = &setup.fresh;
    let gauges: [(&str, Gauge, bool); 5] = [
        ("descriptors", |g| g.descriptors, end.descriptors <= start.descriptors),
        ("threads", |g| g.threads, end.threads <= start.threads),
        ("memory (RSS), KiB", |g| g.memory_kib, end.fits(start)),
        ("servers' connections", |g| g.leases, end.leases == 0),
        ("slots in use", |g| g.slots, end.slots == 0),
    ];
    let mut rows = Vec::new();
    for (what, of, holds) in gauges {
        let [fresh, before, most, after] = [fresh, start, peak, end].map(of);
        if !holds {
            faults.add(format!("{name} {what}: {before} before, {after} after"));
        }
        let what = format!("{name} {what}");
        rows.push(format!("{what:<24}{fresh:>10}{before:>10}{most:>10}{after:>10}"));
    }
    rows
}

//! `make bench`: pen beside the C pen, HAProxy and nginx on the same work.
//!
//! Everything runs on this host, over the loopback: two nginx back ends (for
//! UDP two of our own), the load balancers in front of them, the load
//! generators. Absolute figures
//! drift with whatever else the host does, so the peers take turns, round
//! after round, and what counts is the ratio of the medians.
//!
//! | where | what |
//! |---|---|
//! | `tools` | which programs are installed |
//! | `peers` | configurations; starting the peers and back ends |
//! | `work` | what every peer is given to do |
//! | `measure` | one figure at a time |
//! | `udp` | load generator and back ends for UDP |
//! | `table` | rows, targets, output |
//! | `keeper` | nothing is left behind |
//!
//! `BENCH_ROUNDS` sets the number of rounds (5), `BENCH_ONLY` names the works
//! to do (`BENCH_ONLY=short,bulk`), in place of all.

// Not a library: a figure that cannot be had may end the program.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod keeper;
mod measure;
mod peers;
mod table;
mod tools;
mod udp;
mod work;

use peers::{IN_TURN, Peer, Site, Who};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};
use table::{Figures, Row};
use tools::Tools;
use work::Found;

/// The works, as `BENCH_ONLY` names them.
const WORKS: [&str; 8] = [
    "short", "keep", "single", "bulk", "udp", "table", "memory", "start",
];

/// When memory is looked at again after the load has gone.
const MINUTE: Duration = Duration::from_secs(60);

/// A load average that says that this host has other work to do.
const BUSY: f64 = 1.0;

/// Between two works, for the kernel to be done with the connections.
const PAUSE: Duration = Duration::from_millis(150);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == keeper::ROLE) {
        keeper::keep(words.get(1).map(PathBuf::from));
        return ExitCode::SUCCESS;
    }
    if let Some(end) = udp::play(&words) {
        return end;
    }
    // `cargo bench` says so; `cargo test --all-targets` comes here too.
    if !words.iter().any(|word| word == "--bench") {
        println!("nothing done; to compare: make bench");
        return ExitCode::SUCCESS;
    }
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

/// What the environment asks for.
fn wanted() -> Result<(u32, Vec<&'static str>), String> {
    let rounds = match std::env::var("BENCH_ROUNDS") {
        Err(_) => 5,
        Ok(word) => match word.parse() {
            Ok(rounds) if rounds > 0 => rounds,
            _ => {
                return Err(format!(
                    "BENCH_ROUNDS={word}: expected a number, at least 1"
                ));
            }
        },
    };
    let Ok(names) = std::env::var("BENCH_ONLY") else {
        return Ok((rounds, WORKS.to_vec()));
    };
    let names: Vec<&str> = names.split(',').collect();
    match names.iter().find(|name| !WORKS.contains(name)) {
        Some(name) => Err(format!(
            "BENCH_ONLY: {name:?} is none of {}",
            WORKS.join(", ")
        )),
        None => {
            let chosen = WORKS.into_iter().filter(|work| names.contains(work));
            Ok((rounds, chosen.collect()))
        }
    }
}

/// Everything; `false` if ours failed at something.
fn run() -> Result<bool, String> {
    let (rounds, mut works) = wanted()?;
    let tools = Tools::find()?;
    works.retain(|work| tools.suffice_for(work));
    let versions = tools.versions();
    let begin = Instant::now();
    let load = measure::load();
    let mut bench = Bench::new(Site::build(tools)?, &works)?;
    for round in 1..=rounds {
        for work in &works {
            eprintln!("round {round} of {rounds}: {work}");
            bench.work(work, round);
        }
    }
    bench.look_again();
    println!(
        "\n{rounds} rounds, medians; {} processors; {}; {:.0} s\n",
        peers::processors(),
        versions,
        begin.elapsed().as_secs_f64()
    );
    println!("{}", bench.figures.table());
    if load > BUSY {
        println!("note: this host was busy before (load {load}): do not trust the figures");
    }
    for note in bench.site.tools.missing.iter().chain(&bench.notes) {
        println!("note: {note}");
    }
    let file = csv_file().ok_or("no target directory")?;
    std::fs::write(&file, bench.figures.csv()).map_err(|e| format!("{}: {e}", file.display()))?;
    println!("note: every round's figures are in {}", file.display());
    Ok(bench.ours_is_well)
}

/// In the target directory: this program is in `release/deps` there.
fn csv_file() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    Some(program.ancestors().nth(3)?.join("bench.csv"))
}

/// A run under way.
struct Bench {
    peers: Vec<Peer>,
    /// Both pens with a large table full of clients, and ours with one client.
    tables: Vec<(Peer, Row)>,
    /// Ours after it had idle connections, and since when they are gone.
    rested: Option<(Peer, Instant)>,
    figures: Figures,
    notes: Vec<String>,
    ours_is_well: bool,
    // Last, as the peers are to end first.
    site: Site,
}

impl Bench {
    fn new(site: Site, works: &[&str]) -> Result<Bench, String> {
        let mut bench = Bench {
            peers: Vec::new(),
            tables: Vec::new(),
            rested: None,
            figures: Figures::default(),
            notes: Vec::new(),
            ours_is_well: true,
            site,
        };
        for who in bench.site.present() {
            let peer = bench.site.start(who, IN_TURN)?;
            bench.peers.push(peer);
        }
        if works.contains(&"udp") {
            bench.site.add_echoes()?;
        }
        if works.contains(&"memory") {
            let count = work::idle(&bench.site);
            bench
                .notes
                .push(format!("memory: {count} idle connections"));
        }
        if works.contains(&"table") {
            bench.fill_tables()?;
        }
        Ok(bench)
    }

    fn fill_tables(&mut self) -> Result<(), String> {
        let present = self.site.present();
        for who in [Who::Ours, Who::CPen] {
            if !present.contains(&who) {
                continue;
            }
            let peer = self.site.start(who, work::LARGE_TABLE)?;
            eprintln!("{}: {} clients connect", who.name(), work::CLIENTS);
            match work::fill(&peer) {
                Ok(crowd) => {
                    self.notes.push(format!(
                        "many clients: for {} {}, which took {:.1} s, before the first round",
                        who.name(),
                        crowd.seen,
                        crowd.seconds
                    ));
                    self.tables.push((peer, Row::TableRate));
                }
                Err(why) => self.failed("table", who, &why),
            }
        }
        let peer = self.site.start(Who::Ours, work::LARGE_TABLE)?;
        self.tables.push((peer, Row::TableEmpty));
        Ok(())
    }

    /// One work of one round, by all peers in turn.
    fn work(&mut self, work: &str, round: u32) {
        let mut all: Vec<(Who, Found)> = Vec::new();
        if work == "table" {
            for (peer, row) in &self.tables {
                all.push((peer.who, work::table(&self.site, peer, *row)));
                thread::sleep(PAUSE);
            }
            let filled = self.tables.iter().filter(|(_, row)| *row == Row::TableRate);
            for (peer, _) in filled {
                all.push((peer.who, work::strangers(peer, round)));
                thread::sleep(PAUSE);
            }
        }
        for peer in &self.peers {
            let who = peer.who;
            let found = match work {
                "short" => work::short(&self.site, peer),
                "keep" => work::keep(&self.site, peer),
                "single" => work::single(&self.site, peer),
                "bulk" => work::bulk(peer),
                "udp" if who != Who::HaProxy => work::udp(&self.site, who),
                // The pens with a large table have done it.
                "table" if !matches!(who, Who::Ours | Who::CPen) => work::strangers(peer, round),
                "memory" if who != Who::Direct => {
                    work::memory(&self.site, who).map(|(found, peer)| {
                        if who == Who::Ours && self.rested.is_none() {
                            self.rested = Some((peer, Instant::now()));
                        }
                        found
                    })
                }
                "start" if who != Who::Direct => work::start(&self.site, who),
                _ => continue,
            };
            all.push((who, found));
            thread::sleep(PAUSE);
        }
        for (who, found) in all {
            match found {
                Ok(found) => {
                    for (row, value) in found {
                        self.figures.add(row, who, value);
                    }
                }
                Err(why) => self.failed(work, who, &why),
            }
        }
    }

    /// The memory of ours a minute after the load.
    fn look_again(&mut self) {
        let Some((peer, since)) = &self.rested else {
            return;
        };
        let left = MINUTE.saturating_sub(since.elapsed());
        if !left.is_zero() {
            eprintln!("waiting {} s to see what memory comes back", left.as_secs());
        }
        thread::sleep(left);
        let rss = peer.pid().map_or(0.0, measure::rss_kib);
        self.figures.add(Row::MemoryAfter, Who::Ours, rss / 1024.0);
    }

    fn failed(&mut self, work: &str, who: Who, why: &str) {
        let note = format!("{work}: {}: {why}", who.name());
        eprintln!("{note}");
        self.ours_is_well &= who != Who::Ours;
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

//! `make bench`: pen beside the C pen, HAProxy, nginx and socat on the same
//! work; with `BENCH_ONLY=growth` also what the work costs as something grows.
//!
//! Everything runs on this host, over the loopback: two nginx back ends (for
//! UDP two of our own, and one for uploads), the load balancers in front of
//! them, the load generators. Absolute figures drift with whatever else the
//! host does, so the peers take turns, round after round, and what counts is
//! the ratio of the medians.
//!
//! | where | what |
//! |---|---|
//! | `tools` | which programs are installed |
//! | `config` | what the others are told |
//! | `peers` | starting the load balancers and the back ends |
//! | `rounds` | who is started for which work; one round after the other |
//! | `work`, `bulk`, `many_clients`, `memory` | what every peer is given to do |
//! | `growth` | the same as something grows |
//! | `checks` | what checks of servers cost |
//! | `web_load` | the web interface under siege |
//! | `measure` | one figure at a time |
//! | `udp` | load generator and back ends for UDP |
//! | `sink` | the back end for uploads |
//! | `rows` | what is measured, targets |
//! | `table`, `chart` | how it is shown |
//! | `keeper` | nothing is left behind |
//!
//! `BENCH_ROUNDS` sets the number of rounds (5), `BENCH_ONLY` names the works
//! to do (`BENCH_ONLY=short,bulk`), in place of all but growth, web and checks.
//! Without `BENCH_ONLY`, `RECORD=1` writes the figures into `tests/RESULTS.md`.

// Not a library: a figure that cannot be had may end the program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bulk;
mod chart;
mod checks;
mod config;
mod growth;
#[path = "../stand/keeper.rs"]
mod keeper;
mod many_clients;
mod measure;
mod memory;
mod peers;
#[path = "../stand/progress.rs"]
mod progress;
#[path = "../stand/results.rs"]
mod results;
mod rounds;
mod rows;
mod sink;
mod table;
mod tools;
mod udp;
mod web_load;
mod work;

use peers::Site;
use rounds::Bench;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use tools::Tools;

/// The works, as `BENCH_ONLY` names them.
const WORKS: [&str; 12] = [
    "short", "keep", "bulk", "delay", "down", "table", "udp", "web", "checks", "memory", "start",
    GROWTH,
];

/// Those that are done only when they are named.
const APART: [&str; 3] = ["web", "checks", GROWTH];

/// This one has a file of its own, too.
const GROWTH: &str = "growth";

/// Rounds in which memory is looked at.
const MEMORY_ROUNDS: u32 = 2;

/// A load average that says that this host has other work to do.
const BUSY: f64 = 1.0;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == keeper::ROLE) {
        keeper::keep(words.get(1).map(PathBuf::from));
        return ExitCode::SUCCESS;
    }
    if let Some(end) = udp::play(&words).or_else(|| sink::play(&words)) {
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
                return Err(format!("BENCH_ROUNDS={word}: expected a number, at least 1"));
            }
        },
    };
    let Ok(names) = std::env::var("BENCH_ONLY") else {
        let all = WORKS.into_iter().filter(|work| !APART.contains(work));
        return Ok((rounds, all.collect()));
    };
    let names: Vec<&str> = names.split(',').collect();
    match names.iter().find(|name| !WORKS.contains(name)) {
        Some(name) => Err(format!("BENCH_ONLY: {name:?} is none of {}", WORKS.join(", "))),
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
    let mut done = 0;
    let all = u64::from(rounds) * works.len() as u64;
    for round in 1..=rounds {
        for work in &works {
            progress::show(begin, done, all, &format!("round {round} of {rounds}: {work}"));
            done += 1;
            // It is the same each time, and takes half a minute.
            if *work == "memory" && round > MEMORY_ROUNDS {
                continue;
            }
            bench.work(work, round);
        }
    }
    bench.look_again();
    let processors = config::processors();
    let about = format!("{rounds} rounds, medians; {processors} processors; {versions}");
    println!("\n{about}; {:.0} s\n", begin.elapsed().as_secs_f64());
    println!("{}", bench.figures.table());
    if load > BUSY {
        println!("note: this host was busy before (load {load}): do not trust the figures");
    }
    for note in bench.site.tools.missing.iter().chain(&bench.notes) {
        println!("note: {note}");
    }
    let write = |file: PathBuf, text: &str| {
        std::fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
        Ok::<_, String>(file.display().to_string())
    };
    let stem = match works[..] {
        [GROWTH] => "bench-growth",
        _ => "bench",
    };
    let csv = write(output(stem, "csv")?, &bench.figures.csv())?;
    println!("note: every round's figures are in {csv}");
    if let Some(chart) = chart::draw(&bench.figures, &about) {
        let svg = write(output(stem, "svg")?, &chart)?;
        println!("note: a chart; for tests/RESULTS.md: cp {svg} tests/bench/figures.svg");
    }
    if std::env::var_os("BENCH_ONLY").is_none() {
        results::record("bench", &format!("{about}\n\n{}", bench.figures.markdown()))?;
    }
    Ok(bench.ours_is_well)
}

/// A file in the target directory: this program is in `release/deps` there.
fn output(stem: &str, kind: &str) -> Result<PathBuf, String> {
    let program = std::env::current_exe().ok();
    let target = program.as_deref().and_then(|file| file.ancestors().nth(3));
    let target = target.ok_or("no target directory")?;
    Ok(target.join(format!("{stem}.{kind}")))
}

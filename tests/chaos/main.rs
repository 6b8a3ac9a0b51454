//! `make chaos`: traffic runs through pen while faults happen.
//!
//! The clients know what they have sent and what must come back, byte for
//! byte; each row knows which failures its fault forces (those that were on a
//! server that was killed) and counts the others. At the end there is a table;
//! the exit status is 1 if any row is not clean.
//!
//! | where | what |
//! |---|---|
//! | `world` | namespaces of its own, signals, tools |
//! | `server`, `talk` | both ends of a conversation |
//! | `traffic` | many clients; who failed, how long anybody waited |
//! | `row`, `table` | a row and what it shows |
//! | `servers`, `clients`, `room`, `files`, `messages`, `program`, `restarts`, `machines` | the faults |
//!
//! `CHAOS=short` takes a minute; `CHAOS_ONLY=killed,slow` does these rows
//! alone, by the names that are shown when one is not known. Without either,
//! `RECORD=1` writes the table into `tests/RESULTS.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod clients;
mod files;
mod machines;
mod messages;
mod program;
#[path = "../stand/progress.rs"]
mod progress;
mod restarts;
#[path = "../stand/results.rs"]
mod results;
mod room;
mod row;
mod server;
mod servers;
mod table;
mod talk;
mod traffic;
mod world;

/// What the tests stand on; not all of it is used here.
#[path = "../stand/mod.rs"]
#[allow(dead_code, unused_imports)]
mod stand;

use row::{Extent, Found, Outcome, Row};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;
use world::World;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(end) = server::play(&words) {
        return end;
    }
    // `cargo bench` says so; `cargo test --all-targets` comes here too.
    if !words.iter().any(|word| word == "--bench" || word == world::INSIDE) {
        println!("nothing done; to see what pen survives: make chaos");
        return ExitCode::SUCCESS;
    }
    world::within(&words, run)
}

fn rows() -> Vec<&'static Row> {
    let all = [
        &servers::ROWS[..],
        &clients::ROWS,
        &room::ROWS,
        &files::ROWS,
        &messages::ROWS,
        &program::ROWS,
        &restarts::ROWS,
        &machines::ROWS,
    ];
    all.into_iter().flatten().collect()
}

/// The rows that the environment asks for.
fn wanted() -> Result<Vec<&'static Row>, String> {
    let all = rows();
    let Ok(names) = std::env::var("CHAOS_ONLY") else {
        return Ok(all);
    };
    let known = |name: &str| all.iter().any(|row| row.name == name);
    if let Some(name) = names.split(',').find(|name| !known(name)) {
        let known: Vec<&str> = all.iter().map(|row| row.name).collect();
        return Err(format!("CHAOS_ONLY: {name:?} is none of {}", known.join(", ")));
    }
    let is_wanted = |row: &&Row| names.split(',').any(|name| name == row.name);
    Ok(all.into_iter().filter(is_wanted).collect())
}

fn run(world: World) -> ExitCode {
    let is_short = match std::env::var("CHAOS").as_deref() {
        Err(_) | Ok("") => false,
        Ok("short") => true,
        Ok(other) => {
            eprintln!("CHAOS={other}: expected short, or nothing");
            return ExitCode::FAILURE;
        }
    };
    let rows = match wanted() {
        Ok(rows) => rows,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    // In one line, and the table has it, too.
    std::panic::set_hook(Box::new(|panic| eprintln!("  {panic}")));
    let extent = Extent { is_short, world };
    let begin = Instant::now();
    let mut found: Vec<(&Row, Found)> = Vec::new();
    let all = rows.len() as u64;
    for (done, row) in (0..).zip(rows) {
        progress::show(begin, done, all, row.fault);
        found.push((row, survive(row, &extent)));
    }
    let table = table::table(&found);
    println!("\n{table}");
    let count = |what: fn(&Outcome) -> bool| {
        let outcomes = found.iter().filter_map(|(_, found)| found.as_ref().ok());
        outcomes.filter(|outcome| what(outcome)).count()
    };
    let clean = count(Outcome::is_clean);
    let unclean = count(|outcome| !outcome.is_clean());
    let skipped = found.len() - clean - unclean;
    let seconds = begin.elapsed().as_secs();
    println!("{clean} clean, {unclean} not clean, {skipped} skipped; {seconds} s");
    let is_whole = !extent.is_short && std::env::var_os("CHAOS_ONLY").is_none();
    let recorded = match is_whole {
        true => results::record("chaos", &table),
        false => Ok(()),
    };
    if let Err(why) = &recorded {
        eprintln!("{why}");
    }
    match unclean == 0 && recorded.is_ok() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Runs a row. One that breaks off is not clean.
fn survive(row: &Row, extent: &Extent) -> Found {
    catch_unwind(AssertUnwindSafe(|| (row.run)(extent))).unwrap_or_else(|why| {
        let faults = vec![row::reason(&*why)];
        Ok(Outcome { faults, ..Outcome::default() })
    })
}

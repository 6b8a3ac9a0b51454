//! `make compat`: the test suite twice, on the C program and on ours, as one
//! table of what is the same, what is better and why, and what is different.
//!
//! A test of the suite is a case, or several where it compares line by line.
//! *Same*: it passes on both programs. *Better*: it passes on ours and names a
//! row of the table of differences; *shown* where it has also seen the C program do
//! worse. *Different* is all else, and makes this program end with status 1, as
//! do too few cases and a row that no case names.
//!
//! The rows go into `tests/compat/DIFFERENCES.md`. With `--check` it is not written but compared.

#[path = "../stand/differences.rs"]
mod differences;
mod document;
mod runs;
mod table;

use runs::Run;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use table::{Table, Verdict};

/// With fewer cases something is not looked at any more.
const LEAST: usize = 150;

/// Debian's package.
const C_PROGRAMS: &str = "/usr/bin";

fn compare(check: bool) -> Result<(), String> {
    if !Path::new(C_PROGRAMS).join("pen").exists() {
        return Err("there is no /usr/bin/pen: apt-get install pen".to_owned());
    }
    let start = Instant::now();
    eprintln!("the tests on the C programs in {C_PROGRAMS} ...");
    let theirs = Run::of(Some(C_PROGRAMS))?;
    eprintln!("the tests on ours ...");
    let ours = Run::of(None)?;
    let table = Table::new(&ours, &theirs);
    print!("{table}");
    println!("{} ({} s)", table.totals(), start.elapsed().as_secs());
    let mut faults = Vec::new();
    let count = |verdict| table.count(verdict);
    if count(Verdict::Different) > 0 {
        print!("{}{}", theirs.failures, ours.failures);
        faults.push(format!("{} cases are different", count(Verdict::Different)));
    }
    let cases = table.cases();
    if cases < LEAST {
        faults.push(format!("{cases} cases, fewer than {LEAST}"));
    }
    // What cannot be tried here says nothing about the rows either.
    let skipped = count(Verdict::Skipped);
    if skipped == 0 {
        let rows = table.unnamed_rows().into_iter();
        faults.extend(rows.map(|what| format!("no case shows: {what}")));
    }
    let result = match check {
        false => document::write(&table.totals()),
        true => document::check((skipped == 0).then(|| table.totals())),
    };
    faults.extend(result.err());
    match faults.is_empty() {
        true => Ok(()),
        false => Err(faults.join("\n")),
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let check = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--check"] => true,
        _ => {
            eprintln!("usage: compat [--check]");
            return ExitCode::FAILURE;
        }
    };
    match compare(check) {
        Ok(()) => ExitCode::SUCCESS,
        Err(faults) => {
            eprintln!("{faults}");
            ExitCode::FAILURE
        }
    }
}

//! `tests/compat/DIFFERENCES.md`: the table of differences and the totals.

use crate::differences::ALL;
use std::fs;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compat/DIFFERENCES.md");

const HEAD: &str = "\
# Differences from the C pen

`make compat` writes this file, from `tests/stand/differences.txt`.

It runs the tests on the C program of Debian's package, version 0.34.1, and on this
one, and shows case by case what is the same and what is better, and why. Replies
and files that scripts read keep their form.
";

fn rows() -> String {
    let rows = ALL.iter().map(|row| format!("| {} | {} | {} |\n", row.what, row.c_pen, row.ours));
    format!("\n| what | C pen | ours |\n|---|---|---|\n{}", rows.collect::<String>())
}

fn document(totals: &str) -> String {
    format!("{HEAD}{}\n{totals}.\n", rows())
}

/// Writes the table and the totals.
pub(crate) fn write(totals: &str) -> Result<(), String> {
    fs::write(PATH, document(totals)).map_err(|e| format!("{PATH}: {e}"))
}

/// Whether that is what is there: the totals only if all cases could be tried.
pub(crate) fn check(totals: Option<String>) -> Result<(), String> {
    let text = fs::read_to_string(PATH).map_err(|e| format!("{PATH}: {e}"))?;
    let is_there = match totals {
        Some(totals) => text == document(&totals),
        None => text.contains(&rows()),
    };
    match is_there {
        true => Ok(()),
        false => Err(format!("{PATH} is not up to date: make compat, and commit it")),
    }
}

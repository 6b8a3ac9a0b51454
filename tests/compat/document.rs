//! The README's table of differences, between two comments.

use crate::differences::ALL;
use std::fs;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
const START: &str = "<!-- Written by `make compat`, from tests/stand/differences.txt. -->\n";
const END: &str = "<!-- The end of what is written. -->\n";

/// What stands before, between and behind the comments.
fn parts(text: &str) -> Result<(&str, &str, &str), String> {
    let (before, rest) = text.split_once(START).ok_or("README.md: no start")?;
    let (between, behind) = rest.split_once(END).ok_or("README.md: no end")?;
    Ok((before, between, behind))
}

fn read() -> Result<String, String> {
    fs::read_to_string(PATH).map_err(|e| format!("{PATH}: {e}"))
}

fn rows() -> String {
    let rows = ALL.iter().map(|row| format!("| {} | {} | {} |\n", row.what, row.c_pen, row.ours));
    format!("| what | C pen | ours |\n|---|---|---|\n{}", rows.collect::<String>())
}

fn section(totals: &str) -> String {
    format!("\n{}\n{totals}.\n\n", rows())
}

/// Writes the table and the totals.
pub(crate) fn write(totals: &str) -> Result<(), String> {
    let text = read()?;
    let (before, between, behind) = parts(&text)?;
    let section = section(totals);
    if between == section {
        return Ok(());
    }
    let text = [before, START, &section, END, behind].concat();
    fs::write(PATH, text).map_err(|e| format!("{PATH}: {e}"))
}

/// Whether that is what is there: the totals only if all cases could be tried.
pub(crate) fn check(totals: Option<String>) -> Result<(), String> {
    let text = read()?;
    let (_, between, _) = parts(&text)?;
    let is_there = match totals {
        Some(totals) => between == section(&totals),
        None => between.contains(&rows()),
    };
    match is_there {
        true => Ok(()),
        false => Err("README.md is not up to date: make compat, and commit it".to_owned()),
    }
}

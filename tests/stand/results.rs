//! `tests/RESULTS.md`, of which `make bench`, `make chaos` and `make soak` write a part
//! each if the environment has `RECORD=1`.

use std::fs;
use std::process::Command;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/RESULTS.md");

/// Writes what `make name` has found, with the date, between the two comments of that
/// name, if the environment asks for it.
pub(crate) fn record(name: &str, found: &str) -> Result<(), String> {
    if std::env::var("RECORD").as_deref() != Ok("1") {
        return Ok(());
    }
    let date = Command::new("date").arg("+%F").output().map_err(|e| format!("date: {e}"))?;
    let date = String::from_utf8_lossy(&date.stdout).trim().to_owned();
    let text = fs::read_to_string(PATH).map_err(|e| format!("{PATH}: {e}"))?;
    let [start, end] = [format!("<!-- make {name} -->\n"), format!("<!-- end of {name} -->\n")];
    let missing = || format!("{PATH}: no part for make {name}");
    let (before, rest) = text.split_once(&start).ok_or_else(missing)?;
    let (_, behind) = rest.split_once(&end).ok_or_else(missing)?;
    let part = format!("`make {name}`, {date}:\n\n{}\n\n", found.trim_end());
    fs::write(PATH, [before, &start, &part, &end, behind].concat())
        .map_err(|e| format!("{PATH}: {e}"))?;
    println!("note: written into {PATH}");
    Ok(())
}

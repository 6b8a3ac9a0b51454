//! The table at the end, as Markdown.

use crate::row::{Found, Row};
use std::fmt::Write as _;

/// The columns; see [`crate::row::Outcome`].
const HEAD: [&str; 8] = [
    "fault",
    "how often",
    "in flight",
    "went well",
    "forced to fail",
    "failed",
    "bytes lost",
    "time to recover",
];

/// The rows with what they found.
pub(crate) fn table(found: &[(&Row, Found)]) -> String {
    let mut lines = vec![HEAD.map(str::to_owned)];
    let mut below = String::new();
    for (row, found) in found {
        lines.push(cells(row, found));
        if let Ok(outcome) = found {
            for fault in &outcome.faults {
                let _ = writeln!(below, "not clean: {}: {fault}", row.fault);
            }
        }
    }
    let width = |column: usize| lines.iter().map(|cells| cells[column].len()).max();
    let widths: Vec<usize> = (0..HEAD.len()).filter_map(width).collect();
    let mut text = String::new();
    for (number, cells) in lines.iter().enumerate() {
        for (cell, width) in cells.iter().zip(&widths) {
            let _ = write!(text, "| {cell:<width$} ");
        }
        text += "|\n";
        if number == 0 {
            text += &"|---".repeat(HEAD.len());
            text += "|\n";
        }
    }
    text + &below
}

fn cells(row: &Row, found: &Found) -> [String; 8] {
    let outcome = match found {
        Err(why) => {
            let mut cells: [String; 8] = Default::default();
            cells[0] = row.fault.to_owned();
            cells[1] = format!("skipped: {why}");
            return cells;
        }
        Ok(outcome) => outcome,
    };
    [
        row.fault.to_owned(),
        outcome.times.to_string(),
        outcome.in_flight.to_string(),
        outcome.done.to_string(),
        outcome.forced.to_string(),
        outcome.failed.to_string(),
        outcome.lost.to_string(),
        format!("{:.0} ms", outcome.recovery.as_secs_f64() * 1000.0),
    ]
}

//! `penctl ADDRESS top`: the servers as a table, again each second, with rates.

use crate::sys::text;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(1);

/// Moves to the corner of a terminal and clears it.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// The width of a terminal that does not say its own in COLUMNS.
const WIDTH: usize = 80;

/// What `servers` says of a server: values by their names. `#` and `server` are
/// the words before them, put together.
struct Row(HashMap<String, String>);

impl Row {
    /// Reads a line; `None` if it is not about a server.
    fn parse(line: &str) -> Option<Row> {
        let (index, rest) = line.split_once(" addr ")?;
        let (host, rest) = rest.split_once(" port ")?;
        let (rest, reason) = rest.split_once(" reason ").unwrap_or((rest, ""));
        let mut words = rest.split(' ').map(str::to_owned);
        let port = words.next()?;
        let mut row = HashMap::new();
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            row.insert(name, value);
        }
        let name = row.get("name").map_or(String::new(), |name| format!("{name} "));
        let port = if host.starts_with('/') { String::new() } else { format!(":{port}") };
        row.insert("server".to_owned(), format!("{name}{host}{port}"));
        row.insert("#".to_owned(), index.parse::<u64>().ok()?.to_string());
        row.insert("reason".to_owned(), reason.to_owned());
        Some(Row(row))
    }

    fn word(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.word(name).parse().ok()
    }
}

/// The servers at one moment.
struct Sample {
    rows: Vec<Row>,
    at: Instant,
}

impl Sample {
    fn of(reply: &str) -> Result<Sample, String> {
        let row = |line| Row::parse(line).ok_or_else(|| text::printable(line));
        Ok(Sample { rows: reply.lines().map(row).collect::<Result<_, _>>()?, at: Instant::now() })
    }

    /// How much a count of a server has grown per second since another sample; `None`
    /// if it is another server's, or pen was started anew.
    fn rate(&self, before: Option<&Sample>, row: &Row, name: &str) -> Option<f64> {
        let before = before?;
        let old = before.rows.iter().find(|old| old.word("#") == row.word("#"))?;
        let grown = row.number(name)?.checked_sub(old.number(name)?)?;
        let time = self.at.saturating_duration_since(before.at).as_secs_f64();
        (old.word("server") == row.word("server") && time > 0.0).then(|| grown as f64 / time)
    }
}

/// What a column shows: of each server a value, by its name, or how a count has grown.
#[derive(Clone, Copy)]
enum Column {
    Word(&'static str),
    Number(&'static str),
    Time(&'static str),
    Rate(&'static str),
}

const COLUMNS: [(&str, Column); 10] = [
    ("#", Column::Number("#")),
    ("server", Column::Word("server")),
    ("state", Column::Word("state")),
    ("since", Column::Time("since")),
    ("conn", Column::Number("conn")),
    ("max", Column::Number("max")),
    ("conn/s", Column::Rate("connects")),
    ("to/s", Column::Rate("sx")),
    ("from/s", Column::Rate("rx")),
    ("reason", Column::Word("reason")),
];

/// Most characters of a cell, whatever the other end says.
const LONGEST: usize = 200;

/// The table, with lines of this many characters.
fn table(now: &Sample, before: Option<&Sample>, width: usize) -> String {
    let up = now.rows.iter().filter(|row| ["up", "full"].contains(&row.word("state"))).count();
    let connections: u64 = now.rows.iter().filter_map(|row| row.number("conn")).sum();
    let columns = COLUMNS.map(|(title, column)| {
        let rate = |row: &Row, name| now.rate(before, row, name);
        let show = |rate: Option<f64>| rate.map_or("-".to_owned(), short);
        let cell = |row: &Row| match column {
            Column::Word(name) | Column::Number(name) => row.word(name).to_owned(),
            Column::Time(name) => row.number(name).map_or(String::new(), span),
            Column::Rate(name) => show(rate(row, name)),
        };
        let total = match column {
            Column::Word("server") => format!("{up} of {} up", now.rows.len()),
            Column::Number("conn") => connections.to_string(),
            Column::Rate(name) => {
                show(now.rows.iter().filter_map(|row| rate(row, name)).reduce(|a, b| a + b))
            }
            _ => String::new(),
        };
        let cells = now.rows.iter().map(cell).chain([total]);
        let cells = cells.map(|cell| text::printable(&cell).chars().take(LONGEST).collect());
        let cells: Vec<String> = [title.to_owned()].into_iter().chain(cells).collect();
        let width = cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
        let cells = cells.iter().map(|cell| match column {
            Column::Word(_) => format!("{cell:width$}  "),
            _ => format!("{cell:>width$}  "),
        });
        cells.collect::<Vec<_>>()
    });
    let mut out = String::new();
    for number in 0..now.rows.len() + 2 {
        let cells = columns.iter().filter_map(|cells| cells.get(number));
        let line: String = cells.flat_map(|cell| cell.chars()).take(width).collect();
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

/// A number in at most five characters.
fn short(number: f64) -> String {
    let mut number = number;
    for unit in ["", "k", "M", "G", "T"] {
        match number {
            n if n < 9.95 && n.fract() > 0.0 => return format!("{n:.1}{unit}"),
            n if n < 999.5 => return format!("{n:.0}{unit}"),
            _ => number /= 1000.0,
        }
    }
    format!("{number:.0}P")
}

/// A time in its two largest units.
fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// Shows `count` tables, or as many as there is time for on a terminal and one
/// elsewhere. `ask` asks for the list of servers.
pub(super) fn run(
    count: Option<u64>,
    ask: &dyn Fn() -> Result<String, String>,
) -> Result<ExitCode, String> {
    let is_terminal = io::stdout().is_terminal();
    let columns = std::env::var("COLUMNS").ok().and_then(|word| word.parse().ok());
    let width = columns.unwrap_or(if is_terminal { WIDTH } else { usize::MAX });
    let mut left = count.or((!is_terminal).then_some(1));
    let mut before = None;
    while left != Some(0) {
        let now = Sample::of(&ask()?)?;
        // Nobody watches a file: its first table has rates, too.
        if is_terminal || before.is_some() {
            let clear = if is_terminal { CLEAR } else { "" };
            let table = format!("{clear}{}", table(&now, before.as_ref(), width));
            let mut out = io::stdout();
            match out.write_all(table.as_bytes()).and_then(|()| out.flush()) {
                Err(e) if e.kind() == io::ErrorKind::BrokenPipe => break,
                Err(e) => return Err(format!("cannot write the table: {e}")),
                Ok(()) => left = left.map(|left| left - 1),
            }
        }
        before = Some(now);
        if left != Some(0) {
            thread::sleep(EVERY);
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(reply: &str, after: u64) -> Sample {
        let mut sample = Sample::of(reply).unwrap();
        sample.at = Instant::now() + Duration::from_secs(after);
        sample
    }

    const START: &str = "0 addr 10.0.0.1 port 80 conn 2 max 5 hard 0 weight 0 prio 0";

    #[test]
    fn a_table_has_rates_and_totals() {
        let at = Instant::now();
        let one = format!("{START} sx 1000 rx 5 connects 10 state up since 4\n");
        let two = format!(
            "{START} sx 2500 rx 2000005 connects 13 state up since 3601\n\
             1 addr /run/a b port 1 conn 0 max 0 hard 0 weight 0 prio 0 sx 0 rx 0 connects 0 \
             state down since 75 reason no answer within 3 s\x1b[2J\n"
        );
        let one = Sample { at, ..sample(&one, 0) };
        let two = Sample { at: at + Duration::from_secs(2), ..sample(&two, 0) };
        assert_eq!(
            table(&two, Some(&one), 85),
            "#  server       state  since  conn  max  conn/s  to/s  from/s  reason\n\
             0  10.0.0.1:80  up     1h00m     2    5     1.5   750      1M\n\
             1  /run/a b     down   1m15s     0    0       -     -       -  \
             no answer within 3 s\\x\n\
             \u{20}  1 of 2 up                     2          1.5   750      1M\n"
        );
        // Nothing to compare with, and counts that have begun anew.
        for before in [None, Some(&two)] {
            assert!(table(&one, before, 90).contains("2    5       -     -       -\n"));
        }
    }

    #[test]
    fn the_c_program_is_shown_as_far_as_it_says_something() {
        let before = sample(&format!("{START} sx 0 rx 0\n"), 0);
        let now = sample(&format!("{START} sx 9000 rx 0\n"), 1);
        let table = table(&now, Some(&before), 80);
        assert!(table.contains("0  10.0.0.1:80"), "{table}");
        assert!(Sample::of("do_cmd: ignoring").is_err());
    }

    #[test]
    fn numbers_and_times_are_short() {
        let numbers = [0.0, 0.26, 9.94, 9.96, 999.4, 999.6, 1e6, 2.5e10, 1e15, 1e18];
        let shown = ["0", "0.3", "9.9", "10", "999", "1.0k", "1M", "25G", "1P", "1000P"];
        assert_eq!(numbers.map(short), shown);
        assert_eq!([59, 61, 3600, 90_000].map(span), ["59s", "1m01s", "1h00m", "1d01h"]);
    }
}

//! Merges the logs of web servers behind a pen, and puts in the clients' own
//! addresses.
//!
//! Behind a load balancer a web server's log says that every request came from
//! the balancer. Pen's log knows the clients. So the web servers' lines are
//! merged in the order of time (`date`), each is looked up in pen's log by
//! server, request (`line`) and time, and its client replaced by the one found
//! there.
//!
//! Everything streams: in memory is a line of each log, and of pen's log what
//! lies close in time to the newest of them (`window`).

pub(crate) mod date;
mod input;
mod line;
mod options;
mod peer;
mod window;

use crate::message;
use input::Input;
use line::Positions;
use options::{Operand, Options, Task};
use peer::LogHost;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ffi::OsString;
use std::io::{self, BufWriter, Read, Write};
use std::process::ExitCode;
use window::Window;

/// Bytes written at once.
const BUFFER: usize = 256 * 1024;

/// Most bytes of a line in a message about it.
const SHOWN: usize = 300;

/// Why merging ended early.
enum MergeError {
    /// Whoever reads the output has seen enough.
    OutputClosed,
    Failed(String),
}

impl From<String> for MergeError {
    fn from(why: String) -> MergeError {
        MergeError::Failed(why)
    }
}

/// The program. `words` are its arguments.
pub fn main(words: &[OsString]) -> ExitCode {
    let out = BufWriter::with_capacity(BUFFER, io::stdout().lock());
    match run(words, &input::open, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say(&why);
            ExitCode::FAILURE
        }
    }
}

/// What the program does, with logs that `open` gives by their names.
pub fn run(words: &[OsString], open: &OpenLog, mut out: impl Write) -> Result<(), String> {
    let result = match options::read(words) {
        Ok(Task::Print(text)) => write(&mut out, text.as_bytes()),
        Ok(Task::Merge(options)) => merge(&options, open, &mut out),
        Err(why) => Err(MergeError::Failed(why)),
    };
    // What was merged until something failed is shown.
    match result.and(out.flush().map_err(cannot_write)) {
        Ok(()) | Err(MergeError::OutputClosed) => Ok(()),
        Err(MergeError::Failed(why)) => Err(why),
    }
}

/// Opens a log.
pub type OpenLog<'a> = dyn Fn(&str) -> io::Result<Box<dyn Read>> + 'a;

fn cannot_write(e: io::Error) -> MergeError {
    match e.kind() {
        io::ErrorKind::BrokenPipe => MergeError::OutputClosed,
        _ => MergeError::Failed(format!("standard output: cannot write: {e}")),
    }
}

fn write(out: &mut impl Write, bytes: &[u8]) -> Result<(), MergeError> {
    out.write_all(bytes).map_err(cannot_write)
}

/// Writes what is another one's.
fn copy(out: &mut impl Write, bytes: &[u8]) -> Result<(), MergeError> {
    write(out, &message::harmless(bytes))
}

/// One line on standard error.
fn say(text: &str) {
    let line = format!("mergelogs: {}\n", message::printable(text));
    // Nobody to tell if it fails.
    let _ = io::stderr().write_all(line.as_bytes());
}

/// The log of a web server.
struct WebLog {
    input: Input,
    server: LogHost,
    number: u32,
    /// What was found in the line; nothing if it is none of a web server's.
    positions: Option<Positions>,
    /// Of the newest line that has one: a line without a time stays behind it.
    time: i64,
}

impl WebLog {
    fn open(log: &Operand, open: &OpenLog, window: &mut Window) -> Result<WebLog, String> {
        Ok(WebLog {
            input: Input::open(&log.file, open)?,
            server: log.server.clone(),
            number: window.watch(&log.server),
            positions: None,
            time: i64::MIN,
        })
    }

    /// Goes on to the next line that is not empty. False at the end.
    fn next(&mut self) -> Result<bool, String> {
        while self.input.next()? {
            let line = self.input.line();
            if matches!(line, b"" | b"\r") {
                continue;
            }
            self.positions = line::positions(line);
            if let Some(positions) = self.positions {
                self.time = positions.time;
            }
            return Ok(true);
        }
        Ok(false)
    }
}

/// What all lines need on their way out.
struct Merger<'a, W> {
    window: Window,
    dates: date::Writer,
    key: Vec<u8>,
    debug: usize,
    lines: u64,
    found: u64,
    malformed: u64,
    out: &'a mut W,
}

fn merge(options: &Options, open: &OpenLog, out: &mut impl Write) -> Result<(), MergeError> {
    let pen_log = Input::open(&options.pen_log, open)?;
    let mut window = Window::new(pen_log, options.jitter, options.shift);
    let mut logs = Vec::new();
    // The oldest next line comes first; of the same age, that of the log named
    // first.
    let mut queue = BinaryHeap::new();
    for (index, log) in options.logs.iter().enumerate() {
        let mut log = WebLog::open(log, open, &mut window)?;
        if log.next()? {
            queue.push(Reverse((log.time, index)));
        }
        logs.push(log);
    }
    let mut merger = Merger {
        window,
        dates: date::Writer::default(),
        key: Vec::new(),
        debug: options.debug,
        lines: 0,
        found: 0,
        malformed: 0,
        out,
    };
    while let Some(Reverse((_, index))) = queue.pop() {
        let Some(log) = logs.get_mut(index) else {
            continue;
        };
        merger.put(log)?;
        if log.next()? {
            queue.push(Reverse((log.time, index)));
        }
    }
    merger.sum_up();
    Ok(())
}

impl<W: Write> Merger<'_, W> {
    /// Writes a line out, with its client if that is known.
    fn put(&mut self, log: &mut WebLog) -> Result<(), MergeError> {
        self.lines += 1;
        match log.positions {
            Some(positions) => self.put_request(log, positions)?,
            None => {
                self.malformed += 1;
                tell(self.debug, 2, log, || "no log line".to_owned());
                copy(self.out, log.input.line())?;
            }
        }
        log.input.copy_rest(|piece| copy(self.out, piece))?;
        write(self.out, b"\n")
    }

    fn put_request(&mut self, log: &WebLog, positions: Positions) -> Result<(), MergeError> {
        let line = log.input.line();
        let piece = |from, to| line.get(from..to).unwrap_or_default();
        let (date, date_end) = positions.date;
        let rest = piece(date_end, line.len());
        self.window.advance(positions.time)?;
        let number = log.number;
        let client = match find(&self.window, &mut self.key, number, rest, positions.time) {
            Some((client, later)) => {
                self.found += 1;
                tell(self.debug, 3, log, || format!("{client} in pen's log at {later:+} s"));
                client
            }
            None => {
                tell(self.debug, 2, log, || "not in pen's log".to_owned());
                &log.server
            }
        };
        client.write(self.out).map_err(cannot_write)?;
        copy(self.out, piece(positions.client_end, date))?;
        write(self.out, self.dates.utc(positions.time))?;
        copy(self.out, rest)
    }

    fn sum_up(&self) {
        if self.debug > 0 {
            let (lines, found, malformed) = (self.lines, self.found, self.malformed);
            let unknown = lines - found - malformed;
            say(&format!(
                "{lines} lines: {found} in pen's log, {unknown} not, {malformed} no log lines"
            ));
            say(&self.window.summary());
        }
    }
}

/// The client of a line whose part behind the date is `rest`.
fn find<'a>(
    window: &'a Window,
    key: &mut Vec<u8>,
    server: u32,
    rest: &[u8],
    time: i64,
) -> Option<(&'a LogHost, i64)> {
    let request = line::request(rest)?;
    line::escaped_key(request, key);
    let found = window.find(server, key, time);
    if found.is_none() && request.contains(&b'\\') {
        // Perhaps this web server writes requests down as they are.
        line::plain_key(request, key);
        return window.find(server, key, time);
    }
    found
}

/// Says what becomes of a line to those who want to know that much.
fn tell(debug: usize, level: usize, log: &WebLog, what: impl FnOnce() -> String) {
    if debug >= level {
        let line = log.input.line();
        let line = String::from_utf8_lossy(line.get(..SHOWN).unwrap_or(line));
        say(&format!("{}: {}: {line}", log.input.name(), what()));
    }
}

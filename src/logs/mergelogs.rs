//! mergelogs merges the logs of the web servers behind a pen into one, and puts
//! the clients in.
//!
//! Behind a load balancer a web server's log says that every request came from
//! the balancer, but pen's log knows the clients. So the web servers' lines are
//! merged in the order of time (`date`). Each is looked up in pen's log by
//! server, request (`line`) and time, and its first word is replaced by the
//! client found there.
//!
//! Memory is bounded: it holds one line of each web server's log, and the part
//! of pen's log that is close in time to the newest of these lines (`window`).

mod date;
mod host;
mod input;
mod line;
mod options;
mod progress;
mod window;

use crate::getopt::Invocation;
use crate::sys::text;
use host::LogHost;
use input::Input;
use line::Positions;
use options::{Operand, Options};
use std::ffi::OsString;
use std::io::{self, BufWriter, Read, Write};
use std::process::ExitCode;
use window::Window;

/// Bytes that are gathered for one write.
const BUFFER: usize = 256 * 1024;

/// Longest part of a line in a message, in bytes.
const SHOWN: usize = 300;

/// Why merging ended before the end of the logs.
enum MergeError {
    /// The reader of the output closed it, which is no error.
    OutputClosed,
    Failed(String),
}

impl From<String> for MergeError {
    fn from(why: String) -> MergeError {
        MergeError::Failed(why)
    }
}

/// Runs mergelogs with the arguments `words`.
pub fn main(words: &[OsString]) -> ExitCode {
    let out = BufWriter::with_capacity(BUFFER, io::stdout().lock());
    let result = match &progress::Progress::new() {
        Some(progress) => run(words, &|name| progress.open(name), out),
        None => run(words, &input::open, out),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say(&why);
            ExitCode::FAILURE
        }
    }
}

/// Does what `words` ask for, with logs that `open` opens by their names. The
/// error names the word or the file that is wrong.
pub fn run(words: &[OsString], open: &OpenLog, mut out: impl Write) -> Result<(), String> {
    let result = match options::read(words) {
        Ok(Invocation::Print(text)) => write(&mut out, text.as_bytes()),
        Ok(Invocation::Run(options)) => merge(&options, open, &mut out),
        Err(why) => Err(MergeError::Failed(why)),
    };
    // The lines that were merged before a failure are written, too.
    match result.and(out.flush().map_err(cannot_write)) {
        Ok(()) | Err(MergeError::OutputClosed) => Ok(()),
        Err(MergeError::Failed(why)) => Err(why),
    }
}

/// A function that opens a log by its name.
pub(crate) type OpenLog<'a> = dyn Fn(&str) -> io::Result<Box<dyn Read>> + 'a;

fn cannot_write(e: io::Error) -> MergeError {
    match e.kind() {
        io::ErrorKind::BrokenPipe => MergeError::OutputClosed,
        _ => MergeError::Failed(format!("standard output: cannot write: {e}")),
    }
}

fn write(out: &mut impl Write, bytes: &[u8]) -> Result<(), MergeError> {
    out.write_all(bytes).map_err(cannot_write)
}

/// Writes a part of a log, with dots for control characters.
fn copy(out: &mut impl Write, bytes: &[u8]) -> Result<(), MergeError> {
    write(out, &text::harmless(bytes))
}

/// Writes one line to standard error.
fn say(text: &str) {
    let line = format!("mergelogs: {}\n", text::printable(text));
    // If this fails, nobody reads standard error.
    let _ = io::stderr().write_all(line.as_bytes());
}

/// A web server's log and what was parsed of its next line.
struct WebLog {
    input: Input,
    server: LogHost,
    /// Nothing if the next line is not in the common or combined form.
    positions: Option<Positions>,
    /// The time of the next line, in seconds since 1970. A line without one has
    /// the time of the line before it, so it stays behind that.
    time: i64,
    ended: bool,
}

impl WebLog {
    fn open(log: &Operand, open: &OpenLog) -> Result<WebLog, String> {
        let (input, server) = (Input::open(&log.file, open)?, log.server.clone());
        let mut log = WebLog { input, server, positions: None, time: i64::MIN, ended: false };
        log.next()?;
        Ok(log)
    }

    /// Reads the next line, except empty ones, or sets `ended`.
    fn next(&mut self) -> Result<(), String> {
        while self.input.next()? {
            let line = self.input.line.as_slice();
            if matches!(line, b"" | b"\r") {
                continue;
            }
            self.positions = line::positions(line);
            if let Some(positions) = self.positions {
                self.time = positions.time;
            }
            return Ok(());
        }
        self.ended = true;
        Ok(())
    }

    /// Reports what becomes of the next line.
    fn say(&self, what: &str) {
        let line = self.input.line.as_slice();
        let line = String::from_utf8_lossy(line.get(..SHOWN).unwrap_or(line));
        say(&format!("{}: {what}: {line}", self.input.name));
    }
}

/// What writing a line needs, and the counts for `-d`.
struct Merger<'a, W> {
    window: Window,
    debug: usize,
    lines: u64,
    found: u64,
    malformed: u64,
    out: &'a mut W,
}

fn merge(options: &Options, open: &OpenLog, out: &mut impl Write) -> Result<(), MergeError> {
    let pen_log = Input::open(&options.pen_log, open)?;
    let servers = options.logs.iter().map(|log| log.server.clone()).collect();
    let window = Window::new(pen_log, servers, options.jitter, options.shift);
    let logs = options.logs.iter().map(|log| WebLog::open(log, open));
    let mut logs: Vec<_> = logs.collect::<Result<_, _>>()?;
    let debug = options.debug;
    let mut merger = Merger { window, debug, lines: 0, found: 0, malformed: 0, out };
    // The oldest of the logs' next lines is written first. Of equally old ones,
    // that of the log named first is.
    while let Some(log) = logs.iter_mut().filter(|log| !log.ended).min_by_key(|log| log.time) {
        merger.put(log)?;
        log.next()?;
    }
    merger.sum_up();
    Ok(())
}

impl<W: Write> Merger<'_, W> {
    /// Writes the log's next line.
    fn put(&mut self, log: &mut WebLog) -> Result<(), MergeError> {
        self.lines += 1;
        match log.positions {
            Some(positions) => self.put_request(log, positions)?,
            None => {
                self.malformed += 1;
                if self.debug >= 2 {
                    log.say("not a log line");
                }
                copy(self.out, &log.input.line)?;
            }
        }
        while let Some(piece) = log.input.next_piece()? {
            copy(self.out, piece)?;
        }
        write(self.out, b"\n")
    }

    fn put_request(&mut self, log: &WebLog, positions: Positions) -> Result<(), MergeError> {
        let Positions { client_end, date: (date, date_end), time } = positions;
        let line = log.input.line.as_slice();
        let between = line.get(client_end..date).unwrap_or_default();
        let rest = line.get(date_end..).unwrap_or_default();
        self.window.advance(time)?;
        let request = line::request(rest);
        let found = request.and_then(|request| self.window.find(&log.server, request, time));
        let client = match found {
            Some((client, later)) => {
                self.found += 1;
                if self.debug >= 3 {
                    log.say(&format!("{client} in pen's log at {later:+} s"));
                }
                client
            }
            None => {
                if self.debug >= 2 {
                    log.say("not in pen's log");
                }
                &log.server
            }
        };
        client.write(self.out).map_err(cannot_write)?;
        copy(self.out, between)?;
        write(self.out, date::utc(time).as_bytes())?;
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

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

mod date;
mod input;
mod line;
mod options;
mod peer;
mod window;

use crate::message;
use crate::options::Invocation;
use input::Input;
use line::Positions;
use options::{Operand, Options};
use peer::LogHost;
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
        Ok(Invocation::Print(text)) => write(&mut out, text.as_bytes()),
        Ok(Invocation::Run(options)) => merge(&options, open, &mut out),
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
    /// What was found in the line; nothing if it is none of a web server's.
    positions: Option<Positions>,
    /// Of the newest line that has one: a line without a time stays behind it.
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

    /// Goes on to the next line that is not empty.
    fn next(&mut self) -> Result<(), String> {
        while self.input.next()? {
            let line = self.input.line();
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

    /// Says what becomes of the line.
    fn say(&self, what: &str) {
        let line = self.input.line();
        let line = String::from_utf8_lossy(line.get(..SHOWN).unwrap_or(line));
        say(&format!("{}: {what}: {line}", self.input.name()));
    }
}

/// What all lines need on their way out.
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
    // The oldest next line comes first; of the same age, that of the log named
    // first.
    while let Some(log) = logs.iter_mut().filter(|log| !log.ended).min_by_key(|log| log.time) {
        merger.put(log)?;
        log.next()?;
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
                if self.debug >= 2 {
                    log.say("no log line");
                }
                copy(self.out, log.input.line())?;
            }
        }
        while let Some(piece) = log.input.next_piece()? {
            copy(self.out, piece)?;
        }
        write(self.out, b"\n")
    }

    fn put_request(&mut self, log: &WebLog, positions: Positions) -> Result<(), MergeError> {
        let Positions { client_end, date: (date, date_end), time } = positions;
        let line = log.input.line();
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

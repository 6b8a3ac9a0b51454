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
use line::Places;
use options::{Operand, Options, Task};
use peer::Peer;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ffi::OsString;
use std::io::{self, BufWriter, Read, Write};
use std::process::ExitCode;
use window::Window;

/// Bytes written at once.
const BUFFER: usize = 256 * 1024;

/// Most bytes of a line in a message about it.
const TOLD: usize = 300;

/// Why merging ended early.
enum End {
    /// Whoever reads the output has seen enough.
    Closed,
    Failed(String),
}

impl From<String> for End {
    fn from(why: String) -> End {
        End::Failed(why)
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
pub fn run(words: &[OsString], open: &Open, mut out: impl Write) -> Result<(), String> {
    let result = match options::read(words) {
        Ok(Task::Print(text)) => write(&mut out, text.as_bytes()),
        Ok(Task::Merge(options)) => merge(&options, open, &mut out),
        Err(why) => Err(End::Failed(why)),
    };
    // What was merged until something failed is shown.
    match result.and(out.flush().map_err(cannot_write)) {
        Ok(()) | Err(End::Closed) => Ok(()),
        Err(End::Failed(why)) => Err(why),
    }
}

/// Opens a log.
pub type Open<'a> = dyn Fn(&str) -> io::Result<Box<dyn Read>> + 'a;

fn cannot_write(e: io::Error) -> End {
    match e.kind() {
        io::ErrorKind::BrokenPipe => End::Closed,
        _ => End::Failed(format!("standard output: cannot write: {e}")),
    }
}

fn write(out: &mut impl Write, bytes: &[u8]) -> Result<(), End> {
    out.write_all(bytes).map_err(cannot_write)
}

/// Writes what is another one's.
fn copy(out: &mut impl Write, bytes: &[u8]) -> Result<(), End> {
    write(out, &message::harmless(bytes))
}

/// One line on standard error.
fn say(text: &str) {
    let line = format!("mergelogs: {}\n", message::printable(text));
    // Nobody to tell if it fails.
    let _ = io::stderr().write_all(line.as_bytes());
}

/// The log of a web server.
struct Source {
    input: Input,
    server: Peer,
    number: u32,
    /// What was found in the line; nothing if it is none of a web server's.
    places: Option<Places>,
    /// Of the newest line that has one: a line without a time stays behind it.
    time: i64,
}

impl Source {
    fn open(log: &Operand, open: &Open, window: &mut Window) -> Result<Source, String> {
        Ok(Source {
            input: Input::open(&log.file, open)?,
            server: log.server.clone(),
            number: window.watch(&log.server),
            places: None,
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
            self.places = line::places(line);
            if let Some(places) = self.places {
                self.time = places.time;
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

fn merge(options: &Options, open: &Open, out: &mut impl Write) -> Result<(), End> {
    let pen_log = Input::open(&options.pen_log, open)?;
    let mut window = Window::new(pen_log, options.jitter, options.shift);
    let mut sources = Vec::new();
    // The oldest next line comes first; of the same age, that of the log named
    // first.
    let mut queue = BinaryHeap::new();
    for (index, log) in options.logs.iter().enumerate() {
        let mut source = Source::open(log, open, &mut window)?;
        if source.next()? {
            queue.push(Reverse((source.time, index)));
        }
        sources.push(source);
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
        let Some(source) = sources.get_mut(index) else {
            continue;
        };
        merger.put(source)?;
        if source.next()? {
            queue.push(Reverse((source.time, index)));
        }
    }
    merger.sum_up();
    Ok(())
}

impl<W: Write> Merger<'_, W> {
    /// Writes a line out, with its client if that is known.
    fn put(&mut self, source: &mut Source) -> Result<(), End> {
        self.lines += 1;
        match source.places {
            Some(places) => self.put_request(source, places)?,
            None => {
                self.malformed += 1;
                tell(self.debug, 2, source, || "no log line".to_owned());
                copy(self.out, source.input.line())?;
            }
        }
        source.input.copy_rest(|piece| copy(self.out, piece))?;
        write(self.out, b"\n")
    }

    fn put_request(&mut self, source: &Source, places: Places) -> Result<(), End> {
        let line = source.input.line();
        let piece = |from, to| line.get(from..to).unwrap_or_default();
        let (date, date_end) = places.date;
        let rest = piece(date_end, line.len());
        self.window.advance(places.time)?;
        let number = source.number;
        let client = match find(&self.window, &mut self.key, number, rest, places.time) {
            Some((client, later)) => {
                self.found += 1;
                tell(self.debug, 3, source, || format!("{client} in pen's log at {later:+} s"));
                client
            }
            None => {
                tell(self.debug, 2, source, || "not in pen's log".to_owned());
                &source.server
            }
        };
        client.write(self.out).map_err(cannot_write)?;
        copy(self.out, piece(places.client_end, date))?;
        write(self.out, self.dates.utc(places.time))?;
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
) -> Option<(&'a Peer, i64)> {
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
fn tell(debug: usize, level: usize, source: &Source, what: impl FnOnce() -> String) {
    if debug >= level {
        let line = source.input.line();
        let line = String::from_utf8_lossy(line.get(..TOLD).unwrap_or(line));
        say(&format!("{}: {}: {line}", source.input.name(), what()));
    }
}

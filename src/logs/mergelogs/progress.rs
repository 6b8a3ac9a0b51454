//! Shows how far mergelogs is, on a terminal that gets nothing else from it.

use super::input;
use std::cell::Cell;
use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How often it is shown.
const STEP: Duration = Duration::from_secs(1);

/// How much of the logs has been read, in bytes.
pub(super) struct Progress {
    read: Cell<u64>,
    /// The sizes of those that are files. A pipe has none.
    size: Cell<u64>,
    next: Cell<Instant>,
}

/// A log that counts what is read of it.
struct Counted {
    log: Box<dyn Read>,
    progress: Rc<Progress>,
}

impl Progress {
    /// Returns nothing if standard error is no terminal, or one that has the lines, too.
    pub(super) fn new() -> Option<Rc<Progress>> {
        let is_wanted = io::stderr().is_terminal() && !io::stdout().is_terminal();
        let next = Cell::new(Instant::now() + STEP);
        let (read, size) = (Cell::new(0), Cell::new(0));
        is_wanted.then(|| Rc::new(Progress { read, size, next }))
    }

    /// Opens a log as [`input::open`] does.
    pub(super) fn open(self: &Rc<Progress>, name: &str) -> io::Result<Box<dyn Read>> {
        let log = input::open(name)?;
        let size = fs::metadata(name).map_or(0, |meta| meta.len());
        self.size.set(self.size.get().saturating_add(size));
        Ok(Box::new(Counted { log, progress: Rc::clone(self) }))
    }

    fn add(&self, count: usize) {
        self.read.set(self.read.get().saturating_add(count as u64));
        if Instant::now() >= self.next.get() {
            self.next.set(Instant::now() + STEP);
            show(&text(self.read.get(), self.size.get()));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        show("");
    }
}

/// Writes a line that the next one overwrites.
fn show(text: &str) {
    let _ = write!(io::stderr(), "{text}\x1b[K\r");
}

fn text(read: u64, size: u64) -> String {
    let mib = read >> 20;
    match read.saturating_mul(100).checked_div(size) {
        Some(percent @ 0..=100) => format!("mergelogs: {mib} MiB read, {percent} %"),
        _ => format!("mergelogs: {mib} MiB read"),
    }
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.log.read(buffer)?;
        self.progress.add(count);
        Ok(count)
    }
}

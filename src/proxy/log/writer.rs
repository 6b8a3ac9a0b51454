//! Lines go through a queue to a thread that writes them to a file or to the
//! system log, so that a slow disk or reader slows down nobody. What does not fit
//! in the queue or cannot be written is lost and counted.

use crate::pool::counter::Counter;
use crate::sys;
use crate::sys::files;
use crate::sys::message::{self, Level};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// Lines that may wait to be written.
const QUEUE: usize = 8192;

/// Lines are gathered up to so many bytes for one write.
const BATCH: usize = 64 * 1024;

/// How long the writing thread may be busy when it is wanted.
const PATIENCE: Duration = Duration::from_secs(2);

/// The writing thread's stack.
const STACK: usize = 128 * 1024;

/// Where lines go.
#[derive(Debug)]
pub enum Destination {
    /// Nowhere.
    None,
    /// To the end of a file.
    File(File),
    /// To the system log, each as a message.
    Syslog,
}

impl Destination {
    /// Opens a log file, made if need be. A pipe is waited for if it `may_wait`
    /// ([`files::append`]).
    pub fn file(path: &Path, may_wait: bool) -> Result<Destination, String> {
        let file = files::append(path, may_wait);
        file.map(Destination::File)
            .map_err(|e| format!("{}: cannot open the log: {e}", path.display()))
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Destination::None => {}
            Destination::File(file) => file.write_all(lines)?,
            Destination::Syslog => {
                let text = String::from_utf8_lossy(lines);
                text.lines().for_each(|line| sys::write_syslog(Level::Info as u8, line));
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
enum Note {
    Line(Vec<u8>),
    Switch(Destination),
    /// Answer when all before this is written.
    Flush(SyncSender<()>),
}

/// The queue and its thread. Both are made when first needed: the queue takes a
/// quarter MiB.
#[derive(Debug)]
pub(super) struct Writer {
    queue: OnceLock<SyncSender<Note>>,
    lost: Arc<Counter>,
}

impl Writer {
    /// Without a destination; lines that are lost are counted there.
    pub(super) fn new(lost: &Arc<Counter>) -> Writer {
        Writer { queue: OnceLock::new(), lost: Arc::clone(lost) }
    }

    /// Lines that follow go there.
    pub(super) fn switch(&self, destination: Destination) -> Result<(), String> {
        if self.queue.get().is_none() {
            let (queue, receiver) = mpsc::sync_channel(QUEUE);
            let lost = Arc::clone(&self.lost);
            sys::start_thread(STACK, move || write_lines(&receiver, &lost))
                .map_err(|e| format!("cannot start the log's thread: {e}"))?;
            // If somebody else was first, this thread finds nobody and leaves.
            let _ = self.queue.set(queue);
        }
        self.put(Note::Switch(destination))
    }

    /// Writes a line, if there is room for it.
    pub(super) fn line(&self, line: Vec<u8>) {
        if self.try_send(Note::Line(line)).is_err() {
            self.lost.add(1);
        }
    }

    /// Writes a line; waits a moment for room.
    pub(super) fn line_for_sure(&self, line: Vec<u8>) -> Result<(), String> {
        self.put(Note::Line(line)).inspect_err(|_| {
            self.lost.add(1);
        })
    }

    /// Waits until the lines so far are written, a moment at most.
    pub(super) fn flush(&self) {
        let (done, wait) = mpsc::sync_channel(1);
        if self.try_send(Note::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(PATIENCE);
        }
    }

    /// Queues a note, if there is room.
    fn try_send(&self, note: Note) -> Result<(), TrySendError<Note>> {
        match self.queue.get() {
            Some(queue) => queue.try_send(note),
            None => Err(TrySendError::Disconnected(note)),
        }
    }

    /// Queues what must not be lost. A disk that hangs must not hang the caller,
    /// who answers signals and commands.
    fn put(&self, mut note: Note) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.try_send(note) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(back)) if Instant::now() < end => note = back,
                Err(_) => return Err("the log's thread does not take anything".to_owned()),
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The writing thread's life.
fn write_lines(queue: &Receiver<Note>, lost: &Counter) {
    let mut output = Destination::None;
    let mut well = true;
    let mut batch = Vec::new();
    let mut lines = 0;
    while let Ok(mut note) = queue.recv() {
        loop {
            let full = match note {
                Note::Line(line) => {
                    batch.extend_from_slice(&line);
                    lines += 1;
                    batch.len() >= BATCH
                }
                other => {
                    write_batch(&mut output, &mut batch, &mut lines, lost, &mut well);
                    match other {
                        Note::Switch(new) => (output, well) = (new, true),
                        Note::Flush(done) => drop(done.try_send(())),
                        Note::Line(_) => {}
                    }
                    false
                }
            };
            if full {
                write_batch(&mut output, &mut batch, &mut lines, lost, &mut well);
            }
            match queue.try_recv() {
                Ok(next) => note = next,
                Err(_) => break,
            }
        }
        write_batch(&mut output, &mut batch, &mut lines, lost, &mut well);
    }
}

/// Writes what was gathered. The first failure after a success is told.
fn write_batch(
    output: &mut Destination,
    batch: &mut Vec<u8>,
    lines: &mut u64,
    lost: &Counter,
    well: &mut bool,
) {
    if batch.is_empty() {
        return;
    }
    let result = output.write(batch);
    batch.clear();
    let count = std::mem::take(lines);
    if let Err(e) = &result {
        lost.add(count);
        if *well {
            message::say_seldom(format_args!("cannot write to the log: {e}"));
        }
    }
    *well = result.is_ok();
}

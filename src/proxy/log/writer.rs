//! Lines go through a queue to a thread that writes them to a file or to the
//! system log, so that a slow disk or reader slows down no connection. A line for
//! which the queue has no place, or which cannot be written, is lost and counted.

use crate::logs::output::{self, LogFile, PATIENCE};
use crate::pool::counter::Counter;
use crate::sys;
use crate::sys::message::Level;
use std::io::ErrorKind;
use std::iter;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, OnceLock};

/// Lines that may wait to be written.
const QUEUE: usize = 8192;

/// Lines are gathered up to this many bytes for one write.
const BATCH: usize = 64 * 1024;

/// The writing thread's stack.
const STACK: usize = 128 * 1024;

/// Where lines go: a log that is open.
#[derive(Debug)]
pub(crate) enum Destination {
    /// Nowhere.
    None,
    /// To the end of a file.
    File(LogFile),
    /// To the system log, each as a message.
    Syslog,
    /// To a penlogd, by datagrams that the connections' threads send themselves.
    Penlogd(Arc<UdpSocket>),
}

/// What a [`Destination`] is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Off,
    File,
    Syslog,
    Penlogd,
}

impl Destination {
    /// Opens the request log, or opens it again after rotation. Names may be looked
    /// up; a pipe is waited for if it `may_wait` ([`crate::sys::files::append`]).
    pub(crate) fn for_requests(word: &str, may_wait: bool) -> Result<Destination, String> {
        match is_penlogd(word) {
            true => super::socket_to(word).map(|socket| Destination::Penlogd(Arc::new(socket))),
            false => LogFile::append(Path::new(word), may_wait).map(Destination::File),
        }
    }

    /// Opens the connection log, or opens it again after rotation.
    pub(crate) fn for_connections(word: &str, may_wait: bool) -> Result<Destination, String> {
        match word {
            "syslog" => Ok(Destination::Syslog),
            path => LogFile::append(Path::new(path), may_wait).map(Destination::File),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Destination::None => Kind::Off,
            Destination::File(_) => Kind::File,
            Destination::Syslog => Kind::Syslog,
            Destination::Penlogd(_) => Kind::Penlogd,
        }
    }

    fn write(&mut self, lines: &[u8]) -> Result<(), ErrorKind> {
        match self {
            Destination::File(file) => file.write(lines)?,
            Destination::Syslog => {
                let text = String::from_utf8_lossy(lines);
                text.lines().for_each(|line| sys::write_syslog(Level::Info as u8, line));
            }
            Destination::None | Destination::Penlogd(_) => {}
        }
        Ok(())
    }
}

/// Whether a request log is a penlogd at `host:port`, and not a file.
pub(crate) fn is_penlogd(word: &str) -> bool {
    word.contains(':') && !word.starts_with('/')
}

/// What the writing thread is to do next.
#[derive(Debug)]
enum Event {
    Line(Vec<u8>),
    Switch(Box<Destination>),
    /// Answer when all lines before this are written.
    Flush(SyncSender<()>),
}

/// The queue and its thread. Both are made when first needed: the queue takes a
/// quarter MiB.
#[derive(Debug)]
pub(super) struct Writer {
    /// What the lines' destination is, as a number of [`Kind`].
    kind: AtomicU8,
    queue: OnceLock<SyncSender<Event>>,
    /// Lines that are lost are counted here.
    pub(super) lost: Arc<Counter>,
}

impl Writer {
    /// Makes a writer without a destination.
    pub(super) fn new(lost: &Arc<Counter>) -> Writer {
        let kind = AtomicU8::new(Kind::Off as u8);
        Writer { kind, queue: OnceLock::new(), lost: Arc::clone(lost) }
    }

    /// Whether the lines' destination is of this kind.
    pub(super) fn is(&self, kind: Kind) -> bool {
        self.kind.load(Relaxed) == kind as u8
    }

    /// Lines that follow go there. If that fails, what was open stays.
    pub(super) fn switch(&self, to: Destination) -> Result<(), String> {
        let kind = to.kind();
        if self.queue.get().is_none() && matches!(kind, Kind::File | Kind::Syslog) {
            let (queue, receiver) = mpsc::sync_channel(QUEUE);
            let lost = Arc::clone(&self.lost);
            sys::start_thread(STACK, move || write_lines(&receiver, &lost))
                .map_err(|e| format!("cannot start the log's thread: {e}"))?;
            // If another thread was first, nothing sends to this one, and it ends.
            let _ = self.queue.set(queue);
        }
        if let Some(queue) = self.queue.get() {
            output::put(queue, Event::Switch(Box::new(to)))?;
        }
        self.kind.store(kind as u8, Relaxed);
        Ok(())
    }

    /// Writes a line, if there is a place for it in the queue.
    pub(super) fn line(&self, line: Vec<u8>) {
        if self.queue.get().is_none_or(|queue| queue.try_send(Event::Line(line)).is_err()) {
            self.lost.add(1);
        }
    }

    /// Writes all these lines, however many they are, and waits until everything is
    /// written. It gives up when the writing thread takes none for a moment.
    pub(super) fn finish(&self, lines: impl Iterator<Item = Vec<u8>>) {
        let Some(queue) = self.queue.get() else {
            return;
        };
        for line in lines {
            if output::put(queue, Event::Line(line)).is_err() {
                self.lost.add(1);
                return;
            }
        }
        let (done, wait) = mpsc::sync_channel(1);
        if queue.try_send(Event::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(PATIENCE);
        }
    }
}

/// The writing thread's life.
fn write_lines(queue: &Receiver<Event>, lost: &Counter) {
    let mut output = Destination::None;
    let mut batch = Vec::new();
    while let Ok(first) = queue.recv() {
        for event in iter::once(first).chain(queue.try_iter()) {
            match event {
                Event::Line(line) => {
                    batch.extend_from_slice(&line);
                    if batch.len() >= BATCH {
                        write_batch(&mut output, &mut batch, lost);
                    }
                }
                Event::Switch(to) => {
                    write_batch(&mut output, &mut batch, lost);
                    output = *to;
                }
                Event::Flush(done) => {
                    write_batch(&mut output, &mut batch, lost);
                    let _ = done.try_send(());
                }
            }
        }
        write_batch(&mut output, &mut batch, lost);
    }
}

fn write_batch(output: &mut Destination, batch: &mut Vec<u8>, lost: &Counter) {
    if !batch.is_empty() && output.write(batch).is_err() {
        lost.add(batch.iter().filter(|byte| **byte == b'\n').count() as u64);
    }
    batch.clear();
}

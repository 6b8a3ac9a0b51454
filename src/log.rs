//! The request log: a line for each read of client data, to a file or over
//! UDP to a penlogd.
//!
//! For a file, lines go through a queue to a thread that writes them, so that a
//! slow disk slows down nobody. What does not fit in the queue or cannot be
//! written is lost and counted. Datagrams go out at once and never wait: they
//! must be at penlogd before the web server's line about the same request.

use crate::addr::{self, Host};
use crate::client::Client;
use crate::files;
use crate::message;
use crate::settings::LogTarget;
use crate::stats::Counter;
use crate::sys;
use std::fs::File;
use std::io::{self, Write};
use std::net::UdpSocket;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

/// Lines that may wait to be written.
const QUEUE: usize = 8192;
/// Most bytes of a request's first line in the log.
const LINE: usize = 100;
/// Most bytes of a datagram to penlogd.
const DATAGRAM: usize = 1024;
/// Lines are gathered up to so many bytes for one write.
const BATCH: usize = 64 * 1024;

/// How long the writing thread may be busy when it is wanted.
const PATIENCE: Duration = Duration::from_secs(2);

/// The writing thread's stack.
const STACK: usize = 128 * 1024;

enum Note {
    Line(Vec<u8>),
    Switch(Option<File>),
    /// Answer when all before this is written.
    Flush(SyncSender<()>),
}

/// A log that is open.
pub enum Output {
    /// A file, to be written at its end.
    File(File),
    /// A socket connected to a penlogd.
    Network(UdpSocket),
}

impl Output {
    /// Opens a log, or opens it again after rotation. Names may be looked up; a
    /// pipe is waited for if it `may_wait` ([`files::append`]).
    pub fn open(target: &LogTarget, may_wait: bool) -> Result<Output, String> {
        match target {
            LogTarget::Network(word) => network(word).map(Output::Network),
            LogTarget::File(path) => files::append(path, may_wait)
                .map(Output::File)
                .map_err(|e| format!("{}: cannot open the log: {e}", path.display())),
        }
    }
}

const OFF: u8 = 0;
const TO_FILE: u8 = 1;
const TO_NETWORK: u8 = 2;

/// The request log; off until [`Log::switch`].
pub struct Log {
    kind: AtomicU8,
    /// To the writing thread. Both are made when first needed: the queue takes
    /// a quarter MiB.
    queue: OnceLock<SyncSender<Note>>,
    network: RwLock<Option<Arc<UdpSocket>>>,
    lost: Arc<Counter>,
}

impl Log {
    /// Off.
    pub fn new() -> Log {
        Log {
            kind: AtomicU8::new(OFF),
            queue: OnceLock::new(),
            network: RwLock::default(),
            lost: Default::default(),
        }
    }

    /// Logs there from now on. If that fails, what was open stays.
    pub fn switch(&self, output: Output) -> Result<(), String> {
        match output {
            Output::Network(socket) => {
                *self.network.write().unwrap_or_else(PoisonError::into_inner) =
                    Some(Arc::new(socket));
                if self.kind.swap(TO_NETWORK, Relaxed) == TO_FILE {
                    self.put(Note::Switch(None))?;
                }
            }
            Output::File(file) => {
                self.start()?;
                self.put(Note::Switch(Some(file)))?;
                self.kind.store(TO_FILE, Relaxed);
            }
        }
        Ok(())
    }

    /// Starts the writing thread, if it is not there yet.
    fn start(&self) -> Result<(), String> {
        if self.queue.get().is_none() {
            let (queue, receiver) = mpsc::sync_channel(QUEUE);
            let lost = Arc::clone(&self.lost);
            sys::start_thread(STACK, move || write_lines(&receiver, &lost))
                .map_err(|e| format!("cannot start the log's thread: {e}"))?;
            // If somebody else was first, this thread finds nobody and leaves.
            let _ = self.queue.set(queue);
        }
        Ok(())
    }

    /// Queues a note, if there is room.
    fn try_send(&self, note: Note) -> Result<(), TrySendError<Note>> {
        match self.queue.get() {
            Some(queue) => queue.try_send(note),
            None => Err(TrySendError::Disconnected(note)),
        }
    }

    /// Stops logging.
    pub fn close(&self) {
        if self.kind.swap(OFF, Relaxed) == TO_FILE {
            let _ = self.put(Note::Switch(None));
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

    /// Waits until what was logged so far is written, a moment at most.
    pub fn flush(&self) {
        if self.kind.load(Relaxed) == TO_FILE {
            let (done, wait) = mpsc::sync_channel(1);
            if self.try_send(Note::Flush(done)).is_ok() {
                let _ = wait.recv_timeout(PATIENCE);
            }
        }
    }

    /// Lines that could not be written.
    pub fn lost(&self) -> u64 {
        self.lost.get()
    }

    /// Logs the first line of what a client sent.
    pub fn request(&self, client: Client, server: &Host, data: &[u8]) {
        let well = match self.kind.load(Relaxed) {
            OFF => return,
            TO_FILE => {
                let line = file_line(client, message::unix_time(), server, data);
                self.try_send(Note::Line(line)).is_ok()
            }
            _ => self.send(&datagram(client, server, data)),
        };
        if !well {
            self.lost.add(1);
        }
    }

    fn send(&self, line: &[u8]) -> bool {
        let socket = {
            let socket = self.network.read();
            socket.unwrap_or_else(PoisonError::into_inner).clone()
        };
        // The first error may be about an earlier datagram that was refused.
        socket.is_some_and(|socket| socket.send(line).or_else(|_| socket.send(line)).is_ok())
    }
}

impl Default for Log {
    fn default() -> Log {
        Log::new()
    }
}

fn network(word: &str) -> Result<UdpSocket, String> {
    let addr::Endpoint::Inet(all) = addr::endpoint(word)? else {
        return Err(format!("{word}: expected host:port"));
    };
    let mut result = Err(io::ErrorKind::AddrNotAvailable.into());
    for to in all {
        result = UdpSocket::bind(addr::any_like(to)).and_then(|socket| {
            socket.set_nonblocking(true)?;
            socket.connect(to)?;
            Ok(socket)
        });
        if result.is_ok() {
            break;
        }
    }
    result.map_err(|e| format!("{word}: cannot log to this address: {e}"))
}

/// `client-ip unix-time server-ip first-line`, as mergelogs reads it.
pub fn file_line(client: Client, now: u64, server: &Host, data: &[u8]) -> Vec<u8> {
    let mut line = names(format!("{client} {now} {server} "));
    line.extend(first_line(data).take(LINE));
    line.push(b'\n');
    line
}

/// `+ client-ip server-ip first-line`, as penlogd reads it.
pub fn datagram(client: Client, server: &Host, data: &[u8]) -> Vec<u8> {
    let mut line = names(format!("+ {client} {server} "));
    let room = (DATAGRAM - 1).saturating_sub(line.len());
    line.extend(first_line(data).take(room));
    line.push(b'\n');
    line
}

/// The words before the request, of which a Unix socket's path may be anything.
fn names(words: String) -> Vec<u8> {
    let mut words = words.into_bytes();
    words.iter_mut().for_each(|byte| *byte = dotted(*byte));
    words
}

/// Up to CR or LF; what is not printable ASCII becomes a dot.
fn first_line(data: &[u8]) -> impl Iterator<Item = u8> + '_ {
    data.iter().take_while(|byte| !matches!(byte, b'\r' | b'\n')).map(|byte| dotted(*byte))
}

fn dotted(byte: u8) -> u8 {
    match byte {
        b' '..=b'~' => byte,
        _ => b'.',
    }
}

/// The writing thread's life.
fn write_lines(queue: &Receiver<Note>, lost: &Counter) {
    let mut output: Option<File> = None;
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
    output: &mut Option<File>,
    batch: &mut Vec<u8>,
    lines: &mut u64,
    lost: &Counter,
    well: &mut bool,
) {
    if batch.is_empty() {
        return;
    }
    let result = match output {
        Some(file) => file.write_all(batch),
        None => Ok(()),
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: Vec<u8>) -> String {
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn lines_have_their_form() {
        let client = Client::Inet([127, 0, 0, 1].into());
        let server = Host::Inet(vec![([127, 0, 0, 2], 0).into()]);
        let data = b"GET /\xe9\x07 HTTP/1.0\r\nHost: x\r\n";
        assert_eq!(
            text(file_line(client, 1234, &server, data)),
            "127.0.0.1 1234 127.0.0.2 GET /.. HTTP/1.0\n"
        );
        assert_eq!(
            text(datagram(client, &server, data)),
            "+ 127.0.0.1 127.0.0.2 GET /.. HTTP/1.0\n"
        );
        let long = [b'a'; 5000];
        assert_eq!(file_line(client, 1, &server, &long).len(), 22 + LINE + 1);
        assert_eq!(datagram(client, &server, &long).len(), DATAGRAM);
        let odd = Host::Unix("/run/\x1b\n x".into());
        let line = file_line(Client::Unix, 1, &odd, data);
        assert_eq!(text(line), "unix 1 /run/.. x GET /.. HTTP/1.0\n");
    }

    #[test]
    fn writes_switches_and_stops() {
        let dir = std::env::temp_dir();
        let path = |n| dir.join(format!("pen-log-{}-{n}", std::process::id()));
        let log = Log::new();
        let put = |data: &[u8]| log.request(Client::Unix, &Host::Empty, data);
        put(b"nowhere");
        log.switch(Output::open(&LogTarget::File(path(1)), false).unwrap()).unwrap();
        put(b"one");
        log.switch(Output::open(&LogTarget::File(path(2)), false).unwrap()).unwrap();
        put(b"two");
        put(b"three");
        log.flush();
        let lines = |n| {
            let text = std::fs::read_to_string(path(n)).unwrap();
            std::fs::remove_file(path(n)).unwrap();
            text.lines().count()
        };
        assert_eq!((lines(1), lines(2)), (1, 2));
        let nowhere = LogTarget::File("/nonexistent/log".into());
        let why = Output::open(&nowhere, false).err().unwrap();
        assert!(why.starts_with("/nonexistent/log"), "{why}");
        log.close();
        put(b"four");
        assert_eq!(log.lost(), 0);
    }
}

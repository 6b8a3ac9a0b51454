//! The request log: a line for each read of client data, to a file or over
//! UDP to a penlogd.
//!
//! For a file, lines go through a [`Writer`]. Datagrams go out at once and never
//! wait: they must be at penlogd before the web server's line about the same
//! request.

use crate::pool::clients::Client;
use crate::pool::counter::Counter;
use crate::settings::LogTarget;
use crate::sys::addr::{self, Host};
use crate::sys::message;
use crate::sys::text::dotted;
use std::io;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

pub mod connections;
mod writer;
pub use writer::Destination;
use writer::Writer;

/// Most bytes of a request's first line in the log.
const LINE: usize = 100;
/// Most bytes of a datagram to penlogd.
const DATAGRAM: usize = 1024;

/// The logs that connections write to.
#[derive(Clone, Debug)]
pub struct Logs {
    /// Their requests.
    pub requests: Arc<Log>,
    /// How they end.
    pub ends: Arc<connections::ConnLog>,
}

/// A log that is open.
pub enum Output {
    /// A file, to be written at its end.
    File(Destination),
    /// A socket connected to a penlogd.
    Network(UdpSocket),
}

impl Output {
    /// Opens a log, or opens it again after rotation. Names may be looked up; a
    /// pipe is waited for if it `may_wait` ([`crate::sys::files::append`]).
    pub fn open(target: &LogTarget, may_wait: bool) -> Result<Output, String> {
        match target {
            LogTarget::Network(word) => network(word).map(Output::Network),
            LogTarget::File(path) => Destination::file(path, may_wait).map(Output::File),
        }
    }
}

const OFF: u8 = 0;
const TO_FILE: u8 = 1;
const TO_NETWORK: u8 = 2;

/// The request log; off until [`Log::switch`].
#[derive(Debug)]
pub struct Log {
    kind: AtomicU8,
    file: Writer,
    network: RwLock<Option<Arc<UdpSocket>>>,
    lost: Arc<Counter>,
}

impl Log {
    /// Off; it counts the lines that get lost here.
    pub fn new(lost: &Arc<Counter>) -> Log {
        Log {
            kind: AtomicU8::new(OFF),
            file: Writer::new(lost),
            network: RwLock::default(),
            lost: Arc::clone(lost),
        }
    }

    /// Logs there from now on. If that fails, what was open stays.
    pub fn switch(&self, output: Output) -> Result<(), String> {
        match output {
            Output::Network(socket) => {
                *self.network.write().unwrap_or_else(PoisonError::into_inner) =
                    Some(Arc::new(socket));
                if self.kind.swap(TO_NETWORK, Relaxed) == TO_FILE {
                    self.file.switch(Destination::None)?;
                }
            }
            Output::File(file) => {
                self.file.switch(file)?;
                self.kind.store(TO_FILE, Relaxed);
            }
        }
        Ok(())
    }

    /// Stops logging.
    pub fn close(&self) {
        if self.kind.swap(OFF, Relaxed) == TO_FILE {
            let _ = self.file.switch(Destination::None);
        }
    }

    /// Waits until what was logged so far is written, a moment at most.
    pub fn flush(&self) {
        self.file.flush();
    }

    /// Logs the first line of what a client sent.
    pub fn request(&self, client: Client, server: &Host, data: &[u8]) {
        match self.kind.load(Relaxed) {
            OFF => {}
            TO_FILE => self.file.line(file_line(client, message::unix_time(), server, data)),
            _ if self.send(&datagram(client, server, data)) => {}
            _ => {
                self.lost.add(1);
            }
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

/// A socket that sends to the penlogd at `host:port`; nothing is sent yet.
pub fn network(word: &str) -> Result<UdpSocket, String> {
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
        let lost = Arc::default();
        let log = Log::new(&lost);
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
        assert_eq!(lost.get(), 0);
    }
}

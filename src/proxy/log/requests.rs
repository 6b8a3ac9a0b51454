//! The request log: a line for each read of client data, to a file or over
//! UDP to a penlogd.
//!
//! For a file, lines go through a [`Writer`]. Datagrams go out at once and never
//! wait: they must be at penlogd before the web server's line about the same
//! request.

use super::writer::{Destination, Kind, Writer};
use crate::pool::clients::Client;
use crate::pool::counter::Counter;
use crate::sys::addr::{self, Host};
use crate::sys::message;
use crate::sys::text::dotted;
use std::io;
use std::iter;
use std::net::UdpSocket;
use std::sync::{Arc, PoisonError, RwLock};

/// Most bytes of a request's first line in a file.
const LINE: usize = 100;

/// Most bytes of a datagram to penlogd.
const DATAGRAM: usize = 1024;

/// The request log; off until [`Log::switch`].
#[derive(Debug)]
pub struct Log {
    writer: Writer,
    penlogd: RwLock<Option<Arc<UdpSocket>>>,
}

impl Log {
    /// Makes a log that is off. It counts the lines that get lost in `lost`.
    pub(crate) fn new(lost: &Arc<Counter>) -> Log {
        Log { writer: Writer::new(lost), penlogd: RwLock::default() }
    }

    /// Logs there from now on. If that fails, what was open stays.
    pub(crate) fn switch(&self, to: Destination) -> Result<(), String> {
        if let Destination::Penlogd(socket) = &to {
            let penlogd = self.penlogd.write();
            *penlogd.unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(socket));
        }
        self.writer.switch(to)
    }

    /// Waits until what was logged so far is written, a moment at most.
    pub(crate) fn flush(&self) {
        self.writer.finish(iter::empty());
    }

    /// Logs the first line of what a client sent.
    pub(crate) fn request(&self, client: Client, server: &Host, data: &[u8]) {
        if self.writer.is(Kind::File) {
            self.writer.line(file_line(client, message::unix_time(), server, data));
        } else if self.writer.is(Kind::Penlogd) && !self.send(&datagram(client, server, data)) {
            self.writer.lost.add(1);
        }
    }

    fn send(&self, line: &[u8]) -> bool {
        let socket = {
            let socket = self.penlogd.read();
            socket.unwrap_or_else(PoisonError::into_inner).clone()
        };
        // The first error may be about an earlier datagram that was refused.
        socket.is_some_and(|socket| socket.send(line).or_else(|_| socket.send(line)).is_ok())
    }
}

/// Opens a socket that sends to the penlogd at `host:port`. Nothing is sent yet.
pub(crate) fn socket_to(word: &str) -> Result<UdpSocket, String> {
    let addr::Endpoint::Inet(all) = addr::endpoint(word)? else {
        return Err(format!("{word}: expected host:port"));
    };
    let none: io::Error = io::ErrorKind::AddrNotAvailable.into();
    let socket = addr::first_of(all, none, |to| {
        let socket = UdpSocket::bind(addr::any_like(to))?;
        socket.set_nonblocking(true)?;
        socket.connect(to)?;
        Ok(socket)
    });
    socket.map_err(|e| format!("{word}: cannot log to this address: {e}"))
}

/// The line `client-ip unix-time server-ip first-line`, as mergelogs reads it.
pub fn file_line(client: Client, now: u64, server: &Host, data: &[u8]) -> Vec<u8> {
    let mut line = names(format!("{client} {now} {server} "));
    line.extend(first_line(data).take(LINE));
    line.push(b'\n');
    line
}

/// The line `+ client-ip server-ip first-line`, as penlogd reads it.
pub fn datagram(client: Client, server: &Host, data: &[u8]) -> Vec<u8> {
    let mut line = names(format!("+ {client} {server} "));
    let space = (DATAGRAM - 1).saturating_sub(line.len());
    line.extend(first_line(data).take(space));
    line.push(b'\n');
    line
}

/// The words before the request. The path of a Unix socket may contain any byte.
fn names(words: String) -> Vec<u8> {
    let mut words = words.into_bytes();
    words.iter_mut().for_each(|byte| *byte = dotted(*byte));
    words
}

/// The bytes before CR or LF. A byte that is not printable ASCII becomes a dot.
fn first_line(data: &[u8]) -> impl Iterator<Item = u8> + '_ {
    data.iter().take_while(|byte| !matches!(byte, b'\r' | b'\n')).map(|byte| dotted(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

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
        let open = |path: PathBuf| Destination::for_requests(path.to_str().unwrap(), false);
        let put = |data: &[u8]| log.request(Client::Unix, &Host::Empty, data);
        put(b"nowhere");
        log.switch(open(path(1)).unwrap()).unwrap();
        put(b"one");
        log.switch(open(path(2)).unwrap()).unwrap();
        put(b"two");
        put(b"three");
        log.flush();
        let lines = |n| {
            let text = std::fs::read_to_string(path(n)).unwrap();
            std::fs::remove_file(path(n)).unwrap();
            text.lines().count()
        };
        assert_eq!((lines(1), lines(2)), (1, 2));
        let why = open("/nonexistent/log".into()).err().unwrap();
        assert!(why.starts_with("/nonexistent/log"), "{why}");
        log.switch(Destination::None).unwrap();
        put(b"four");
        assert_eq!(lost.get(), 0);
    }
}

//! Clients.

use super::{At, PATIENCE, Pen, Port, Starter, skipped};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Mutex;
use std::time::Duration;

/// A client's connection. Reads and writes give up after [`PATIENCE`].
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) fn new(to: &At) -> Client {
        let stream = match to.connect() {
            Ok(stream) => stream,
            Err(e) => panic!("connect to {to}: {e}"),
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client(stream)
    }

    pub(crate) fn send(&self, data: impl AsRef<[u8]>) {
        (&self.0).write_all(data.as_ref()).unwrap();
    }

    /// Exactly so many bytes.
    pub(crate) fn receive(&self, count: usize) -> Vec<u8> {
        let mut data = vec![0; count];
        (&self.0).read_exact(&mut data).unwrap();
        data
    }

    /// Sends this, which must come back.
    pub(crate) fn echoes(&self, data: impl AsRef<[u8]>) {
        self.send(&data);
        assert!(self.receive(data.as_ref().len()) == data.as_ref(), "other bytes than were sent");
    }

    /// Some bytes. A process that is stopped and goes on is no reason to fail.
    fn read(&self, data: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match (&self.0).read(data) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    /// The next letter of the server on the other end; nothing if there is no
    /// server there.
    pub(crate) fn letter(&self) -> String {
        let mut letter = [0];
        match self.read(&mut letter) {
            Ok(1) => char::from(letter[0]).to_string(),
            Ok(_) => String::new(),
            Err(e) if e.kind() == ErrorKind::ConnectionReset => String::new(),
            Err(e) => panic!("read: {e}"),
        }
    }

    /// Everything until the end.
    pub(crate) fn rest(&self) -> Vec<u8> {
        let mut data = Vec::new();
        (&self.0).read_to_end(&mut data).unwrap();
        data
    }

    /// Whether the connection ends now, or has ended, in whatever way, without
    /// another byte.
    pub(crate) fn ends(&self) -> bool {
        match self.read(&mut [0]) {
            Ok(count) => count == 0,
            Err(e) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&e.kind()) => false,
            Err(_) => true,
        }
    }

    /// Whether nothing comes and nothing ends for a moment.
    pub(crate) fn is_quiet(&self) -> bool {
        let moment = Duration::from_millis(300);
        self.0.set_read_timeout(Some(moment)).unwrap();
        let result = self.read(&mut [0]);
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
        let late = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
        result.is_err_and(|e| late.contains(&e.kind()))
    }

    /// Sends nothing more, but listens.
    pub(crate) fn end_sending(&self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }
}

/// A client with an address of its own, 127.0.0.N. std cannot bind a socket
/// before it connects it, so the connections go through a pen of this package
/// that does (`source`), whichever pen is tested.
pub(crate) struct Caller(Pen);

impl Caller {
    pub(crate) fn new(number: u8, to: &Pen) -> Caller {
        let source = format!("source 127.0.0.{number}");
        Caller(Starter::new().ours().args(["-O", &source]).server(&to.at).start())
    }

    pub(crate) fn connect(&self) -> Client {
        self.0.connect()
    }

    /// Connects once, and says whose letter came.
    pub(crate) fn letter(&self) -> String {
        self.connect().letter()
    }
}

/// Clients with addresses of their own, as many as are wanted, one after the
/// other: they come through one pen, whose source is changed for each.
pub(crate) struct Callers(Pen);

impl Callers {
    pub(crate) fn new(to: &Pen) -> Callers {
        Callers(Starter::new().ours().control().server(&to.at).start())
    }

    /// The client with this address connects once; whose letter came.
    pub(crate) fn letter(&self, address: [u8; 4]) -> String {
        let address = Ipv4Addr::from(address);
        assert_eq!(self.0.ask(&format!("source {address}")), "");
        self.0.letter()
    }

    /// The clients 127.0.1.N do so, one after the other.
    pub(crate) fn letters(&self, numbers: std::ops::Range<u8>) -> String {
        numbers.map(|n| self.letter([127, 0, 1, n])).collect()
    }
}

/// An IPv6 loopback address with a port of the caller's own; `None`, said
/// aloud, where there is no IPv6.
pub(crate) fn free_v6() -> Option<At> {
    static TAKEN: Mutex<Vec<Port>> = Mutex::new(Vec::new());
    if TcpListener::bind("[::1]:0").is_err() {
        skipped("no IPv6 here");
        return None;
    }
    let port = Port::new();
    let at = (Ipv6Addr::LOCALHOST, port.number).into();
    TAKEN.lock().unwrap().push(port);
    Some(At::Inet(at))
}

//! Servers and clients of datagrams, for `-U`.

use super::{At, Host, PATIENCE, Pen, skipped, wait_until};
use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// The longest payload of a datagram over IPv4.
pub(crate) const LONGEST: usize = 65_507;

/// A datagram that a server has received, and where from; over a Unix socket,
/// from nowhere.
pub(crate) type Heard = (Option<SocketAddr>, Vec<u8>);

/// A server of datagrams. After it has been dropped it can be started again at
/// the same address.
pub(crate) struct Responder {
    pub(crate) at: At,
    heard: Arc<Mutex<Vec<Heard>>>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Responder {
    /// A server that answers each datagram with what `answers` makes of it.
    pub(crate) fn start(
        at: At,
        answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static,
    ) -> Responder {
        let (heard, stopping) = (Arc::default(), Arc::default());
        let work = Work {
            heard: Arc::clone(&heard),
            stopping: Arc::clone(&stopping),
            answers: Box::new(answers),
        };
        let thread = match &at {
            At::Inet(addr) => {
                let socket = UdpSocket::bind(addr).unwrap();
                thread::spawn(move || {
                    work.run(
                        |buffer| socket.recv_from(buffer),
                        |from| Some(*from),
                        |answer, to| socket.send_to(answer, to),
                    );
                })
            }
            At::Unix(path) => {
                let socket = UnixDatagram::bind(path).unwrap();
                thread::spawn(move || {
                    work.run(
                        |buffer| socket.recv_from(buffer),
                        |_| None,
                        |answer, to| socket.send_to_addr(answer, to),
                    );
                })
            }
        };
        Responder { at, heard, stopping, thread: Some(thread) }
    }

    /// Answers with its letter and what it was asked.
    pub(crate) fn letter(at: At, letter: char) -> Responder {
        Responder::start(at, move |question| {
            vec![[letter.to_string().as_bytes(), question].concat()]
        })
    }

    /// Servers that answer so with A, B, C and so on.
    pub(crate) fn letters(host: &Host, count: u8) -> Vec<Responder> {
        (b'A'..b'A' + count).map(|letter| Responder::letter(host.at(), letter.into())).collect()
    }

    /// Sends everything back.
    pub(crate) fn echo(at: At) -> Responder {
        Responder::start(at, |question| vec![question.to_vec()])
    }

    /// Answers nothing.
    pub(crate) fn silent(at: At) -> Responder {
        Responder::start(at, |_| Vec::new())
    }

    /// How many datagrams have come.
    pub(crate) fn count(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    /// The datagrams that have come.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// The addresses that they came from.
    pub(crate) fn peers(&self) -> BTreeSet<SocketAddr> {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter_map(|(from, _)| *from).collect()
    }
}

/// What a server answers to a datagram.
type Answers = dyn Fn(&[u8]) -> Vec<Vec<u8>> + Send;

/// What a server's thread does.
struct Work {
    heard: Arc<Mutex<Vec<Heard>>>,
    stopping: Arc<AtomicBool>,
    answers: Box<Answers>,
}

impl Work {
    fn run<P>(
        &self,
        receive: impl Fn(&mut [u8]) -> io::Result<(usize, P)>,
        addr: impl Fn(&P) -> Option<SocketAddr>,
        send: impl Fn(&[u8], &P) -> io::Result<usize>,
    ) {
        let mut buffer = vec![0; LONGEST + 1];
        loop {
            let (count, from) = again(|| receive(&mut buffer)).unwrap();
            if self.stopping.load(SeqCst) {
                return;
            }
            let question = &buffer[..count];
            let heard = (addr(&from), question.to_vec());
            self.heard.lock().unwrap().push(heard);
            for answer in (self.answers)(question) {
                // Who asked may have gone.
                let _ = send(&answer, &from);
            }
        }
    }
}

impl AsRef<At> for Responder {
    fn as_ref(&self) -> &At {
        &self.at
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.stopping.store(true, SeqCst);
        // Wakes it.
        let _ = match &self.at {
            At::Inet(addr) => {
                UdpSocket::bind(any(addr.ip())).and_then(|socket| socket.send_to(&[], addr))
            }
            At::Unix(path) => UnixDatagram::unbound().and_then(|socket| socket.send_to(&[], path)),
        };
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        match &self.at {
            // As with `Backend`: another process may hold it for a moment.
            At::Inet(_) => wait_until("the server has gone", || !self.at.is_listening()),
            At::Unix(path) => {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// A client with a socket of its own, connected, so that it takes answers only
/// from where it sends to. For a Unix socket it is a `UdpSocket` only by name.
pub(crate) struct Asker(pub(crate) UdpSocket);

impl Asker {
    /// On a port that the kernel gives.
    pub(crate) fn new(to: &At) -> Asker {
        let local: IpAddr = match to.inet() {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        Asker::from((local, 0), to)
    }

    /// From 127.0.0.N.
    pub(crate) fn number(number: u8, to: &At) -> Asker {
        Asker::from(([127, 0, 0, number], 0), to)
    }

    pub(crate) fn from(local: impl Into<SocketAddr>, to: &At) -> Asker {
        let socket = UdpSocket::bind(local.into()).unwrap();
        socket.connect(to.inet()).unwrap();
        Asker::ready(socket)
    }

    /// A Unix socket with a path of its own, to which the answers go.
    pub(crate) fn unix(own: &Path, to: &Path) -> Asker {
        let socket = UnixDatagram::bind(own).unwrap();
        socket.connect(to).unwrap();
        Asker::ready(OwnedFd::from(socket).into())
    }

    fn ready(socket: UdpSocket) -> Asker {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Asker(socket)
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(crate) fn send(&self, data: impl AsRef<[u8]>) {
        let data = data.as_ref();
        assert_eq!(self.0.send(data).unwrap(), data.len());
    }

    /// The next datagram.
    pub(crate) fn receive(&self) -> Vec<u8> {
        let mut buffer = vec![0; LONGEST + 1];
        let count = again(|| self.0.recv(&mut buffer)).unwrap();
        buffer.truncate(count);
        buffer
    }

    /// Sends a datagram; the next one that comes.
    pub(crate) fn ask(&self, text: &str) -> String {
        self.send(text);
        String::from_utf8(self.receive()).unwrap()
    }

    /// The letter of the server that answers now.
    pub(crate) fn letter(&self) -> String {
        let answer = self.ask("?");
        let (letter, question) = answer.split_at(1);
        assert_eq!(question, "?");
        letter.to_owned()
    }

    /// Asks so often, one after the other; the letters that came.
    pub(crate) fn letters(&self, count: usize) -> String {
        (0..count).map(|_| self.letter()).collect()
    }
}

impl Pen {
    /// A new client.
    pub(crate) fn asker(&self) -> Asker {
        Asker::new(&self.at)
    }
}

/// A process that is stopped and goes on is no reason to fail.
fn again<T>(mut receive: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match receive() {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Any port of the family of this address.
fn any(ip: IpAddr) -> SocketAddr {
    match ip {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// This address with a port that was free a moment ago; `None`, said aloud,
/// where there is no such address. Below the ports that the kernel hands out, above those of
/// a [`Host`]: an address of all interfaces must get in nobody's way.
pub(crate) fn free_datagram_port(ip: impl Into<IpAddr>) -> Option<SocketAddr> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let ip = ip.into();
    if UdpSocket::bind((ip, 0)).is_err() {
        skipped(&format!("no {ip} here"));
        return None;
    }
    loop {
        let count = std::process::id() * 100 + COUNTER.fetch_add(1, Relaxed);
        let port = 25_000 + (count % 7_000) as u16;
        if UdpSocket::bind((ip, port)).is_ok() {
            return Some((ip, port).into());
        }
    }
}

//! Servers for pen to choose from, each on threads of the test.

use super::datagrams::Heard;
use super::{At, Host, PATIENCE, Responder, pattern, wait_until};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A server. It and its connections end when it is dropped; it can be started
/// again at the same address.
pub(crate) struct Backend {
    pub(crate) at: At,
    count: Arc<AtomicUsize>,
    stopping: Arc<AtomicBool>,
    live: Arc<Mutex<Vec<Weak<TcpStream>>>>,
    thread: Option<JoinHandle<()>>,
}

/// Where connections come from, as `TcpStream` whatever they are.
type Accept = Box<dyn FnMut() -> TcpStream + Send>;

impl Backend {
    /// A server that does `serve` with each connection, on a thread for each.
    pub(crate) fn start(at: At, serve: impl Fn(Arc<TcpStream>) + Send + Sync + 'static) -> Backend {
        let accept: Accept = match &at {
            At::Inet(addr) => {
                let listener = TcpListener::bind(addr).unwrap();
                Box::new(move || listener.accept().unwrap().0)
            }
            At::Unix(path) => {
                let listener = UnixListener::bind(path).unwrap();
                Box::new(move || OwnedFd::from(listener.accept().unwrap().0).into())
            }
        };
        let mut backend = Backend {
            at,
            count: Arc::default(),
            stopping: Arc::default(),
            live: Arc::default(),
            thread: None,
        };
        let (count, live) = (Arc::clone(&backend.count), Arc::clone(&backend.live));
        let stopping = Arc::clone(&backend.stopping);
        backend.thread = Some(thread::spawn(move || {
            accept_all(accept, &count, &stopping, &live, Arc::new(serve));
        }));
        backend
    }

    /// Says its letter to everyone who comes, and again for each line.
    pub(crate) fn letter(at: At, letter: char) -> Backend {
        Backend::start(at, move |stream| {
            let mut out: &TcpStream = &stream;
            let letter = letter.to_string();
            if out.write_all(letter.as_bytes()).is_err() {
                return;
            }
            for _line in BufReader::new(&*stream).lines().map_while(Result::ok) {
                if out.write_all(letter.as_bytes()).is_err() {
                    return;
                }
            }
        })
    }

    /// Servers that say A, B, C and so on.
    pub(crate) fn letters(host: &Host, count: u8) -> Vec<Backend> {
        (b'A'..b'A' + count).map(|letter| Backend::letter(host.at(), letter.into())).collect()
    }

    /// Sends everything back.
    pub(crate) fn echo(at: At) -> Backend {
        Backend::start(at, |stream| {
            let (mut from, mut to): (&TcpStream, &TcpStream) = (&stream, &stream);
            let mut buffer = vec![0; 65536];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                if to.write_all(&buffer[..count]).is_err() {
                    return;
                }
            }
        })
    }

    /// A small HTTP/1.1 server: its answer to `GET /path` is `/path`, to a
    /// request with a body that body. Keeps connections.
    pub(crate) fn http(at: At) -> Backend {
        Backend::start(at, |stream| {
            let mut from = BufReader::new(&*stream);
            while let Some(body) = http_request(&mut from) {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                let mut to: &TcpStream = &stream;
                if to.write_all(&[head.as_bytes(), &body].concat()).is_err() {
                    return;
                }
            }
        })
    }

    /// Sends a stream of patterns for as long as it is taken, and says how
    /// much it has sent so far in `sent`.
    pub(crate) fn source(at: At, sent: Arc<AtomicUsize>) -> Backend {
        Backend::start(at, move |stream| {
            let mut to: &TcpStream = &stream;
            while let Ok(count) = to.write(pattern(0, sent.load(SeqCst) as u64, 65536)) {
                sent.fetch_add(count, SeqCst);
            }
        })
    }

    /// Resets each connection as soon as the client has said something: a
    /// socket that is closed with unread data sends RST instead of FIN.
    pub(crate) fn resetting(at: At) -> Backend {
        Backend::start(at, |stream| {
            let _ = stream.peek(&mut [0]);
        })
    }

    /// How many connections it has had.
    pub(crate) fn count(&self) -> usize {
        self.count.load(SeqCst)
    }
}

impl AsRef<At> for Backend {
    fn as_ref(&self) -> &At {
        &self.at
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stopping.store(true, SeqCst);
        // Wakes the accepting thread.
        let _ = self.at.connect();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        // A process that another test is starting just now may still hold the
        // listener, until it has become another program.
        if let At::Inet(SocketAddr::V4(_)) = &self.at {
            wait_until("the server has gone", || !self.at.is_listening());
        }
        for stream in self.live.lock().unwrap().iter().filter_map(Weak::upgrade) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let At::Unix(path) = &self.at {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn accept_all(
    mut accept: Accept,
    count: &AtomicUsize,
    stopping: &AtomicBool,
    live: &Mutex<Vec<Weak<TcpStream>>>,
    serve: Arc<dyn Fn(Arc<TcpStream>) + Send + Sync>,
) {
    loop {
        let stream = Arc::new(accept());
        if stopping.load(SeqCst) {
            return;
        }
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        count.fetch_add(1, SeqCst);
        live.lock().unwrap().push(Arc::downgrade(&stream));
        let serve = Arc::clone(&serve);
        thread::spawn(move || serve(stream));
    }
}

/// Reads a request: its body, or if it has none its path. `None` at the end.
fn http_request(from: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut line = String::new();
    from.read_line(&mut line).ok().filter(|count| *count > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = None;
    loop {
        line.clear();
        from.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().ok();
            }
            Some(_) => {}
            None => break,
        }
    }
    let Some(length) = length else {
        return Some(path.into_bytes());
    };
    let mut body = vec![0; length];
    from.read_exact(&mut body).ok()?;
    Some(body)
}

/// A server of either kind.
pub(crate) enum Server {
    Tcp(Backend),
    Udp(Responder),
}

impl Server {
    /// One that answers with its letter.
    pub(crate) fn letter(is_udp: bool, at: At, letter: char) -> Server {
        match is_udp {
            true => Responder::letter(at, letter).into(),
            false => Backend::letter(at, letter).into(),
        }
    }

    pub(crate) fn at(&self) -> &At {
        match self {
            Server::Tcp(server) => &server.at,
            Server::Udp(server) => &server.at,
        }
    }

    /// How many connections or datagrams it has had.
    pub(crate) fn count(&self) -> usize {
        match self {
            Server::Tcp(server) => server.count(),
            Server::Udp(server) => server.count(),
        }
    }

    /// The datagrams that have come.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        let Server::Udp(server) = self else { panic!("a server of connections") };
        server.heard()
    }

    /// The addresses that they came from.
    pub(crate) fn peers(&self) -> BTreeSet<SocketAddr> {
        self.heard().into_iter().filter_map(|(from, _)| from).collect()
    }
}

impl From<Backend> for Server {
    fn from(server: Backend) -> Server {
        Server::Tcp(server)
    }
}

impl From<Responder> for Server {
    fn from(server: Responder) -> Server {
        Server::Udp(server)
    }
}

impl AsRef<At> for Server {
    fn as_ref(&self) -> &At {
        self.at()
    }
}

/// A listener that never accepts, and the connections that fill its queue: a
/// further connect to `addr` is not answered.
pub(crate) fn full_queue(addr: SocketAddr) -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind(addr).unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&addr, Duration::from_millis(300)) {
        waiting.push(stream);
        assert!(waiting.len() < 10_000, "this queue has no end");
    }
    (listener, waiting)
}

/// Leaves a Unix socket's file behind, as a server that was killed does.
pub(crate) fn stale_socket(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
}

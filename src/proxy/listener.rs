//! Sockets that listen, and moving them to another address while pen runs.

use crate::pool::clients::Client;
use crate::proxy::connect;
use crate::proxy::socket::{Socket, Stream};
use crate::settings::Settings;
use crate::sys::addr::{self, Endpoint};
use crate::sys::files;
use crate::sys::{self, Address, Kind, Received};
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How many bytes of unread datagrams the system is asked to keep.
const RECEIVE_BUFFER: u32 = 4 << 20;

/// What the message says of an address that is not this host's.
pub(crate) const NOT_HERE: &str =
    "no address of this host; pen listens on the first operand, servers come behind it";

/// What the operator may do about an error, to be added to its message.
fn hint(at: SocketAddr, e: &io::Error) -> String {
    match e.kind() {
        ErrorKind::AddrNotAvailable => format!(": {NOT_HERE}"),
        ErrorKind::PermissionDenied if at.port() < 1024 => {
            "; for a port below 1024 start pen as root with -u USER, or give it \
             CAP_NET_BIND_SERVICE"
                .to_owned()
        }
        _ => String::new(),
    }
}

/// A socket that clients come to.
pub struct Listener {
    socket: Listening,
    /// A Unix socket's file: its device and inode. The inode is not used again while
    /// the socket is open.
    file: Option<(u64, u64)>,
    /// Where it is, with the port the kernel chose.
    pub(crate) at: Endpoint,
}

enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
    /// UDP, or Unix datagrams.
    Datagram(Stream),
}

/// A client that was accepted, or has sent a datagram.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    /// The client, without its port.
    pub(crate) client: Client,
    /// Its port, 0 for a Unix socket.
    pub(crate) port: u16,
    /// When it was accepted.
    pub(crate) since: Instant,
}

impl Accepted {
    /// Describes a client at this address that has come now.
    pub(crate) fn from_inet(addr: SocketAddr) -> Accepted {
        let addr = addr::canonical(addr);
        Accepted { client: Client::Inet(addr.ip()), port: addr.port(), since: Instant::now() }
    }

    /// Describes a client of a Unix socket that has come now.
    pub(crate) fn from_unix() -> Accepted {
        Accepted { client: Client::Unix, port: 0, since: Instant::now() }
    }
}

fn file_at(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino()))
}

/// How a socket listens.
struct Options {
    kind: Kind,
    /// How many clients may wait to be accepted.
    backlog: u32,
    /// Whether another process may listen at the same port.
    is_shared: bool,
    /// After this time of silence the system asks a TCP client whether it is still
    /// there ([`sys::keep_alive`]).
    keep_alive: Duration,
}

impl Listener {
    /// Listens for clients, as the settings say. Another process may listen at the
    /// same port.
    pub(crate) fn open_for_clients(word: &str, settings: &Settings) -> Result<Listener, String> {
        let options = Options {
            kind: settings.start.kind,
            backlog: settings.backlog,
            is_shared: true,
            keep_alive: settings.client_keepalive,
        };
        Listener::open(word, &options)
    }

    /// Listens at a port that no other process shares: the clients would be spread over
    /// both processes, and neither would know. Only the owner may connect to a Unix
    /// socket.
    pub(crate) fn open_alone(word: &str, backlog: u32) -> Result<Listener, String> {
        let (kind, keep_alive) = (Kind::Stream, Duration::ZERO);
        Listener::open(word, &Options { kind, backlog, is_shared: false, keep_alive })
    }

    /// Listens at an address as given on the command line.
    fn open(word: &str, options: &Options) -> Result<Listener, String> {
        match addr::endpoint(word)? {
            Endpoint::Unix(path) => Listener::unix(&path, options)
                .map_err(|e| format!("{word}: cannot listen on this path: {e}")),
            Endpoint::Inet(all) => {
                let mut result = Err(String::new());
                for at in all {
                    result = Listener::inet(at, options)
                        .map_err(|e| format!("{word}: cannot listen on {at}: {e}{}", hint(at, &e)));
                    if result.is_ok() {
                        break;
                    }
                }
                result
            }
        }
    }

    fn inet(at: SocketAddr, options: &Options) -> io::Result<Listener> {
        let address = Address::Inet(at);
        let socket = Socket::from(sys::bound_socket(&address, options.kind, options.is_shared)?);
        let bound = Endpoint::Inet(vec![socket.address()?]);
        let socket = match options.kind {
            Kind::Stream => {
                // Accepted sockets inherit these.
                socket.set_nodelay(true);
                let _ = socket.set_read_timeout(connect::QUIET);
                let _ = socket.set_write_timeout(connect::STALL);
                let _ = sys::keep_alive(&socket, options.keep_alive);
                accept_on(&socket, options)?;
                Listening::Tcp(OwnedFd::from(socket).into())
            }
            Kind::Datagram => {
                // Whatever the system grants will do.
                let _ = sys::receive_room(&socket, RECEIVE_BUFFER);
                if at.ip().is_unspecified() {
                    // Answers leave from the address that the client sent to.
                    sys::tell_destination(&socket, at)?;
                }
                Listening::Datagram(socket.into_stream())
            }
        };
        Ok(Listener { socket, file: None, at: bound })
    }

    fn unix(path: &Path, options: &Options) -> io::Result<Listener> {
        match fs::symlink_metadata(path) {
            Ok(meta) if meta.file_type().is_socket() => {
                if !options.is_shared && is_in_use(path) {
                    return Err(ErrorKind::AddrInUse.into());
                }
                files::remove(path)?;
            }
            Ok(_) => {
                let why = "there is a file that is not a socket";
                return Err(io::Error::new(ErrorKind::AlreadyExists, why));
            }
            Err(_) => {}
        }
        let address = Address::Unix(path.into());
        let socket = || sys::bound_socket(&address, options.kind, options.is_shared);
        let socket = Socket::from(match options.is_shared {
            true => socket()?,
            // The mask is the whole process's, so it is changed for this call alone.
            false => sys::with_umask(0o177, socket)?,
        });
        let socket = match options.kind {
            Kind::Stream => {
                accept_on(&socket, options)?;
                Listening::Unix(OwnedFd::from(socket).into())
            }
            Kind::Datagram => Listening::Datagram(socket.into_stream()),
        };
        let at = Endpoint::Unix(path.to_owned());
        Ok(Listener { socket, file: Some(file_at(path)?), at })
    }

    /// Accepts the next client; fails with `WouldBlock` if there is none.
    pub(crate) fn accept(&self) -> io::Result<(Socket, Accepted)> {
        let (socket, accepted) = match &self.socket {
            Listening::Tcp(listener) => {
                let (socket, addr) = listener.accept()?;
                (Socket::from(OwnedFd::from(socket)), Accepted::from_inet(addr))
            }
            Listening::Unix(listener) => {
                let (socket, _) = listener.accept()?;
                let socket = Socket::from(OwnedFd::from(socket));
                // Linux does not let a Unix socket inherit them.
                let _ = socket.set_read_timeout(connect::QUIET);
                let _ = socket.set_write_timeout(connect::STALL);
                (socket, Accepted::from_unix())
            }
            Listening::Datagram(_) => {
                return Err(ErrorKind::Unsupported.into());
            }
        };
        if cfg!(not(target_os = "linux")) {
            // The BSDs hand the listener's O_NONBLOCK on, Linux does not.
            socket.set_nonblocking(false)?;
        }
        Ok((socket, accepted))
    }

    /// Receives the next datagram, and says through which socket; fails with
    /// `WouldBlock` if there is none.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<(Received, Stream)> {
        match &self.socket {
            Listening::Datagram(socket) => Ok((sys::receive(socket, buffer)?, Arc::clone(socket))),
            Listening::Tcp(_) | Listening::Unix(_) => Err(ErrorKind::Unsupported.into()),
        }
    }

    /// Removes a Unix socket's file, if it is still this socket's.
    fn remove_file(&self) {
        if let (Endpoint::Unix(path), Some(file)) = (&self.at, self.file) {
            if file_at(path).is_ok_and(|found| found == file) {
                // Not permitted after changing user: then it stays.
                let _ = files::remove(path);
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.remove_file();
    }
}

/// Lets clients connect. Accepting never blocks, so that a client that has left
/// meanwhile cannot stop the loop.
fn accept_on(socket: &Socket, options: &Options) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    sys::accept_on(socket, options.backlog)
}

/// Whether a process listens at a Unix socket's path. A process that was killed leaves
/// the file behind.
fn is_in_use(path: &Path) -> bool {
    let address = Address::Unix(path.into());
    let asked = Socket::new(&address, Kind::Stream).and_then(|socket| {
        socket.set_nonblocking(true)?;
        sys::connect_to(&socket, &address)
    });
    // It would block if the process's queue is full.
    asked.is_ok() || asked.is_err_and(|e| e.kind() == ErrorKind::WouldBlock)
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Listening::Tcp(listener) => listener.as_fd(),
            Listening::Unix(listener) => listener.as_fd(),
            Listening::Datagram(socket) => socket.as_fd(),
        }
    }
}

/// A listener that can be exchanged while a loop waits for its clients.
pub struct MovableListener {
    current: Mutex<Option<Arc<Listener>>>,
    has_moved: AtomicBool,
    /// The loop waits on the second, and a byte written to the first wakes it.
    waker: (UnixStream, UnixStream),
}

impl MovableListener {
    /// Makes a listener that does not listen yet.
    pub(crate) fn new() -> io::Result<MovableListener> {
        let waker = UnixStream::pair()?;
        waker.0.set_nonblocking(true)?;
        waker.1.set_nonblocking(true)?;
        Ok(MovableListener { current: Mutex::default(), has_moved: AtomicBool::new(false), waker })
    }

    /// Listens there from now on. Clients that wait at the old listener are still
    /// accepted.
    pub(crate) fn open(&self, listener: Listener) {
        self.replace(Some(Arc::new(listener)));
    }

    /// Stops listening, and removes the file of a Unix socket.
    pub(crate) fn shut(&self) {
        self.replace(None);
    }

    fn replace(&self, listener: Option<Arc<Listener>>) {
        let old = std::mem::replace(&mut *crate::lock(&self.current), listener);
        if let Some(old) = old {
            old.remove_file();
        }
        self.has_moved.store(true, SeqCst);
        // If the waker is full, the loop is awake.
        let _ = (&self.waker.0).write(&[1]);
    }

    fn current(&self) -> Option<Arc<Listener>> {
        crate::lock(&self.current).clone()
    }

    /// Changes the keep-alive time of TCP clients that are accepted from now on.
    pub(crate) fn keep_alive(&self, idle: Duration) {
        if let Some(Listening::Tcp(listener)) = self.current().as_deref().map(|open| &open.socket) {
            let _ = sys::keep_alive(listener, idle);
        }
    }

    /// Whether the listener was replaced since the last [`Acceptor::refresh`].
    pub(crate) fn has_moved(&self) -> bool {
        self.has_moved.load(SeqCst)
    }

    /// Makes what a loop accepts with. Only one loop may use a listener.
    pub(crate) fn acceptor(&self) -> Acceptor<'_> {
        Acceptor { listener: self, current: None, old: None, old_was_closed: false }
    }
}

/// Takes clients from a listener wherever it moves.
pub(crate) struct Acceptor<'a> {
    listener: &'a MovableListener,
    current: Option<Arc<Listener>>,
    /// The listener before, until its queue is empty.
    old: Option<Arc<Listener>>,
    old_was_closed: bool,
}

impl Acceptor<'_> {
    /// Waits for the next client and accepts it.
    pub(crate) fn accept(&mut self) -> io::Result<(Socket, Accepted)> {
        self.next(Listener::accept)
    }

    /// Waits until `take` gets something from the listener.
    pub(crate) fn next<T>(
        &mut self,
        mut take: impl FnMut(&Listener) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            self.refresh();
            if let Some(old) = &self.old {
                match take(old) {
                    Ok(next) => return Ok(next),
                    Err(_) => {
                        self.old = None;
                        self.old_was_closed = true;
                    }
                }
            }
            match self.current.as_deref().map(&mut take) {
                None => self.wait()?,
                Some(Err(e)) if e.kind() == ErrorKind::WouldBlock => self.wait()?,
                Some(other) => return other,
            }
        }
    }

    /// Uses the new listener, if it was replaced.
    pub(crate) fn refresh(&mut self) {
        if self.listener.has_moved.swap(false, SeqCst) {
            let mut scratch = [0; 64];
            while matches!((&self.listener.waker.1).read(&mut scratch), Ok(n) if n > 0) {}
            self.old = std::mem::replace(&mut self.current, self.listener.current());
        }
    }

    /// Waits until there may be a client, or another listener.
    pub(crate) fn wait(&self) -> io::Result<()> {
        let waker = &self.listener.waker.1;
        match &self.current {
            _ if self.old.is_some() => Ok(()),
            Some(open) => sys::wait_either(&**open, waker),
            None => sys::wait_either(waker, waker),
        }
    }

    /// Whether an old listener was closed since the last call.
    pub(crate) fn old_was_closed(&mut self) -> bool {
        std::mem::take(&mut self.old_was_closed)
    }
}

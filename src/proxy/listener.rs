//! The listening socket and the accept loop.
//!
//! The loop takes a slot and two threads before it accepts: while they are not
//! to be had, clients wait in the kernel's queue. Errors of accept fall into two classes: lost
//! that client (try again) and out of something (pause, then try again);
//! neither ends the loop.

use crate::pool::clients::Client;
use crate::proxy::connect::{self, Stream};
use crate::proxy::connection::{self, Arrival};
use crate::proxy::shared::Pen;
use crate::proxy::slots::Slot;
use crate::settings::Settings;
use crate::sys::addr::{self, Endpoint};
use crate::sys::files::Spot;
use crate::sys::message::{self, Trouble};
use crate::sys::{self, Kind, Place, Received};
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// How long accept rests when the system is out of something.
pub const PAUSE: Duration = Duration::from_millis(200);

/// Bytes of datagrams not read yet that the system is asked to keep.
const DATAGRAM_ROOM: u32 = 4 << 20;

/// What an address is that cannot be listened on.
pub const NOT_HERE: &str =
    "no address of this host; pen listens on the first operand, servers come behind it";

/// What to do about it, if that is known.
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

/// A socket that accepts.
pub struct Listener {
    socket: Arc<Socket>,
    path: Option<SocketPath>,
    /// Where it is, with the port the kernel chose.
    pub at: Endpoint,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
    /// UDP, or Unix datagrams.
    Datagram(Stream),
    /// UDP at a wildcard address: answers leave from where clients sent to.
    Anywhere(Stream),
}

/// Who connected.
pub struct Peer {
    /// For the tables.
    pub client: Client,
    /// The client's port, 0 for a Unix socket.
    pub port: u16,
}

/// A Unix socket's file, removed when dropped if it is still the same one.
struct SocketPath {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketPath {
    fn new(path: &Path) -> io::Result<SocketPath> {
        let meta = fs::symlink_metadata(path)?;
        Ok(SocketPath { path: path.to_owned(), identity: (meta.dev(), meta.ino()) })
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let same = fs::symlink_metadata(&self.path)
            .is_ok_and(|meta| (meta.dev(), meta.ino()) == self.identity);
        if same {
            // Not permitted after changing user: then it stays.
            let _ = Spot::find(&self.path).and_then(|spot| spot.remove());
        }
    }
}

/// How a socket listens.
struct How {
    kind: Kind,
    /// Clients that may wait to be accepted.
    backlog: u32,
    /// Whether another process may listen there, too.
    is_shared: bool,
    /// TCP clients that are silent for so long are asked whether they are there
    /// ([`sys::keep_alive`]).
    keep_alive: Duration,
}

impl Listener {
    /// Listens for clients, as the settings say. Another process may listen
    /// there, too.
    pub fn open_for_clients(word: &str, settings: &Settings) -> Result<Listener, String> {
        let how = How {
            kind: settings.start.kind,
            backlog: settings.backlog,
            is_shared: true,
            keep_alive: settings.client_keepalive,
        };
        Listener::open(word, &how)
    }

    /// Listens there alone: two processes that shared a port would answer in
    /// turn, and neither would know. A Unix socket is for its owner alone.
    pub fn open_alone(word: &str, backlog: u32) -> Result<Listener, String> {
        let (kind, keep_alive) = (Kind::Stream, Duration::ZERO);
        Listener::open(word, &How { kind, backlog, is_shared: false, keep_alive })
    }

    /// Listens at an address as given on the command line.
    fn open(word: &str, how: &How) -> Result<Listener, String> {
        match addr::endpoint(word)? {
            Endpoint::Unix(path) => Listener::unix(&path, how)
                .map_err(|e| format!("{word}: cannot listen on this path: {e}")),
            Endpoint::Inet(all) => {
                let mut result = Err(String::new());
                for at in all {
                    result = Listener::inet(at, how)
                        .map_err(|e| format!("{word}: cannot listen on {at}: {e}{}", hint(at, &e)));
                    if result.is_ok() {
                        break;
                    }
                }
                result
            }
        }
    }

    fn inet(at: SocketAddr, how: &How) -> io::Result<Listener> {
        let place = Place::Inet(at);
        let socket = sys::bound_socket(place, how.kind, how.is_shared)?;
        // Only asked for its name: a socket is a socket.
        let socket = UdpSocket::from(socket);
        let address = socket.local_addr()?;
        let socket = match how.kind {
            Kind::Stream => {
                // Never blocks, so that a client who left again cannot hold
                // the loop.
                socket.set_nonblocking(true)?;
                let socket = TcpStream::from(OwnedFd::from(socket));
                // For its clients, who inherit it.
                let _ = socket.set_nodelay(true);
                let _ = socket.set_read_timeout(Some(connect::QUIET));
                let _ = socket.set_write_timeout(Some(connect::STALL));
                let _ = sys::keep_alive(&socket, how.keep_alive);
                sys::accept_on(&socket, how.backlog)?;
                Socket::Tcp(OwnedFd::from(socket).into())
            }
            Kind::Datagram => {
                // Whatever the system grants will do.
                let _ = sys::receive_room(&socket, DATAGRAM_ROOM);
                if at.ip().is_unspecified() {
                    sys::tell_destination(&socket, place)?;
                    Socket::Anywhere(connect::stream(socket))
                } else {
                    Socket::Datagram(connect::stream(socket))
                }
            }
        };
        Ok(Listener { socket: socket.into(), path: None, at: Endpoint::Inet(vec![address]) })
    }

    fn unix(path: &Path, how: &How) -> io::Result<Listener> {
        match fs::symlink_metadata(path) {
            Ok(meta) if meta.file_type().is_socket() => {
                if !how.is_shared && is_in_use(path) {
                    return Err(ErrorKind::AddrInUse.into());
                }
                Spot::find(path)?.remove()?;
            }
            Ok(_) => {
                let why = "there is a file that is not a socket";
                return Err(io::Error::new(ErrorKind::AlreadyExists, why));
            }
            Err(_) => {}
        }
        let socket = || sys::bound_socket(Place::Unix(path), how.kind, how.is_shared);
        let socket = match how.is_shared {
            true => socket()?,
            // Nothing else in there: the mask is the whole process's.
            false => sys::with_umask(0o177, socket)?,
        };
        let socket = match how.kind {
            Kind::Stream => {
                sys::accept_on(&socket, how.backlog)?;
                let socket = UnixListener::from(socket);
                socket.set_nonblocking(true)?;
                Socket::Unix(socket)
            }
            Kind::Datagram => Socket::Datagram(connect::stream(socket)),
        };
        Ok(Listener {
            socket: socket.into(),
            path: Some(SocketPath::new(path)?),
            at: Endpoint::Unix(path.to_owned()),
        })
    }

    /// The next client; `WouldBlock` if there is none.
    pub fn accept(&self) -> io::Result<(OwnedFd, Peer)> {
        let (socket, peer) = match &*self.socket {
            Socket::Tcp(listener) => {
                let (socket, addr) = listener.accept()?;
                let addr = addr::canonical(addr);
                let client = Client::Inet(addr.ip());
                let port = addr.port();
                (OwnedFd::from(socket), Peer { client, port })
            }
            Socket::Unix(listener) => {
                let (socket, _) = listener.accept()?;
                // Not inherited.
                let _ = socket.set_read_timeout(Some(connect::QUIET));
                let _ = socket.set_write_timeout(Some(connect::STALL));
                let (client, port) = (Client::Unix, 0);
                (OwnedFd::from(socket), Peer { client, port })
            }
            Socket::Datagram(_) | Socket::Anywhere(_) => {
                return Err(ErrorKind::Unsupported.into());
            }
        };
        if cfg!(not(target_os = "linux")) {
            // The BSDs hand the listener's O_NONBLOCK on, Linux does not.
            let socket = TcpStream::from(socket);
            socket.set_nonblocking(false)?;
            return Ok((socket.into(), peer));
        }
        Ok((socket, peer))
    }
}

/// Whether somebody listens at a Unix socket's path, and does not just have left
/// it behind.
fn is_in_use(path: &Path) -> bool {
    let place = Place::Unix(path);
    let asked = sys::socket_for(place, Kind::Stream).and_then(|socket| {
        let socket = UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        sys::connect_to(&socket, place)
    });
    // It would block where the queue is full.
    asked.is_ok() || asked.is_err_and(|e| e.kind() == ErrorKind::WouldBlock)
}

impl Listener {
    /// The next datagram and the socket that it came through; `WouldBlock` if
    /// there is none.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<(Received, Stream)> {
        match &*self.socket {
            Socket::Datagram(socket) => Ok((sys::receive(socket, buffer)?, Arc::clone(socket))),
            Socket::Anywhere(socket) => {
                Ok((sys::receive_there(socket, buffer)?, Arc::clone(socket)))
            }
            Socket::Tcp(_) | Socket::Unix(_) => Err(ErrorKind::Unsupported.into()),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &*self.socket {
            Socket::Tcp(listener) => listener.as_fd(),
            Socket::Unix(listener) => listener.as_fd(),
            Socket::Datagram(socket) | Socket::Anywhere(socket) => socket.as_fd(),
        }
    }
}

/// Where the accept loop finds its listener, and a new one when it moves.
pub struct Door {
    /// What the loop is to have from now on, if that is news: `Some(None)` is
    /// no listener at all.
    next: Mutex<Option<Option<Listener>>>,
    moved: AtomicBool,
    /// What it accepts on.
    socket: Mutex<Weak<Socket>>,
    path: Mutex<Option<SocketPath>>,
    bell: UnixStream,
    ear: UnixStream,
}

impl Door {
    /// Without a listener yet.
    pub fn new() -> io::Result<Door> {
        let (bell, ear) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        ear.set_nonblocking(true)?;
        Ok(Door {
            next: Mutex::default(),
            moved: AtomicBool::new(false),
            socket: Mutex::default(),
            path: Mutex::default(),
            bell,
            ear,
        })
    }

    /// Gives the loop a listener in place of the one it has.
    pub fn open(&self, listener: Listener) {
        self.replace(Some(listener));
    }

    /// Takes the loop's listener away.
    pub fn shut(&self) {
        self.replace(None);
    }

    fn replace(&self, mut listener: Option<Listener>) {
        let path = listener.as_mut().and_then(|listener| listener.path.take());
        let socket = listener.as_ref().map(|listener| Arc::downgrade(&listener.socket));
        *crate::lock(&self.socket) = socket.unwrap_or_default();
        let old_path = std::mem::replace(&mut *crate::lock(&self.path), path);
        let unused = crate::lock(&self.next).replace(listener);
        drop((old_path, unused));
        self.moved.store(true, SeqCst);
        // A full pipe has rung already.
        let _ = (&self.bell).write(&[1]);
    }

    /// TCP clients that come from now on are asked whether they are there when
    /// they are silent for `idle`.
    pub fn keep_alive(&self, idle: Duration) {
        let socket = crate::lock(&self.socket).upgrade();
        if let Some(Socket::Tcp(listener)) = socket.as_deref() {
            let _ = sys::keep_alive(listener, idle);
        }
    }

    /// Removes the Unix socket's file, at the end.
    pub fn close(&self) {
        let path = crate::lock(&self.path).take();
        drop(path);
    }

    /// Whether there is a new listener to fetch.
    pub fn has_moved(&self) -> bool {
        self.moved.load(SeqCst)
    }

    /// Waits until somebody may want to come in, or there is a new listener.
    fn wait(&self, entrance: &Entrance) -> io::Result<()> {
        match &entrance.current {
            _ if entrance.old.is_some() => Ok(()),
            Some(open) => sys::wait_either(open, &self.ear),
            None => sys::wait_either(&self.ear, &self.ear),
        }
    }

    /// The next client, however long it takes and wherever it comes in.
    pub fn accept(&self, entrance: &mut Entrance) -> io::Result<(OwnedFd, Peer)> {
        self.next(entrance, Listener::accept)
    }

    /// The next that `take` gets from a listener.
    pub fn next<T>(
        &self,
        entrance: &mut Entrance,
        mut take: impl FnMut(&Listener) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            self.refresh(entrance);
            // Who queued up at the old place is let in before it is closed.
            if let Some(old) = &entrance.old {
                match take(old) {
                    Ok(next) => return Ok(next),
                    Err(_) => {
                        entrance.old = None;
                        entrance.left = true;
                    }
                }
            }
            let Some(open) = &entrance.current else {
                self.wait(entrance)?;
                continue;
            };
            match take(open) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.wait(entrance)?,
                other => return other,
            }
        }
    }

    /// Fetches a new listener, if there is one.
    pub fn refresh(&self, entrance: &mut Entrance) {
        if self.moved.swap(false, SeqCst) {
            let mut scratch = [0; 64];
            while matches!((&self.ear).read(&mut scratch), Ok(n) if n > 0) {}
            if let Some(next) = crate::lock(&self.next).take() {
                entrance.old = std::mem::replace(&mut entrance.current, next);
            }
        }
    }
}

/// The listener that an accept loop works with.
#[derive(Default)]
pub struct Entrance {
    current: Option<Listener>,
    old: Option<Listener>,
    left: bool,
}

impl Entrance {
    /// Whether an old place was closed, since this was asked last.
    pub fn has_left(&mut self) -> bool {
        std::mem::take(&mut self.left)
    }
}

/// A slot for the next client. That clients wait because all are taken is said.
/// `None` if there is something else to do first.
fn find_slot(pen: &Arc<Pen>, entrance: &Entrance, full: &mut Trouble) -> Option<Slot> {
    let connections = &pen.connections;
    if let Some(slot) = connections.take_now() {
        return Some(slot);
    }
    if full.is_due() && pen.door.wait(entrance).is_ok() && !pen.door.has_moved() {
        if let Some(most) = connections.full() {
            full.say(format_args!(
                "clients wait: all {most} connections are in use (see -x and ulimit -n)"
            ));
        }
    }
    connections.take(|| pen.door.has_moved(), message::MINUTE)
}

/// Accepts until the process ends.
pub fn accept_loop(pen: &Arc<Pen>) {
    let door = &pen.door;
    let mut entrance = Entrance::default();
    let mut slot = None;
    let (mut trouble, mut full) = (Trouble::default(), Trouble::default());
    loop {
        door.refresh(&mut entrance);
        let taken = slot.take().or_else(|| find_slot(pen, &entrance, &mut full));
        let Some(place) = taken else {
            continue;
        };
        let hire = || pen.workers.hire(PAUSE);
        let (up, down) = match hire().and_then(|up| Ok((up, hire()?))) {
            Ok(both) => both,
            Err(e) => {
                slot = Some(place);
                trouble.say(format_args!("clients wait: cannot start a thread: {e}"));
                continue;
            }
        };
        match door.accept(&mut entrance) {
            Ok((socket, peer)) => {
                let there = Arc::clone(pen);
                let arrival = Arrival {
                    socket: TcpStream::from(socket),
                    client: peer.client,
                    port: peer.port,
                    other: down,
                    slot: place,
                };
                up.run(move |buffer| connection::serve(&there, arrival, buffer));
            }
            Err(e) => {
                slot = Some(place);
                if sys::is_exhausted(&e) {
                    trouble.say(format_args!("clients wait: cannot accept: {e}"));
                    std::thread::sleep(PAUSE);
                } else {
                    message::debug(1, || format!("lost a client in accept: {e}"));
                }
            }
        }
    }
}

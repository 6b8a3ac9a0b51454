//! One socket that listens. [`super::listeners`] has all of a service's, and moves them.

use crate::pool::clients::Client;
use crate::proxy::connect;
use crate::proxy::socket::{Socket, Stream};
use crate::proxy_protocol::Source;
use crate::settings::Settings;
use crate::sys::addr::{self, Endpoint};
use crate::sys::files;
use crate::sys::inherited;
use crate::sys::{self, Address, Kind, Received};
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
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
pub(crate) struct Listener {
    socket: Listening,
    /// A Unix socket's file: its device and inode. The inode is not used again while
    /// the socket is open.
    file: Option<(u64, u64)>,
    /// Whether that file stays, as another process listens with this socket.
    keeps_file: AtomicBool,
    /// Whether a service manager has lent it.
    pub(crate) is_lent: bool,
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
    /// The listening port that it came in on, 0 for a Unix socket.
    pub(crate) came_in: u16,
    /// When it was accepted.
    pub(crate) since: Instant,
    /// Whom its PROXY header names.
    pub(crate) named: Option<Source>,
}

impl Accepted {
    /// Describes a client at this address that has come in now on this port.
    pub(crate) fn from_inet(addr: SocketAddr, came_in: u16) -> Accepted {
        let addr = addr::canonical(addr);
        let (client, port) = (Client::Inet(addr.ip()), addr.port());
        Accepted { client, port, came_in, since: Instant::now(), named: None }
    }

    /// Describes a client of a Unix socket that has come now.
    pub(crate) fn from_unix() -> Accepted {
        Accepted { client: Client::Unix, port: 0, came_in: 0, since: Instant::now(), named: None }
    }

    /// Makes it the client that its PROXY header names.
    pub(crate) fn on_behalf_of(self, source: Source) -> Accepted {
        let client = match source {
            Source::Sender => self,
            Source::Inet { from, .. } => Accepted::from_inet(from, self.came_in),
            Source::Unix => Accepted::from_unix(),
        };
        Accepted { came_in: self.came_in, since: self.since, named: Some(source), ..client }
    }

    /// Whether it belongs into the client table. A balancer that connects for itself, as
    /// for a check, is no client.
    pub(crate) fn is_tracked(&self) -> bool {
        self.named != Some(Source::Sender)
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
    pub(crate) fn open_for_clients(
        word: &str,
        endpoint: Endpoint,
        settings: &Settings,
    ) -> Result<Listener, String> {
        let options = Options {
            kind: settings.start.kind,
            backlog: settings.backlog,
            is_shared: true,
            keep_alive: settings.client_keepalive,
        };
        Listener::open(word, endpoint, &options)
    }

    /// Listens at a port that no other process shares: the clients would be spread over
    /// both processes, and neither would know. Only the owner may connect to a Unix
    /// socket.
    pub(crate) fn open_alone(word: &str, backlog: u32) -> Result<Listener, String> {
        let (kind, keep_alive) = (Kind::Stream, Duration::ZERO);
        let options = Options { kind, backlog, is_shared: false, keep_alive };
        Listener::open(word, addr::endpoint(word)?, &options)
    }

    /// Listens at an address that was given as this word.
    fn open(word: &str, endpoint: Endpoint, options: &Options) -> Result<Listener, String> {
        match endpoint {
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
        let (socket, is_lent) = match inherited::take(&address, options.kind) {
            Some(taken) => taken,
            None => (sys::bound_socket(&address, options.kind, options.is_shared)?, false),
        };
        let socket = Socket::from(socket);
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
        Ok(Listener::new(socket, None, bound, is_lent))
    }

    fn new(socket: Listening, file: Option<(u64, u64)>, at: Endpoint, is_lent: bool) -> Listener {
        Listener { socket, file, keeps_file: AtomicBool::new(is_lent), is_lent, at }
    }

    fn unix(path: &Path, options: &Options) -> io::Result<Listener> {
        let (socket, is_lent) = match inherited::take(&Address::Unix(path.into()), options.kind) {
            // Unless its file has been removed meanwhile.
            Some((socket, is_lent)) if path.exists() => (Socket::from(socket), is_lent),
            _ => (Listener::new_unix(path, options)?, false),
        };
        let socket = match options.kind {
            Kind::Stream => {
                accept_on(&socket, options)?;
                Listening::Unix(OwnedFd::from(socket).into())
            }
            Kind::Datagram => Listening::Datagram(socket.into_stream()),
        };
        Ok(Listener::new(socket, Some(file_at(path)?), Endpoint::Unix(path.to_owned()), is_lent))
    }

    /// Binds a Unix socket. A file that a socket has left there is removed.
    fn new_unix(path: &Path, options: &Options) -> io::Result<Socket> {
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
        Ok(Socket::from(match options.is_shared {
            true => socket()?,
            // The mask is the whole process's, so it is changed for this call alone.
            false => sys::with_umask(0o177, socket)?,
        }))
    }

    /// The port that clients come in on, 0 for a Unix socket.
    pub(crate) fn port(&self) -> u16 {
        self.at.port().unwrap_or(0)
    }

    /// Accepts the next client; fails with `WouldBlock` if there is none.
    pub(crate) fn accept(&self) -> io::Result<(Socket, Accepted)> {
        let (socket, accepted) = match &self.socket {
            Listening::Tcp(listener) => {
                let (socket, addr) = listener.accept()?;
                (Socket::from(OwnedFd::from(socket)), Accepted::from_inet(addr, self.port()))
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

    /// Changes the keep-alive time of TCP clients that are accepted from now on.
    pub(crate) fn keep_alive(&self, idle: Duration) {
        if let Listening::Tcp(listener) = &self.socket {
            let _ = sys::keep_alive(listener, idle);
        }
    }

    /// Receives the next datagram, and says through which socket and at which port; fails
    /// with `WouldBlock` if there is none.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<(Received, Stream, u16)> {
        match &self.socket {
            Listening::Datagram(socket) => {
                Ok((sys::receive(socket, buffer)?, Arc::clone(socket), self.port()))
            }
            Listening::Tcp(_) | Listening::Unix(_) => Err(ErrorKind::Unsupported.into()),
        }
    }

    /// The socket that datagrams come through, if it is one for them.
    pub(crate) fn datagrams(&self) -> Option<&Stream> {
        match &self.socket {
            Listening::Datagram(socket) => Some(socket),
            Listening::Tcp(_) | Listening::Unix(_) => None,
        }
    }

    /// Whether it receives datagrams with this socket.
    pub(crate) fn receives_with(&self, socket: &Stream) -> bool {
        self.datagrams().is_some_and(|own| Arc::ptr_eq(own, socket))
    }

    /// Its address or path.
    pub(crate) fn word(&self) -> String {
        match &self.at {
            Endpoint::Inet(all) => all.first().map_or(String::new(), SocketAddr::to_string),
            Endpoint::Unix(path) => path.display().to_string(),
        }
    }

    /// Leaves the file of a Unix socket where it is, as another process has the socket.
    pub(crate) fn keep_file(&self) {
        self.keeps_file.store(true, SeqCst);
    }

    /// Whether it is where one is wanted.
    pub(crate) fn is_at(&self, wanted: &Endpoint) -> bool {
        match (&self.at, wanted) {
            (Endpoint::Inet(own), Endpoint::Inet(all)) => all.iter().any(|at| own.contains(at)),
            (Endpoint::Unix(own), Endpoint::Unix(path)) => own == path,
            _ => false,
        }
    }

    /// Removes a Unix socket's file, if it is still this socket's.
    pub(crate) fn remove_file(&self) {
        if let (Endpoint::Unix(path), Some(file), false) =
            (&self.at, self.file, self.keeps_file.load(SeqCst))
        {
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

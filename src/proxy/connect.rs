//! Connects to a server: every address it has, within the time limit, from
//! the address that was asked for.
//!
//! A UDP socket connects at once, and that says nothing about the server: from then
//! on the kernel delivers that server's datagrams and refusals, and no others.

use crate::pool::clients::Client;
use crate::proxy::loops;
use crate::proxy::socket::{Socket, Stream};
use crate::proxy_protocol::{SendProxy, Source as Named};
use crate::settings::Settings;
use crate::sys::addr::{Endpoint, Host};
use crate::sys::{self, Address, Kind};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a datagram to a server's Unix socket waits for room in its queue.
const UNIX_PATIENCE: Duration = Duration::from_millis(100);

/// After this time without data a read ends with `WouldBlock`, and the reader can give
/// the memory of its buffer back.
pub(crate) const QUIET: Duration = Duration::from_secs(1);

/// If its peer makes no room for this time, a write to a stream socket ends with
/// `WouldBlock`, and the writer can see whether the connection has ended meanwhile.
pub(crate) const STALL: Duration = Duration::from_secs(3);

/// Connects to the server at this host and port, on behalf of `client`. Each address may
/// take up to `limit`. The error is that of the last one tried.
pub(crate) fn open(
    host: &Host,
    port: u16,
    settings: &Settings,
    client: Client,
    limit: Duration,
) -> io::Result<Stream> {
    let from = Source::of(settings, Some(client));
    let socket = open_kind(settings.start.kind, host, port, settings, from, limit);
    socket.map(Socket::into_stream)
}

/// Connects for pen itself, as for a check, and never from a client's address. Sends the
/// PROXY header that the server expects and `first` behind it, in one piece.
pub(crate) fn open_own(
    kind: Kind,
    host: &Host,
    port: u16,
    settings: &Settings,
    limit: Duration,
    send: SendProxy,
    first: &[u8],
) -> io::Result<Stream> {
    let from = Source::of(settings, None);
    let socket = open_kind(kind, host, port, settings, from, limit)?;
    let source = match (send, kind, socket.ends()) {
        // Some servers refuse a line that names nobody.
        (SendProxy::V1, Kind::Stream, Some((from, to))) => Named::Inet { from, to },
        _ => Named::Sender,
    };
    let mut data = send.header(source, kind == Kind::Datagram);
    data.extend(first);
    if !data.is_empty() || kind == Kind::Datagram {
        sys::send(&socket, &data)?;
    }
    Ok(socket.into_stream())
}

fn open_kind(
    kind: Kind,
    host: &Host,
    port: u16,
    settings: &Settings,
    from: Source,
    limit: Duration,
) -> io::Result<Socket> {
    let socket = match (host, kind) {
        (Host::Unix(path), Kind::Stream) => unix(path, limit)?,
        (Host::Unix(path), Kind::Datagram) => unix_datagram(path)?,
        (Host::Inet(all), _) => inet(all, port, settings, kind, from, limit)?,
        (Host::Empty, _) => return Err(io::ErrorKind::AddrNotAvailable.into()),
    };
    let _ = socket.set_read_timeout(QUIET);
    if kind == Kind::Stream && (limit > STALL || cfg!(not(target_os = "linux"))) {
        let _ = socket.set_write_timeout(STALL);
    }
    Ok(socket)
}

fn is_own(settings: &Settings, addr: SocketAddr) -> bool {
    match &settings.own {
        Some(Endpoint::Inet(own)) => own.iter().any(|own| loops::is_own(*own, addr)),
        _ => false,
    }
}

/// Tries every address.
fn inet(
    all: &[SocketAddr],
    port: u16,
    settings: &Settings,
    kind: Kind,
    from: Source,
    limit: Duration,
) -> io::Result<Socket> {
    let mut result = Err(io::ErrorKind::AddrNotAvailable.into());
    for addr in all {
        let mut addr = *addr;
        addr.set_port(port);
        result = match kind {
            _ if is_own(settings, addr) => Err(io::Error::other(loops::WHY)),
            Kind::Stream => tcp(addr, from, limit),
            Kind::Datagram => udp(addr, from),
        };
        if result.is_ok() {
            break;
        }
    }
    let socket = result?;
    if settings.nodelay && kind == Kind::Stream {
        socket.set_nodelay(true);
    }
    if settings.keepalive && kind == Kind::Stream {
        let _ = sys::keep_alive(&socket, settings.client_keepalive);
    }
    Ok(socket)
}

/// The local address that a server connection is bound to.
#[derive(Clone, Copy)]
enum Source {
    /// Whatever the system chooses.
    Any,
    /// This one of this host.
    Ours(IpAddr),
    /// The client's.
    Clients(IpAddr),
}

impl Source {
    fn of(settings: &Settings, client: Option<Client>) -> Source {
        match (client, settings.source) {
            (Some(Client::Inet(ip)), _) if settings.transparent => Source::Clients(ip),
            (_, Some(ip)) => Source::Ours(ip),
            (_, None) => Source::Any,
        }
    }

    /// Binds a socket that will be connected to `to`, unless the local address is of
    /// the other family.
    fn bind(self, socket: &Socket, to: SocketAddr) -> io::Result<()> {
        let ip = match self {
            Source::Ours(ip) | Source::Clients(ip) if ip.is_ipv4() == to.is_ipv4() => ip,
            _ => return Ok(()),
        };
        let address = SocketAddr::new(ip, 0);
        if let Source::Clients(_) = self {
            sys::allow_any_source(socket, address)?;
        }
        sys::share_ports(socket);
        sys::bind_to(socket, &Address::Inet(address))
    }
}

/// Whether a failure says something about the server, and not about this host:
/// out of descriptors, ports or memory, or not permitted.
pub(crate) fn blames_server(error: &io::Error) -> bool {
    !sys::is_exhausted(error) && error.kind() != io::ErrorKind::PermissionDenied
}

/// Whether a datagram's failure says that the server is not there: refused, no
/// way there, a Unix socket that is gone or not read from. Anything else (too
/// long a datagram) is about that datagram alone.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            | Kind::NotConnected
            | Kind::NotFound
            | Kind::WouldBlock
            | Kind::TimedOut
    )
}

fn udp(addr: SocketAddr, from: Source) -> io::Result<Socket> {
    let address = Address::Inet(addr);
    let socket = Socket::new(&address, Kind::Datagram)?;
    from.bind(&socket, addr)?;
    match sys::connect_to(&socket, &address) {
        Ok(_) => Ok(socket),
        // No connect of UDP waits: this is how Linux says that no port is free.
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
            Err(io::ErrorKind::AddrNotAvailable.into())
        }
        Err(e) => Err(e),
    }
}

/// A Unix datagram waits until the server has read others; here no longer than
/// [`UNIX_PATIENCE`].
fn unix_datagram(path: &Path) -> io::Result<Socket> {
    let address = Address::Unix(path.into());
    let socket = Socket::new(&address, Kind::Datagram)?;
    socket.set_write_timeout(UNIX_PATIENCE)?;
    sys::bind_unnamed(&socket)?;
    sys::connect_to(&socket, &address)?;
    Ok(socket)
}

fn tcp(addr: SocketAddr, from: Source, limit: Duration) -> io::Result<Socket> {
    let end = Instant::now() + limit;
    let address = Address::Inet(addr);
    let socket = Socket::new(&address, Kind::Stream)?;
    from.bind(&socket, addr)?;
    // On Linux the write timeout bounds a blocking connect, too, which takes half the
    // system calls of a non-blocking one. The timeout stays set: the relay repeats a write
    // that it ends.
    const BLOCKS: bool = cfg!(target_os = "linux");
    match BLOCKS {
        true => socket.set_write_timeout(limit)?,
        false => socket.set_nonblocking(true)?,
    }
    if !sys::connect_to(&socket, &address)? {
        if !sys::wait_writable(&socket, end.saturating_duration_since(Instant::now()))? {
            return Err(late(limit));
        }
        if let Some(error) = sys::take_error(&socket) {
            return Err(error);
        }
    }
    if !BLOCKS {
        socket.set_nonblocking(false)?;
    }
    // If no program listens on the port, the system may give it to this very socket,
    // which then is connected to itself.
    let has_its_port = socket.address().is_ok_and(|own| own.port() == addr.port());
    if has_its_port && socket.is_own_peer() {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(socket)
}

/// The connect of a Unix socket waits for a place in the server's queue alone. When
/// that is interrupted, it begins again.
fn unix(path: &Path, limit: Duration) -> io::Result<Socket> {
    let end = Instant::now() + limit;
    let address = Address::Unix(path.into());
    let socket = Socket::new(&address, Kind::Stream)?;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        socket.set_write_timeout(left.max(Duration::from_millis(1)))?;
        match sys::connect_to(&socket, &address) {
            Ok(true) => return Ok(socket),
            Ok(false) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(late(limit)),
            Err(e) => return Err(e),
        }
    }
}

/// The error of a server that takes longer than `limit`.
pub(crate) fn late(limit: Duration) -> io::Error {
    let text = format!("no answer within {} s", limit.as_secs());
    io::Error::new(io::ErrorKind::TimedOut, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    #[test]
    fn connects_refuses_and_binds() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let second = Duration::from_secs(1);
        let source = [127, 0, 0, 9].into();
        let socket = tcp(addr, Source::Ours(source), second).unwrap();
        assert_eq!(socket.address().unwrap().ip(), source);
        assert_eq!(listener.accept().unwrap().1, socket.address().unwrap());
        drop(listener);
        let refused = tcp(addr, Source::Any, second).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(blames_server(&refused));
    }

    #[test]
    fn a_full_queue_is_late_not_for_ever() {
        let path = std::env::temp_dir().join(format!("pen-connect-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let mut kept = Vec::new();
        // std's queue holds 128 or more; it is full once a connect is late.
        let error = loop {
            match unix(&path, Duration::from_millis(20)) {
                Ok(socket) => kept.push(socket),
                Err(e) => break e,
            }
            assert!(kept.len() < 100_000);
        };
        drop(listener);
        std::fs::remove_file(&path).unwrap();
        assert_ne!(error.kind(), io::ErrorKind::NotFound, "{error}");
        assert!(unix(&path, Duration::from_secs(1)).is_err());
    }
}

//! Connects to a server: every address it has, within the time limit, from
//! the address that was asked for.

use crate::addr::Host;
use crate::server::Lease;
use crate::settings::Settings;
use crate::sys::{self, Place};
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Lowest port that a system gives to clients (Linux; the BSDs begin higher).
const EPHEMERAL: u16 = 32768;

/// A stream socket, TCP or Unix alike, that several threads use. See
/// [`crate::workers::Buffer`] for why it is a `File`.
pub type Stream = Arc<File>;

/// Makes a connected socket what [`crate::relay`] wants.
pub fn stream(socket: impl Into<OwnedFd>) -> Stream {
    Arc::new(File::from(socket.into()))
}

/// Connects to the server that `lease` is for. The error is that of the last
/// address tried.
pub fn open(lease: &Lease, settings: &Settings) -> io::Result<Stream> {
    match &*lease.host {
        Host::Unix(path) => unix(path, settings.timeout).map(stream),
        Host::Inet(all) => {
            let mut result = Err(io::ErrorKind::AddrNotAvailable.into());
            for addr in all {
                let mut addr = *addr;
                addr.set_port(lease.port);
                result = tcp(addr, settings.source, settings.timeout);
                if result.is_ok() {
                    break;
                }
            }
            let socket = result?;
            // A socket that refuses an option still carries data.
            if settings.nodelay {
                let _ = socket.set_nodelay(true);
            }
            if settings.keepalive {
                let _ = sys::keep_alive(&socket);
            }
            Ok(stream(socket))
        }
        Host::Empty => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

/// Whether a failure says something about the server, and not about this host
/// having run out of descriptors, ports or memory.
pub fn blames_server(error: &io::Error) -> bool {
    !sys::is_exhausted(error)
}

fn tcp(addr: SocketAddr, source: Option<IpAddr>, limit: Duration) -> io::Result<TcpStream> {
    let place = Place::Inet(addr);
    let socket = TcpStream::from(sys::stream_socket(place)?);
    if let Some(source) = source.filter(|source| source.is_ipv4() == addr.is_ipv4()) {
        sys::bind_to(&socket, Place::Inet(SocketAddr::new(source, 0)))?;
    }
    socket.set_nonblocking(true)?;
    if !sys::connect_to(&socket, place)? {
        if !sys::wait_writable(&socket, limit)? {
            return Err(late(limit));
        }
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
    }
    // A port that nobody listens on may be given to this very socket, which
    // then is connected to itself.
    if addr.port() >= EPHEMERAL && socket.local_addr().ok() == Some(addr) {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    socket.set_nonblocking(false)?;
    Ok(socket)
}

/// A Unix socket's connect waits only for room in the server's queue; on
/// Linux the send timeout bounds that, the BSDs do not wait at all.
fn unix(path: &Path, limit: Duration) -> io::Result<TcpStream> {
    let place = Place::Unix(path);
    // Only the name says TCP: a stream socket is a stream socket.
    let socket = TcpStream::from(sys::stream_socket(place)?);
    socket.set_write_timeout(Some(limit))?;
    match sys::connect_to(&socket, place) {
        Ok(true) => {}
        Ok(false) => return Err(late(limit)),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(late(limit)),
        Err(e) => return Err(e),
    }
    socket.set_write_timeout(None)?;
    Ok(socket)
}

fn late(limit: Duration) -> io::Error {
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
        let socket = tcp(addr, Some(source), second).unwrap();
        assert_eq!(socket.local_addr().unwrap().ip(), source);
        assert_eq!(listener.accept().unwrap().1, socket.local_addr().unwrap());
        drop(listener);
        let refused = tcp(addr, None, second).unwrap_err();
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

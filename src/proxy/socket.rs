//! One type for all sockets that pen opens.

use crate::sys::{self, Address, Kind};
use std::fs::File;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// A socket of any family and kind. std has options only on types for one family
/// and kind each; the system calls behind them are the same for all, so one of
/// those types is in here.
#[derive(Debug)]
pub struct Socket(TcpStream);

/// A connected socket that several threads use. See
/// [`crate::proxy::workers::Buffer`] for why it is a `File`.
pub(crate) type Stream = Arc<File>;

impl Socket {
    /// Opens a socket that can reach `address`.
    pub(crate) fn new(address: &Address, kind: Kind) -> io::Result<Socket> {
        sys::socket_for(address, kind).map(Socket::from)
    }

    /// Sets whether calls return instead of waiting.
    pub(crate) fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        self.0.set_nonblocking(on)
    }

    /// Sends small pieces at once (TCP). A socket that refuses this still carries
    /// data.
    pub(crate) fn set_nodelay(&self, on: bool) {
        let _ = self.0.set_nodelay(on);
    }

    /// Ends a read with `WouldBlock` when it has brought nothing for this time.
    pub(crate) fn set_read_timeout(&self, limit: Duration) -> io::Result<()> {
        self.0.set_read_timeout(Some(limit))
    }

    /// Ends a write with `WouldBlock` when there was no room for this time; on
    /// Linux a connect, too.
    pub(crate) fn set_write_timeout(&self, limit: Duration) -> io::Result<()> {
        self.0.set_write_timeout(Some(limit))
    }

    /// The address that it is bound to.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Its own address and that of its peer, if it is connected and not a Unix socket.
    pub(crate) fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        Some((self.address().ok()?, self.0.peer_addr().ok()?))
    }

    /// Whether it is connected to itself.
    pub(crate) fn is_own_peer(&self) -> bool {
        self.ends().is_some_and(|(own, peer)| own == peer)
    }

    /// Waits for data and copies it, which stays to be read.
    pub(crate) fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.peek(buffer)
    }

    /// Reads as much as fits into the buffer.
    pub(crate) fn take(&self, buffer: &mut [u8]) -> io::Result<()> {
        (&self.0).read_exact(buffer)
    }

    /// Makes it a socket that several threads can use.
    pub(crate) fn into_stream(self) -> Stream {
        Arc::new(File::from(OwnedFd::from(self)))
    }
}

impl From<OwnedFd> for Socket {
    fn from(socket: OwnedFd) -> Socket {
        Socket(socket.into())
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> OwnedFd {
        socket.0.into()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

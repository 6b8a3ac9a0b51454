//! Options and ends of sockets, what went wrong with them, and messages.

use super::datagram::{Control, Here, Received};
use super::number::{
    ANY_SOURCE, BIND_WITHOUT_PORT, EMFILE, ENFILE, ENOBUFS, IP_DESTINATION, IPPROTO_IP,
    IPPROTO_IPV6, IPPROTO_TCP, IPV6_RECVPKTINFO, KEEP_ALIVE, LINGER2, MSG_CMSG_CLOEXEC,
    MSG_DONTWAIT, SHUT_RD, SHUT_RDWR, SHUT_WR, SO_ERROR, SO_KEEPALIVE, SO_LINGER, SO_RCVBUF,
    SO_REUSEADDR, SO_REUSEPORT, SOL_SOCKET,
};
use super::sockaddr::Address;
use super::{
    Kind, adopt, bind_to, check, get_number, listen, receive_message, send_message, set_number,
    set_numbers, shutdown, socket_for,
};
use std::ffi::c_int;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

/// Most seconds that [`keep_alive`] takes (Linux: MAX_TCP_KEEPIDLE).
pub(crate) const LONGEST_KEEP_ALIVE: u64 = 32767;

/// SO_KEEPALIVE: the system asks a TCP peer that has been silent for `idle`
/// whether it is there, and ends the connection with an error if four questions,
/// each an eighth of `idle` after the other, have no answer. With zero, and where
/// the times cannot be set (OpenBSD), they are the system's. Connections have
/// what their listener has (seen on Linux; FreeBSD's and NetBSD's do the same by
/// their sources).
pub(crate) fn keep_alive(socket: impl AsFd, idle: Duration) -> io::Result<()> {
    set_number(&socket, SOL_SOCKET, SO_KEEPALIVE, 1)?;
    let Some(names) = KEEP_ALIVE else {
        return Ok(());
    };
    let values = match c_int::try_from(idle.as_secs()).unwrap_or(c_int::MAX) {
        0 => {
            let fresh = socket_for(&Address::Inet(([0; 4], 0).into()), Kind::Stream)?;
            let [idle, interval, count] = names.map(|name| get_number(&fresh, IPPROTO_TCP, name));
            [idle?, interval?, count?]
        }
        idle => [idle, idle / 8 + c_int::from(idle % 8 > 0), 4],
    };
    for (name, value) in names.into_iter().zip(values) {
        set_number(&socket, IPPROTO_TCP, name, value)?;
    }
    Ok(())
}

/// Makes the close of a TCP socket a reset, which throws away what was not sent
/// yet (SO_LINGER on, 0 seconds). Unix sockets have no such thing.
pub(crate) fn reset_on_close(socket: impl AsFd) {
    let _ = set_numbers(socket, SOL_SOCKET, SO_LINGER, [1, 0]);
}

/// Takes the error that the next use of `socket` would have returned (SO_ERROR).
pub(crate) fn take_error(socket: impl AsFd) -> Option<io::Error> {
    match get_number(socket, SOL_SOCKET, SO_ERROR) {
        Ok(0) => None,
        Ok(code) => Some(io::Error::from_raw_os_error(code)),
        Err(e) => Some(e),
    }
}

/// Lets `socket` be bound to `address` although it is not this host's. Needs root,
/// or CAP_NET_ADMIN on Linux. NetBSD has no such thing.
pub(crate) fn allow_any_source(socket: impl AsFd, address: SocketAddr) -> io::Result<()> {
    let (v4, v6) = ANY_SOURCE.ok_or(io::ErrorKind::Unsupported)?;
    let (level, name) = if address.is_ipv4() { v4 } else { v6 };
    set_number(socket, level, name, 1)
}

/// Makes a bind of `socket` to port 0 choose only the address. Its connect chooses
/// the port then, and can choose one that connections to other peers have, too.
/// Otherwise each port serves one connection. Linux alone has this (since 4.2).
pub(crate) fn share_ports(socket: impl AsFd) {
    if let Some((level, name)) = BIND_WITHOUT_PORT {
        let _ = set_number(socket, level, name, 1);
    }
}

/// Makes the close of a connected socket end in a reset, as soon as the peer has
/// what was sent and knows of the end (TCP_LINGER2 below 0). Only Linux has this and
/// needs it: there a socket without room that is closed goes on telling its peer so
/// for a minute. A Unix socket refuses this and does not need it.
pub(crate) fn reset_in_the_end(socket: impl AsFd) {
    if let Some((level, name)) = LINGER2 {
        let _ = set_number(socket, level, name, -1);
    }
}

/// Asks for room for `bytes` bytes that were received and not read yet
/// (SO_RCVBUF). The system may grant less.
pub fn receive_room(socket: impl AsFd, bytes: u32) -> io::Result<()> {
    let bytes = c_int::try_from(bytes).unwrap_or(c_int::MAX);
    set_number(socket, SOL_SOCKET, SO_RCVBUF, bytes)
}

/// Makes [`super::receive`] tell which address a datagram came to; `bound` is the
/// one that `socket` is bound to.
pub(crate) fn tell_destination(socket: impl AsFd, bound: SocketAddr) -> io::Result<()> {
    let (level, name) = match bound {
        SocketAddr::V4(_) => (IPPROTO_IP, IP_DESTINATION),
        SocketAddr::V6(_) => (IPPROTO_IPV6, IPV6_RECVPKTINFO),
    };
    set_number(socket, level, name, 1)
}

/// Binds a Unix socket to a name that the system chooses, so that its peer can
/// answer. Only Linux can; elsewhere the socket stays without a name.
pub(crate) fn bind_unnamed(socket: impl AsFd) -> io::Result<()> {
    match cfg!(target_os = "linux") {
        true => bind_to(socket, &Address::Unix(PathBuf::new())),
        false => Ok(()),
    }
}

/// Ends one or both directions of a connected socket. An error (the peer has
/// gone already) means that there is nothing left to end.
pub(crate) fn shut(socket: impl AsFd, how: std::net::Shutdown) {
    let how = match how {
        std::net::Shutdown::Read => SHUT_RD,
        std::net::Shutdown::Write => SHUT_WR,
        std::net::Shutdown::Both => SHUT_RDWR,
    };
    shutdown(socket.as_fd().as_raw_fd(), how);
}

/// Whether `error` says that this host has run out of something (descriptors,
/// memory, ports), which is no fault of the peer's.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrInUse, AddrNotAvailable};
    // Without a free port bind says the first, connect the second.
    is_starved(error) || matches!(error.kind(), AddrInUse | AddrNotAvailable)
}

/// Whether it is descriptors or memory, which others of this host may give back
/// soon.
pub(crate) fn is_starved(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS))
        || error.kind() == io::ErrorKind::OutOfMemory
}

/// Opens a bound socket. If it `is_shared`, other sockets of the same user may have
/// the same port (SO_REUSEPORT), which the C pen always allows. A stream socket is
/// bound even if the system still remembers connections of an earlier one
/// (SO_REUSEADDR). A datagram socket has no use for that, and any user could have
/// its port, too.
pub(crate) fn bound_socket(address: &Address, kind: Kind, is_shared: bool) -> io::Result<OwnedFd> {
    let socket = socket_for(address, kind)?;
    if let Address::Inet(_) = address {
        if kind == Kind::Stream {
            set_number(&socket, SOL_SOCKET, SO_REUSEADDR, 1)?;
        }
        if is_shared {
            set_number(&socket, SOL_SOCKET, SO_REUSEPORT, 1)?;
        }
    }
    bind_to(&socket, address)?;
    Ok(socket)
}

/// Lets a bound stream socket accept. At most `backlog` clients wait for that.
pub(crate) fn accept_on(socket: impl AsFd, backlog: u32) -> io::Result<()> {
    let backlog = c_int::try_from(backlog).unwrap_or(c_int::MAX);
    check(listen(socket.as_fd().as_raw_fd(), backlog)).map(drop)
}

/// Takes the next datagram without waiting for it. The result has the address that
/// it came to, if the socket tells that ([`tell_destination`]).
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Received> {
    let (len, name, control) = receive_message(socket, buffer, MSG_DONTWAIT)?;
    Ok(Received { len, from: name.read()?, to: control.destination(control.len) })
}

/// Waits for bytes of a stream, and takes the descriptor that came with them.
pub(super) fn receive_given(
    socket: impl AsFd,
    buffer: &mut [u8],
) -> io::Result<(usize, Option<OwnedFd>)> {
    let (len, _, control) = receive_message(socket, buffer, MSG_CMSG_CLOEXEC)?;
    Ok((len, control.given(control.len).map(adopt).transpose()?))
}

/// Sends to the peer of a connected socket: a datagram, or as much of a stream
/// as fits.
pub(crate) fn send(socket: impl AsFd, data: &[u8]) -> io::Result<usize> {
    send_message(socket, data, None, None, 0)
}

/// Sends bytes of a stream together with a descriptor, of which the receiver gets a
/// copy.
pub(super) fn send_given(socket: impl AsFd, data: &[u8], given: BorrowedFd) -> io::Result<usize> {
    send_message(socket, data, None, Some(Control::descriptor(given.as_raw_fd())), 0)
}

/// Sends one datagram to `to`, from the address `from` if this host has several.
pub(crate) fn send_to(
    socket: impl AsFd,
    data: &[u8],
    to: &Address,
    from: Option<Here>,
) -> io::Result<()> {
    // A peer that does not read from its Unix socket must not make pen wait.
    let flags = match to {
        Address::Unix(_) => MSG_DONTWAIT,
        Address::Inet(_) => 0,
    };
    send_message(socket, data, Some(&to.raw()?), from.map(Control::source), flags).map(drop)
}

//! Socket addresses in the C library's layout. No unsafe code: the structures
//! are bytes, built here and only read there.

use super::number::{AF_INET, AF_INET6, AF_UNIX, ANY_SOURCE};
use std::ffi::{OsStr, c_int, c_uint};
use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A socket address as the C library wants it: bytes and how many count.
/// 112 hold the longest, a Unix path's.
#[repr(C, align(8))]
pub(super) struct RawAddr {
    pub(super) bytes: [u8; 112],
    pub(super) len: c_uint,
}

/// Where the family is, in how many bytes, and the rest of an address behind
/// it. Linux begins with a 16-bit family, the BSDs with a length byte and an
/// 8-bit family; the rest is the same.
const REST: usize = 2;

impl RawAddr {
    /// A Unix socket's address without a name, and room for any other.
    pub(super) fn unnamed() -> RawAddr {
        RawAddr::new(AF_UNIX, &[])
    }

    fn new(family: c_int, rest: &[u8]) -> RawAddr {
        let mut bytes = [0u8; 112];
        let len = REST + rest.len();
        if cfg!(target_os = "linux") {
            put(&mut bytes, 0, &(family as u16).to_ne_bytes());
        } else {
            put(&mut bytes, 0, &[len as u8, family as u8]);
        }
        put(&mut bytes, REST, rest);
        let len = len as c_uint;
        RawAddr { bytes, len }
    }

    /// Whose address this is, as the kernel wrote it.
    pub(super) fn peer(&self) -> io::Result<Peer> {
        let bad = || io::Error::from(io::ErrorKind::InvalidData);
        let len = self.bytes.len().min(self.len as usize);
        // Nobody: a Unix socket without a name.
        let rest = self.bytes.get(REST..len).unwrap_or_default();
        let family = match self.bytes {
            _ if rest.is_empty() => AF_UNIX,
            [a, b, ..] if cfg!(target_os = "linux") => c_int::from(u16::from_ne_bytes([a, b])),
            [_, family, ..] => c_int::from(family),
        };
        let port = || rest.first_chunk().map(|port| u16::from_be_bytes(*port));
        match family {
            AF_INET => {
                let ip: [u8; 4] = chunk(rest, 2).ok_or_else(bad)?;
                let port = port().ok_or_else(bad)?;
                Ok(Peer::Inet(SocketAddr::new(ip.into(), port)))
            }
            AF_INET6 => {
                let ip: [u8; 16] = chunk(rest, 6).ok_or_else(bad)?;
                let scope = u32::from_ne_bytes(chunk(rest, 22).ok_or_else(bad)?);
                let port = port().ok_or_else(bad)?;
                Ok(Peer::Inet(SocketAddrV6::new(ip.into(), port, 0, scope).into()))
            }
            _ => {
                // A path ends with a 0, a name that begins with one does not.
                let end = match rest.first() {
                    Some(0) | None => rest.len(),
                    _ => rest.iter().position(|b| *b == 0).unwrap_or(rest.len()),
                };
                Ok(Peer::Unix(rest.get(..end).unwrap_or_default().into()))
            }
        }
    }
}

/// `N` bytes of `all` from `at` on.
pub(super) fn chunk<const N: usize>(all: &[u8], at: usize) -> Option<[u8; N]> {
    all.get(at..)?.first_chunk().copied()
}

/// The sender of a datagram: where an answer goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// An address and port, IPv4-mapped ones as they are.
    Inet(SocketAddr),
    /// A Unix socket's name: a path, or an abstract name (Linux) which begins
    /// with a 0, or nothing: nobody can answer that one.
    Unix(Box<[u8]>),
}

impl Peer {
    pub(super) fn raw(&self) -> io::Result<RawAddr> {
        match self {
            Peer::Inet(addr) => Address::Inet(*addr).raw(),
            Peer::Unix(name) => match name.first() {
                None => Err(io::ErrorKind::AddrNotAvailable.into()),
                Some(0) => Ok(RawAddr::new(AF_UNIX, name)),
                Some(_) => Address::Unix(Path::new(OsStr::from_bytes(name))).raw(),
            },
        }
    }
}

/// Where a socket can be bound or connected.
#[derive(Clone, Copy, Debug)]
pub enum Address<'a> {
    /// An IPv4 or IPv6 address and port.
    Inet(SocketAddr),
    /// A Unix socket's path.
    Unix(&'a Path),
}

impl Address<'_> {
    pub(super) fn family(&self) -> c_int {
        match self {
            Address::Inet(SocketAddr::V4(_)) => AF_INET,
            Address::Inet(SocketAddr::V6(_)) => AF_INET6,
            Address::Unix(_) => AF_UNIX,
        }
    }

    /// The C structure, built byte by byte: `sockaddr_in`, `sockaddr_in6` or
    /// `sockaddr_un`.
    pub(super) fn raw(&self) -> io::Result<RawAddr> {
        let mut rest = [0u8; 104];
        let len = match self {
            Address::Inet(SocketAddr::V4(a)) => {
                put(&mut rest, 0, &a.port().to_be_bytes());
                put(&mut rest, 2, &a.ip().octets());
                14
            }
            Address::Inet(SocketAddr::V6(a)) => {
                put(&mut rest, 0, &a.port().to_be_bytes());
                put(&mut rest, 2, &a.flowinfo().to_be_bytes());
                put(&mut rest, 6, &a.ip().octets());
                put(&mut rest, 22, &a.scope_id().to_ne_bytes());
                26
            }
            Address::Unix(path) => {
                let path = path.as_os_str().as_encoded_bytes();
                // 104 bytes with the final 0 is the least of the systems.
                if path.len() > 103 || path.contains(&0) {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidInput,
                        "path too long for a Unix socket (103 bytes at most)",
                    ));
                }
                put(&mut rest, 0, path);
                path.len() + 1
            }
        };
        let rest = rest.get(..len).unwrap_or_default();
        Ok(RawAddr::new(self.family(), rest))
    }
}

/// Copies `part` into `whole` at `at`, as far as it fits.
pub(super) fn put(whole: &mut [u8], at: usize, part: &[u8]) {
    for (to, from) in whole.iter_mut().skip(at).zip(part) {
        *to = *from;
    }
}

/// What lets a socket be bound to an address that is not this host's: the
/// option's level and name. NetBSD has none.
pub(super) fn any_source_option(address: Address) -> Option<(c_int, c_int)> {
    let inet6 = matches!(address, Address::Inet(SocketAddr::V6(_)));
    match (address, ANY_SOURCE) {
        (Address::Unix(_), _) | (_, None) => None,
        (_, Some(options)) => Some(if inet6 { options.1 } else { options.0 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_as_they_went() {
        for addr in ["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%3]:1", "[::ffff:1.2.3.4]:9"] {
            let peer = Peer::Inet(addr.parse().unwrap());
            assert_eq!(peer.raw().unwrap().peer().unwrap(), peer);
        }
        for name in [&b"/run/x"[..], b"\0abc\0d"] {
            let peer = Peer::Unix(name.into());
            assert_eq!(peer.raw().unwrap().peer().unwrap(), peer);
        }
        let nobody = Peer::Unix([].into());
        assert!(nobody.raw().is_err());
        assert_eq!(RawAddr::unnamed().peer().unwrap(), nobody);
    }
}

//! Socket addresses in the C library's layout: the structures
//! are bytes, built here and only read there.

use super::number::{AF_INET, AF_INET6, AF_UNIX};
use std::ffi::{OsStr, c_int, c_uint};
use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The address of a socket: where one can be bound or connected, or the sender of
/// a datagram.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IPv4 or IPv6 address and port, IPv4-mapped ones as they are.
    Inet(SocketAddr),
    /// A Unix socket's path. A sender may also have an abstract name (Linux), which
    /// begins with a 0, or none, which is an empty path: it cannot be answered.
    Unix(PathBuf),
}

/// The most bytes of a path, so that it and the final 0 fit on each of the systems.
const LONGEST_PATH: usize = 103;

impl Address {
    pub(super) fn family(&self) -> c_int {
        match self {
            Address::Inet(SocketAddr::V4(_)) => AF_INET,
            Address::Inet(SocketAddr::V6(_)) => AF_INET6,
            Address::Unix(_) => AF_UNIX,
        }
    }

    /// The C structure: `sockaddr_in`, `sockaddr_in6` or `sockaddr_un`.
    pub(super) fn raw(&self) -> io::Result<RawAddr> {
        let mut raw = RawAddr::new(self.family());
        match self {
            Address::Inet(SocketAddr::V4(address)) => {
                raw.push(&address.port().to_be_bytes());
                raw.push(&address.ip().octets());
                raw.push(&[0; 8]);
            }
            Address::Inet(SocketAddr::V6(address)) => {
                raw.push(&address.port().to_be_bytes());
                raw.push(&address.flowinfo().to_be_bytes());
                raw.push(&address.ip().octets());
                raw.push(&address.scope_id().to_ne_bytes());
            }
            Address::Unix(path) => match path.as_os_str().as_bytes() {
                [] => {}
                name @ [0, ..] => raw.push(name),
                path if path.len() > LONGEST_PATH || path.contains(&0) => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidInput,
                        "path too long for a Unix socket (103 bytes at most)",
                    ));
                }
                path => {
                    raw.push(path);
                    raw.push(&[0]);
                }
            },
        }
        Ok(raw)
    }
}

/// A socket address as the C library wants it: bytes and how many count, which are
/// never more than there are. 112 hold the longest, a Unix path's.
///
/// Linux begins with a 16-bit family, the BSDs with a length byte and an 8-bit
/// family; the rest is the same.
#[repr(C, align(8))]
pub(super) struct RawAddr {
    pub(super) bytes: [u8; 112],
    pub(super) len: c_uint,
}

impl RawAddr {
    /// A Unix socket's address without a name, and room for any other.
    pub(super) fn unnamed() -> RawAddr {
        RawAddr::new(AF_UNIX)
    }

    fn new(family: c_int) -> RawAddr {
        let mut raw = RawAddr { bytes: [0; 112], len: 0 };
        match cfg!(target_os = "linux") {
            true => raw.push(&(family as u16).to_ne_bytes()),
            false => raw.push(&[0, family as u8]),
        }
        raw
    }

    /// Adds bytes, if there is room for them.
    fn push(&mut self, part: &[u8]) {
        let (start, end) = (self.len as usize, self.len as usize + part.len());
        if let Some(room) = self.bytes.get_mut(start..end) {
            room.copy_from_slice(part);
            self.len = end as c_uint;
            if cfg!(not(target_os = "linux")) {
                put(&mut self.bytes, 0, &[end as u8]);
            }
        }
    }

    /// Reads the address that the kernel has written here.
    pub(super) fn read(&self) -> io::Result<Address> {
        self.parse().ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn parse(&self) -> Option<Address> {
        let len = self.bytes.len().min(self.len as usize);
        let rest = self.bytes.get(2..len).unwrap_or_default();
        let family = match chunk(&self.bytes, 0)? {
            _ if rest.is_empty() => AF_UNIX, // without a name
            start if cfg!(target_os = "linux") => u16::from_ne_bytes(start).into(),
            [_, family] => family.into(),
        };
        let port = || chunk(rest, 0).map(u16::from_be_bytes);
        Some(match family {
            AF_INET => Address::Inet((chunk::<4>(rest, 2)?, port()?).into()),
            AF_INET6 => {
                let (ip, scope) = (chunk::<16>(rest, 6)?, u32::from_ne_bytes(chunk(rest, 22)?));
                Address::Inet(SocketAddrV6::new(ip.into(), port()?, 0, scope).into())
            }
            _ => {
                // A path ends with a 0; a name that begins with a 0 does not.
                let is_path = rest.first() != Some(&0);
                let end = rest.iter().position(|byte| is_path && *byte == 0);
                let name = rest.get(..end.unwrap_or(rest.len()))?;
                Address::Unix(OsStr::from_bytes(name).into())
            }
        })
    }
}

/// `N` bytes of `all` from `at` on.
pub(super) fn chunk<const N: usize>(all: &[u8], at: usize) -> Option<[u8; N]> {
    all.get(at..)?.first_chunk().copied()
}

/// Copies `part` into `whole` at `at`, as far as it fits.
pub(super) fn put(whole: &mut [u8], at: usize, part: &[u8]) {
    for (to, from) in whole.iter_mut().skip(at).zip(part) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_as_they_went() {
        for addr in ["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%3]:1", "[::ffff:1.2.3.4]:9"] {
            let address = Address::Inet(addr.parse().unwrap());
            assert_eq!(address.raw().unwrap().read().unwrap(), address);
        }
        for name in ["/run/x", "\0abc\0d", ""] {
            let address = Address::Unix(name.into());
            assert_eq!(address.raw().unwrap().read().unwrap(), address);
        }
        for bad in ["/a\0b", &"x".repeat(LONGEST_PATH + 1)] {
            assert!(Address::Unix(bad.into()).raw().is_err(), "{bad:?}");
        }
    }
}

//! Socket addresses in the C library's layout. No unsafe code: the structures
//! are bytes, built here and only read there.

use super::number::{AF_INET, AF_INET6, AF_UNIX};
use std::ffi::c_int;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// A socket address as the C library wants it: bytes and how many count.
/// 112 hold the longest, a Unix path's.
#[repr(C, align(8))]
pub(super) struct RawAddr {
    pub(super) bytes: [u8; 112],
    pub(super) len: u8,
}

/// Where a socket can be bound or connected.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// An IPv4 or IPv6 address and port.
    Inet(SocketAddr),
    /// A Unix socket's path.
    Unix(&'a Path),
}

impl Place<'_> {
    pub(super) fn family(&self) -> c_int {
        match self {
            Place::Inet(SocketAddr::V4(_)) => AF_INET,
            Place::Inet(SocketAddr::V6(_)) => AF_INET6,
            Place::Unix(_) => AF_UNIX,
        }
    }

    /// The C structure, built byte by byte: `sockaddr_in`, `sockaddr_in6` or
    /// `sockaddr_un`. Linux begins with a 16-bit family, the BSDs with a
    /// length byte and an 8-bit family; the rest is the same.
    pub(super) fn raw(&self) -> io::Result<RawAddr> {
        let mut body = [0u8; 110];
        let len = match self {
            Place::Inet(SocketAddr::V4(a)) => {
                put(&mut body, 0, &a.port().to_be_bytes());
                put(&mut body, 2, &a.ip().octets());
                14
            }
            Place::Inet(SocketAddr::V6(a)) => {
                put(&mut body, 0, &a.port().to_be_bytes());
                put(&mut body, 2, &a.flowinfo().to_be_bytes());
                put(&mut body, 6, &a.ip().octets());
                put(&mut body, 22, &a.scope_id().to_ne_bytes());
                26
            }
            Place::Unix(path) => {
                let path = path.as_os_str().as_encoded_bytes();
                // 104 bytes with the final 0 is the least of the systems.
                if path.len() > 103 || path.contains(&0) {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidInput,
                        "path too long for a Unix socket (103 bytes at most)",
                    ));
                }
                put(&mut body, 0, path);
                path.len() as u8 + 1
            }
        };
        let len = len + 2;
        let mut bytes = [0u8; 112];
        if cfg!(target_os = "linux") {
            put(&mut bytes, 0, &(self.family() as u16).to_ne_bytes());
        } else {
            put(&mut bytes, 0, &[len, self.family() as u8]);
        }
        put(&mut bytes, 2, &body);
        Ok(RawAddr { bytes, len })
    }
}

/// Copies `part` into `whole` at `at`, as far as it fits.
fn put(whole: &mut [u8], at: usize, part: &[u8]) {
    for (to, from) in whole.iter_mut().skip(at).zip(part) {
        *to = *from;
    }
}

//! Where something listens.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// An address or a Unix socket's path. Printed as pen wants it on its command
/// line, for listening and for servers alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Inet(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            At::Inet(addr) => addr.fmt(f),
            At::Unix(path) => path.display().fmt(f),
        }
    }
}

impl At {
    /// A connection to it. For a Unix socket it is a `TcpStream` only by name:
    /// all that is done with it works on either.
    pub(crate) fn connect(&self) -> io::Result<TcpStream> {
        match self {
            At::Inet(addr) => TcpStream::connect(addr),
            At::Unix(path) => UnixStream::connect(path).map(|s| TcpStream::from(OwnedFd::from(s))),
        }
    }

    /// The address of one that is not a path.
    pub(crate) fn inet(&self) -> SocketAddr {
        match self {
            At::Inet(addr) => *addr,
            At::Unix(path) => panic!("{}: not an address", path.display()),
        }
    }

    /// The same as a configuration says it of a server.
    pub(crate) fn words(&self) -> String {
        let addr = self.inet();
        format!("address {} port {}", addr.ip(), addr.port())
    }

    /// Whether somebody listens here or on all addresses, for connections or
    /// for datagrams, without disturbing them. Linux only.
    pub(crate) fn is_listening(&self) -> bool {
        self.is_listening_for("self")
    }

    /// The same, in the network that this process has.
    pub(super) fn is_listening_for(&self, process: &str) -> bool {
        let addr = match self {
            At::Unix(path) => return path.exists(),
            At::Inet(addr) => addr,
        };
        let (version, octets) = match addr.ip() {
            IpAddr::V4(ip) => ("", ip.octets().to_vec()),
            IpAddr::V6(ip) => ("6", ip.octets().to_vec()),
        };
        // As the kernel prints it: four bytes each as the number that they are
        // in memory. 0A is LISTEN; 07 is any datagram socket that is not
        // connected.
        let words = octets.chunks_exact(4);
        let words = words.map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
        let ip: String = words.map(|word| format!("{word:08X}")).collect();
        let local = |ip: &str| format!(" {ip}:{:04X} ", addr.port());
        let (here, everywhere) = (local(&ip), local(&"0".repeat(ip.len())));
        [("tcp", ":0000 0A "), ("udp", ":0000 07 ")].iter().any(|(kind, state)| {
            let table = format!("/proc/{process}/net/{kind}{version}");
            let table = std::fs::read_to_string(table).unwrap();
            let is_local = |line: &&str| line.contains(&here) || line.contains(&everywhere);
            let mut lines = table.lines().filter(is_local);
            lines.any(|line| line.contains(state))
        })
    }
}

//! Loopback addresses of a test's own.

use super::{At, Dir, PATIENCE};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

/// The port that marks an address as taken.
const CLAIM: u16 = 20_000;

/// An address of 127.0.0.0/8, all of which is local on Linux, that nobody else
/// uses while this lives: not another test, not another run of the tests. That
/// matters because pen's listeners have SO_REUSEPORT: two pens on one port
/// would share it in silence. It has a directory, too.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) ip: Ipv4Addr,
    pub(crate) dir: Arc<Dir>,
    next: Arc<AtomicU16>,
    // std's listeners do not share their port: this is the lock.
    _claim: Arc<TcpListener>,
}

impl Host {
    pub(crate) fn new() -> Host {
        static COUNTER: AtomicU16 = AtomicU16::new(0);
        let pid = std::process::id();
        loop {
            let count = COUNTER.fetch_add(1, Relaxed);
            assert!(count < 10_000, "no loopback address can be had");
            let [_, _, high, low] = (pid + u32::from(count / 250)).to_be_bytes();
            // Never 127.0.x.y, which others may use.
            let ip = Ipv4Addr::new(127, high % 200 + 50, low, (count % 250 + 1) as u8);
            if let Ok(claim) = TcpListener::bind((ip, CLAIM)) {
                let next = Arc::new(AtomicU16::new(CLAIM + 1));
                return Host { ip, dir: Arc::new(Dir::new()), next, _claim: Arc::new(claim) };
            }
        }
    }

    /// An address and port for a listener. Below the ports that the kernel
    /// hands out to clients.
    pub(crate) fn at(&self) -> At {
        At::Inet(self.addr())
    }

    /// The path of a file in its directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.file(name)
    }

    /// A Unix socket in its directory.
    pub(crate) fn unix(&self, name: &str) -> At {
        At::Unix(self.file(name))
    }

    /// A socket for datagrams.
    pub(crate) fn socket(&self) -> UdpSocket {
        let socket = UdpSocket::bind(self.addr()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        (self.ip, self.next.fetch_add(1, Relaxed)).into()
    }
}

/// A port that is free on every address, for listeners that are not given one,
/// and that no other test takes while this lives.
pub(crate) struct Port {
    pub(crate) number: u16,
    _claim: TcpListener,
}

impl Port {
    pub(crate) fn new() -> Port {
        let start = std::process::id() as u16;
        let numbers = (0..4000).map(|count| 15_000 + start.wrapping_add(count) % 4000);
        let port = { numbers }.find_map(Port::claim);
        port.expect("a port can be had")
    }

    /// This one, if nobody has it.
    pub(crate) fn claim(number: u16) -> Option<Port> {
        let [high, low] = number.to_be_bytes();
        let claim = TcpListener::bind((Ipv4Addr::new(127, 49, high, low), CLAIM));
        let _claim = claim.ok()?;
        let everywhere = (Ipv4Addr::UNSPECIFIED, number);
        TcpListener::bind(everywhere).ok()?;
        UdpSocket::bind(everywhere).ok()?;
        Some(Port { number, _claim })
    }

    /// Where it can be reached.
    pub(crate) fn at(&self) -> At {
        At::Inet((Ipv4Addr::LOCALHOST, self.number).into())
    }
}

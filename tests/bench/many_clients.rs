//! Clients from many addresses, which load balancers that know their clients
//! must tell apart.

use crate::measure;
use crate::peers::{Behind, Peer, Site, Who};
use crate::rows::Row;
use crate::work::Found;
use pen::sys::{self, Address};
use std::io::{self, Read};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Addresses that connect before the table is measured ...
pub(crate) const CLIENTS: u32 = 200_000;

/// ... as far as they get in this time, which is meant for those that slow
/// down.
const FILLING: Duration = Duration::from_secs(45);

/// The C pen goes through its table for each new client: it gets less time.
const FILLING_C_PEN: Duration = Duration::from_secs(10);

/// Addresses that connect for the first time in each round, as far as they
/// get in this time.
const STRANGERS: (u32, Duration) = (10_000, Duration::from_millis(800));

/// The client that comes after all of them.
pub(crate) const LATE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// How many short connections it makes at the same time.
const AT_ONCE: u32 = 50;

/// Options of both pens for the table: the default way of choosing, which
/// remembers clients.
pub(crate) const LARGE_TABLE: &[&str] = &["-c", "1000000", "-x", "500"];

/// Clients that overlap, but so few that nobody waits long.
const THREADS: usize = 8;

/// How many clients got through, and the time it took.
pub(crate) struct Served {
    pub(crate) seen: u32,
    pub(crate) seconds: f64,
}

impl Served {
    pub(crate) fn rate(&self) -> f64 {
        f64::from(self.seen) / self.seconds
    }
}

/// One short connection each from `count` addresses, as many as get through in
/// the time. `number` says which address comes next, `errand` what it does.
pub(crate) fn connect(
    to: SocketAddr,
    count: u32,
    limit: Duration,
    number: impl Fn(u32) -> u32 + Sync,
    errand: fn(TcpStream) -> io::Result<()>,
) -> Result<Served, String> {
    let (next, seen) = (AtomicU32::new(0), AtomicU32::new(0));
    let begin = Instant::now();
    let client = || -> Result<(), String> {
        while begin.elapsed() < limit {
            let i = next.fetch_add(1, Relaxed);
            if i >= count {
                break;
            }
            // All of 127/8 is this host on Linux.
            let from = Ipv4Addr::from_bits(Ipv4Addr::new(127, 128, 0, 0).to_bits() + number(i));
            open(from, to).and_then(errand).map_err(|e| format!("the client {from}: {e}"))?;
            seen.fetch_add(1, Relaxed);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..THREADS).map(|_| scope.spawn(client)).collect();
        let mut ends = all.into_iter().map(|client| client.join());
        ends.try_for_each(|end| end.map_err(|_| "a client panicked".to_owned())?)
    })?;
    let (seen, seconds) = (seen.into_inner(), begin.elapsed().as_secs_f64());
    Ok(Served { seen, seconds })
}

/// A connection from an address that std cannot choose.
fn open(from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let address = Address::Inet(to);
    let socket = sys::socket_for(&address, sys::Kind::Stream)?;
    sys::bind_to(&socket, &Address::Inet(SocketAddr::from((from, 0))))?;
    sys::connect_to(&socket, &address)?;
    Ok(TcpStream::from(socket))
}

/// What is enough to be known: goes through to a server, and away again.
fn show_up(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(measure::PATIENCE))?;
    stream.shutdown(Shutdown::Write)?;
    match stream.read(&mut [0])? {
        0 => Ok(()),
        _ => Err(io::Error::other("an answer to nothing")),
    }
}

/// A pen with a large table that so many clients have been to, if it could
/// serve them in time.
pub(crate) fn filled(site: &Site, who: Who, clients: u32) -> Result<(Peer, Served), String> {
    let peer = site.start(who, Behind::Web, LARGE_TABLE)?;
    let limit = match who {
        Who::CPen => FILLING_C_PEN,
        _ => FILLING.max(Duration::from_micros(400) * clients),
    };
    eprintln!("{}: {clients} clients connect", who.name());
    let served = connect(peer.address, clients, limit, |i| i, show_up)?;
    Ok((peer, served))
}

/// Short connections, each from an address that was not seen before.
pub(crate) fn strangers(peer: &Peer, round: u32) -> Found {
    let (count, limit) = STRANGERS;
    let first = CLIENTS + round * count;
    let served = connect(peer.address, count, limit, |i| first + i, measure::ask_once)?;
    Ok(vec![(Row::Strangers, served.rate())])
}

/// Short connections by a client that comes after all of them: in a table that
/// is searched from its start, the first ones are found soon.
pub(crate) fn late(site: &Site, peer: &Peer, row: Row) -> Found {
    let ab = site.ab(peer.address, AT_ONCE, Some(LATE))?;
    Ok(vec![(row, ab.per_second)])
}

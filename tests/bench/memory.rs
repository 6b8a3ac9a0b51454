//! Idle connections and what they cost.

use crate::measure;
use crate::peers::{Behind, IN_TURN, Peer, Site, Who};
use crate::rows::Row;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// socat has a process for each connection, which is known after so many.
const FORKS: usize = 500;

/// How long memory may take to settle.
const SETTLING: Duration = Duration::from_secs(6);

/// So many looks in a row must find the same.
const STEADY: u32 = 10;

/// Connections that a client has open.
pub(crate) struct Idle(Vec<TcpStream>);

impl Idle {
    /// Opens so many, one after the other.
    pub(crate) fn open(to: SocketAddr, count: usize) -> Result<Idle, String> {
        let one = |i| measure::connect(to).map_err(|e| format!("idle connection {i}: {e}"));
        (0..count).map(one).collect::<Result<_, _>>().map(Idle)
    }

    /// Has a request answered on each.
    pub(crate) fn ask(&mut self) -> Result<(), String> {
        for (i, stream) in self.0.iter_mut().enumerate() {
            measure::ask(stream).map_err(|e| format!("idle connection {i}: {e}"))?;
        }
        Ok(())
    }
}

/// Idle connections through this peer, as far as open files suffice.
pub(crate) fn count(site: &Site, who: Who) -> usize {
    match who {
        Who::Socat => FORKS.min(site.capacity),
        _ => site.capacity,
    }
}

/// Memory after the start; with connections on which nothing was sent yet;
/// with the same after one request on each, beside what the whole machine has
/// less than with the same number straight to the back ends: the kernel's part
/// is larger than the peer's. Each must answer once more afterwards. Also
/// returns the peer that had them.
pub(crate) fn memory(site: &Site, who: Who) -> Result<(Vec<(Row, f64)>, Peer), String> {
    let mut found = Vec::new();
    if matches!(who, Who::Ours | Who::CPen) {
        let plain = site.start(who, Behind::Web, &[])?;
        found.push((Row::MemoryStart, rss(&plain) / 1024.0));
    }
    let count = count(site, who);
    let direct = site.start(Who::Direct, Behind::Web, &[])?;
    let available = machine();
    let mut idle = Idle::open(direct.address, count)?;
    idle.ask()?;
    let straight = available - machine();
    drop(idle);
    let peer = start_with_room(site, who)?;
    let before = rss(&peer);
    let each = |now: f64| (now - before) / count as f64;
    found.push((Row::MemoryBefore, before / 1024.0));
    let available = machine();
    let mut idle = Idle::open(peer.address, count)?;
    found.push((Row::MemoryQuiet, each(settled(&peer))));
    idle.ask()?;
    found.push((Row::MemoryIdle, each(settled(&peer))));
    let through = available - machine();
    found.push((Row::MemoryMachine, (through - straight) / count as f64));
    idle.ask()?;
    found.push((Row::Answering, count as f64));
    Ok((found, peer))
}

/// A peer with room for all the connections there can be.
pub(crate) fn start_with_room(site: &Site, who: Who) -> Result<Peer, String> {
    let slots = (site.capacity + 100).to_string();
    site.start(who, Behind::Web, &[IN_TURN, &["-x", &slots]].concat())
}

/// KiB of memory that a peer holds.
pub(crate) fn rss(peer: &Peer) -> f64 {
    peer.pid().map_or(0.0, measure::rss_kib)
}

/// The same once it has not changed for a while: a connection is there for the
/// client before the load balancer has taken it, and what is quiet for a second
/// may be given back.
fn settled(peer: &Peer) -> f64 {
    steady(|| rss(peer), 200.0)
}

/// KiB that the machine could still give, once that has settled.
fn machine() -> f64 {
    steady(measure::available_kib, 10_000.0)
}

/// A figure once it changes by this part of it at most.
fn steady(look: impl Fn() -> f64, part: f64) -> f64 {
    let end = Instant::now() + SETTLING;
    let (mut before, mut steady) = (look(), 0);
    while steady < STEADY && Instant::now() < end {
        thread::sleep(Duration::from_millis(150));
        let now = look();
        steady = if (now - before).abs() <= now / part { steady + 1 } else { 0 };
        before = now;
    }
    before
}

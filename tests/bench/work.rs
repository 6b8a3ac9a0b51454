//! The work that every peer is given, and the figures it leaves.

use crate::measure;
use crate::peers::{BULK, BULK_PATH, IN_TURN, Peer, Site, Who};
use crate::table::Row;
use pen::sys::{self, Place};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

/// Requests of one `ab` run.
const SHORT: u32 = 20_000;

/// Seconds of one `wrk` run.
const SECONDS: u32 = 2;

/// Downloads at the same time.
const STREAMS: u32 = 8;

/// UDP clients at the same time.
const CROWDS: [u32; 4] = [1, 10, 100, 1000];

/// Idle connections that are held to see what they cost.
const IDLE: usize = 2000;

/// Addresses that connect before the table is measured ...
pub(crate) const CLIENTS: u32 = 100_000;

/// ... as far as they get in this time.
const FILLING: Duration = Duration::from_secs(20);

/// Addresses that connect for the first time in each round.
const STRANGERS: u32 = 10_000;

/// Starts of a peer in one round.
const STARTS: usize = 5;

/// The client that comes after the crowd, and for how many seconds.
const LATE: (Ipv4Addr, u32) = (Ipv4Addr::new(127, 0, 0, 2), 3);

/// Options of both pens for the table: the default way of choosing, which
/// remembers clients.
pub(crate) const LARGE_TABLE: &[&str] = &["-c", "1000000", "-x", "500"];

/// How many of a crowd got through, and the time it took.
pub(crate) struct Crowd {
    pub(crate) seen: u32,
    pub(crate) seconds: f64,
}

/// What a work found.
pub(crate) type Found = Result<Vec<(Row, f64)>, String>;

fn cpu(peer: &Peer) -> f64 {
    peer.pid().map_or(0.0, measure::cpu_seconds)
}

/// Adds the processor time since `before` for one of `count` things, `scale`
/// to a second; there is none to add for the direct way.
fn cost(found: &mut Vec<(Row, f64)>, row: Row, peer: &Peer, before: f64, scale: f64, count: f64) {
    if peer.who != Who::Direct {
        found.push((row, (cpu(peer) - before) * scale / count));
    }
}

/// Short connections: `ab`, 50 at a time.
pub(crate) fn short(site: &Site, peer: &Peer) -> Found {
    let tool = site.tools.ab.as_deref().ok_or("ab is missing")?;
    let before = cpu(peer);
    let ab = measure::ab(tool, &site.directory, peer.address, SHORT, None)?;
    let mut found = vec![(Row::ShortRate, ab.per_second), (Row::ShortP99, ab.p99_ms)];
    cost(&mut found, Row::ShortCpu, peer, before, 1e6, ab.done);
    Ok(found)
}

/// Requests over 100 connections that stay.
pub(crate) fn keep(site: &Site, peer: &Peer) -> Found {
    let tool = site.tools.wrk.as_deref().ok_or("wrk is missing")?;
    let before = cpu(peer);
    let rate = measure::wrk(tool, peer.address, 100, SECONDS)?;
    let mut found = vec![(Row::KeepRate, rate)];
    let requests = rate * f64::from(SECONDS);
    cost(&mut found, Row::KeepCpu, peer, before, 1e6, requests);
    Ok(found)
}

/// Requests over one connection: the time through, there and back.
pub(crate) fn single(site: &Site, peer: &Peer) -> Found {
    let tool = site.tools.wrk.as_deref().ok_or("wrk is missing")?;
    let rate = measure::wrk(tool, peer.address, 1, SECONDS)?;
    Ok(vec![(Row::SingleRate, rate)])
}

/// Downloads of a large file, several at once.
pub(crate) fn bulk(peer: &Peer) -> Found {
    let before = cpu(peer);
    let ready = Arc::new(Barrier::new(STREAMS as usize + 1));
    let to = peer.address;
    let client = || {
        let ready = Arc::clone(&ready);
        thread::spawn(move || {
            ready.wait();
            measure::download(to, BULK_PATH)
        })
    };
    let clients: Vec<_> = (0..STREAMS).map(|_| client()).collect();
    ready.wait();
    let start = Instant::now();
    for client in clients {
        match client.join() {
            Ok(Ok(BULK)) => {}
            Ok(Ok(bytes)) => return Err(format!("a download has {bytes} bytes, not {BULK}")),
            Ok(Err(e)) => return Err(format!("a download failed: {e}")),
            Err(_) => return Err("a download thread panicked".to_owned()),
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let gigabytes = f64::from(STREAMS) * BULK as f64 / 1e9;
    let mut found = vec![(Row::BulkRate, gigabytes / seconds)];
    cost(&mut found, Row::BulkCpu, peer, before, 1.0, gigabytes);
    Ok(found)
}

/// Datagrams of a few clients and of many, each crowd through a peer that
/// knows none of them. A thing done is a datagram there and one back.
pub(crate) fn udp(site: &Site, who: Who) -> Found {
    let mut found = Vec::new();
    for clients in CROWDS {
        let peer = site.start_udp(who)?;
        let before = cpu(&peer);
        let all = measure::datagrams(peer.address, clients)?;
        found.push((Row::UdpRate(clients), all.per_second));
        let row = Row::UdpCpu(clients);
        cost(&mut found, row, &peer, before, 1e6, all.answers);
        found.push((Row::UdpLost(clients), all.lost));
        found.push((Row::UdpStrayed(clients), all.strayed));
    }
    Ok(found)
}

/// One short connection from each of many addresses, as many as get through
/// in the time: how many, and in how many seconds.
pub(crate) fn crowd(peer: &Peer, clients: Range<u32>, limit: Duration) -> Result<Crowd, String> {
    let (next, seen) = (AtomicU32::new(clients.start), AtomicU32::new(0));
    let begin = Instant::now();
    let client = || -> Result<(), String> {
        while begin.elapsed() < limit {
            let i = next.fetch_add(1, Relaxed);
            if i >= clients.end {
                break;
            }
            // All of 127/8 is this host on Linux.
            let from = Ipv4Addr::from_bits(Ipv4Addr::new(127, 128, 0, 0).to_bits() + i);
            visit(from, peer.address).map_err(|e| format!("the client {from}: {e}"))?;
            seen.fetch_add(1, Relaxed);
        }
        Ok(())
    };
    // More threads than processors, so that connections overlap, but few
    // enough that nobody waits long.
    thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(client)).collect();
        let mut ends = all.into_iter().map(|client| client.join());
        ends.try_for_each(|end| end.map_err(|_| "a client panicked".to_owned())?)
    })?;
    let (seen, seconds) = (seen.into_inner(), begin.elapsed().as_secs_f64());
    Ok(Crowd { seen, seconds })
}

/// Lets the first clients connect to a peer with a large table.
pub(crate) fn fill(peer: &Peer) -> Result<Crowd, String> {
    crowd(peer, 0..CLIENTS, FILLING)
}

/// Short connections, each from an address that was not seen before.
pub(crate) fn strangers(peer: &Peer, round: u32) -> Found {
    let first = CLIENTS + round * STRANGERS;
    let crowd = crowd(peer, first..first + STRANGERS, Duration::from_secs(2))?;
    Ok(vec![(
        Row::Strangers,
        f64::from(crowd.seen) / crowd.seconds,
    )])
}

/// One request from an address that std cannot choose.
fn visit(from: Ipv4Addr, to: SocketAddr) -> io::Result<()> {
    let place = Place::Inet(to);
    let socket = sys::socket_for(place, sys::Kind::Stream)?;
    sys::bind_to(&socket, Place::Inet(SocketAddr::from((from, 0))))?;
    sys::connect_to(&socket, place)?;
    measure::ask_once(TcpStream::from(socket))
}

/// Short connections as in [`short`], for not too long, by a client that comes
/// after the crowd: in a table that is searched from its start, the first ones
/// are found soon.
pub(crate) fn table(site: &Site, peer: &Peer, row: Row) -> Found {
    let tool = site.tools.ab.as_deref().ok_or("ab is missing")?;
    let ab = measure::ab(tool, &site.directory, peer.address, SHORT, Some(LATE))?;
    Ok(vec![(row, ab.per_second)])
}

/// Idle connections, as far as open files suffice.
pub(crate) fn idle(site: &Site) -> usize {
    IDLE.min(site.capacity)
}

/// Memory after the start, and for connections on which one request was
/// answered and nothing more comes. Each must answer again afterwards. Also
/// returns the peer that had them.
pub(crate) fn memory(site: &Site, who: Who) -> Result<(Vec<(Row, f64)>, Peer), String> {
    let rss = |peer: &Peer| peer.pid().map_or(0.0, measure::rss_kib);
    let mut found = Vec::new();
    if matches!(who, Who::Ours | Who::CPen) {
        let plain = site.start(who, &[])?;
        found.push((Row::MemoryStart, rss(&plain) / 1024.0));
    }
    let count = idle(site);
    let slots = (count + 100).to_string();
    let peer = site.start(who, &[IN_TURN, &["-x", &slots]].concat())?;
    let before = rss(&peer);
    found.push((Row::MemoryBefore, before / 1024.0));
    let mut all = Vec::new();
    for _ in 0..count {
        let stream = TcpStream::connect(peer.address).and_then(|mut stream| {
            measure::ask(&mut stream)?;
            Ok(stream)
        });
        all.push(stream.map_err(|e| format!("idle connection {}: {e}", all.len()))?);
    }
    found.push((Row::MemoryIdle, (rss(&peer) - before) / count as f64));
    for (i, stream) in all.iter_mut().enumerate() {
        measure::ask(stream).map_err(|e| format!("idle connection {i} again: {e}"))?;
    }
    Ok((found, peer))
}

/// From the start of the process to the first client served.
pub(crate) fn start(site: &Site, who: Who) -> Found {
    let one = || Ok(site.start(who, IN_TURN)?.start_ms);
    let all: Result<Vec<f64>, String> = (0..STARTS).map(|_| one()).collect();
    Ok(vec![(Row::Start, measure::median(&all?))])
}

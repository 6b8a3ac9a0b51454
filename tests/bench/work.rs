//! The work that every peer is given, and the figures it leaves: short
//! connections, requests on connections that stay, datagrams, the start.
//! (Bulk is in `bulk`, many clients in `many_clients`, idle connections in `memory`.)

use crate::measure;
use crate::peers::{Behind, IN_TURN, Peer, Site, Who};
use crate::rows::Row;

/// Short connections at the same time.
pub(crate) const SHORT: [u32; 3] = [1, 50, 500];

/// Connections that stay, at the same time.
pub(crate) const KEEP: [u32; 3] = [1, 100, 1000];

/// Seconds of one `wrk` run, the least it knows.
const SECONDS: u32 = 1;

/// UDP clients at the same time.
pub(crate) const CLIENTS: [u32; 4] = [1, 10, 100, 1000];

/// Short connections at the same time, while a server is down.
const DOWN: u32 = 50;

/// Starts of a peer in one round.
const STARTS: usize = 5;

/// What a work found.
pub(crate) type Found = Result<Vec<(Row, f64)>, String>;

/// Processor seconds that a peer has used.
pub(crate) fn cpu(peer: &Peer) -> f64 {
    peer.pid().map_or(0.0, measure::cpu_seconds)
}

/// Adds what one thing cost; going the direct way costs nothing.
pub(crate) fn cost(found: &mut Vec<(Row, f64)>, row: Row, peer: &Peer, value: f64) {
    if peer.who != Who::Direct {
        found.push((row, value));
    }
}

/// Short connections: a few at a time, and many.
pub(crate) fn short(site: &Site, peer: &Peer) -> Found {
    let mut found = Vec::new();
    for count in SHORT {
        let before = cpu(peer);
        let ab = site.ab(peer.address, count, None)?;
        found.push((Row::ShortRate(count), ab.per_second));
        found.push((Row::ShortP99(count), ab.p99_ms));
        let each = (cpu(peer) - before) * 1e6 / ab.done;
        cost(&mut found, Row::ShortCpu(count), peer, each);
    }
    Ok(found)
}

/// Requests over connections that stay. Over one: the time through, there and
/// back.
pub(crate) fn keep(site: &Site, peer: &Peer) -> Found {
    let mut found = Vec::new();
    for count in KEEP {
        let before = cpu(peer);
        let rate = site.wrk(peer.address, count, SECONDS)?;
        found.push((Row::KeepRate(count), rate));
        let each = (cpu(peer) - before) * 1e6 / (rate * f64::from(SECONDS));
        cost(&mut found, Row::KeepCpu(count), peer, each);
    }
    Ok(found)
}

/// Short connections while one of three servers refuses them.
pub(crate) fn down(site: &Site, peer: &Peer) -> Found {
    let ab = site.ab(peer.address, DOWN, None)?;
    Ok(vec![(Row::DownServerRate, ab.per_second), (Row::DownServerP99, ab.p99_ms)])
}

/// Datagrams of a few clients and of many, each time through a peer that
/// knows none of them. A thing done is a datagram there and one back.
pub(crate) fn udp(site: &Site, who: Who) -> Found {
    let mut found = Vec::new();
    for clients in CLIENTS {
        let peer = site.start_udp(who)?;
        let before = cpu(&peer);
        let all = measure::datagrams(peer.address, clients)?;
        found.push((Row::UdpRate(clients), all.per_second));
        let each = (cpu(&peer) - before) * 1e6 / all.answers;
        cost(&mut found, Row::UdpCpu(clients), &peer, each);
        found.push((Row::UdpLost(clients), all.lost));
        found.push((Row::UdpStrayed(clients), all.strayed));
    }
    Ok(found)
}

/// From the start of the process to the first client served.
pub(crate) fn start(site: &Site, who: Who) -> Found {
    let one = || Ok(site.start(who, Behind::Web, IN_TURN)?.start_ms);
    let all: Result<Vec<f64>, String> = (0..STARTS).map(|_| one()).collect();
    Ok(vec![(Row::Start, measure::median(&all?))])
}

//! What the work costs as something grows: connections, clients that are
//! remembered, servers. A rate that does not depend on it stays as it is.
//!
//! The same goes to the back end directly, as far as it can: what falls there
//! too is the kernel's, the back end's or the load generator's.

use crate::many_clients;
use crate::measure;
use crate::memory::{Idle, start_with_room};
use crate::peers::{Behind, Peer, Site, Who};
use crate::rows::Row;
use crate::work::Found;
use std::thread;
use std::time::Duration;

/// Open connections, as far as open files suffice.
pub(crate) const CONNECTIONS: [u32; 4] = [10, 100, 1000, 9000];

/// Remembered clients.
pub(crate) const CLIENTS: [u32; 5] = [100, 1000, 10_000, 100_000, 1_000_000];

/// What the C pen can be filled with in the time there is.
const CLIENTS_C_PEN: u32 = 1000;

/// Servers.
pub(crate) const SERVERS: [u32; 4] = [2, 10, 100, 1000];

/// Of all open connections, those that do something.
const BUSY: u32 = 10;

/// Short connections at the same time.
const AT_ONCE: u32 = 50;

/// How long known clients come.
const COMING: Duration = Duration::from_millis(800);

/// Between two figures, for the kernel to be done with the connections.
const PAUSE: Duration = Duration::from_millis(150);

/// Figures, whose they are, and what failed.
type All = Vec<(Who, Found)>;

/// All rows, in their order.
pub(crate) fn rows() -> impl Iterator<Item = Row> {
    let connections = CONNECTIONS.into_iter().map(Row::Beside);
    let active = CONNECTIONS.into_iter().map(Row::Active);
    let clients = CLIENTS.into_iter().map(Row::Known);
    let turns = SERVERS.into_iter().map(Row::InTurn);
    let weights = SERVERS.into_iter().map(Row::ByWeight);
    connections.chain(active).chain(clients).chain(turns).chain(weights)
}

/// The load balancers that stay for all rounds.
pub(crate) struct Growth {
    /// With room for many connections.
    roomy: Vec<Peer>,
    /// With so many clients, which they have seen.
    known: Vec<(Peer, u32)>,
    /// With so many servers.
    servers: Vec<(Peer, Row)>,
}

impl Growth {
    /// Starts all, and lets the clients connect.
    pub(crate) fn prepare(site: &Site) -> Result<Growth, String> {
        let (mut roomy, mut known, mut servers) = (Vec::new(), Vec::new(), Vec::new());
        let mut present = site.present();
        present.retain(|who| matches!(who, Who::Ours | Who::CPen | Who::Direct));
        for who in present {
            roomy.push(start_with_room(site, who)?);
            for count in CLIENTS {
                if who == Who::Direct {
                    known.push((site.start(who, Behind::Web, &[])?, count));
                } else if who == Who::Ours || count <= CLIENTS_C_PEN {
                    let (peer, served) = many_clients::filled(site, who, count)?;
                    if served.seen == count {
                        known.push((peer, count));
                    }
                }
            }
            if who == Who::Direct {
                continue;
            }
            for count in SERVERS {
                let behind = Behind::Many(count as usize);
                let peer = site.start(who, behind, &["-r"])?;
                servers.push((peer, Row::InTurn(count)));
                let peer = site.start(who, behind, &["-r", "-W"])?;
                servers.push((peer, Row::ByWeight(count)));
            }
        }
        Ok(Growth { roomy, known, servers })
    }

    /// One round.
    pub(crate) fn round(&self, site: &Site) -> All {
        let mut all = Vec::new();
        for count in CONNECTIONS {
            for peer in &self.roomy {
                all.push((peer.who, connections(site, peer, count)));
                thread::sleep(PAUSE);
            }
        }
        for (peer, count) in &self.known {
            all.push((peer.who, clients(peer, *count)));
            thread::sleep(PAUSE);
        }
        for (peer, row) in &self.servers {
            let ab = site.ab(peer.address, AT_ONCE, None);
            let found = ab.map(|ab| vec![(*row, ab.per_second)]);
            all.push((peer.who, found));
            thread::sleep(PAUSE);
        }
        all
    }
}

/// With so many connections open: short ones beside idle ones, then requests
/// on all.
fn connections(site: &Site, peer: &Peer, count: u32) -> Found {
    if count as usize > site.capacity {
        return Ok(Vec::new());
    }
    let mut idle = Idle::open(peer.address, (count - BUSY) as usize)?;
    idle.ask()?;
    let beside = site.ab(peer.address, BUSY, None)?.per_second;
    drop(idle);
    thread::sleep(PAUSE);
    // Many connections take a while to be made.
    let seconds = if count > 1000 { 4 } else { 1 };
    let active = site.wrk(peer.address, count, seconds)?;
    Ok(vec![(Row::Beside(count), beside), (Row::Active(count), active)])
}

/// Short connections from those that were here, in no order.
fn clients(peer: &Peer, count: u32) -> Found {
    let any = |i: u32| (u64::from(i) * 2_654_435_761 % u64::from(count)) as u32;
    let served = many_clients::connect(peer.address, u32::MAX, COMING, any, measure::ask_once)?;
    Ok(vec![(Row::Known(count), served.rate())])
}

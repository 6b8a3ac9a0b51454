//! The web interface shows a snapshot, which the cache keeps for a while ([`FRESH`]), so
//! that many requests do not keep the tables locked.

use crate::pool::choice::Target;
use crate::pool::clients::Client;
use crate::proxy::shared::Pen;
use crate::report::snapshot::{self, Bytes, ClientRow, ServerRow};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How old a snapshot may be.
const FRESH: Duration = Duration::from_millis(250);

/// Most clients and most connections that are shown.
pub(super) const MOST_SHOWN: usize = 1000;

/// Servers, clients and connections at one moment.
pub(super) struct Snapshot {
    /// How long pen had been running.
    pub(super) uptime: Duration,
    pub(super) servers: Vec<ServerRow>,
    /// The newest clients, at most [`MOST_SHOWN`], the newest first.
    pub(super) clients: Vec<ClientRow>,
    /// How many clients were found, if some were searched for.
    pub(super) found: Option<usize>,
    /// How many clients were remembered.
    pub(super) tracked: usize,
    /// Open connections in the order of their slots, at most [`MOST_SHOWN`].
    pub(super) open: Vec<ConnectionRow>,
    /// How many connections were open.
    pub(super) used: usize,
}

/// A connection as the web interface shows it.
pub(super) struct ConnectionRow {
    pub(super) id: usize,
    pub(super) client: Client,
    pub(super) target: Target,
    pub(super) bytes: Bytes,
}

/// The last snapshot with the time from which it is too old, and the time from which
/// the next search may begin.
pub(super) struct Cache {
    last: Mutex<Option<(Arc<Snapshot>, Instant)>>,
    next_search: Mutex<Option<Instant>>,
}

impl Cache {
    /// Makes a cache without a snapshot.
    pub(super) const fn new() -> Cache {
        Cache { last: Mutex::new(None), next_search: Mutex::new(None) }
    }

    /// Returns the last snapshot if it is fresh enough, else takes a new one; of clients
    /// and connections those that have `text` in their address.
    pub(super) fn get(&self, pen: &Pen, text: &str) -> Arc<Snapshot> {
        let now = Instant::now();
        let last = crate::lock(&self.last).clone();
        if let Some((snapshot, end)) = &last {
            if now < *end && text.is_empty() {
                return Arc::clone(snapshot);
            }
        }
        let mut snapshot = gather(pen, text);
        if let Some((last, _)) = last {
            snapshot.never_less(&last);
        }
        let snapshot = Arc::new(snapshot);
        if text.is_empty() {
            *crate::lock(&self.last) = Some((Arc::clone(&snapshot), now + FRESH));
        }
        snapshot
    }

    /// Makes the next [`Cache::get`] take a new snapshot, because something has changed.
    pub(super) fn empty(&self) {
        if let Some((_, end)) = &mut *crate::lock(&self.last) {
            *end = Instant::now();
        }
    }

    /// Returns when the next search may begin. There is a microsecond for each client
    /// between two of them, of which a search takes a tenth (measured).
    pub(super) fn next_search(&self, pen: &Pen) -> Instant {
        let time = Duration::from_micros(pen.with_clients(|all| all.records().len()) as u64);
        let mut next = crate::lock(&self.next_search);
        let turn = next.unwrap_or_else(Instant::now).max(Instant::now());
        *next = Some(turn + time);
        turn
    }
}

fn gather(pen: &Pen, text: &str) -> Snapshot {
    let live = pen.connections.live();
    let (recent, tracked) =
        snapshot::recent(pen, &live, if text.is_empty() { MOST_SHOWN } else { 0 });
    let (clients, found) = match text {
        "" => (recent, None),
        _ => {
            let (clients, found) = snapshot::found(pen, &live, text, MOST_SHOWN);
            (clients, Some(found))
        }
    };
    let is_shown = |client: Client| text.is_empty() || client.to_string().contains(text);
    let open = live.iter().filter(|(_, connection)| is_shown(connection.client));
    let open = open.take(MOST_SHOWN).map(|(id, connection)| ConnectionRow {
        id: *id,
        client: connection.client,
        target: connection.lease.target,
        bytes: snapshot::bytes_at_client(connection),
    });
    Snapshot {
        uptime: pen.started.elapsed(),
        servers: snapshot::servers(pen, &live),
        clients,
        found,
        tracked,
        open: open.collect(),
        used: pen.connections.used_and_last().0,
    }
}

impl Snapshot {
    /// Keeps counts from going down while no total has the bytes of a connection that
    /// has just ended. Programs that compute rates would take a lower count for a
    /// restart of pen.
    fn never_less(&mut self, last: &Snapshot) {
        for row in &mut self.servers {
            let old = last.servers.iter().find(|old| old.target == row.target);
            if let Some(old) = old.filter(|old| old.counts(&row.server.traffic)) {
                row.bytes.sx = row.bytes.sx.max(old.bytes.sx);
                row.bytes.rx = row.bytes.rx.max(old.bytes.rx);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn many_clients_are_counted_and_the_newest_shown() {
        let pen = Pen::new().unwrap();
        let many = 100_000_u32;
        pen.with_clients(|clients| clients.grow(many as usize));
        for number in 0..many {
            pen.visit(Client::Inet(IpAddr::V4(number.into())), Duration::ZERO, true);
        }
        let cache = Cache::new();
        let snapshot = cache.get(&pen, "");
        assert_eq!((snapshot.tracked, snapshot.clients.len()), (100_000, MOST_SHOWN));
        let newest = Client::Inet(IpAddr::V4((many - 1).into()));
        assert_eq!(snapshot.clients[0].client, newest);
        // The oldest are found, too: 0.0.0.7, and others with that at their beginning.
        let found = cache.get(&pen, "0.0.0.7");
        assert_eq!((found.found, found.tracked, found.clients.len()), (Some(11), 100_000, 11));
        let found = cache.get(&pen, "0.");
        assert_eq!((found.found, found.clients.len()), (Some(100_000), MOST_SHOWN));
        assert_eq!(cache.get(&pen, "x").found, Some(0));
        let turns = [(); 3].map(|()| cache.next_search(&pen));
        assert!(turns[2] - turns[0] >= Duration::from_millis(200));
        cache.empty();
        let again = cache.get(&pen, "");
        assert!(!Arc::ptr_eq(&snapshot, &again));
    }
}

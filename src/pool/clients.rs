//! The client table: which clients came lately, and which server each was on.
//!
//! A hash map finds a client, a doubly linked list through the slots keeps
//! them in the order of their last visit. Look-up, insertion and eviction take
//! the same time whatever the table's size; slots are made as clients come.
//! Pure: the caller has the clock and the lock.

use crate::pool::counter::Traffic;
use crate::pool::prefix::Prefix;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What tells clients apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// By address; an IPv4-mapped IPv6 address is that IPv4 address.
    Inet(IpAddr),
    /// All clients of a network together: its first address, and the length of its
    /// prefix ([`Client::network`]).
    Net(IpAddr, u8),
    /// All clients that come through a Unix socket together.
    Unix,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Client::Inet(ip) => ip.fmt(f),
            Client::Net(ip, len) => write!(f, "{ip}/{len}"),
            Client::Unix => f.write_str("unix"),
        }
    }
}

impl FromStr for Client {
    type Err = ();

    /// Reads what `Display` writes.
    fn from_str(word: &str) -> Result<Client, ()> {
        let ip = |word: &str| word.parse().map_err(|_| ()).map(|ip: IpAddr| ip.to_canonical());
        match word.split_once('/') {
            None if word == "unix" => Ok(Client::Unix),
            None => ip(word).map(Client::Inet),
            Some((address, len)) => {
                let (ip, len) = (ip(address)?, len.parse().map_err(|_| ())?);
                let network = Client::Inet(ip).network(Prefix::of(len));
                if network == Client::Net(ip, len) { Ok(network) } else { Err(()) }
            }
        }
    }
}

/// What is known of one client.
#[derive(Debug)]
pub struct Record {
    /// Its address.
    pub client: Client,
    /// Index of the regular server tried last.
    pub server: Option<usize>,
    /// Start of the newest connection.
    pub last_seen: Instant,
    /// Connections since it has been in the table.
    pub connects: u64,
    /// Bytes to (`sx`) and from (`rx`) the client.
    pub traffic: Arc<Traffic>,
    newer: Option<usize>,
    older: Option<usize>,
}

/// What a connection needs to know of its client.
#[derive(Debug)]
pub struct Visit {
    /// The server it was on last time.
    pub server: Option<usize>,
    /// Where its bytes are counted.
    pub traffic: Arc<Traffic>,
    /// Its slot, as the reports number it; `usize::MAX` if it has none.
    pub slot: usize,
}

impl Visit {
    /// That of one who is not in the table.
    pub(crate) fn none() -> Visit {
        Visit { server: None, traffic: Arc::default(), slot: usize::MAX }
    }
}

/// The table.
#[derive(Debug, Default)]
pub struct ClientTable {
    max: usize,
    index: HashMap<Client, usize>,
    slots: Vec<Record>,
    newest: Option<usize>,
    oldest: Option<usize>,
    /// Counts made ahead, see [`BATCH`].
    spare: Vec<Arc<Traffic>>,
    changes: u64,
}

/// Byte counts made at a time. Made one by one as clients come, these small
/// pieces would come to lie all over the heap, and keep the pages around them
/// from being given back (measured: 2 MiB for 1,500 clients).
const BATCH: usize = 128;

impl ClientTable {
    /// Makes an empty table that grows to `max` clients, or to one if that is 0.
    pub(crate) fn new(max: usize) -> ClientTable {
        ClientTable { max, ..ClientTable::default() }
    }

    /// Most clients it remembers.
    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// Lets it grow further; it never shrinks.
    pub(crate) fn grow(&mut self, max: usize) {
        self.max = self.max.max(max);
    }

    /// Looks up a client that connects, and counts the connect. A client that has not
    /// connected for longer than `tracking` is a new one (zero = never).
    pub(crate) fn visit(&mut self, client: Client, now: Instant, tracking: Duration) -> Visit {
        let visit = self.look_up(client, now, tracking);
        if let Some(record) = self.slots.get_mut(visit.slot) {
            record.connects += 1;
        }
        visit
    }

    /// Looks up a client whose connect has been counted before.
    pub(crate) fn look_up(&mut self, client: Client, now: Instant, tracking: Duration) -> Visit {
        self.changes += 1;
        self.touch(client, now, tracking)
    }

    /// Puts a client back that was here at that time. Those who were here last come last.
    pub(crate) fn restore(&mut self, client: Client, server: Option<usize>, last_seen: Instant) {
        let slot = self.touch(client, last_seen, Duration::ZERO).slot;
        if let Some(record) = self.slots.get_mut(slot) {
            record.server = server;
        }
    }

    /// How often it has changed since the start. What was restored does not count.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// Makes a client the newest one.
    fn touch(&mut self, client: Client, now: Instant, tracking: Duration) -> Visit {
        let slot = match self.index.get(&client) {
            Some(&slot) => {
                self.unlink(slot);
                slot
            }
            None => self.take_slot(client, now),
        };
        self.link_newest(slot);
        let Some(record) = self.slots.get_mut(slot) else {
            // Cannot be: the index holds slots that exist.
            return Visit { server: None, traffic: Arc::default(), slot };
        };
        if record.is_forgotten(now, tracking) {
            record.renew(client, now, &mut self.spare);
        }
        record.last_seen = now;
        Visit { server: record.server, traffic: Arc::clone(&record.traffic), slot }
    }

    /// What is known of a client. This is no visit: nothing changes.
    pub(crate) fn record(&self, client: Client) -> Option<&Record> {
        self.slots.get(*self.index.get(&client)?)
    }

    /// Remembers the server that was tried last, unless the client has been discarded
    /// meanwhile.
    pub(crate) fn remember(&mut self, client: Client, server: usize) {
        self.changes += 1;
        if let Some(&slot) = self.index.get(&client) {
            if let Some(record) = self.slots.get_mut(slot) {
                record.server = Some(server);
            }
        }
    }

    /// Forgets the servers of these clients, which are then new ones to the choice of
    /// a server. Returns how many had one.
    pub(crate) fn forget(&mut self, which: impl Fn(&Record) -> bool) -> usize {
        self.changes += 1;
        let chosen = self.slots.iter_mut().filter(|record| which(record));
        chosen.filter_map(|record| record.server.take()).count()
    }

    /// All clients in slot order.
    pub(crate) fn records(&self) -> &[Record] {
        &self.slots
    }

    /// The clients with their slots, the newest visit first.
    pub(crate) fn recent(&self) -> impl Iterator<Item = (usize, &Record)> {
        let get = |slot: usize| Some((slot, self.slots.get(slot)?));
        let newest = self.newest.and_then(get);
        std::iter::successors(newest, move |(_, record)| record.older.and_then(get))
    }

    /// Finds a slot for a new client: a fresh one, or that of the client whose last
    /// visit is the oldest. It is not linked into the list yet.
    fn take_slot(&mut self, client: Client, now: Instant) -> usize {
        let slot = match self.oldest {
            Some(slot) if self.slots.len() >= self.max => {
                self.unlink(slot);
                if let Some(old) = self.slots.get_mut(slot) {
                    self.index.remove(&old.client);
                    old.renew(client, now, &mut self.spare);
                }
                slot
            }
            _ => {
                let traffic = fresh(&mut self.spare);
                self.slots.push(Record::new(client, traffic, now));
                self.slots.len() - 1
            }
        };
        self.index.insert(client, slot);
        slot
    }

    fn unlink(&mut self, slot: usize) {
        let Some(record) = self.slots.get_mut(slot) else {
            return;
        };
        let (newer, older) = (record.newer.take(), record.older.take());
        match newer.and_then(|n| self.slots.get_mut(n)) {
            Some(n) => n.older = older,
            None => self.newest = older,
        }
        match older.and_then(|o| self.slots.get_mut(o)) {
            Some(o) => o.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn link_newest(&mut self, slot: usize) {
        let before = self.newest.replace(slot);
        if let Some(record) = self.slots.get_mut(slot) {
            record.older = before;
        }
        match before.and_then(|b| self.slots.get_mut(b)) {
            Some(b) => b.newer = Some(slot),
            None => self.oldest = Some(slot),
        }
    }
}

/// Takes counts for another client.
fn fresh(spare: &mut Vec<Arc<Traffic>>) -> Arc<Traffic> {
    if spare.is_empty() {
        spare.extend((0..BATCH).map(|_| Arc::default()));
    }
    spare.pop().unwrap_or_default()
}

impl Record {
    fn new(client: Client, traffic: Arc<Traffic>, now: Instant) -> Record {
        Record {
            client,
            server: None,
            last_seen: now,
            connects: 0,
            traffic,
            newer: None,
            older: None,
        }
    }

    /// Whether the client has been away for longer than `tracking` (zero = for ever),
    /// and counts as a new one.
    pub(crate) fn is_forgotten(&self, now: Instant, tracking: Duration) -> bool {
        !tracking.is_zero() && now.saturating_duration_since(self.last_seen) > tracking
    }

    /// Makes it a new client's, with the same memory for its counts if nobody
    /// counts there any more.
    fn renew(&mut self, client: Client, now: Instant, spare: &mut Vec<Arc<Traffic>>) {
        match Arc::get_mut(&mut self.traffic) {
            Some(traffic) => *traffic = Traffic::default(),
            None => self.traffic = fresh(spare),
        }
        self.client = client;
        self.server = None;
        self.last_seen = now;
        self.connects = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u32) -> Client {
        Client::Inet(IpAddr::V4(n.into()))
    }

    const FOREVER: Duration = Duration::ZERO;

    #[test]
    fn remembers_and_counts() {
        let mut table = ClientTable::new(4);
        let now = Instant::now();
        assert_eq!(table.visit(ip(1), now, FOREVER).server, None);
        table.remember(ip(1), 7);
        assert_eq!(table.visit(ip(1), now, FOREVER).server, Some(7));
        assert_eq!(table.visit(Client::Unix, now, FOREVER).server, None);
        assert_eq!(table.records()[0].connects, 2);
        table.remember(ip(9), 1);
        assert_eq!(table.records().len(), 2);
    }

    #[test]
    fn discards_the_least_recently_used() {
        let mut table = ClientTable::new(3);
        let now = Instant::now();
        for n in [1, 2, 3, 1, 4] {
            table.visit(ip(n), now, FOREVER);
            table.remember(ip(n), n as usize);
        }
        assert_eq!(table.visit(ip(1), now, FOREVER).server, Some(1));
        assert_eq!(table.visit(ip(3), now, FOREVER).server, Some(3));
        assert_eq!(table.visit(ip(2), now, FOREVER).server, None);
        assert_eq!(table.visit(ip(4), now, FOREVER).server, None);
        assert_eq!(table.records().len(), 3);
    }

    #[test]
    fn recent_clients_come_first() {
        let mut table = ClientTable::new(3);
        assert_eq!(table.recent().count(), 0);
        for n in [1, 2, 3, 4, 2] {
            table.visit(ip(n), Instant::now(), FOREVER);
        }
        let recent: Vec<_> = table.recent().map(|(slot, e)| (slot, e.client)).collect();
        assert_eq!(recent, [(1, ip(2)), (0, ip(4)), (2, ip(3))]);
    }

    #[test]
    fn who_was_discarded_is_not_counted_for_another() {
        let mut table = ClientTable::new(1);
        let now = Instant::now();
        let old = table.visit(ip(1), now, FOREVER).traffic;
        let new = table.visit(ip(2), now, FOREVER).traffic;
        old.sx.add(5);
        assert_eq!(table.records()[0].traffic.sx.get(), 0);
        new.sx.add(7);
        drop((old, new));
        table.visit(ip(3), now, FOREVER);
        assert_eq!(table.records()[0].traffic.sx.get(), 0);
    }

    #[test]
    fn agrees_with_a_plain_list() {
        // The same visits through a list that is searched and shifted.
        let mut table = ClientTable::new(8);
        let mut list: Vec<u32> = Vec::new();
        let now = Instant::now();
        let mut seed = 12345u32;
        for _ in 0..10_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let n = (seed >> 16) % 12;
            let known = list.contains(&n);
            assert_eq!(table.visit(ip(n), now, FOREVER).server.is_some(), known);
            table.remember(ip(n), 0);
            list.retain(|m| *m != n);
            list.push(n);
            if list.len() > 8 {
                list.remove(0);
            }
        }
    }

    #[test]
    fn forgets_after_the_tracking_time() {
        let mut table = ClientTable::new(4);
        let start = Instant::now();
        let tracking = Duration::from_secs(10);
        table.visit(ip(1), start, tracking);
        table.remember(ip(1), 3);
        let later = start + Duration::from_secs(10);
        assert_eq!(table.visit(ip(1), later, tracking).server, Some(3));
        let later = later + Duration::from_secs(11);
        assert_eq!(table.visit(ip(1), later, tracking).server, None);
        assert_eq!(table.records()[0].connects, 1);
    }

    #[test]
    fn servers_are_forgotten_and_clients_stay() {
        let mut table = ClientTable::new(4);
        let now = Instant::now();
        for n in 1..=4 {
            table.visit(ip(n), now, FOREVER);
            table.remember(ip(n), n as usize % 2);
        }
        assert_eq!(table.forget(|record| record.server == Some(1)), 2);
        assert_eq!(table.forget(|record| record.client == ip(2)), 1);
        assert_eq!(table.forget(|_| true), 1);
        assert_eq!(table.forget(|_| true), 0);
        assert_eq!(table.visit(ip(4), now, FOREVER).server, None);
        assert_eq!(table.records()[3].connects, 2);
    }

    #[test]
    fn one_slot_and_growth() {
        let mut table = ClientTable::new(0);
        let now = Instant::now();
        table.visit(ip(1), now, FOREVER);
        table.visit(ip(2), now, FOREVER);
        assert_eq!(table.records().len(), 1);
        table.grow(2);
        table.visit(ip(3), now, FOREVER);
        table.grow(1);
        assert_eq!((table.records().len(), table.max()), (2, 2));
    }
}

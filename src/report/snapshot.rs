//! What is known of servers, clients and connections at a moment, for whatever
//! shows it: copied out of the tables under their locks, to be made into text
//! afterwards, the client table piece by piece.

use crate::pool::choice::Target;
use crate::pool::clients::{Client, Entry};
use crate::pool::counter::Traffic;
use crate::pool::server::{Server, State};
use crate::proxy::connection::{Connection, Direction};
use crate::proxy::shared::Pen;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Clients copied while the table is locked once.
const PIECE: usize = 4096;

/// Bytes sent to and received from a peer.
#[derive(Clone, Copy, Default)]
pub struct Bytes {
    /// Sent to the peer.
    pub sx: u64,
    /// Received from the peer.
    pub rx: u64,
}

impl Bytes {
    fn of(traffic: &Traffic) -> Bytes {
        let (sx, rx) = (traffic.sx.get(), traffic.rx.get());
        Bytes { sx, rx }
    }

    /// Adds those of another.
    pub fn add(&mut self, other: Bytes) {
        self.sx = self.sx.wrapping_add(other.sx);
        self.rx = self.rx.wrapping_add(other.rx);
    }
}

/// A server.
pub struct ServerRow {
    /// Which.
    pub target: Target,
    /// Its first address or its path.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// What it is good for.
    pub state: State,
    /// How much longer it is blacklisted.
    pub left: Duration,
    /// Connections now.
    pub connections: u32,
    /// Soft limit, 0 = none.
    pub max: u32,
    /// Hard limit.
    pub hard: u32,
    /// Share in weight mode.
    pub weight: u32,
    /// Rank in prio mode.
    pub prio: i32,
    /// Its access list.
    pub acl: usize,
    /// Connects tried.
    pub connects: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Bytes, those of live connections so far included.
    pub bytes: Bytes,
    /// Where those of ended ones are counted: another one, another server.
    pub traffic: Arc<Traffic>,
}

impl ServerRow {
    fn of(target: Target, server: &Server, now: Instant) -> ServerRow {
        ServerRow {
            target,
            address: server.host.to_string(),
            port: server.port,
            state: server.state(now),
            left: server.blacklist_left(now),
            connections: server.connections,
            max: server.max,
            hard: server.hard,
            weight: server.weight,
            prio: server.prio,
            acl: server.acl,
            connects: server.connects,
            failures: server.failures,
            bytes: Bytes::of(&server.traffic),
            traffic: Arc::clone(&server.traffic),
        }
    }
}

/// A client.
pub struct ClientRow {
    /// Its slot in the client table.
    pub slot: usize,
    /// Who.
    pub client: Client,
    /// Seconds since its last connect.
    pub age: u64,
    /// The regular server it was on last.
    pub server: Option<usize>,
    /// Connects.
    pub connects: u64,
    /// Bytes, those of live connections so far included.
    pub bytes: Bytes,
}

impl ClientRow {
    fn of(slot: usize, entry: &Entry, now: Instant) -> ClientRow {
        ClientRow {
            slot,
            client: entry.client,
            age: now.saturating_duration_since(entry.last_seen).as_secs(),
            server: entry.server,
            connects: entry.connects,
            bytes: Bytes::of(&entry.traffic),
        }
    }
}

/// Connections with their slots.
pub type Live = Vec<(usize, Arc<Connection>)>;

/// What a connection has moved so far, as its server sees it.
fn at_server(connection: &Connection) -> Bytes {
    let sent = |direction| connection.sent(direction).get();
    let (sx, rx) = (sent(Direction::Up), sent(Direction::Down));
    Bytes { sx, rx }
}

/// What a connection has moved so far, as its client sees it.
pub fn at_client(connection: &Connection) -> Bytes {
    let sx = connection.sent(Direction::Down).get();
    let rx = connection.received(Direction::Up);
    Bytes { sx, rx }
}

/// Whole seconds, rounded up.
pub fn seconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u64::MAX)
}

/// The servers by index, and behind them the last resorts that there are.
pub fn servers(pen: &Pen, live: &Live) -> Vec<ServerRow> {
    let now = Instant::now();
    let mut rows: Vec<ServerRow> = {
        let table = pen.servers.table();
        let regular = table.servers.iter().enumerate();
        let regular = regular.map(|(index, server)| (Target::Server(index), server));
        let last = [(Target::Emergency, &table.emergency), (Target::Abuse, &table.abuse)];
        let last = last.into_iter().filter_map(|(t, s)| Some((t, s.as_ref()?)));
        let all = regular.chain(last);
        all.map(|(target, server)| ServerRow::of(target, server, now)).collect()
    };
    for (_, connection) in live {
        let row = match connection.lease.target {
            Target::Server(index) => rows.get_mut(index),
            other => rows.iter_mut().rev().find(|row| row.target == other),
        };
        // A server that took another's place has nothing of its connections.
        let row = row.filter(|row| Arc::ptr_eq(&row.traffic, &connection.lease.traffic));
        row.into_iter().for_each(|row| row.bytes.add(at_server(connection)));
    }
    rows
}

/// The clients seen within `age`, by slot.
pub fn clients(pen: &Pen, live: &Live, age: Duration) -> Vec<ClientRow> {
    let now = Instant::now();
    let mut rows = Vec::new();
    let mut start = 0;
    loop {
        let end = start + PIECE;
        let more = pen.with_clients(|clients| {
            let all = clients.entries();
            let piece = all.iter().enumerate().take(end).skip(start);
            let seen = |entry: &Entry| now.saturating_duration_since(entry.last_seen) <= age;
            let piece = piece.filter(|(_, entry)| seen(entry));
            rows.extend(piece.map(|(slot, entry)| ClientRow::of(slot, entry, now)));
            all.len() > end
        });
        if !more {
            break;
        }
        start = end;
    }
    add_moving(&mut rows, live);
    rows
}

/// The clients seen last, the newest first, at most so many (be modest: it is
/// one look under the lock). And how many there are.
pub fn recent(pen: &Pen, live: &Live, most: usize) -> (Vec<ClientRow>, usize) {
    let now = Instant::now();
    let (mut rows, count) = pen.with_clients(|clients| {
        let recent = clients.recent().take(most);
        let rows: Vec<_> = recent.map(|(slot, entry)| ClientRow::of(slot, entry, now)).collect();
        (rows, clients.entries().len())
    });
    add_moving(&mut rows, live);
    (rows, count)
}

/// Adds what their live connections have moved.
fn add_moving(rows: &mut [ClientRow], live: &Live) {
    let mut moving: HashMap<Client, Bytes> = HashMap::new();
    for (_, connection) in live {
        let bytes = moving.entry(connection.client).or_default();
        bytes.add(at_client(connection));
    }
    for row in rows {
        if let Some(bytes) = moving.get(&row.client) {
            row.bytes.add(*bytes);
        }
    }
}

//! Copies servers, clients and connections out of their tables, under the locks, so
//! that reports are made from the copies without a lock. The client table is locked
//! anew for each piece of it.

use crate::pool::choice::Target;
use crate::pool::clients::{Client, Record};
use crate::pool::counter::Traffic;
use crate::pool::health::State;
use crate::pool::server::Server;
use crate::proxy::connection::{Connection, Direction};
use crate::proxy::shared::Pen;
use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Clients that are copied under one lock of the table.
const PIECE: usize = 4096;

/// Bytes sent to and received from a peer.
#[derive(Clone, Copy, Default)]
pub(crate) struct Bytes {
    /// Sent to the peer.
    pub(crate) sx: u64,
    /// Received from the peer.
    pub(crate) rx: u64,
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "sx {} rx {}", self.sx, self.rx)
    }
}

impl Bytes {
    fn of(traffic: &Traffic) -> Bytes {
        let (sx, rx) = (traffic.sx.get(), traffic.rx.get());
        Bytes { sx, rx }
    }

    /// Adds further bytes of the same peer.
    pub(crate) fn add(&mut self, other: Bytes) {
        self.sx = self.sx.wrapping_add(other.sx);
        self.rx = self.rx.wrapping_add(other.rx);
    }
}

/// The copy of a server.
pub(crate) struct ServerRow {
    /// Its role and index.
    pub(crate) target: Target,
    /// The copy. Its traffic is shared with the server, not copied, and has the bytes of
    /// connections that have ended.
    pub(crate) server: Server,
    /// When it was copied.
    pub(crate) at: Instant,
    /// Its bytes, including those of open connections.
    pub(crate) bytes: Bytes,
}

impl ServerRow {
    fn of(target: Target, server: &Server, at: Instant) -> ServerRow {
        ServerRow { target, server: server.clone(), at, bytes: Bytes::of(&server.traffic) }
    }

    /// Returns its state then.
    pub(crate) fn state(&self) -> State {
        self.server.state(self.at)
    }

    /// Returns how much longer it is blacklisted.
    pub(crate) fn left(&self) -> Duration {
        self.server.health.blacklist_left(self.at)
    }

    /// Tells whether this traffic belongs to this server. A server that has replaced
    /// another in the table has a traffic of its own.
    pub(crate) fn counts(&self, traffic: &Arc<Traffic>) -> bool {
        Arc::ptr_eq(&self.server.traffic, traffic)
    }
}

/// Returns the role of a server, and its index if it is one of the table.
pub(crate) fn role(target: Target) -> (&'static str, Option<usize>) {
    match target {
        Target::Server(index) => ("server", Some(index)),
        Target::Emergency => ("emergency", None),
        Target::Abuse => ("abuse", None),
    }
}

/// The copy of a client.
pub(crate) struct ClientRow {
    /// Its slot in the client table.
    pub(crate) slot: usize,
    /// Its address.
    pub(crate) client: Client,
    /// Seconds since its last connect.
    pub(crate) age: u64,
    /// The server of the table that it used last.
    pub(crate) server: Option<usize>,
    /// How often it has connected.
    pub(crate) connects: u64,
    /// Its bytes, including those of open connections.
    pub(crate) bytes: Bytes,
}

impl ClientRow {
    fn of(slot: usize, record: &Record, now: Instant) -> ClientRow {
        ClientRow {
            slot,
            client: record.client,
            age: now.saturating_duration_since(record.last_seen).as_secs(),
            server: record.server,
            connects: record.connects,
            bytes: Bytes::of(&record.traffic),
        }
    }
}

/// The open connections with their slots.
pub(crate) type Live = Vec<(usize, Arc<Connection>)>;

/// Returns the bytes that a connection has sent to and received from its server.
fn bytes_at_server(connection: &Connection) -> Bytes {
    let sent = |direction| connection.sent(direction).get();
    let (sx, rx) = (sent(Direction::Up), sent(Direction::Down));
    Bytes { sx, rx }
}

/// Returns the bytes that a connection has sent to and received from its client.
pub(crate) fn bytes_at_client(connection: &Connection) -> Bytes {
    let sx = connection.sent(Direction::Down).get();
    let rx = connection.received(Direction::Up);
    Bytes { sx, rx }
}

/// Returns whole seconds, rounded up.
pub(crate) fn seconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u64::MAX)
}

/// Whole microseconds.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Copies the servers by index, followed by the emergency and the abuse server.
pub(crate) fn servers(pen: &Pen, live: &Live) -> Vec<ServerRow> {
    let now = Instant::now();
    let mut rows: Vec<ServerRow> = {
        let table = pen.servers.table();
        table.all().map(|(target, server)| ServerRow::of(target, server, now)).collect()
    };
    for (_, connection) in live {
        let row = match connection.lease.target {
            Target::Server(index) => rows.get_mut(index),
            other => rows.iter_mut().rev().find(|row| row.target == other),
        };
        if let Some(row) = row.filter(|row| row.counts(&connection.lease.traffic)) {
            row.bytes.add(bytes_at_server(connection));
        }
    }
    rows
}

/// Copies the clients that are `wanted`, by slot, [`PIECE`] of them while the table is
/// locked once.
fn select(pen: &Pen, live: &Live, wanted: &mut dyn FnMut(&Record) -> bool) -> Vec<ClientRow> {
    let now = Instant::now();
    let (mut rows, mut start, mut is_more) = (Vec::new(), 0, true);
    while is_more {
        let end = start + PIECE;
        is_more = pen.with_clients(|clients| {
            let all = clients.records();
            let piece = all.iter().enumerate().take(end).skip(start);
            let piece = piece.filter(|(_, record)| wanted(record));
            rows.extend(piece.map(|(slot, record)| ClientRow::of(slot, record, now)));
            all.len() > end
        });
        start = end;
    }
    add_live_bytes(&mut rows, live);
    rows
}

/// Copies the clients whose last connect is at most `age` ago, by slot.
pub(crate) fn clients(pen: &Pen, live: &Live, age: Duration) -> Vec<ClientRow> {
    let now = Instant::now();
    select(pen, live, &mut |record| now.saturating_duration_since(record.last_seen) <= age)
}

/// Copies `most` of the clients whose address has `text` in it, by slot. Also returns how
/// many have it.
pub(crate) fn found(pen: &Pen, live: &Live, text: &str, most: usize) -> (Vec<ClientRow>, usize) {
    let (mut address, mut count) = (String::new(), 0);
    let rows = select(pen, live, &mut |record| {
        address.clear();
        let _ = write!(address, "{}", record.client);
        let has_it = address.contains(text);
        count += usize::from(has_it);
        has_it && count <= most
    });
    (rows, count)
}

/// Copies the `most` clients that have connected last, the newest first, under one lock
/// of the table, so `most` should be small. Also returns how many clients the table has.
pub(crate) fn recent(pen: &Pen, live: &Live, most: usize) -> (Vec<ClientRow>, usize) {
    let now = Instant::now();
    let (mut rows, count) = pen.with_clients(|clients| {
        let recent = clients.recent().take(most);
        let rows: Vec<_> = recent.map(|(slot, record)| ClientRow::of(slot, record, now)).collect();
        (rows, clients.records().len())
    });
    add_live_bytes(&mut rows, live);
    (rows, count)
}

/// Adds the bytes of open connections to their clients.
fn add_live_bytes(rows: &mut [ClientRow], live: &Live) {
    let mut moving: HashMap<Client, Bytes> = HashMap::new();
    for (_, connection) in live {
        let bytes = moving.entry(connection.tracked).or_default();
        bytes.add(bytes_at_client(connection));
    }
    for row in rows {
        if let Some(bytes) = moving.get(&row.client) {
            row.bytes.add(*bytes);
        }
    }
}

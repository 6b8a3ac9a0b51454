//! A client and a server, connected: what is counted and logged of them, and how
//! they are closed. [`crate::proxy::relay`] moves the bytes.

use super::search::Lease;
use crate::http::Exchange;
use crate::pool::clients::Client;
use crate::pool::counter::{Counter, Traffic};
use crate::proxy::ending::{Ending, Reason};
use crate::proxy::find::Connected;
use crate::proxy::idle::Activity;
use crate::proxy::listener::Accepted;
use crate::proxy::log::Logs;
use crate::proxy::log::connections::{ConnLog, Entry};
use crate::proxy::slots::{Connections, Slot};
use crate::proxy::socket::Stream;
use crate::settings::Settings;
use crate::sys::message::{self, Level};
use crate::sys::{self, Kind};
use std::fmt::Write as _;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

impl Direction {
    /// Its bit in [`Connection`]'s record of what has ended, as the command
    /// `connection` shows it: 4 the server's side, 8 the client's.
    pub(crate) fn bit(self) -> u8 {
        match self {
            Direction::Up => 8,
            Direction::Down => 4,
        }
    }

    /// The way back.
    pub(crate) fn other(self) -> Direction {
        match self {
            Direction::Up => Direction::Down,
            Direction::Down => Direction::Up,
        }
    }
}

/// In [`Connection`]'s record of what has ended, beside the bits of the
/// directions: all of it.
const CLOSED: u8 = 1;

/// A client and a server, connected. The thread that drops it last closes it: first
/// the sockets, then the place on the server, then the slot, in the order of the
/// fields.
#[derive(Debug)]
pub(crate) struct Connection {
    client_socket: Stream,
    server_socket: Stream,
    /// Whose it is.
    pub(crate) client: Client,
    /// Whether it is a connection or, with UDP, a flow of datagrams.
    pub(crate) kind: Kind,
    /// With UDP, when a datagram came or went last, by a clock that counts them.
    pub(crate) touched: Counter,
    /// What is known of its requests, if these get X-Forwarded-For.
    pub(crate) http: Option<Box<Exchange>>,
    /// Bytes that the server got and the client had not sent, less those that the
    /// server was not to see. Wraps below 0.
    added: Counter,
    sent_up: Counter,
    sent_down: Counter,
    ended: AtomicU8,
    ending: Ending,
    activity: Activity,
    since: Instant,
    /// The client's port, 0 for a Unix socket.
    port: u16,
    client_traffic: Arc<Traffic>,
    /// The client's slot in the client table when it came.
    pub(crate) client_slot: usize,
    logs: Logs,
    /// The place on the server.
    pub(crate) lease: Lease,
    slot: Slot,
}

impl Connection {
    /// Joins a client and the server that was found for it. The slot knows the
    /// connection from now on.
    pub(crate) fn new(
        logs: Logs,
        settings: &Settings,
        accepted: Accepted,
        client_socket: Stream,
        server: Connected,
        slot: Slot,
    ) -> Arc<Connection> {
        let connection = Arc::new(Connection {
            client_socket,
            server_socket: server.socket,
            client: accepted.client,
            kind: settings.start.kind,
            touched: Counter::default(),
            http: settings.http.then(Box::default),
            added: Counter::default(),
            sent_up: Counter::default(),
            sent_down: Counter::default(),
            ended: AtomicU8::new(0),
            ending: Ending::default(),
            activity: Activity::default(),
            since: accepted.since,
            port: accepted.port,
            client_traffic: server.visit.traffic,
            client_slot: server.visit.slot,
            logs,
            lease: server.lease,
            slot,
        });
        connection.slot.attach(&connection);
        connection
    }

    /// The socket that a direction's bytes come from.
    pub(crate) fn source(&self, direction: Direction) -> &Stream {
        match direction {
            Direction::Up => &self.client_socket,
            Direction::Down => &self.server_socket,
        }
    }

    /// Counts bytes that went their way.
    pub(crate) fn moved(&self, direction: Direction, n: usize) {
        self.sent(direction).add(n as u64);
    }

    /// On the way up, `client` bytes are about to be sent as `server` bytes.
    pub(crate) fn rewrote(&self, client: usize, server: usize) {
        self.added.add((server as u64).wrapping_sub(client as u64));
    }

    /// Bytes that came from the sender of this direction so far.
    pub(crate) fn received(&self, direction: Direction) -> u64 {
        let sent = self.sent(direction).get();
        match direction {
            // Below 0: what was put in has not been sent yet.
            Direction::Up => match sent.wrapping_sub(self.added.get()) {
                count if count > u64::MAX / 2 => 0,
                count => count,
            },
            Direction::Down => sent,
        }
    }

    /// Bytes that went this way so far.
    pub(crate) fn sent(&self, direction: Direction) -> &Counter {
        match direction {
            Direction::Up => &self.sent_up,
            Direction::Down => &self.sent_down,
        }
    }

    /// Takes note of what one read brought, before it is passed on.
    pub(crate) fn note(&self, direction: Direction, data: &[u8]) {
        if direction == Direction::Up {
            self.logs.requests.request(self.client, &self.lease.host, data);
        }
        if message::debugging(3) {
            self.dump(direction, data);
        }
    }

    /// Takes note that a direction is over.
    pub(crate) fn ended(&self, direction: Direction) {
        self.ended.fetch_or(direction.bit(), SeqCst);
    }

    /// Whether a direction is over.
    pub(crate) fn has_ended(&self, direction: Direction) -> bool {
        self.ended.load(SeqCst) & direction.bit() != 0
    }

    /// What has ended, as the command `connection` shows it.
    pub(crate) fn ended_bits(&self) -> u8 {
        self.ended.load(SeqCst) & !CLOSED
    }

    /// Whether it was ended as a whole ([`Connection::close`]).
    pub(crate) fn is_closed(&self) -> bool {
        self.ended.load(SeqCst) & CLOSED != 0
    }

    /// The client's and the server's descriptor.
    pub(crate) fn descriptors(&self) -> [i32; 2] {
        [self.client_socket.as_raw_fd(), self.server_socket.as_raw_fd()]
    }

    /// How long nothing has moved and no side has ended.
    pub(crate) fn quiet_for(&self, now: Instant) -> Duration {
        let ended = u64::from(self.ended_bits());
        let mut moved = self.sent_up.get().wrapping_add(self.sent_down.get()).wrapping_add(ended);
        // A datagram may be empty.
        moved = moved.wrapping_add(self.touched.get());
        self.activity.quiet_for(moved, now)
    }

    /// Sets the reason of its end, unless there is one already.
    pub(crate) fn set_reason(&self, reason: Reason) {
        self.ending.set(reason);
    }

    /// Ends both directions, whatever they are doing: blocked reads and writes
    /// return. What was written before still goes out.
    pub(crate) fn close(&self, reason: Reason) {
        self.set_reason(reason);
        self.ended.fetch_or(CLOSED, SeqCst);
        if self.kind == Kind::Datagram {
            // The client's side is everybody's. The other must know, as the
            // end of a datagram socket looks like an empty datagram.
            self.ended(Direction::Up);
            self.ended(Direction::Down);
        } else {
            sys::shut(&*self.client_socket, Shutdown::Both);
        }
        sys::shut(&*self.server_socket, Shutdown::Both);
    }

    /// Ends both directions as a reset does: neither end takes what it has got for
    /// all there is, and what was not sent yet is lost. Blocked reads return,
    /// blocked writes within [`crate::proxy::connect::STALL`]. A Unix socket, which knows no
    /// reset, just ends.
    pub(crate) fn reset(&self, reason: Reason) {
        self.set_reason(reason);
        self.ended.fetch_or(CLOSED, SeqCst);
        for socket in [&*self.client_socket, &*self.server_socket] {
            sys::reset_on_close(socket);
            // Not for writing: that would be sent, and looks like a good end.
            sys::shut(socket, Shutdown::Read);
        }
    }

    /// Its line for the connection log; `None` if that was written before.
    fn entry(&self) -> Option<Entry> {
        let reason = self.ending.take()?;
        Some(Entry {
            client: self.client,
            port: self.port,
            server: Some(self.lease.address()),
            up: self.received(Direction::Up),
            down: self.sent_down.get(),
            time: self.since.elapsed(),
            reason,
        })
    }

    fn dump(&self, direction: Direction, data: &[u8]) {
        let ascii = self.lease.settings().ascii;
        let mut text = String::with_capacity(data.len().saturating_mul(3));
        for byte in data {
            let _ = match (ascii, byte) {
                (true, b' '..=b'~') => write!(text, "{}", char::from(*byte)),
                (true, _) => write!(text, "."),
                (false, _) => write!(text, " {byte:02x}"),
            };
        }
        let (client, server) = (self.client, self.lease.name());
        message::at(Level::Debug, format_args!("{client}, {server}: {direction:?}: {text}"));
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let (up, down) = (self.sent_up.get(), self.sent_down.get());
        self.lease.traffic.sx.add(up);
        self.lease.traffic.rx.add(down);
        self.client_traffic.rx.add(self.received(Direction::Up));
        self.client_traffic.sx.add(down);
        message::debug(1, || {
            let (client, server) = (self.client, self.lease.name());
            format!("{client}, {server}: closed, {up} bytes up, {down} down")
        });
        if self.logs.ends.is_on() {
            if let Some(entry) = self.entry() {
                self.logs.ends.put(&entry);
            }
        }
    }
}

/// Logs the connections that end with pen.
pub(crate) fn log_the_rest(log: &ConnLog, connections: &Connections) {
    if log.is_on() {
        let live = connections.live().into_iter();
        log.finish(live.filter_map(|(_, connection)| {
            connection.set_reason(Reason::PenEnds);
            connection.entry()
        }));
    }
}

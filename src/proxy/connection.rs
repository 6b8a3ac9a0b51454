//! A client and a server, connected: what is counted and logged of them, and how
//! they are closed. [`crate::proxy::relay`] moves the bytes.

use super::search::Lease;
use crate::http::Exchange;
use crate::pool::clients::Client;
use crate::pool::counter::{Counter, Traffic};
use crate::proxy::client_limits::Admitted;
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
    /// Its bit in `Connection::ended`. The command `connection` shows these: 4 for the
    /// server's side, 8 for the client's.
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

/// In `Connection::ended`, beside the bits of the directions: it was closed as a whole.
const CLOSED: u8 = 1;

/// A client and a server, connected. When the last thread drops it, what it holds is
/// given back in the order of the fields: the sockets, the server's lease, the slot.
#[derive(Debug)]
pub(crate) struct Connection {
    client_socket: Stream,
    server_socket: Stream,
    /// The client, without its port.
    pub(crate) client: Client,
    /// The same in the client table.
    pub(crate) tracked: Client,
    /// Whether it is a connection or, with UDP, a flow of datagrams.
    pub(crate) kind: Kind,
    /// With UDP, when a datagram came or went last. The time is a count of datagrams.
    pub(crate) touched: Counter,
    /// What is known of its HTTP requests, if these get X-Forwarded-For.
    pub(crate) http: Option<Box<Exchange>>,
    /// Bytes of headers that pen put in on the way up, less those that it took out.
    /// Wraps below 0.
    added: Counter,
    sent_up: Counter,
    sent_down: Counter,
    /// Bits: see [`Direction::bit`] and [`CLOSED`].
    ended: AtomicU8,
    ending: Ending,
    activity: Activity,
    since: Instant,
    /// The client's port, 0 for a Unix socket.
    pub(crate) port: u16,
    client_traffic: Arc<Traffic>,
    /// The number of the client's entry in the client table, when it came; -1 if it has
    /// none.
    pub(crate) client_slot: isize,
    logs: Logs,
    /// Counts for the limits of the client.
    pub(crate) admitted: Admitted,
    /// The server, and that it has one connection more.
    pub(crate) lease: Lease,
    slot: Slot,
}

impl Connection {
    /// Joins a client and the server that was found for it, and shows the connection in
    /// the table.
    pub(crate) fn new(
        logs: Logs,
        settings: &Settings,
        accepted: Accepted,
        client_socket: Stream,
        server: Connected,
        (slot, admitted): (Slot, Admitted),
    ) -> Arc<Connection> {
        let connection = Arc::new(Connection {
            client_socket,
            server_socket: server.socket,
            client: accepted.client,
            tracked: server.tracked,
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
            client_slot: server.visit.slot.try_into().unwrap_or(-1),
            logs,
            admitted,
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

    /// Counts bytes that were sent.
    pub(crate) fn moved(&self, direction: Direction, n: usize) {
        self.sent(direction).add(n as u64);
    }

    /// Counts that `client` bytes from the client are about to be sent to the server as
    /// `server` bytes.
    pub(crate) fn rewrote(&self, client: usize, server: usize) {
        self.added.add((server as u64).wrapping_sub(client as u64));
    }

    /// How many bytes have come from the sender of this direction.
    pub(crate) fn received(&self, direction: Direction) -> u64 {
        let sent = self.sent(direction).get();
        match direction {
            // Below 0: a header that pen put in has not been sent yet.
            Direction::Up => match sent.wrapping_sub(self.added.get()) {
                count if count > u64::MAX / 2 => 0,
                count => count,
            },
            Direction::Down => sent,
        }
    }

    /// How many bytes were sent this way.
    pub(crate) fn sent(&self, direction: Direction) -> &Counter {
        match direction {
            Direction::Up => &self.sent_up,
            Direction::Down => &self.sent_down,
        }
    }

    /// Logs what one read has brought, before it is passed on.
    pub(crate) fn note(&self, direction: Direction, data: &[u8]) {
        if direction == Direction::Up {
            self.logs.requests.request(self.client, &self.lease.host, data);
        }
        if message::debugging(3) {
            self.dump(direction, data);
        }
    }

    /// Notes that a direction is over.
    pub(crate) fn ended(&self, direction: Direction) {
        self.ended.fetch_or(direction.bit(), SeqCst);
    }

    /// Whether a direction is over.
    pub(crate) fn has_ended(&self, direction: Direction) -> bool {
        self.ended.load(SeqCst) & direction.bit() != 0
    }

    /// The bits of the directions that are over.
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

    /// How long no byte has moved and no side has ended.
    pub(crate) fn quiet_for(&self, now: Instant) -> Duration {
        let ended = u64::from(self.ended_bits());
        let mut moved = self.sent_up.get().wrapping_add(self.sent_down.get()).wrapping_add(ended);
        // For datagrams without any byte.
        moved = moved.wrapping_add(self.touched.get());
        self.activity.quiet_for(moved, now)
    }

    /// Sets why the connection ends, unless a reason is known ([`Ending::set`]).
    pub(crate) fn set_reason(&self, reason: Reason) {
        self.ending.set(reason);
    }

    /// Ends both directions at once: blocked reads and writes return. What was written
    /// before still goes out.
    pub(crate) fn close(&self, reason: Reason) {
        self.set_reason(reason);
        self.ended.fetch_or(CLOSED, SeqCst);
        if self.kind == Kind::Datagram {
            // All flows share the client's side. The thread that reads the server's
            // must know, as the end of a datagram socket looks like an empty datagram.
            self.ended(Direction::Up);
            self.ended(Direction::Down);
        } else {
            sys::shut(&*self.client_socket, Shutdown::Both);
        }
        sys::shut(&*self.server_socket, Shutdown::Both);
    }

    /// Ends both directions by a reset, so that neither side takes what it has got for
    /// all there is. What was not sent yet is lost. Blocked reads return at once, blocked
    /// writes within [`crate::proxy::connect::STALL`]. A Unix socket has no reset and
    /// just ends.
    pub(crate) fn reset(&self, reason: Reason) {
        self.set_reason(reason);
        self.ended.fetch_or(CLOSED, SeqCst);
        for socket in [&*self.client_socket, &*self.server_socket] {
            sys::reset_on_close(socket);
            // Not for writing: the other side would see a regular end.
            sys::shut(socket, Shutdown::Read);
        }
    }

    /// What the connection log says of it.
    fn entry(&self, reason: Reason) -> Entry {
        Entry {
            client: self.client,
            port: self.port,
            server: Some(self.lease.address()),
            up: self.received(Direction::Up),
            down: self.sent_down.get(),
            time: self.since.elapsed(),
            reason,
        }
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
        // `None` if pen ends, which has logged it.
        if let Some(reason) = self.ending.take() {
            message::debug(1, || {
                let (client, server) = (self.client, self.lease.name());
                let why = reason.word();
                format!("{client}, {server}: closed, {up} bytes up, {down} down: {why}")
            });
            self.logs.ends.ended(reason, || self.entry(reason));
        }
    }
}

/// Logs the connections that are still open when pen ends.
pub(crate) fn log_the_rest(log: &ConnLog, connections: &Connections) {
    if log.is_on() {
        let live = connections.live().into_iter();
        log.finish(live.filter_map(|(_, connection)| {
            connection.set_reason(Reason::PenEnds);
            Some(connection.entry(connection.ending.take()?))
        }));
    }
}

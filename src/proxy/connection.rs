//! One TCP or Unix-socket connection, from accept to close, read from top to
//! bottom. Bytes are [`crate::proxy::relay`]'s.

use super::search::{Lease, Search};
use crate::http::Exchange;
use crate::pool::choice::Target;
use crate::pool::clients::{Client, Visit};
use crate::pool::counter::{Counter, Traffic};
use crate::pool::request::Request;
use crate::proxy::connect::{self, Stream};
use crate::proxy::ending::{Ending, Reason};
use crate::proxy::idle::Seen;
use crate::proxy::log::connections::Entry;
use crate::proxy::relay::{self, Direction};
use crate::proxy::shared::Pen;
use crate::proxy::slots::Slot;
use crate::proxy::workers::{Buffer, Worker};
use crate::settings::{Fastclose, Settings};
use crate::sys::message::{self, Level};
use crate::sys::{self, Kind};
use crate::udp::flows::Flow;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

/// How long a client waits for what this host lacks, and between two tries.
const PATIENCE: Duration = Duration::from_secs(30);
const REST: Duration = Duration::from_millis(50);

/// A client that was accepted.
pub struct Arrival {
    /// Its socket; TCP only by name, see [`crate::proxy::connect`].
    pub socket: TcpStream,
    /// Who it is.
    pub client: Client,
    /// Its port, 0 for a Unix socket.
    pub port: u16,
    /// The thread for the server's bytes.
    pub other: Worker,
    /// The connection's place in the table.
    pub slot: Slot,
}

/// In [`Connection`]'s record of what has ended, beside the bits of the
/// directions: all of it.
const CLOSED: u8 = 1;

/// A client and a server, connected. Whoever drops it last closes it: first
/// the sockets, then the place on the server, then the slot. The order of the
/// fields is the order in which they go.
#[derive(Debug)]
pub struct Connection {
    down: Stream,
    up: Stream,
    /// Whose it is.
    pub client: Client,
    /// What a UDP flow has more than a TCP connection.
    pub flow: Option<Arc<Flow>>,
    /// What is known of its requests, if these get X-Forwarded-For.
    pub http: Option<Box<Exchange>>,
    /// Bytes sent to the server, but not by the client; less those that the
    /// server was not to see. Wraps below 0.
    added: Counter,
    sent_up: Counter,
    sent_down: Counter,
    ended: AtomicU8,
    ending: Ending,
    seen: Seen,
    since: Instant,
    /// The client's port, 0 for a Unix socket.
    port: u16,
    client_traffic: Arc<Traffic>,
    /// The client's slot in the client table when it came.
    pub client_slot: usize,
    pen: Arc<Pen>,
    /// The place on the server.
    pub lease: Lease,
    slot: Slot,
}

impl Connection {
    /// Connects a client to the server that was found. Its slot knows it from
    /// now on.
    pub fn new(
        pen: &Arc<Pen>,
        settings: &Settings,
        down: Stream,
        flow: Option<Arc<Flow>>,
        server: Connected,
        slot: Slot,
    ) -> Arc<Connection> {
        let connection = Arc::new(Connection {
            down,
            up: server.up,
            client: server.client,
            flow,
            http: settings.http.then(Box::default),
            added: Counter::default(),
            sent_up: Counter::default(),
            sent_down: Counter::default(),
            ended: AtomicU8::new(0),
            ending: Ending::default(),
            seen: Seen::default(),
            since: server.since,
            port: server.port,
            client_traffic: server.visit.traffic,
            client_slot: server.visit.slot,
            pen: Arc::clone(pen),
            lease: server.lease,
            slot,
        });
        connection.slot.attach(&connection);
        connection
    }

    /// The socket that a direction's bytes come from.
    pub fn source(&self, direction: Direction) -> &Stream {
        match direction {
            Direction::Up => &self.down,
            Direction::Down => &self.up,
        }
    }

    /// Counts bytes that went their way.
    pub fn moved(&self, direction: Direction, n: usize) {
        self.sent(direction).add(n as u64);
    }

    /// On the way up, `client` bytes are about to be sent as `server` bytes.
    pub fn rewrote(&self, client: usize, server: usize) {
        self.added.add((server as u64).wrapping_sub(client as u64));
    }

    /// Bytes that came from the sender of this direction so far.
    pub fn received(&self, direction: Direction) -> u64 {
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
    pub fn sent(&self, direction: Direction) -> &Counter {
        match direction {
            Direction::Up => &self.sent_up,
            Direction::Down => &self.sent_down,
        }
    }

    /// Takes note of what one read brought, before it is passed on.
    pub fn note(&self, direction: Direction, data: &[u8]) {
        if direction == Direction::Up {
            self.pen.log.request(self.client, &self.lease.host, data);
        }
        if message::debugging(3) {
            self.dump(direction, data);
        }
    }

    /// A direction is over.
    pub fn ended(&self, direction: Direction) {
        self.ended.fetch_or(direction.bit(), SeqCst);
    }

    /// Whether it is.
    pub fn has_ended(&self, direction: Direction) -> bool {
        self.ended.load(SeqCst) & direction.bit() != 0
    }

    /// What has ended, as the command `connection` shows it.
    pub fn ended_bits(&self) -> u8 {
        self.ended.load(SeqCst) & !CLOSED
    }

    /// Whether it was ended as a whole ([`Connection::close`]).
    pub fn is_closed(&self) -> bool {
        self.ended.load(SeqCst) & CLOSED != 0
    }

    /// The client's and the server's descriptor.
    pub fn descriptors(&self) -> [i32; 2] {
        [self.down.as_raw_fd(), self.up.as_raw_fd()]
    }

    /// How long nothing has moved and no side has ended.
    pub fn quiet_for(&self, now: Instant) -> Duration {
        let ended = u64::from(self.ended_bits());
        let mut moved = self.sent_up.get().wrapping_add(self.sent_down.get()).wrapping_add(ended);
        if let Some(flow) = &self.flow {
            // A datagram may be empty.
            moved = moved.wrapping_add(flow.touched());
        }
        self.seen.quiet_for(moved, now)
    }

    /// Which side ends it alone: what is set now.
    pub fn fastclose(&self) -> Fastclose {
        self.pen.settings().fastclose
    }

    /// It ends for this reason, unless there is another one already.
    pub fn set_reason(&self, reason: Reason) {
        self.ending.set(reason);
    }

    /// Ends both directions, whatever they are doing: blocked reads and writes
    /// return. What was written before still goes out.
    pub fn close(&self, reason: Reason) {
        self.set_reason(reason);
        self.ended.fetch_or(CLOSED, SeqCst);
        if self.flow.is_some() {
            // The client's side is everybody's. The other must know, as the
            // end of a datagram socket looks like an empty datagram.
            self.ended(Direction::Up);
            self.ended(Direction::Down);
        } else {
            sys::shut(&*self.down, Shutdown::Both);
        }
        sys::shut(&*self.up, Shutdown::Both);
    }

    /// Ends both directions as a reset does: neither end takes what it has got for
    /// all there is, and what was not sent yet is lost. Blocked reads return,
    /// blocked writes within [`connect::STALL`]. A Unix socket, which knows no
    /// reset, just ends.
    pub fn reset(&self, reason: Reason) {
        self.set_reason(reason);
        self.ended.fetch_or(CLOSED, SeqCst);
        for socket in [&*self.down, &*self.up] {
            sys::reset_on_close(socket);
            // Not for writing: that would be sent, and looks like a good end.
            sys::shut(socket, Shutdown::Read);
        }
    }

    /// For the connection log, once; `None` if it is there.
    fn entry(&self) -> Option<Entry> {
        let reason = self.ending.tell()?;
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
        let ascii = self.pen.settings().ascii;
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
        if self.pen.conn_log.is_on() {
            self.entry().iter().for_each(|entry| self.pen.conn_log.put(entry));
        }
    }
}

/// Logs the connections that end with pen.
pub fn log_the_rest(pen: &Pen) {
    if pen.conn_log.is_on() {
        let live = pen.connections.live().into_iter();
        pen.conn_log.finish(live.filter_map(|(_, connection)| {
            connection.set_reason(Reason::PenEnds);
            connection.entry()
        }));
    }
}

/// Serves one client until it has gone.
pub fn serve(pen: &Arc<Pen>, mut arrival: Arrival, buffer: &mut Buffer) {
    let client = arrival.client;
    let mut settings = pen.settings();
    arrival.slot.enter(client);
    pen.outcomes.accepted.add(1);
    if settings.dummy {
        return dummy(&arrival.socket);
    }
    let Some(Found::New(server)) = find_server(pen, &mut settings, client, arrival.port, &[], &[])
    else {
        return;
    };
    // Linux hands on what the listening socket has.
    let has_nodelay = cfg!(target_os = "linux");
    if settings.nodelay != has_nodelay && client != Client::Unix {
        // A socket that refuses this still carries data.
        let _ = arrival.socket.set_nodelay(settings.nodelay);
    }
    let down = connect::stream(arrival.socket);
    let connection = Connection::new(pen, &settings, down, None, server, arrival.slot);
    drop(settings);
    relay::run(connection, arrival.other, buffer);
}

/// Whether the access list for clients denies this one.
pub fn is_denied(settings: &Settings, client: Client) -> bool {
    let list = settings.acls.get(settings.client_acl);
    list.is_some_and(|acl| !acl.permits(client))
}

/// A server for a client.
pub enum Found {
    /// It is connected now.
    New(Connected),
    /// The client has a flow there already: this one.
    Known(Arc<Connection>),
    /// There may be one, but this host has not what a flow takes.
    Starved,
}

/// A server that was connected to for a client.
pub struct Connected {
    client: Client,
    port: u16,
    since: Instant,
    visit: Visit,
    lease: Lease,
    up: Stream,
}

/// Why a client is turned away that was not denied.
const NOBODY: &str = "no server available";

/// Finds a server: the access list decides, then what is remembered of the
/// client and the modes; the candidates are tried until one answers. Every
/// regular server tried is remembered as the client's; one that fails is
/// blacklisted. `flows` are those that the client may use further; the servers
/// in `not` are passed over. If others come into force meanwhile, `settings` are
/// exchanged for those, and the search begins again.
pub fn find_server(
    pen: &Arc<Pen>,
    settings: &mut Arc<Settings>,
    client: Client,
    port: u16,
    flows: &[Arc<Connection>],
    not: &[Target],
) -> Option<Found> {
    let since = Instant::now();
    let again = !not.is_empty();
    let visit = pen.visit(client, settings.tracking, again);
    let on: Vec<Target> = flows.iter().map(|flow| flow.lease.target).collect();
    let mut last = visit.server;
    let mut tried = not.len();
    let mut is_counted = again || !flows.is_empty();
    loop {
        let rules = Arc::clone(settings);
        let denied = is_denied(&rules, client);
        if denied && !is_counted {
            pen.outcomes.denied.add(1);
            is_counted = true;
        }
        let mut search = match denied {
            true => Search::abuse(&pen.servers),
            false => Search::new(&pen.servers),
        };
        search = search.by(&rules);
        let (modes, acls, timeout) = (&rules.modes, rules.acls.as_slice(), rules.timeout);
        let mut request = Request { client, port, last, modes, acls, timeout, on: &on, not };
        let mut reason = if denied { Reason::Denied } else { Reason::NoServer };
        while let Some(lease) = search.next(&request) {
            if let Some(flow) = flows.iter().find(|flow| flow.lease.target == lease.target) {
                return Some(Found::Known(Arc::clone(flow)));
            }
            tried += 1;
            if tried == 2 {
                pen.outcomes.redispatched.add(1);
            }
            if let Target::Server(index) = lease.target {
                if request.last != Some(index) && !rules.forgetful {
                    pen.remember(client, index);
                    request.last = Some(index);
                }
            }
            match open(&lease, &rules, client) {
                Ok(up) => {
                    // A UDP server is up when it answers.
                    if rules.start.kind == Kind::Stream {
                        is_up(&lease);
                    }
                    message::debug(1, || format!("{client}: connected to {}", lease.name()));
                    return Some(Found::New(Connected { client, port, since, visit, lease, up }));
                }
                Err(e) if rules.start.kind == Kind::Datagram && sys::is_starved(&e) => {
                    message::say_seldom(format_args!("cannot connect to {}: {e}", lease.name()));
                    return Some(Found::Starved);
                }
                Err(e) if connect::blames_server(&e) => blame(&lease, &rules, &e),
                Err(e) => {
                    message::say_seldom(format_args!("cannot connect to {}: {e}", lease.name()));
                    reason = Reason::NoResources;
                }
            }
        }
        if !search.is_outdated() {
            let (why, dropped) = match reason {
                Reason::Denied => ("denied by the access list", None),
                Reason::NoResources => (NOBODY, Some(&pen.outcomes.no_resources)),
                _ => (NOBODY, Some(&pen.outcomes.no_server)),
            };
            if let Some(count) = dropped {
                count.add(1);
            }
            message::drop_line(format_args!("{client}: {why}"));
            if pen.conn_log.is_on() && rules.start.kind == Kind::Stream {
                let (server, up, down, time) = (None, 0, 0, since.elapsed());
                pen.conn_log.put(&Entry { client, port, server, up, down, time, reason });
            }
            return None;
        }
        last = request.last;
        *settings = pen.settings();
    }
}

/// Connects to a server. If this host lacks what that takes, a TCP client waits
/// until it has it, up to [`PATIENCE`].
fn open(lease: &Lease, settings: &Settings, client: Client) -> io::Result<Stream> {
    let mut wait = None;
    loop {
        let result = connect::open(lease, settings, client);
        match &result {
            Err(e) if settings.start.kind == Kind::Stream && sys::is_starved(e) => {
                let end = wait.get_or_insert_with(|| {
                    let name = lease.name();
                    message::say_seldom(format_args!("{client} waits for {name}: {e}"));
                    Instant::now() + PATIENCE
                });
                if Instant::now() > *end {
                    return result;
                }
                thread::sleep(REST);
            }
            _ => return result,
        }
    }
}

/// A server has answered.
pub fn is_up(lease: &Lease) {
    if lease.succeeded() {
        message::say(format_args!("{} is up again", lease.name()));
    }
}

/// A server has failed. The last resorts have nobody behind them: they are
/// always worth another try.
pub fn blame(lease: &Lease, settings: &Settings, error: &io::Error) {
    let name = lease.name();
    let news = lease.failed(settings.blacklist);
    if !matches!(lease.target, Target::Server(_)) {
        message::say_seldom(format_args!("cannot connect to {name}: {error}"));
    } else if news {
        let seconds = settings.blacklist.as_secs();
        message::warn(format_args!("{name} is down for {seconds} s: {error}"));
    }
}

/// What `dummy` answers every client.
const DUMMY_PAGE: &str = "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\
    Content-Length: 45\r\nConnection: close\r\n\r\n\
    <html><body><h1>It works!</h1></body></html>\n";

/// Answers a client without any server: reads what it asks first, so that the
/// close does not reset the connection.
// Kept apart, so that its scratch space is not in every thread's stack frame.
#[inline(never)]
fn dummy(mut stream: &TcpStream) {
    if sys::wait_either(stream, stream).is_ok() && stream.read(&mut [0; 4096]).is_ok() {
        let _ = stream.write_all(DUMMY_PAGE.as_bytes());
        let _ = stream.shutdown(Shutdown::Write);
    }
}

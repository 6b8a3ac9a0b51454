//! UDP: one thread receives what all clients send and passes it on; for each
//! flow another one passes the server's answers back.
//!
//! A flow is a client's address and port (and the address and port it sent to), with a
//! connected socket of its own to its server: so the kernel sorts the answers,
//! none can reach another client, and a refusal (ICMP) is an error on that
//! socket. The refused datagram goes to the next server.
//!
//! When all slots are taken, the flow that has been idle for longest makes
//! room: a flood of senders costs no more than all connections together. The
//! first datagrams of new flows then wait in a queue, from which a thread of its
//! own takes them, so that clients that have a flow are not held up by those that
//! have none.

mod answers;
pub(crate) mod flows;
mod handed;

pub(crate) use handed::Handed;

use crate::pool::choice::Target;
use crate::pool::clients::Client;
use crate::proxy::accept::PAUSE;
use crate::proxy::client_limits::Admitted;
use crate::proxy::connect;
use crate::proxy::connection::{Connection, Direction};
use crate::proxy::ending::Reason;
use crate::proxy::find::{self, Found};
use crate::proxy::header;
use crate::proxy::shared::Pen;
use crate::proxy::slots::Slot;
use crate::proxy::socket::Stream;
use crate::proxy::workers::{BUFFER, Worker};
use crate::proxy_protocol::{self, SendProxy};
use crate::settings::Settings;
use crate::sys::addr::Host;
use crate::sys::message::{self, Trouble};
use crate::sys::process;
use crate::sys::{self, Address, Kind};
use flows::{Flow, Key};
use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

/// Datagrams that may wait in the queue. What comes while it is full is lost.
const QUEUE: usize = 256;

/// How long a new flow waits for an old one to end: the old one's thread must run for
/// that.
const PATIENCE: Duration = Duration::from_secs(2);

/// A datagram from a client.
struct Datagram<'a> {
    key: Key,
    /// The socket that it came through.
    socket: Stream,
    data: Cow<'a, [u8]>,
    /// That the client may have a flow, once that is known.
    admitted: Option<Admitted>,
    /// It may begin with a PROXY header.
    is_fresh: bool,
    /// Servers that have refused it.
    refused_by: Vec<Target>,
}

impl Datagram<'_> {
    /// Copies what it borrows from the buffer of the receiving thread.
    fn into_owned(self) -> Datagram<'static> {
        let data = Cow::Owned(self.data.into_owned());
        let Datagram { key, socket, admitted, is_fresh, refused_by, .. } = self;
        Datagram { key, socket, data, admitted, is_fresh, refused_by }
    }
}

/// What the threads of UDP share.
struct Udp {
    pen: Arc<Pen>,
    queue: SyncSender<Datagram<'static>>,
}

/// Starts the threads that receive and that make room for new flows, and goes on with
/// the flows of the process before. They run until the process ends.
pub(crate) fn start(pen: &Arc<Pen>, handed: Vec<Handed>) -> Result<(), String> {
    let (queue, pending) = mpsc::sync_channel(QUEUE);
    let udp = Arc::new(Udp { pen: Arc::clone(pen), queue });
    for (key, socket) in handed {
        if udp.go_on(&key, socket).is_none() {
            message::debug(1, || format!("{key}: a flow begins anew"));
        }
    }
    let other = Arc::clone(&udp);
    process::spawn("receive", move || udp.receive())?;
    process::spawn("queue", move || other.serve_queue(pending))
}

impl Udp {
    fn receive(self: &Arc<Udp>) {
        let pen = &self.pen;
        let mut acceptor = pen.listener.acceptor();
        let mut buffer = vec![0; BUFFER];
        let mut trouble = Trouble::default();
        loop {
            let next = acceptor.next(|open| open.receive(&mut buffer));
            if acceptor.is_over() {
                return;
            }
            if acceptor.old_was_closed() {
                // Their answers come from the old address, whose socket is closed when
                // the last of them is dropped.
                let is_over = |socket: &Stream| !acceptor.receives_with(socket);
                for flow in self.pen.flows.take_those_of(is_over) {
                    flow.connection.close(Reason::Command);
                }
            }
            match next {
                Ok((received, socket, came_in)) => {
                    let at = (socket.as_raw_fd(), came_in);
                    let key = Key { peer: received.from, here: received.to, at, named: None };
                    let data = buffer.get(..received.len).unwrap_or_default().into();
                    let (admitted, is_fresh, refused_by) = (None, true, Vec::new());
                    let datagram = Datagram { key, socket, data, admitted, is_fresh, refused_by };
                    self.deliver(datagram, None);
                }
                Err(e) if sys::is_exhausted(&e) => {
                    trouble.say(format_args!("cannot receive: {e}"));
                    thread::sleep(PAUSE);
                }
                Err(e) => message::debug(1, || format!("lost a datagram: {e}")),
            }
        }
    }

    fn begin(&self, key: Key, connection: Arc<Connection>, refused_by: Vec<Target>) -> Arc<Flow> {
        connection.touched.set(self.pen.flows.tick());
        let header = match connection.lease.send_proxy {
            SendProxy::Off => Vec::new(),
            send => {
                let here = destination(&key, connection.source(Direction::Up));
                header::about(&key.accepted(), here, send, Kind::Datagram)
            }
        };
        let flow = Arc::new(Flow::new(key, connection, header, refused_by));
        self.pen.flows.insert(&flow);
        flow
    }

    fn serve_queue(self: &Arc<Udp>, pending: Receiver<Datagram<'static>>) {
        for datagram in pending {
            let behind = self.pen.flows.pending.load(SeqCst).saturating_sub(1);
            self.deliver(datagram, Some(behind));
            self.pen.flows.pending.fetch_sub(1, SeqCst);
        }
    }

    /// Sends a datagram to a server, and to another one when it is refused. `behind` is
    /// how many datagrams wait behind it, if it has waited in the queue.
    fn deliver(self: &Arc<Udp>, datagram: Datagram, behind: Option<usize>) {
        let mut left = self.attempt(datagram, behind);
        while !left.is_empty() {
            left = left.into_iter().flat_map(|again| self.attempt(again, behind)).collect();
        }
    }

    /// Sends a datagram to the server of its flow, or of a new one. Returns what
    /// is to be sent to another server.
    fn attempt<'a>(
        self: &Arc<Udp>,
        mut datagram: Datagram<'a>,
        behind: Option<usize>,
    ) -> Vec<Datagram<'a>> {
        let pen = &self.pen;
        let mut settings = pen.settings();
        if settings.accept_proxy && datagram.is_fresh {
            match self.take_header(&settings, datagram) {
                Some(named) => datagram = named,
                None => return Vec::new(),
            }
        }
        if settings.dummy {
            return Vec::new();
        }
        let mut known = Vec::new();
        if settings.modes.each_datagram() {
            known = self.pen.flows.find_all(&datagram.key);
            known.retain(|flow| self.keep_if_current(flow));
        } else if let Some(flow) = self.pen.flows.find(&datagram.key) {
            if self.keep_if_current(&flow) {
                return self.pass(&flow, datagram);
            }
        }
        let accepted = datagram.key.accepted();
        let client = accepted.client;
        // All flows of a client's port are one connection of its.
        let its = || known.first().map(|flow| flow.connection.admitted.clone());
        let admitted = datagram.admitted.take().or_else(its);
        let Some(admitted) = admitted.or_else(|| find::admit(pen, &settings, &accepted)) else {
            return Vec::new();
        };
        datagram.admitted = Some(admitted.clone());
        // A client without a flow needs a slot, unless it is denied and gets no server:
        // then it must not take one from others.
        let mut reserved = None;
        let is_lost = find::is_denied(&settings, client) && pen.servers.table().abuse.is_none();
        if known.is_empty() && !is_lost {
            reserved = self.reserve(behind);
            if reserved.is_none() {
                return self.queue_up(client, datagram, behind);
            }
        }
        let refused_by = &datagram.refused_by;
        let on: Vec<_> = known.iter().map(|flow| flow.connection.lease.target).collect();
        let found = find::find_server(pen, &mut settings, &accepted, &on, refused_by);
        let server = match found {
            None => return Vec::new(),
            Some(Found::Known(target)) => {
                let flow = known.iter().find(|flow| flow.connection.lease.target == target);
                return flow.map_or_else(Vec::new, |flow| self.pass(flow, datagram));
            }
            Some(Found::Starved) => {
                drop(reserved);
                let Some(behind) = behind else {
                    return self.queue_up(client, datagram, None);
                };
                self.make_room(behind, 0);
                thread::sleep(PAUSE);
                return vec![datagram];
            }
            Some(Found::New(server)) => server,
        };
        drop(known);
        let Some((mut slot, thread)) = reserved.or_else(|| self.reserve(behind)) else {
            drop(server);
            return self.queue_up(client, datagram, behind);
        };
        slot.enter();
        pen.outcomes.accepted.add(1);
        let (down, place) = (Arc::clone(&datagram.socket), (slot, admitted));
        let connection = Connection::new(pen.logs(), &settings, accepted, down, server, place);
        let refused_by = datagram.refused_by.clone();
        let flow = self.begin(datagram.key.clone(), connection, refused_by);
        let left = self.pass(&flow, datagram);
        let udp = Arc::clone(self);
        thread.run(move |buffer| udp.pass_back(flow, buffer));
        left
    }

    /// Takes the PROXY header off a datagram. Returns `None` if that is turned away.
    fn take_header<'a>(&self, settings: &Settings, datagram: Datagram<'a>) -> Option<Datagram<'a>> {
        let Datagram { mut key, socket, data, admitted, refused_by, .. } = datagram;
        let sender = key.accepted();
        let why = match proxy_protocol::parse(&data) {
            _ if !header::is_trusted(settings, sender.client) => header::DENIED.to_owned(),
            Ok(Some((len, source))) => {
                key.named = Some(source);
                let data = match data {
                    Cow::Borrowed(data) => data.get(len..).unwrap_or_default().into(),
                    Cow::Owned(data) => data.get(len..).unwrap_or_default().to_vec().into(),
                };
                let is_fresh = false;
                return Some(Datagram { key, socket, data, admitted, is_fresh, refused_by });
            }
            Ok(None) => "PROXY header: incomplete".to_owned(),
            Err(why) => format!("PROXY header: {why}"),
        };
        find::turn_away(&self.pen, &sender, Kind::Datagram, Reason::NoHeader, &why, false);
        None
    }

    /// Takes a slot and a thread for a new flow: free ones, unless datagrams in the
    /// queue need those; for a datagram from the queue, if need be, those of the
    /// flows that have been idle for longest.
    fn reserve(&self, behind: Option<usize>) -> Option<(Slot, Worker)> {
        let pen = &self.pen;
        let Some(behind) = behind else {
            let is_free = self.pen.flows.pending.load(SeqCst) == 0;
            let slot = is_free.then(|| pen.connections.try_take()).flatten()?;
            return Some((slot, pen.workers.hire(Duration::ZERO).ok()?));
        };
        let slot = pen.connections.try_take().or_else(|| {
            self.make_room(behind, 0);
            pen.connections.take(|| false, PATIENCE)
        })?;
        let thread = pen.workers.hire(Duration::ZERO).or_else(|_| {
            self.make_room(behind, 1);
            pen.workers.hire(PATIENCE)
        });
        Some((slot, thread.ok()?))
    }

    /// Ends flows, for one new flow and those behind it: each takes a moment to
    /// leave, so that it is quicker to end some at once. `kept` slots are taken for
    /// new flows already.
    fn make_room(&self, behind: usize, kept: usize) {
        let connections = &self.pen.connections;
        let wanted = behind.min(connections.max() / 16) + 1;
        let taken = connections.taken().saturating_sub(kept);
        for flow in self.pen.flows.make_room(wanted, taken) {
            flow.connection.close(Reason::Limit);
        }
    }

    /// Puts a datagram into the queue, as there is no room for its flow. One that
    /// has waited there already is lost.
    fn queue_up<'a>(
        &self,
        client: Client,
        datagram: Datagram<'a>,
        behind: Option<usize>,
    ) -> Vec<Datagram<'a>> {
        self.pen.flows.pending.fetch_add(1, SeqCst);
        if behind.is_some() || self.queue.try_send(datagram.into_owned()).is_err() {
            self.pen.flows.pending.fetch_sub(1, SeqCst);
            self.pen.outcomes.limit.add(1);
            message::drop_line(format_args!("{client}: no place for another flow"));
        }
        Vec::new()
    }

    /// Tells whether a flow's server may be used further. If not, as the server is
    /// down, deleted or somewhere else, the flow is over.
    fn keep_if_current(&self, flow: &Arc<Flow>) -> bool {
        let connection = &flow.connection;
        let is_current = !connection.has_ended(Direction::Down) && connection.lease.is_current();
        if !is_current {
            self.end(flow, Reason::ServerCut);
        }
        is_current
    }

    fn end(&self, flow: &Arc<Flow>, reason: Reason) {
        self.pen.flows.remove(flow);
        flow.connection.close(reason);
    }

    /// Sends a datagram to its flow's server. Returns what is to be sent to another
    /// one.
    fn pass<'a>(&self, flow: &Arc<Flow>, datagram: Datagram<'a>) -> Vec<Datagram<'a>> {
        let connection = &flow.connection;
        let data = &*datagram.data;
        connection.touched.set(self.pen.flows.tick());
        if !flow.keep(data, Instant::now()) {
            // The flow is over, as its server has just refused another datagram.
            return vec![datagram];
        }
        connection.note(Direction::Up, data);
        let with_header = (!flow.header.is_empty()).then(|| [&flow.header, data].concat());
        let sent = with_header.as_deref().unwrap_or(data);
        match sys::send(&**connection.source(Direction::Down), sent) {
            Ok(_) => {
                connection.moved(Direction::Up, sent.len());
                connection.rewrote(data.len(), sent.len());
                if !datagram.refused_by.is_empty() {
                    // The client has sent it once, and it was counted then.
                    connection.rewrote(0, data.len());
                }
            }
            // The flow has just been ended for a new one.
            Err(_) if connection.has_ended(Direction::Down) => return vec![datagram],
            Err(e) if connect::is_refusal(&e) => return self.fail_over(flow, &e),
            Err(e) => message::debug(1, || {
                let (client, server) = (connection.client, connection.lease.name());
                format!("{client}, {server}: lost a datagram of {}: {e}", data.len())
            }),
        }
        Vec::new()
    }

    /// Blacklists a server that does not take datagrams, and ends the flow. Returns
    /// what is to be sent to the next server.
    fn fail_over(&self, flow: &Arc<Flow>, error: &io::Error) -> Vec<Datagram<'static>> {
        let (pen, connection) = (&self.pen, &flow.connection);
        let (mut left, mut refused_by) = flow.give_up();
        if matches!(*connection.lease.host, Host::Unix(_)) {
            // A Unix socket says at once which datagram it does not take.
            left.drain(..left.len().saturating_sub(1));
        }
        let settings = pen.settings();
        if connect::is_refusal(error) {
            find::blame(pen, &connection.lease, &settings, error);
        }
        self.end(flow, Reason::failed(Direction::Down, error));
        let is_last = connection.lease.target == Target::Abuse || settings.modes.stubborn;
        if is_last && !left.is_empty() {
            pen.outcomes.no_server.add(1);
            message::drop_line(format_args!("{}: refused: {error}", connection.client));
            return Vec::new();
        }
        // Each server is asked once, even if it is not blacklisted then (`-b 0`).
        refused_by.push(connection.lease.target);
        let again = left.into_iter().map(|data| Datagram {
            key: flow.key.clone(),
            socket: Arc::clone(connection.source(Direction::Up)),
            data: data.into(),
            admitted: Some(connection.admitted.clone()),
            is_fresh: false,
            refused_by: refused_by.clone(),
        });
        again.collect()
    }
}

/// The address of this host that a datagram came to through this socket, if that is known.
fn destination(key: &Key, socket: &Stream) -> Option<SocketAddr> {
    match (sys::local_address(&**socket).ok()?, key.here) {
        (Address::Inet(bound), Some(here)) => Some((here.ip(), bound.port()).into()),
        (Address::Inet(bound), None) => Some(bound),
        (Address::Unix(_), _) => None,
    }
}

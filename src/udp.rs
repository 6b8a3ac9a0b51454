//! UDP: one thread receives what all clients send and passes it on; for each
//! flow another one passes the server's answers back.
//!
//! A flow is a client's address and port (and the address it sent to), with a
//! connected socket of its own to its server: so the kernel sorts the answers,
//! none can reach another client, and a refusal (ICMP) is an error on that
//! socket. The refused datagram goes to the next server.
//!
//! When all slots are taken, the flow that has been idle for longest makes
//! room: a flood of senders costs no more than all connections together. Those
//! who have no flow then wait in [`crate::udp::queue`], apart from those who have.

pub mod flows;
pub mod queue;

use crate::pool::choice::Target;
use crate::pool::clients::Client;
use crate::proxy::accept::PAUSE;
use crate::proxy::connect;
use crate::proxy::connection::{Connection, Direction};
use crate::proxy::ending::Reason;
use crate::proxy::find::{self, Found};
use crate::proxy::listener::{Accepted, Listener};
use crate::proxy::shared::Pen;
use crate::proxy::slots::Slot;
use crate::proxy::socket::Stream;
use crate::proxy::workers::{BUFFER, Buffer, Worker};
use crate::sys::addr::Host;
use crate::sys::message::{self, Trouble};
use crate::sys::{self, Peer};
use crate::udp::flows::{Flow, Key};
use std::borrow::Cow;
use std::io::{self, BufRead};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a flow that had to make room may take to do so: its thread must have
/// its turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// A datagram from a client.
pub struct Datagram<'a> {
    key: Key,
    /// The socket that it came through.
    socket: Stream,
    data: Cow<'a, [u8]>,
    /// Servers that have refused it.
    refused_by: Vec<Target>,
}

/// Receives until the process ends.
pub fn receive_loop(pen: &Arc<Pen>) {
    let mut acceptor = pen.listener.acceptor();
    let mut buffer = vec![0; BUFFER];
    let mut trouble = Trouble::default();
    loop {
        let next = acceptor.next(|open: &Listener| open.receive(&mut buffer));
        if acceptor.has_left() {
            // Their answers come from the old place. Its socket goes with
            // the last of them.
            for flow in pen.flows.take_all() {
                flow.close(Reason::Command);
            }
        }
        match next {
            Ok((received, socket)) => {
                let datagram = Datagram {
                    key: Key { peer: received.from, here: received.to },
                    socket,
                    data: buffer.get(..received.len).unwrap_or_default().into(),
                    refused_by: Vec::new(),
                };
                deliver(pen, datagram);
            }
            Err(e) if sys::is_exhausted(&e) => {
                trouble.say(format_args!("cannot receive: {e}"));
                std::thread::sleep(PAUSE);
            }
            Err(e) => message::debug(1, || format!("lost a datagram: {e}")),
        }
    }
}

impl Datagram<'_> {
    /// The same with bytes of its own.
    fn into_owned(self) -> Datagram<'static> {
        Datagram {
            key: self.key,
            socket: self.socket,
            data: match self.data {
                Cow::Borrowed(data) => flows::copy(data, Vec::new()).into(),
                Cow::Owned(data) => data.into(),
            },
            refused_by: self.refused_by,
        }
    }
}

/// Makes room for new flows until the process ends.
pub fn crowd_loop(pen: &Arc<Pen>) {
    loop {
        let (datagram, behind) = pen.crowd.next();
        bring(pen, datagram, Some(behind));
    }
}

/// Brings a datagram to a server.
fn deliver(pen: &Arc<Pen>, datagram: Datagram) {
    bring(pen, datagram, None);
}

/// Brings a datagram to a server, and what is refused to another one. `behind`
/// says how many wait behind it, if it waited.
fn bring(pen: &Arc<Pen>, datagram: Datagram, behind: Option<usize>) {
    let mut left = attempt(pen, datagram, behind);
    while !left.is_empty() {
        let again = left.into_iter();
        left = again.flat_map(|d| attempt(pen, d, behind)).collect();
    }
}

/// Sends a datagram to the server of its flow, or of a new one. What that does
/// not take comes back.
fn attempt<'a>(pen: &Arc<Pen>, datagram: Datagram<'a>, behind: Option<usize>) -> Vec<Datagram<'a>> {
    let mut settings = pen.settings();
    if settings.dummy {
        return Vec::new();
    }
    let mut known = Vec::new();
    if settings.modes.each_datagram() {
        known = pen.flows.find_all(&datagram.key);
        known.retain(|flow| keep_if_current(pen, flow));
    } else if let Some(flow) = pen.flows.find(&datagram.key) {
        if keep_if_current(pen, &flow) {
            return pass(pen, flow, datagram);
        }
    }
    let accepted = match &datagram.key.peer {
        Peer::Inet(addr) => Accepted::from_inet(*addr),
        Peer::Unix(_) => Accepted::from_unix(),
    };
    let client = accepted.client;
    // Without a flow it will need a place for sure, unless nobody is to serve
    // it: who is denied takes none from others.
    let mut room = None;
    let nobody = find::is_denied(&settings, client) && pen.servers.table().abuse.is_none();
    if known.is_empty() && !nobody {
        room = place(pen, behind);
        if room.is_none() {
            return wait(pen, client, datagram, behind);
        }
    }
    let refused_by = &datagram.refused_by;
    let is_new = known.is_empty() && refused_by.is_empty();
    let found = find::find_server(pen, &mut settings, &accepted, &known, refused_by);
    drop(known);
    if is_new && matches!(found, None | Some(Found::New(_))) {
        pen.outcomes.accepted.add(1);
    }
    let server = match found {
        None => return Vec::new(),
        Some(Found::Known(flow)) => return pass(pen, flow, datagram),
        Some(Found::Starved) => {
            drop(room);
            let Some(behind) = behind else {
                return wait(pen, client, datagram, behind);
            };
            make_room(pen, behind, 0);
            std::thread::sleep(PAUSE);
            return vec![datagram];
        }
        Some(Found::New(server)) => server,
    };
    let Some((mut slot, thread)) = room.or_else(|| place(pen, behind)) else {
        drop(server);
        return wait(pen, client, datagram, behind);
    };
    slot.enter(client);
    let flow = Arc::new(Flow::new(datagram.key.clone(), datagram.refused_by.clone()));
    flow.touch(pen.flows.tick());
    let down = Arc::clone(&datagram.socket);
    let flow = Connection::new(pen.logs(), &settings, accepted, down, Some(flow), server, slot);
    pen.flows.insert(&flow);
    let there = Arc::clone(pen);
    let answers = Arc::clone(&flow);
    let left = pass(pen, flow, datagram);
    thread.run(move |buffer| pass_back(&there, answers, buffer));
    left
}

/// A slot and a thread for a new flow: free ones, unless others wait for those;
/// for one who waited, if need be those of the flow idle for longest. With many
/// behind it, some flows more make room at once: each takes a moment to do so,
/// and those that are about to count.
fn place(pen: &Pen, behind: Option<usize>) -> Option<(Slot, Worker)> {
    let Some(behind) = behind else {
        let free = pen.crowd.is_empty();
        let slot = free.then(|| pen.connections.take_now()).flatten()?;
        return Some((slot, pen.workers.hire(Duration::ZERO).ok()?));
    };
    let slot = pen.connections.take_now().or_else(|| {
        make_room(pen, behind, 0);
        pen.connections.take(|| false, PATIENCE)
    })?;
    let thread = pen.workers.hire(Duration::ZERO).or_else(|_| {
        make_room(pen, behind, 1);
        pen.workers.hire(PATIENCE)
    });
    Some((slot, thread.ok()?))
}

/// Has flows leave. Slots that are `kept` for new ones are not about to be free.
fn make_room(pen: &Pen, behind: usize, kept: usize) {
    let most = pen.connections.max() / 16;
    let leaving = pen.connections.taken();
    let leaving = leaving.saturating_sub(pen.flows.count() + kept);
    for _ in leaving..=behind.min(most) {
        if let Some(oldest) = pen.flows.take_oldest() {
            oldest.close(Reason::Limit);
        }
    }
}

/// No place: the datagram waits for one, but only once.
fn wait<'a>(
    pen: &Pen,
    client: Client,
    datagram: Datagram<'a>,
    behind: Option<usize>,
) -> Vec<Datagram<'a>> {
    if behind.is_some() || !pen.crowd.join(datagram.into_owned()) {
        pen.outcomes.limit.add(1);
        message::drop_line(format_args!("{client}: no place for another flow"));
    }
    Vec::new()
}

/// Whether a flow's server may be used further. If not, the flow is over: the
/// server is down, deleted or somewhere else.
fn keep_if_current(pen: &Pen, flow: &Arc<Connection>) -> bool {
    let current = !flow.has_ended(Direction::Down) && flow.lease.is_current();
    if !current {
        end(pen, flow, Reason::ServerCut);
    }
    current
}

fn end(pen: &Pen, flow: &Arc<Connection>, reason: Reason) {
    pen.flows.remove(flow);
    flow.close(reason);
}

/// Sends a datagram to its flow's server. What that does not take comes back.
fn pass<'a>(pen: &Pen, connection: Arc<Connection>, datagram: Datagram<'a>) -> Vec<Datagram<'a>> {
    let Some(flow) = &connection.flow else {
        return Vec::new();
    };
    let data = &*datagram.data;
    flow.touch(pen.flows.tick());
    if !flow.keep(data, Instant::now()) {
        // Its server has just refused another one.
        return vec![datagram];
    }
    connection.note(Direction::Up, data);
    match sys::send(&**connection.source(Direction::Down), data) {
        Ok(_) => {
            connection.moved(Direction::Up, data.len());
            if !datagram.refused_by.is_empty() {
                // The client has sent it once.
                connection.rewrote(0, data.len());
            }
        }
        // It had to make room at this very moment.
        Err(_) if connection.has_ended(Direction::Down) => return vec![datagram],
        Err(e) if connect::is_refusal(&e) => return fail_over(pen, connection, &e),
        Err(e) => message::debug(1, || {
            let (client, server) = (connection.client, connection.lease.name());
            format!("{client}, {server}: lost a datagram of {}: {e}", data.len())
        }),
    }
    Vec::new()
}

/// A flow's thread: passes answers back until the flow is over.
fn pass_back(pen: &Arc<Pen>, connection: Arc<Connection>, buffer: &mut Buffer) {
    let source = Arc::clone(connection.source(Direction::Down));
    let result = buffer.lend(source, |reader| {
        loop {
            match reader.fill_buf() {
                Ok(_) if connection.has_ended(Direction::Down) => return Ok(()),
                Ok(data) => {
                    answer(pen, &connection, data);
                    let len = data.len();
                    reader.consume(len);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    });
    match result {
        Ok(()) => end(pen, &connection, Reason::ServerClosed),
        Err(e) => {
            for datagram in fail_over(pen, connection, &e) {
                deliver(pen, datagram);
            }
        }
    }
}

/// Sends an answer to the client.
fn answer(pen: &Pen, connection: &Connection, data: &[u8]) {
    let Some(flow) = &connection.flow else {
        return;
    };
    if !flow.answered() {
        return;
    }
    connection.note(Direction::Down, data);
    flow.touch(pen.flows.tick());
    find::is_up(&connection.lease);
    let client: &std::fs::File = connection.source(Direction::Up);
    match sys::send_to(client, data, &flow.key.peer, flow.key.here) {
        Ok(()) => connection.moved(Direction::Down, data.len()),
        Err(e) => message::debug(1, || {
            format!("{}: lost an answer of {}: {e}", connection.client, data.len())
        }),
    }
}

/// A server does not take datagrams: it is left alone for the blacklist time,
/// the flow is over, and what it did not take comes back, for the next one.
fn fail_over(pen: &Pen, connection: Arc<Connection>, error: &io::Error) -> Vec<Datagram<'static>> {
    let Some(flow) = &connection.flow else {
        return Vec::new();
    };
    // A Unix socket says at once which datagram it does not take.
    let mut left = flow.give_up(matches!(*connection.lease.host, Host::Unix(_)));
    let settings = pen.settings();
    if connect::is_refusal(error) {
        find::blame(&connection.lease, &settings, error);
    }
    end(pen, &connection, Reason::failed(Direction::Down, error));
    let is_last = connection.lease.target == Target::Abuse || settings.modes.stubborn;
    if !left.datagrams.is_empty() && is_last {
        pen.outcomes.no_server.add(1);
        message::drop_line(format_args!("{}: refused: {error}", connection.client));
        return Vec::new();
    }
    // Each is asked once, even if it is not left alone after that (`-b 0`).
    left.refused_by.push(connection.lease.target);
    let datagrams = left.datagrams.into_iter();
    datagrams
        .map(|data| Datagram {
            key: flow.key.clone(),
            socket: Arc::clone(connection.source(Direction::Up)),
            data: data.into(),
            refused_by: left.refused_by.clone(),
        })
        .collect()
}

//! Finds a server for a client and connects to it: what the client table remembers
//! and the choice give candidates, and the first one that answers is taken. A
//! failure blacklists a server.

use super::search::{Lease, Search};
use crate::pool::choice::Target;
use crate::pool::clients::{Client, Visit};
use crate::pool::request::Request;
use crate::proxy::changes;
use crate::proxy::client_limits::{self, Admitted};
use crate::proxy::connect;
use crate::proxy::ending::Reason;
use crate::proxy::listener::Accepted;
use crate::proxy::log::connections::Entry;
use crate::proxy::servers::Servers;
use crate::proxy::shared::Pen;
use crate::proxy::socket::Stream;
use crate::settings::Settings;
use crate::sys::message;
use crate::sys::{self, Kind};
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a client waits for what this host lacks, and between two tries.
const PATIENCE: Duration = Duration::from_secs(30);
const REST: Duration = Duration::from_millis(50);

/// Whether the access list for clients denies this one.
pub fn is_denied(settings: &Settings, client: Client) -> bool {
    let list = settings.acls.get(settings.client_acl);
    list.is_some_and(|acl| !acl.permits(client))
}

/// Begins the search for a client's server, by these settings.
pub(crate) fn search(servers: &Arc<Servers>, rules: &Arc<Settings>, is_denied: bool) -> Search {
    let search = match is_denied {
        true => Search::abuse(servers),
        false => Search::new(servers),
    };
    search.by(rules)
}

/// A server for a client.
pub enum Found {
    /// It is connected now.
    New(Connected),
    /// The client has a flow to this one already.
    Known(Target),
    /// There may be one, but this host lacks what a flow takes.
    Starved,
}

/// A server that was connected to for a client.
pub struct Connected {
    /// The client in the client table.
    pub tracked: Client,
    /// What the table says of it.
    pub visit: Visit,
    /// The place on the server.
    pub lease: Lease,
    /// The socket.
    pub socket: Stream,
}

/// Finds a server for a client and connects to it. The access list decides first,
/// then the client table and the modes; pen tries the candidates until one answers.
/// It remembers every regular server that it tries as the client's, and blacklists
/// one that fails. The client has UDP flows to the servers in `on`; those in
/// `not` are passed over. If other settings come into force meanwhile, `settings`
/// becomes those, and the search begins again.
pub fn find_server(
    pen: &Arc<Pen>,
    settings: &mut Arc<Settings>,
    accepted: &Accepted,
    on: &[Target],
    not: &[Target],
) -> Option<Found> {
    let Accepted { client, port, came_in, .. } = *accepted;
    let again = !not.is_empty();
    let tracked = client.network(settings.modes.prefix);
    let visit = match accepted.is_tracked() {
        true => pen.visit(tracked, settings.tracking, again),
        false => Visit::none(),
    };
    let mut last = visit.server;
    let mut tried = not.len();
    let mut is_counted = again || !on.is_empty();
    loop {
        let rules = Arc::clone(settings);
        let denied = is_denied(&rules, client);
        if denied && !is_counted {
            pen.outcomes.denied.add(1);
            is_counted = true;
        }
        let mut search = search(&pen.servers, &rules, denied);
        let (modes, acls, timeout) = (&rules.modes, rules.acls.as_slice(), rules.timeout);
        let mut request = Request { client, port, came_in, last, modes, acls, timeout, on, not };
        let mut reason = if denied { Reason::Denied } else { Reason::NoServer };
        while let Some(lease) = search.next(&request) {
            if on.contains(&lease.target) {
                return Some(Found::Known(lease.target));
            }
            tried += 1;
            if tried == 2 {
                pen.outcomes.redispatched.add(1);
            }
            if let Target::Server(index) = lease.target {
                if request.last != Some(index) && !rules.forgetful && accepted.is_tracked() {
                    pen.remember(tracked, index);
                    request.last = Some(index);
                }
            }
            match open(&lease, &rules, client) {
                Ok((socket, began)) => {
                    // A UDP server is up when it answers.
                    if rules.start.kind == Kind::Stream {
                        let now = Instant::now();
                        lease.answers.count(now.saturating_duration_since(began), now);
                        note_answer(pen, &lease, now);
                    }
                    message::debug(1, || format!("{client}: connected to {}", lease.name()));
                    return Some(Found::New(Connected { tracked, visit, lease, socket }));
                }
                Err(e) if rules.start.kind == Kind::Datagram && sys::is_starved(&e) => {
                    message::say_seldom(format_args!("cannot connect to {}: {e}", lease.name()));
                    return Some(Found::Starved);
                }
                Err(e) if connect::blames_server(&e) => blame(pen, &lease, &rules, &e),
                Err(e) => {
                    message::say_seldom(format_args!("cannot connect to {}: {e}", lease.name()));
                    reason = Reason::NoResources;
                }
            }
        }
        if !search.is_outdated() {
            let why = match reason {
                Reason::Denied => "denied by the access list",
                _ => "no server available",
            };
            turn_away(pen, accepted, rules.start.kind, reason, why, again);
            return None;
        }
        last = request.last;
        *settings = pen.settings();
    }
}

/// Admits a client, or turns it away, if it is over one of its limits.
pub(crate) fn admit(pen: &Pen, settings: &Settings, accepted: &Accepted) -> Option<Admitted> {
    match client_limits::admit(pen, settings, accepted) {
        Ok(admitted) => Some(admitted),
        Err(over) => {
            over.count.add(1);
            let (kind, reason) = (settings.start.kind, Reason::ClientLimit);
            turn_away(pen, accepted, kind, reason, over.why, false);
            None
        }
    }
}

/// Counts and logs a client that gets no server. What is sent `again` belonged to a flow
/// whose server has refused it, and whose end is counted.
pub(crate) fn turn_away(
    pen: &Pen,
    accepted: &Accepted,
    kind: Kind,
    reason: Reason,
    why: &str,
    again: bool,
) {
    let Accepted { client, port, since, .. } = *accepted;
    match reason {
        Reason::Denied | Reason::ClientLimit => {}
        Reason::NoHeader => drop(pen.outcomes.no_header.add(1)),
        Reason::NoResources => drop(pen.outcomes.no_resources.add(1)),
        _ => drop(pen.outcomes.no_server.add(1)),
    }
    message::drop_line(format_args!("{client}: {why}"));
    match kind {
        Kind::Stream => pen.conn_log.ended(reason, || {
            let (server, up, down, time) = (None, 0, 0, since.elapsed());
            Entry { client, port, server, up, down, time, reason }
        }),
        Kind::Datagram if again => {}
        Kind::Datagram => {
            pen.outcomes.accepted.add(1);
            pen.conn_log.ends.count(reason);
        }
    }
}

/// Connects to a server. If this host lacks what that takes, a TCP client waits
/// until it has it, up to [`PATIENCE`]. Returns also when the connect began.
fn open(lease: &Lease, settings: &Settings, client: Client) -> io::Result<(Stream, Instant)> {
    let mut wait = None;
    loop {
        let began = Instant::now();
        let result = connect::open(&lease.host, lease.port, settings, client, settings.timeout)
            .map(|socket| (socket, began));
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

/// Takes note that a server has answered.
pub fn note_answer(pen: &Pen, lease: &Lease, now: Instant) {
    if let Some(change) = lease.succeeded(now) {
        changes::announce(pen, lease.target, &lease.host, lease.port, change);
    }
}

/// Blacklists a server that has failed. The emergency and the abuse server have no
/// other server behind them, so they are always worth another try.
pub fn blame(pen: &Pen, lease: &Lease, settings: &Settings, error: &io::Error) {
    let change = lease.failed(settings.blacklist, &error.to_string());
    if !matches!(lease.target, Target::Server(_)) {
        message::say_seldom(format_args!("cannot connect to {}: {error}", lease.name()));
    } else if let Some(change) = change {
        changes::announce(pen, lease.target, &lease.host, lease.port, change);
    }
}

//! The server table: addresses, limits, who is down, who has how many
//! connections. A [`Lease`] is a place on a server: it counts from the moment
//! a connect is tried until the connection is gone, whatever way it goes.

use crate::acl::Acl;
use crate::addr::{Host, ServerSpec};
use crate::balance::{self, Modes, Order, Target};
use crate::client::Client;
use crate::settings::Settings;
use crate::stats::Traffic;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub mod edit;

/// One server.
#[derive(Debug)]
pub struct Server {
    /// Where it is.
    pub host: Arc<Host>,
    /// TCP port, 0 = none.
    pub port: u16,
    /// Soft limit on connections, 0 = none.
    pub max: u32,
    /// Limit for clients that were here last time.
    pub hard: u32,
    /// Share in weight mode.
    pub weight: u32,
    /// Rank in prio mode.
    pub prio: i32,
    /// Index of the access list that its clients must pass.
    pub acl: usize,
    /// Turns saved up, where each datagram is balanced by weight.
    pub credit: i64,
    /// Connections now, those being made included.
    pub connections: u32,
    /// Connects tried since it is there.
    pub connects: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Bytes to (`sx`) and from (`rx`) the server.
    pub traffic: Arc<Traffic>,
    blacklisted: Option<Instant>,
    /// Whether a command blacklisted it, and not a failure.
    drained: bool,
}

/// What a server is good for at a moment: the first that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No address or no port.
    Empty,
    /// A connect failed.
    Down,
    /// Left alone by command.
    Drained,
    /// At its soft limit.
    Full,
    /// Takes new clients.
    Up,
}

impl State {
    /// The word for it in reports.
    pub fn word(self) -> &'static str {
        match self {
            State::Empty => "empty",
            State::Down => "down",
            State::Drained => "drained",
            State::Full => "full",
            State::Up => "up",
        }
    }
}

impl Server {
    /// A server without connections or history.
    pub fn new(spec: ServerSpec) -> Server {
        Server {
            host: Arc::new(spec.host),
            port: spec.port,
            max: spec.max,
            hard: spec.hard,
            weight: spec.weight,
            prio: spec.prio,
            acl: 0,
            credit: 0,
            connections: 0,
            connects: 0,
            failures: 0,
            traffic: Arc::default(),
            blacklisted: None,
            drained: false,
        }
    }

    /// A slot that is never chosen until it gets an address.
    pub fn empty(port: u16) -> Server {
        Server::new(ServerSpec { port, ..ServerSpec::default() })
    }

    /// The words behind `server N` that make it what it is.
    pub fn commands(&self) -> String {
        format!(
            "acl {} address {} port {} max {} hard {} weight {} prio {}",
            self.acl,
            self.host.word(),
            self.port,
            self.max,
            self.hard,
            self.weight,
            self.prio
        )
    }

    /// As an operand: what [`crate::addr::server`] reads back.
    pub fn operand(&self) -> String {
        let host = match self.host.word() {
            host if host.contains(':') || host.starts_with('[') => format!("[{host}]"),
            host => host,
        };
        let rest = format!(":{}:{}:{}:{}", self.max, self.hard, self.weight, self.prio);
        // The port stays: without one it would be the listening port.
        format!("{host}:{}{}", self.port, rest.trim_end_matches(":0"))
    }

    /// Whether it can be chosen at all: an address, a port, not blacklisted.
    pub fn is_available(&self, now: Instant) -> bool {
        !self.is_empty() && self.blacklist_left(now).is_zero()
    }

    fn is_empty(&self) -> bool {
        *self.host == Host::Empty || self.port == 0
    }

    /// What it is good for now.
    #[inline(never)]
    pub fn state(&self, now: Instant) -> State {
        if self.is_empty() {
            State::Empty
        } else if !self.is_available(now) {
            match self.drained {
                true => State::Drained,
                false => State::Down,
            }
        } else if self.is_full(false) {
            State::Full
        } else {
            State::Up
        }
    }

    /// How much longer it is blacklisted.
    pub fn blacklist_left(&self, now: Instant) -> Duration {
        self.blacklisted.map_or(Duration::ZERO, |end| end.saturating_duration_since(now))
    }

    /// Blacklists it until then, as it failed.
    pub fn blacklist_until(&mut self, end: Instant) {
        self.blacklisted = Some(end);
        self.drained = false;
    }

    /// Blacklists it until then, as somebody wants it so.
    pub fn drain_until(&mut self, end: Instant) {
        self.blacklisted = Some(end);
        self.drained = true;
    }

    /// Clears the blacklisting; whether there was one, run out or not.
    pub fn clear_blacklist(&mut self) -> bool {
        self.blacklisted.take().is_some()
    }

    /// Full: at the soft limit, for those who were here last time at the hard
    /// limit too.
    fn is_full(&self, was_here: bool) -> bool {
        self.max != 0
            && self.connections >= self.max
            && (!was_here || self.connections >= self.hard)
    }
}

/// All servers. One lock, held for moments.
#[derive(Debug, Default)]
pub struct Servers(Mutex<Table>);

/// What the lock guards.
#[derive(Debug, Default)]
pub struct Table {
    /// The regular servers, by index.
    pub servers: Vec<Server>,
    /// The server of last resort.
    pub emergency: Option<Server>,
    /// Where denied clients go.
    pub abuse: Option<Server>,
    /// The settings in force. They are under the same lock, so that nobody
    /// chooses among new servers by old settings, or the other way round.
    pub settings: Arc<Settings>,
    cursor: usize,
}

/// What is known of a connection when a server is wanted for it.
pub struct Request<'a> {
    /// Whose it is.
    pub client: Client,
    /// The client's port.
    pub port: u16,
    /// The regular server that the client was on last.
    pub last: Option<usize>,
    /// The switches in force.
    pub modes: &'a Modes,
    /// The access lists in force.
    pub acls: &'a [Acl],
    /// Servers that the client has a UDP flow on: never full for it.
    pub on: &'a [Target],
    /// Servers that have refused already.
    pub not: &'a [Target],
}

impl Table {
    /// The server at a target, if there is one.
    pub fn get_mut(&mut self, target: Target) -> Option<&mut Server> {
        match target {
            Target::Server(index) => self.servers.get_mut(index),
            Target::Emergency => self.emergency.as_mut(),
            Target::Abuse => self.abuse.as_mut(),
        }
    }

    /// Makes the table reach to `index`; new slots get this port.
    pub fn fill(&mut self, index: usize, port: u16) {
        while self.servers.len() <= index {
            self.servers.push(Server::empty(port));
        }
    }

    /// The server chosen last in turn.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    fn order(&mut self, request: &Request, now: Instant) -> Order {
        let count = self.servers.len();
        let modes = request.modes;
        let back = request.last.filter(|last| !modes.roundrobin && *last < count);
        let (client, port) = (request.client, request.port);
        let start = back.unwrap_or_else(|| {
            balance::first_choice(&mut self.servers, modes, &mut self.cursor, client, port, now)
        });
        Order::new(start, count, modes.stubborn)
    }

    /// Takes a place on the server, unless it is to be refused unasked: no
    /// address or port, blacklisted, full, its own list denies the client, or
    /// it has refused already.
    fn take(&mut self, target: Target, request: &Request, now: Instant) -> Option<Place> {
        if request.not.contains(&target) {
            return None;
        }
        let was_here = target == request.last.map_or(Target::Abuse, Target::Server);
        let server = self.get_mut(target)?;
        // The abuse server is there for those who are denied.
        let denied = target != Target::Abuse
            && request.acls.get(server.acl).is_some_and(|acl| !acl.permits(request.client));
        let full = server.is_full(was_here) && !request.on.contains(&target);
        if !server.is_available(now) || full || denied {
            return None;
        }
        server.connections += 1;
        server.connects = server.connects.wrapping_add(1);
        Some(Place {
            host: Arc::clone(&server.host),
            port: server.port,
            traffic: Arc::clone(&server.traffic),
            was_down: server.blacklisted.is_some(),
        })
    }
}

struct Place {
    host: Arc<Host>,
    port: u16,
    traffic: Arc<Traffic>,
    was_down: bool,
}

/// A place on a server, given back when dropped.
#[derive(Debug)]
pub struct Lease {
    servers: Arc<Servers>,
    /// Which server.
    pub target: Target,
    /// Where it was when the place was taken.
    pub host: Arc<Host>,
    /// Its port then.
    pub port: u16,
    /// Where its bytes are counted.
    pub traffic: Arc<Traffic>,
    was_down: bool,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut table = crate::lock(&self.servers.0);
        if let Some(server) = table.get_mut(self.target) {
            server.connections = server.connections.saturating_sub(1);
        }
    }
}

impl Lease {
    /// Text for messages: where it is, and which server that is.
    pub fn name(&self) -> String {
        let which = match self.target {
            Target::Server(index) => format!("server {index}"),
            Target::Emergency => "emergency server".to_owned(),
            Target::Abuse => "abuse server".to_owned(),
        };
        match *self.host {
            Host::Inet(_) => format!("{which} ({}, port {})", self.host, self.port),
            _ => format!("{which} ({})", self.host),
        }
    }

    /// Where it is, as an operand has it.
    pub fn address(&self) -> String {
        match &*self.host {
            Host::Inet(all) => match all.first() {
                Some(first) => SocketAddr::new(first.ip(), self.port).to_string(),
                None => self.host.to_string(),
            },
            other => other.to_string(),
        }
    }

    /// The server's number in reports, -1 if it is not a regular one.
    pub fn number(&self) -> i64 {
        match self.target {
            Target::Server(index) => i64::try_from(index).unwrap_or(-1),
            Target::Emergency | Target::Abuse => -1,
        }
    }

    /// Whether a UDP flow may stay: its server is where it was and available.
    /// The last resort is not any more once a regular server is back.
    pub fn is_current(&self) -> bool {
        let now = Instant::now();
        let mut table = crate::lock(&self.servers.0);
        let mut regular = table.servers.iter();
        if self.target == Target::Emergency && regular.any(|server| server.is_available(now)) {
            return false;
        }
        table.get_mut(self.target).is_some_and(|server| {
            let same = Arc::ptr_eq(&server.host, &self.host) || server.host == self.host;
            same && server.port == self.port && server.is_available(now)
        })
    }

    /// The connect succeeded. Whether the server had been down before.
    pub fn succeeded(&self) -> bool {
        self.was_down
            && crate::lock(&self.servers.0)
                .get_mut(self.target)
                .is_some_and(Server::clear_blacklist)
    }

    /// The connect failed: blacklists the server for `time`, unless it is a
    /// last resort. Whether that is news.
    pub fn failed(&self, time: Duration) -> bool {
        let now = Instant::now();
        let mut table = crate::lock(&self.servers.0);
        let Some(server) = table.get_mut(self.target) else {
            return false;
        };
        server.failures = server.failures.wrapping_add(1);
        if !matches!(self.target, Target::Server(_)) {
            return false;
        }
        let news = !self.was_down && server.blacklist_left(now).is_zero();
        if let Some(end) = now.checked_add(time) {
            server.blacklist_until(end);
        }
        news
    }
}

/// The search for one connection's server: gives the candidates one by one.
pub struct Search {
    servers: Arc<Servers>,
    order: Option<Order>,
    rules: Option<Arc<Settings>>,
    is_outdated: bool,
}

impl Search {
    /// Begins; nothing is chosen yet.
    pub fn new(servers: &Arc<Servers>) -> Search {
        Search { servers: Arc::clone(servers), order: None, rules: None, is_outdated: false }
    }

    /// Begins with the abuse server, and ends there.
    pub fn abuse(servers: &Arc<Servers>) -> Search {
        Search { order: Some(Order::abuse()), ..Search::new(servers) }
    }

    /// The search ends when other settings than these are in force.
    pub fn by(self, rules: &Arc<Settings>) -> Search {
        Search { rules: Some(Arc::clone(rules)), ..self }
    }

    /// Whether it has ended for that reason: it is to begin again.
    pub fn is_outdated(&self) -> bool {
        self.is_outdated
    }

    /// A place on the next server that takes one; `None` when there is none.
    pub fn next(&mut self, request: &Request) -> Option<Lease> {
        let now = Instant::now();
        let mut table = crate::lock(&self.servers.0);
        self.is_outdated =
            self.rules.as_ref().is_some_and(|rules| !Arc::ptr_eq(rules, &table.settings));
        if self.is_outdated {
            return None;
        }
        let order = self.order.get_or_insert_with(|| table.order(request, now));
        order.find_map(|target| {
            let place = table.take(target, request, now)?;
            Some(Lease {
                servers: Arc::clone(&self.servers),
                target,
                host: place.host,
                port: place.port,
                traffic: place.traffic,
                was_down: place.was_down,
            })
        })
    }
}

impl Servers {
    /// The table under its lock, for reading and changing it.
    pub fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        crate::lock(&self.0)
    }
}

#[cfg(test)]
mod tests;

//! The search for a connection's server. It takes a [`Lease`], a place on a
//! server: this counts from the moment a connect is tried until the connection
//! is gone, whatever way it goes.

use super::servers::{Servers, Table};
use crate::pool::answers::Answers;
use crate::pool::choice::{self, Rule, Target};
use crate::pool::counter::Traffic;
use crate::pool::health::{Change, State};
use crate::pool::request::{Refusal, Request};
use crate::pool::server::Server;
use crate::proxy_protocol::SendProxy;
use crate::settings::Settings;
use crate::sys::Address;
use crate::sys::addr::Host;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How far a search has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The server that the client was on last.
    Back,
    /// One after the other, as new clients get them.
    Choice,
    /// The emergency server.
    Emergency,
    /// Nobody else is left: servers that failed lately, the one whose time is
    /// over first before the others.
    LastResort,
    /// The abuse server, and nothing behind it.
    Abuse,
    End,
}

/// How a server became a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// The client was there last.
    Back,
    /// The modes chose it.
    Chosen(Rule),
    /// It is the emergency server, and no other takes the client.
    Emergency,
    /// It has failed, and no other takes the client.
    LastResort,
    /// It is the abuse server, and the client is denied.
    Abuse,
}

impl How {
    /// Whether no regular server was available.
    fn is_last_resort(self) -> bool {
        matches!(self, How::Emergency | How::LastResort)
    }
}

/// The search for one connection's server: gives the candidates one by one,
/// each once.
pub struct Search {
    servers: Arc<Servers>,
    stage: Stage,
    /// The first choice, for those who go on behind it.
    pub(crate) start: Option<usize>,
    /// By index, whether a server was given.
    given: Vec<bool>,
    rules: Option<Arc<Settings>>,
    /// Whether a server that came back lately may be passed over, and by whom: see
    /// [`Health::share`](crate::pool::health::Health::share).
    draw: Option<u32>,
    is_outdated: bool,
}

impl Search {
    /// Begins; nothing is chosen yet.
    pub fn new(servers: &Arc<Servers>) -> Search {
        Search {
            servers: Arc::clone(servers),
            stage: Stage::Back,
            start: None,
            given: Vec::new(),
            rules: None,
            draw: None,
            is_outdated: false,
        }
    }

    /// Begins with the abuse server, and ends there.
    pub fn abuse(servers: &Arc<Servers>) -> Search {
        Search { stage: Stage::Abuse, ..Search::new(servers) }
    }

    /// The search ends when other settings than these are in force.
    pub fn by(self, rules: &Arc<Settings>) -> Search {
        Search { rules: Some(Arc::clone(rules)), ..self }
    }

    fn slow_start(&self) -> Duration {
        self.rules.as_ref().map_or(Duration::ZERO, |rules| rules.slow_start)
    }

    /// Whether it has ended for that reason: it is to begin again.
    pub fn is_outdated(&self) -> bool {
        self.is_outdated
    }

    /// A place on the next server that takes one; `None` when there is none.
    pub fn next(&mut self, request: &Request) -> Option<Lease> {
        let now = Instant::now();
        let servers = Arc::clone(&self.servers);
        let mut table = servers.table();
        self.is_outdated =
            self.rules.as_ref().is_some_and(|rules| !Arc::ptr_eq(rules, &table.settings));
        if self.is_outdated {
            return None;
        }
        let send_proxy = table.settings.send_proxy;
        if !self.slow_start().is_zero() && self.draw.is_none() {
            self.draw = Some(table.draw());
        }
        loop {
            let (target, how) = self.candidate(&mut table, request, now)?;
            if let Some(server) = table.get_mut(target) {
                let is_out =
                    || !how.is_last_resort() && request.outage(target, server, now).is_some();
                if request.refusal(target, server).is_none() && !is_out() {
                    self.mark(target);
                    let port = server.port_for(request.came_in);
                    let timeout = request.timeout;
                    let mut lease = Lease::take(&servers, target, server, port, how, timeout, now);
                    lease.send_proxy = server.send_proxy.unwrap_or(send_proxy);
                    return Some(lease);
                }
            }
        }
    }

    /// Why the search has not chosen a server that it has passed over.
    pub(crate) fn refusal(
        &self,
        request: &Request,
        target: Target,
        server: &Server,
        now: Instant,
    ) -> Option<Refusal> {
        let outage = || match target {
            Target::Server(_) | Target::Abuse => request.outage(target, server, now),
            Target::Emergency => None,
        };
        let is_slow = || server.health.share(self.slow_start(), now) < self.draw.unwrap_or(0);
        let refusal = outage().or_else(|| request.refusal(target, server));
        refusal.or_else(|| is_slow().then_some(Refusal::SlowStart))
    }

    /// The next server to be tried. It may be one that is refused unasked.
    fn candidate(
        &mut self,
        table: &mut Table,
        request: &Request,
        now: Instant,
    ) -> Option<(Target, How)> {
        let modes = request.modes;
        let all = &mut table.servers;
        loop {
            match self.stage {
                Stage::Back => {
                    self.stage = Stage::Choice;
                    let back = request.last.filter(|last| !modes.roundrobin && *last < all.len());
                    if let Some(index) = back {
                        if modes.stubborn {
                            self.stage = Stage::End;
                        }
                        return Some((Target::Server(index), How::Back));
                    }
                }
                Stage::Choice => {
                    let takes = |index: usize, server: &Server| {
                        let target = Target::Server(index);
                        !is_marked(&self.given, index)
                            && self.refusal(request, target, server, now).is_none()
                    };
                    let (turns, mut start) = (&mut table.turns, self.start);
                    let choice = choice::choose(all, turns, &mut start, request, now, takes);
                    let choice =
                        choice.map(|(index, rule)| (Target::Server(index), How::Chosen(rule)));
                    self.start = start;
                    if modes.stubborn {
                        self.stage = Stage::End;
                        return choice;
                    }
                    if choice.is_some() {
                        return choice;
                    }
                    if self.draw.take().is_none() {
                        self.stage = Stage::Emergency;
                    }
                }
                Stage::Emergency => {
                    self.stage = Stage::LastResort;
                    if table.emergency.is_some() {
                        return Some((Target::Emergency, How::Emergency));
                    }
                }
                Stage::LastResort => {
                    let left = all.iter().enumerate().filter(|(index, server)| {
                        !is_marked(&self.given, *index)
                            && !server.health.is_taken_out(now)
                            && server.health.is_suspect()
                            && request.refusal(Target::Server(*index), server).is_none()
                    });
                    let first = left.min_by_key(|(_, server)| server.health.blacklisted())?;
                    return Some((Target::Server(first.0), How::LastResort));
                }
                Stage::Abuse => {
                    self.stage = Stage::End;
                    return Some((Target::Abuse, How::Abuse));
                }
                Stage::End => return None,
            }
        }
    }

    fn mark(&mut self, target: Target) {
        let Target::Server(index) = target else {
            return;
        };
        if self.given.len() <= index {
            self.given.resize(index.saturating_add(1), false);
        }
        if let Some(given) = self.given.get_mut(index) {
            *given = true;
        }
    }
}

fn is_marked(given: &[bool], index: usize) -> bool {
    given.get(index).copied().unwrap_or(false)
}

/// A place on a server, given back when dropped.
#[derive(Debug)]
pub struct Lease {
    servers: Arc<Servers>,
    /// Which server.
    pub target: Target,
    /// Where it was when the place was taken.
    pub host: Arc<Host>,
    /// Its port then, for this client.
    pub port: u16,
    /// Where its bytes are counted.
    pub traffic: Arc<Traffic>,
    /// Where its connects are counted by the time they take.
    pub answers: Arc<Answers>,
    /// Whether the server was known to work when the place was taken.
    was_up: bool,
    /// The PROXY header that it gets.
    pub(crate) send_proxy: SendProxy,
    /// How it became a candidate.
    pub(crate) how: How,
    /// What [`Server::probe`] said, if this connect is to show whether the server
    /// is back.
    probe: Option<Instant>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let now = self.probe.map(|_| Instant::now());
        let mut table = self.servers.table();
        if let Some(server) = table.get_mut(self.target) {
            server.connections = server.connections.saturating_sub(1);
            if let (Some(probe), Some(now)) = (self.probe, now) {
                server.health.give_up_probe(probe, now);
            }
        }
    }
}

impl Lease {
    fn take(
        servers: &Arc<Servers>,
        target: Target,
        server: &mut Server,
        port: u16,
        how: How,
        timeout: Duration,
        now: Instant,
    ) -> Lease {
        server.connections += 1;
        server.connects = server.connects.wrapping_add(1);
        let probe = server.probe(timeout, now);
        Lease {
            servers: Arc::clone(servers),
            target,
            host: Arc::clone(&server.host),
            port,
            traffic: Arc::clone(&server.traffic),
            answers: Arc::clone(&server.answers),
            send_proxy: SendProxy::Off,
            was_up: server.health.is_seen_up(),
            how,
            probe,
        }
    }

    /// The settings in force now.
    pub fn settings(&self) -> Arc<Settings> {
        self.servers.settings()
    }

    /// Text for messages: where it is, and which server that is.
    pub fn name(&self) -> String {
        name(self.target, &self.host, self.port)
    }

    /// Where it is, as an operand has it.
    pub fn address(&self) -> String {
        address(&self.host, self.port)
    }

    /// The server's number in reports: -1 is the emergency server, -2 the abuse
    /// server.
    pub fn number(&self) -> i64 {
        match self.target {
            Target::Server(index) => i64::try_from(index).unwrap_or(-1),
            Target::Emergency => -1,
            Target::Abuse => -2,
        }
    }

    /// Whether a UDP flow may stay: its server is where it was, and available
    /// or a last resort. What was taken as one is left when a regular server is
    /// available again.
    pub fn is_current(&self) -> bool {
        let now = Instant::now();
        let mut table = self.servers.table();
        let is_back = |server: &Server| server.is_available(now) && !server.health.is_probed(now);
        let nobody = || !table.servers.iter().any(is_back);
        let in_need = self.how.is_last_resort() && nobody();
        table.get_mut(self.target).is_some_and(|server| {
            let same = Arc::ptr_eq(&server.host, &self.host) || server.host == self.host;
            let may_stay = match self.target {
                Target::Server(_) => {
                    server.health.takes(true, now) || in_need && !server.health.is_taken_out(now)
                }
                Target::Emergency => in_need,
                Target::Abuse => true,
            };
            same && server.port_for(self.port) == self.port && !server.is_empty() && may_stay
        })
    }

    /// Takes note that the server has answered. Returns what that changes. What an
    /// operator has taken out meanwhile stays so.
    pub fn succeeded(&self, now: Instant) -> Option<Change> {
        self.answers.note(now);
        if self.was_up {
            return None;
        }
        let mut table = self.servers.table();
        let server = table.get_mut(self.target)?;
        server.misses = 0;
        server.update(now, |health| health.succeed(now))
    }

    /// Whether the server has gone down since the place was taken.
    pub(crate) fn has_gone_down(&self) -> bool {
        let (now, mut table) = (Instant::now(), self.servers.table());
        let state = table.get_mut(self.target).map(|server| server.state(now));
        self.how != How::LastResort && state == Some(State::Down)
    }

    /// Takes note that the connect failed, and leaves the server alone for `time`, or
    /// with checks until these bring it back; but not a last resort, or a server that
    /// an operator has taken out meanwhile. Returns what that changes.
    pub fn failed(&self, time: Duration, why: &str) -> Option<Change> {
        let now = Instant::now();
        let mut table = self.servers.table();
        let is_checked = !table.settings.check.is_zero();
        let server = table.get_mut(self.target)?;
        server.failures = server.failures.wrapping_add(1);
        server.misses = server.misses.saturating_add(1);
        server.update(now, |health| match self.target {
            _ if health.is_taken_out(now) => {}
            Target::Server(_) => health.fail(time, is_checked, why, now),
            Target::Emergency | Target::Abuse => health.note(false, why, now),
        })
    }
}

/// Takes a place on the regular server at this address, to which there is a connection
/// already, of a client that came to the port `came_in`.
pub(crate) fn lease_at(servers: &Arc<Servers>, at: &Address, came_in: u16) -> Option<Lease> {
    let mut table = servers.table();
    let (timeout, send_proxy) = (table.settings.timeout, table.settings.send_proxy);
    let is_there = |server: &Server| match (&*server.host, at) {
        (Host::Inet(all), Address::Inet(at)) => {
            server.port_for(came_in) == at.port() && all.iter().any(|own| own.ip() == at.ip())
        }
        (Host::Unix(own), Address::Unix(path)) => own == path,
        _ => false,
    };
    let mut all = table.servers.iter_mut().enumerate();
    let (index, server) = all.find(|(_, server)| is_there(server))?;
    let target = Target::Server(index);
    let port = server.port_for(came_in);
    let mut lease = Lease::take(servers, target, server, port, How::Back, timeout, Instant::now());
    lease.send_proxy = server.send_proxy.unwrap_or(send_proxy);
    Some(lease)
}

/// Where a server is, as an operand has it.
pub(crate) fn address(host: &Host, port: u16) -> String {
    match host {
        Host::Inet(all) => match all.first() {
            Some(first) => SocketAddr::new(first.ip(), port).to_string(),
            None => host.to_string(),
        },
        other => other.to_string(),
    }
}

/// Text for messages: which server it is, and where it is.
pub fn name(target: Target, host: &Host, port: u16) -> String {
    let which = match target {
        Target::Server(index) => format!("server {index}"),
        Target::Emergency => "emergency server".to_owned(),
        Target::Abuse => "abuse server".to_owned(),
    };
    match host {
        Host::Inet(_) => format!("{which} ({host}, port {port})"),
        _ => format!("{which} ({host})"),
    }
}

#[cfg(test)]
mod tests;

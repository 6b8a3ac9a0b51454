//! One server: its address and limits, whether it is up, what it has served.

use super::acl;
use super::answers::Answers;
use super::choice::hash;
use super::counter::Traffic;
use super::health::{Admin, Change, Health, State};
use crate::proxy_protocol::SendProxy;
use crate::sys::addr::{self, DefaultPort, Host, ServerSpec, Share};
use crate::sys::text;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The word for the port of a server that each client reaches at the port that it came
/// in on.
pub(crate) const SAME_PORT: &str = "same";

/// How a slot of the server table has come by its address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Part {
    /// It has all addresses of what was configured for it.
    #[default]
    Whole,
    /// It has one address of the name that was configured for it.
    First,
    /// It has another address of the name of this slot.
    More(usize),
}

/// One server.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// Where it is.
    pub host: Arc<Host>,
    /// All addresses of what was configured for it. [`super::expand::fit`] may give others
    /// than the first one to other slots.
    pub(super) found: Arc<Host>,
    pub(crate) part: Part,
    /// The name that was configured for it; empty if it was given by its address.
    pub name: Arc<str>,
    /// TCP port, 0 = none.
    pub port: u16,
    /// See [`ServerSpec::same_port`].
    pub(crate) same_port: bool,
    /// The port that checks use, 0 = the server's own.
    pub check_port: u16,
    /// The PROXY header that it gets; `None` = as it is set for all servers.
    pub send_proxy: Option<SendProxy>,
    /// How many of the clients it gets.
    pub share: Share,
    /// Index of the access list that its clients must pass.
    pub acl: usize,
    /// Turns saved up, where each datagram is balanced by weight.
    pub credit: i64,
    /// Connections now, those being made included.
    pub connections: u32,
    /// Connects tried since it was added.
    pub connects: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Failures in a row since its name was looked up.
    pub(crate) misses: u32,
    /// Bytes to (`sx`) and from (`rx`) the server.
    pub traffic: Arc<Traffic>,
    /// When it answered last, and how fast.
    pub answers: Arc<Answers>,
    /// What its host adds to the scores of all clients in the choice by hash.
    pub(super) host_hash: u64,
    /// Whether it is up, and what an operator wants of it.
    pub health: Health,
}

impl Server {
    /// A server without connections or history.
    pub fn new(spec: ServerSpec) -> Server {
        let host = Arc::new(spec.host);
        Server {
            host_hash: hash::host(&spec.name),
            name: name_in(&spec.name),
            host: Arc::clone(&host),
            found: host,
            port: spec.port,
            same_port: spec.same_port,
            share: spec.share,
            ..Server::default()
        }
    }

    /// Moves it to another host, whose configured name is `word`. Returns whether that
    /// has other addresses. If it keeps one of them, what was seen of it still holds.
    pub(crate) fn move_to(&mut self, word: &str, host: Host) -> bool {
        let word = addr::bare(word);
        let name = name_in(word);
        let is_new = !self.found.is_same(&host);
        if is_new {
            self.found = Arc::new(host);
        }
        if self.part != Part::First || self.name != name {
            self.part = Part::Whole;
            self.host_hash = hash::host(word);
            self.name = name;
            self.put(Arc::clone(&self.found));
        }
        is_new
    }

    fn put(&mut self, host: Arc<Host>) {
        if self.host.is_same(&host) {
            return;
        }
        if !self.host.addresses().iter().any(|at| host.addresses().contains(at)) {
            self.health.forget();
            self.answers = Arc::default();
        }
        self.host = host;
    }

    /// Is to have one address of its name only, if that is switched `on`, or else all.
    pub(super) fn split(&mut self, on: bool) {
        match self.part {
            Part::Whole if on && !self.name.is_empty() && !self.found.addresses().is_empty() => {
                self.part = Part::First;
            }
            Part::First if !on => {
                self.part = Part::Whole;
                self.host_hash = hash::host(&self.name);
                self.put(Arc::clone(&self.found));
                if self.health.is_leaving() {
                    self.health.set_admin(Admin::Ready, Instant::now());
                }
            }
            _ => {}
        }
    }

    /// Has this address of its name from now on. The hash is that of the address.
    pub(super) fn be_at(&mut self, at: SocketAddr) {
        let host = Host::Inet(vec![at]);
        self.host_hash = hash::host(&host.word());
        self.put(Arc::new(host));
    }

    /// Gets no new clients while its address is none of its name's; if it is one, does
    /// what an operator wants.
    pub(super) fn follow(&mut self, is_known: bool, now: Instant) -> Option<Change> {
        let is_due = match is_known {
            true => self.health.is_leaving(),
            false => self.health.admin() == Admin::Ready,
        };
        if !is_due {
            return None;
        }
        let why = format!("no longer an address of {}", self.name);
        self.update(now, |health| match is_known {
            true => health.set_admin(Admin::Ready, now),
            false => health.leave(&why, now),
        })
    }

    /// Becomes a slot without a server.
    pub(super) fn clear(&mut self) {
        self.host = Arc::default();
        self.health = Health::default();
    }

    /// Its host as a word that a command takes: its name, if `by_name` and it has one,
    /// or else its first address.
    pub(crate) fn host_word(&self, by_name: bool) -> String {
        match &*self.name {
            name if by_name && !name.is_empty() => name.to_owned(),
            _ => self.host.word(),
        }
    }

    /// Moves it to another port.
    pub(crate) fn set_port(&mut self, port: u16) {
        if self.port != port {
            self.health.forget();
        }
        self.port = port;
    }

    /// The port at which a client reaches it that came in on this port, or on none (0).
    pub(crate) fn port_for(&self, came_in: u16) -> u16 {
        if self.same_port && came_in != 0 { came_in } else { self.port }
    }

    /// Its port, unless that depends on the client.
    pub(crate) fn fixed_port(&self) -> Option<u16> {
        (!self.same_port).then_some(self.port)
    }

    /// A slot that is never chosen until it gets an address.
    pub(crate) fn empty(port: DefaultPort) -> Server {
        let DefaultPort { number: port, is_same: same_port } = port;
        Server::new(ServerSpec { port, same_port, ..ServerSpec::default() })
    }

    /// The words behind `server N` that set all of it again.
    pub(crate) fn commands(&self, by_name: bool) -> String {
        let numbers = self.share.rows().map(|(word, number)| format!(" {word} {number}"));
        let (acl, host, port) = (self.acl, self.host_word(by_name), self.port_word());
        let check_port = match self.check_port {
            0 => String::new(),
            port => format!(" check_port {port}"),
        };
        let send_proxy = match self.send_proxy {
            None => String::new(),
            Some(send) => format!(" send_proxy {}", send.word()),
        };
        let state = match self.health.admin() {
            _ if self.health.is_leaving() => String::new(),
            Admin::Ready => String::new(),
            admin => format!(" state {}", admin.word()),
        };
        let numbers = numbers.concat();
        format!("acl {acl} address {host} port {port}{numbers}{check_port}{send_proxy}{state}")
    }

    /// Writes it as an operand, which [`crate::sys::addr::server`] reads back.
    pub fn operand(&self, by_name: bool) -> String {
        let host = self.host_operand(by_name);
        let numbers = self.share.rows().map(|(_, number)| format!(":{number}")).concat();
        let numbers = numbers.trim_end_matches(":0");
        match self.fixed_port() {
            // The port stays: without one it would be the listening port.
            Some(port) => format!("{host}:{port}{numbers}"),
            None if numbers.is_empty() => host,
            None => format!("{host}:{numbers}"),
        }
    }

    /// Its port as the command `server` takes it.
    pub(crate) fn port_word(&self) -> String {
        self.fixed_port().map_or(SAME_PORT.to_owned(), |port| port.to_string())
    }

    /// Its host as in an operand.
    fn host_operand(&self, by_name: bool) -> String {
        match self.host_word(by_name) {
            host if host.contains(':') || host.starts_with('[') => format!("[{host}]"),
            host => host,
        }
    }

    /// What it is called on disk, where it has no slot: host and port as configured. One
    /// of several servers of a name is called by its address. `None` is a slot without a
    /// server.
    pub(crate) fn lasting_name(&self) -> Option<String> {
        let host = self.host_operand(self.part == Part::Whole);
        (!self.is_empty()).then(|| text::printable(&format!("{host}:{}", self.port_word())))
    }

    /// Whether new clients may get it: it has an address and a port, and is neither
    /// blacklisted nor taken out.
    pub(crate) fn is_available(&self, now: Instant) -> bool {
        !self.is_empty() && self.health.takes(false, now)
    }

    /// Whether it is a slot without a server: no address or no port.
    pub(crate) fn is_empty(&self) -> bool {
        *self.host == Host::Empty || self.port == 0
    }

    /// Tells what it is good for now.
    #[inline(never)]
    pub(crate) fn state(&self, now: Instant) -> State {
        match self.health.state(now) {
            _ if self.is_empty() => State::Empty,
            State::Up if self.is_full(false) => State::Full,
            state => state,
        }
    }

    /// Makes the next connect a probe, if the server failed before; see
    /// [`Health::probe`]. The result is known after `timeout` for each address, and
    /// once more. A UDP server that has refused nothing until then is taken for one
    /// that never answers.
    pub(crate) fn probe(&mut self, timeout: Duration, now: Instant) -> Option<Instant> {
        let addresses = match &*self.host {
            Host::Inet(all) => u32::try_from(all.len()).unwrap_or(u32::MAX),
            Host::Unix(_) | Host::Empty => 1,
        };
        self.health.probe(timeout.saturating_mul(addresses.saturating_add(1)), now)
    }

    /// Changes its health. Returns what that has changed in its state, without regard
    /// to its limits. That a server which was down is tried again is no change.
    pub(crate) fn update(
        &mut self,
        now: Instant,
        change: impl FnOnce(&mut Health),
    ) -> Option<Change> {
        let from = self.health.state(now);
        change(&mut self.health);
        let to = self.health.state(now);
        let is_news = from != to && !(from.is_down() && to.is_down());
        let reason = || if to.is_up() { Arc::default() } else { self.health.reason() };
        is_news.then(|| Change { from, to, reason: reason() })
    }

    /// Whether it is full: at its soft limit, and for a client that was here last time
    /// at its hard limit, too.
    pub(crate) fn is_full(&self, was_here: bool) -> bool {
        let Share { max, hard, .. } = self.share;
        max != 0 && self.connections >= max && (!was_here || self.connections >= hard)
    }
}

/// A host as it was configured, if that is a name and not an address or a path.
fn name_in(word: &str) -> Arc<str> {
    let is_none = addr::is_path(word) || word.contains(':') || acl::address(word).is_some();
    if is_none { Arc::default() } else { word.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_and_addresses_are_none() {
        for word in ["web1", "4f2c9a", "a.example.org"] {
            assert_eq!(&*name_in(word), word);
        }
        for word in ["127.1", "0", "::1", "fe80::1%eth0", "/run/x", "0x7f.1", ""] {
            assert_eq!(&*name_in(word), "", "{word}");
        }
    }

    #[test]
    fn what_was_seen_holds_while_one_address_stays() {
        let host = |all: &[u8]| {
            let at = |last: &u8| ([10, 0, 0, *last], 0).into();
            Host::Inet(all.iter().map(at).collect())
        };
        let now = Instant::now();
        let mut server = Server::empty(80.into());
        for (all, moved, state) in [
            (&[1, 2][..], true, State::Untried),
            (&[2, 1], false, State::Up),
            (&[3, 2], true, State::Up),
            (&[1], true, State::Untried),
        ] {
            assert_eq!(server.move_to("web", host(all)), moved, "{all:?}");
            assert_eq!(server.state(now), state, "{all:?}");
            server.health.succeed(now);
        }
        assert_eq!(
            (server.operand(true), server.operand(false)),
            ("web:80".into(), "10.0.0.1:80".into())
        );
    }

    #[test]
    fn server_operands_are_written_as_they_are_read() {
        for (word, written) in [
            ("127.0.0.1", "127.0.0.1:25"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("[::1]:80:10:0:0:0", "[::1]:80:10"),
            ("127.0.0.1:80:0:0:10:-5", "127.0.0.1:80:0:0:10:-5"),
            ("[[/a:b]:1:2", "[[/a:b]:1:2"),
            ("[[/a]", "[[/a]:1"),
            ("[fe80::1%1]:80", "[fe80::1%1]:80"),
        ] {
            let spec = addr::server(word, Some(25.into())).unwrap();
            let again = Server::new(spec.clone()).operand(false);
            assert_eq!(again, written);
            assert_eq!(addr::server(&again, None), Ok(spec));
        }
    }
}

//! One server: its address and limits, whether it is up, what it has served.

use super::choice::hash;
use super::counter::Traffic;
use crate::sys::addr::{self, Host, ServerSpec, Share};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One server.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// Where it is.
    pub host: Arc<Host>,
    /// TCP port, 0 = none.
    pub port: u16,
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
    /// Bytes to (`sx`) and from (`rx`) the server.
    pub traffic: Arc<Traffic>,
    /// What its host adds to the scores of all clients in the choice by hash.
    pub(super) host_hash: u64,
    /// Until when it is left alone. The time stays here after that, until a connect
    /// succeeds.
    blacklisted: Option<Instant>,
    /// Whether a command has blacklisted it, and not a failure.
    drained: bool,
    /// After the blacklist time one client tries whether it is back, and the others
    /// pass it by until this time, when the result is known at the latest.
    probed_until: Option<Instant>,
}

/// What a server is good for at a moment. The first that fits is meant.
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
    pub(crate) fn word(self) -> &'static str {
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
            host_hash: hash::host(&spec.name),
            host: Arc::new(spec.host),
            port: spec.port,
            share: spec.share,
            ..Server::default()
        }
    }

    /// Moves it to another host, whose configured name is `word`.
    pub(crate) fn move_to(&mut self, word: &str, host: Host) {
        self.host_hash = hash::host(addr::bare(word));
        self.host = Arc::new(host);
    }

    /// A slot that is never chosen until it gets an address.
    pub(crate) fn empty(port: u16) -> Server {
        Server::new(ServerSpec { port, ..ServerSpec::default() })
    }

    /// The words behind `server N` that set all of it again.
    pub(crate) fn commands(&self) -> String {
        let numbers = self.share.rows().map(|(word, number)| format!(" {word} {number}"));
        let (acl, host, port) = (self.acl, self.host.word(), self.port);
        format!("acl {acl} address {host} port {port}{}", numbers.concat())
    }

    /// Writes it as an operand, which [`crate::sys::addr::server`] reads back.
    pub fn operand(&self) -> String {
        let host = match self.host.word() {
            host if host.contains(':') || host.starts_with('[') => format!("[{host}]"),
            host => host,
        };
        let numbers = self.share.rows().map(|(_, number)| format!(":{number}")).concat();
        // The port stays: without one it would be the listening port.
        format!("{host}:{}{}", self.port, numbers.trim_end_matches(":0"))
    }

    /// Whether it can be chosen at all: an address, a port, not blacklisted.
    pub(crate) fn is_available(&self, now: Instant) -> bool {
        !self.is_empty() && self.blacklist_left(now).is_zero()
    }

    /// Whether it is a slot without a server: no address or no port.
    pub(crate) fn is_empty(&self) -> bool {
        *self.host == Host::Empty || self.port == 0
    }

    /// Tells what it is good for now.
    #[inline(never)]
    pub(crate) fn state(&self, now: Instant) -> State {
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
    pub(crate) fn blacklist_left(&self, now: Instant) -> Duration {
        self.blacklisted.map_or(Duration::ZERO, |end| end.saturating_duration_since(now))
    }

    /// Whether a command has blacklisted it for now.
    pub(crate) fn is_drained(&self, now: Instant) -> bool {
        self.drained && !self.blacklist_left(now).is_zero()
    }

    /// Whether it has failed, and no connect has succeeded since.
    pub(crate) fn is_suspect(&self) -> bool {
        self.blacklisted.is_some() && !self.drained
    }

    /// Whether a client is trying now whether it is back.
    pub(crate) fn is_probed(&self, now: Instant) -> bool {
        self.is_suspect() && self.probed_until.is_some_and(|end| end > now)
    }

    /// Until when it was left alone, if no connect has succeeded since.
    pub(crate) fn blacklisted(&self) -> Option<Instant> {
        self.blacklisted
    }

    /// Makes the connect that follows the one that shows whether the server is back,
    /// and returns when that is known at the latest; `None` if the server is up or
    /// still blacklisted, or another client tries it already.
    ///
    /// The time is `timeout` for each address, and once more for the result. A UDP
    /// server that has refused nothing until then is taken for one that never answers.
    pub(crate) fn probe(&mut self, timeout: Duration, now: Instant) -> Option<Instant> {
        if !self.is_suspect() || !self.is_available(now) || self.probed_until.is_some() {
            return None;
        }
        let addresses = match &*self.host {
            Host::Inet(all) => u32::try_from(all.len()).unwrap_or(u32::MAX),
            Host::Unix(_) | Host::Empty => 1,
        };
        self.probed_until = now.checked_add(timeout.saturating_mul(addresses.saturating_add(1)));
        self.probed_until
    }

    /// Lets the next client try, as the connect of a [`Server::probe`] has shown
    /// nothing, neither success nor failure.
    pub(crate) fn give_up_probe(&mut self, probe: Instant, now: Instant) {
        if self.probed_until == Some(probe) && probe > now {
            self.probed_until = None;
        }
    }

    /// Blacklists it until this time, as it has failed.
    pub(crate) fn blacklist_until(&mut self, end: Instant) {
        self.leave_alone(end, false);
    }

    /// Blacklists it until this time by command.
    pub(crate) fn drain_until(&mut self, end: Instant) {
        self.leave_alone(end, true);
    }

    fn leave_alone(&mut self, end: Instant, drained: bool) {
        self.blacklisted = Some(end);
        self.drained = drained;
        self.probed_until = None;
    }

    /// Makes it available by command. A server that has failed still counts as
    /// suspect until a connect succeeds.
    pub(crate) fn end_blacklist(&mut self, now: Instant) {
        self.blacklisted = self.blacklisted.filter(|_| !self.drained).map(|_| now);
        self.probed_until = None;
    }

    /// Clears the blacklisting. Returns whether there was one, run out or not.
    pub(crate) fn clear_blacklist(&mut self) -> bool {
        self.probed_until = None;
        self.blacklisted.take().is_some()
    }

    /// Whether it is full: at its soft limit, and for a client that was here last time
    /// at its hard limit, too.
    pub(crate) fn is_full(&self, was_here: bool) -> bool {
        let Share { max, hard, .. } = self.share;
        max != 0 && self.connections >= max && (!was_here || self.connections >= hard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let spec = addr::server(word, Some(25)).unwrap();
            let again = Server::new(spec.clone()).operand();
            assert_eq!(again, written);
            assert_eq!(addr::server(&again, None), Ok(spec));
        }
    }
}

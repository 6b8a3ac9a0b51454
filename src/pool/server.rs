//! One server: its address and limits, whether it is up, what it has served.

use super::answers::Answers;
use super::choice::hash;
use super::counter::Traffic;
use super::health::{Admin, Change, Health, State};
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
    /// The port that checks use, 0 = the server's own.
    pub check_port: u16,
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
        if *self.host != host {
            self.health.forget();
            self.answers = Arc::default();
        }
        self.host = Arc::new(host);
    }

    /// Moves it to another port.
    pub(crate) fn set_port(&mut self, port: u16) {
        if self.port != port {
            self.health.forget();
        }
        self.port = port;
    }

    /// A slot that is never chosen until it gets an address.
    pub(crate) fn empty(port: u16) -> Server {
        Server::new(ServerSpec { port, ..ServerSpec::default() })
    }

    /// The words behind `server N` that set all of it again.
    pub(crate) fn commands(&self) -> String {
        let numbers = self.share.rows().map(|(word, number)| format!(" {word} {number}"));
        let (acl, host, port) = (self.acl, self.host.word(), self.port);
        let check_port = match self.check_port {
            0 => String::new(),
            port => format!(" check_port {port}"),
        };
        let state = match self.health.admin() {
            Admin::Ready => String::new(),
            admin => format!(" state {}", admin.word()),
        };
        format!("acl {acl} address {host} port {port}{}{check_port}{state}", numbers.concat())
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
        let is_down = |state| matches!(state, State::Down | State::Failing);
        let is_news = from != to && !(is_down(from) && is_down(to));
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

//! What a connection asks of a server, and whether a server will do.

use super::acl::Acl;
use super::choice::{Modes, Target};
use super::clients::Client;
use super::server::Server;
use std::time::{Duration, Instant};

/// What is known of a connection when a server is wanted for it.
pub struct Request<'a> {
    /// The client that it belongs to.
    pub client: Client,
    /// The client's port.
    pub port: u16,
    /// The listening port that the client came in on, 0 for none.
    pub came_in: u16,
    /// The regular server that the client was on last.
    pub last: Option<usize>,
    /// The switches in force.
    pub modes: &'a Modes,
    /// The access lists in force.
    pub acls: &'a [Acl],
    /// How long a connect to one address may take.
    pub timeout: Duration,
    /// Servers that the client has a UDP flow on: never full for it.
    pub on: &'a [Target],
    /// Servers that have refused already.
    pub not: &'a [Target],
}

impl Request<'_> {
    /// Whether the client was there last.
    pub(crate) fn was_on(&self, target: Target) -> bool {
        self.last.is_some_and(|last| target == Target::Server(last))
    }

    /// The client as the client table and the hash have it.
    pub(super) fn tracked(&self) -> Client {
        self.client.network(self.modes.prefix)
    }

    /// The client's port, if it counts in a hash.
    pub(super) fn hashed_port(&self) -> Option<u16> {
        self.modes.roundrobin.then_some(self.port)
    }

    /// Why the client does not get a server that is up.
    pub(crate) fn refusal(&self, target: Target, server: &Server) -> Option<Refusal> {
        // The abuse server is there for those who are denied.
        let denied = || {
            target != Target::Abuse
                && self.acls.get(server.acl).is_some_and(|acl| !acl.permits(self.client))
        };
        if server.is_empty() {
            Some(Refusal::Empty)
        } else if server.is_full(self.was_on(target)) && !self.on.contains(&target) {
            Some(Refusal::Full)
        } else if denied() {
            Some(Refusal::Denied)
        } else {
            self.not.contains(&target).then_some(Refusal::Asked)
        }
    }

    /// Why a server is not up as far as this client is concerned. While another client
    /// probes it, it is not, except for a client that may go nowhere else.
    pub(crate) fn outage(&self, target: Target, server: &Server, now: Instant) -> Option<Refusal> {
        let has_flow = self.on.contains(&target);
        let passes = server.health.is_probed(now) && !self.modes.stubborn && !has_flow;
        let is_back = has_flow || self.was_on(target);
        if server.is_empty() {
            Some(Refusal::Empty)
        } else if !server.health.takes(is_back, now) {
            Some(Refusal::Out)
        } else {
            passes.then_some(Refusal::Probed)
        }
    }
}

/// Why a client does not get a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It has no address or no port.
    Empty,
    /// It is down, drained or taken out.
    Out,
    /// It was down, and another client tries whether it is back.
    Probed,
    /// It is full.
    Full,
    /// Its own access list denies the client.
    Denied,
    /// It has refused before.
    Asked,
    /// It came back lately, and is passed over by some of its clients.
    SlowStart,
}

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
    fn was_on(&self, target: Target) -> bool {
        self.last.is_some_and(|last| target == Target::Server(last))
    }

    /// Whether a server that is up may be tried: it has an address and a port, is not
    /// full, its own access list permits the client, and it has not refused already.
    pub(crate) fn admits(&self, target: Target, server: &Server) -> bool {
        // The abuse server is there for those who are denied.
        let denied = target != Target::Abuse
            && self.acls.get(server.acl).is_some_and(|acl| !acl.permits(self.client));
        let full = server.is_full(self.was_on(target)) && !self.on.contains(&target);
        !server.is_empty() && !full && !denied && !self.not.contains(&target)
    }

    /// Whether a server is up as far as this client is concerned. While another
    /// client probes it, it is not, except for a client that may go nowhere else.
    pub(crate) fn finds_up(&self, target: Target, server: &Server, now: Instant) -> bool {
        let has_flow = self.on.contains(&target);
        let passes = server.health.is_probed(now) && !self.modes.stubborn && !has_flow;
        let is_back = has_flow || self.was_on(target);
        !server.is_empty() && server.health.takes(is_back, now) && !passes
    }
}

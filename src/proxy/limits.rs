//! How many descriptors each use may take. A client is accepted only when there is
//! one for it and one for its server, whatever else pen has open: what pen itself,
//! the control port, the web interface and idlers need is set aside.

use crate::sys::Kind;

/// For pen itself: standard input, output and error, the system log, three
/// listeners and a fourth that replaces one of them, what wakes the threads
/// that accept, the request log (twice while it is opened again), name
/// look-ups, files that are read or written, and some to spare.
const OWN: usize = 26;

/// The control port and the web interface.
const ADMIN_PORTS: usize = 2;

/// Most connections at once at each of these ports.
const MOST_ADMIN: usize = 24;

/// Most checks at once, and the descriptors that each of them takes: a program has a
/// pipe for what it says, and another one that it reads as its input.
const CHECKS: usize = 64;
const EACH_CHECK: usize = 4;

/// What the descriptors suffice for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Descriptors for clients and idlers.
    available: usize,
    /// Descriptors that each connection takes.
    per_connection: usize,
    /// Connections at once at the control port, and as many at the web interface.
    pub(crate) admin_connections: usize,
}

impl Limits {
    /// Shares out this many descriptors.
    pub(crate) fn new(files: u64, kind: Kind) -> Limits {
        let files = usize::try_from(files).unwrap_or(usize::MAX);
        let free = files.saturating_sub(OWN);
        let admin_connections = (free / 8 / ADMIN_PORTS).clamp(1, MOST_ADMIN);
        Limits {
            available: free.saturating_sub(ADMIN_PORTS * admin_connections),
            per_connection: match kind {
                Kind::Stream => 2,
                Kind::Datagram => 1,
            },
            admin_connections,
        }
    }

    /// Clients' connections at once, beside this many idlers, checks and listeners for
    /// clients; at least one.
    pub(crate) fn connections(&self, idlers: usize, checks: usize, listeners: usize) -> usize {
        // One listener is among pen's own descriptors.
        let others = self.idlers(idlers) + checks * EACH_CHECK + listeners.saturating_sub(1);
        (self.available.saturating_sub(others) / self.per_connection).max(1)
    }

    /// How many checks of servers there may be at once, if there are any.
    pub(crate) fn checks(&self) -> usize {
        (self.available / 16 / EACH_CHECK).clamp(1, CHECKS)
    }

    /// How many of the wanted idlers there may be. They get a quarter of the
    /// descriptors at most.
    pub(crate) fn idlers(&self, wanted: usize) -> usize {
        wanted.min(self.available / 4)
    }
}

impl Default for Limits {
    /// Limits that are never reached.
    fn default() -> Limits {
        Limits::new(u64::MAX, Kind::Stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_use_has_a_share() {
        let shares = |files, kind| {
            let limits = Limits::new(files, kind);
            (limits.connections(0, 0, 1), limits.admin_connections)
        };
        assert_eq!(shares(10, Kind::Stream), (1, 1));
        assert_eq!(shares(60, Kind::Stream), (15, 2));
        assert_eq!(shares(60, Kind::Datagram), (30, 2));
        assert_eq!(shares(1024, Kind::Stream), (475, 24));
        let limits = Limits::new(1024, Kind::Stream);
        assert_eq!((limits.idlers(100), limits.connections(100, 0, 1)), (100, 425));
        assert_eq!((limits.idlers(900), limits.connections(900, 0, 1)), (237, 356));
        assert_eq!(limits.connections(100, 0, 301), 275);
    }
}

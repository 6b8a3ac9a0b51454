//! How many descriptors everybody may have. A client is accepted only when there is
//! one for it and one for its server, whatever else pen has open: what pen itself,
//! visitors and idlers need is set aside.

use crate::sys::Kind;

/// For pen itself: standard input, output and error, the system log, three
/// listeners and one that takes the place of another, what wakes the threads
/// that accept, the request log (twice while it is opened again), name
/// look-ups, files that are read or written, and some to spare.
const OWN: usize = 26;

/// The control port and the web interface.
const PORTS: usize = 2;

/// Most visitors at once at each of these ports.
const VISITORS: usize = 24;

/// Most checks at once, and the descriptors that each of them takes: a program has a
/// pipe for what it says, and std another one to say that it was started.
const CHECKS: usize = 64;
const EACH_CHECK: usize = 4;

/// What the descriptors suffice for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Descriptors for clients and idlers.
    room: usize,
    /// Descriptors that each connection takes.
    each: usize,
    /// Visitors at once at the control port, and at the web interface.
    pub visitors: usize,
}

impl Limits {
    /// Shares out so many descriptors.
    pub fn new(files: u64, kind: Kind) -> Limits {
        let files = usize::try_from(files).unwrap_or(usize::MAX);
        let free = files.saturating_sub(OWN);
        let visitors = (free / 8 / PORTS).clamp(1, VISITORS);
        Limits {
            room: free.saturating_sub(PORTS * visitors),
            each: match kind {
                Kind::Stream => 2,
                Kind::Datagram => 1,
            },
            visitors,
        }
    }

    /// Connections at once, beside so many idlers and checks. One at least.
    pub fn connections(&self, idlers: usize, checks: usize) -> usize {
        let room =
            self.room.saturating_sub(self.idlers(idlers)).saturating_sub(checks * EACH_CHECK);
        (room / self.each).max(1)
    }

    /// How many checks of servers there may be at once, if there are any.
    pub fn checks(&self) -> usize {
        (self.room / 16 / EACH_CHECK).clamp(1, CHECKS)
    }

    /// How many of these idlers there may be: a quarter of what there is.
    pub fn idlers(&self, wanted: usize) -> usize {
        wanted.min(self.room / 4)
    }
}

impl Default for Limits {
    /// Limits that nobody reaches.
    fn default() -> Limits {
        Limits::new(u64::MAX, Kind::Stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_share() {
        let shares = |files, kind| {
            let limits = Limits::new(files, kind);
            (limits.connections(0, 0), limits.visitors)
        };
        assert_eq!(shares(10, Kind::Stream), (1, 1));
        assert_eq!(shares(60, Kind::Stream), (15, 2));
        assert_eq!(shares(60, Kind::Datagram), (30, 2));
        assert_eq!(shares(1024, Kind::Stream), (475, 24));
        let limits = Limits::new(1024, Kind::Stream);
        assert_eq!((limits.idlers(100), limits.connections(100, 0)), (100, 425));
        assert_eq!((limits.idlers(900), limits.connections(900, 0)), (237, 356));
    }
}

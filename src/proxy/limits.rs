//! Who may have how many descriptors. A client is accepted only when there is
//! one for it and one for its server, whatever else pen has open: what others
//! need is set aside.

use crate::sys::Kind;

/// For pen itself: standard input, output and error, the system log, three
/// listeners and one that takes the place of another, what wakes the threads
/// that accept, the request log (twice while it is opened again), name
/// look-ups, files that are read or written, and some to spare.
const OWN: usize = 26;

/// Side doors: the control port and the web interface.
const DOORS: usize = 2;

/// Most visitors at a side door.
const VISITORS: usize = 24;

/// What the descriptors suffice for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// For clients and idlers.
    room: usize,
    /// That each connection takes.
    each: usize,
    /// Visitors at once at each side door.
    pub visitors: usize,
}

impl Budget {
    /// Shares out so many descriptors.
    pub fn new(files: u64, kind: Kind) -> Budget {
        let files = usize::try_from(files).unwrap_or(usize::MAX);
        let free = files.saturating_sub(OWN);
        let visitors = (free / 8 / DOORS).clamp(1, VISITORS);
        Budget {
            room: free.saturating_sub(DOORS * visitors),
            each: match kind {
                Kind::Stream => 2,
                Kind::Datagram => 1,
            },
            visitors,
        }
    }

    /// Connections at once, beside so many idlers. One at least.
    pub fn connections(&self, idlers: usize) -> usize {
        let room = self.room.saturating_sub(self.idlers(idlers));
        (room / self.each).max(1)
    }

    /// How many of these idlers there may be: a quarter of what there is.
    pub fn idlers(&self, wanted: usize) -> usize {
        wanted.min(self.room / 4)
    }
}

impl Default for Budget {
    /// As many as anybody wants.
    fn default() -> Budget {
        Budget::new(u64::MAX, Kind::Stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_share() {
        let shares = |files, kind| {
            let budget = Budget::new(files, kind);
            (budget.connections(0), budget.visitors)
        };
        assert_eq!(shares(10, Kind::Stream), (1, 1));
        assert_eq!(shares(60, Kind::Stream), (15, 2));
        assert_eq!(shares(60, Kind::Datagram), (30, 2));
        assert_eq!(shares(1024, Kind::Stream), (475, 24));
        let budget = Budget::new(1024, Kind::Stream);
        assert_eq!((budget.idlers(100), budget.connections(100)), (100, 425));
        assert_eq!((budget.idlers(900), budget.connections(900)), (237, 356));
    }
}

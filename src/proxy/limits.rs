//! Who may have how many descriptors. A client is accepted only when there is
//! one for it and one for its server, whatever else pen has open: what others
//! need is set aside.

use crate::sys::Kind;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// For pen itself: standard input, output and error, the system log, three
/// listeners and one that takes the place of another, what wakes the threads
/// that accept, the request log (twice while it is opened again), name
/// look-ups, files that are read or written, and two to spare ([`Spare`]).
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

/// Two descriptors that are open for nothing. The shares do not count what pen
/// was started with, and the limit may be lowered while it runs; so a client
/// may be accepted and then find no descriptor for its server. These are closed
/// then, and no other client is accepted until they are there again: one of
/// those who lack one gets on in any case.
pub struct Spare {
    pair: Mutex<Option<(UnixStream, UnixStream)>>,
    there: AtomicBool,
}

impl Spare {
    /// They are there.
    pub fn new() -> io::Result<Spare> {
        Ok(Spare { pair: Mutex::new(Some(UnixStream::pair()?)), there: AtomicBool::new(true) })
    }

    /// Closes them, for others to be opened.
    pub fn give(&self) {
        let pair = crate::lock(&self.pair).take();
        self.there.store(false, Relaxed);
        drop(pair);
    }

    /// Opens them again if they are not there.
    pub fn refill(&self) -> io::Result<()> {
        if !self.there.load(Relaxed) {
            let pair = UnixStream::pair()?;
            *crate::lock(&self.pair) = Some(pair);
            self.there.store(true, Relaxed);
        }
        Ok(())
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

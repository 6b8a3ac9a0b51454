//! Why a connection ended, as the connection log and reports say it.

use crate::pool::counter::Counter;
use crate::proxy::connection::Direction;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

macro_rules! reasons {
    ($($name:ident $word:literal $doc:literal),* $(,)?) => {
        /// How a connection ended, or why there was none.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Reason {
            $(#[doc = $doc] $name,)*
        }

        impl Reason {
            /// All reasons. Each has its place in the list as its number.
            pub(crate) const ALL: &[Reason] = &[$(Reason::$name),*];

            /// The word for it in the connection log and reports.
            pub(crate) fn word(self) -> &'static str {
                match self {
                    $(Reason::$name => $word,)*
                }
            }
        }
    };
}

reasons! {
    ClientClosed "client-closed" "Both sides ended as they should, the client first.",
    ServerClosed "server-closed" "Both sides ended as they should, the server first.",
    ClientReset "client-reset" "The client sent a reset, or left before it had the answer.",
    ServerReset "server-reset" "The server sent a reset, or refused datagrams.",
    ClientLost "client-lost" "The client vanished: keep-alive or what was sent to it had no answer.",
    ServerLost "server-lost" "The server vanished.",
    Idle "idle" "Nothing moved for `idle_timeout`.",
    HalfClosed "half-closed" "One side had ended, and nothing moved for `half_closed_timeout`.",
    Command "command" "`close` ended it.",
    ServerCut "server-cut" "Its server went down (`on_down`); with UDP also: was deleted or moved.",
    Limit "limit" "It made room for another one (UDP).",
    PenEnds "pen-ends" "pen ended.",
    Denied "denied" "The access list denied the client.",
    ClientLimit "client-limit" "The client was over `client_conn_max` or `client_rate`.",
    NoServer "no-server" "No server was available.",
    NoHeader "no-header" "The client sent no PROXY header that pen accepts.",
    NoResources "no-resources" "This host lacked descriptors, memory or ports.",
}

impl Reason {
    /// The sender of this direction ended as it should.
    pub(crate) fn closed(direction: Direction) -> Reason {
        match direction {
            Direction::Up => Reason::ClientClosed,
            Direction::Down => Reason::ServerClosed,
        }
    }

    /// The sender of this direction sent a reset.
    pub(crate) fn reset(direction: Direction) -> Reason {
        match direction {
            Direction::Up => Reason::ClientReset,
            Direction::Down => Reason::ServerReset,
        }
    }

    /// What the error of its socket says of the sender of this direction.
    pub(crate) fn failed(direction: Direction, error: &io::Error) -> Reason {
        use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, OutOfMemory};
        match (error.kind(), direction) {
            (BrokenPipe | ConnectionRefused | ConnectionReset, _) => Reason::reset(direction),
            (OutOfMemory, _) => Reason::NoResources,
            (_, Direction::Up) => Reason::ClientLost,
            (_, Direction::Down) => Reason::ServerLost,
        }
    }
}

/// Why a connection ends, once that is known. The first reason counts, except that a
/// failure replaces a regular close: after one side has closed, the other may still
/// fail.
#[derive(Debug, Default)]
pub(crate) struct Ending(AtomicU8);

/// In an [`Ending`]: it has been counted and logged.
const TAKEN: u8 = 0x80;

impl Ending {
    /// Sets the reason, unless one that counts is known.
    pub(crate) fn set(&self, reason: Reason) {
        let is_close = |reason| matches!(reason, Reason::ClientClosed | Reason::ServerClosed);
        let _ = self.0.fetch_update(SeqCst, SeqCst, |now| {
            let is_news = match Reason::at(now) {
                None => now == 0,
                Some(before) => now & TAKEN == 0 && is_close(before) && !is_close(reason),
            };
            is_news.then_some(reason as u8 + 1)
        });
    }

    /// The reason, to be counted and logged; `None` if it was taken before.
    pub(crate) fn take(&self) -> Option<Reason> {
        let now = self.0.fetch_or(TAKEN, SeqCst);
        Reason::at(now).filter(|_| now & TAKEN == 0)
    }
}

impl Reason {
    fn at(number: u8) -> Option<Reason> {
        let index = usize::from(number & !TAKEN).checked_sub(1)?;
        Reason::ALL.get(index).copied()
    }
}

/// How many connections have ended for each reason, by its number.
#[derive(Debug, Default)]
pub(crate) struct Ends([Counter; Reason::ALL.len()]);

impl Ends {
    /// Counts one more.
    pub(crate) fn count(&self, reason: Reason) {
        if let Some(counter) = self.0.get(reason as usize) {
            counter.add(1);
        }
    }

    /// The word for each reason, and how many connections have ended for it.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let words = Reason::ALL.iter().map(|reason| reason.word());
        words.zip(self.0.iter().map(Counter::get))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_end_counts_unless_it_was_a_close() {
        for (ends, wanted) in [
            (&[Reason::ClientClosed, Reason::ServerClosed][..], Reason::ClientClosed),
            (&[Reason::ServerClosed, Reason::Idle, Reason::Command], Reason::Idle),
            (&[Reason::ClientReset, Reason::ServerClosed, Reason::PenEnds], Reason::ClientReset),
        ] {
            let ending = Ending::default();
            ends.iter().for_each(|end| ending.set(*end));
            assert_eq!(ending.take(), Some(wanted), "{ends:?}");
            assert_eq!(ending.take(), None);
        }
        assert_eq!(Ending::default().take(), None);
    }

    #[test]
    fn every_end_has_its_number() {
        for (index, end) in Reason::ALL.iter().enumerate() {
            assert_eq!(*end as usize, index);
        }
    }
}

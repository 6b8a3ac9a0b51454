//! The table of connections: how many there may be, and which there are.

use crate::proxy::connection::Connection;
use crate::proxy::ending::Reason;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// What a slot holds.
#[derive(Clone, Debug, Default)]
pub(crate) enum Content {
    /// Nothing.
    #[default]
    Unused,
    /// A client for which a server is sought.
    Connecting {
        /// A command wants it closed as soon as it is connected.
        to_be_closed: bool,
    },
    /// A connection, until its last thread has dropped it.
    Live(Weak<Connection>),
}

#[derive(Debug, Default)]
struct Table {
    /// How many connections there may be, as it was set.
    max: usize,
    /// How many the descriptors suffice for.
    limit: usize,
    /// How many slots were taken for clients that have not come yet. Such a slot has no
    /// number.
    reserved: usize,
    /// What the slots hold, by number. It grows as they are used.
    slots: Vec<Content>,
    /// The numbers of unused ones among them.
    free: Vec<usize>,
    /// The number given out last.
    last: usize,
    /// Whether a thread waits for a slot.
    waiting: bool,
}

/// The slots.
#[derive(Debug, Default)]
pub struct Connections {
    table: Mutex<Table>,
    freed: Condvar,
}

/// One of the slots, free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    connections: Arc<Connections>,
    /// Its number in the reports, once a client has it.
    pub(crate) index: Option<usize>,
}

impl Connections {
    /// A table of at most `max` connections.
    pub(crate) fn new(max: usize) -> Arc<Connections> {
        Arc::new(Connections {
            table: Mutex::new(Table { max, limit: usize::MAX, ..Table::default() }),
            freed: Condvar::new(),
        })
    }

    /// Most connections at once.
    pub(crate) fn max(&self) -> usize {
        crate::lock(&self.table).max
    }

    /// Sets the most connections at once, before there are any.
    pub(crate) fn set_max(&self, max: usize) {
        crate::lock(&self.table).max = max;
    }

    /// Allows more connections. The number never shrinks, as their slots have numbers
    /// below it.
    pub(crate) fn grow(&self, max: usize) {
        let mut table = crate::lock(&self.table);
        table.max = table.max.max(max);
        drop(table);
        self.wake();
    }

    /// Sets for how many connections the descriptors suffice: there are never more than
    /// `limit`, whatever the maximum is.
    pub(crate) fn set_limit(&self, limit: usize) {
        crate::lock(&self.table).limit = limit;
        self.wake();
    }

    /// Takes a free slot, and waits for one up to `limit`. After each
    /// [`Connections::wake`] it gives up if `interrupted` says so.
    pub(crate) fn take(
        self: &Arc<Connections>,
        interrupted: impl Fn() -> bool,
        limit: Duration,
    ) -> Option<Slot> {
        let mut table = crate::lock(&self.table);
        let mut end = None;
        while !interrupted() {
            if let Some(slot) = self.reserve(&mut table) {
                return Some(slot);
            }
            let end = *end.get_or_insert_with(|| Instant::now() + limit);
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            table.waiting = true;
            let waited = self.freed.wait_timeout(table, left);
            table = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }

    /// How many slots are taken, with or without a client.
    pub(crate) fn taken(&self) -> usize {
        crate::lock(&self.table).taken()
    }

    /// How many clients there may be, if there are that many.
    pub(crate) fn full(&self) -> Option<usize> {
        let table = crate::lock(&self.table);
        let most = table.max.min(table.limit);
        (table.used() >= most).then_some(most)
    }

    /// A free slot, if there is one now.
    pub(crate) fn try_take(self: &Arc<Connections>) -> Option<Slot> {
        self.reserve(&mut crate::lock(&self.table))
    }

    fn reserve(self: &Arc<Connections>, table: &mut Table) -> Option<Slot> {
        let most = table.max.min(table.limit);
        if table.taken() >= most {
            return None;
        }
        table.reserved += 1;
        let connections = Arc::clone(self);
        let index = None;
        Some(Slot { connections, index })
    }

    /// Wakes the threads that wait for a slot.
    pub(crate) fn wake(&self) {
        // Under the lock, as a thread between its look and its wait would miss this.
        let _table = crate::lock(&self.table);
        self.freed.notify_all();
    }

    /// How many slots have a client, and the number of the slot taken last.
    pub(crate) fn used_and_last(&self) -> (usize, usize) {
        let table = crate::lock(&self.table);
        (table.used(), table.last)
    }

    /// All connections, each with the number of its slot.
    pub(crate) fn live(&self) -> Vec<(usize, Arc<Connection>)> {
        let table = crate::lock(&self.table);
        let mut all = Vec::with_capacity(table.used());
        let slots = table.slots.iter().enumerate();
        // They must not be dropped here: to drop the last reference takes the lock.
        all.extend(slots.filter_map(|(index, content)| match content {
            Content::Live(connection) => connection.upgrade().map(|live| (index, live)),
            _ => None,
        }));
        all
    }

    /// What slot `index` holds now; `None` beyond the maximum.
    pub(crate) fn content(&self, index: usize) -> Option<Content> {
        let table = crate::lock(&self.table);
        if index >= table.max {
            return None;
        }
        Some(table.slots.get(index).cloned().unwrap_or_default())
    }

    /// Closes what slot `index` holds, by command; `false` beyond the maximum.
    pub(crate) fn close(&self, index: usize) -> bool {
        let live = {
            let mut table = crate::lock(&self.table);
            if index >= table.max {
                return false;
            }
            match table.slots.get_mut(index) {
                Some(Content::Connecting { to_be_closed }) => {
                    *to_be_closed = true;
                    None
                }
                Some(Content::Live(connection)) => connection.upgrade(),
                _ => None,
            }
        };
        if let Some(connection) = live {
            connection.close(Reason::Command);
        }
        true
    }
}

impl Table {
    fn taken(&self) -> usize {
        self.reserved + self.used()
    }

    fn used(&self) -> usize {
        self.slots.len().saturating_sub(self.free.len())
    }

    fn set(&mut self, index: usize, content: Content) {
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = content;
        }
    }
}

impl Slot {
    /// A client has come, for which the slot gets a number.
    pub(crate) fn enter(&mut self) {
        let mut table = crate::lock(&self.connections.table);
        let index = match self.index.or_else(|| table.free.pop()) {
            Some(index) => index,
            None => {
                table.slots.push(Content::Unused);
                table.slots.len() - 1
            }
        };
        table.set(index, Content::Connecting { to_be_closed: false });
        table.last = index;
        if self.index.replace(index).is_none() {
            table.reserved = table.reserved.saturating_sub(1);
        }
    }

    /// The client has been connected to a server.
    pub(crate) fn attach(&self, connection: &Arc<Connection>) {
        let Some(index) = self.index else {
            return;
        };
        let live = Content::Live(Arc::downgrade(connection));
        let to_be_closed = {
            let mut table = crate::lock(&self.connections.table);
            let before = table.slots.get(index);
            let to_be_closed =
                matches!(before, Some(Content::Connecting { to_be_closed: true, .. }));
            table.set(index, live);
            to_be_closed
        };
        if to_be_closed {
            connection.close(Reason::Command);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut table = crate::lock(&self.connections.table);
        match self.index {
            None => table.reserved = table.reserved.saturating_sub(1),
            Some(index) => {
                table.set(index, Content::Unused);
                table.free.push(index);
            }
        }
        let waiting = std::mem::take(&mut table.waiting);
        drop(table);
        // Waking costs a system call, even if no thread waits.
        if waiting {
            self.connections.freed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn slots_are_used_again_and_waited_for() {
        let connections = Connections::new(2);
        let take = || {
            let mut slot = connections.take(|| false, LONG).unwrap();
            slot.enter();
            slot
        };
        let (a, b) = (take(), take());
        assert_eq!((a.index, b.index), (Some(0), Some(1)));
        drop(a);
        let a = take();
        assert_eq!(a.index, Some(0));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| take().index);
            while !crate::lock(&connections.table).waiting {
                std::thread::yield_now();
            }
            drop(b);
            assert_eq!(waiter.join().unwrap(), Some(1));
        });
        connections.grow(3);
        connections.grow(1);
        assert_eq!(connections.max(), 3);
        connections.set_limit(1);
        assert!(connections.try_take().is_none());
        drop(a);
        assert!(connections.try_take().is_some());
    }

    #[test]
    fn a_wait_is_interrupted() {
        let connections = Connections::new(0);
        let stop = std::sync::atomic::AtomicBool::new(false);
        let order = std::sync::atomic::Ordering::SeqCst;
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| connections.take(|| stop.load(order), LONG).is_none());
            while !crate::lock(&connections.table).waiting {
                std::thread::yield_now();
            }
            stop.store(true, order);
            connections.wake();
            assert!(waiter.join().unwrap());
        });
    }

    #[test]
    fn reports_tell_reserved_from_connecting() {
        let connections = Connections::new(1);
        let mut slot = connections.try_take().unwrap();
        assert!(matches!(connections.content(0), Some(Content::Unused)));
        assert_eq!(connections.used_and_last().0, 0);
        slot.enter();
        assert!(matches!(connections.content(0), Some(Content::Connecting { .. })));
        assert!(connections.content(1).is_none());
        assert!(connections.close(0) && !connections.close(1));
        assert_eq!(connections.used_and_last(), (1, 0));
    }
}

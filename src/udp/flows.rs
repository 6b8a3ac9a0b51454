//! The flows of UDP: which datagrams belong together, and which flow has been
//! idle for longest. No I/O.
//!
//! A heap has one entry for each flow, with the moment it was last seen to be
//! touched. That moment may be out of date, and then only too early: whoever is
//! taken from the top and was touched since goes back in with its new moment,
//! so that what remains at the top has been idle for longest.

use crate::pool::choice::Target;
use crate::pool::counter::Counter;
use crate::proxy::connection::Connection;
use crate::sys::{Here, Peer};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What makes datagrams belong together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The client's address and port.
    pub peer: Peer,
    /// The address of this host that it sent to, where there are several.
    pub here: Option<Here>,
}

/// What a flow has more than a TCP connection.
#[derive(Debug)]
pub struct Flow {
    /// Which datagrams are its.
    pub key: Key,
    touched: Counter,
    over: AtomicBool,
    kept: Mutex<Kept>,
}

/// Datagrams that the server has not answered yet, the oldest first. If it
/// refuses one, nobody says which: all that are young enough to be meant are
/// sent to another server. So some may arrive twice, but none is lost.
#[derive(Debug, Default)]
struct Kept {
    list: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    over: bool,
    /// Servers that have refused what is kept.
    refused_by: Vec<Target>,
}

/// What is left of a flow that was refused.
#[derive(Debug, Default)]
pub struct Left {
    /// Datagrams that may have been lost, the oldest first.
    pub datagrams: Vec<Vec<u8>>,
    /// Servers that had refused them before.
    pub refused_by: Vec<Target>,
}

/// How long the way to a server and its refusal's way back may take.
const YOUNG: Duration = Duration::from_millis(50);

/// Datagrams that are kept, and their bytes (one may have more).
const MOST: usize = 16;
const MOST_BYTES: usize = 64 * 1024;

/// Places in the tables that are worth no effort.
const SMALL: usize = 64;

/// Memory that stays for the next datagram to be kept.
const SPARE: usize = 2048;

impl Flow {
    /// A flow without datagrams. These servers have refused the one for which
    /// it is made.
    pub fn new(key: Key, refused_by: Vec<Target>) -> Flow {
        Flow {
            key,
            touched: Counter::default(),
            over: AtomicBool::new(false),
            kept: Mutex::new(Kept { refused_by, ..Kept::default() }),
        }
    }

    /// A datagram came or went, at this moment by the clock of [`Flows`].
    pub fn touch(&self, now: u64) {
        self.touched.set(now);
    }

    /// When the last one did.
    pub fn touched(&self) -> u64 {
        self.touched.get()
    }

    /// Keeps a datagram that is about to be sent; `false` if the flow is over.
    pub fn keep(&self, data: &[u8], now: Instant) -> bool {
        let mut kept = crate::lock(&self.kept);
        if kept.over {
            return false;
        }
        let mut room = Vec::new();
        while let Some((since, old)) = kept.list.front() {
            let (full, late) = (kept.list.len() >= MOST, now > *since + YOUNG);
            if !full && !late && kept.bytes + data.len() <= MOST_BYTES {
                break;
            }
            kept.bytes = kept.bytes.saturating_sub(old.len());
            room = kept.list.pop_front().unwrap_or((now, room)).1;
        }
        let room = copy(data, room);
        kept.bytes += data.len();
        kept.list.push_back((now, room));
        true
    }

    /// The server has answered: nothing is kept any more. `false` if the flow
    /// is over: what was kept is on its way to another server, which answers, too.
    pub fn answered(&self) -> bool {
        let mut kept = crate::lock(&self.kept);
        kept.list.clear();
        kept.bytes = 0;
        kept.refused_by.clear();
        !kept.over
    }

    /// The flow is over: what was kept, or the newest of it alone. Nothing, if
    /// it was over before.
    pub fn give_up(&self, newest_alone: bool) -> Left {
        let mut kept = crate::lock(&self.kept);
        if std::mem::replace(&mut kept.over, true) {
            return Left::default();
        }
        let mut list = std::mem::take(&mut kept.list);
        if let Some((newest, _)) = list.back() {
            let since = newest.checked_sub(YOUNG);
            list.retain(|(then, _)| since.is_none_or(|since| *then >= since));
        }
        if newest_alone {
            list.drain(..list.len().saturating_sub(1));
        }
        Left {
            datagrams: list.into_iter().map(|(_, data)| data).collect(),
            refused_by: std::mem::take(&mut kept.refused_by),
        }
    }
}

/// A copy of a datagram, in this memory if it will do. It is as large as a power
/// of two: of each size that is freed, glibc keeps some pieces for each thread,
/// and these its pages.
pub fn copy(data: &[u8], mut room: Vec<u8>) -> Vec<u8> {
    let size = data.len().next_power_of_two();
    room.clear();
    room.shrink_to(size.max(SPARE));
    room.reserve(size);
    room.extend_from_slice(data);
    room
}

/// The flows. One lock, held for moments; no flow is dropped under it.
#[derive(Debug, Default)]
pub struct Flows {
    table: Mutex<Table>,
    clock: Counter,
}

#[derive(Debug, Default)]
struct Table {
    /// The flows of a key, one for each server that it is on.
    by_key: HashMap<Key, Vec<Arc<Connection>>>,
    ages: Ages,
    count: usize,
}

impl Flows {
    /// A moment later than all before: time, counted in datagrams.
    pub fn tick(&self) -> u64 {
        self.clock.add(1).wrapping_add(1)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        crate::lock(&self.table).count
    }

    /// A flow of this key; with several servers, any.
    pub fn find(&self, key: &Key) -> Option<Arc<Connection>> {
        let table = crate::lock(&self.table);
        table.by_key.get(key)?.first().cloned()
    }

    /// All flows of this key.
    pub fn find_all(&self, key: &Key) -> Vec<Arc<Connection>> {
        let table = crate::lock(&self.table);
        table.by_key.get(key).cloned().unwrap_or_default()
    }

    /// A new flow. (What is none is left out.)
    pub fn insert(&self, connection: &Arc<Connection>) {
        let Some(flow) = &connection.flow else {
            return;
        };
        let mut table = crate::lock(&self.table);
        let all = table.by_key.entry(flow.key.clone()).or_default();
        all.push(Arc::clone(connection));
        table.count += 1;
        table.ages.push(Arc::clone(flow));
    }

    /// The flow is over; `false` if it was before.
    pub fn remove(&self, connection: &Arc<Connection>) -> bool {
        let removed = {
            let mut table = crate::lock(&self.table);
            connection.flow.as_ref().and_then(|flow| table.remove(flow))
        };
        removed.is_some()
    }

    /// Takes out the flow that has been idle for longest.
    pub fn take_oldest(&self) -> Option<Arc<Connection>> {
        let mut table = crate::lock(&self.table);
        loop {
            let flow = table.ages.pop()?;
            if let Some(connection) = table.remove(&flow) {
                return Some(connection);
            }
        }
    }

    /// Takes out all of them.
    pub fn take_all(&self) -> Vec<Arc<Connection>> {
        let mut table = crate::lock(&self.table);
        table.count = 0;
        table.ages = Ages::default();
        let all = std::mem::take(&mut table.by_key);
        all.into_values().flatten().collect()
    }
}

impl Table {
    fn remove(&mut self, flow: &Arc<Flow>) -> Option<Arc<Connection>> {
        flow.over.store(true, Relaxed);
        let all = self.by_key.get_mut(&flow.key)?;
        let is_it = |connection: &Arc<Connection>| {
            let other = connection.flow.as_ref();
            other.is_some_and(|other| Arc::ptr_eq(other, flow))
        };
        let at = all.iter().position(is_it)?;
        let connection = all.swap_remove(at);
        if all.is_empty() {
            self.by_key.remove(&flow.key);
        }
        self.count = self.count.saturating_sub(1);
        if self.by_key.capacity() > 4 * self.count + SMALL {
            self.by_key.shrink_to(2 * self.count);
        }
        self.ages.tidy(self.count);
        Some(connection)
    }
}

/// The flows in the order of their age, see above.
#[derive(Debug, Default)]
struct Ages(BinaryHeap<Reverse<Age>>);

#[derive(Debug)]
struct Age {
    touched: u64,
    flow: Arc<Flow>,
}

impl PartialEq for Age {
    fn eq(&self, other: &Age) -> bool {
        self.touched == other.touched
    }
}

impl Eq for Age {}

impl PartialOrd for Age {
    fn partial_cmp(&self, other: &Age) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Age {
    fn cmp(&self, other: &Age) -> std::cmp::Ordering {
        self.touched.cmp(&other.touched)
    }
}

impl Ages {
    /// Clears out those that are over as soon as they are the most, or all:
    /// `count` are alive.
    fn tidy(&mut self, count: usize) {
        if count == 0 || self.0.len() > 2 * count + SMALL {
            self.0.retain(|Reverse(age)| !age.flow.over.load(Relaxed));
            // Not each time: see `Connections::live`.
            if self.0.capacity() > 8 * count + 2 * SMALL {
                self.0.shrink_to((2 * count).next_power_of_two());
            }
        }
    }

    /// One more.
    fn push(&mut self, flow: Arc<Flow>) {
        let touched = flow.touched();
        self.0.push(Reverse(Age { touched, flow }));
    }

    /// Takes out the one that has been idle for longest.
    fn pop(&mut self) -> Option<Arc<Flow>> {
        loop {
            let Reverse(mut age) = self.0.pop()?;
            let touched = age.flow.touched();
            if age.flow.over.load(Relaxed) {
                continue;
            }
            if touched == age.touched {
                return Some(age.flow);
            }
            age.touched = touched;
            self.0.push(Reverse(age));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(port: u16, touched: u64) -> Arc<Flow> {
        let peer = Peer::Inet(([127, 0, 0, 1], port).into());
        let flow = Flow::new(Key { peer, here: None }, Vec::new());
        flow.touch(touched);
        Arc::new(flow)
    }

    #[test]
    fn the_longest_idle_comes_first() {
        let mut ages = Ages::default();
        let all = [flow(1, 1), flow(2, 2), flow(3, 3), flow(4, 4)];
        for flow in &all {
            ages.push(Arc::clone(flow));
        }
        all[0].touch(9);
        all[2].touch(7);
        all[1].over.store(true, Relaxed);
        let order: Vec<u64> =
            std::iter::from_fn(|| ages.pop()).map(|flow| flow.touched()).collect();
        assert_eq!(order, [4, 7, 9]);
    }

    #[test]
    fn the_clock_goes_on_where_a_word_ends() {
        let flows = Flows::default();
        flows.clock.set(u64::from(u32::MAX));
        let mut ages = Ages::default();
        let old = flow(1, 5);
        let new = flow(2, flows.tick());
        [&new, &old].into_iter().for_each(|flow| ages.push(Arc::clone(flow)));
        assert_eq!(ages.pop().map(|flow| flow.touched()), Some(5));
        assert!(new.touched() > u64::from(u32::MAX));
    }

    #[test]
    fn those_that_are_over_do_not_pile_up() {
        let mut ages = Ages::default();
        for n in 0..10_000 {
            let flow = flow(1, n);
            ages.push(Arc::clone(&flow));
            flow.over.store(true, Relaxed);
            ages.tidy(1);
        }
        assert!(ages.0.len() < 100, "{}", ages.0.len());
    }

    #[test]
    fn what_is_kept_comes_back_once() {
        let now = Instant::now();
        let later = now + YOUNG * 2;
        let kept = |flow: &Flow| flow.give_up(false).datagrams;
        let flow_with = |all: &[(&[u8], Instant)]| {
            let flow = flow(1, 0);
            assert!(all.iter().all(|(data, when)| flow.keep(data, *when)));
            flow
        };
        let two = flow_with(&[(b"one", now), (b"", now)]);
        assert_eq!(kept(&two), [&b"one"[..], b""]);
        assert!(kept(&two).is_empty() && !two.keep(b"three", now));
        let late = flow_with(&[(b"one", now), (b"two", later)]);
        assert_eq!(kept(&late), [b"two"]);
        let newest = flow_with(&[(b"one", now), (b"two", now)]);
        assert_eq!(newest.give_up(true).datagrams, [b"two"]);
        let answered = flow_with(&[(b"one", now)]);
        assert!(answered.answered());
        assert!(kept(&answered).is_empty());
        assert!(!answered.answered(), "it is asked for elsewhere");
        let big = [0; 60_000];
        let full = flow_with(&[(&big, now), (&big, now)]);
        assert_eq!(kept(&full).len(), 1);
        let many = flow_with(&[(&b"x"[..], now); 3 * MOST]);
        assert_eq!(kept(&many).len(), MOST);
    }
}

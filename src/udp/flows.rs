//! The flows of UDP: which datagrams belong together, and which flow has been
//! idle for longest. No I/O.

use crate::pool::choice::Target;
use crate::pool::counter::Counter;
use crate::proxy::connection::{Connection, Direction};
use crate::proxy::listener::Accepted;
use crate::proxy::socket::Stream;
use crate::proxy_protocol::Source;
use crate::sys::{Address, Here};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::Shutdown;
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What makes datagrams belong together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The client's address and port.
    pub(super) peer: Address,
    /// The address of this host that the client sent to, where there are several.
    pub(super) here: Option<Here>,
    /// The descriptor of the socket that received them, which stays open as long as it
    /// has flows, and its port.
    pub(super) at: (RawFd, u16),
    /// Whom the PROXY header of the datagram names.
    pub(super) named: Option<Source>,
}

impl Key {
    /// The client, as one that has come now.
    pub(super) fn accepted(&self) -> Accepted {
        let sender = match &self.peer {
            Address::Inet(addr) => Accepted::from_inet(*addr, self.at.1),
            Address::Unix(_) => Accepted::from_unix(),
        };
        self.named.map_or(sender, |source| sender.on_behalf_of(source))
    }

    /// Writes it for another process. A Unix socket's path has to be text. A flow whose
    /// datagrams have PROXY headers begins anew there with the next one.
    pub(crate) fn to_text(&self) -> Option<String> {
        if self.named.is_some() {
            return None;
        }
        let here = self.here.map_or("-".to_owned(), |here| here.to_string());
        Some(match &self.peer {
            Address::Inet(peer) => format!("{here} inet {peer}"),
            Address::Unix(path) => format!("{here} unix {}", path.to_str()?),
        })
    }

    /// Reads that, of a flow of this socket and port.
    pub(super) fn parse(text: &str, at: (RawFd, u16)) -> Option<Key> {
        let (here, rest) = text.split_once(' ')?;
        let here = match here {
            "-" => None,
            here => Some(Here::parse(here)?),
        };
        let peer = match rest.split_once(' ')? {
            ("inet", peer) => Address::Inet(peer.parse().ok()?),
            ("unix", path) => Address::Unix(path.into()),
            _ => return None,
        };
        Some(Key { peer, here, at, named: None })
    }
}

/// How long a datagram may take to the server and the refusal back to pen.
const YOUNG: Duration = Duration::from_millis(50);

/// Datagrams that are kept for a flow, and their bytes (one may have more).
const MOST: usize = 16;
const MOST_BYTES: usize = 64 * 1024;

/// What one client's port and one server send each other.
pub(crate) struct Flow {
    pub(crate) key: Key,
    /// Its connection. The client's side of it is the socket that pen receives
    /// with, which all flows share.
    pub(crate) connection: Arc<Connection>,
    /// The PROXY header that each datagram to the server begins with.
    pub(super) header: Vec<u8>,
    unanswered: Mutex<Unanswered>,
}

/// The datagrams that a server may still refuse. Its refusal does not tell which
/// one is meant, and comes only after others have been sent: so all are sent to
/// another server. Some may arrive twice, but none is lost.
#[derive(Debug, Default)]
struct Unanswered {
    /// The oldest first, with the time when they were sent.
    datagrams: VecDeque<(Instant, Vec<u8>)>,
    /// The servers that have refused them before.
    refused_by: Vec<Target>,
    /// The flow is over, and nothing is kept for it any more.
    is_over: bool,
}

impl Unanswered {
    fn keep(&mut self, data: &[u8], now: Instant) -> bool {
        if self.is_over {
            return false;
        }
        let all = &mut self.datagrams;
        while let Some((since, _)) = all.front() {
            let bytes: usize = all.iter().map(|(_, data)| data.len()).sum();
            let is_full = all.len() >= MOST || bytes + data.len() > MOST_BYTES;
            if !is_full && now <= *since + YOUNG {
                break;
            }
            all.pop_front();
        }
        all.push_back((now, data.to_vec()));
        true
    }
}

impl Flow {
    /// Makes a flow without datagrams, of which the first one has been refused by
    /// these servers.
    pub(super) fn new(
        key: Key,
        connection: Arc<Connection>,
        header: Vec<u8>,
        refused_by: Vec<Target>,
    ) -> Flow {
        let unanswered = Unanswered { refused_by, ..Unanswered::default() };
        Flow { key, connection, header, unanswered: Mutex::new(unanswered) }
    }

    /// Keeps a datagram that is about to be sent; `false` if the flow is over.
    pub(super) fn keep(&self, data: &[u8], now: Instant) -> bool {
        crate::lock(&self.unanswered).keep(data, now)
    }

    /// Forgets what was kept, as the server has answered. Returns `false` if the
    /// flow is over: what was kept is on its way to another server, which answers,
    /// too.
    pub(super) fn answered(&self) -> bool {
        let mut unanswered = crate::lock(&self.unanswered);
        unanswered.datagrams.clear();
        unanswered.refused_by.clear();
        !unanswered.is_over
    }

    /// Ends the flow. Returns the datagrams that were not answered, the oldest
    /// first, and the servers that had refused them before. The second call finds
    /// none.
    pub(super) fn give_up(&self) -> (Vec<Vec<u8>>, Vec<Target>) {
        let mut unanswered = crate::lock(&self.unanswered);
        unanswered.is_over = true;
        let datagrams = std::mem::take(&mut unanswered.datagrams);
        let refused_by = std::mem::take(&mut unanswered.refused_by);
        (datagrams.into_iter().map(|(_, data)| data).collect(), refused_by)
    }
}

/// All flows. No flow is dropped under the lock.
pub(crate) struct Flows {
    /// The flows of a key, one for each server that it is on.
    by_key: Mutex<HashMap<Key, Vec<Arc<Flow>>>>,
    clock: Counter,
    /// How many datagrams are in the queue or were taken from it and are not yet
    /// delivered.
    pub(crate) pending: AtomicUsize,
    /// The threads of flows wait on the second, too. It ends when another process has
    /// the flows: their sockets are that one's as well, and must not be shut down.
    leaving: (UnixStream, UnixStream),
}

impl Flows {
    /// Makes a table without flows.
    pub(crate) fn new() -> io::Result<Flows> {
        let (by_key, clock, pending) = Default::default();
        Ok(Flows { by_key, clock, pending, leaving: UnixStream::pair()? })
    }

    /// Wakes the threads of all flows, as another process has them from now on.
    pub(crate) fn leave(&self) {
        let _ = self.leaving.0.shutdown(Shutdown::Both);
    }

    /// What can be read when another process has the flows.
    pub(super) fn leaving(&self) -> &UnixStream {
        &self.leaving.1
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Flow>> {
        crate::lock(&self.by_key).values().flatten().cloned().collect()
    }

    /// The time as a count of datagrams. Each call gives a later one.
    pub(super) fn tick(&self) -> u64 {
        self.clock.add(1).wrapping_add(1)
    }

    /// Finds a flow of this key; with several servers, any.
    pub(super) fn find(&self, key: &Key) -> Option<Arc<Flow>> {
        crate::lock(&self.by_key).get(key)?.first().cloned()
    }

    /// Finds all flows of this key.
    pub(super) fn find_all(&self, key: &Key) -> Vec<Arc<Flow>> {
        crate::lock(&self.by_key).get(key).cloned().unwrap_or_default()
    }

    /// Adds a new flow.
    pub(super) fn insert(&self, flow: &Arc<Flow>) {
        let mut by_key = crate::lock(&self.by_key);
        by_key.entry(flow.key.clone()).or_default().push(Arc::clone(flow));
    }

    /// Takes out a flow that is over, if it is still there.
    pub(super) fn remove(&self, flow: &Arc<Flow>) {
        remove(&mut crate::lock(&self.by_key), flow);
    }

    /// Takes out the flows that have been idle for longest, so that `wanted` slots
    /// become free. Of the `taken` ones, those that have no flow any more are about
    /// to; while they are half of what is wanted, nothing is taken out. So a flood of
    /// new flows costs few searches through all.
    pub(super) fn make_room(&self, wanted: usize, taken: usize) -> Vec<Arc<Flow>> {
        let mut by_key = crate::lock(&self.by_key);
        let all = by_key.values().flatten();
        let all: Vec<_> = all.map(|flow| (flow.connection.touched.get(), flow)).collect();
        let leaving = taken.saturating_sub(all.len());
        if leaving * 2 >= wanted {
            return Vec::new();
        }
        let oldest: Vec<_> = oldest(all, wanted - leaving).into_iter().cloned().collect();
        for flow in &oldest {
            remove(&mut by_key, flow);
        }
        oldest
    }

    /// Takes out the flows whose clients send to sockets for which `is_over` holds.
    pub(super) fn take_those_of(&self, is_over: impl Fn(&Stream) -> bool) -> Vec<Arc<Flow>> {
        let mut by_key = crate::lock(&self.by_key);
        let all = by_key.values().flatten();
        let over = all.filter(|flow| is_over(flow.connection.source(Direction::Up)));
        let over: Vec<_> = over.cloned().collect();
        over.iter().for_each(|flow| remove(&mut by_key, flow));
        over
    }
}

fn remove(by_key: &mut HashMap<Key, Vec<Arc<Flow>>>, flow: &Arc<Flow>) {
    if let Some(all) = by_key.get_mut(&flow.key) {
        all.retain(|other| !Arc::ptr_eq(other, flow));
        if all.is_empty() {
            by_key.remove(&flow.key);
        }
    }
}

/// Picks the `count` with the lowest times, in any order.
fn oldest<T>(mut all: Vec<(u64, T)>, count: usize) -> Vec<T> {
    if count < all.len() {
        all.select_nth_unstable_by_key(count, |(time, _)| *time);
    }
    all.into_iter().take(count).map(|(_, flow)| flow).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_idle_are_picked() {
        let all = vec![(7, 'a'), (2, 'b'), (9, 'c'), (4, 'd')];
        for (count, wanted) in [(0, ""), (1, "b"), (2, "bd"), (3, "abd"), (4, "abcd"), (9, "abcd")]
        {
            let mut found = oldest(all.clone(), count);
            found.sort_unstable();
            assert_eq!(found.iter().collect::<String>(), wanted);
        }
    }

    #[test]
    fn keys_read_back() {
        let inet = |text: &str| Address::Inet(text.parse().unwrap());
        for peer in [inet("192.0.2.1:53"), inet("[fe80::1%3]:7"), Address::Unix("\0a b".into())] {
            for here in [None, Here::parse("192.0.2.7%0"), Here::parse("fe80::1%3")] {
                let key = Key { peer: peer.clone(), here, at: (7, 80), named: None };
                assert_eq!(Key::parse(&key.to_text().unwrap(), (7, 80)), Some(key));
            }
        }
        assert!(
            ["", "-", "- inet", "- inet x", "x inet 1.2.3.4:5", "- tcp 1"]
                .iter()
                .all(|text| Key::parse(text, (7, 80)).is_none())
        );
    }

    #[test]
    fn what_may_still_be_refused_is_kept() {
        let now = Instant::now();
        let kept = |all: &[(&[u8], Instant)]| {
            let mut unanswered = Unanswered::default();
            assert!(all.iter().all(|(data, when)| unanswered.keep(data, *when)));
            unanswered.datagrams.into_iter().map(|(_, data)| data).collect::<Vec<_>>()
        };
        assert_eq!(kept(&[(b"one", now), (b"", now)]), [&b"one"[..], b""]);
        assert_eq!(kept(&[(b"one", now), (b"two", now + YOUNG * 2)]), [b"two"]);
        let big = [0; 60_000];
        assert_eq!(kept(&[(&big, now), (&big, now)]).len(), 1);
        assert_eq!(kept(&[(&b"x"[..], now); 3 * MOST]).len(), MOST);
        let mut over = Unanswered { is_over: true, ..Unanswered::default() };
        assert!(!over.keep(b"one", now) && over.datagrams.is_empty());
    }
}

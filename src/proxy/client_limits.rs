//! Limits for each client: its connections at once (`client_conn_max`), and how often it
//! may connect (`client_rate`). Whoever is over one is turned away: in the kernel's
//! queue, which all clients share, it would hold up the others.

use crate::pool::clients::Client;
use crate::pool::counter::Counter;
use crate::proxy::listener::Accepted;
use crate::proxy::shared::Pen;
use crate::settings::{Rate, Settings};
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex};

/// What is counted for the limits, by the clients' networks.
#[derive(Debug, Default)]
pub struct ClientLimits {
    open: Arc<Mutex<HashMap<Client, u32>>>,
    arrivals: Mutex<Arrivals>,
}

/// A connection that counts for its client until this is dropped.
#[derive(Debug)]
struct Counted {
    open: Arc<Mutex<HashMap<Client, u32>>>,
    client: Client,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = crate::lock(&self.open);
        if let Some(count) = open.get_mut(&self.client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.client);
            }
        }
    }
}

/// The right of a client to a connection. All copies are one connection, which counts
/// until the last of them is dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admitted(#[expect(dead_code)] Option<Arc<Counted>>);

/// A limit that a client is over: why it is turned away, and where that is counted.
pub(crate) struct Over<'a> {
    pub(crate) why: &'static str,
    pub(crate) count: &'a Counter,
}

/// Admits a client, unless it is over a limit. Clients of a Unix socket cannot be told
/// apart, and have none.
pub(crate) fn admit<'a>(
    pen: &'a Pen,
    settings: &Settings,
    accepted: &Accepted,
) -> Result<Admitted, Over<'a>> {
    let (most, rate) = (settings.client_conn_max, settings.client_rate);
    if (most == 0 && rate.is_none()) || accepted.client == Client::Unix {
        return Ok(Admitted::default());
    }
    let limits = &pen.client_limits;
    let client = accepted.client.network(settings.limit_prefix);
    let admitted = limits.count(client, most).ok_or(Over {
        why: "as many connections as client_conn_max allows",
        count: &pen.outcomes.client_conn_max,
    })?;
    if let Some(rate) = rate {
        let mut arrivals = crate::lock(&limits.arrivals);
        // Under the lock, so that it never goes back.
        let now = u64::try_from(pen.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        if !arrivals.arrive(client, rate, now) {
            let count = &pen.outcomes.client_rate;
            return Err(Over { why: "more connections than client_rate allows", count });
        }
    }
    Ok(admitted)
}

/// Counts a connection that the process before this one has admitted.
pub(crate) fn take_over(pen: &Pen, settings: &Settings, client: Client) -> Admitted {
    let is_counted = settings.client_conn_max > 0 && client != Client::Unix;
    let most = if is_counted { u32::MAX } else { 0 };
    let client = client.network(settings.limit_prefix);
    pen.client_limits.count(client, most).unwrap_or_default()
}

impl ClientLimits {
    /// Counts a connection, unless the client has `most` already. Those that came while
    /// there was no limit (0) are not counted.
    fn count(&self, client: Client, most: u32) -> Option<Admitted> {
        if most == 0 {
            return Some(Admitted::default());
        }
        let mut open = crate::lock(&self.open);
        let count = open.entry(client).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Admitted(Some(Arc::new(Counted { open: Arc::clone(&self.open), client }))))
    }
}

/// Clients whose arrivals are remembered: 1 MiB.
const SETS: usize = 8192;
/// A client has one of these places.
const WAYS: usize = 8;

/// When clients came. Each arrival is paid for by a wait of a [`Rate`]'s share of its
/// time, and what a client owes must not be more than all of it. A client that owes
/// nothing need not be remembered; if all of its places are taken, the client that owes
/// least is forgotten. So with too many clients some come more often than they should,
/// and none is turned away for another.
#[derive(Debug, Default)]
struct Arrivals {
    /// Random, so that nobody can choose addresses that share places.
    hasher: RandomState,
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// The client's hash.
    client: u64,
    /// When it will owe nothing, in microseconds since the start.
    paid: u64,
}

impl Arrivals {
    /// Counts an arrival `now`, in microseconds since the start, unless it is too early.
    fn arrive(&mut self, client: Client, rate: Rate, now: u64) -> bool {
        self.places.resize(SETS * WAYS, Place::default());
        let client = self.hasher.hash_one(client);
        let first = client as usize % SETS * WAYS;
        let places = self.places.iter_mut().skip(first).take(WAYS);
        let Some(place) = places.min_by_key(|place| (place.client != client, place.paid)) else {
            return true; // Cannot be: there are such places.
        };
        let (step, most) = rate.micros();
        // Nobody owes more, except from before the rate was set.
        let is_known = place.client == client && place.paid <= now.saturating_add(most);
        let paid = if is_known { place.paid } else { 0 };
        let paid = paid.max(now).saturating_add(step);
        let is_in_time = paid.saturating_sub(now) <= most;
        if is_in_time {
            *place = Place { client, paid };
        }
        is_in_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn client(number: u32) -> Client {
        Client::Inet(number.to_be_bytes().into())
    }

    #[test]
    fn a_connection_counts_until_its_last_copy_is_dropped() {
        let limits = ClientLimits::default();
        let (one, two) = (limits.count(client(1), 2), limits.count(client(1), 2));
        assert!(one.is_some() && two.is_some() && limits.count(client(1), 2).is_none());
        assert!(limits.count(client(2), 2).is_some());
        let copy = one.clone();
        drop(one);
        assert!(limits.count(client(1), 2).is_none());
        drop(copy);
        assert!(limits.count(client(1), 2).is_some());
        drop(two);
        assert!(crate::lock(&limits.open).is_empty(), "clients without connections are left");
        assert!(limits.count(client(1), 0).is_some());
        assert!(crate::lock(&limits.open).is_empty());
    }

    #[test]
    fn so_many_at_once_and_then_one_for_each_share_of_the_time() {
        let (mut all, rate) = (Arrivals::default(), Rate { count: 3, seconds: 60 });
        let mut times = |at: u64, count| {
            let at = 1000 * SECOND + at * SECOND;
            (0..count).filter(|_| all.arrive(client(1), rate, at)).count()
        };
        assert_eq!(times(0, 9), 3);
        assert_eq!(times(19, 9), 0);
        assert_eq!(times(20, 9), 1);
        assert_eq!(times(60, 9), 2);
        assert_eq!(times(600, 9), 3);
        // What was refused costs nothing, and another client has its own.
        assert!((0..3).all(|_| all.arrive(client(2), rate, 1600 * SECOND)));
        // A higher rate counts at once.
        assert!(all.arrive(client(2), Rate { count: 100, seconds: 1 }, 1601 * SECOND));
        for count in [1, 7, 999, 1_000_000] {
            let (mut all, rate) = (Arrivals::default(), Rate { count, seconds: 1 });
            let came = (0..=count).filter(|_| all.arrive(client(1), rate, SECOND)).count();
            assert_eq!(came, count as usize);
        }
    }

    /// More clients than there are places, and none of them is turned away at its first
    /// arrival; those that came last are remembered.
    #[test]
    fn too_many_clients_are_none_turned_away() {
        let (mut all, rate) = (Arrivals::default(), Rate { count: 1, seconds: 3600 });
        let many = 4 * (SETS * WAYS) as u32;
        assert!((0..many).all(|n| all.arrive(client(n), rate, SECOND + u64::from(n))));
        assert_eq!(all.places.len(), SETS * WAYS);
        let again = (many - 1000..many).filter(|n| all.arrive(client(*n), rate, 2 * SECOND));
        assert!(again.count() < 10);
    }
}

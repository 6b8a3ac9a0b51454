//! Counters that many threads add to.

use std::fmt;

/// A count that only grows. 64 bits on every system: where the processor has
/// no 64-bit atomics (mips), a lock stands in.
#[derive(Default)]
pub struct Counter(Cell);

#[cfg(target_has_atomic = "64")]
type Cell = std::sync::atomic::AtomicU64;
#[cfg(not(target_has_atomic = "64"))]
type Cell = std::sync::Mutex<u64>;

#[cfg(target_has_atomic = "64")]
impl Counter {
    /// Adds `n`. Returns the count before that.
    pub(crate) fn add(&self, n: u64) -> u64 {
        self.0.fetch_add(n, std::sync::atomic::Ordering::Relaxed)
    }

    /// Sets it to a later count.
    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, std::sync::atomic::Ordering::Relaxed);
    }

    /// The count so far.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

#[cfg(not(target_has_atomic = "64"))]
impl Counter {
    /// Adds `n`. Returns the count before that.
    pub(crate) fn add(&self, n: u64) -> u64 {
        let mut count = crate::lock(&self.0);
        let before = *count;
        *count = count.wrapping_add(n);
        before
    }

    /// Sets it to a later count.
    pub(crate) fn set(&self, n: u64) {
        *crate::lock(&self.0) = n;
    }

    /// The count so far.
    pub(crate) fn get(&self) -> u64 {
        *crate::lock(&self.0)
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// What goes to and comes from one peer.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Bytes sent to the peer.
    pub sx: Counter,
    /// Bytes received from the peer.
    pub rx: Counter,
}

/// What became of clients since the start.
#[derive(Debug, Default)]
pub struct Outcomes {
    /// Connections that were accepted, and UDP flows.
    pub accepted: Counter,
    /// Denied by the access list; the abuse server may have served them.
    pub denied: Counter,
    /// Turned away, as no server took them.
    pub no_server: Counter,
    /// Datagrams of new flows that found no free slot (`-x`).
    pub limit: Counter,
    /// Turned away, as the client had `client_conn_max` connections.
    pub client_conn_max: Counter,
    /// Turned away, as the client came more often than `client_rate` allows.
    pub client_rate: Counter,
    /// Turned away, as they sent no PROXY header that pen accepts.
    pub no_header: Counter,
    /// Turned away, as descriptors, ports or memory were missing.
    pub no_resources: Counter,
    /// Clients that were sent to a second server.
    pub redispatched: Counter,
}

impl Outcomes {
    /// Names for reports, what they count, and how much so far.
    pub(crate) fn rows(&self) -> [(&'static str, &'static str, u64); 9] {
        [
            ("accepted", "Connections accepted, and UDP flows.", &self.accepted),
            ("denied", "Clients denied by the access list.", &self.denied),
            ("dropped_no_server", "Clients that no server took.", &self.no_server),
            ("dropped_limit", "Datagrams of new flows without a place.", &self.limit),
            ("dropped_conn_max", "Clients over client_conn_max.", &self.client_conn_max),
            ("dropped_rate", "Clients over client_rate.", &self.client_rate),
            ("dropped_no_header", "Clients without a PROXY header to accept.", &self.no_header),
            (
                "dropped_no_resources",
                "Clients that found no descriptors, ports or memory.",
                &self.no_resources,
            ),
            ("redispatched", "Clients that were sent to a second server.", &self.redispatched),
        ]
        .map(|(name, what, counter)| (name, what, counter.get()))
    }
}

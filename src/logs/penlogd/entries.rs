//! The last requests that pens reported, found by server and request.
//!
//! The requests are in a ring. An index leads from the server and the request
//! to the newest of those that are equal, so a look-up takes the same time
//! however many there are. When the oldest request leaves the ring, it leaves
//! the index too, unless a newer one has replaced it there.
//!
//! pen cuts a request so that its datagram has at most 1024 bytes. That leaves
//! about 990 bytes of the request, depending on the lengths of the addresses.
//! Requests that may have been cut are indexed apart from the whole ones, and
//! the ring counts their lengths. A web server's request is looked up whole
//! and, if it is long enough, cut to each of these lengths. In practice they
//! are few, as many as there are lengths of addresses. The newest request that
//! was found is the one.

use super::line::PenRequest;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

struct RecentRequest {
    client: Box<[u8]>,
    key: Arc<[u8]>,
    cut: bool,
}

/// The ring and its index.
pub(super) struct RecentRequests {
    max: usize,
    ring: VecDeque<RecentRequest>,
    /// The number of the oldest request in the ring. Each new request gets the
    /// next number.
    first: u64,
    newest: HashMap<Arc<[u8]>, u64>,
    /// How many requests in the ring may have been cut, by the length of their
    /// keys.
    cuts: BTreeMap<usize, usize>,
}

/// The key in the index: a byte that tells cut requests from whole ones, the 16
/// bytes of the server's address, the request. The request is last, so cutting
/// the key cuts the request.
fn key(cut: bool, server: IpAddr, text: &[u8]) -> Vec<u8> {
    let address = match server {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    [&[u8::from(cut)], &address.octets()[..], text].concat()
}

impl RecentRequests {
    /// Makes an empty ring for at most `max` requests, or for 1 if `max` is 0.
    pub(super) fn new(max: usize) -> RecentRequests {
        RecentRequests {
            max: max.max(1),
            ring: VecDeque::new(),
            first: 0,
            newest: HashMap::new(),
            cuts: BTreeMap::new(),
        }
    }

    /// How many requests are in the ring.
    pub(super) fn count(&self) -> usize {
        self.ring.len()
    }

    /// Adds a request. If the ring is full, the oldest leaves.
    pub(super) fn add(&mut self, request: &PenRequest) {
        if self.ring.len() >= self.max {
            self.remove_oldest();
        }
        let key: Arc<[u8]> = key(request.cut, request.server, &request.text).into();
        if request.cut {
            *self.cuts.entry(key.len()).or_default() += 1;
        }
        self.newest.insert(Arc::clone(&key), self.first + self.ring.len() as u64);
        self.ring.push_back(RecentRequest { client: request.client.into(), key, cut: request.cut });
    }

    fn remove_oldest(&mut self) {
        let Some(old) = self.ring.pop_front() else { return };
        if self.newest.get(&old.key) == Some(&self.first) {
            self.newest.remove(&old.key);
        }
        self.first += 1;
        if old.cut {
            let length = old.key.len();
            match self.cuts.get_mut(&length) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(self.cuts.remove(&length)),
            }
        }
    }

    /// The client that sent the newest request to this server that is one of
    /// `texts`.
    pub(super) fn find(&self, server: IpAddr, texts: &[Vec<u8>]) -> Option<&[u8]> {
        let numbers = texts.iter().filter_map(|text| {
            let (whole, cut) = (key(false, server, text), key(true, server, text));
            let cuts = self.cuts.keys().map_while(|length| cut.get(..*length));
            let keys = cuts.chain([whole.as_slice()]);
            keys.filter_map(|key| self.newest.get(key)).max()
        });
        let index = usize::try_from(numbers.max()? - self.first).ok()?;
        self.ring.get(index).map(|request| &*request.client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn add(recent: &mut RecentRequests, client: &str, text: &str, cut: bool) {
        recent.add(&PenRequest {
            client: client.as_bytes(),
            server: SERVER,
            text: text.into(),
            cut,
        });
    }

    fn find(recent: &RecentRequests, text: &str) -> String {
        let found = recent.find(SERVER, &[text.into()]);
        String::from_utf8_lossy(found.unwrap_or(b"nobody")).into_owned()
    }

    #[test]
    fn the_newest_is_found_again_and_again() {
        let mut recent = RecentRequests::new(10);
        add(&mut recent, "a", "GET /", false);
        assert_eq!(find(&recent, "GET /"), "a");
        add(&mut recent, "b", "GET /", false);
        add(&mut recent, "c", "GET /other", false);
        for _ in 0..2 {
            assert_eq!(find(&recent, "GET /"), "b");
        }
        assert_eq!(find(&recent, "GET"), "nobody");
        assert_eq!(find(&recent, "GET /x"), "nobody");
        assert_eq!(find(&recent, ""), "nobody");
        let other = [192, 0, 2, 2].into();
        assert_eq!(recent.find(other, &["GET /".into()]), None);
        let mapped = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(recent.find(mapped, &["GET /".into()]), Some(&b"b"[..]));
    }

    #[test]
    fn any_form_will_do() {
        let mut recent = RecentRequests::new(10);
        add(&mut recent, "a", "two", false);
        add(&mut recent, "b", "one", false);
        let forms = ["one".into(), "two".into(), "three".into()];
        assert_eq!(recent.find(SERVER, &forms), Some(&b"b"[..]));
        assert_eq!(recent.find(SERVER, &[]), None);
    }

    #[test]
    fn the_oldest_leaves_but_not_what_came_again() {
        let mut recent = RecentRequests::new(2);
        add(&mut recent, "a", "one", false);
        add(&mut recent, "b", "one", false);
        add(&mut recent, "c", "two", false);
        assert_eq!(find(&recent, "one"), "b");
        add(&mut recent, "d", "three", false);
        assert_eq!(find(&recent, "one"), "nobody");
        assert_eq!(find(&recent, "two"), "c");
        assert_eq!(find(&recent, "three"), "d");
        assert_eq!((recent.count(), recent.newest.len()), (2, 2));
    }

    #[test]
    fn cut_requests_match_longer_ones() {
        let mut recent = RecentRequests::new(3);
        add(&mut recent, "long", "GET /abcdef", true);
        add(&mut recent, "longer", "GET /abcdefgh", true);
        add(&mut recent, "whole", "GET /abcdef HTTP/1.0", false);
        assert_eq!(find(&recent, "GET /abcdefghi"), "longer");
        assert_eq!(find(&recent, "GET /abcdefgX"), "long");
        assert_eq!(find(&recent, "GET /abcdef"), "long");
        assert_eq!(find(&recent, "GET /abcdef HTTP/1.0"), "whole");
        assert_eq!(find(&recent, "GET /abcde"), "nobody");
        add(&mut recent, "late", "GET /abcdef", true);
        assert_eq!(find(&recent, "GET /abcdefghi"), "late");
        add(&mut recent, "x", "x", false);
        assert_eq!(recent.cuts.values().sum::<usize>(), 1);
        for _ in 0..3 {
            add(&mut recent, "x", "x", false);
        }
        assert!(recent.cuts.is_empty());
        assert_eq!(recent.newest.len(), 1);
    }

    #[test]
    fn what_was_not_cut_is_no_beginning() {
        let mut recent = RecentRequests::new(3);
        add(&mut recent, "cut", "GET /abcdef", true);
        add(&mut recent, "whole", "GET /abcdef", false);
        add(&mut recent, "other", "GET /uvwxyz", false);
        assert_eq!(find(&recent, "GET /abcdefghi"), "cut");
        assert_eq!(find(&recent, "GET /abcdef"), "whole");
        assert_eq!(find(&recent, "GET /uvwxyz1"), "nobody");
    }
}

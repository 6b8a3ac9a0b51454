//! Access control lists: which client addresses are permitted. Pure.

use crate::client::Client;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// How many lists there are; 0 is the one in force unless told otherwise.
pub const LISTS: usize = 10;

/// What an entry matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Net {
    /// IPv4 addresses that equal this one under the mask.
    V4(Ipv4Addr, Ipv4Addr),
    /// IPv6 addresses whose first so many bits (at most 128) equal this one's.
    V6(Ipv6Addr, u8),
}

impl Net {
    /// `None` if the address is of the other family.
    fn matches(&self, ip: IpAddr) -> Option<bool> {
        match (self, ip) {
            (Net::V4(net, mask), IpAddr::V4(ip)) => {
                let mask = mask.to_bits();
                Some(ip.to_bits() & mask == net.to_bits() & mask)
            }
            (Net::V6(net, len), IpAddr::V6(ip)) => {
                let rest = 128_u32.saturating_sub(u32::from(*len));
                let mask = u128::MAX.checked_shl(rest).unwrap_or(0);
                Some(ip.to_bits() & mask == net.to_bits() & mask)
            }
            _ => None,
        }
    }
}

/// One line of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Permit or deny.
    pub permit: bool,
    /// Whom.
    pub net: Net,
}

/// A list: the first entry that matches decides; if none does, the opposite
/// of the last entry; an empty list permits.
/// A copy is the same list until one of the two changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acl(Arc<Entries>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entries {
    list: Vec<Entry>,
    /// The same without order.
    known: HashSet<Entry>,
}

impl Acl {
    /// Adds an entry at the end, unless the list has it already: reading a
    /// configuration again changes nothing.
    pub fn add(&mut self, entry: Entry) {
        if !self.0.known.contains(&entry) {
            let entries = Arc::make_mut(&mut self.0);
            entries.known.insert(entry);
            entries.list.push(entry);
        }
    }

    /// The entries in order.
    pub fn entries(&self) -> &[Entry] {
        &self.0.list
    }

    /// Whether `client` may. Who comes through a Unix socket always may.
    pub fn permits(&self, client: Client) -> bool {
        let (Client::Inet(ip), Some(last)) = (client, self.0.list.last()) else {
            return true;
        };
        self.0
            .list
            .iter()
            .find(|entry| entry.net.matches(ip) == Some(true))
            .map_or(!last.permit, |entry| entry.permit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(permit: bool, ip: [u8; 4], mask: [u8; 4]) -> Entry {
        let net = Net::V4(ip.into(), mask.into());
        Entry { permit, net }
    }

    fn ip(text: &str) -> Client {
        Client::Inet(text.parse().unwrap())
    }

    #[test]
    fn first_match_then_opposite_of_the_last() {
        let mut acl = Acl::default();
        assert!(acl.permits(ip("1.2.3.4")));
        acl.add(v4(false, [10, 0, 0, 1], [255; 4]));
        assert!(!acl.permits(ip("10.0.0.1")));
        assert!(acl.permits(ip("10.0.0.2")));
        // The mask counts on both sides.
        acl.add(v4(true, [10, 0, 0, 99], [255, 0, 0, 0]));
        assert!(!acl.permits(ip("10.0.0.1")));
        assert!(acl.permits(ip("10.0.0.2")));
        assert!(!acl.permits(ip("11.0.0.2")));
        assert!(acl.permits(Client::Unix));
        acl.add(v4(true, [10, 0, 0, 99], [255, 0, 0, 0]));
        assert_eq!(acl.entries().len(), 2);
    }

    #[test]
    fn ipv6_prefixes() {
        for (len, near, far) in [(128, false, false), (64, true, false), (0, true, true)] {
            let mut acl = Acl::default();
            let net = Net::V6("fd00::1".parse().unwrap(), len);
            acl.add(Entry { permit: true, net });
            assert!(acl.permits(ip("fd00::1")));
            assert_eq!(acl.permits(ip("fd00::2")), near);
            assert_eq!(acl.permits(ip("fe80::1")), far);
            assert!(!acl.permits(ip("10.0.0.1")));
        }
    }
}

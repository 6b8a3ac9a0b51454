//! Access control lists: which client addresses are permitted. Pure.

use crate::pool::clients::Client;
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
    /// IPv6 addresses that share this prefix: its address and length (at most 128).
    V6(Ipv6Addr, u8),
}

/// Reads an address. An IPv4 one may have fewer than four parts, and parts in octal
/// or hexadecimal, as inet_aton (3) reads it: `127.1`, `0`.
pub(crate) fn address(word: &str) -> Option<IpAddr> {
    word.parse().ok().or_else(|| short_v4(word).map(IpAddr::V4))
}

fn short_v4(word: &str) -> Option<Ipv4Addr> {
    let number = |part: &str| match part.strip_prefix('0') {
        Some("") => Some(0),
        Some(rest) => match rest.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => u32::from_str_radix(rest, 8).ok(),
        },
        None => part.parse().ok(),
    };
    let parts: Vec<&str> = word.split('.').collect();
    if word.contains('+') {
        return None; // a sign, to Rust
    }
    let (last, bytes) = parts.split_last()?;
    let mut all = 0_u32;
    for (part, shift) in bytes.iter().zip([24, 16, 8]) {
        all |= u32::from(u8::try_from(number(part)?).ok()?) << shift;
    }
    // The last one fills what is left.
    let room = u32::MAX.checked_shr(8 * u32::try_from(bytes.len()).ok()?)?;
    let last = number(last).filter(|last| *last <= room)?;
    Some((all | last).into())
}

impl Net {
    /// Whether it has this address. It has none of the other family.
    fn has(&self, ip: IpAddr) -> bool {
        match (self, ip) {
            (Net::V4(net, mask), IpAddr::V4(ip)) => {
                let mask = mask.to_bits();
                ip.to_bits() & mask == net.to_bits() & mask
            }
            (Net::V6(net, len), IpAddr::V6(ip)) => {
                let rest = 128_u32.saturating_sub(u32::from(*len));
                let mask = u128::MAX.checked_shl(rest).unwrap_or(0);
                ip.to_bits() & mask == net.to_bits() & mask
            }
            _ => false,
        }
    }
}

/// One line of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Permit or deny.
    pub permit: bool,
    /// The addresses that it is about.
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
    /// The same entries without order, to find one quickly.
    known: HashSet<Entry>,
}

impl Acl {
    /// Adds an entry at the end, unless the list has it already: reading a
    /// configuration again changes nothing.
    pub(crate) fn add(&mut self, entry: Entry) {
        if !self.0.known.contains(&entry) {
            let entries = Arc::make_mut(&mut self.0);
            entries.known.insert(entry);
            entries.list.push(entry);
        }
    }

    /// The entries in order.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.0.list
    }

    /// Whether the list permits this client. One on a Unix socket always is.
    pub(crate) fn permits(&self, client: Client) -> bool {
        let (Client::Inet(ip), Some(last)) = (client, self.0.list.last()) else {
            return true;
        };
        self.0
            .list
            .iter()
            .find(|entry| entry.net.has(ip))
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
    fn addresses_as_inet_aton_reads_them() {
        for (word, wanted) in [
            ("10.1.2.3", [10, 1, 2, 3]),
            ("127.1", [127, 0, 0, 1]),
            ("10.1.258", [10, 1, 1, 2]),
            ("0", [0; 4]),
            ("4294967295", [255; 4]),
            ("0x7f.1", [127, 0, 0, 1]),
            ("010.0.0.1", [8, 0, 0, 1]),
        ] {
            assert_eq!(address(word), Some(wanted.into()), "{word}");
        }
        assert_eq!(address("::1"), Some("::1".parse().unwrap()));
        for word in ["", ".", "1.", "1.2.3.4.5", "256.1", "1.2.3.256", "08", "+1", "x", "1.-1"] {
            assert_eq!(address(word), None, "{word}");
        }
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

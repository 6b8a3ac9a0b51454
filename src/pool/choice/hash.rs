//! The hashes of `hash_type`: which server a client's address gives. Both are
//! fixed, so that several pens with the same servers, and one after a restart,
//! send a client to the same one.

use crate::pool::clients::Client;
use std::cmp::Ordering;
use std::net::IpAddr;

/// FNV-1a, 64 bits, of bytes behind those that gave `state`.
fn fnv(state: u64, bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(state, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// FNV-1a of nothing.
const START: u64 = 0xcbf2_9ce4_8422_2325;

/// The last step of MurmurHash3: each bit of the number changes half of the
/// result's, which FNV alone does not do.
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

/// What a server's host, as it was configured, adds to the scores of all
/// clients. Made once for each server.
pub(in crate::pool) fn host(word: &str) -> u64 {
    fnv(START, word.as_bytes())
}

/// What a client adds to the scores of all servers: the bytes of its address
/// and, if that counts, its port, both in network order.
pub(super) fn client(client: Client, port: Option<u16>) -> u64 {
    let address = match client {
        Client::Inet(IpAddr::V4(ip)) | Client::Net(IpAddr::V4(ip), _) => fnv(START, &ip.octets()),
        Client::Inet(IpAddr::V6(ip)) | Client::Net(IpAddr::V6(ip), _) => fnv(START, &ip.octets()),
        Client::Unix => START,
    };
    port.map_or(address, |port| fnv(address, &port.to_be_bytes()))
}

/// A server's score for one client, by rendezvous hashing: the client belongs
/// to the server with the highest one. A server that goes or comes changes no
/// other server's score, so that only its own clients move.
#[derive(Clone, Copy, Debug)]
pub(super) struct Score {
    hash: u64,
    weight: u32,
}

impl Score {
    /// The score for what [`client`] made of a client.
    pub(super) fn new(client: u64, host: u64, port: u16, weight: u32) -> Score {
        let hash = mix(client ^ mix(fnv(host, &port.to_be_bytes())));
        Score { hash, weight }
    }

    /// Equal weights are compared by the hash alone. Else the hash makes a
    /// number u between 0 and 1, and -weight / ln(u) is highest in proportion
    /// to the weights. Weight 0 loses to every other.
    pub(super) fn compare(self, other: Score) -> Ordering {
        if self.weight == other.weight {
            return self.hash.cmp(&other.hash);
        }
        if self.weight == 0 || other.weight == 0 {
            return self.weight.cmp(&other.weight);
        }
        self.share().total_cmp(&other.share())
    }

    fn share(self) -> f64 {
        // 52 bits and a half: neither 0 nor 1, and no rounding.
        let u = ((self.hash >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
        -f64::from(self.weight) / u.ln()
    }
}

/// pen quirk (`hash_type modulo`): an IPv4 address counts as the number whose
/// bytes in memory are the address in network order, and so does the port. All
/// 16 bytes of an IPv6 address count.
pub(super) fn modulo(client: Client, port: Option<u16>, servers: usize) -> usize {
    let address = match client {
        Client::Inet(IpAddr::V4(ip)) | Client::Net(IpAddr::V4(ip), _) => {
            u32::from_ne_bytes(ip.octets())
        }
        Client::Inet(IpAddr::V6(ip)) | Client::Net(IpAddr::V6(ip), _) => ip
            .octets()
            .chunks_exact(4)
            .map(|part| <[u8; 4]>::try_from(part).map_or(0, u32::from_ne_bytes))
            .fold(0, |all: u32, part| all.rotate_left(5) ^ part),
        Client::Unix => 0,
    };
    let port = port.map_or(0, |port| u16::from_ne_bytes(port.to_be_bytes()));
    (address ^ u32::from(port)) as usize % servers.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// The winner of each client among servers of these ports and weights.
    fn winners(clients: &[Client], servers: &[(u16, u32)]) -> Vec<u16> {
        let host = host("192.0.2.1");
        let winner = |of: &Client| {
            let client = client(*of, None);
            let score = |(port, weight): (u16, u32)| Score::new(client, host, port, weight);
            let best = servers.iter().max_by(|a, b| score(**a).compare(score(**b)));
            best.unwrap().0
        };
        clients.iter().map(winner).collect()
    }

    fn v4(count: u32, step: u32) -> Vec<Client> {
        let ip = |n: u32| Client::Inet(IpAddr::V4((0x0a00_0001_u32 + n * step).into()));
        (0..count).map(ip).collect()
    }

    fn v6(count: u128, step: u128) -> Vec<Client> {
        let net = 0x2001_0db8_u128 << 96;
        (0..count).map(|n| Client::Inet(IpAddr::V6((net + n * step).into()))).collect()
    }

    /// Within four standard deviations of what the weights say.
    fn assert_even(clients: &[Client], servers: &[(u16, u32)]) {
        let mut found: HashMap<u16, u32> = HashMap::new();
        for port in winners(clients, servers) {
            *found.entry(port).or_default() += 1;
        }
        let sum: u32 = servers.iter().map(|(_, weight)| weight).sum();
        for (port, weight) in servers {
            let part = f64::from(*weight) / f64::from(sum);
            let wanted = clients.len() as f64 * part;
            let off = f64::from(found.get(port).copied().unwrap_or(0)) - wanted;
            let deviation = (wanted * (1.0 - part)).sqrt();
            assert!(off.abs() <= 4.0 * deviation, "{port}: {off} off, deviation {deviation}");
        }
    }

    #[test]
    fn shares_are_even_whatever_the_addresses_have_in_common() {
        let equal = |count: u16| (1..=count).map(|port| (port, 1)).collect::<Vec<_>>();
        for servers in [2, 3, 4, 10, 50].map(equal) {
            for step in [1, 4, 256, 65_536] {
                assert_even(&v4(20_000, step), &servers);
            }
            for step in [1, 256, 1 << 16, 1 << 64] {
                assert_even(&v6(20_000, step), &servers);
            }
        }
    }

    #[test]
    fn weights_are_honoured() {
        assert_even(&v4(100_000, 1), &[(1, 1), (2, 2), (3, 3), (4, 10)]);
        assert_even(&v6(100_000, 1), &[(1, 7), (2, 7), (3, 1)]);
        // Equal weights other than 1 are no other choice.
        let clients = v4(1000, 1);
        assert_eq!(winners(&clients, &[(1, 5), (2, 5)]), winners(&clients, &[(1, 0), (2, 0)]));
        // Weight 0 gets nothing while another has one.
        assert!(winners(&clients, &[(1, 0), (2, 1)]).iter().all(|port| *port == 2));
    }

    #[test]
    fn a_server_that_goes_moves_its_own_clients_alone_and_evenly() {
        let clients = v4(100_000, 1);
        for weights in [[1, 1, 1, 1, 1], [1, 2, 3, 4, 5]] {
            let all: Vec<_> = (1..=5).zip(weights).collect();
            let before = winners(&clients, &all);
            let fewer = [&all[..2], &all[3..]].concat();
            let after = winners(&clients, &fewer);
            let pairs = || before.iter().zip(&after);
            assert!(pairs().all(|(old, new)| old == new || *old == 3));
            let displaced: Vec<Client> = clients
                .iter()
                .zip(&before)
                .filter(|(_, old)| **old == 3)
                .map(|(client, _)| *client)
                .collect();
            assert_even(&displaced, &fewer);
        }
    }

    /// Several pens, of whatever version and processor, must agree.
    #[test]
    fn it_is_the_hash_of_the_manual() {
        let of = Client::Inet([192, 0, 2, 7].into());
        assert_eq!(host("a"), 0xaf63_dc4c_8601_ec8c); // FNV's own test vector
        let score = |of, port, name, at| Score::new(client(of, port), host(name), at, 0).hash;
        assert_eq!(score(of, None, "10.0.0.1", 80), 0x6204_b6be_4132_4e34);
        assert_eq!(score(of, Some(4660), "10.0.0.1", 80), 0x78bf_8eee_8854_89c8);
        let of = Client::Inet("2001:db8::7".parse().unwrap());
        assert_eq!(score(of, None, "web1", 8080), 0x421d_b71a_8993_adbd);
        assert_eq!(winners(&v4(8, 1), &[(1, 0), (2, 0), (3, 0)]), [1, 1, 3, 2, 3, 2, 1, 1]);
    }
}

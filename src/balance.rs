//! Which server a new connection goes to, and which come next. Pure: the
//! caller has the server table, its lock and the clock.

use crate::client::Client;
use crate::server::Server;
use std::net::IpAddr;
use std::time::Instant;

/// The switches that steer the choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modes {
    /// Hash on the client address for the first choice.
    pub hash: bool,
    /// Do not send clients back to where they were.
    pub roundrobin: bool,
    /// Never fail over.
    pub stubborn: bool,
    /// Fewest connections for its weight.
    pub weight: bool,
    /// Lowest prio.
    pub prio: bool,
    /// With `roundrobin`: a new choice for each UDP datagram.
    pub datagrams: bool,
}

impl Modes {
    /// Whether each UDP datagram goes its own way.
    pub fn each_datagram(&self) -> bool {
        self.roundrobin && self.datagrams
    }
}

/// Something a client can be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A regular server, by its index.
    Server(usize),
    /// The server of last resort.
    Emergency,
    /// The server for clients that the access list denies.
    Abuse,
}

/// The candidates for one connection, in the order in which they are tried:
/// the first choice, the indices behind it around to where it started, then
/// the emergency server. Stubborn: the first choice alone.
#[derive(Clone, Debug)]
pub struct Order {
    start: usize,
    servers: usize,
    given: usize,
    most: usize,
    last: Option<Target>,
}

impl Order {
    /// Starts at index `start` of `servers`.
    pub fn new(start: usize, servers: usize, stubborn: bool) -> Order {
        Order {
            start,
            servers,
            given: 0,
            most: if stubborn { servers.min(1) } else { servers },
            last: (!stubborn).then_some(Target::Emergency),
        }
    }

    /// The abuse server alone.
    pub fn abuse() -> Order {
        Order { start: 0, servers: 0, given: 0, most: 0, last: Some(Target::Abuse) }
    }
}

impl Iterator for Order {
    type Item = Target;

    fn next(&mut self) -> Option<Target> {
        if self.given >= self.most {
            return self.last.take();
        }
        let index = (self.start + self.given).checked_rem(self.servers)?;
        self.given += 1;
        Some(Target::Server(index))
    }
}

/// The first choice for a client without a server to go back to: by prio, by
/// weight, by hash, else in turn. `cursor` is the last choice made in turn.
/// The result is an index, but the server may be refused when it is tried.
pub fn first_choice(
    servers: &mut [Server],
    modes: &Modes,
    cursor: &mut usize,
    client: Client,
    port: u16,
    now: Instant,
) -> usize {
    if modes.weight && !modes.prio && modes.each_datagram() {
        if let Some(index) = in_turn_by_weight(servers, now) {
            return index;
        }
    }
    let available = || {
        let all = servers.iter().enumerate();
        all.filter(|(_, server)| server.is_available(now))
    };
    let choice = if modes.prio {
        available().min_by_key(|(_, server)| server.prio)
    } else if modes.weight {
        // Without any weight, all weigh the same: fewest connections.
        let unweighted = servers.iter().all(|server| server.weight == 0);
        available().filter(|(_, server)| unweighted || server.weight > 0).min_by_key(
            |(_, server)| 256 * u64::from(server.connections) / u64::from(server.weight.max(1)),
        )
    } else {
        None
    };
    if let Some((index, _)) = choice {
        return index;
    }
    if modes.hash && !modes.prio && !modes.weight {
        return hash(client, modes.roundrobin.then_some(port)) % servers.len().max(1);
    }
    in_turn(servers, cursor, now)
}

/// Datagrams open no connections that could be counted: each server has its
/// weight's share of the turns, evenly spread. All gain their weight, the
/// richest is chosen and pays what all have gained.
fn in_turn_by_weight(servers: &mut [Server], now: Instant) -> Option<usize> {
    let mut sum = 0;
    let mut choice: Option<(usize, i64)> = None;
    for (index, server) in servers.iter_mut().enumerate() {
        if server.weight == 0 || !server.is_available(now) {
            continue;
        }
        let weight = i64::from(server.weight);
        sum += weight;
        server.credit += weight;
        if choice.is_none_or(|(_, most)| server.credit > most) {
            choice = Some((index, server.credit));
        }
    }
    let (index, _) = choice?;
    servers.get_mut(index)?.credit -= sum;
    Some(index)
}

/// The next available server after the last one chosen here; the next one at
/// all if none is available. pen quirk: the count starts at 0, so that the
/// first choice of all is server 1.
fn in_turn(servers: &[Server], cursor: &mut usize, now: Instant) -> usize {
    let count = servers.len().max(1);
    let next = (*cursor + 1) % count;
    let choice = (0..count)
        .map(|step| (next + step) % count)
        .find(|index| servers.get(*index).is_some_and(|s| s.is_available(now)));
    *cursor = choice.unwrap_or(next);
    *cursor
}

/// pen quirk: an IPv4 address counts as the number whose bytes in memory are
/// the address in network order, and so does the port. All 16 bytes of an
/// IPv6 address count.
fn hash(client: Client, port: Option<u16>) -> usize {
    let address = match client {
        Client::Inet(IpAddr::V4(ip)) => u32::from_ne_bytes(ip.octets()),
        Client::Inet(IpAddr::V6(ip)) => ip
            .octets()
            .chunks_exact(4)
            .map(|part| <[u8; 4]>::try_from(part).map_or(0, u32::from_ne_bytes))
            .fold(0, |all: u32, part| all.rotate_left(5) ^ part),
        Client::Unix => 0,
    };
    let port = port.map_or(0, |port| u16::from_ne_bytes(port.to_be_bytes()));
    (address ^ u32::from(port)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::{Host, ServerSpec};
    use std::time::Duration;

    fn server(connections: u32, weight: u32, prio: i32) -> Server {
        let host = Host::Inet(vec![([127, 0, 0, 1], 0).into()]);
        let mut server =
            Server::new(ServerSpec { host, port: 80, weight, prio, ..ServerSpec::default() });
        server.connections = connections;
        server
    }

    fn modes(set: impl FnOnce(&mut Modes)) -> Modes {
        let mut modes = Modes::default();
        set(&mut modes);
        modes
    }

    fn choose(servers: &mut [Server], modes: &Modes) -> usize {
        let client = Client::Inet([127, 0, 0, 1].into());
        first_choice(servers, modes, &mut 0, client, 0, Instant::now())
    }

    #[test]
    fn order_goes_around_then_to_the_emergency_server() {
        use Target::{Abuse, Emergency, Server};
        let all = |order: Order| order.collect::<Vec<_>>();
        assert_eq!(all(Order::new(1, 3, false)), [Server(1), Server(2), Server(0), Emergency]);
        assert_eq!(all(Order::new(1, 3, true)), [Server(1)]);
        assert_eq!(all(Order::new(0, 0, false)), [Emergency]);
        assert_eq!(all(Order::new(0, 0, true)), []);
        assert_eq!(all(Order::new(7, 3, false))[0], Server(1));
        assert_eq!(all(Order::abuse()), [Abuse]);
    }

    #[test]
    fn in_turn_starts_at_server_1_and_skips_the_unavailable() {
        let mut servers: Vec<_> = (0..3).map(|_| server(0, 0, 0)).collect();
        let mut cursor = 0;
        let now = Instant::now();
        let client = Client::Unix;
        let mut next = |servers: &mut [Server]| {
            first_choice(servers, &Modes::default(), &mut cursor, client, 0, now)
        };
        assert_eq!([next(&mut servers), next(&mut servers), next(&mut servers)], [1, 2, 0]);
        servers[1].blacklist_until(now + Duration::from_secs(9));
        assert_eq!([next(&mut servers), next(&mut servers)], [2, 0]);
        for server in &mut servers {
            server.blacklist_until(now + Duration::from_secs(9));
        }
        assert_eq!(next(&mut servers), 1);
        assert_eq!(next(&mut []), 0);
        assert_eq!(choose(&mut [server(0, 0, 0)], &Modes::default()), 0);
    }

    #[test]
    fn datagrams_take_turns_by_weight() {
        let mut servers = [server(0, 3, 0), server(9, 1, 0), server(0, 0, 0)];
        let modes = modes(|m| (m.weight, m.roundrobin, m.datagrams) = (true, true, true));
        let turns: Vec<_> = (0..8).map(|_| choose(&mut servers, &modes)).collect();
        assert_eq!(turns, [0, 0, 1, 0, 0, 0, 1, 0]);
        servers[0].blacklist_until(Instant::now() + Duration::from_secs(9));
        assert_eq!(choose(&mut servers, &modes), 1);
    }

    #[test]
    fn prio_then_weight_then_hash() {
        let mut servers = [server(9, 1, 5), server(0, 1, 3), server(4, 4, 3)];
        assert_eq!(choose(&mut servers, &modes(|m| m.prio = true)), 1);
        assert_eq!(choose(&mut servers, &modes(|m| (m.prio, m.weight) = (true, true))), 1);
        assert_eq!(choose(&mut servers, &modes(|m| (m.weight, m.hash) = (true, true))), 1);
        let mut servers = [server(9, 1, 0), server(2, 1, 0), server(4, 4, 0)];
        assert_eq!(choose(&mut servers, &modes(|m| m.weight = true)), 2);
        // Weight 0 is left out while any other has one.
        let mut servers = [server(0, 0, 0), server(2, 1, 0)];
        assert_eq!(choose(&mut servers, &modes(|m| m.weight = true)), 1);
        // No weights at all: fewest connections.
        let mut servers = [server(3, 0, 0), server(2, 0, 0), server(2, 0, 0)];
        assert_eq!(choose(&mut servers, &modes(|m| m.weight = true)), 1);
    }

    #[test]
    fn hash_is_that_of_the_c_program() {
        let mut servers: Vec<_> = (0..5).map(|_| server(0, 0, 0)).collect();
        let now = Instant::now();
        for last in 0..20u8 {
            let octets = [127, 0, 0, last];
            let client = Client::Inet(octets.into());
            let plain = modes(|m| m.hash = true);
            let index = first_choice(&mut servers, &plain, &mut 0, client, 1234, now);
            assert_eq!(index, u32::from_ne_bytes(octets) as usize % 5);
            let with_port = modes(|m| (m.hash, m.roundrobin) = (true, true));
            let index = first_choice(&mut servers, &with_port, &mut 0, client, 0x1234, now);
            let port = u32::from(u16::from_ne_bytes([0x12, 0x34]));
            assert_eq!(index, (u32::from_ne_bytes(octets) ^ port) as usize % 5);
        }
    }
}

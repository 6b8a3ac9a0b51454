//! Which server a new connection goes to, and which come next. Pure: the
//! caller has the server table, its lock and the clock.

use super::prefix::Prefix;
use super::request::Request;
use super::server::Server;
use hash::Score;
use std::time::Instant;

pub(super) mod hash;

/// The switches that steer the choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modes {
    /// Hash on the client address for the first choice.
    pub hash: bool,
    /// That hash is the C program's, and not rendezvous hashing.
    pub modulo: bool,
    /// Do not send clients back to where they were.
    pub roundrobin: bool,
    /// Never fail over.
    pub stubborn: bool,
    /// Fewest connections for its weight.
    pub weight: bool,
    /// Lowest prio.
    pub prio: bool,
    /// What is one client in the client table and in the hash.
    pub prefix: Prefix,
    /// With `roundrobin`: a new choice for each UDP datagram.
    pub datagrams: bool,
}

impl Modes {
    /// Whether each UDP datagram goes its own way.
    pub(crate) fn each_datagram(&self) -> bool {
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

/// By what a server was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Hash,
    Modulo,
    Weight,
    TurnsByWeight,
    Prio,
    Turns,
}

/// Where the choice in turn stands, for all clients together.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    /// The server chosen last in turn or by weight.
    pub chosen: Option<usize>,
    /// The server given last in place of one that did not take the client.
    instead: Option<usize>,
}

/// The next server for a client, by prio, by weight, by hash, else in turn, and which
/// of these it was.
///
/// It can be asked again when that server has failed, or when it does not take
/// the client: `takes` then says no. By weight and by rendezvous hash, those
/// that take the client are chosen among. In turn, by prio and by modulo the
/// first choice is what the C program's is, and kept in `start`; in its place
/// come the others in turn, so that they share its load evenly, or by prio and
/// by modulo those behind it in the table, as in the C program.
///
/// Stubborn: the choice is made among all that are up (by hash, among all),
/// and it may be one that does not take the client.
pub(crate) fn choose(
    servers: &mut [Server],
    turns: &mut Turns,
    start: &mut Option<usize>,
    request: &Request,
    now: Instant,
    takes: impl Fn(usize, &Server) -> bool,
) -> Option<(usize, Rule)> {
    let modes = request.modes;
    let by_hash = modes.hash && !modes.prio && !modes.weight;
    let fits = |index: usize, server: &Server| match modes.stubborn {
        true if by_hash => !server.is_empty(),
        true => server.is_available(now),
        false => takes(index, server),
    };
    if by_hash && !modes.modulo {
        return by_rendezvous(servers, request, fits).map(|index| (index, Rule::Hash));
    }
    if modes.weight && !modes.prio {
        let (choice, rule) = match modes.each_datagram() {
            true => (in_turn_by_weight(servers, fits), Rule::TurnsByWeight),
            false => (least_loaded(servers, turns.chosen, fits), Rule::Weight),
        };
        if choice.is_some() {
            turns.chosen = choice;
            return choice.map(|index| (index, rule));
        }
    }
    let rule = match (by_hash, modes.prio) {
        (true, _) => Rule::Modulo,
        (false, true) => Rule::Prio,
        (false, false) => Rule::Turns,
    };
    let is_first = start.is_none();
    let first = match *start {
        Some(first) => first,
        None if by_hash => hash::modulo(request.tracked(), request.hashed_port(), servers.len()),
        None if modes.prio => lowest_prio(servers, now)?,
        None => {
            // pen quirk: the count starts at 0: the first choice is server 1.
            let next = turns.chosen.unwrap_or(0).wrapping_add(1);
            let first = find(servers, next, |_, server| server.is_available(now))?;
            turns.chosen = Some(first);
            first
        }
    };
    *start = Some(first);
    let is_taken = || servers.get(first).is_some_and(|server| takes(first, server));
    if modes.stubborn || is_first && is_taken() {
        return Some((first, rule));
    }
    let in_order = by_hash || modes.prio;
    let before = turns.instead.filter(|_| !in_order).unwrap_or(first);
    let other = find(servers, before.wrapping_add(1), takes)?;
    if !in_order {
        turns.instead = Some(other);
    }
    Some((other, rule))
}

/// The first server that fits, from index `next` on and around to it.
fn find(servers: &[Server], next: usize, fits: impl Fn(usize, &Server) -> bool) -> Option<usize> {
    around(servers, next).find(|(index, server)| fits(*index, server)).map(|(index, _)| index)
}

/// The servers by index, from `first` on and around to it.
fn around(servers: &[Server], first: usize) -> impl Iterator<Item = (usize, &Server)> {
    let first = first.checked_rem(servers.len()).unwrap_or(0);
    let all = || servers.iter().enumerate();
    all().skip(first).chain(all().take(first))
}

/// The available server with the lowest prio, the first one on a tie.
fn lowest_prio(servers: &[Server], now: Instant) -> Option<usize> {
    let available = servers.iter().enumerate().filter(|(_, server)| server.is_available(now));
    available.min_by_key(|(_, server)| server.share.prio).map(|(index, _)| index)
}

/// By rendezvous hash. Few servers are better than all before them, so that
/// few are asked whether they fit, which takes longer than the score.
pub(crate) fn by_rendezvous(
    servers: &[Server],
    request: &Request,
    fits: impl Fn(usize, &Server) -> bool,
) -> Option<usize> {
    let client = hash::client(request.tracked(), request.hashed_port());
    let mut best: Option<(usize, Score)> = None;
    for (index, server) in servers.iter().enumerate() {
        let score = Score::new(client, server.host_hash, server.port, server.share.weight);
        let is_better = best.is_none_or(|(_, most)| score.compare(most).is_gt());
        if is_better && fits(index, server) {
            best = Some((index, score));
        }
    }
    best.map(|(index, _)| index)
}

/// The fewest connections for its weight; of equals, the next in turn. Without
/// any weight all weigh the same, else those of weight 0 are left out.
fn least_loaded(
    servers: &[Server],
    cursor: Option<usize>,
    fits: impl Fn(usize, &Server) -> bool,
) -> Option<usize> {
    let unweighted = servers.iter().all(|server| server.share.weight == 0);
    let next = cursor.map_or(0, |last| last.wrapping_add(1));
    around(servers, next)
        .filter(|(index, s)| (unweighted || s.share.weight > 0) && fits(*index, s))
        .min_by_key(|(_, s)| 256 * u64::from(s.connections) / u64::from(s.share.weight.max(1)))
        .map(|(index, _)| index)
}

/// Datagrams open no connections that could be counted: each server has its
/// weight's share of the turns, evenly spread. All gain their weight, the
/// richest is chosen and pays what all have gained.
fn in_turn_by_weight(
    servers: &mut [Server],
    fits: impl Fn(usize, &Server) -> bool,
) -> Option<usize> {
    let mut sum = 0;
    let mut choice: Option<(usize, i64)> = None;
    for (index, server) in servers.iter_mut().enumerate() {
        if server.share.weight == 0 || !fits(index, server) {
            continue;
        }
        let weight = i64::from(server.share.weight);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::clients::Client;
    use crate::sys::addr::{Host, ServerSpec, Share};
    use std::time::Duration;

    fn server(connections: u32, weight: u32, prio: i32) -> Server {
        let host = Host::Inet(vec![([127, 0, 0, 1], 0).into()]);
        let share = Share { weight, prio, ..Share::default() };
        let mut server = Server::new(ServerSpec { host, port: 80, share, ..ServerSpec::default() });
        server.connections = connections;
        server
    }

    fn modes(set: impl FnOnce(&mut Modes)) -> Modes {
        let mut modes = Modes::default();
        set(&mut modes);
        modes
    }

    fn request(modes: &Modes, client: Client, port: u16) -> Request<'_> {
        let timeout = Duration::from_secs(3);
        Request {
            client,
            port,
            came_in: 0,
            last: None,
            modes,
            acls: &[],
            timeout,
            on: &[],
            not: &[],
        }
    }

    const LOCAL: Client = Client::Inet(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    fn choose(
        servers: &mut [Server],
        turns: &mut Turns,
        start: &mut Option<usize>,
        request: &Request,
        now: Instant,
        takes: impl Fn(usize, &Server) -> bool,
    ) -> Option<usize> {
        super::choose(servers, turns, start, request, now, takes).map(|(index, _)| index)
    }

    /// The choices made one after the other, as each of them fails.
    fn order(servers: &mut [Server], modes: &Modes, turns: &mut Turns) -> Vec<usize> {
        let request = request(modes, LOCAL, 0);
        let (now, mut start) = (Instant::now(), None);
        let mut given = Vec::new();
        loop {
            let takes =
                |index, server: &Server| !given.contains(&index) && server.is_available(now);
            match choose(servers, turns, &mut start, &request, now, takes) {
                Some(index) => given.push(index),
                None => return given,
            }
        }
    }

    fn first(servers: &mut [Server], modes: &Modes) -> usize {
        order(servers, modes, &mut Turns::default())[0]
    }

    #[test]
    fn in_turn_starts_at_server_1_and_skips_what_does_not_take() {
        let mut servers: Vec<_> = (0..4).map(|_| server(0, 0, 0)).collect();
        let (modes, now) = (Modes::default(), Instant::now());
        let request = request(&modes, LOCAL, 0);
        let mut turns = Turns::default();
        let mut next = |not: usize| {
            let takes = |index, _: &Server| index != not;
            choose(&mut servers, &mut turns, &mut None, &request, now, takes).unwrap()
        };
        assert_eq!([next(9), next(9), next(9), next(9)], [1, 2, 3, 0]);
        // What one does not take is shared by all the others.
        let round: Vec<_> = (0..12).map(|_| next(1)).collect();
        assert_eq!(round, [2, 2, 3, 0, 3, 2, 3, 0, 0, 2, 3, 0]);
        servers[1].health.fail(Duration::from_secs(9), false, "", now);
        let mut next = || {
            let takes = |_, server: &Server| server.is_available(now);
            choose(&mut servers, &mut turns, &mut None, &request, now, takes).unwrap()
        };
        assert_eq!([next(), next(), next(), next()], [2, 3, 0, 2]);
        assert_eq!(order(&mut [], &modes, &mut Turns::default()), []);
        assert_eq!(first(&mut [server(0, 0, 0)], &modes), 0);
    }

    #[test]
    fn datagrams_take_turns_by_weight() {
        let mut servers = [server(0, 3, 0), server(9, 1, 0), server(0, 0, 0)];
        let modes = modes(|m| (m.weight, m.roundrobin, m.datagrams) = (true, true, true));
        let turn = |servers: &mut [Server]| {
            let (request, now) = (request(&modes, LOCAL, 0), Instant::now());
            let takes = |_, server: &Server| server.is_available(now);
            choose(servers, &mut Turns::default(), &mut None, &request, now, takes).unwrap()
        };
        let turns: Vec<_> = (0..8).map(|_| turn(&mut servers)).collect();
        assert_eq!(turns, [0, 0, 1, 0, 0, 0, 1, 0]);
        servers[0].health.fail(Duration::from_secs(9), false, "", Instant::now());
        assert_eq!(turn(&mut servers), 1);
    }

    #[test]
    fn prio_then_weight_then_hash() {
        let mut servers = [server(9, 1, 5), server(0, 1, 3), server(4, 4, 3)];
        assert_eq!(first(&mut servers, &modes(|m| m.prio = true)), 1);
        assert_eq!(first(&mut servers, &modes(|m| (m.prio, m.weight) = (true, true))), 1);
        assert_eq!(first(&mut servers, &modes(|m| (m.weight, m.hash) = (true, true))), 1);
        // What fails is followed by those behind it in the table.
        assert_eq!(
            order(&mut servers, &modes(|m| m.prio = true), &mut Turns::default()),
            [1, 2, 0]
        );
        let mut servers = [server(9, 1, 0), server(2, 1, 0), server(4, 4, 0)];
        assert_eq!(
            order(&mut servers, &modes(|m| m.weight = true), &mut Turns::default()),
            [2, 1, 0]
        );
        // Weight 0 is left out while any other has one.
        let mut servers = [server(0, 0, 0), server(2, 1, 0)];
        assert_eq!(order(&mut servers, &modes(|m| m.weight = true), &mut Turns::default()), [1, 0]);
        // No weights at all: fewest connections.
        let mut servers = [server(3, 0, 0), server(2, 0, 0), server(2, 0, 0)];
        assert_eq!(
            order(&mut servers, &modes(|m| m.weight = true), &mut Turns::default()),
            [1, 2, 0]
        );
    }

    #[test]
    fn of_servers_with_equal_load_the_next_in_turn_is_chosen() {
        let mut servers = [server(0, 1, 0), server(0, 1, 0), server(0, 1, 0)];
        let (modes, now) = (modes(|m| m.weight = true), Instant::now());
        let request = request(&modes, LOCAL, 0);
        let mut turns = Turns::default();
        let turns: Vec<_> = (0..5)
            .map(|_| choose(&mut servers, &mut turns, &mut None, &request, now, |_, _| true))
            .collect();
        assert_eq!(turns, [0, 1, 2, 0, 1].map(Some));
    }

    #[test]
    fn modulo_is_the_hash_of_the_c_program() {
        let mut servers: Vec<_> = (0..5).map(|_| server(0, 0, 0)).collect();
        let now = Instant::now();
        let mut choice = |modes: &Modes, client, port| {
            let request = request(modes, client, port);
            choose(&mut servers, &mut Turns::default(), &mut None, &request, now, |_, _| true)
        };
        for last in 0..20u8 {
            let octets = [127, 0, 0, last];
            let client = Client::Inet(octets.into());
            let plain = modes(|m| (m.hash, m.modulo) = (true, true));
            let wanted = u32::from_ne_bytes(octets) as usize % 5;
            assert_eq!(choice(&plain, client, 1234), Some(wanted));
            let with_port = modes(|m| (m.hash, m.modulo, m.roundrobin) = (true, true, true));
            let port = u32::from(u16::from_ne_bytes([0x12, 0x34]));
            let wanted = (u32::from_ne_bytes(octets) ^ port) as usize % 5;
            assert_eq!(choice(&with_port, client, 0x1234), Some(wanted));
        }
        // Those behind it follow.
        let modes = modes(|m| (m.hash, m.modulo) = (true, true));
        let first = u32::from_ne_bytes([127, 0, 0, 1]) as usize % 5;
        let wanted: Vec<_> = (0..5).map(|step| (first + step) % 5).collect();
        assert_eq!(order(&mut servers, &modes, &mut Turns::default()), wanted);
    }

    #[test]
    fn who_belongs_to_a_server_that_is_down_belongs_to_one_server_of_the_others() {
        let modes = modes(|m| m.hash = true);
        let mut servers: Vec<_> = (0..5).map(|_| server(0, 0, 0)).collect();
        for (port, server) in (1..).zip(&mut servers) {
            server.port = port;
        }
        let all = order(&mut servers, &modes, &mut Turns::default());
        let mut seen = all.clone();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3, 4]);
        servers.remove(all[0]);
        let again = order(&mut servers, &modes, &mut Turns::default());
        let old = |index: &usize| index - usize::from(*index > all[0]);
        assert_eq!(again, all[1..].iter().map(old).collect::<Vec<_>>());
    }

    #[test]
    fn the_stubborn_get_what_is_theirs_or_nothing() {
        let mut servers: Vec<_> = (0..3).map(|_| server(0, 0, 0)).collect();
        for (port, server) in (1..).zip(&mut servers) {
            server.port = port;
        }
        let now = Instant::now();
        for modulo in [false, true] {
            let modes = modes(|m| (m.hash, m.stubborn, m.modulo) = (true, true, modulo));
            let request = request(&modes, LOCAL, 0);
            let choice = |servers: &mut [Server]| {
                choose(servers, &mut Turns::default(), &mut None, &request, now, |_, _| false)
                    .unwrap()
            };
            let mine = choice(&mut servers);
            servers[mine].health.fail(Duration::from_secs(9), false, "", now);
            assert_eq!(choice(&mut servers), mine);
            servers[mine].health.succeed(now);
        }
    }
}

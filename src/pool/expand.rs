//! Names with several addresses that are several servers (`expand`): which slot of the
//! server table has which address. Pure.
//!
//! The slot for which such a name was configured is the first of the name: its port,
//! limits and access list are those of the others, which are added at the end of the
//! table. An address that goes leaves its slot to the next one that comes.

use super::health::{Admin, Change};
use super::server::{Part, Server};
use crate::sys::addr::DefaultPort;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// A slot of a name.
struct Slot {
    index: usize,
    /// The one address that it has, if any.
    at: Option<SocketAddr>,
    /// Whether it has no connections.
    is_idle: bool,
}

/// Most addresses of one name that are servers.
const MOST: usize = 64;

/// What is to be done with a slot.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Its address is one of the name's.
    Keep,
    /// Its address is none any more, and connections are left.
    Drain,
    /// Its address is none any more.
    Empty,
    /// It gets this address.
    Fill(SocketAddr),
}

/// The steps to these addresses from the slots that a name has. New slots are added
/// behind the `end` of the table.
fn plan(wanted: &[SocketAddr], slots: &[Slot], end: usize) -> Vec<(usize, Step)> {
    let (mut steps, mut free) = (Vec::new(), Vec::new());
    for Slot { index, at, is_idle } in slots {
        match at {
            None => free.push(*index),
            Some(at) if wanted.contains(at) => steps.push((*index, Step::Keep)),
            Some(_) if !is_idle => steps.push((*index, Step::Drain)),
            Some(_) => {
                steps.push((*index, Step::Empty));
                free.push(*index);
            }
        }
    }
    let mut free = free.into_iter().chain(end..);
    let is_new = |at: &&SocketAddr| !slots.iter().any(|slot| slot.at == Some(**at));
    let new = wanted.iter().filter(is_new);
    steps.extend(new.filter_map(|at| Some((free.next()?, Step::Fill(*at)))));
    steps
}

/// Gives each address of a name a slot, if that is switched `on`, or else takes these
/// slots back. Returns the servers whose state changes.
pub(crate) fn fit(servers: &mut Vec<Server>, on: bool, now: Instant) -> Vec<(usize, Change)> {
    let mut changes = Vec::new();
    if !on && servers.iter().all(|server| server.part == Part::Whole) {
        return changes;
    }
    servers.iter_mut().for_each(|server| server.split(on));
    let mut names = vec![Vec::new(); servers.len()];
    // The slots whose first one has another name now, or none.
    let mut left = Vec::new();
    for (index, server) in servers.iter().enumerate() {
        let first = match server.part {
            Part::Whole => continue,
            Part::First => index,
            Part::More(first) => first,
        };
        let is_first = |first: &&Server| first.part == Part::First && first.name == server.name;
        match servers.get(first).filter(is_first).and(names.get_mut(first)) {
            Some(slots) => slots.push(index),
            None => left.push(index),
        }
    }
    for (first, slots) in names.iter().enumerate().filter(|(_, slots)| !slots.is_empty()) {
        carry_out(servers, slots, Some(first), now, &mut changes);
    }
    carry_out(servers, &left, None, now, &mut changes);
    for index in left {
        if let Some(server) = servers.get_mut(index).filter(|server| server.is_empty()) {
            let is_same = server.same_port;
            *server = Server::empty(DefaultPort { number: server.port, is_same });
        }
    }
    changes
}

/// Gives these slots the addresses of the name that their `first` one has; none, if
/// they have none any more.
fn carry_out(
    servers: &mut Vec<Server>,
    slots: &[usize],
    first: Option<usize>,
    now: Instant,
    changes: &mut Vec<(usize, Change)>,
) {
    let pattern = first.and_then(|first| servers.get(first));
    let pattern = pattern.map(|first| {
        let (found, name) = (Arc::clone(&first.found), Arc::clone(&first.name));
        let others = (first.same_port, first.send_proxy);
        (found, name, [first.port, first.check_port], others, first.acl, first.share)
    });
    let mut wanted: Vec<SocketAddr> = Vec::new();
    for at in pattern.iter().flat_map(|(found, ..)| found.addresses()) {
        wanted.insert(wanted.partition_point(|before| before < at), *at);
    }
    wanted.truncate(MOST);
    let slot = |index: &usize| {
        let server = servers.get(*index)?;
        let at = match server.host.addresses() {
            [at] => Some(*at),
            _ => None,
        };
        // One that an operator has taken out stays known, as the address may come back.
        let is_free = server.health.admin() == Admin::Ready || server.health.is_leaving();
        Some(Slot { index: *index, at, is_idle: server.connections == 0 && is_free })
    };
    let slots: Vec<Slot> = slots.iter().filter_map(slot).collect();
    for (index, step) in plan(&wanted, &slots, servers.len()) {
        if index == servers.len() {
            servers.push(Server::default());
        }
        let Some(server) = servers.get_mut(index) else {
            continue;
        };
        if let (Some(first), Some((_, name, [port, check_port], others, acl, share))) =
            (first, &pattern)
        {
            if index != first {
                server.part = Part::More(first);
                server.name = Arc::clone(name);
                server.set_port(*port);
                (server.acl, server.share, server.check_port) = (*acl, *share, *check_port);
                (server.same_port, server.send_proxy) = *others;
            }
        }
        let change = match step {
            Step::Keep => server.follow(true, now),
            Step::Drain => server.follow(false, now),
            Step::Empty => {
                server.clear();
                None
            }
            Step::Fill(at) => {
                server.be_at(at);
                None
            }
        };
        changes.extend(change.map(|change| (index, change)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::health::State;
    use crate::sys::addr::Host;

    fn at(last: u8) -> SocketAddr {
        ([10, 0, 0, last], 0).into()
    }

    fn host(all: &[u8]) -> Host {
        Host::Inet(all.iter().map(|last| at(*last)).collect())
    }

    #[test]
    fn steps() {
        use Step::{Drain, Empty, Fill, Keep};
        // The last byte of each slot's address, negative if it is busy, 0 for none.
        let slots = |all: &[i8]| -> Vec<Slot> {
            let slot = |(index, last): (usize, &i8)| {
                let addr = Some(at(last.unsigned_abs())).filter(|_| *last != 0);
                Slot { index, at: addr, is_idle: *last >= 0 }
            };
            all.iter().enumerate().map(slot).collect()
        };
        for (wanted, before, steps) in [
            (&[][..], &[][..], vec![]),
            (&[1, 2], &[0], vec![(0, Fill(at(1))), (9, Fill(at(2)))]),
            (&[1, 2, 3], &[1], vec![(0, Keep), (9, Fill(at(2))), (10, Fill(at(3)))]),
            (&[1, 3], &[1, -2], vec![(0, Keep), (1, Drain), (9, Fill(at(3)))]),
            (&[1, 3], &[1, 2], vec![(0, Keep), (1, Empty), (1, Fill(at(3)))]),
            (&[2], &[-1, -2, 0], vec![(0, Drain), (1, Keep)]),
            (&[], &[1, -2], vec![(0, Empty), (1, Drain)]),
        ] {
            let wanted: Vec<_> = wanted.iter().map(|last| at(*last)).collect();
            assert_eq!(plan(&wanted, &slots(before), 9), steps, "{wanted:?} {before:?}");
        }
    }

    /// The slots: last byte of the address, `-` for none, `*` behind it while it goes.
    fn shown(servers: &[Server]) -> String {
        let slot = |server: &Server| match server.host.word() {
            _ if server.is_empty() => "-".to_owned(),
            word if server.health.is_leaving() => word[7..].to_owned() + "*",
            word => word[7..].to_owned(),
        };
        servers.iter().map(slot).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn addresses_come_and_go() {
        let now = Instant::now();
        let mut servers = vec![
            Server::empty(DefaultPort { number: 80, is_same: true }),
            Server::empty(80.into()),
        ];
        servers[0].move_to("web", host(&[3, 1, 2]));
        servers[0].share.max = 7;
        servers[1].move_to("10.0.0.9", host(&[9]));
        let step = |servers: &mut Vec<Server>, all: &[u8], on, wanted: &str| {
            servers[0].move_to("web", host(all));
            let changes = fit(servers, on, now).into_iter().map(|(index, _)| index);
            assert_eq!(shown(servers), wanted, "{all:?}");
            changes.collect::<Vec<_>>()
        };
        assert_eq!(step(&mut servers, &[3, 1, 2], true, "1 9 2 3"), []);
        let more = &servers[3];
        assert_eq!((more.same_port, more.share.max, &*more.name), (true, 7, "web"));
        servers[2].connections = 1;
        servers[2].health.succeed(now);
        assert_eq!(step(&mut servers, &[1, 4], true, "1 9 2* 4"), [2]);
        assert_eq!(&*servers[2].health.reason(), "no longer an address of web");
        assert_eq!(step(&mut servers, &[4, 2, 1], true, "1 9 2 4"), [2]);
        assert_eq!(servers[2].state(now), State::Up);
        // The first one goes like any other.
        assert_eq!(step(&mut servers, &[4], true, "- 9 2* 4"), [2]);
        servers[2].connections = 0;
        assert_eq!(step(&mut servers, &[4], true, "- 9 - 4"), []);
        assert_eq!(step(&mut servers, &[4, 5, 6, 7], true, "5 9 6 4 7"), []);
        assert_eq!(
            servers[0].commands(true),
            "acl 0 address web port same max 7 hard 0 weight 0 prio 0"
        );
        // What a command takes is gone.
        servers[2].move_to("10.0.0.8", host(&[8]));
        assert_eq!(step(&mut servers, &[4, 5, 6, 7], true, "5 9 8 4 7 6"), []);
        servers[3].connections = 1;
        assert_eq!(step(&mut servers, &[5, 6], false, "5 9 8 4* - -"), [3]);
        assert_eq!(servers[0].host.addresses(), [at(5), at(6)]);
        servers[3].connections = 0;
        assert_eq!(step(&mut servers, &[5], false, "5 9 8 - - -"), []);
        assert!(servers[3].name.is_empty());
    }
}

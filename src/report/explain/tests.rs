//! What is explained is what the next client gets, whatever the modes and the servers.

use super::*;
use crate::pool::acl::{Acl, Entry, Net};
use crate::pool::health::Admin;
use crate::pool::server::Server;
use crate::sys::addr;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(1000);

/// Numbers that look random.
struct Random(u32);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 16) % end
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

fn server(random: &mut Random, now: Instant) -> Server {
    let mut number = |end| random.below(end);
    let word = format!("127.0.0.{}:80:{}:{}:{}:{}", number(9), number(3), number(4), number(3), 0);
    let mut server = Server::new(addr::server(&word, None).unwrap());
    server.share.prio = i32::try_from(number(3)).unwrap();
    server.connections = number(3);
    server.acl = usize::from(number(4) == 0);
    let health = &mut server.health;
    match number(8) {
        0 => health.fail(LONG, false, "refused", now),
        1 => health.fail(Duration::ZERO, false, "refused", now),
        2 => health.fail(LONG, true, "late", now),
        3 => {
            health.fail(Duration::ZERO, false, "refused", now);
            let _ = health.probe(LONG, now);
        }
        4 => health.drain_until(now + LONG),
        5 => {
            health.set_admin(Admin::Maint, now);
            health.set_admin(Admin::Ready, now);
        }
        _ => health.succeed(now),
    }
    if number(4) == 0 {
        health.set_admin(Admin::ALL[number(4) as usize], now);
    }
    server
}

/// Settings under which `denied` decides whether clients are denied; access list 1 denies
/// them all.
fn settings(random: &mut Random, denied: bool) -> Settings {
    let mut settings = Settings::default();
    let modes = &mut settings.modes;
    for switch in [
        &mut modes.hash,
        &mut modes.modulo,
        &mut modes.roundrobin,
        &mut modes.stubborn,
        &mut modes.weight,
        &mut modes.prio,
        &mut modes.datagrams,
    ] {
        *switch = random.below(3) == 0;
    }
    let mut all = Acl::default();
    all.add(Entry { permit: false, net: Net::V4([0; 4].into(), [0; 4].into()) });
    settings.acls[1] = all;
    settings.client_acl = usize::from(denied);
    settings.tracking = if random.coin() { Duration::ZERO } else { LONG };
    settings.slow_start = if random.coin() { Duration::ZERO } else { LONG };
    settings.start.kind = if random.coin() { Kind::Stream } else { Kind::Datagram };
    settings
}

/// The last line for the next client, as `find_server` gets a server for it.
fn next(pen: &Pen, client: Client, port: u16) -> String {
    let rules = pen.settings();
    let last = pen.visit(client, rules.tracking, false).server;
    let (modes, acls, timeout) = (&rules.modes, rules.acls.as_slice(), rules.timeout);
    let request =
        Request { client, port, came_in: 0, last, modes, acls, timeout, on: &[], not: &[] };
    let is_denied = find::is_denied(&rules, client);
    let lease = find::search(&pen.servers, &rules, is_denied).next(&request);
    let Some(lease) = lease else {
        return "gets no server".to_owned();
    };
    let line = format!("gets {}: ", lease.name());
    if let Target::Server(index) = lease.target {
        pen.remember(client, index);
    }
    // Some stay.
    if port % 2 == 0 {
        std::mem::forget(lease);
    }
    line
}

#[test]
fn the_next_client_gets_what_was_explained_and_nothing_has_changed() {
    let mut random = Random(1);
    let pen = Pen::new().unwrap();
    pen.use_default_sizes();
    let (mut found, mut seen) = (0, std::collections::BTreeSet::new());
    for _ in 0..3000 {
        let now = Instant::now();
        let denied = random.below(8) == 0;
        let settings = settings(&mut random, denied);
        {
            let mut table = pen.servers.table();
            let count = random.below(5);
            table.servers = (0..count).map(|_| server(&mut random, now)).collect();
            table.emergency = (random.below(4) == 0).then(|| server(&mut random, now));
            table.abuse = random.coin().then(|| server(&mut random, now));
            table.settings = Arc::new(settings);
        }
        for _ in 0..6 {
            let client = Client::Inet([127, 0, 0, random.below(3) as u8].into());
            let port = random.below(9) as u16;
            let state = || {
                let clients = pen.with_clients(|clients| format!("{clients:?}"));
                (clients, format!("{:?}", pen.servers.table()))
            };
            let before = state();
            let text = explain(&pen, client, port);
            assert_eq!(state(), before);
            let wanted = next(&pen, client, port);
            let line = text.lines().last().unwrap();
            assert!(line.starts_with(&wanted), "{text}but: {wanted}\n{}", before.1);
            found += usize::from(wanted != "gets no server");
            seen.insert(line.rsplit(": ").next().unwrap().split(',').next().unwrap().to_owned());
        }
    }
    // Each way to a server is among them.
    assert!(found > 5000, "{found}");
    let ways = [
        "by its hash",
        "gets no server",
        "in turn",
        "in turn by weight",
        "it is denied",
        "it was there last",
        "no other server takes it",
        "stubborn",
        "the fewest connections for its weight",
        "the highest score of its hash",
        "the lowest prio",
    ];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ways);
}

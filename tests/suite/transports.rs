//! What holds for TCP and for UDP (`-U`) alike: which server a client gets, and
//! which one when that fails.

use crate::differences::{Difference, REFUSED_CONNECT, UDP_IDLE, UDP_REFUSED};
use crate::stand::{Asker, Held, Pen, Starter, better, hashed, wait_until, worse};
use std::time::{Duration, Instant};

/// A pen for connections, and one for datagrams.
fn both() -> [Starter; 2] {
    [Starter::new(), Starter::new().udp()]
}

/// Those of them whose refusals the program under test notices.
fn that_notice_refusals() -> impl Iterator<Item = Starter> {
    let refused = |is_udp| -> &Difference { if is_udp { &UDP_REFUSED } else { &REFUSED_CONNECT } };
    both().into_iter().filter(move |starter| !better(refused(starter.is_udp)))
}

/// A client that connects for each letter, or has one flow for all.
enum Client<'a> {
    Tcp(&'a Pen),
    Udp(Asker),
}

impl Client<'_> {
    fn of(pen: &Pen) -> Client<'_> {
        match pen.is_udp {
            true => Client::Udp(pen.asker()),
            false => Client::Tcp(pen),
        }
    }

    fn letters(&self, count: usize) -> String {
        match self {
            Client::Tcp(pen) => pen.letters(count),
            Client::Udp(asker) => asker.letters(count),
        }
    }
}

#[test]
fn in_turn() {
    for starter in both() {
        let pen = starter.args(["-r"]).letters(3).start();
        assert_eq!(pen.letters(7), "BCABCAB");
    }
}

#[test]
fn a_client_returns_to_its_server() {
    for starter in both() {
        let pen = starter.letters(3).control().start();
        assert_eq!(pen.letters_of([2, 3, 4, 5]), "BCAB");
        // From other ports: other connections or flows, the same clients.
        assert_eq!(pen.letters_of([5, 4, 3, 2, 2, 3]), "BACBBC");
        let table = pen.ask("recent");
        assert!(table.contains("127.0.0.2 connects 3 "), "{table}");
    }
}

#[test]
fn by_hash() {
    // The C program takes it for a command that it does not know, and goes on.
    let modulo = ["-O", "hash_type modulo"];
    for starter in both() {
        let pen = starter.args(modulo).args(["-h"]).letters(5).start();
        for last in [1, 2, 3, 77, 254] {
            assert_eq!(pen.letters_of([last; 2]), hashed(last, None, 5).repeat(2), "{last}");
        }
    }
    // In turn as well, the port counts.
    for starter in both() {
        let pen = starter.args(modulo).args(["-hr"]).letters(5).start();
        for _ in 0..20 {
            let (held, letter) = pen.hold();
            let port = held.port();
            assert_eq!(letter, hashed(1, Some(port), 5), "port {port}");
        }
    }
}

#[test]
fn weight_shares_connections_and_flows() {
    for starter in both() {
        let pen = starter.args(["-rW"]).letters_with([":0:0:2", ":0:0:3", ":0:0:0"]).start();
        // 256 * connections / weight, the first one on a tie.
        let (held, letters) = pen.hold_all(8);
        assert_eq!(letters, "ABBABABB");
        let again: String = held.iter().map(Held::again).collect();
        assert_eq!(again, letters);
    }
}

#[test]
fn prio_takes_the_lowest() {
    for starter in both() {
        let starter = starter.letters_with([":0:0:0:5", ":0:0:0:2", ":0:0:0:2"]);
        let pen = starter.args(["-r", "-O", "prio"]).control().start();
        assert_eq!(pen.letters(4), "BBBB");
        assert_eq!(pen.ask("server 0 prio 1"), "");
        assert_eq!(pen.letters(2), "AA");
    }
}

#[test]
fn a_servers_own_access_list_sends_clients_on() {
    for starter in both() {
        let pen = starter.args(["-O", "acl 1 deny 127.0.0.1"]).letters(2).control().start();
        assert_eq!(pen.ask("server 1 acl 1"), "");
        assert_eq!(pen.letters(2), "AA");
        // The others are in turn: 0 and 1.
        assert_eq!(pen.letters_of([2, 3]), "AB");
    }
}

#[test]
fn denied_clients_go_to_the_abuse_server() {
    for starter in both() {
        let pen = starter
            .beside("-B", 'Z')
            .args(["-O", "acl 3 deny 127.0.0.2", "-O", "acl 3 deny 127.0.0.5"])
            .args(["-O", "client_acl 3"])
            .letters(1)
            .start();
        assert_eq!(pen.letters_of([2, 3, 2, 4, 5]), "ZAZAZ");
        assert_eq!((pen.servers[0].count(), pen.beside[0].count()), (2, 3));
    }
}

#[test]
fn full_everywhere_is_an_emergency() {
    for starter in both() {
        let starter = starter.args(["-r"]).beside("-e", 'E').letters_with([":1", ":1"]);
        let pen = starter.control().start();
        let (_held, letters) = pen.hold_all(4);
        assert_eq!(letters, "BAEE");
        assert_eq!((pen.load(0), pen.load(1)), (1, 1));
        assert_eq!(pen.ask("close 0"), "Forcibly closing connection 0\n");
        wait_until("server 1 has room", || pen.load(1) == 0);
        assert_eq!(pen.letter(), "B");
    }
}

#[test]
fn what_is_quiet_ends_after_the_idle_time() {
    for starter in both() {
        if starter.is_udp && better(&UDP_IDLE) {
            continue;
        }
        let pen = starter.args(["-r", "-O", "idle_timeout 1"]).letters(2).control().start();
        let start = Instant::now();
        let (held, letter) = pen.hold();
        assert_eq!(letter, "B");
        if let Held::Connection(client) = &held {
            // At a question of ours the C program would look sooner.
            assert!(client.ends());
        }
        wait_until("it ends", || pen.load(1) == 0);
        assert!(start.elapsed() >= Duration::from_millis(900), "too early");
        if let Held::Flow(client) = &held {
            // Its next datagram is a new flow.
            assert_eq!(client.letter(), "A");
        }
    }
}

#[test]
fn an_idle_time_set_later_counts_for_those_who_are_here() {
    for starter in both() {
        let pen = starter.letters(1).control().start();
        let (_held, letter) = pen.hold();
        assert_eq!((letter.as_str(), pen.load(0)), ("A", 1));
        assert_eq!(pen.ask("idle_timeout"), "Idle timeout: 0 seconds\n");
        assert_eq!(pen.ask("idle_timeout 1"), "Idle timeout: 1 seconds\n");
        wait_until("it ends", || pen.load(0) == 0);
    }
}

#[test]
fn a_refused_client_goes_to_the_next_server() {
    for starter in both() {
        if starter.is_udp && better(&UDP_REFUSED) {
            continue;
        }
        let pen = starter.control().letters(1).absent().letters(1).expect("server 1").start();
        let client = Client::of(&pen);
        if !pen.is_udp && worse(&REFUSED_CONNECT) {
            assert_eq!(client.letters(3), "");
            continue;
        }
        // A datagram is never sent twice by the client.
        assert_eq!(client.letters(1), "B");
        pen.says("is down, next try in 30 s");
        assert_eq!(pen.times_said(" is down, next try in "), 1);
        // The client stays with the server that took it in.
        assert_eq!(client.letters(2), "BB");
        assert_eq!(pen.letters(2), "BB");
        wait_until("server 1 has no connection", || pen.load(1) == 0);
    }
}

#[test]
fn fail_over_goes_around() {
    for starter in that_notice_refusals() {
        let pen =
            starter.letters(1).absent().absent().control().expect("is down, next try in").start();
        assert_eq!(pen.letter(), "A");
        wait_until("both are down", || pen.times_said(" is down, next try in ") == 2);
        // Tried with three servers, but come once.
        let sums = if pen.is_udp { "sx 2 rx 1" } else { "sx 1 rx 0" };
        wait_until("it counts", || pen.ask("recent") == format!("127.0.0.1 connects 1 {sums}\n"));
    }
}

#[test]
fn stubborn_means_no_fail_over() {
    for starter in that_notice_refusals() {
        let pen = starter
            .args(["-s", "-r"])
            .beside("-e", 'E')
            .letters(1)
            .absent()
            .expect("server 1")
            .expect("no server available")
            .expect("drop: 127.0.0.1: refused: ")
            .start();
        match Client::of(&pen) {
            Client::Tcp(pen) => assert_eq!(pen.letter(), "", "must be closed"),
            Client::Udp(asker) => asker.send("lost"),
        }
        pen.says("is down, next try in 30 s");
        // Blacklisted now: passed over when it is its turn.
        assert_eq!(pen.letters(3), "AAA");
        assert_eq!((pen.servers[0].count(), pen.beside[0].count()), (3, 0));
    }
}

#[test]
fn the_emergency_server_comes_last() {
    for starter in that_notice_refusals() {
        let starter = starter.args(["-b", "1"]).beside("-e", 'E').letters(2);
        let mut pen = starter.expect("server 0").expect("server 1").start();
        let asker = pen.is_udp.then(|| pen.asker());
        let letters = |pen: &Pen, count| match &asker {
            Some(asker) => asker.letters(count),
            None => pen.letters(count),
        };
        assert_eq!(letters(&pen, 1), "B");
        let at = pen.end_server(1);
        assert_eq!(letters(&pen, 1), "A");
        pen.end_server(0);
        assert_eq!(letters(&pen, 2), "EE");
        // No client comes back to it.
        pen.start_server(at, 'B');
        wait_until("a regular server is used again", || pen.letter() == "B");
    }
}

#[test]
fn a_blacklisted_server_is_used_again_after_its_time() {
    for starter in that_notice_refusals() {
        let down = starter.host.at();
        let starter = starter.args(["-r", "-b", "1"]).letters(1).server(&down);
        let mut pen = starter.expect("server 1").start();
        let failed = Instant::now();
        assert_eq!(pen.letter(), "A");
        pen.says("is down, next try in 1 s");
        pen.start_server(down, 'B');
        wait_until("server 1 is used again", || pen.letter() == "B");
        assert!(failed.elapsed() >= Duration::from_secs(1), "too early");
        assert_eq!(pen.servers[1].count(), 1);
        pen.says("is up again");
    }
}

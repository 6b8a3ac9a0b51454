//! UDP (`-U`): servers that refuse, and servers that are taken away. What TCP
//! does as well is in [`crate::transports`].

use crate::stand::{Responder, Starter, better, wait_until};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

#[test]
fn each_server_is_asked_once_though_none_is_left_alone() {
    better!(UDP_REFUSED);
    let starter = Starter::new().udp().args(["-b", "0"]).letters(1).absent().absent();
    let pen = starter.expect("is down, next try in 0 s").start();
    assert_eq!(pen.letters(3), "AAA");
}

#[test]
fn servers_that_fail_by_turns_lose_nothing() {
    better!(UDP_REFUSED);
    let starter = Starter::new().udp().args(["-b", "0"]).letters(2);
    let mut pen = starter.expect("is down, next try in 0 s").expect("is up again").start();
    let client = pen.asker();
    assert_eq!(client.letter(), "B");
    // Every fail-over brings it to the server that failed before.
    for (index, letter) in "ABABAB".chars().enumerate() {
        let at = pen.end_server(usize::from(index == 0));
        assert_eq!(client.letter(), letter.to_string());
        pen.start_server(at, if letter == 'A' { 'B' } else { 'A' });
    }
}

#[test]
fn a_server_that_dies_loses_its_flows_to_another() {
    better!(UDP_REFUSED);
    let starter = Starter::new().udp().args(["-r"]).letters(2).control();
    let mut pen = starter.expect("server 1").start();
    let (held, letters) = pen.hold_all(10);
    assert_eq!(letters, "BABABABABA");
    pen.end_server(1);
    for _ in 0..3 {
        assert!(held.iter().all(|flow| flow.again() == "A"));
    }
    wait_until("no place is kept", || (pen.load(0), pen.load(1)) == (10, 0));
}

#[test]
fn a_burst_that_is_refused_is_not_lost() {
    better!(UDP_REFUSED);
    let starter = Starter::new().udp().args(["-r"]).letters(2).control();
    let mut pen = starter.expect("server 1").start();
    for round in 0..150 {
        let mut client = pen.asker();
        while client.letter() != "B" {
            pen.ask("server 1 blacklist 0");
            client = pen.asker();
        }
        let at = pen.end_server(1);
        for number in 0..3 {
            client.send(format!("{number}"));
            // At another pace each time: the refusal comes in between.
            let next = Instant::now() + Duration::from_micros(round);
            while Instant::now() < next {}
        }
        // One may be on its way to both servers and arrive twice.
        let mut answers = BTreeSet::new();
        while answers.len() < 3 {
            answers.insert(client.receive());
        }
        assert!(answers.iter().eq(&[b"A0", b"A1", b"A2"]), "{answers:?}");
        pen.start_server(at, 'B');
    }
}

#[test]
fn balanced_datagrams_that_are_refused_are_not_lost() {
    better!(UDP_BALANCE);
    let starter = Starter::new().udp().args(["-r", "-O", "udp_balance datagram"]).letters(3);
    let mut pen = starter.expect("server 2").start();
    let client = pen.asker();
    let round = client.letters(6);
    assert!("ABCABCABC".contains(&round), "{round}");
    pen.end_server(2);
    for _ in 0..12 {
        assert!(["A", "B"].contains(&client.letter().as_str()));
    }
    let round = client.letters(6);
    assert!("ABABABAB".contains(&round), "{round}");
    pen.says("is down, next try in 30 s");
    assert_eq!(pen.times_said(" is down, next try in "), 1);
}

/// A script that looks after servers, and a client that never changes its
/// port.
#[test]
fn a_server_that_is_taken_away_loses_its_flows() {
    better!(UDP_TAKEN_AWAY);
    let starter = Starter::new().udp().args(["-r"]).letters(2).control();
    let third = Responder::letter(starter.host.at(), 'C');
    let pen = starter.start();
    let client = pen.asker();
    let first = pen.servers[0].at().inet().port();
    assert_eq!(client.letters(2), "BB");
    for (line, letters) in [
        ("server 1 blacklist 120", "AA"),
        // It keeps the server that it has now.
        ("server 1 blacklist 0", "AA"),
        // Deleted, in both ways.
        ("server 0 port 0", "BB"),
        (&format!("server 0 port {first}"), "BB"),
        ("server 1 address 0.0.0.0", "AA"),
        // Moved: the same server for pen, at another port.
        (&format!("server 0 port {}", third.at.inet().port()), "CC"),
    ] {
        assert_eq!(pen.ask(line), "");
        assert_eq!(client.letters(2), letters, "{line}");
    }
    wait_until("its other flows are over", || (pen.load(0), pen.load(1)) == (1, 0));
}

#[test]
fn a_tracked_client_leaves_a_blacklisted_server_for_good() {
    better!(UDP_TAKEN_AWAY);
    let pen = Starter::new().udp().letters(2).control().start();
    let client = pen.asker();
    assert_eq!(client.letters(2), "BB");
    pen.ask("server 1 blacklist 120");
    assert_eq!(client.letters(2), "AA");
    pen.ask("server 1 blacklist 0");
    assert_eq!(client.letter(), "A");
    assert_eq!(pen.letters(2), "AA");
}

//! UDP (`-U`): servers that refuse, and servers that are taken away.

use crate::stand::{Asker, Host, Pen, Responder, Starter, better, responders, wait_until};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How often it has been said that a server is down.
fn downs(pen: &Pen) -> usize {
    let messages = pen.messages();
    messages.iter().filter(|m| m.contains(" is down for ")).count()
}

#[test]
fn each_server_is_asked_once_though_none_is_left_alone() {
    better!(UDP_REFUSED);
    let host = Host::new();
    let servers = responders(&host, 1);
    let pen = Starter::datagrams(&host)
        .args(["-b", "0"])
        .servers(&servers)
        .server(&host.at())
        .server(&host.at())
        .expect("is down for 0 s")
        .start();
    assert_eq!(pen.asker_letters(3), "AAA");
}

#[test]
fn servers_that_fail_by_turns_lose_nothing() {
    better!(UDP_REFUSED);
    let host = Host::new();
    let mut servers = responders(&host, 2);
    let pen = Starter::datagrams(&host)
        .args(["-b", "0"])
        .servers(&servers)
        .expect("is down for 0 s")
        .expect("is up again")
        .start();
    let client = pen.asker();
    assert_eq!(client.letter(), "B");
    // Every fail-over brings it to the server that failed before.
    for letter in "ABABAB".chars() {
        let at = servers.remove(1).at.clone();
        assert_eq!(client.letter(), letter.to_string());
        let other = if letter == 'A' { 'B' } else { 'A' };
        servers.insert(0, Responder::letter(at, other));
    }
}

#[test]
fn a_server_that_dies_loses_its_flows_to_another() {
    better!(UDP_REFUSED);
    let host = Host::new();
    let mut servers = responders(&host, 2);
    let pen = Starter::datagrams(&host)
        .args(["-r"])
        .servers(&servers)
        .control(host.at())
        .expect("server 1")
        .start();
    let clients: Vec<Asker> = (0..10).map(|_| pen.asker()).collect();
    let round = || -> String { clients.iter().map(Asker::letter).collect() };
    assert_eq!(round(), "BABABABABA");
    drop(servers.pop());
    for _ in 0..3 {
        assert_eq!(round(), "A".repeat(10));
    }
    wait_until("no place is kept", || (pen.load(0), pen.load(1)) == (10, 0));
}

#[test]
fn a_burst_that_is_refused_is_not_lost() {
    better!(UDP_REFUSED);
    let host = Host::new();
    let mut servers = responders(&host, 2);
    let pen = Starter::datagrams(&host)
        .args(["-r"])
        .servers(&servers)
        .control(host.at())
        .expect("server 1")
        .start();
    for round in 0..150 {
        let mut client = pen.asker();
        while client.letter() != "B" {
            pen.ask("server 1 blacklist 0");
            client = pen.asker();
        }
        let at = servers.pop().unwrap().at.clone();
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
        servers.push(Responder::letter(at, 'B'));
    }
}

#[test]
fn balanced_datagrams_that_are_refused_are_not_lost() {
    better!(UDP_BALANCE);
    let host = Host::new();
    let mut servers = responders(&host, 3);
    let pen = Starter::datagrams(&host)
        .args(["-r", "-O", "udp_balance datagram"])
        .servers(&servers)
        .expect("server 2")
        .start();
    let client = pen.asker();
    let round = client.letters(6);
    assert!("ABCABCABC".contains(&round), "{round}");
    drop(servers.pop());
    for _ in 0..12 {
        assert!(["A", "B"].contains(&client.letter().as_str()));
    }
    let round = client.letters(6);
    assert!("ABABABAB".contains(&round), "{round}");
    pen.says("is down for 30 s");
    assert_eq!(downs(&pen), 1);
}

/// A script that looks after servers, and a client that never changes its
/// port.
#[test]
fn a_server_that_is_taken_away_loses_its_flows() {
    better!(UDP_TAKEN_AWAY);
    let host = Host::new();
    let servers = responders(&host, 3);
    let pen =
        Starter::datagrams(&host).args(["-r"]).servers(&servers[..2]).control(host.at()).start();
    let client = pen.asker();
    assert_eq!(client.letters(2), "BB");
    assert_eq!(pen.ask("server 1 blacklist 120"), "");
    assert_eq!(client.letters(2), "AA");
    // It keeps the server that it has now.
    assert_eq!(pen.ask("server 1 blacklist 0"), "");
    assert_eq!(client.letters(2), "AA");
    // Deleted, in both ways.
    assert_eq!(pen.ask("server 0 port 0"), "");
    assert_eq!(client.letters(2), "BB");
    let port = servers[0].at.inet().port();
    assert_eq!(pen.ask(&format!("server 0 port {port}")), "");
    assert_eq!(pen.ask("server 1 address 0.0.0.0"), "");
    assert_eq!(client.letters(2), "AA");
    // Moved: the same server for pen, at another port.
    let port = servers[2].at.inet().port();
    assert_eq!(pen.ask(&format!("server 0 port {port}")), "");
    assert_eq!(client.letters(2), "CC");
    wait_until("its other flows are over", || (pen.load(0), pen.load(1)) == (1, 0));
}

#[test]
fn a_tracked_client_leaves_a_blacklisted_server_for_good() {
    better!(UDP_TAKEN_AWAY);
    let host = Host::new();
    let servers = responders(&host, 2);
    let starter = Starter::datagrams(&host).servers(&servers);
    let pen = starter.control(host.at()).start();
    let client = pen.asker();
    assert_eq!(client.letters(2), "BB");
    pen.ask("server 1 blacklist 120");
    assert_eq!(client.letters(2), "AA");
    pen.ask("server 1 blacklist 0");
    assert_eq!(client.letter(), "A");
    assert_eq!(pen.asker_letters(2), "AA");
}

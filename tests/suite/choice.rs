//! Which server a client without a history gets: in turn, by hash, by weight,
//! by prio.

use crate::differences::{EMPTY_SLOT, NO_WEIGHTS};
use crate::stand::{
    At, Backend, Caller, Client, Host, Pen, Port, Starter, better, hashed, letters, wait_until,
    worse,
};
use std::net::Ipv4Addr;

#[test]
fn the_very_first_client_gets_server_1() {
    let host = Host::new();
    let servers = letters(&host, 3);
    let pen = Starter::new(&host).servers(&servers).start();
    assert_eq!(pen.letter(), "B");
}

#[test]
fn a_single_server_is_server_0() {
    let host = Host::new();
    let servers = letters(&host, 1);
    let pen = Starter::new(&host).servers(&servers).start();
    assert_eq!(pen.letters(3), "AAA");
}

#[test]
fn different_clients_go_round() {
    let host = Host::new();
    let servers = letters(&host, 3);
    let pen = Starter::new(&host).servers(&servers).start();
    let callers = [2, 3, 4, 5].map(|n| Caller::new(&host, n, &pen));
    let round: String = callers.iter().map(Caller::letter).collect();
    assert_eq!(round, "BCAB");
}

/// The C program takes it for a command that it does not know, and goes on.
const MODULO: [&str; 2] = ["-O", "hash_type modulo"];

#[test]
fn hash_by_address() {
    let host = Host::new();
    let servers = letters(&host, 5);
    let pen = Starter::new(&host).args(MODULO).args(["-h"]).servers(&servers).start();
    assert_eq!(pen.letters(2), hashed(1, None, 5).repeat(2));
    for last in [2, 3, 77, 254] {
        let caller = Caller::new(&host, last, &pen);
        assert_eq!(caller.letter(), hashed(last, None, 5), "127.0.0.{last}");
    }
}

#[test]
fn hash_and_round_robin_by_address_and_port() {
    let host = Host::new();
    let servers = letters(&host, 5);
    let pen = Starter::new(&host).args(MODULO).args(["-hr"]).servers(&servers).start();
    for _ in 0..20 {
        let client = pen.connect();
        let port = client.0.local_addr().unwrap().port();
        assert_eq!(client.letter(), hashed(1, Some(port), 5), "port {port}");
    }
}

/// A connection that stays, and its server.
fn hold(pen: &Pen) -> (Client, String) {
    let client = pen.connect();
    let letter = client.letter();
    (client, letter)
}

#[test]
fn weight_shares_connections() {
    let host = Host::new();
    let servers = letters(&host, 3);
    let mut starter = Starter::new(&host).args(["-rW"]);
    for (server, weight) in servers.iter().zip([2, 3, 0]) {
        starter = starter.operand(format!("{}:0:0:{weight}", server.at));
    }
    let pen = starter.start();
    let held: Vec<_> = (0..8).map(|_| hold(&pen)).collect();
    let round: String = held.iter().map(|(_, letter)| letter.as_str()).collect();
    // 256 * connections / weight, the first one on a tie.
    assert_eq!(round, "ABBABABB");
}

#[test]
fn weight_without_weights_is_least_connections() {
    let host = Host::new();
    let servers = letters(&host, 3);
    let starter = Starter::new(&host).args(["-r", "-W"]).servers(&servers);
    let pen = starter.control(host.at()).start();
    if worse(&NO_WEIGHTS) {
        assert_eq!(pen.letters(3), "");
        return;
    }
    let first = hold(&pen);
    let second = hold(&pen);
    assert_eq!((first.1.as_str(), second.1.as_str()), ("A", "B"));
    drop(first);
    wait_until("server 0 is free again", || pen.load(0) == 0);
    // Of the two that have none, the next in turn.
    assert_eq!(pen.letter(), "C");
}

#[test]
fn prio_goes_on_with_the_next_lowest() {
    better!(REFUSED_CONNECT);
    let host = Host::new();
    let mut servers = letters(&host, 3);
    let mut starter = Starter::new(&host).args(["-r", "-O", "prio"]);
    for (server, prio) in servers.iter().zip([7, 6, 1]) {
        starter = starter.operand(format!("{}:0:0:0:{prio}", server.at));
    }
    let pen = starter.expect("server 2").start();
    assert_eq!(pen.letter(), "C");
    drop(servers.pop());
    // First found out by trying, and then by fail-over to the next index.
    assert_eq!(pen.letter(), "A");
    assert_eq!(pen.letters(2), "BB");
}

#[test]
fn prio_goes_before_weight_and_weight_before_hash() {
    let host = Host::new();
    let servers = letters(&host, 3);
    let mut starter = Starter::new(&host).args(["-rhW", "-O", "prio"]).control(host.at());
    for (server, (weight, prio)) in servers.iter().zip([(1, 2), (1, 3), (9, 1)]) {
        starter = starter.operand(format!("{}:0:0:{weight}:{prio}", server.at));
    }
    let pen = starter.start();
    let first = hold(&pen);
    assert_eq!(first.1, "C");
    assert_eq!(pen.ask("no prio"), "");
    // Server 2 is now at 256 * 1 / 9.
    let second = hold(&pen);
    assert_eq!(second.1, "A");
    assert_eq!(hold(&pen).1, "B");
}

#[test]
fn an_empty_slot_is_never_chosen() {
    let host = Host::new();
    let servers = letters(&host, 2);
    let pen = Starter::new(&host)
        .args(["-r"])
        .control(host.at())
        .server(&servers[0].at)
        .operand("0.0.0.0:80".to_owned())
        .server(&servers[1].at)
        .expect("no server available")
        .start();
    assert_eq!(pen.letters(4), "BABA");
    // Taken away while pen runs, the way scripts do it.
    assert_eq!(pen.ask("server 2 address 0.0.0.0 port 0"), "");
    assert_eq!(pen.letters(2), "AA");
    let list = pen.ask("servers");
    assert_eq!(list.matches("addr 0.0.0.0 ").count(), 2, "{list}");
    // Without any server the client is closed.
    assert_eq!(pen.ask("server 0 address 0"), "");
    assert!(pen.connect().ends());
}

#[test]
fn no_address_is_not_this_host() {
    let (host, port) = (Host::new(), Port::new());
    let servers = letters(&host, 1);
    let here = At::Inet((Ipv4Addr::LOCALHOST, port.number).into());
    let _here = Backend::letter(here, 'Z');
    let pen = Starter::new(&host)
        .args(["-r"])
        .servers(&servers)
        .control(host.at())
        .expect("no server available")
        .start();
    assert_eq!(pen.letters(2), "AA");
    pen.ask(&format!("server 0 address 0.0.0.0 port {}", port.number));
    let wanted = if worse(&EMPTY_SLOT) { "ZZ" } else { "" };
    assert_eq!(pen.letters(2), wanted);
}

//! Which server a client without a history gets: in turn, by weight, by prio.
//! What UDP does as well is in [`crate::transports`].

use crate::differences::{EMPTY_SLOT, NO_WEIGHTS};
use crate::stand::{At, Backend, Port, Starter, better, wait_until, worse};
use std::net::Ipv4Addr;

#[test]
fn the_very_first_client_gets_server_1() {
    assert_eq!(Starter::new().letters(3).start().letter(), "B");
}

#[test]
fn a_single_server_is_server_0() {
    assert_eq!(Starter::new().letters(1).start().letters(3), "AAA");
}

#[test]
fn weight_without_weights_is_least_connections() {
    let pen = Starter::new().args(["-r", "-W"]).letters(3).control().start();
    if worse(&NO_WEIGHTS) {
        assert_eq!(pen.letters(3), "");
        return;
    }
    let (first, second) = (pen.hold(), pen.hold());
    assert_eq!((first.1.as_str(), second.1.as_str()), ("A", "B"));
    drop(first);
    wait_until("server 0 is free again", || pen.load(0) == 0);
    // Of the two that have none, the next in turn.
    assert_eq!(pen.letter(), "C");
}

#[test]
fn prio_goes_on_with_the_next_lowest() {
    better!(REFUSED_CONNECT);
    let starter = Starter::new().letters_with([":0:0:0:7", ":0:0:0:6", ":0:0:0:1"]);
    let mut pen = starter.args(["-r", "-O", "prio"]).expect("server 2").start();
    assert_eq!(pen.letter(), "C");
    pen.end_server(2);
    // First found out by trying, and then by fail-over to the next index.
    assert_eq!(pen.letters(3), "ABB");
}

#[test]
fn prio_goes_before_weight_and_weight_before_hash() {
    let starter = Starter::new().letters_with([":0:0:1:2", ":0:0:1:3", ":0:0:9:1"]);
    let pen = starter.args(["-rhW", "-O", "prio"]).control().start();
    let first = pen.hold();
    assert_eq!(first.1, "C");
    assert_eq!(pen.ask("no prio"), "");
    // Server 2 is now at 256 * 1 / 9.
    let second = pen.hold();
    assert_eq!(second.1, "A");
    assert_eq!(pen.hold().1, "B");
}

#[test]
fn an_empty_slot_is_never_chosen() {
    let starter = Starter::new().letters(1).operand("0.0.0.0:80").letters(1);
    let pen = starter.args(["-r"]).control().expect("no server available").start();
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
    let port = Port::new();
    let here = At::Inet((Ipv4Addr::LOCALHOST, port.number).into());
    let _here = Backend::letter(here, 'Z');
    let starter = Starter::new().args(["-r"]).letters(1).control();
    let pen = starter.expect("no server available").start();
    assert_eq!(pen.letters(2), "AA");
    pen.ask(&format!("server 0 address 0.0.0.0 port {}", port.number));
    let wanted = if worse(&EMPTY_SLOT) { "ZZ" } else { "" };
    assert_eq!(pen.letters(2), wanted);
}

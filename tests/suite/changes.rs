//! What follows when the state of a server changes.

use crate::endings::{ends, handing_over};
use crate::stand::{Client, Pen, Starter, better, wait_until};
use std::io::{ErrorKind, Read};

/// Whether a reset comes.
fn is_reset(client: &Client) -> bool {
    (&client.0).read(&mut [0]).is_err_and(|e| e.kind() == ErrorKind::ConnectionReset)
}

/// Waits until so many connections have been cut.
fn are_cut(pen: &Pen, count: &str) {
    wait_until("they are counted", || {
        pen.get("/status.json").member("\"ends\":", "server-cut") == count
    });
}

#[test]
fn connections_of_a_server_that_goes_down_are_kept_or_cut() {
    better!(CHECKS);
    let (starter, streams) = handing_over(Starter::new().args(["-r"]).letters(1));
    let mut pen = starter.web().expect("server 1 ").start();
    let take_out = |pen: &Pen| {
        pen.ask("server 1 state down");
        pen.says("server 1 ");
        pen.ask("server 1 state ready");
    };
    let (kept, kept_server) = ends(&pen, &streams);
    take_out(&pen);
    assert!(kept.is_quiet() && kept_server.is_quiet());
    // It is the turn of the other one, which is not concerned.
    let other = pen.connect_to("A");
    assert_eq!(pen.ask("on_down cut"), "cut\n");
    let (cut, cut_server) = ends(&pen, &streams);
    take_out(&pen);
    for end in [&kept, &kept_server, &cut, &cut_server] {
        assert!(is_reset(end));
    }
    are_cut(&pen, "2");
    // Drained and maintained servers keep theirs.
    assert_eq!(pen.letter(), "A");
    let (kept, _kept_server) = ends(&pen, &streams);
    pen.ask("server 1 state drain");
    pen.ask("server 1 state maint");
    assert!(kept.is_quiet());
    pen.ask("server 1 state ready");
    // A check finds out.
    pen.end_server(1);
    pen.ask("check 1");
    assert!(is_reset(&kept));
    other.send("\n");
    assert_eq!(other.letter(), "A");
}

#[test]
fn flows_of_a_server_that_goes_down_are_cut() {
    better!(CHECKS);
    let starter = Starter::new().udp().args(["-O", "on_down cut"]).letters(1).web();
    let pen = starter.expect("server 0 ").start();
    assert_eq!(pen.letters(2), "AA");
    pen.ask("server 0 state down");
    // Without another datagram.
    are_cut(&pen, "2");
    assert_eq!(pen.get("/status.json").member("\"connections\":{", "used"), "0");
}
